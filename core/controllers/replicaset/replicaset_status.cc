#include "core/controllers/replicaset/replicaset_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/shorten.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr char kReplicaFailure[] = "ReplicaFailure";
constexpr size_t kMaxMessage = 1024;

}  // namespace

Json ReplicaSetStatusDocument(const ReplicaSetStatus& status, bool counts_terminating,
                              const std::optional<ReplicaFailure>& failure, const Json* old,
                              int64_t observed_generation, Time now) {
  Json out = {{"replicas", status.replicas}};
  // omitempty upstream: clients take an absent number for zero.
  auto set_unless_zero = [&out](const char* field, int64_t value) {
    if (value != 0) out[field] = value;
  };
  set_unless_zero("fullyLabeledReplicas", status.fully_labeled);
  set_unless_zero("readyReplicas", status.ready);
  set_unless_zero("availableReplicas", status.available);
  set_unless_zero("observedGeneration", observed_generation);
  if (counts_terminating) out["terminatingReplicas"] = status.terminating;

  Json conditions = old ? At(*old, "conditions") : Json();
  if (!conditions.is_array()) conditions = Json::array();
  auto& list = conditions.get_ref<Json::array_t&>();
  auto is_failure = [](const Json& condition) { return StringAt(condition, "type") == kReplicaFailure; };
  if (!failure) {
    std::erase_if(list, is_failure);
  } else if (std::none_of(list.begin(), list.end(), is_failure)) {
    list.push_back({{"type", kReplicaFailure},
                    {"status", "True"},
                    {"reason", failure->reason},
                    {"message", Shorten(failure->message, kMaxMessage)},
                    {"lastTransitionTime", FormatTime(now)}});
  }
  if (!list.empty()) out["conditions"] = std::move(conditions);
  return out;
}

}  // namespace wherry
