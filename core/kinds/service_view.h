#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/kinds/selector.h"
#include "store/json.h"

namespace wherry {

// One of spec.ports. `target_name` is a container port's name; when it is "", `target_port` counts.
struct ServicePort {
  std::string name, protocol, app_protocol;
  int port = 0, target_port = 0, node_port = 0;
  std::string target_name;

  explicit ServicePort(const Json& port);
};

// What everybody who serves a Service reads of it: `object->view<ServiceView>()`.
struct ServiceView {
  enum class Type : uint8_t { kClusterIp, kNodePort, kLoadBalancer, kExternalName };

  explicit ServiceView(const Json& service);

  Type type = Type::kClusterIp;
  std::string cluster_ip;  // "" while none is given, and for headless ones
  bool headless = false;
  std::string external_name;
  bool has_selector = false;  // without one, people keep the Endpoints themselves
  LabelSelector selector;
  std::vector<ServicePort> ports;
  bool publish_not_ready = false;
  int affinity_seconds = 0;  // sessionAffinity ClientIP: how long; 0 = none
  bool internal_local = false, external_local = false;

  bool has_node_ports() const { return type == Type::kNodePort || type == Type::kLoadBalancer; }
};

// On every EndpointSlice: whose it is.
inline constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";
// The cache's index of slices by it, "namespace/name".
inline constexpr std::string_view kIndexServiceName = "service-name";

}  // namespace wherry
