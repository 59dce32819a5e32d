#include "core/registry/eviction.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/kinds/resources.h"
#include "core/kinds/selector.h"
#include "core/registry/admission.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// More evictions that have not shown yet than this, and something is wrong.
constexpr size_t kMaxDisruptedPods = 2000;

const Json* Condition(const Json& object, std::string_view type) {
  for (const Json& condition : ListAt(object, "status.conditions")) {
    if (StringAt(condition, "type") == type) return &condition;
  }
  return nullptr;
}

bool NeedsLeave(const Object& pod) {
  const JsonPtr document = pod.json();
  const std::string& phase = StringAt(*document, "status.phase");
  return phase != "Succeeded" && phase != "Failed" && phase != "Pending" && !pod.view<MetaView>().deleting();
}

Status Refused(std::string why, int retry_after) {
  StatusDetails details;
  details.retry_after_seconds = retry_after;
  details.causes.push_back({"DisruptionBudget", std::move(why), ""});
  return Status(Reason::kTooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.",
                std::move(details));
}

std::vector<ObjectPtr> BudgetsOf(const WatchCache& cache, const Object& pod) {
  std::vector<ObjectPtr> out;
  const Labels& labels = *pod.view<MetaView>().labels;
  cache.ForEach(resources::kPodDisruptionBudgets, pod.ns(), [&](const ObjectPtr& budget) {
    const JsonPtr document = budget->json();
    const Json* selector = FindPath(*document, "spec.selector");
    if (!selector) return true;
    Result<LabelSelector> parsed = LabelSelector::FromJson(*selector);
    if (parsed.ok() && parsed->Matches(labels)) out.push_back(budget);
    return true;
  });
  return out;
}

// A pod that is not ready costs the budget nothing: it may go when the rest is healthy enough (IfHealthyBudget, also
// when nothing is said), or always (AlwaysAllow).
bool MayGoUnhealthy(const Json& pod, const Json& budget) {
  const Json* ready = Condition(pod, "Ready");
  if (ready && StringAt(*ready, "status") == "True") return false;
  if (StringAt(budget, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow") return true;
  const int64_t desired = IntAt(budget, "status.desiredHealthy");
  return desired > 0 && IntAt(budget, "status.currentHealthy") >= desired;
}

// Takes one disruption from the budget's document, in the name of `pod`.
Status Spend(const Kind& kind, const std::string& pod, Time now, Json& budget) {
  const std::string name = StringAt(budget, "metadata.name");
  if (IntAt(budget, "status.observedGeneration") < IntAt(budget, "metadata.generation")) {
    return Refused("The disruption budget " + name + " is still being processed by the server.", 10);
  }
  const int64_t allowed = IntAt(budget, "status.disruptionsAllowed");
  if (allowed < 0) return Forbidden(kind, name, "pdb disruptions allowed is negative");
  if (MapAt(budget, "status.disruptedPods").size() > kMaxDisruptedPods) {
    return Forbidden(kind, name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
  }
  if (allowed == 0) {
    const Json* condition = Condition(budget, "DisruptionAllowed");
    if (condition && StringAt(*condition, "status") == "False" && StringAt(*condition, "reason") == "SyncFailed") {
      return Refused(
          "The disruption budget " + name +
              " does not allow evicting pods currently because it failed sync: " + StringAt(*condition, "message"),
          0);
    }
    return Refused("The disruption budget " + name + " needs " +
                       std::to_string(IntAt(budget, "status.desiredHealthy")) + " healthy pods and has " +
                       std::to_string(IntAt(budget, "status.currentHealthy")) + " currently",
                   0);
  }
  budget["status"]["disruptionsAllowed"] = allowed - 1;
  budget["status"]["disruptedPods"][pod] = FormatTime(now);
  if (allowed > 1 || !At(budget, "status.conditions").is_array()) return {};
  for (Json& condition : budget["status"]["conditions"]) {
    if (StringAt(condition, "type") != "DisruptionAllowed") continue;
    condition["status"] = "False";
    condition["reason"] = "InsufficientPods";
    condition["lastTransitionTime"] = FormatTime(now);
  }
  return {};
}

// Asks the budget that covers the pod.
Task<Status> SpendDisruption(Registry& registry, ObjectPtr pod, RequestContext context) {
  if (!NeedsLeave(*pod)) co_return Status();
  const std::vector<ObjectPtr> budgets = BudgetsOf(registry.cache(), *pod);
  if (budgets.empty()) co_return Status();
  if (budgets.size() > 1) {
    co_return Status::Internal(
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
  }
  const JsonPtr document = pod->json(), budget = budgets[0]->json();
  if (MayGoUnhealthy(*document, *budget)) co_return Status();
  const Kind* kind = registry.catalog().FindResource(resources::kPodDisruptionBudgets);
  // Read, decided and written as one; begun again when another write came first.
  auto spend = [kind, name = pod->name(), now = registry.clock().Now()](Json& object) {
    return Spend(*kind, name, now, object);
  };
  Result<ObjectPtr> spent =
      co_await registry.Modify(*kind, pod->ns(), budgets[0]->name(), "status", std::move(spend), std::move(context));
  co_return spent.status();
}

}  // namespace

Task<Result<ObjectPtr>> Evict(Registry& registry, ObjectPtr pod, DeleteOptions options, RequestContext context) {
  if (!options.uid_precondition.empty() && options.uid_precondition != pod->uid()) {
    // Told before anything is spent.
    co_return Status::Conflict("pods", "", pod->name(),
                               "the UID in the precondition (" + options.uid_precondition +
                                   ") does not match the UID in record (" + pod->uid() +
                                   "). The object might have been deleted and then recreated");
  }
  options.uid_precondition = pod->uid();
  Status allowed = co_await SpendDisruption(registry, pod, context);
  if (!allowed.ok()) co_return allowed;
  const Kind* kind = registry.catalog().FindResource(resources::kPods);
  if (!context.dry_run && !pod->view<MetaView>().deleting()) {
    auto mark = [uid = pod->uid(), now = FormatTime(registry.clock().Now())](Json& object) -> Status {
      if (StringAt(object, "metadata.uid") != uid) return Status(Reason::kConflict, "the pod was replaced");
      Json& conditions = object["status"]["conditions"];
      if (!conditions.is_array()) conditions = Json::array();
      std::erase_if(conditions.get_ref<Json::array_t&>(),
                    [](const Json& condition) { return StringAt(condition, "type") == "DisruptionTarget"; });
      conditions.push_back({{"type", "DisruptionTarget"},
                            {"status", "True"},
                            {"reason", "EvictionByEvictionAPI"},
                            {"message", "Eviction API: evicting"},
                            {"lastTransitionTime", now}});
      return {};
    };
    Result<ObjectPtr> marked =
        co_await registry.Modify(*kind, pod->ns(), pod->name(), "status", std::move(mark), context);
    if (!marked.ok()) co_return marked.status();
  }
  Result<ObjectPtr> deleted =
      co_await registry.Delete(*kind, pod->ns(), pod->name(), std::move(options), std::move(context), nullptr);
  co_return deleted;
}

}  // namespace wherry
