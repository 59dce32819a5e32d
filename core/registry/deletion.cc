#include "core/registry/deletion.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// How kinds differ in their going. Kinds without a row go at once unless finalizers hold them.
struct DeletionRule {
  std::string_view resource;
  int64_t (*grace)(const Json& object, std::optional<int64_t> asked);  // seconds
  void (*begin)(Json& object);                                         // marks beyond deletionTimestamp
  bool (*held)(const Json& object);                                    // by other things than metadata.finalizers
  bool orphans = false;                                                // dependents stay when nobody says otherwise
};

int64_t PodGrace(const Json& pod, std::optional<int64_t> asked) {
  const std::string phase = StringAt(pod, "status.phase");
  if (StringAt(pod, "spec.nodeName").empty() || phase == "Succeeded" || phase == "Failed") return 0;
  const int64_t grace = asked ? *asked : IntAt(pod, "spec.terminationGracePeriodSeconds", 30);
  return grace < 0 ? 1 : grace;
}

void NamespaceBegins(Json& ns) { ns["status"]["phase"] = "Terminating"; }

bool NamespaceHeld(const Json& ns) {
  const Json* finalizers = FindPath(ns, "spec.finalizers");
  return finalizers && finalizers->is_array() && !finalizers->empty();
}

constexpr DeletionRule kRules[] = {
    {resources::kPods, PodGrace, nullptr, nullptr},
    {resources::kNamespaces, nullptr, NamespaceBegins, NamespaceHeld},
    // As batch/v1 promises; kubectl always says what it wants.
    {resources::kJobs, nullptr, nullptr, nullptr, true},
};

const DeletionRule* RuleOf(const Kind& kind) {
  auto it = std::find_if(std::begin(kRules), std::end(kRules),
                         [&](const auto& rule) { return rule.resource == kind.resource; });
  return it == std::end(kRules) ? nullptr : it;
}

bool HasFinalizers(const Json& object) {
  const Json* finalizers = FindPath(object, "metadata.finalizers");
  return finalizers && finalizers->is_array() && !finalizers->empty();
}

// What becomes of the dependents: as asked, else as an earlier call asked, else as is usual for the kind.
Propagation EffectivePropagation(const DeletionRule* rule, const Json& object, const DeleteOptions& options) {
  if (options.propagation != Propagation::kDefault || !rule || !rule->orphans) return options.propagation;
  for (const Json& finalizer : ListAt(object, "metadata.finalizers")) {
    if (finalizer == kFinalizerForeground || finalizer == kFinalizerOrphan) return Propagation::kDefault;
  }
  return Propagation::kOrphan;
}

void SetFinalizer(Json& object, std::string_view name, bool present) {
  Json& metadata = object["metadata"];
  Json finalizers = metadata.value("finalizers", Json::array());
  auto it = std::find(finalizers.begin(), finalizers.end(), std::string(name));
  if (present && it == finalizers.end()) finalizers.push_back(std::string(name));
  if (!present && it != finalizers.end()) finalizers.erase(it);
  if (finalizers.empty()) {
    metadata.erase("finalizers");
  } else {
    metadata["finalizers"] = std::move(finalizers);
  }
}

}  // namespace

bool Removable(const Kind& kind, const Json& object) {
  if (!FindPath(object, "metadata.deletionTimestamp")) return false;
  if (HasFinalizers(object) || IntAt(object, "metadata.deletionGracePeriodSeconds") > 0) return false;
  const DeletionRule* rule = RuleOf(kind);
  return !(rule && rule->held && rule->held(object));
}

DeletionPlan PlanDeletion(const Kind& kind, const Json& current, const DeleteOptions& options, Time now) {
  DeletionPlan plan;
  plan.object = current;
  Json& object = plan.object;
  const DeletionRule* rule = RuleOf(kind);

  const Propagation propagation = EffectivePropagation(rule, current, options);
  if (propagation == Propagation::kForeground) {
    SetFinalizer(object, kFinalizerOrphan, false);
    SetFinalizer(object, kFinalizerForeground, true);
  } else if (propagation == Propagation::kOrphan) {
    SetFinalizer(object, kFinalizerForeground, false);
    SetFinalizer(object, kFinalizerOrphan, true);
  } else if (propagation == Propagation::kBackground) {
    SetFinalizer(object, kFinalizerForeground, false);
    SetFinalizer(object, kFinalizerOrphan, false);
  }

  int64_t grace = rule && rule->grace ? rule->grace(object, options.grace_period_seconds) : 0;
  Json& metadata = object["metadata"];
  const bool deleting = metadata.contains("deletionTimestamp");
  if (deleting) {
    // A repeated delete may only shorten the grace.
    const int64_t before = IntAt(metadata, "deletionGracePeriodSeconds");
    Time deadline;
    if (options.grace_period_seconds && grace < before &&
        ParseTime(StringAt(metadata, "deletionTimestamp"), &deadline)) {
      deadline -= std::chrono::seconds(before - grace);
      metadata["deletionTimestamp"] = FormatTime(std::max(deadline, Time{}));
      metadata["deletionGracePeriodSeconds"] = grace;
    } else {
      grace = before;
    }
  } else {
    metadata["deletionTimestamp"] = FormatTime(now + std::chrono::seconds(grace));
    metadata["deletionGracePeriodSeconds"] = grace;
    if (kind.has_generation) metadata["generation"] = IntAt(metadata, "generation") + 1;
    if (rule && rule->begin) rule->begin(object);
  }
  plan.remove = Removable(kind, object);
  plan.changed = object != current;
  return plan;
}

}  // namespace wherry
