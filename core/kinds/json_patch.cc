#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/kinds/codec.h"
#include "core/kinds/patch.h"

namespace wherry {
namespace {

// Limits of one patch, as upstream sets them.
constexpr size_t kMaxOperations = 10'000;
constexpr size_t kMaxCopiedBytes = 3 * 1024 * 1024;

using Pointer = std::vector<std::string>;

// RFC 6901. Absent on a bad pointer.
std::optional<Pointer> ParsePointer(std::string_view text) {
  Pointer tokens;
  if (text.empty()) return tokens;
  if (text.front() != '/') return std::nullopt;
  for (char c : text) {
    if (c == '/') {
      tokens.emplace_back();
    } else {
      tokens.back().push_back(c);
    }
  }
  for (std::string& token : tokens) {
    std::string plain;
    for (size_t i = 0; i < token.size(); ++i) {
      if (token[i] != '~') {
        plain.push_back(token[i]);
      } else if (i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
        plain.push_back(token[++i] == '0' ? '~' : '/');
      } else {
        return std::nullopt;
      }
    }
    token = std::move(plain);
  }
  return tokens;
}

// An index without leading zeros, below `end`.
std::optional<size_t> ParseIndex(const std::string& token, size_t end) {
  size_t index = 0;
  const auto [rest, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  if (error != std::errc() || rest != token.data() + token.size() || token.empty()) return std::nullopt;
  if ((token.size() > 1 && token[0] == '0') || index >= end) return std::nullopt;
  return index;
}

size_t Depth(const Json& value) {
  size_t deepest = 0;
  if (value.is_structured()) {
    for (const Json& child : value) deepest = std::max(deepest, Depth(child));
  }
  return deepest + 1;
}

// Applies operations to one document; the first that fails says why in error().
class Patcher {
 public:
  explicit Patcher(Json document) : document_(std::move(document)) {}

  bool Apply(const std::string& op, const Pointer& path, const Pointer& from, const Json* value) {
    if (op == "add") return Add(path, *value);
    if (op == "remove") return Remove(path);
    if (op == "replace") {
      Json* target = Find(path);
      if (!target) return Fail("there is nothing to replace");
      return Fits(path, *value) && (*target = *value, true);
    }
    if (op == "test") {
      const Json* target = Find(path);
      const Json absent;
      return (target ? *target : absent) == *value || Fail("the value is another");
    }
    Json* source = Find(from);
    if (!source) return Fail("there is nothing at \"from\"");
    if (op == "copy") {
      copied_ += source->dump(-1, ' ', false, Json::error_handler_t::replace).size();
      if (copied_ > kMaxCopiedBytes) return Fail("too much is copied");
      const Json copy = *source;
      return Add(path, copy);
    }
    if (path.size() > from.size() && std::equal(from.begin(), from.end(), path.begin())) {
      return Fail("a value cannot move into itself");
    }
    if (path == from) return true;
    Json moved = std::move(*source);
    *source = nullptr;
    return Remove(from) && Add(path, moved);
  }

  const std::string& error() const { return error_; }
  Json Take() { return std::move(document_); }

 private:
  bool Fail(std::string why) {
    error_ = std::move(why);
    return false;
  }

  bool Fits(const Pointer& path, const Json& value) {
    return path.size() + Depth(value) <= kMaxDepth || Fail("nested too deeply");
  }

  // The value at the first `count` tokens; null when there is none.
  Json* Find(const Pointer& path, size_t count) {
    Json* at = &document_;
    for (size_t i = 0; i < count; ++i) {
      if (at->is_object()) {
        const auto it = at->find(path[i]);
        if (it == at->end()) return nullptr;
        at = &*it;
      } else if (at->is_array()) {
        const auto index = ParseIndex(path[i], at->size());
        if (!index) return nullptr;
        at = &(*at)[*index];
      } else {
        return nullptr;
      }
    }
    return at;
  }
  Json* Find(const Pointer& path) { return Find(path, path.size()); }

  bool Add(const Pointer& path, const Json& value) {
    if (!Fits(path, value)) return false;
    if (path.empty()) {
      document_ = value;
      return true;
    }
    Json* parent = Find(path, path.size() - 1);
    if (parent && parent->is_object()) {
      (*parent)[path.back()] = value;
      return true;
    }
    if (!parent || !parent->is_array()) return Fail("there is nothing to add to");
    if (path.back() == "-") {
      parent->push_back(value);
      return true;
    }
    const auto index = ParseIndex(path.back(), parent->size() + 1);
    if (!index) return Fail("no such index");
    parent->insert(parent->begin() + static_cast<ptrdiff_t>(*index), value);
    return true;
  }

  bool Remove(const Pointer& path) {
    if (path.empty()) return Fail("the whole document cannot be removed");
    Json* parent = Find(path, path.size() - 1);
    if (parent && parent->is_object() && parent->erase(path.back()) == 1) return true;
    if (parent && parent->is_array()) {
      if (const auto index = ParseIndex(path.back(), parent->size())) {
        parent->erase(*index);
        return true;
      }
    }
    return Fail("there is nothing to remove");
  }

  Json document_;
  size_t copied_ = 0;
  std::string error_;
};

const std::string* Text(const Json& operation, const char* name) {
  const auto it = operation.find(name);
  return it != operation.end() && it->is_string() ? &it->get_ref<const std::string&>() : nullptr;
}

Status Malformed(const std::string& why) { return Status::BadRequest("error decoding JSON patch: " + why); }

}  // namespace

Result<Json> ApplyJsonPatch(const Json& document, const Json& patch) {
  if (!patch.is_array()) return Malformed("a JSON patch is a list of operations");
  if (patch.size() > kMaxOperations) {
    return Status(Reason::kRequestEntityTooLarge, "The allowed maximum operations in a JSON patch is " +
                                                      std::to_string(kMaxOperations) + ", got " +
                                                      std::to_string(patch.size()));
  }
  Patcher patcher(document);
  for (const Json& operation : patch) {
    if (!operation.is_object()) return Malformed("an operation is an object");
    const std::string* op = Text(operation, "op");
    const std::string* path = Text(operation, "path");
    if (!op || !path) return Malformed("an operation wants \"op\" and \"path\"");
    const bool wants_from = *op == "move" || *op == "copy";
    const bool wants_value = *op == "add" || *op == "replace" || *op == "test";
    if (!wants_from && !wants_value && *op != "remove") return Malformed("unknown operation \"" + *op + "\"");
    const std::string* from = Text(operation, "from");
    if (wants_from && !from) return Malformed(*op + " wants \"from\"");
    const auto value = operation.find("value");
    if (wants_value && value == operation.end()) return Malformed(*op + " wants \"value\"");
    const auto to = ParsePointer(*path);
    const auto source = wants_from ? ParsePointer(*from) : Pointer();
    if (!to || !source) return Malformed("bad JSON pointer");
    if (!patcher.Apply(*op, *to, *source, wants_value ? &*value : nullptr)) {
      // The cause says it again because older kubectls show nothing else of an invalid request.
      const std::string why = *op + " " + *path + ": " + patcher.error();
      StatusDetails details;
      details.causes.push_back({"FieldValueInvalid", why, "patch"});
      return Status(Reason::kInvalid, "the server rejected our request due to an error in our request: " + why,
                    std::move(details));
    }
  }
  return patcher.Take();
}

Json ApplyMergePatch(Json document, const Json& patch) {
  if (!patch.is_object()) return patch;
  if (!document.is_object()) document = Json::object();
  for (const auto& [name, value] : patch.items()) {
    if (value.is_null()) {
      document.erase(name);
      continue;
    }
    Json& slot = document[name];
    slot = ApplyMergePatch(std::move(slot), value);
  }
  return document;
}

}  // namespace wherry
