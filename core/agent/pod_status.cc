#include "core/agent/pod_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"

namespace wherry {
namespace {

Json TerminatedState(const PodInfo& pod, size_t i, const Run& run) {
  Json state = {{"exitCode", run.exit_code}, {"reason", run.reason}, {"containerID", ContainerId(pod, i, run.attempt)}};
  if (run.signal != 0) state["signal"] = run.signal;
  if (!run.message.empty()) state["message"] = run.message;
  state["startedAt"] = FormatTime(run.started_at);
  state["finishedAt"] = FormatTime(run.finished_at);
  return {{"terminated", std::move(state)}};
}

// Of a container that never ran: whether its turn had come before the pod ended. If so it counts as lost, else it still
// waits for the init containers.
bool HadItsTurn(const PodInfo& pod, const PodRecord& record, const PodPlan& plan, size_t i) {
  if (pod.containers[i].role == ContainerRole::kMain) return plan.initialized;
  return std::any_of(record.containers.begin() + static_cast<std::ptrdiff_t>(i), record.containers.end(),
                     [](const ContainerRecord& later) { return later.current.has_value(); });
}

Json ContainerStatus(const PodInfo& pod, const PodRecord& record, const PodPlan& plan, size_t i) {
  const ContainerInfo& info = pod.containers[i];
  const ContainerRecord& c = record.containers[i];
  const PodPlan::Waiting& waiting = plan.waiting[i];
  const bool running = c.current && c.current->running && waiting.reason.empty();
  Json status = {{"name", info.name},
                 {"image", info.image},
                 {"imageID", c.image_id},
                 {"restartCount", c.current ? c.current->attempt : 0},
                 {"lastState", Json::object()}};
  if (c.current) status["containerID"] = ContainerId(pod, i, c.current->attempt);

  if (running) {
    status["state"] = {{"running", {{"startedAt", FormatTime(c.current->started_at)}}}};
    if (c.last) status["lastState"] = TerminatedState(pod, i, *c.last);
  } else if (!waiting.reason.empty()) {
    Json shown = {{"reason", waiting.reason}};
    if (!waiting.message.empty()) shown["message"] = waiting.message;
    status["state"] = {{"waiting", std::move(shown)}};
    const std::optional<Run>& last = c.current && c.current->running ? c.last : c.current;
    if (last) status["lastState"] = TerminatedState(pod, i, *last);
  } else if (c.current) {
    status["state"] = TerminatedState(pod, i, *c.current);
    if (c.last) status["lastState"] = TerminatedState(pod, i, *c.last);
  } else if (!HadItsTurn(pod, record, plan, i)) {
    status["state"] = {{"waiting", {{"reason", "PodInitializing"}}}};
  } else {
    // The pod ended before this container ever ran; the kubelet reports it so.
    status["state"] = {{"terminated",
                        {{"exitCode", 137},
                         {"reason", "ContainerStatusUnknown"},
                         {"message", "The container could not be located when the pod was terminated"}}}};
  }
  if (info.role == ContainerRole::kEphemeral) {  // nothing is asked of it
    status["ready"] = false;
    return status;
  }
  const bool completed_init = info.role == ContainerRole::kInit && c.current && !running && c.current->exit_code == 0;
  status["started"] = running && c.probed_started;
  status["ready"] =
      completed_init || (running && c.probed_started && c.probed_ready && info.role != ContainerRole::kInit);
  return status;
}

const char* StatusList(ContainerRole role) {
  return role == ContainerRole::kMain        ? "containerStatuses"
         : role == ContainerRole::kEphemeral ? "ephemeralContainerStatuses"
                                             : "initContainerStatuses";
}

struct Condition {
  bool value = true;
  std::string reason, message;
};

// "containers with unready status: [a b]".
std::string Listing(const char* text, const std::vector<std::string>& names) {
  std::string out = text;
  out += ": [";
  for (size_t i = 0; i < names.size(); ++i) out += (i ? " " : "") + names[i];
  return out + "]";
}

Condition Initialized(const PodInfo& pod, const PodRecord& record, const PodPlan& plan) {
  if (plan.phase == "Succeeded") return {true, "PodCompleted", ""};
  if (plan.initialized) return {};
  std::vector<std::string> incomplete;
  for (size_t i = 0; i < pod.containers.size(); ++i) {
    const ContainerRecord& c = record.containers[i];
    const ContainerRole role = pod.containers[i].role;
    const bool done = role == ContainerRole::kInit ? c.current && !c.current->running && c.current->exit_code == 0
                                                   : c.up() && c.probed_started;
    if ((role == ContainerRole::kInit || role == ContainerRole::kSidecar) && !done)
      incomplete.push_back(pod.containers[i].name);
  }
  return {false, "ContainersNotInitialized", Listing("containers with incomplete status", incomplete)};
}

Condition ContainersReady(const PodInfo& pod, const PodRecord& record, const PodPlan& plan) {
  if (plan.phase == "Succeeded") return {false, "PodCompleted", ""};
  if (plan.phase == "Failed") return {false, "PodFailed", ""};
  std::vector<std::string> unready;
  for (size_t i = 0; i < pod.containers.size(); ++i) {
    const ContainerRecord& c = record.containers[i];
    const bool ready = c.up() && c.probed_started && c.probed_ready;
    const ContainerRole role = pod.containers[i].role;
    if ((role == ContainerRole::kMain || role == ContainerRole::kSidecar) && !ready)
      unready.push_back(pod.containers[i].name);
  }
  if (unready.empty()) return {};
  return {false, "ContainersNotReady", Listing("containers with unready status", unready)};
}

const Json* FindCondition(const Json& conditions, std::string_view type) {
  for (const Json& condition : conditions) {
    if (StringAt(condition, "type") == type) return &condition;
  }
  return nullptr;
}

Condition Ready(const PodInfo& pod, const Condition& containers, const Json& previous) {
  if (!containers.value) return containers;
  for (const std::string& gate : pod.readiness_gates) {
    const Json* found = FindCondition(previous, gate);
    if (!found) {
      return {false, "ReadinessGatesNotReady",
              "corresponding condition of pod readiness gate \"" + gate + "\" does not exist."};
    }
    if (const std::string value = StringAt(*found, "status"); value != "True") {
      return {false, "ReadinessGatesNotReady",
              "the status of pod readiness gate \"" + gate + "\" is not \"True\", but " + value};
    }
  }
  return {};
}

// The condition with its transition time: kept while the status stays the same.
Json RenderCondition(const char* type, const Condition& condition, const Json& previous, Time now) {
  const char* value = condition.value ? "True" : "False";
  Json out = {{"type", type}, {"status", value}};
  const Json* old = FindCondition(previous, type);
  const bool same = old && StringAt(*old, "status") == value && old->contains("lastTransitionTime");
  out["lastTransitionTime"] = same ? old->at("lastTransitionTime") : Json(FormatTime(now));
  if (!condition.reason.empty()) out["reason"] = condition.reason;
  if (!condition.message.empty()) out["message"] = condition.message;
  return out;
}

Json RenderConditions(const PodInfo& pod, const PodRecord& record, const PodPlan& plan, const Json& previous,
                      Time now) {
  const bool over = plan.phase == "Succeeded" || plan.phase == "Failed";
  const Condition containers_ready = ContainersReady(pod, record, plan);
  const std::pair<const char*, Condition> ours[] = {
      {"PodReadyToStartContainers", {record.sandbox_ready && !over, "", ""}},
      {"Initialized", Initialized(pod, record, plan)},
      {"Ready", Ready(pod, containers_ready, previous)},
      {"ContainersReady", containers_ready},
  };
  Json out = Json::array();
  for (const auto& [type, condition] : ours) out.push_back(RenderCondition(type, condition, previous, now));
  const Json* scheduled = FindCondition(previous, "PodScheduled");
  const bool keep = scheduled && StringAt(*scheduled, "status") == "True";
  out.push_back(keep ? *scheduled : RenderCondition("PodScheduled", {}, previous, now));
  if (record.stop && !record.deleting && record.stop->reason == "Evicted") {
    out.push_back(
        RenderCondition("DisruptionTarget", {true, "TerminationByKubelet", record.stop->message}, previous, now));
  }
  for (const Json& condition : previous) {
    if (!FindCondition(out, StringAt(condition, "type"))) out.push_back(condition);
  }
  return out;
}

bool ReadTime(const Json& object, const char* field, Time* out) { return ParseTime(StringAt(object, field), out); }

Run RunFromTerminated(const Json& state, int attempt) {
  Run run;
  run.attempt = attempt;
  run.exit_code = static_cast<int>(IntAt(state, "exitCode"));
  run.signal = static_cast<int>(IntAt(state, "signal"));
  run.reason = StringAt(state, "reason");
  run.message = StringAt(state, "message");
  ReadTime(state, "startedAt", &run.started_at);
  ReadTime(state, "finishedAt", &run.finished_at);
  return run;
}

ContainerRecord ContainerFromStatus(const Json& status) {
  ContainerRecord record;
  record.image_id = StringAt(status, "imageID");
  const int count = static_cast<int>(IntAt(status, "restartCount"));
  const Json* last = FindPath(status, "lastState.terminated");
  if (const Json* running = FindPath(status, "state.running")) {
    Run run;
    run.attempt = count;
    run.running = true;
    ReadTime(*running, "startedAt", &run.started_at);
    record.current = run;
    // What its probes had found holds until they find something else.
    record.probed_started = BoolAt(status, "started", true);
    record.probed_ready = BoolAt(status, "ready", true);
    if (last) record.last = RunFromTerminated(*last, count - 1);
  } else if (const Json* ended = FindPath(status, "state.terminated"); ended && status.contains("containerID")) {
    record.current = RunFromTerminated(*ended, count);
    if (last) record.last = RunFromTerminated(*last, count - 1);
  } else if (last) {
    record.current = RunFromTerminated(*last, count);
    record.current->condemned = record.current->exit_code == 0;  // yet it was to run again
  }
  // The back-off is not stored; what it must have been follows from the restarts.
  if (record.current && count > 0) {
    record.backoff = BackoffAfter(count);
    record.backoff_at = record.current->started_at;
  }
  return record;
}

}  // namespace

std::string ContainerId(const PodInfo& pod, size_t container, int attempt) {
  return "wherry://" + pod.uid + "/" + pod.containers[container].name + "/" + std::to_string(attempt);
}

Json RenderPodStatus(const PodInfo& pod, const PodRecord& record, const PodPlan& plan, const PodAddresses& addresses,
                     const Json& previous, Time now) {
  Json status = previous.is_object() ? previous : Json::object();
  for (const char* field : {"reason", "message", "nominatedNodeName", "containerStatuses", "initContainerStatuses",
                            "ephemeralContainerStatuses"})
    status.erase(field);
  status["phase"] = plan.phase;
  status["qosClass"] = pod.qos_class;
  if (record.start_time) status["startTime"] = FormatTime(*record.start_time);
  if (!plan.reason.empty()) status["reason"] = plan.reason;
  if (!plan.message.empty()) status["message"] = plan.message;
  if (!record.rejected_reason.empty()) return status;

  const Json none = Json::array();
  const Json* conditions = FindPath(status, "conditions");
  status["conditions"] =
      RenderConditions(pod, record, plan, conditions && conditions->is_array() ? *conditions : none, now);
  if (!addresses.host_ip.empty()) {
    status["hostIP"] = addresses.host_ip;
    status["hostIPs"] = Json::array({{{"ip", addresses.host_ip}}});
  }
  if (!addresses.pod_ip.empty()) {
    status["podIP"] = addresses.pod_ip;
    status["podIPs"] = Json::array({{{"ip", addresses.pod_ip}}});
  }
  for (size_t i = 0; i < pod.containers.size(); ++i) {
    status[StatusList(pod.containers[i].role)].push_back(ContainerStatus(pod, record, plan, i));
  }
  return status;
}

PodRecord RecordFromStatus(const PodInfo& pod, const Json& status) {
  PodRecord record;
  record.containers.resize(pod.containers.size());
  const std::string phase = StringAt(status, "phase");
  record.terminal = phase == "Succeeded" || phase == "Failed";
  Time start;
  if (ReadTime(status, "startTime", &start)) record.start_time = start;
  for (size_t i = 0; i < pod.containers.size(); ++i) {
    const Json* statuses = FindPath(status, StatusList(pod.containers[i].role));
    if (!statuses || !statuses->is_array()) continue;
    for (const Json& entry : *statuses) {
      if (StringAt(entry, "name") == pod.containers[i].name) record.containers[i] = ContainerFromStatus(entry);
    }
  }
  return record;
}

}  // namespace wherry
