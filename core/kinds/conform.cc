#include <nlohmann/json.hpp>

#include "core/kinds/base64.h"
#include "core/kinds/codec.h"
#include "core/kinds/quantity.h"
#include "core/kinds/timestamps.h"

namespace wherry {
namespace {

// Go's name of a type, as its decoder's messages give it.
std::string GoTypeName(const Type& type) {
  switch (type.kind) {
    case TypeKind::kObject:
      return "v1." + type.name;
    case TypeKind::kMap:
      return "map[string]" + GoTypeName(*type.element);
    case TypeKind::kList:
      return "[]" + GoTypeName(*type.element);
    case TypeKind::kBool:
      return "bool";
    case TypeKind::kInt32:
      return "int32";
    case TypeKind::kInt64:
      return "int64";
    case TypeKind::kDouble:
      return "float64";
    case TypeKind::kBytes:
      return "[]uint8";
    default:
      return "string";
  }
}

class Conformer {
 public:
  explicit Conformer(std::vector<std::string>& problems) : problems_(problems) {}

  // False when `value` cannot be a `type`: then error() says why.
  bool Value(const Type& type, Json& value) {
    switch (type.kind) {
      case TypeKind::kObject:
        return value.is_object() ? Object(type, value) : Mismatch(type, value);
      case TypeKind::kMap:
        return value.is_object() ? Map(type, value) : Mismatch(type, value);
      case TypeKind::kList:
        return value.is_array() ? List(type, value) : Mismatch(type, value);
      case TypeKind::kString:
        return value.is_string() || Mismatch(type, value);
      case TypeKind::kBool:
        return value.is_boolean() || Mismatch(type, value);
      case TypeKind::kInt32:
        return Integer(type, value, INT32_MIN, INT32_MAX);
      case TypeKind::kInt64:
        return Integer(type, value, INT64_MIN, INT64_MAX);
      case TypeKind::kDouble:
        return value.is_number() || Mismatch(type, value);
      case TypeKind::kBytes:
        return Bytes(type, value);
      case TypeKind::kQuantity:
        return Amount(value);
      case TypeKind::kIntOrString:
        if (value.is_string()) return true;
        if (value.is_number()) return Integer(type, value, INT32_MIN, INT32_MAX);
        return Fail("json: cannot unmarshal " + std::string(JsonTypeName(value)) + " into Go value of type int32");
      case TypeKind::kTime:
        return Timestamp(type, value, TimePrecision::kSeconds);
      case TypeKind::kMicroTime:
        return Timestamp(type, value, TimePrecision::kMicros);
      case TypeKind::kDuration:
        return value.is_string() || Mismatch(type, value);
      case TypeKind::kAny:
        return true;
    }
    return true;
  }

  const std::string& error() const { return error_; }

 private:
  struct Step {
    const std::string* name;  // null for a list index
    size_t index;
    const Type* owner;  // the object type the name belongs to; null in maps
  };

  bool Fail(std::string why) {
    error_ = std::move(why);
    return false;
  }

  bool Mismatch(const Type& type, const Json& value) { return Mismatch(type, std::string(JsonTypeName(value))); }
  bool Mismatch(const Type& type, const std::string& what) {
    std::string why = "json: cannot unmarshal " + what + " into Go ";
    const std::string field = GoPath();
    const Type* owner = nullptr;
    for (const Step& step : path_) owner = step.owner ? step.owner : owner;
    why += owner ? "struct field " + owner->name + "." + field : std::string("value");
    const TypeKind kind = type.kind;
    return Fail(why + " of type " + (kind == TypeKind::kIntOrString ? "int32" : GoTypeName(type)));
  }

  bool Integer(const Type& type, const Json& value, int64_t low, int64_t high) {
    if (!value.is_number()) return Mismatch(type, value);
    if (value.is_number_integer()) {
      const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= static_cast<uint64_t>(high)
                                                   : value.get<int64_t>() >= low && value.get<int64_t>() <= high;
      if (fits) return true;
    }
    return Mismatch(type, "number " + value.dump());
  }

  bool Bytes(const Type& type, Json& value) {
    if (!value.is_string()) return Mismatch(type, value);
    std::string bytes;
    size_t at = 0;
    const std::string& text = value.get_ref<const std::string&>();
    if (!DecodeBase64(text, &bytes, &at)) return Fail("illegal base64 data at input byte " + std::to_string(at));
    if (text.find_first_of("\r\n") != std::string::npos) value = EncodeBase64(bytes);
    return true;
  }

  bool Amount(Json& value) {
    if (!value.is_string() && !value.is_number()) {
      return Fail("json: cannot unmarshal " + std::string(JsonTypeName(value)) +
                  " into Go value of type resource.Quantity");
    }
    const auto parsed = Quantity::Parse(value.is_string() ? value.get_ref<const std::string&>() : value.dump());
    if (!parsed.ok()) return Fail(parsed.status().message());
    value = parsed->ToString();
    return true;
  }

