#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/node_lifecycle.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

constexpr size_t kWritesAtOnce = 128;
// A pod may name its node a little before the node is there.
constexpr Duration kQuarantine = std::chrono::seconds(40);

class PodGarbage : public std::enable_shared_from_this<PodGarbage> {
 public:
  explicit PodGarbage(RuntimeContext context) : context_(context) {}

  void OnPod(const Event& event, WorkQueue& queue) const {
    if (event.type == EventType::kDeleted) return;
    const std::string& node = event.object->view<PodView>().node_name;
    if (node.empty() || (event.previous && event.previous->view<PodView>().node_name == node)) return;
    if (!context_.client.cache().Get(resources::kNodes, "", node)) queue.AddAfter(node, kQuarantine);
  }

  Task<ReconcileResult> Reconcile(std::string node) {
    ReconcileResult result;
    if (context_.client.cache().Get(resources::kNodes, "", node)) co_return result;
    auto pods = std::make_shared<std::vector<ObjectPtr>>(context_.client.cache().ByIndex(kIndexNodeName, node));
    BatchStep step = [this, pods](size_t i) { return Remove((*pods)[i]); };
    result.status = co_await RunInGroups(pods->size(), kWritesAtOnce, step);
    co_return result;
  }

 private:
  // Nobody is left to say how the pod ended, so it has failed: whoever waits for its end (a Job) learns it. The
  // condition DisruptionTarget says that it is not to blame (KEP-3329). A refusal does not save the pod.
  Task<Status> MarkFailed(ObjectPtr pod) {
    Json document = *pod->json();
    Json& status = document["status"];
    status["phase"] = "Failed";
    Json& conditions = status["conditions"];
    if (!conditions.is_array()) conditions = Json::array();
    std::erase_if(conditions.get_ref<Json::array_t&>(),
                  [](const Json& condition) { return StringAt(condition, "type") == "DisruptionTarget"; });
    conditions.push_back({{"type", "DisruptionTarget"},
                          {"status", "True"},
                          {"reason", "DeletionByPodGC"},
                          {"message", "PodGC: node no longer exists"},
                          {"lastTransitionTime", FormatTime(context_.clock.Now())}});
    WriteOptions options;
    options.subresource = "status";
    Result<ObjectPtr> updated = co_await context_.client.Update(pod->key().resource, std::move(document), options);
    co_return updated.ok() ? Status() : updated.status();
  }

  Task<Status> Remove(ObjectPtr pod) {
    if (!pod->view<PodView>().terminal()) {
      const Status marked = co_await MarkFailed(pod);
      if (marked.reason() == Reason::kNotFound) co_return Status();
    }
    DeleteOptions options;
    options.grace_period_seconds = 0;
    options.uid_precondition = pod->uid();
    Result<ObjectPtr> gone = co_await context_.client.Delete(pod->key().resource, pod->ns(), pod->name(), options);
    const Reason reason = gone.ok() ? Reason::kOk : gone.status().reason();
    if (reason == Reason::kNotFound || reason == Reason::kConflict) co_return Status();
    co_return gone.ok() ? Status() : gone.status();
  }

  RuntimeContext context_;
};

}  // namespace

ControllerSpec PodGarbageController(RuntimeContext context) {
  auto self = std::make_shared<PodGarbage>(context);
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
