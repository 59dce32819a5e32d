#pragma once

#include <string>

namespace wherry {

// Cuts a text to at most `limit` bytes, at a character's end, marked by an ellipsis: stored text must stay valid UTF-8.
inline std::string Shorten(std::string text, size_t limit) {
  static constexpr char kEllipsis[] = "…";
  if (text.size() <= limit) return text;
  size_t cut = limit - (sizeof kEllipsis - 1);
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  text.resize(cut);
  return text + kEllipsis;
}

}  // namespace wherry
