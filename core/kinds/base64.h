#pragma once

#include <string>
#include <string_view>

namespace wherry {

// RFC 4648 base64 with padding, as []byte fields are written in JSON. Line breaks in the input are skipped.
// False when `text` is not base64; `at`, if given, then receives the offset of the first bad byte.
bool DecodeBase64(std::string_view text, std::string* bytes, size_t* at = nullptr);
std::string EncodeBase64(std::string_view bytes);

}  // namespace wherry
