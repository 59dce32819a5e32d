#include "core/controllers/job/job_pod_view.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

// The number in an annotation; `absent` when there is none.
int64_t CountIn(const std::map<std::string, Json, std::less<>>& annotations, std::string_view key, int64_t absent) {
  auto it = annotations.find(key);
  if (it == annotations.end() || !it->second.is_string()) return absent;
  const std::string& text = it->second.get_ref<const std::string&>();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0 ? value : absent;
}

// When a pod that has ended, or is on its way out, did: when the last of its containers ended; else when it ceased to
// be ready; else when it was told to go, which is its grace before the moment it has to be gone; else nobody knows.
Time EndOf(const Json& pod, Time created) {
  Time ended{}, at{};
  bool all = true;
  for (const Json& status : ListAt(pod, "status.containerStatuses")) {
    all = all && ParseTime(StringAt(status, "state.terminated.finishedAt"), &at);
    if (all) ended = std::max(ended, at);
  }
  if (all && ended != Time{}) return ended;
  for (const Json& condition : ListAt(pod, "status.conditions")) {
    if (StringAt(condition, "type") != "Ready" || StringAt(condition, "status") != "False") continue;
    if (ParseTime(StringAt(condition, "lastTransitionTime"), &at)) return at;
  }
  if (!ParseTime(StringAt(pod, "metadata.deletionTimestamp"), &at)) return created;
  return at - std::chrono::seconds(IntAt(pod, "metadata.deletionGracePeriodSeconds"));
}

int Rank(JobPodView::Phase phase) {
  if (phase == JobPodView::Phase::kPending) return 0;
  return phase == JobPodView::Phase::kUnknown ? 1 : 2;
}

}  // namespace

JobPodView::JobPodView(const Json& pod) {
  const PodView common(pod);
  phase = common.phase;
  scheduled = !common.node_name.empty();
  ready = common.ready;
  if (ready) ready_since = common.ready_since;
  deleting = common.deleting;
  created = common.created;
  for (const Json& finalizer : ListAt(pod, "metadata.finalizers")) tracked |= finalizer == kJobTrackingFinalizer;
  const auto& annotations = MapAt(pod, "metadata.annotations");
  index = CountIn(annotations, kCompletionIndexKey, -1);
  index_failures = CountIn(annotations, kIndexFailureCount, 0);
  index_ignored = CountIn(annotations, kIndexIgnoredFailureCount, 0);

  for (const char* list : {"status.containerStatuses", "status.initContainerStatuses"}) {
    for (const Json& status : ListAt(pod, list)) {
      restarts += IntAt(status, "restartCount");
      const Json& state = At(status, "state.terminated");
      if (!state.is_object()) continue;
      if (const int64_t code = IntAt(state, "exitCode"); code != 0)
        exit_codes.emplace_back(StringAt(status, "name"), code);
    }
  }
  for (const Json& condition : ListAt(pod, "status.conditions")) {
    conditions.emplace_back(StringAt(condition, "type"), StringAt(condition, "status"));
  }
  if (terminal() || deleting) finished = EndOf(pod, created);
}

bool LessAdvanced(const JobPodView& a, const JobPodView& b) {
  const auto rank = [](const JobPodView& pod) { return std::tuple(pod.scheduled, Rank(pod.phase), pod.ready); };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (a.ready && a.ready_since != b.ready_since) return a.ready_since > b.ready_since;
  if (a.restarts != b.restarts) return a.restarts > b.restarts;
  return a.created > b.created;
}

}  // namespace wherry
