#include "core/agent/pod_namespaces.h"

#include <nlohmann/json.hpp>

#include "core/agent/container_files.h"
#include "core/agent/pod_env.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

const Run* RunningRun(const PodRecord& record, size_t container) {
  const std::optional<Run>& run = record.containers[container].current;
  return run && run->running ? &*run : nullptr;
}

std::string IdOf(const PodInfo& info, size_t container, const Run& run) {
  return info.uid + "/" + info.containers[container].name + "/" + std::to_string(run.attempt);
}

// The run of a main container that a newcomer joins when there is no pause; "" = none.
std::string Host(const PodInfo& info, const PodRecord& record) {
  for (size_t i = 0; i < info.containers.size(); ++i) {
    const Run* run = info.containers[i].role == ContainerRole::kMain ? RunningRun(record, i) : nullptr;
    if (run) return IdOf(info, i, *run);
  }
  return {};
}

}  // namespace

bool WantsPause(const Json& pod) {
  return BoolAt(pod, "spec.shareProcessNamespace") ||
         ListAt(pod, "spec.containers").size() + ListAt(pod, "spec.initContainers").size() > 1;
}

bool IsPause(const std::string& run_id) {
  const size_t slash = run_id.find('/');
  return slash != std::string::npos && run_id.compare(slash + 1, kPauseName.size(), kPauseName) == 0;
}

ContainerSpec PauseSpec(const Json& pod, const PodSite& site, int attempt) {
  ContainerSpec spec;
  spec.id = StringAt(pod, "metadata.uid") + "/" + std::string(kPauseName) + "/" + std::to_string(attempt);
  spec.argv = {"pause"};
  spec.confinement.sandbox = true;
  spec.confinement.pause = true;
  spec.confinement.hostname = PodHostname(pod, site);
  spec.confinement.host_ipc = BoolAt(pod, "spec.hostIPC");
  spec.confinement.host_pid = !BoolAt(pod, "spec.shareProcessNamespace");
  return spec;
}

Status ShareNamespaces(const Json& pod, const PodInfo& info, const PodRecord& record, size_t container,
                       const std::string& pause, warden::Confinement& confinement) {
  const bool ephemeral = info.containers[container].role == ContainerRole::kEphemeral;
  const Json* spec = ContainerNamed(pod, info.containers[container].name);
  const std::string target = ephemeral && spec ? StringAt(*spec, "targetContainerName") : "";
  size_t at = 0;
  while (at < info.containers.size() && info.containers[at].name != target) ++at;
  if (!target.empty() && (at == info.containers.size() || !record.containers[at].current)) {
    return ContainerRefusal("CreateContainerConfigError", "unable to find target container " + target);
  }
  if (!confinement.sandbox) return {};  // plain processes all see each other

  confinement.shares = !pause.empty() ? pause : ephemeral ? Host(info, record) : "";
  if (!confinement.host_pid && BoolAt(pod, "spec.shareProcessNamespace")) {
    confinement.shares_pids = pause;
  } else if (!confinement.host_pid && !target.empty()) {
    const Run* run = RunningRun(record, at);
    if (!run) return ContainerRefusal("CreateContainerError", "target container " + target + " is not running");
    confinement.shares_pids = IdOf(info, at, *run);
    if (confinement.shares.empty()) confinement.shares = confinement.shares_pids;
  }
  if (!confinement.shares.empty()) confinement.hostname.clear();  // it has been set
  return {};
}

}  // namespace wherry
