#include "core/controllers/pod_view.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/controllers/shorten.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kMaxWhy = 240;

PodView::Phase ParsePhase(std::string_view phase) {
  if (phase == "Running") return PodView::Phase::kRunning;
  if (phase == "Succeeded") return PodView::Phase::kSucceeded;
  if (phase == "Failed") return PodView::Phase::kFailed;
  if (phase == "Unknown") return PodView::Phase::kUnknown;
  return PodView::Phase::kPending;
}

// The node of `requiredDuringScheduling… matchFields metadata.name In [one]`, how daemon pods are pinned before they
// are bound.
std::string PinnedNode(const Json& pod) {
  const Json* terms =
      FindPath(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
  if (!terms || !terms->is_array()) return {};
  for (const Json& term : *terms) {
    const Json* fields = FindPath(term, "matchFields");
    if (!fields || !fields->is_array()) continue;
    for (const Json& field : *fields) {
      const Json* values = FindPath(field, "values");
      if (StringAt(field, "key") != "metadata.name" || StringAt(field, "operator") != "In") continue;
      if (values && values->is_array() && values->size() == 1 && values->front().is_string()) {
        return values->front().get<std::string>();
      }
    }
  }
  return {};
}

const Json* Condition(const Json& pod, std::string_view type) {
  const Json* conditions = FindPath(pod, "status.conditions");
  if (!conditions || !conditions->is_array()) return nullptr;
  for (const Json& condition : *conditions) {
    if (StringAt(condition, "type") == type) return &condition;
  }
  return nullptr;
}

// An int32 as upstream reads it: no sign "+", no leading zeros; anything else counts as 0.
int32_t DeletionCost(const Json& pod) {
  const auto& annotations = MapAt(pod, "metadata.annotations");
  const auto it = annotations.find(kDeletionCostAnnotation);
  if (it == annotations.end() || !it->second.is_string()) return 0;
  const std::string& text = it->second.get_ref<const std::string&>();
  int32_t cost = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cost);
  if (error != std::errc() || end != text.data() + text.size()) return 0;
  return std::to_string(cost) == text ? cost : 0;
}

int32_t RestartsOf(const Json& status) { return static_cast<int32_t>(IntAt(status, "restartCount")); }

void CountRestarts(const Json& pod, PodView* view) {
  for (const Json& status : ListAt(pod, "status.containerStatuses")) {
    view->restarts = std::max(view->restarts, RestartsOf(status));
  }
  const auto& statuses = ListAt(pod, "status.initContainerStatuses");
  if (statuses.empty()) return;
  for (const Json& container : ListAt(pod, "spec.initContainers")) {
    if (StringAt(container, "restartPolicy") != "Always") continue;
    for (const Json& status : statuses) {
      if (StringAt(status, "name") != StringAt(container, "name")) continue;
      view->sidecar_restarts = std::max(view->sidecar_restarts, RestartsOf(status));
    }
  }
}

// "reason: message", or what there is of it.
std::string Told(const Json& state, std::string otherwise) {
  const std::string reason = StringAt(state, "reason"), message = StringAt(state, "message");
  if (reason.empty()) return message.empty() ? otherwise : message;
  return message.empty() ? reason : reason + ": " + message;
}

// What the first container that holds the pod up says.
std::string ContainerTrouble(const Json& pod) {
  for (const char* list : {"status.initContainerStatuses", "status.containerStatuses"}) {
    const bool init = std::string_view(list) == "status.initContainerStatuses";
    const Json* statuses = FindPath(pod, list);
    if (!statuses || !statuses->is_array()) continue;
    for (const Json& status : *statuses) {
      const std::string name = (init ? "init container " : "container ") + StringAt(status, "name");
      const Json* waiting = FindPath(status, "state.waiting");
      if (waiting && waiting->is_object()) return name + " waits: " + Told(*waiting, "no reason given");
      const Json* terminated = FindPath(status, "state.terminated");
      const int64_t code = terminated ? IntAt(*terminated, "exitCode") : 0;
      if (terminated && !(init && code == 0)) return name + " ended with exit code " + std::to_string(code);
      if (!init && !BoolAt(status, "ready")) return name + " is not ready";
    }
  }
  return {};
}

std::string WhyNotReady(const Json& pod, const PodView& view) {
  if (view.deleting) return "the pod is terminating";
  if (view.terminal()) {
    const Json* status = FindPath(pod, "status");
    return "the pod has " + std::string(view.phase == PodView::Phase::kFailed ? "failed: " : "ended: ") +
           Told(*status, ContainerTrouble(pod));
  }
  if (view.node_name.empty()) {
    const Json* scheduled = Condition(pod, "PodScheduled");
    return "the pod is not scheduled" + (scheduled ? ": " + Told(*scheduled, "") : std::string());
  }
  std::string trouble = ContainerTrouble(pod);
  if (!trouble.empty()) return trouble;
  if (const Json* ready = Condition(pod, "Ready")) {
    const std::string told = Told(*ready, "");
    if (!told.empty()) return "the pod is not ready: " + told;
  }
  return view.phase == PodView::Phase::kRunning ? "the pod is not ready" : "the pod has not started yet";
}

}  // namespace

PodView::PodView(const Json& pod) {
  node_name = StringAt(pod, "spec.nodeName");
  target_node = node_name.empty() ? PinnedNode(pod) : node_name;
  phase = ParsePhase(StringAt(pod, "status.phase"));
  if (const Json* condition = Condition(pod, "Ready")) {
    // One that has ended is not ready, whatever was last said about it.
    ready = StringAt(*condition, "status") == "True" && !terminal();
    ParseTime(StringAt(*condition, "lastTransitionTime"), &ready_since);
  }
  deleting = FindPath(pod, "metadata.deletionTimestamp") != nullptr;
  ParseTime(StringAt(pod, "metadata.creationTimestamp"), &created);
  deletion_cost = DeletionCost(pod);
  CountRestarts(pod, this);
  if (const Json* labels = FindPath(pod, "metadata.labels")) {
    // Label keys hold dots, so they are no paths.
    if (auto it = labels->find(kRevisionHashLabel); it != labels->end() && it->is_string()) revision_hash = *it;
    if (auto it = labels->find(kTemplateGenerationLabel); it != labels->end() && it->is_string())
      template_generation = *it;
  }
  if (!ready) why = Shorten(WhyNotReady(pod, *this), kMaxWhy);
}

}  // namespace wherry
