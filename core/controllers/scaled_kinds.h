#pragma once

#include <string>
#include <string_view>

#include "core/kinds/resources.h"

namespace wherry {

// The kinds that have a scale subresource with spec.replicas behind it, and where they are kept.
struct ScaledKind {
  std::string_view kind, group, resource;
};
inline constexpr ScaledKind kScaledKinds[] = {{"ReplicaSet", "apps", resources::kReplicaSets},
                                              {"Deployment", "apps", resources::kDeployments},
                                              {"StatefulSet", "apps", resources::kStatefulSets},
                                              {"ReplicationController", "", resources::kReplicationControllers}};

// "" when the kind has no scale.
inline std::string_view ScaledResource(std::string_view group, std::string_view kind) {
  for (const ScaledKind& known : kScaledKinds) {
    if (known.kind == kind && known.group == group) return known.resource;
  }
  return {};
}

// "apps" of "apps/v1"; "" of "v1".
inline std::string GroupOfApiVersion(const std::string& api_version) {
  const size_t slash = api_version.find('/');
  return slash == std::string::npos ? std::string() : api_version.substr(0, slash);
}

}  // namespace wherry
