#include "core/network/plan_rule.h"

#include <algorithm>
#include <utility>

namespace wherry {
namespace {

constexpr uint32_t kLocalhost = 0x7f000001;
constexpr int kFirstUnprivileged = 1024;

bool Going(const SliceView::Endpoint& endpoint, const RuleInputs& inputs) {
  return endpoint.terminating ||
         (inputs.is_going && !endpoint.pod.empty() && inputs.is_going(endpoint.pod, endpoint.pod_uid));
}

std::vector<Backend> BackendsOf(const ServiceView& service, const ServicePort& port, const RuleInputs& inputs) {
  std::vector<Backend> out;
  for (const SliceView* slice : inputs.slices) {
    for (const SliceView::Port& offered : slice->ports) {
      if (offered.name != port.name || offered.protocol != port.protocol || offered.port == 0) continue;
      for (const SliceView::Endpoint& endpoint : slice->endpoints) {
        int number = offered.port;
        if (!endpoint.pod.empty() && number < kFirstUnprivileged) number += inputs.privileged_port_offset;
        const bool going = Going(endpoint, inputs);
        Backend backend{endpoint.address, static_cast<uint16_t>(number), endpoint.node,
                        endpoint.ready && (!going || service.publish_not_ready), endpoint.serving};
        if (backend.ready || backend.serving) out.push_back(std::move(backend));
      }
    }
  }
  // In one order, whatever the slices' is, so that an unchanged Service gives an equal rule.
  std::sort(out.begin(), out.end(), [](const Backend& a, const Backend& b) {
    return std::pair(a.address, a.port) < std::pair(b.address, b.port);
  });
  const auto same = [](const Backend& a, const Backend& b) { return a.address == b.address && a.port == b.port; };
  out.erase(std::unique(out.begin(), out.end(), same), out.end());
  return out;
}

}  // namespace

ServiceRule PlanServiceRule(const ServiceView& service, const RuleInputs& inputs) {
  ServiceRule rule;
  const uint32_t cluster_ip = ParseIpv4(service.cluster_ip);
  if (service.type == ServiceView::Type::kExternalName || cluster_ip == 0) return rule;
  for (const ServicePort& port : service.ports) {
    if (port.protocol != "TCP" && port.protocol != "UDP") continue;  // SCTP is beyond us
    PortRule made;
    made.name = port.name;
    made.udp = port.protocol == "UDP";
    made.affinity = std::chrono::seconds(service.affinity_seconds);
    made.listens.push_back({cluster_ip, static_cast<uint16_t>(port.port), "", service.internal_local});
    if (service.has_node_ports() && port.node_port > 0) {
      const auto node_port = static_cast<uint16_t>(port.node_port);
      made.listens.push_back({kLocalhost, node_port, "", service.external_local});
      for (const RuleInputs::Node& node : inputs.nodes)
        made.listens.push_back({node.address, node_port, node.name, service.external_local});
    }
    made.backends = BackendsOf(service, port, inputs);
    rule.ports.push_back(std::move(made));
  }
  return rule;
}

DnsService PlanDnsService(const std::string& ns, const std::string& name, const ServiceView& service,
                          const RuleInputs& inputs) {
  DnsService out;
  out.ns = ns;
  out.name = name;
  if (service.type == ServiceView::Type::kExternalName) {
    out.external_name = service.external_name;
    return out;
  }
  out.address = ParseIpv4(service.cluster_ip);
  for (const ServicePort& port : service.ports) {
    if (port.protocol != "TCP" && port.protocol != "UDP") continue;
    out.ports.push_back({port.name, port.protocol == "UDP", static_cast<uint16_t>(port.port)});
  }
  if (!service.headless) return out;
  for (const SliceView* slice : inputs.slices) {
    for (const SliceView::Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.ready || (Going(endpoint, inputs) && !service.publish_not_ready)) continue;
      DnsService::Endpoint made{endpoint.address, endpoint.hostname, {}};
      for (const SliceView::Port& port : slice->ports)
        made.ports.push_back({port.name, port.protocol == "UDP", static_cast<uint16_t>(port.port)});
      out.endpoints.push_back(std::move(made));
    }
  }
  std::sort(out.endpoints.begin(), out.endpoints.end(), [](const auto& a, const auto& b) {
    return std::tie(a.address, a.hostname) < std::tie(b.address, b.hostname);
  });
  return out;
}

}  // namespace wherry
