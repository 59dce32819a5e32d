#pragma once

#include <string>

namespace wherry {

// What a program said, fit for an object's string: bytes that are no UTF-8 are replaced, and what is longer than
// `limit` bytes is cut.
std::string ShownText(std::string text, size_t limit);

}  // namespace wherry
