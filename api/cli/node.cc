// `wherry node`: breaks nodes and mends them, for labs and tests of what a cluster does then.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/cli/commands.h"
#include "api/cli/common.h"

namespace wherry {
namespace cli {
namespace {

// As core/agent/node_agent_pool.h has it.
constexpr char kFailKey[] = "wherry.dev/fail";

struct NodeFlags {
  CommonFlags common;
  std::vector<std::string> names;
};

// What a verb does to a node: its annotation (null = none), and what is said then.
struct NodeVerb {
  const char* name;
  const char* about;
  const char* annotation;
  const char* done;
};
constexpr NodeVerb kVerbs[] = {
    {"fail", "Cut nodes off: their agents fall silent, their processes run on", "true", "failed"},
    {"restore", "Let failed nodes come back and catch up", nullptr, "restored"},
};

int RunVerb(const NodeFlags& flags, const NodeVerb& verb) {
  Result<std::unique_ptr<Session>> session = flags.common.Connect();
  if (!session.ok()) return Fail(session.status());
  const Json value = verb.annotation == nullptr ? Json() : Json(verb.annotation);
  const Json patch = {{"metadata", {{"annotations", {{kFailKey, value}}}}}};
  int exit_code = 0;
  for (const std::string& name : flags.names) {
    const Result<Json> patched =
        (*session)->Send("PATCH", "/api/v1/nodes/" + name, "application/merge-patch+json", patch);
    if (patched.ok()) {
      std::printf("node/%s %s\n", name.c_str(), verb.done);
    } else {
      exit_code = Fail(patched.status());
    }
  }
  return exit_code;
}

}  // namespace
}  // namespace cli

void AddNodeCommand(CLI::App& app, int* exit_code) {
  CLI::App* node = app.add_subcommand("node", "Break nodes and mend them");
  node->require_subcommand(1);
  for (const cli::NodeVerb& verb : cli::kVerbs) {
    auto flags = std::make_shared<cli::NodeFlags>();
    CLI::App* command = node->add_subcommand(verb.name, verb.about);
    command->add_option("NAME", flags->names, "the nodes")->required();
    cli::AddCommonFlags(*command, &flags->common);
    command->callback([flags, &verb, exit_code] { *exit_code = cli::RunVerb(*flags, verb); });
  }
}

}  // namespace wherry
