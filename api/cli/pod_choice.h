#pragma once

#include <string>
#include <vector>

#include "store/json.h"

namespace wherry::cli {

// The label selector, as a query takes it, of the pods that belong to an object: a workload's spec.selector
// (matchLabels and matchExpressions) or a Service's plain map. "" when it has none.
std::string PodSelector(const Json& object);

// The pod whose log says most about a workload: a ready one before others, the newest among equals.
// REQUIRES: `pods` is a non-empty array.
Json ChoosePod(const Json& pods);

// The containers of a pod, init containers last.
std::vector<std::string> ContainerNames(const Json& pod);
// The one that the annotation kubectl.kubernetes.io/default-container names, else the first.
std::string DefaultContainer(const Json& pod);

}  // namespace wherry::cli
