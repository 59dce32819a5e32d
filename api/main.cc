#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "api/cli/commands.h"
#include "core/agent/warden/warden_main.h"

int main(int argc, char** argv) {
  // The warden is this program too, but nothing else of it may run in there.
  if (const auto exit_status = wherry::MaybeRunWarden(argc, argv)) return *exit_status;

  CLI::App app("wherry: a Kubernetes-compatible cluster in one binary, its pods local processes");
  app.require_subcommand(1);
  int exit_code = 0;
  for (auto* add :
       {wherry::AddUpCommand, wherry::AddGetCommand, wherry::AddApplyCommand, wherry::AddDeleteCommand,
        wherry::AddLogsCommand, wherry::AddNodeCommand, wherry::AddKubeconfigCommand, wherry::AddVersionCommand}) {
    add(app, &exit_code);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "wherry: %s\n", error.what());
    return 1;
  }
  return exit_code;
}
