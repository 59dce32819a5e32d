// A program that is only a warden: what tests start instead of the whole server.
#include <cstdio>

#include "core/agent/warden/warden_main.h"

int main(int argc, char** argv) {
  if (const std::optional<int> status = wherry::MaybeRunWarden(argc, argv)) return *status;
  fprintf(stderr, "only a warden\n");
  return 2;
}
