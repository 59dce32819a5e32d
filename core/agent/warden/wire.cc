#include "core/agent/warden/wire.h"

#include <array>

namespace wherry::warden {

void Encoder::U32(uint32_t value) {
  for (int i = 0; i < 4; ++i) U8(static_cast<uint8_t>(value >> (8 * i)));
}

void Encoder::U64(uint64_t value) {
  for (int i = 0; i < 8; ++i) U8(static_cast<uint8_t>(value >> (8 * i)));
}

void Encoder::Str(std::string_view value) {
  U32(static_cast<uint32_t>(value.size()));
  bytes_.append(value);
}

uint64_t Decoder::Fixed(size_t width) {
  if (!ok_ || bytes_.size() < width) {
    ok_ = false;
    bytes_ = {};
    return 0;
  }
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes_[i])) << (8 * i);
  bytes_.remove_prefix(width);
  return value;
}

uint8_t Decoder::U8() { return static_cast<uint8_t>(Fixed(1)); }
uint32_t Decoder::U32() { return static_cast<uint32_t>(Fixed(4)); }
uint64_t Decoder::U64() { return Fixed(8); }

std::string Decoder::Str() {
  const uint32_t size = U32();
  if (!ok_ || bytes_.size() < size) {
    ok_ = false;
    bytes_ = {};
    return {};
  }
  std::string value(bytes_.substr(0, size));
  bytes_.remove_prefix(size);
  return value;
}

uint32_t Decoder::Count(uint32_t min_size) {
  const uint32_t count = U32();
  if (!ok_ || static_cast<uint64_t>(count) * min_size > bytes_.size()) {
    ok_ = false;
    bytes_ = {};
    return 0;
  }
  return count;
}

uint32_t Crc32(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = (c & 1) ? 0xEDB88320U ^ (c >> 1) : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  uint32_t crc = 0xFFFFFFFFU;
  for (char b : bytes) crc = table[(crc ^ static_cast<uint8_t>(b)) & 0xFF] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFU;
}

}  // namespace wherry::warden
