#include "core/controllers/statefulset/stateful_pod_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/controllers/pod_view.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

std::string LabelAt(const Json& pod, const char* label) {
  const auto& labels = MapAt(pod, "metadata.labels");
  auto it = labels.find(label);
  return it != labels.end() && it->second.is_string() ? it->second.get<std::string>() : std::string();
}

bool Stuck(const Json& pod) {
  const PodView base(pod);
  if (base.ready || base.deleting || base.terminal()) return false;
  if (base.phase == PodView::Phase::kPending) return true;
  Time started{};
  for (const Json& status : ListAt(pod, "status.containerStatuses")) {
    if (Has(status, "state.waiting") || Has(status, "state.terminated")) return true;
    Time at{};
    if (ParseTime(StringAt(status, "state.running.startedAt"), &at)) started = std::max(started, at);
  }
  // Without a container's start on record nothing can be said; ready_since is when it stopped being ready.
  return started != Time{} && base.ready_since <= started;
}

}  // namespace

StatefulPodView::StatefulPodView(const Json& pod)
    : stuck(Stuck(pod)), pod_name_label(LabelAt(pod, kPodNameLabel)), pod_index_label(LabelAt(pod, kPodIndexLabel)) {}

}  // namespace wherry
