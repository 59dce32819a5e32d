#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/kinds/base64.h"
#include "core/kinds/codec.h"
#include "core/kinds/quantity.h"
#include "core/kinds/timestamps.h"
#include "core/kinds/wire.h"

namespace wherry {
namespace {

using Wire = WireReader::Wire;

bool IsUtf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while (at < end) {
    if (*at < 0x80) {
      ++at;
      continue;
    }
    const int more = *at >= 0xc2 && *at <= 0xdf   ? 1
                     : *at >= 0xe0 && *at <= 0xef ? 2
                     : *at >= 0xf0 && *at <= 0xf4 ? 3
                                                  : 0;
    if (more == 0 || end - at <= more) return false;
    // The second byte's range rules out overlong forms, surrogates and what lies past U+10FFFF.
    const unsigned char low = *at == 0xe0 ? 0xa0 : *at == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = *at == 0xed ? 0x9f : *at == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) return false;
    for (int i = 2; i <= more; ++i) {
      if ((at[i] & 0xc0) != 0x80) return false;
    }
    at += more + 1;
  }
  return true;
}

// Decodes messages into JSON in two passes. The first keeps every value the wire names, so that a message that is sent
// in pieces merges; the second (Finish) gives absence and zero the meaning they have in Go's JSON.
class Decoder {
 public:
  bool Message(const Type& type, std::string_view bytes, Json& out, int depth) {
    if (depth > kMaxDepth) return Fail("nested too deeply");
    WireReader in(bytes);
    while (!in.at_end()) {
      const WireReader::Tag tag = in.ReadTag();
      const Field* field = in.ok() ? type.FindNumber(tag.number) : nullptr;
      if (!field) {
        in.Skip(tag);
        if (!in.ok()) return Malformed(type);
      } else if (!ReadField(*field, tag.wire, in, out, depth)) {
        return error_.empty() ? Malformed(type) : false;
      }
    }
    return in.ok() || Malformed(type);
  }

  // Zero values: optional (omitempty) non-pointers vanish, other non-pointers appear; pointers stay as sent.
  bool Finish(const Type& type, Json& value, int depth) {
    if (depth > kMaxDepth) return Fail("nested too deeply");
    if (type.kind == TypeKind::kList || type.kind == TypeKind::kMap) {
      for (Json& element : value) {
        if (!Finish(*type.element, element, depth + 1)) return false;
      }
      return true;
    }
    if (type.kind != TypeKind::kObject) return true;
    for (const Field* field : type.flat) {
      if (field->number == 0) continue;
      auto it = value.find(field->name);
      if (it == value.end()) {
        if (field->pointer) continue;
        Json zero = ZeroOf(*field);
        if (zero.is_null()) continue;
        if (!Count()) return false;
        it = value.emplace(field->name, std::move(zero)).first;
      }
      if (it->is_null() || (!field->pointer && field->omitempty && IsZero(*field, *it))) {
        value.erase(it);
      } else if (!Finish(*field->type, *it, depth + 1)) {
        return false;
      }
    }
    return true;
  }

  const std::string& error() const { return error_; }

 private:
  bool Fail(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return false;
  }
  bool Malformed(const Type& type) { return Fail("malformed message of type " + type.name); }

  bool Count() { return ++nodes_ <= kMaxNodes || Fail("too many values"); }

  static Json ZeroOf(const Field& field) {
    switch (field.type->kind) {
      case TypeKind::kObject:
        return Json::object();
      case TypeKind::kString:
      case TypeKind::kBytes:
        return field.omitempty ? Json() : Json("");
      case TypeKind::kBool:
        return field.omitempty ? Json() : Json(false);
      case TypeKind::kInt32:
      case TypeKind::kInt64:
      case TypeKind::kIntOrString:
      case TypeKind::kDouble:
        return field.omitempty ? Json() : Json(0);
      case TypeKind::kQuantity:
        return field.omitempty ? Json() : Json("0");
      default:
        return nullptr;
    }
  }

  static bool IsZero(const Field& field, const Json& value) {
    switch (field.type->kind) {
      case TypeKind::kString:
      case TypeKind::kBytes:
        return value.get_ref<const std::string&>().empty();
      case TypeKind::kBool:
        return !value.get<bool>();
      case TypeKind::kInt32:
      case TypeKind::kInt64:
        return value.get<int64_t>() == 0;
      case TypeKind::kDouble:
        return value.get<double>() == 0;
      case TypeKind::kIntOrString:
        return value.is_number() && value.get<int64_t>() == 0;
      case TypeKind::kQuantity:
        return value == "0";
      case TypeKind::kList:
      case TypeKind::kMap:
        return value.empty();
      default:
        return false;
    }
  }

