// What the API's streams ask of the node agents.
#include "core/agent/stream_targets.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/agent/container_builder.h"
#include "core/agent/node_agent_pool.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

bool Completed(const std::string& phase) { return phase == "Succeeded" || phase == "Failed"; }

}  // namespace

Result<ContainerTarget> NodeAgentPool::FindContainer(const ObjectPtr& pod, const std::string& container,
                                                     const std::string& purpose) const {
  const JsonPtr document = pod->json();
  const std::string phase = StringAt(*document, "status.phase");
  if (Completed(phase)) {
    return Status::BadRequest("cannot " + purpose + " a container in a completed pod; current phase is " + phase);
  }
  const std::string named = StringAt(*document, "metadata.name");
  const Result<std::string> chosen = ChooseContainer(*document, container);
  if (!chosen.ok()) return chosen.status();
  if (StringAt(*document, "spec.nodeName").empty()) {
    return Status::BadRequest("pod " + named + " does not have a host assigned");
  }
  ContainerTarget target;
  target.container = *chosen;
  const PodWorker* worker = Find(pod->uid());
  const Json* spec = ContainerNamed(*document, target.container);
  const Status not_running(Reason::kNotFound,
                           "unable to upgrade connection: container not found (\"" + target.container + "\")");
  if (!worker || !spec || worker->site().silent) return not_running;
  target.in = BoolAt(*spec, "stdin");
  target.in_once = BoolAt(*spec, "stdinOnce");
  target.tty = BoolAt(*spec, "tty");
  const PodInfo& info = worker->info();
  for (size_t i = 0; i < info.containers.size(); ++i) {
    const std::optional<Run>& run = worker->record().containers[i].current;
    if (info.containers[i].name != target.container || !run || !run->running) continue;
    target.runtime = worker->site().runtime;
    target.id = info.uid + "/" + target.container + "/" + std::to_string(run->attempt);
    return target;
  }
  return not_running;
}

Result<AddressTarget> NodeAgentPool::FindAddress(const ObjectPtr& pod) const {
  const JsonPtr document = pod->json();
  const std::string phase = StringAt(*document, "status.phase");
  if (phase != "Running") {
    return Status::BadRequest("unable to forward port because pod is not running. Current status=" +
                              (phase.empty() ? "Pending" : phase));
  }
  AddressTarget target;
  // What such a pod binds is the machine's own.
  const Json* annotations = FindPath(*document, "metadata.annotations");
  if (BoolAt(*document, "spec.hostNetwork") && annotations && annotations->is_object() &&
      annotations->value(std::string(kHostNetworkKey), "") == "machine") {
    target.addresses = {"127.0.0.1", "::1"};
    return target;
  }
  const std::string address = StringAt(*document, "status.podIP");
  if (!address.empty()) target.addresses.push_back(address);
  target.privileged_port_offset = services_.options.privileged_port_offset;
  return target;
}

}  // namespace wherry
