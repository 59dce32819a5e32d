// `wherry logs`: what a container has written.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/cli/commands.h"
#include "api/cli/common.h"
#include "api/cli/discovery.h"
#include "api/cli/pod_choice.h"

namespace wherry {
namespace cli {
namespace {

struct LogsFlags {
  CommonFlags common;
  std::string what, container, since;
  int64_t tail = -1;
  bool follow = false, previous = false, timestamps = false;
};

// The pod meant by POD or TYPE/NAME.
Result<Json> FindPod(const LogsFlags& flags, Session& session) {
  const std::string name_space = flags.common.NamespaceIn(session);
  const size_t slash = flags.what.find('/');
  Result<Discovery> discovery = Discovery::Load(session);
  if (!discovery.ok()) return discovery.status();
  Result<ResourceType> pods = discovery->Resolve("pods");
  if (!pods.ok()) return pods.status();
  if (slash == std::string::npos) return session.Get(pods->Path(name_space, flags.what));
  Result<ResourceType> type = discovery->Resolve(flags.what.substr(0, slash));
  if (!type.ok()) return type.status();
  Result<Json> owner = session.Get(type->Path(name_space, flags.what.substr(slash + 1)));
  if (!owner.ok() || type->plural == "pods") return owner;
  const std::string selector = PodSelector(*owner);
  if (selector.empty()) return Status::BadRequest(flags.what + " has no pods: it selects none");
  Result<Json> list = session.Get(Target(pods->Path(name_space), {{"labelSelector", selector}}));
  if (!list.ok()) return list.status();
  const Json items = list->value("items", Json::array());
  if (items.empty()) return Status(Reason::kNotFound, flags.what + " has no pods yet");
  Json chosen = ChoosePod(items);
  if (items.size() > 1) {
    std::fprintf(stderr, "Found %zu pods, using pod/%s\n", items.size(),
                 chosen["metadata"]["name"].get<std::string>().c_str());
  }
  return chosen;
}

int RunLogs(const LogsFlags& flags) {
  std::chrono::milliseconds since{0};
  if (!flags.since.empty() && !ParseDuration(flags.since, &since)) {
    return Fail("--since: \"" + flags.since + "\" is not a duration such as 5m");
  }
  Result<std::unique_ptr<Session>> session = flags.common.Connect();
  if (!session.ok()) return Fail(session.status());
  Result<Json> pod = FindPod(flags, **session);
  if (!pod.ok()) return Fail(pod.status());
  const Json metadata = pod->value("metadata", Json::object());
  const std::string name = metadata.value("name", "");

  std::string container = flags.container;
  if (container.empty()) {
    const std::vector<std::string> names = ContainerNames(*pod);
    container = DefaultContainer(*pod);
    if (names.size() > 1) {
      std::string others;
      for (const std::string& one : names) others += (others.empty() ? "" : ", ") + one;
      std::fprintf(stderr, "Defaulted container \"%s\" out of: %s\n", container.c_str(), others.c_str());
    }
  }
  const int64_t seconds = (since.count() + 999) / 1000;
  const std::string target = Target("/api/v1/namespaces/" + metadata.value("namespace", "") + "/pods/" + name + "/log",
                                    {{"container", container},
                                     {"follow", flags.follow ? "true" : ""},
                                     {"previous", flags.previous ? "true" : ""},
                                     {"timestamps", flags.timestamps ? "true" : ""},
                                     {"tailLines", flags.tail >= 0 ? std::to_string(flags.tail) : ""},
                                     {"sinceSeconds", seconds > 0 ? std::to_string(seconds) : ""}});
  const Status status = (*session)->StreamBytes(target, [](const std::string& bytes) {
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    std::fflush(stdout);
  });
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace cli

void AddLogsCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<cli::LogsFlags>();
  CLI::App* logs = app.add_subcommand("logs", "Print what a container has written");
  logs->add_option("POD", flags->what, "a pod, or TYPE/NAME of something that has pods")->required();
  cli::AddCommonFlags(*logs, &flags->common);
  logs->add_option("-c,--container", flags->container, "the container (default: the pod's first)");
  logs->add_flag("-f,--follow", flags->follow, "go on with what is still being written");
  logs->add_option("--tail", flags->tail, "only the last lines; -1 = all");
  logs->add_option("--since", flags->since, "only what was written in the last 5m, 2h, …");
  logs->add_flag("-p,--previous", flags->previous, "of the container's previous run");
  logs->add_flag("--timestamps", flags->timestamps, "put the time before each line");
  logs->callback([flags, exit_code] { *exit_code = cli::RunLogs(*flags); });
}

}  // namespace wherry
