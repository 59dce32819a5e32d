#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// What the workload controllers look at in a pod again and again: `object->view<PodView>()`. Equal views mean that
// nothing a workload controller acts on has changed, so most status updates wake nobody.
struct PodView {
  enum class Phase : uint8_t { kPending, kRunning, kSucceeded, kFailed, kUnknown };

  PodView() = default;
  explicit PodView(const Json& pod);

  std::string node_name;    // spec.nodeName, "" while unbound
  std::string target_node;  // node_name, or the one node its required affinity pins it to; "" = any
  Phase phase = Phase::kPending;
  bool ready = false;  // condition Ready is True and the pod has not ended
  Time ready_since{};  // its lastTransitionTime
  bool deleting = false;
  Time created{};
  // What a scale-down goes by: annotation controller.kubernetes.io/pod-deletion-cost, and the most restarts of any
  // container, and of any sidecar.
  int32_t deletion_cost = 0;
  int32_t restarts = 0, sidecar_restarts = 0;
  std::string revision_hash;        // label controller-revision-hash
  std::string template_generation;  // label pod-template-generation
  std::string why;                  // why it is not ready, for people; "" when ready

  bool operator==(const PodView&) const = default;

  // Counted by its controller: neither ended nor on its way out.
  bool active() const { return !deleting && !terminal(); }
  bool terminal() const { return phase == Phase::kSucceeded || phase == Phase::kFailed; }
  // Ready for `min_ready` without a break.
  bool Available(Duration min_ready, Time now) const {
    return ready && (min_ready.count() == 0 || ready_since + min_ready <= now);
  }
};

inline constexpr char kDeletionCostAnnotation[] = "controller.kubernetes.io/pod-deletion-cost";
inline constexpr char kRevisionHashLabel[] = "controller-revision-hash";
inline constexpr char kTemplateGenerationLabel[] = "pod-template-generation";

}  // namespace wherry
