#pragma once

#include <cstdint>
#include <string_view>

namespace wherry {

// Reads the protobuf wire format (developers.google.com/protocol-buffers, "Encoding") from a buffer it does not own.
// Every read is checked against the end; a failed read makes ok() false for good and yields zero.
class WireReader {
 public:
  enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kStartGroup = 3, kEndGroup = 4, kFixed32 = 5 };

  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

  // A field's tag. REQUIRES: !at_end().
  struct Tag {
    uint32_t number = 0;
    Wire wire = Wire::kVarint;
  };
  Tag ReadTag() {
    const uint64_t raw = Varint();
    const uint64_t number = raw >> 3;
    if (number == 0 || number > 0x1fffffff || (raw & 7) > 5) ok_ = false;
    return ok_ ? Tag{static_cast<uint32_t>(number), static_cast<Wire>(raw & 7)} : Tag{};
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) break;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return Failed();
  }

  uint64_t Fixed64() { return Fixed(8); }
  uint64_t Fixed32() { return Fixed(4); }

  std::string_view Bytes() {
    const uint64_t size = Varint();
    if (!ok_ || size > rest_.size()) {
      Failed();
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  // Passes over the value of a field nobody knows.
  void Skip(Tag tag) {
    int open_groups = 0;
    while (ok_) {
      switch (tag.wire) {
        case Wire::kVarint:
          Varint();
          break;
        case Wire::kFixed64:
          Fixed64();
          break;
        case Wire::kBytes:
          Bytes();
          break;
        case Wire::kFixed32:
          Fixed32();
          break;
        case Wire::kStartGroup:
          ++open_groups;
          break;
        case Wire::kEndGroup:
          --open_groups;
          break;
      }
      if (open_groups < 0) ok_ = false;
      if (open_groups <= 0) return;
      if (at_end()) {
        ok_ = false;
        return;
      }
      tag = ReadTag();
    }
  }

 private:
  uint64_t Failed() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

  uint64_t Fixed(size_t size) {
    if (rest_.size() < size) return Failed();
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= static_cast<uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    rest_.remove_prefix(size);
    return value;
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace wherry
