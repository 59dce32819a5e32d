#pragma once

#include <string>

#include "store/json.h"

namespace wherry {

// What the StatefulSet planner looks at in a pod beside PodView: `object->view<StatefulPodView>()`.
struct StatefulPodView {
  StatefulPodView() = default;
  explicit StatefulPodView(const Json& pod);

  // The pod does not serve and shows no sign that it ever will: it has not started, a container of it is down, or it
  // has not been ready since its containers last started. (One that was ready and is not now may only be busy.)
  bool stuck = false;
  std::string pod_name_label, pod_index_label;

  bool operator==(const StatefulPodView&) const = default;
};

inline constexpr char kPodNameLabel[] = "statefulset.kubernetes.io/pod-name";
inline constexpr char kPodIndexLabel[] = "apps.kubernetes.io/pod-index";

}  // namespace wherry
