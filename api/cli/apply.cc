// `wherry apply`: makes the cluster hold what the files say.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/cli/commands.h"
#include "api/cli/common.h"
#include "api/cli/discovery.h"
#include "api/cli/placement.h"
#include "api/cli/readiness.h"
#include "api/manifests/manifest.h"
#include "api/manifests/merge.h"

namespace wherry {
namespace cli {
namespace {

constexpr const char* kFieldManager = "wherry-apply";
constexpr std::chrono::milliseconds kPoll(200);

struct ApplyFlags {
  CommonFlags common;
  std::vector<std::string> files;
  bool recursive = false;
  bool wait = false;
  std::string timeout = "60s";
};

struct Applied {
  Placement place;
  std::string where;
};

class Apply {
 public:
  Apply(const ApplyFlags& flags, Session& session, Placer placer)
      : flags_(flags), session_(session), placer_(std::move(placer)) {}
  int Run(std::chrono::milliseconds timeout);

 private:
  Status ApplyOne(const Placement& place);
  int Wait(const std::vector<Applied>& applied, std::chrono::milliseconds timeout);

  const ApplyFlags& flags_;
  Session& session_;
  Placer placer_;
};

// Creates the object, or patches it by what differs; prints what came of it.
Status Apply::ApplyOne(const Placement& place) {
  const Json wanted = WithLastApplied(place.object);
  const std::string path = place.type.Path(place.name_space, place.name);
  Result<Json> live = session_.Get(path);
  const char* outcome = "created";
  if (!live.ok()) {
    if (live.status().reason() != Reason::kNotFound) return live.status();
    const Result<Json> made = session_.Send(
        "POST",
        Target(place.type.Path(place.name_space), {{"fieldManager", kFieldManager}, {"fieldValidation", "Strict"}}),
        "application/json", wanted);
    if (!made.ok()) return made.status();
  } else {
    const Json metadata = live->value("metadata", Json::object());
    if (metadata.contains("deletionTimestamp")) {
      std::fprintf(stderr, "Warning: %s is being deleted\n", place.title().c_str());
    }
    const Json patch = ThreeWayMergePatch(wanted, *live);
    outcome = "unchanged";
    if (!patch.empty()) {
      const Result<Json> changed =
          session_.Send("PATCH", Target(path, {{"fieldManager", kFieldManager}, {"fieldValidation", "Strict"}}),
                        "application/merge-patch+json", patch);
      if (!changed.ok()) return changed.status();
      // The server knows better than we whether "1000m" and "1" are a change.
      const Json now = changed->value("metadata", Json::object());
      if (now.value("resourceVersion", "") != metadata.value("resourceVersion", "")) outcome = "configured";
    }
  }
  std::printf("%s %s\n", place.title().c_str(), outcome);
  std::fflush(stdout);
  return {};
}

int Apply::Wait(const std::vector<Applied>& applied, std::chrono::milliseconds timeout) {
  ProgressLine progress;
  for (size_t i = 0; i < applied.size();) {
    const Placement& place = applied[i].place;
    const Result<Json> object = session_.Get(place.type.Path(place.name_space, place.name));
    if (!object.ok()) {
      progress.Clear();
      return Fail("waiting for " + place.title() + ": " + object.status().message());
    }
    const Readiness state = ReadinessOf(*object);
    if (state.ready) {
      if (!state.text.empty()) {
        progress.Clear();
        std::printf("%s %s\n", place.title().c_str(), state.text.c_str());
        std::fflush(stdout);
      }
      ++i;
      continue;
    }
    if (state.failed || progress.elapsed() >= timeout) {
      progress.Clear();
      return Fail(place.title() + (state.failed ? " will not become ready: " : " is not ready in time: ") + state.text);
    }
    progress.Show("waiting for " + place.title() + ": " + state.text);
    session_.Sleep(kPoll);
  }
  return 0;
}

int Apply::Run(std::chrono::milliseconds timeout) {
  const Manifests manifests = LoadManifests(flags_.files, flags_.recursive);
  int exit_code = 0;
  for (const std::string& error : manifests.errors) exit_code = Fail(error);
  if (manifests.objects.empty() && exit_code == 0) return Fail("the files hold no objects");
  std::vector<Applied> applied;
  for (const Manifest& manifest : manifests.objects) {
    Result<Placement> place = placer_.Place(*manifest.object);
    if (!place.ok()) {
      exit_code = Fail(manifest.where + ": " + place.status().message());
      continue;
    }
    const Status status = ApplyOne(*place);
    if (!status.ok()) {
      exit_code = Fail(manifest.where + ": " + place->title() + ": " + status.message());
      if (status.reason() == Reason::kServiceUnavailable) break;
      continue;
    }
    applied.push_back({std::move(*place), manifest.where});
  }
  if (flags_.wait) {
    const int waited = Wait(applied, timeout);
    if (exit_code == 0) exit_code = waited;
  }
  return exit_code;
}

int RunApply(const ApplyFlags& flags) {
  std::chrono::milliseconds timeout;
  if (!ParseDuration(flags.timeout, &timeout))
    return Fail("--timeout: \"" + flags.timeout + "\" is not a duration such as 30s");
  Result<std::unique_ptr<Session>> session = flags.common.Connect();
  if (!session.ok()) return Fail(session.status());
  Result<Placer> placer = Placer::Make(**session, flags.common);
  if (!placer.ok()) return Fail(placer.status());
  return Apply(flags, **session, std::move(*placer)).Run(timeout);
}

}  // namespace
}  // namespace cli

void AddApplyCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<cli::ApplyFlags>();
  CLI::App* apply = app.add_subcommand("apply", "Create or change objects, as files describe them");
  apply->add_option("-f,--filename", flags->files, "a YAML or JSON file, a directory of them, or - for standard input")
      ->required()
      ->allow_extra_args(false);
  apply->add_flag("-R,--recursive", flags->recursive, "also the directories in a directory");
  cli::AddCommonFlags(*apply, &flags->common);
  apply->add_flag("--wait", flags->wait, "wait until what was applied is ready");
  apply->add_option("--timeout", flags->timeout, "how long to wait for it")->capture_default_str();
  apply->callback([flags, exit_code] { *exit_code = cli::RunApply(*flags); });
}

}  // namespace wherry
