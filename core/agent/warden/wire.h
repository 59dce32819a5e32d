#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace wherry::warden {

// Little-endian fields of fixed width and length-prefixed strings: frames of the socket and records of the journal.
class Encoder {
 public:
  void U8(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void U32(uint32_t value);
  void U64(uint64_t value);
  void I64(int64_t value) { U64(static_cast<uint64_t>(value)); }
  void Bool(bool value) { U8(value ? 1 : 0); }
  void Str(std::string_view value);

  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what Encoder wrote. Reading past the end, or a string longer than what is left, makes ok() false for good and
// yields zeros; so a whole message is decoded first and judged once. Bytes that remain are no error: a newer peer may
// append fields.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : bytes_(bytes) {}

  uint8_t U8();
  uint32_t U32();
  uint64_t U64();
  int64_t I64() { return static_cast<int64_t>(U64()); }
  bool Bool() { return U8() != 0; }
  std::string Str();
  // A count of elements of at least `min_size` bytes each: a count that cannot fit in what is left is refused, so that
  // a hostile number never reserves memory.
  uint32_t Count(uint32_t min_size);

  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  uint64_t Fixed(size_t width);

  std::string_view bytes_;
  bool ok_ = true;
};

// CRC-32 (IEEE), to tell a torn journal record from a whole one.
uint32_t Crc32(std::string_view bytes);

}  // namespace wherry::warden
