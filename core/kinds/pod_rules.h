#pragma once

#include <map>
#include <string>

#include "core/kinds/kind.h"
#include "core/kinds/quantity.h"

namespace wherry {

using ResourceList = std::map<std::string, Quantity, std::less<>>;

// What a pod asks of its node: the larger of its containers together and any of its init containers, sidecars counting
// with both (KEP-753), plus overhead (KEP-688). Container requests are taken as they are: defaulting has made them from
// limits.
ResourceList PodRequests(const Json& pod);
// What a pod may use at most, by the same rule; containers without a limit count as none.
ResourceList PodLimits(const Json& pod);
// A ResourceList field ({"cpu":"100m"}) parsed; quantities that do not parse are left out.
ResourceList ParseResources(const Json& resources);

// Guaranteed, Burstable or BestEffort, by the cpu and memory of every container.
std::string QosClass(const Json& pod);

// "Always" for an image whose tag is absent or "latest", else "IfNotPresent".
std::string DefaultPullPolicy(std::string_view image);

}  // namespace wherry
