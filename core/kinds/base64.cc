#include "core/kinds/base64.h"

#include <array>
#include <cstdint>

namespace wherry {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> MakeValues() {
  std::array<int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int8_t>(i);
  return values;
}
constexpr std::array<int8_t, 256> kValues = MakeValues();

}  // namespace

bool DecodeBase64(std::string_view text, std::string* bytes, size_t* at) {
  bytes->clear();
  bytes->reserve(text.size() / 4 * 3);
  uint32_t group = 0;
  int digits = 0;
  int padding = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (at) *at = i;
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\r' || c == '\n') continue;
    if (c == '=') {
      // Padding only completes a group of two or three digits.
      if (digits < 2 || digits + ++padding > 4) return false;
      continue;
    }
    if (padding > 0 || kValues[c] < 0) return false;
    group = group << 6 | static_cast<uint32_t>(kValues[c]);
    if (++digits < 4) continue;
    for (int shift = 16; shift >= 0; shift -= 8) bytes->push_back(static_cast<char>(group >> shift & 0xff));
    group = 0;
    digits = 0;
  }
  if (at) *at = text.size();
  if (digits == 0) return true;
  if (digits + padding != 4) return false;
  if (digits == 2) {
    bytes->push_back(static_cast<char>(group >> 4 & 0xff));
  } else {
    bytes->push_back(static_cast<char>(group >> 10 & 0xff));
    bytes->push_back(static_cast<char>(group >> 2 & 0xff));
  }
  return true;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << 16;
    if (i + 1 < bytes.size()) group |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i + 1])) << 8;
    if (i + 2 < bytes.size()) group |= static_cast<unsigned char>(bytes[i + 2]);
    out.push_back(kAlphabet[group >> 18 & 63]);
    out.push_back(kAlphabet[group >> 12 & 63]);
    out.push_back(i + 1 < bytes.size() ? kAlphabet[group >> 6 & 63] : '=');
    out.push_back(i + 2 < bytes.size() ? kAlphabet[group & 63] : '=');
  }
  return out;
}

}  // namespace wherry
