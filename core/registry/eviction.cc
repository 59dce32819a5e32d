#include "core/registry/eviction.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "core/kinds/resources.h"
#include "core/kinds/selector.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

bool NeedsLeave(const Object& pod) {
  const JsonPtr document = pod.json();
  const std::string phase = StringAt(*document, "status.phase");
  return phase != "Succeeded" && phase != "Failed" && phase != "Pending" && !pod.view<MetaView>().deleting();
}

Status Refused(const std::string& pod, const std::string& budget, const std::string& why, int retry_after) {
  StatusDetails details;
  details.name = pod;
  details.kind = "pods";
  details.retry_after_seconds = retry_after;
  details.causes.push_back({"DisruptionBudget", "The disruption budget " + budget + " " + why, ""});
  return Status(Reason::kTooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.",
                std::move(details));
}

}  // namespace

Task<Status> SpendDisruption(Registry& registry, ObjectPtr pod, RequestContext context) {
  if (!NeedsLeave(*pod)) co_return Status();
  std::vector<ObjectPtr> budgets;
  registry.cache().ForEach(resources::kPodDisruptionBudgets, pod->ns(), [&](const ObjectPtr& budget) {
    const JsonPtr document = budget->json();
    const Json* selector = FindPath(*document, "spec.selector");
    if (!selector) return true;
    Result<LabelSelector> parsed = LabelSelector::FromJson(*selector);
    if (parsed.ok() && parsed->Matches(pod->view<MetaView>().labels)) budgets.push_back(budget);
    return true;
  });
  if (budgets.empty()) co_return Status();
  if (budgets.size() > 1) {
    co_return Status::Internal(
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
  }
  const std::string name = pod->name();
  const std::string budget = budgets[0]->name();
  const std::string now = FormatTime(registry.clock().Now());
  auto spend = [name, budget, now](Json& object) -> Status {
    if (IntAt(object, "status.observedGeneration") < IntAt(object, "metadata.generation")) {
      return Refused(name, budget, "is still being processed by the server.", 10);
    }
    const int64_t allowed = IntAt(object, "status.disruptionsAllowed");
    if (allowed <= 0) {
      return Refused(name, budget,
                     "needs " + std::to_string(IntAt(object, "status.desiredHealthy")) + " healthy pods and has " +
                         std::to_string(IntAt(object, "status.currentHealthy")) + " currently",
                     0);
    }
    object["status"]["disruptionsAllowed"] = allowed - 1;
    object["status"]["disruptedPods"][name] = now;
    return {};
  };
  const Kind* kind = registry.catalog().FindResource(resources::kPodDisruptionBudgets);
  Result<ObjectPtr> spent =
      co_await registry.Modify(*kind, pod->ns(), budget, "status", std::move(spend), std::move(context));
  co_return spent.status();
}

}  // namespace wherry
