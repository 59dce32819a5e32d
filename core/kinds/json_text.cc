#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry {
namespace {

// Builds the document from the parser's events, so that limits hold while it grows and repeated keys are noticed.
class DocumentBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit DocumentBuilder(std::vector<std::string>* duplicates) : duplicates_(duplicates) {}

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return Refuse("binary value"); }

  bool start_object(size_t) override { return Open(Json::object()); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (duplicates_ && stack_.back()->contains(name)) duplicates_->push_back(Path(name));
    keys_.back() = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    // The library's text is "[json.exception.…] parse error at line 1, column 2: why".
    std::string_view why = error.what();
    if (const size_t at = why.find("] "); at != std::string_view::npos) why.remove_prefix(at + 2);
    error_ = why.empty() ? "syntax error at byte " + std::to_string(position) : std::string(why);
    return false;
  }

  Json document;
  const std::string& error() const { return error_; }

 private:
  bool Refuse(std::string why) {
    error_ = std::move(why);
    return false;
  }

  Json* Place(Json value) {
    if (stack_.empty()) {
      document = std::move(value);
      return &document;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    Json& slot = parent[keys_.back()];
    slot = std::move(value);
    return &slot;
  }

  bool Add(Json value) {
    if (++nodes_ > kMaxNodes) return Refuse("too many values");
    Place(std::move(value));
    return true;
  }

  bool Open(Json value) {
    if (++nodes_ > kMaxNodes) return Refuse("too many values");
    if (stack_.size() >= kMaxDepth) return Refuse("nested too deeply");
    stack_.push_back(Place(std::move(value)));
    keys_.emplace_back();
    return true;
  }

  bool Close() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }

  std::string Path(const std::string& last) const {
    std::string path;
    for (size_t i = 0; i < stack_.size(); ++i) {
      if (stack_[i]->is_array()) {
        path += "[" + std::to_string(stack_[i]->size() - 1) + "]";
        continue;
      }
      if (!path.empty()) path += '.';
      path += i + 1 == stack_.size() ? last : keys_[i];
    }
    return path;
  }

  std::vector<std::string>* const duplicates_;
  std::vector<Json*> stack_;       // open containers; nlohmann objects are maps and arrays grow only at the open end
  std::vector<std::string> keys_;  // the current key of each
  size_t nodes_ = 0;
  std::string error_;
};

}  // namespace

Result<Json> ParseJson(std::string_view text, std::vector<std::string>* duplicates) {
  DocumentBuilder builder(duplicates);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return Status::BadRequest("error parsing JSON: " + builder.error());
  }
  return std::move(builder.document);
}

}  // namespace wherry
