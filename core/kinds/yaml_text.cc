#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <unordered_map>

#include "core/kinds/base64.h"
#include "core/kinds/codec.h"

namespace wherry {
namespace {

struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr std::string_view kTags = "tag:yaml.org,2002:";

// The integer forms of Go's strconv with base 0: decimal, 0x, 0o, 0b and a leading 0 for octal.
std::optional<Json> ReadInteger(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  constexpr uint64_t kMinMagnitude = uint64_t{1} << 63;
  if (!negative) {
    return value < kMinMagnitude ? Json(static_cast<int64_t>(value)) : Json(value);
  }
  if (value > kMinMagnitude) return std::nullopt;
  return Json(static_cast<int64_t>(uint64_t{0} - value));
}

bool LooksLikeFloat(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t from = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - from;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t whole = digits();
  size_t fraction = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

// A whole number stays one in JSON: 1.0 and 1e3 become 1 and 1000, as Go's encoder writes them.
Json FromDouble(double value) {
  if (!std::isfinite(value)) throw Refused("a number is out of range");
  if (std::trunc(value) == value && std::abs(value) < 9.2e18) return static_cast<int64_t>(value);
  return value;
}

// A plain scalar by the YAML 1.1 rules of the library that Kubernetes uses.
Json ResolvePlain(const std::string& text) {
  static constexpr std::array<std::string_view, 11> kTrue = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                                             "True", "TRUE", "on",  "On",  "ON"};
  static constexpr std::array<std::string_view, 11> kFalse = {"n",     "N",     "no",  "No",  "NO", "false",
                                                              "False", "FALSE", "off", "Off", "OFF"};
  static constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
  static constexpr std::array<std::string_view, 15> kNotFinite = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF",
                                                                  "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"};
  const auto among = [&text](const auto& words) {
    for (std::string_view word : words) {
      if (word == text) return true;
    }
    return false;
  };
  if (among(kNull)) return nullptr;
  if (among(kTrue)) return true;
  if (among(kFalse)) return false;
  const char first = text[0];
  if (first == '.' || first == '+' || first == '-' || (first >= '0' && first <= '9')) {
    if (among(kNotFinite)) throw Refused("a number is not finite");
    std::string plain = text;
    if (first != '.') std::erase(plain, '_');
    if (auto integer = ReadInteger(plain)) return *integer;
    if (LooksLikeFloat(plain)) {
      const char* from = plain.data() + (plain[0] == '+' ? 1 : 0);
      double value = 0;
      const auto [end, error] = std::from_chars(from, plain.data() + plain.size(), value);
      if (error == std::errc::result_out_of_range) return text;  // as strconv.ParseFloat fails
      if (error == std::errc() && end == plain.data() + plain.size()) return FromDouble(value);
    }
  }
  return text;
}

std::string KeyText(const Json& key) {
  if (key.is_string()) return key.get<std::string>();
  if (key.is_boolean() || key.is_number()) return key.dump();
  throw Refused(key.is_null() ? "a key is null" : "a key is not a scalar");
}

// Builds JSON from the YAML parser's events; aliases are expanded within the node limit.
class DocumentBuilder final : public YAML::EventHandler {
 public:
  explicit DocumentBuilder(std::vector<std::string>* duplicates) : duplicates_(duplicates) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark&, YAML::anchor_t anchor) override { Scalar(nullptr, anchor, false); }

  void OnScalar(const YAML::Mark&, const std::string& tag, YAML::anchor_t anchor, const std::string& text) override {
    std::string_view short_tag = tag;
    if (short_tag.starts_with(kTags)) short_tag.remove_prefix(kTags.size());
    if (tag == "!" || short_tag == "str") return Scalar(text, anchor, false);
    if (short_tag == "binary") {
      std::string bytes;
      if (!DecodeBase64(text, &bytes)) throw Refused("!!binary holds no base64 data");
      return Scalar(std::move(bytes), anchor, false);
    }
    Scalar(ResolvePlain(text), anchor, text == "<<");
  }

  void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override {
    const auto it = anchors_.find(anchor);
    if (it == anchors_.end()) throw Refused("an alias refers to a value that contains it");
    Count(it->second.nodes);
    Add(it->second.value, false);
  }

  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Json::array(), anchor);
  }
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(Json::object(), anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

  Json document;

 private:
  struct Frame {
    Json value;
    YAML::anchor_t anchor;
    size_t nodes_before;
    std::optional<std::string> key;  // of the entry being read
    bool merge = false;              // that key is a plain <<
    std::vector<Json> merges;
  };
  struct Anchored {
    Json value;
    size_t nodes;
  };

  void Count(size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxNodes) throw Refused("too many values");
  }

  void Keep(YAML::anchor_t anchor, const Json& value, size_t nodes) {
    if (anchor == 0) return;
    Count(nodes);  // the copy takes room too
    anchors_[anchor] = {value, nodes};
  }

  void Scalar(Json value, YAML::anchor_t anchor, bool merge) {
    Count(1);
    Keep(anchor, value, 1);
    Add(std::move(value), merge);
  }

  void Open(Json empty, YAML::anchor_t anchor) {
    if (stack_.size() >= kMaxDepth) throw Refused("nested too deeply");
    Count(1);
    anchors_.erase(anchor);
    Frame frame;
    frame.value = std::move(empty);
    frame.anchor = anchor;
    frame.nodes_before = nodes_ - 1;
    stack_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    for (const Json& merged : frame.merges) Merge(frame.value, merged);
    Keep(frame.anchor, frame.value, nodes_ - frame.nodes_before);
    Add(std::move(frame.value), false);
  }

  void Add(Json value, bool merge) {
    if (stack_.empty()) {
      document = std::move(value);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.value.is_array()) {
      frame.value.push_back(std::move(value));
    } else if (!frame.key) {
      frame.key = KeyText(value);
      frame.merge = merge;
      if (duplicates_ && !merge && frame.value.contains(*frame.key)) duplicates_->push_back(Path());
    } else {
      if (frame.merge) {
        frame.merges.push_back(std::move(value));
      } else {
        frame.value[*frame.key] = std::move(value);
      }
      frame.key.reset();
    }
  }

  // What the map says itself wins over what it merges in; earlier merged maps win over later ones.
  void Merge(Json& into, const Json& merged) {
    if (merged.is_array()) {
      for (const Json& one : merged) {
        if (!one.is_object()) throw Refused("<< wants a map or a list of maps");
        Merge(into, one);
      }
    } else if (merged.is_object()) {
      for (const auto& [key, value] : merged.items()) {
        if (!into.contains(key)) into[key] = value;
      }
    } else {
      throw Refused("<< wants a map or a list of maps");
    }
  }

  std::string Path() const {
    std::string path;
    for (const Frame& frame : stack_) {
      if (frame.value.is_array()) {
        path += "[" + std::to_string(frame.value.size()) + "]";
      } else {
        if (!path.empty()) path += '.';
        path += frame.key.value_or("");
      }
    }
    return path;
  }

  std::vector<std::string>* const duplicates_;
  std::vector<Frame> stack_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  size_t nodes_ = 0;
};

}  // namespace

Result<Json> ParseYaml(std::string_view text, std::vector<std::string>* duplicates) {
  DocumentBuilder builder(duplicates);
  try {
    std::istringstream input{std::string(text)};
    YAML::Parser parser(input);
    parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& error) {
    return Status::BadRequest("error parsing YAML: " + std::string(error.what()));
  } catch (const Refused& error) {
    return Status::BadRequest("error parsing YAML: " + std::string(error.what()));
  }
  return std::move(builder.document);
}

}  // namespace wherry
