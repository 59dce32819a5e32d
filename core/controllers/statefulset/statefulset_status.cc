#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/controllers/shorten.h"
#include "core/controllers/statefulset/statefulset_plan.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr size_t kMaxMessage = 512;

}  // namespace

StatefulSetStatus ObserveStatefulSet(const StatefulSetInputs& in) {
  StatefulSetStatus out;
  out.current_revision = in.current_revision;
  out.update_revision = in.update_revision;
  for (const StatefulPod& pod : in.pods) {
    ++out.replicas;
    if (pod.view->ready) ++out.ready;
    if (pod.view->Available(in.set->min_ready, in.now)) ++out.available;
    if (pod.view->deleting) continue;
    if (pod.view->revision_hash == in.current_revision) ++out.current;
    if (pod.view->revision_hash == in.update_revision) ++out.updated;
  }
  const int64_t wanted = in.set->replicas;
  if (out.replicas == wanted && out.updated == wanted && out.ready == wanted) {
    out.current = out.updated;
    out.current_revision = out.update_revision;
  }
  return out;
}

Json StatusDocument(const StatefulSetStatus& status, const std::string& waits_for, const Json* old,
                    int64_t observed_generation, Time now) {
  Json out = {{"replicas", status.replicas},
              {"availableReplicas", status.available},
              {"collisionCount", old ? IntAt(*old, "collisionCount") : 0},
              {"currentRevision", status.current_revision},
              {"updateRevision", status.update_revision}};
  // omitempty upstream: clients take an absent number for zero.
  auto set_unless_zero = [&out](const char* field, int64_t value) {
    if (value != 0) out[field] = value;
  };
  set_unless_zero("observedGeneration", observed_generation);
  set_unless_zero("readyReplicas", status.ready);
  set_unless_zero("currentReplicas", status.current);
  set_unless_zero("updatedReplicas", status.updated);

  Json conditions = old ? At(*old, "conditions") : Json();
  if (!conditions.is_array()) conditions = Json::array();
  auto it = std::find_if(conditions.begin(), conditions.end(),
                         [](const Json& c) { return StringAt(c, "type") == kStatefulSetWaiting; });
  if (it == conditions.end() && !waits_for.empty()) {
    conditions.push_back({{"type", kStatefulSetWaiting}, {"status", ""}});
    it = conditions.end() - 1;
  }
  if (it != conditions.end()) {
    const char* value = waits_for.empty() ? "False" : "True";
    if (StringAt(*it, "status") != value) (*it)["lastTransitionTime"] = FormatTime(now);
    (*it)["status"] = value;
    (*it)["reason"] = waits_for.empty() ? "NothingToWaitFor" : "PodNotAvailable";
    it->erase("message");
    if (!waits_for.empty()) (*it)["message"] = Shorten(waits_for, kMaxMessage);
  }
  if (!conditions.empty()) out["conditions"] = std::move(conditions);
  return out;
}

}  // namespace wherry