  bool ReadField(const Field& field, Wire wire, WireReader& in, Json& out, int depth) {
    const Type& type = *field.type;
    if (field.inlined) {
      if (wire != Wire::kBytes) return false;
      const std::string_view bytes = in.Bytes();
      return in.ok() && Message(type, bytes, out, depth + 1);
    }
    Json& slot = out[field.name];
    switch (type.kind) {
      case TypeKind::kList:
        return ReadItems(*type.element, wire, in, slot, depth);
      case TypeKind::kMap:
        return ReadEntry(*type.element, wire, in, slot, depth);
      default:
        return Count() && ReadValue(type, wire, in, slot, depth);
    }
  }

  bool ReadItems(const Type& element, Wire wire, WireReader& in, Json& list, int depth) {
    if (!list.is_array()) list = Json::array();
    const bool packable = element.kind == TypeKind::kBool || element.kind == TypeKind::kInt32 ||
                          element.kind == TypeKind::kInt64 || element.kind == TypeKind::kDouble;
    if (packable && wire == Wire::kBytes) {
      WireReader packed(in.Bytes());
      const Wire item_wire = element.kind == TypeKind::kDouble ? Wire::kFixed64 : Wire::kVarint;
      while (in.ok() && !packed.at_end()) {
        Json item;
        if (!Count() || !ReadValue(element, item_wire, packed, item, depth)) return false;
        list.push_back(std::move(item));
      }
      return in.ok();
    }
    Json item;
    if (!Count() || !ReadValue(element, wire, in, item, depth)) return false;
    list.push_back(std::move(item));
    return true;
  }

  // A map is a repeated message {key = 1, value = 2}.
  bool ReadEntry(const Type& element, Wire wire, WireReader& in, Json& map, int depth) {
    if (wire != Wire::kBytes) return false;
    WireReader entry(in.Bytes());
    if (!in.ok()) return false;
    std::string key;
    Json value;
    while (!entry.at_end()) {
      const WireReader::Tag tag = entry.ReadTag();
      if (entry.ok() && tag.number == 1) {
        Json text;
        static const Type kString = [] {
          Type type;
          type.kind = TypeKind::kString;
          return type;
        }();
        if (!ReadValue(kString, tag.wire, entry, text, depth)) return false;
        key = std::move(text.get_ref<std::string&>());
      } else if (entry.ok() && tag.number == 2) {
        if (!ReadValue(element, tag.wire, entry, value, depth + 1)) return false;
      } else {
        entry.Skip(tag);
        if (!entry.ok()) return false;
      }
    }
    if (!entry.ok()) return false;
    if (value.is_null()) value = ZeroElement(element);
    if (!Count()) return false;
    if (!map.is_object()) map = Json::object();
    map[std::move(key)] = std::move(value);
    return true;
  }

  static Json ZeroElement(const Type& type) {
    switch (type.kind) {
      case TypeKind::kObject:
      case TypeKind::kMap:
        return Json::object();
      case TypeKind::kList:
        return Json::array();
      case TypeKind::kString:
      case TypeKind::kBytes:
        return "";
      case TypeKind::kBool:
        return false;
      case TypeKind::kQuantity:
        return "0";
      case TypeKind::kInt32:
      case TypeKind::kInt64:
      case TypeKind::kDouble:
      case TypeKind::kIntOrString:
        return 0;
      default:
        return nullptr;
    }
  }

  bool ReadValue(const Type& type, Wire wire, WireReader& in, Json& out, int depth) {
    switch (type.kind) {
      case TypeKind::kBool:
      case TypeKind::kInt32:
      case TypeKind::kInt64: {
        if (wire != Wire::kVarint) return false;
        const uint64_t raw = in.Varint();
        if (type.kind == TypeKind::kBool) {
          out = raw != 0;
        } else if (type.kind == TypeKind::kInt32) {
          out = static_cast<int64_t>(static_cast<int32_t>(static_cast<uint32_t>(raw)));
        } else {
          out = static_cast<int64_t>(raw);
        }
        return in.ok();
      }
      case TypeKind::kDouble: {
        if (wire != Wire::kFixed64) return false;
        const double number = std::bit_cast<double>(in.Fixed64());
        if (!std::isfinite(number)) return Fail("a number is not finite");
        out = number;
        return in.ok();
      }
      default:
        break;
    }
    if (wire != Wire::kBytes) return false;
    const std::string_view bytes = in.Bytes();
    if (!in.ok()) return false;
    switch (type.kind) {
      case TypeKind::kString:
        if (!IsUtf8(bytes)) return Fail("a string is not UTF-8");
        out = bytes;
        return true;
      case TypeKind::kBytes:
        out = EncodeBase64(bytes);
        return true;
      case TypeKind::kObject:
        if (!out.is_object()) out = Json::object();
        return Message(type, bytes, out, depth + 1);
      case TypeKind::kList: {
        // A named list type inside a map: a message {items = 1}.
        WireReader items(bytes);
        if (!out.is_array()) out = Json::array();
        while (!items.at_end()) {
          const WireReader::Tag tag = items.ReadTag();
          if (items.ok() && tag.number == 1) {
            if (!ReadItems(*type.element, tag.wire, items, out, depth + 1)) return false;
          } else {
            items.Skip(tag);
            if (!items.ok()) return false;
          }
        }
        return items.ok();
      }
      default:
        return Special(type, bytes, out);
    }
  }

