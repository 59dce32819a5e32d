#include "core/controllers/disruption/disruption_controller.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/controllers/disruption/budget_plan.h"
#include "core/controllers/disruption/expected_scale.h"
#include "core/controllers/ownership.h"
#include "core/kinds/resources.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// Control thread only.
class Disruptions : public std::enable_shared_from_this<Disruptions> {
 public:
  explicit Disruptions(RuntimeContext context) : context_(context), events_(context, "controllermanager") {}

  Task<ReconcileResult> Reconcile(std::string key) {
    ReconcileResult result;
    const auto [ns, name] = SplitKey(key);
    const ObjectPtr budget = context_.client.cache().Get(resources::kPodDisruptionBudgets, ns, name);
    if (!budget) {
      sizes_.erase(key);
      co_return result;
    }
    const BudgetStatus status = Count(*budget);
    result.requeue_after = status.recheck_after;
    const JsonPtr document = budget->json();
    const Json* old = FindPath(*document, "status");
    Json made = StatusDocument(status, old, budget->view<BudgetView>().generation, context_.clock.Now());
    if (old && *old == made) co_return result;
    Json changed = *document;
    changed["status"] = std::move(made);
    WriteOptions options;
    options.subresource = "status";
    // With its revision: an eviction that is being granted at this moment must not be counted over.
    Result<ObjectPtr> written = co_await context_.client.Update(budget->key().resource, std::move(changed), options);
    if (!written.ok() && written.status().reason() != Reason::kNotFound) result.status = written.status();
    co_return result;
  }

  void OnBudget(const Event& event, WorkQueue& queue) { queue.Add(KeyOf(*event.object)); }

  void OnPod(const Event& event, WorkQueue& queue) {
    const MetaView& meta = event.object->view<MetaView>();
    const MetaView* before = event.previous ? &event.previous->view<MetaView>() : nullptr;
    if (event.type == EventType::kModified && before && before->labels == meta.labels) {
      const PodView &now = event.object->view<PodView>(), &was = event.previous->view<PodView>();
      if (now.ready == was.ready && now.deleting == was.deleting) return;
    }
    context_.client.cache().ForEach(resources::kPodDisruptionBudgets, event.object->ns(), [&](const ObjectPtr& budget) {
      const LabelSelector& selector = budget->view<BudgetView>().selector;
      if (selector.Matches(*meta.labels) || (before && selector.Matches(*before->labels))) {
        const std::string key = KeyOf(*budget);
        queue.AddAfter(key, Patience(key));
      }
      return true;
    });
  }

  // A workload was scaled: its budgets, whichever they are.
  void OnScaled(const Event& event, WorkQueue& queue) {
    if (event.type == EventType::kModified && event.previous &&
        event.object->view<MetaView>().generation == event.previous->view<MetaView>().generation) {
      return;
    }
    context_.client.cache().ForEach(resources::kPodDisruptionBudgets, event.object->ns(), [&](const ObjectPtr& budget) {
      if (budget->view<BudgetView>().needs_scale()) queue.Add(KeyOf(*budget));
      return true;
    });
  }

 private:
  BudgetStatus Count(const Object& budget) {
    const BudgetView& view = budget.view<BudgetView>();
    const WatchCache& cache = context_.client.cache();
    const std::vector<ObjectPtr> pods = PodsMatching(cache, budget.ns(), view.selector);
    sizes_[KeyOf(budget)] = pods.size();
    BudgetInputs in;
    in.budget = &view;
    in.now = context_.clock.Now();
    for (const ObjectPtr& pod : pods) in.pods.push_back({pod->name(), &pod->view<PodView>()});
    if (pods.empty()) events_.Normal(budget, "NoPods", "No matching pods found");
    if (view.needs_scale()) {
      Result<ExpectedScale> scale = FindExpectedScale(cache, pods);
      if (!scale.ok()) {
        events_.Warning(budget, "CalculateExpectedPodCountFailed",
                        "Failed to calculate the number of expected pods: " + scale.status().message());
        BudgetStatus failed;
        failed.failure = scale.status().message();
        return failed;
      }
      if (!scale->unmanaged.empty()) {
        events_.Warning(budget, "UnmanagedPods",
                        "Pods selected by this PodDisruptionBudget (selector: " + view.selector.ToString() +
                            ") were found to be unmanaged. As a result, the status of the PDB cannot be calculated "
                            "correctly, which may result in undefined behavior. To account for these pods please set "
                            "\".spec.minAvailable\" field of the PDB to an integer value.");
      }
      in.scale = scale->scale;
    }
    BudgetStatus status = PlanBudget(in);
    for (const std::string& name : status.not_deleted) {
      if (const ObjectPtr pod = cache.Get(resources::kPods, budget.ns(), name)) {
        events_.Warning(*pod, "NotDeleted",
                        "Pod was expected by PDB " + KeyOf(budget) + " to be deleted but it wasn't");
      }
    }
    return status;
  }

  // A budget over thousands of pods is counted some twenty times a second at most.
  Duration Patience(const std::string& key) const {
    auto it = sizes_.find(key);
    if (it == sizes_.end() || it->second < 100) return Duration(0);
    return std::min<Duration>(std::chrono::milliseconds(50), std::chrono::microseconds(10) * it->second);
  }

  RuntimeContext context_;
  EventRecorder events_;
  std::unordered_map<std::string, size_t> sizes_;  // pods of each budget when it was last counted
};

}  // namespace

ControllerSpec DisruptionController(RuntimeContext context) {
  auto self = std::make_shared<Disruptions>(context);
  auto on = [&self](void (Disruptions::*handler)(const Event&, WorkQueue&)) {
    return [self, handler](const Event& event, WorkQueue& queue) { ((*self).*handler)(event, queue); };
  };
  ControllerSpec spec;
  spec.name = "disruption-controller";
  spec.watches = {{std::string(resources::kPodDisruptionBudgets), on(&Disruptions::OnBudget)},
                  {std::string(resources::kPods), on(&Disruptions::OnPod)},
                  {std::string(resources::kDeployments), on(&Disruptions::OnScaled)},
                  {std::string(resources::kReplicaSets), on(&Disruptions::OnScaled)},
                  {std::string(resources::kReplicationControllers), on(&Disruptions::OnScaled)},
                  {std::string(resources::kStatefulSets), on(&Disruptions::OnScaled)}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
