#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/node_lifecycle.h"
#include "core/controllers/node_view.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kWritesAtOnce = 128;
// A pod may name its node a little before the node is there.
constexpr Duration kQuarantine = std::chrono::seconds(40);
// How often the pods that ended are counted while more of them end.
constexpr Duration kCountEvery = std::chrono::seconds(20);
// The key of that count; no node has such a name.
constexpr char kFinished[] = "finished pods/";
// Somebody vouches that nothing runs on the node any more (KEP-2268).
constexpr char kTaintOutOfService[] = "node.kubernetes.io/out-of-service";

bool IsOutOfService(const Object& node) {
  const NodeView& view = node.view<NodeView>();
  return view.ready != "True" && std::any_of(view.taints.begin(), view.taints.end(),
                                             [](const Taint& taint) { return taint.key == kTaintOutOfService; });
}

struct EndView {
  explicit EndView(const Json& pod)
      : finished(StringAt(pod, "status.phase") == "Succeeded" || StringAt(pod, "status.phase") == "Failed"),
        evicted(StringAt(pod, "status.reason") == "Evicted"),
        deleting(FindPath(pod, "metadata.deletionTimestamp") != nullptr) {
    ParseTime(StringAt(pod, "metadata.creationTimestamp"), &created);
  }
  bool finished, evicted, deleting;
  Time created{};
};

class PodGarbage : public std::enable_shared_from_this<PodGarbage> {
 public:
  PodGarbage(RuntimeContext context, size_t finished_kept) : context_(context), finished_kept_(finished_kept) {}

  static void OnNode(const Event& event, WorkQueue& queue) {
    const bool gone = event.type == EventType::kDeleted;
    const bool news = gone || !event.previous || !IsOutOfService(*event.previous);
    if (gone || (news && IsOutOfService(*event.object))) queue.Add(event.object->name());
  }

  void OnPod(const Event& event, WorkQueue& queue) const {
    if (event.type == EventType::kDeleted) return;
    const bool ended = event.object->view<EndView>().finished && !event.object->view<EndView>().deleting;
    if (ended && !(event.previous && event.previous->view<EndView>().finished)) queue.AddAfter(kFinished, kCountEvery);
    const std::string& node = event.object->view<PodView>().node_name;
    if (node.empty()) return;
    const PodView* before = event.previous ? &event.previous->view<PodView>() : nullptr;
    const bool placed = !before || before->node_name != node;
    const bool told_to_go = event.object->view<PodView>().deleting && !(before && before->deleting);
    if (!placed && !told_to_go) return;
    const ObjectPtr there = context_.client.cache().Get(resources::kNodes, "", node);
    if (!there && placed) queue.AddAfter(node, kQuarantine);
    if (there && told_to_go && IsOutOfService(*there)) queue.Add(node);
  }

  Task<ReconcileResult> Reconcile(std::string node) {
    ReconcileResult result;
    if (node == kFinished) {
      result.status = co_await Thin();
      co_return result;
    }
    const ObjectPtr there = context_.client.cache().Get(resources::kNodes, "", node);
    if (there && !IsOutOfService(*there)) co_return result;
    auto pods = std::make_shared<std::vector<ObjectPtr>>(context_.client.cache().ByIndex(kIndexNodeName, node));
    // Of a node that is out of service only those go that were told to.
    if (there) std::erase_if(*pods, [](const ObjectPtr& pod) { return !pod->view<PodView>().deleting; });
    BatchStep step = [this, pods, disrupted = !there](size_t i) { return RemoveOrphan((*pods)[i], disrupted); };
    result.status = co_await RunInGroups(pods->size(), kWritesAtOnce, step);
    co_return result;
  }

 private:
  // The oldest of the pods that ended, those beyond what is kept.
  Task<Status> Thin() {
    auto pods = std::make_shared<std::vector<ObjectPtr>>();
    context_.client.cache().ForEach(resources::kPods, {}, [&](const ObjectPtr& pod) {
      if (pod->view<EndView>().finished && !pod->view<EndView>().deleting) pods->push_back(pod);
      return true;
    });
    if (pods->size() <= finished_kept_) co_return Status();
    std::stable_sort(pods->begin(), pods->end(), [](const ObjectPtr& a, const ObjectPtr& b) {
      const EndView &left = a->view<EndView>(), &right = b->view<EndView>();
      return left.evicted != right.evicted ? left.evicted : left.created < right.created;
    });
    pods->resize(pods->size() - finished_kept_);
    BatchStep step = [this, pods](size_t i) { return Remove((*pods)[i]); };
    Status removed = co_await RunInGroups(pods->size(), kWritesAtOnce, step);
    co_return removed;
  }

  // `disrupted`: its end is nobody's wish.
  Task<Status> RemoveOrphan(ObjectPtr pod, bool disrupted) {
    if (!pod->view<EndView>().finished) {
      // Whoever counts ends (a Job) must see this one. A failure does not save the pod.
      Json patch = {{"metadata", {{"uid", pod->uid()}}}, {"status", {{"phase", "Failed"}}}};
      if (disrupted) {
        patch["status"]["conditions"].push_back({{"type", "DisruptionTarget"},
                                                 {"status", "True"},
                                                 {"reason", "DeletionByPodGC"},
                                                 {"message", "PodGC: node no longer exists"},
                                                 {"lastTransitionTime", FormatTime(context_.clock.Now())}});
      }
      WriteOptions options;
      options.subresource = "status";
      Result<ObjectPtr> told = co_await context_.client.Patch(std::string(resources::kPods), pod->ns(), pod->name(),
                                                              PatchType::kStrategic, std::move(patch), options);
      if (told.status().reason() == Reason::kNotFound) co_return Status();
    }
    Status removed = co_await Remove(pod);
    co_return removed;
  }

  Task<Status> Remove(ObjectPtr pod) {
    DeleteOptions options;
    options.grace_period_seconds = 0;
    options.uid_precondition = pod->uid();
    Result<ObjectPtr> gone = co_await context_.client.Delete(pod->key().resource, pod->ns(), pod->name(), options);
    const Reason reason = gone.ok() ? Reason::kOk : gone.status().reason();
    if (reason == Reason::kNotFound || reason == Reason::kConflict) co_return Status();
    co_return gone.ok() ? Status() : gone.status();
  }

  RuntimeContext context_;
  const size_t finished_kept_;
};

}  // namespace

ControllerSpec PodGarbageController(RuntimeContext context, size_t finished_kept) {
  auto self = std::make_shared<PodGarbage>(context, finished_kept);
  ControllerSpec spec;
  spec.name = "pod-garbage-collector";
  spec.watches = {
      {std::string(resources::kNodes), PodGarbage::OnNode},
      {std::string(resources::kPods), [self](const Event& event, WorkQueue& queue) { self->OnPod(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
