#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/node_lifecycle.h"
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

  void OnPod(const Event& event, WorkQueue& queue) const {
    if (event.type == EventType::kDeleted) return;
    const bool ended = event.object->view<EndView>().finished && !event.object->view<EndView>().deleting;
    if (ended && !(event.previous && event.previous->view<EndView>().finished)) queue.AddAfter(kFinished, kCountEvery);
    const std::string& node = event.object->view<PodView>().node_name;
    if (node.empty() || (event.previous && event.previous->view<PodView>().node_name == node)) return;
    if (!context_.client.cache().Get(resources::kNodes, "", node)) queue.AddAfter(node, kQuarantine);
  }

  Task<ReconcileResult> Reconcile(std::string node) {
    ReconcileResult result;
    if (node == kFinished) {
      result.status = co_await Thin();
      co_return result;
    }
    if (context_.client.cache().Get(resources::kNodes, "", node)) co_return result;
    auto pods = std::make_shared<std::vector<ObjectPtr>>(context_.client.cache().ByIndex(kIndexNodeName, node));
    BatchStep step = [this, pods](size_t i) { return RemoveOrphan((*pods)[i]); };
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

  Task<Status> RemoveOrphan(ObjectPtr pod) {
    if (!pod->view<EndView>().finished) {
      // Whoever counts ends (a Job) must see this one. A failure does not save the pod.
      Json condition = {{"type", "DisruptionTarget"},
                        {"status", "True"},
                        {"reason", "DeletionByPodGC"},
                        {"message", "PodGC: node no longer exists"},
                        {"lastTransitionTime", FormatTime(context_.clock.Now())}};
      Json patch = {{"metadata", {{"uid", pod->uid()}}},
                    {"status", {{"phase", "Failed"}, {"conditions", Json::array({std::move(condition)})}}}};
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
      {std::string(resources::kNodes),
       [](const Event& event, WorkQueue& queue) {
         if (event.type == EventType::kDeleted) queue.Add(event.object->name());
       }},
      {std::string(resources::kPods), [self](const Event& event, WorkQueue& queue) { self->OnPod(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
