#include "core/agent/warden/embedded_warden.h"

#ifdef WHERRY_WARDEN_PROGRAM

// The program's bytes, put into read-only data by the assembler.
asm(R"(
  .pushsection .rodata
  .balign 16
wherry_embedded_warden_begin:
  .incbin ")" WHERRY_WARDEN_PROGRAM R"("
wherry_embedded_warden_end:
  .byte 0
  .popsection
)");

extern "C" const char wherry_embedded_warden_begin[], wherry_embedded_warden_end[];

namespace wherry {
std::string_view EmbeddedWarden() {
  return {wherry_embedded_warden_begin, static_cast<size_t>(wherry_embedded_warden_end - wherry_embedded_warden_begin)};
}
}  // namespace wherry

#else

namespace wherry {
std::string_view EmbeddedWarden() { return {}; }
}  // namespace wherry

#endif
