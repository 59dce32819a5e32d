// The warden as a program of its own: carried within wherry (embedded_warden.h), never installed.
#include "core/agent/warden/embedded_warden.h"
#include "core/agent/warden/warden_main.h"

std::string_view wherry::EmbeddedWarden() { return {}; }  // it starts no others

int main(int argc, char** argv) { return wherry::MaybeRunWarden(argc, argv).value_or(2); }
