#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/printers.h"
#include "core/kinds/table.h"

namespace wherry {
namespace {

bool ConditionTrue(const Json& object, std::string_view type) {
  for (const Json& condition : ListAt(object, "status.conditions")) {
    if (StringAt(condition, "type") == type) return StringAt(condition, "status") == "True";
  }
  return false;
}

// What kubectl says about a pod in one line, from all its container statuses.
struct PodLine {
  std::string status;
  int64_t ready = 0, total = 0, restarts = 0;
  std::string last_restart;  // RFC 3339, "" = unknown
};

struct Restarts {
  int64_t count = 0;
  std::string last;

  void Add(const Json& status) {
    count += IntAt(status, "restartCount");
    last = std::max(last, StringAt(status, "lastState.terminated.finishedAt"));
  }
};

// "Error", or "Signal:9" or "ExitCode:1" when nobody gave a reason.
std::string TerminatedReason(const Json& status) {
  const Json& terminated = At(status, "state.terminated");
  if (const std::string& reason = StringAt(terminated, "reason"); !reason.empty()) return reason;
  if (const int64_t signal = IntAt(terminated, "signal"); signal != 0) return "Signal:" + std::to_string(signal);
  return "ExitCode:" + std::to_string(IntAt(terminated, "exitCode"));
}

bool IsSidecar(const Json& pod, const std::string& name) {
  for (const Json& container : ListAt(pod, "spec.initContainers")) {
    if (StringAt(container, "name") == name) return StringAt(container, "restartPolicy") == "Always";
  }
  return false;
}

// Walks the init containers up to the first that holds the pod back. True when one does.
bool DescribeInit(const Json& pod, PodLine& line, Restarts& all, Restarts& sidecars) {
  const auto& statuses = ListAt(pod, "status.initContainerStatuses");
  for (size_t i = 0; i < statuses.size(); ++i) {
    const Json& status = statuses[i];
    all.Add(status);
    const bool sidecar = IsSidecar(pod, StringAt(status, "name"));
    if (sidecar) sidecars.Add(status);
    const bool terminated = Has(status, "state.terminated");
    if (terminated && IntAt(status, "state.terminated.exitCode") == 0) continue;
    if (sidecar && BoolAt(status, "started")) {
      if (BoolAt(status, "ready")) ++line.ready;
      continue;
    }
    const std::string& waiting = StringAt(status, "state.waiting.reason");
    if (terminated) {
      line.status = "Init:" + TerminatedReason(status);
    } else if (!waiting.empty() && waiting != "PodInitializing") {
      line.status = "Init:" + waiting;
    } else {
      line.status = "Init:" + std::to_string(i) + "/" + std::to_string(ListAt(pod, "spec.initContainers").size());
    }
    return true;
  }
  return false;
}

void DescribeContainers(const Json& pod, PodLine& line, Restarts& restarts) {
  const auto& statuses = ListAt(pod, "status.containerStatuses");
  bool running = false;
  for (auto status = statuses.rbegin(); status != statuses.rend(); ++status) {
    restarts.Add(*status);
    const std::string& waiting = StringAt(*status, "state.waiting.reason");
    if (!waiting.empty()) {
      line.status = waiting;
    } else if (Has(*status, "state.terminated")) {
      line.status = TerminatedReason(*status);
    } else if (BoolAt(*status, "ready") && Has(*status, "state.running")) {
      running = true;
      ++line.ready;
    }
  }
  if (line.status == "Completed" && running) line.status = ConditionTrue(pod, "Ready") ? "Running" : "NotReady";
}

PodLine Describe(const Json& pod) {
  PodLine line;
  const std::string& phase = StringAt(pod, "status.phase");
  const std::string& reason = StringAt(pod, "status.reason");
  line.status = reason.empty() ? phase : reason;
  for (const Json& condition : ListAt(pod, "status.conditions")) {
    if (StringAt(condition, "type") == "PodScheduled" && StringAt(condition, "reason") == "SchedulingGated") {
      line.status = "SchedulingGated";
    }
  }
  line.total = static_cast<int64_t>(ListAt(pod, "spec.containers").size());
  for (const Json& container : ListAt(pod, "spec.initContainers")) {
    if (StringAt(container, "restartPolicy") == "Always") ++line.total;
  }
  Restarts restarts, sidecars;
  const bool initializing = DescribeInit(pod, line, restarts, sidecars);
  if (!initializing || ConditionTrue(pod, "Initialized")) {
    restarts = sidecars;
    DescribeContainers(pod, line, restarts);
  }
  if (Has(pod, "metadata.deletionTimestamp")) {
    if (reason == "NodeLost") {
      line.status = "Unknown";
    } else if (phase != "Succeeded" && phase != "Failed") {
      line.status = "Terminating";
    }
  }
  line.restarts = restarts.count;
  line.last_restart = restarts.last;
  return line;
}

std::string Address(const Json& node, std::string_view type) {
  for (const Json& address : ListAt(node, "status.addresses")) {
    if (StringAt(address, "type") == type) return StringAt(address, "address");
  }
  return "<none>";
}

}  // namespace

Json PodRowConditions(const Json& pod) {
  const std::string& phase = StringAt(pod, "status.phase");
  if (phase != "Succeeded" && phase != "Failed") return Json::array();
  return Json::array({{{"type", "Completed"},
                       {"status", "True"},
                       {"reason", phase},
                       {"message", phase == "Failed" ? "The pod failed." : "The pod has completed successfully."}}});
}

namespace printers {

Json PodReady(const Json& pod, Time) {
  const PodLine line = Describe(pod);
  return std::to_string(line.ready) + "/" + std::to_string(line.total);
}

Json PodStatus(const Json& pod, Time) { return Describe(pod).status; }

Json PodRestarts(const Json& pod, Time now) {
  const PodLine line = Describe(pod);
  std::string text = std::to_string(line.restarts);
  Time last;
  if (line.restarts != 0 && ParseTime(line.last_restart, &last)) text += " (" + HumanDuration(now - last) + " ago)";
  return text;
}

Json PodReadinessGates(const Json& pod, Time) {
  const auto& gates = ListAt(pod, "spec.readinessGates");
  if (gates.empty()) return "<none>";
  const auto open = std::count_if(gates.begin(), gates.end(), [&](const Json& gate) {
    return ConditionTrue(pod, StringAt(gate, "conditionType"));
  });
  return std::to_string(open) + "/" + std::to_string(gates.size());
}

Json NodeStatus(const Json& node, Time) {
  std::string text = "Unknown";
  for (const Json& condition : ListAt(node, "status.conditions")) {
    if (StringAt(condition, "type") == "Ready") text = StringAt(condition, "status") == "True" ? "Ready" : "NotReady";
  }
  if (BoolAt(node, "spec.unschedulable")) text += ",SchedulingDisabled";
  return text;
}

Json NodeRoles(const Json& node, Time) {
  static constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::vector<std::string> roles;
  for (const auto& [key, value] : MapAt(node, "metadata.labels")) {
    if (key.starts_with(kPrefix) && key.size() > kPrefix.size()) roles.push_back(key.substr(kPrefix.size()));
    if (key == "kubernetes.io/role" && value.is_string() && value != "") roles.push_back(value.get<std::string>());
  }
  if (roles.empty()) return "<none>";
  std::sort(roles.begin(), roles.end());
  roles.erase(std::unique(roles.begin(), roles.end()), roles.end());
  std::string text;
  for (const std::string& role : roles) text += (text.empty() ? "" : ",") + role;
  return text;
}

Json NodeInternalIp(const Json& node, Time) { return Address(node, "InternalIP"); }

Json NodeExternalIp(const Json& node, Time) { return Address(node, "ExternalIP"); }

}  // namespace printers
}  // namespace wherry
