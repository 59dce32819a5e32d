#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/controllers/node_lifecycle.h"
#include "core/controllers/node_view.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kWritesAtOnce = 64;

// What decides how long a pod stays on a tainted node.
struct EvictionView {
  explicit EvictionView(const Json& pod)
      : node(StringAt(pod, "spec.nodeName")), tolerations(ParseTolerations(At(pod, "spec.tolerations"))) {
    const std::string phase = StringAt(pod, "status.phase");
    over = phase == "Succeeded" || phase == "Failed" || FindPath(pod, "metadata.deletionTimestamp");
    ParseTime(StringAt(pod, "metadata.creationTimestamp"), &created);
  }
  std::string node;
  std::vector<Toleration> tolerations;
  bool over = false;
  Time created{};
};

std::vector<Taint> NoExecuteTaints(const Object& node) {
  std::vector<Taint> out;
  for (const Taint& taint : node.view<NodeView>().taints) {
    if (taint.effect == TaintEffect::kNoExecute) out.push_back(taint);
  }
  return out;
}

class TaintEvictor : public std::enable_shared_from_this<TaintEvictor> {
 public:
  explicit TaintEvictor(RuntimeContext context) : context_(context), events_(context, "taint-eviction-controller") {}

  void OnNode(const Event& event, WorkQueue& queue) {
    if (event.type == EventType::kDeleted) {
      first_seen_.erase(event.object->name());
    } else if (event.object->view<NodeView>().taints.empty()) {
      first_seen_.erase(event.object->name());
    } else if (!event.previous || event.previous->view<NodeView>().taints != event.object->view<NodeView>().taints) {
      queue.Add(event.object->name());
    }
  }

  void OnPod(const Event& event, WorkQueue& queue) const {
    if (event.type == EventType::kDeleted) return;
    // Most nodes have no such taint: ask that first, it costs least.
    const std::string& name = event.object->view<PodView>().node_name;
    const ObjectPtr node = name.empty() ? nullptr : context_.client.cache().Get(resources::kNodes, "", name);
    if (!node || NoExecuteTaints(*node).empty()) return;
    const EvictionView& pod = event.object->view<EvictionView>();
    if (pod.over) return;
    if (event.previous) {
      const EvictionView& before = event.previous->view<EvictionView>();
      if (before.node == pod.node && before.tolerations == pod.tolerations) return;
    }
    queue.Add(name);
  }

  Task<ReconcileResult> Reconcile(std::string name) {
    ReconcileResult result;
    const ObjectPtr node = context_.client.cache().Get(resources::kNodes, "", name);
    if (!node) co_return result;
    const std::vector<Taint> taints = NoExecuteTaints(*node);
    const Time since = Since(name, taints), now = context_.clock.Now();
    auto due = std::make_shared<std::vector<ObjectPtr>>();
    for (ObjectPtr& pod : context_.client.cache().ByIndex(kIndexNodeName, name)) {
      const std::optional<Time> moment = EvictionMoment(pod->view<EvictionView>(), taints, since);
      if (!moment) continue;
      if (*moment <= now) {
        due->push_back(std::move(pod));
      } else if (result.requeue_after == Duration::zero() || *moment - now < result.requeue_after) {
        result.requeue_after = *moment - now;
      }
    }
    BatchStep step = [this, due](size_t i) { return Evict((*due)[i]); };
    result.status = co_await RunInGroups(due->size(), kWritesAtOnce, step);
    co_return result;
  }

 private:
  // Since when the node has had these taints: as they say, or as long as we have seen the first of them.
  Time Since(const std::string& node, const std::vector<Taint>& taints) {
    if (taints.empty()) {
      first_seen_.erase(node);
      return {};
    }
    const Time seen = first_seen_.try_emplace(node, context_.clock.Now()).first->second;
    Time since{};
    for (const Taint& taint : taints) {
      Time added;
      since = std::max(since, ParseTime(taint.time_added, &added) ? added : seen);
    }
    return since;
  }

  // When the pod has to go; absent = never.
  static std::optional<Time> EvictionMoment(const EvictionView& pod, const std::vector<Taint>& taints, Time since) {
    if (pod.over || taints.empty()) return std::nullopt;
    if (FindUntolerated(taints, pod.tolerations, {TaintEffect::kNoExecute})) return Time{};
    std::optional<int64_t> seconds;
    for (const Taint& taint : taints) {
      for (const Toleration& toleration : pod.tolerations) {
        if (toleration.for_ever || !toleration.Tolerates(taint)) continue;
        seconds = std::min(seconds.value_or(toleration.seconds), toleration.seconds);
      }
    }
    if (!seconds) return std::nullopt;
    return std::max(since, pod.created) + std::chrono::seconds(std::max<int64_t>(0, *seconds));
  }

  Task<Status> Evict(ObjectPtr pod) {
    events_.Normal(*pod, "TaintManagerEviction", "Marking for deletion Pod " + pod->ns() + "/" + pod->name());
    Status told = co_await TellWhy(pod);
    if (told.reason() == Reason::kNotFound) co_return Status();
    DeleteOptions options;
    options.uid_precondition = pod->uid();
    Result<ObjectPtr> gone = co_await context_.client.Delete(pod->key().resource, pod->ns(), pod->name(), options);
    const Reason reason = gone.ok() ? Reason::kOk : gone.status().reason();
    co_return reason == Reason::kOk || reason == Reason::kNotFound || reason == Reason::kConflict ? Status()
                                                                                                  : gone.status();
  }

  // The condition DisruptionTarget (KEP-3329). A failure does not save the pod.
  Task<Status> TellWhy(ObjectPtr pod) {
    Json document = *pod->json();
    Json& conditions = document["status"]["conditions"];
    if (!conditions.is_array()) conditions = Json::array();
    conditions.push_back({{"type", "DisruptionTarget"},
                          {"status", "True"},
                          {"reason", "DeletionByTaintManager"},
                          {"message", "Taint manager: deleting due to NoExecute taint"},
                          {"lastTransitionTime", FormatTime(context_.clock.Now())}});
    WriteOptions options;
    options.subresource = "status";
    Result<ObjectPtr> updated = co_await context_.client.Update(pod->key().resource, std::move(document), options);
    co_return updated.ok() ? Status() : updated.status();
  }

  RuntimeContext context_;
  EventRecorder events_;
  std::unordered_map<std::string, Time> first_seen_;  // nodes with NoExecute taints that do not say since when
};

}  // namespace

ControllerSpec TaintEvictionController(RuntimeContext context) {
  auto self = std::make_shared<TaintEvictor>(context);
  ControllerSpec spec;
  spec.name = "taint-eviction-controller";
  spec.watches = {
      {std::string(resources::kNodes), [self](const Event& event, WorkQueue& queue) { self->OnNode(event, queue); }},
      {std::string(resources::kPods), [self](const Event& event, WorkQueue& queue) { self->OnPod(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
