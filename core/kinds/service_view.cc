#include "core/kinds/service_view.h"

#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

ServiceView::Type ParseType(std::string_view type) {
  if (type == "NodePort") return ServiceView::Type::kNodePort;
  if (type == "LoadBalancer") return ServiceView::Type::kLoadBalancer;
  if (type == "ExternalName") return ServiceView::Type::kExternalName;
  return ServiceView::Type::kClusterIp;
}

}  // namespace

ServicePort::ServicePort(const Json& from)
    : name(StringAt(from, "name")),
      protocol(StringAt(from, "protocol", "TCP")),
      app_protocol(StringAt(from, "appProtocol")),
      port(static_cast<int>(IntAt(from, "port"))),
      node_port(static_cast<int>(IntAt(from, "nodePort"))) {
  const Json& target = At(from, "targetPort");
  if (target.is_string()) {
    target_name = target.get<std::string>();
  } else {
    target_port = static_cast<int>(IntAt(from, "targetPort", port));
    if (target_port == 0) target_port = port;
  }
}

ServiceView::ServiceView(const Json& service) {
  type = ParseType(StringAt(service, "spec.type"));
  cluster_ip = StringAt(service, "spec.clusterIP");
  headless = cluster_ip == "None";
  if (headless) cluster_ip.clear();
  external_name = StringAt(service, "spec.externalName");
  if (const Json& map = At(service, "spec.selector"); map.is_object() && !map.empty()) {
    has_selector = true;
    selector = LabelSelector::FromMap(map);
  }
  for (const Json& port : ListAt(service, "spec.ports")) ports.emplace_back(port);
  publish_not_ready = BoolAt(service, "spec.publishNotReadyAddresses");
  if (StringAt(service, "spec.sessionAffinity") == "ClientIP") {
    affinity_seconds = static_cast<int>(IntAt(service, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", 10800));
  }
  internal_local = StringAt(service, "spec.internalTrafficPolicy") == "Local";
  external_local = StringAt(service, "spec.externalTrafficPolicy") == "Local";
}

}  // namespace wherry
