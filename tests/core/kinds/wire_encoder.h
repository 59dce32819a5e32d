#pragma once

#include <bit>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/kinds/base64.h"
#include "core/kinds/schema.h"
#include "core/runtime/time.h"

namespace wherry::testing {

// Writes the protobuf that a Go client would send for a JSON document: non-pointers always, pointers when present.
class WireEncoder {
 public:
  static void Varint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
  }
  static void Tag(std::string& out, uint32_t number, int wire) {
    Varint(out, uint64_t{number} << 3 | static_cast<uint64_t>(wire));
  }
  static void Bytes(std::string& out, uint32_t number, std::string_view bytes) {
    Tag(out, number, 2);
    Varint(out, bytes.size());
    out.append(bytes);
  }
  static void Number(std::string& out, uint32_t number, int64_t value) {
    Tag(out, number, 0);
    Varint(out, static_cast<uint64_t>(value));
  }

  static std::string Envelope(std::string_view api_version, std::string_view kind, std::string_view raw) {
    std::string meta, out("k8s\0", 4);
    Bytes(meta, 1, api_version);
    Bytes(meta, 2, kind);
    Bytes(out, 1, meta);
    Bytes(out, 2, raw);
    Bytes(out, 3, "");
    Bytes(out, 4, "");
    return out;
  }

  static std::string Message(const Type& type, const Json& value) {
    std::string out;
    for (const Field& field : type.fields) {
      if (field.number == 0) continue;
      if (field.inlined) {
        Bytes(out, field.number, Message(*field.type, value));
        continue;
      }
      const auto it = value.find(field.name);
      const Json none;
      const Json& member = it == value.end() ? none : *it;
      if (member.is_null() && (field.pointer || field.type->kind == TypeKind::kList ||
                               field.type->kind == TypeKind::kMap || field.type->kind == TypeKind::kBytes)) {
        continue;
      }
      Value(out, field.number, *field.type, member);
    }
    return out;
  }

 private:
  static void Value(std::string& out, uint32_t number, const Type& type, const Json& value) {
    const bool none = value.is_null();
    switch (type.kind) {
      case TypeKind::kObject:
        return Bytes(out, number, Message(type, none ? Json::object() : value));
      case TypeKind::kList:
        for (const Json& item : value) Value(out, number, *type.element, item);
        return;
      case TypeKind::kMap:
        for (const auto& [key, item] : value.items()) {
          std::string entry;
          Bytes(entry, 1, key);
          if (type.element->kind == TypeKind::kList) {
            std::string items;
            Value(items, 1, *type.element, item);
            Bytes(entry, 2, items);
          } else {
            Value(entry, 2, *type.element, item);
          }
          Bytes(out, number, entry);
        }
        return;
      case TypeKind::kString:
        return Bytes(out, number, none ? "" : value.get<std::string>());
      case TypeKind::kBool:
        return Number(out, number, !none && value.get<bool>());
      case TypeKind::kInt32:
      case TypeKind::kInt64:
        return Number(out, number, none ? 0 : value.get<int64_t>());
      case TypeKind::kDouble: {
        const auto bits = std::bit_cast<uint64_t>(none ? 0.0 : value.get<double>());
        Tag(out, number, 1);
        for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(bits >> (8 * i)));
        return;
      }
      case TypeKind::kBytes: {
        std::string bytes;
        DecodeBase64(value.get<std::string>(), &bytes);
        return Bytes(out, number, bytes);
      }
      default:
        return Bytes(out, number, Special(type, value));
    }
  }

  static std::string Special(const Type& type, const Json& value) {
    std::string out;
    if (value.is_null()) {
      if (type.kind == TypeKind::kQuantity) Bytes(out, 1, "0");
      if (type.kind == TypeKind::kIntOrString) out = IntOrString(0, 0, "");
      return out;
    }
    switch (type.kind) {
      case TypeKind::kTime:
      case TypeKind::kMicroTime: {
        Time time;
        ParseTime(value.get<std::string>(), &time);
        const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
        Number(out, 1, seconds.time_since_epoch().count());
        Number(out, 2, (time - seconds).count() * 1000);
        break;
      }
      case TypeKind::kQuantity:
        Bytes(out, 1, value.get<std::string>());
        break;
      case TypeKind::kIntOrString:
        out =
            value.is_string() ? IntOrString(1, 0, value.get<std::string>()) : IntOrString(0, value.get<int64_t>(), "");
        break;
      case TypeKind::kAny:
        Bytes(out, 1, value.dump());
        break;
      default:
        break;
    }
    return out;
  }

  static std::string IntOrString(int64_t type, int64_t number, const std::string& text) {
    std::string out;
    Number(out, 1, type);
    Number(out, 2, number);
    Bytes(out, 3, text);
    return out;
  }
};

}  // namespace wherry::testing