  // The messages that are one scalar in JSON: up to three numbered members, integers or bytes.
  struct Members {
    uint64_t number[4] = {};
    std::string_view text[4];
  };
  static bool ReadMembers(std::string_view bytes, Members& members) {
    WireReader in(bytes);
    while (!in.at_end()) {
      const WireReader::Tag tag = in.ReadTag();
      if (in.ok() && tag.number <= 3 && tag.wire == Wire::kVarint) {
        members.number[tag.number] = in.Varint();
      } else if (in.ok() && tag.number <= 3 && tag.wire == Wire::kBytes) {
        members.text[tag.number] = in.Bytes();
      } else {
        in.Skip(tag);
      }
      if (!in.ok()) return false;
    }
    return in.ok();
  }

  bool Special(const Type& type, std::string_view bytes, Json& out) {
    Members members;
    if (!ReadMembers(bytes, members)) return false;
    out = nullptr;
    switch (type.kind) {
      case TypeKind::kTime:
      case TypeKind::kMicroTime: {
        if (bytes.empty()) return true;  // Go's zero time
        const auto precision = type.kind == TypeKind::kTime ? TimePrecision::kSeconds : TimePrecision::kMicros;
        const auto nanos = static_cast<int64_t>(members.number[2]);
        std::string text;
        if (!TimeFromUnix(static_cast<int64_t>(members.number[1]), nanos, precision, &text)) {
          return Fail("a time is out of range");
        }
        out = std::move(text);
        return true;
      }
      case TypeKind::kQuantity: {
        const auto quantity = Quantity::Parse(members.text[1].empty() ? "0" : members.text[1]);
        if (!quantity.ok()) return Fail(quantity.status().message());
        out = quantity->ToString();
        return true;
      }
      case TypeKind::kIntOrString:
        if (members.number[1] == 0) {
          out = static_cast<int64_t>(static_cast<int32_t>(static_cast<uint32_t>(members.number[2])));
        } else if (members.number[1] == 1) {
          if (!IsUtf8(members.text[3])) return Fail("a string is not UTF-8");
          out = members.text[3];
        } else {
          return Fail("impossible type of an int-or-string");
        }
        return true;
      case TypeKind::kDuration:
        out = FormatGoDuration(static_cast<int64_t>(members.number[1]));
        return true;
      default:
        break;
    }
    // RawExtension and its like: JSON text in member 1.
    if (members.text[1].empty()) return true;
    auto parsed = ParseJson(members.text[1], nullptr);
    if (!parsed.ok()) return Fail(parsed.status().message());
    nodes_ += members.text[1].size() / 2;  // no value is shorter than that
    if (nodes_ > kMaxNodes * 4) return Fail("too many values");
    out = std::move(*parsed);
    return true;
  }

  size_t nodes_ = 0;
  std::string error_;
};

}  // namespace

Result<Json> DecodeProtobuf(const Type& type, std::string_view bytes) {
  Decoder decoder;
  Json out = Json::object();
  if (!decoder.Message(type, bytes, out, 0) || !decoder.Finish(type, out, 0)) {
    return Status::BadRequest("error decoding protobuf: " + decoder.error());
  }
  return out;
}

Result<Envelope> OpenEnvelope(std::string_view body) {
  constexpr std::string_view kMagic("k8s\0", 4);
  const auto refuse = [] { return Status::BadRequest("error decoding protobuf: the body is no k8s envelope"); };
  if (!body.starts_with(kMagic)) return refuse();
  Envelope envelope;
  WireReader in(body.substr(kMagic.size()));
  while (!in.at_end()) {
    const WireReader::Tag tag = in.ReadTag();
    if (in.ok() && tag.wire == Wire::kBytes && (tag.number == 1 || tag.number == 2)) {
      const std::string_view bytes = in.Bytes();
      if (tag.number == 2) {
        envelope.raw = bytes;
        continue;
      }
      WireReader type_meta(bytes);
      while (in.ok() && !type_meta.at_end()) {
        const WireReader::Tag inner = type_meta.ReadTag();
        if (type_meta.ok() && inner.wire == Wire::kBytes && inner.number <= 2) {
          std::string& out = inner.number == 1 ? envelope.api_version : envelope.kind;
          out = type_meta.Bytes();
          if (!IsUtf8(out)) return refuse();
        } else {
          type_meta.Skip(inner);
        }
        if (!type_meta.ok()) return refuse();
      }
    } else {
      in.Skip(tag);
    }
    if (!in.ok()) return refuse();
  }
  return in.ok() ? Result<Envelope>(std::move(envelope)) : refuse();
}

}  // namespace wherry
