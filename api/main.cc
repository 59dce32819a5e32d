#include <CLI/CLI.hpp>

#include "api/cli/commands.h"
#include "core/agent/warden/warden_main.h"

int main(int argc, char** argv) {
  // The warden is this program too, but nothing else of it may run in there.
  if (const auto exit_status = wherry::MaybeRunWarden(argc, argv)) return *exit_status;

  CLI::App app("wherry: a Kubernetes-compatible cluster in one binary, its pods local processes");
  app.require_subcommand(1);
  int exit_code = 0;
  wherry::AddUpCommand(app, &exit_code);
  wherry::AddVersionCommand(app, &exit_code);
  wherry::AddKubeconfigCommand(app, &exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