  bool Timestamp(const Type& type, Json& value, TimePrecision precision) {
    if (!value.is_string()) return Mismatch(type, value);
    std::string canonical;
    const std::string& text = value.get_ref<const std::string&>();
    if (!CanonicalTime(text, precision, &canonical)) {
      return Fail("parsing time " + value.dump() + ": it is not of the form \"2006-01-02T15:04:05Z07:00\"");
    }
    if (canonical != text) value = std::move(canonical);
    return true;
  }

  // An absent value as Go would make it in a list or a map, where null is not the same as nothing.
  static Json Zero(const Type& type) {
    switch (type.kind) {
      case TypeKind::kObject:
        return Json::object();
      case TypeKind::kString:
      case TypeKind::kBytes:
        return "";
      case TypeKind::kBool:
        return false;
      case TypeKind::kInt32:
      case TypeKind::kInt64:
      case TypeKind::kDouble:
      case TypeKind::kIntOrString:
        return 0;
      case TypeKind::kQuantity:
        return "0";
      case TypeKind::kMap:
        return Json::object();
      case TypeKind::kList:
        return Json::array();
      default:
        return nullptr;
    }
  }

  // What Go's `omitempty` leaves out of a field that is no pointer.
  static bool IsZero(const Json& value) {
    switch (value.type()) {
      case Json::value_t::string:
        return value.get_ref<const std::string&>().empty();
      case Json::value_t::boolean:
        return !value.get<bool>();
      case Json::value_t::number_integer:
        return value.get<int64_t>() == 0;
      case Json::value_t::number_unsigned:
        return value.get<uint64_t>() == 0;
      case Json::value_t::number_float:
        return value.get<double>() == 0;
      case Json::value_t::array:
      case Json::value_t::object:
        return value.empty();
      default:
        return false;
    }
  }

  bool Enter(Step step) {
    if (path_.size() >= kMaxDepth) return Fail("nested too deeply");
    path_.push_back(step);
    return true;
  }

  bool Object(const Type& type, Json& value) {
    for (auto it = value.begin(); it != value.end();) {
      const Field* field = type.FindField(it.key());
      if (!field) {
        if (type.preserve_unknown) {
          ++it;
          continue;
        }
        problems_.push_back("unknown field \"" + Path(it.key()) + "\"");
        it = value.erase(it);
        continue;
      }
      if (it->is_null() && !(field->type->kind == TypeKind::kAny && field->pointer)) {
        it = value.erase(it);
        continue;
      }
      if (!Enter({&it.key(), 0, &type}) || !Value(*field->type, *it)) return false;
      path_.pop_back();
      const bool composite = field->type->kind == TypeKind::kObject || field->type->kind == TypeKind::kAny;
      if (field->omitempty && !field->pointer && !composite && IsZero(*it)) {
        it = value.erase(it);
      } else {
        ++it;
      }
    }
    return true;
  }

  bool Map(const Type& type, Json& value) {
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (it->is_null()) *it = Zero(*type.element);
      if (it->is_null()) continue;  // a zero time stays null in Go's JSON
      if (!Enter({&it.key(), 0, nullptr}) || !Value(*type.element, *it)) return false;
      path_.pop_back();
    }
    return true;
  }

  bool List(const Type& type, Json& value) {
    for (size_t i = 0; i < value.size(); ++i) {
      if (value[i].is_null()) value[i] = Zero(*type.element);
      if (value[i].is_null()) continue;
      if (!Enter({nullptr, i, nullptr}) || !Value(*type.element, value[i])) return false;
      path_.pop_back();
    }
    return true;
  }

  std::string Path(const std::string& last) const {
    std::string text;
    for (const Step& step : path_) {
      if (!step.name) {
        text += "[" + std::to_string(step.index) + "]";
        continue;
      }
      if (!text.empty()) text += '.';
      text += *step.name;
    }
    if (!text.empty()) text += '.';
    return text + last;
  }

  // Go's messages leave list indices out.
  std::string GoPath() const {
    std::string text;
    for (const Step& step : path_) {
      if (!step.name) continue;
      if (!text.empty()) text += '.';
      text += *step.name;
    }
    return text;
  }

  std::vector<std::string>& problems_;
  std::vector<Step> path_;
  std::string error_;
};

}  // namespace

Result<Decoded> Conform(const Type& type, const GroupVersionKind& gvk, Json document) {
  Decoded decoded;
  decoded.document = std::move(document);
  Conformer conformer(decoded.problems);
  if (!conformer.Value(type, decoded.document)) {
    return Status::BadRequest(gvk.kind + " in version \"" + gvk.version + "\" cannot be handled as a " + gvk.kind +
                              ": " + conformer.error());
  }
  return decoded;
}

}  // namespace wherry
