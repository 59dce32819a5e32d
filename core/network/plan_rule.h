#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/kinds/service_view.h"
#include "core/network/dns/zone.h"
#include "core/network/service_rule.h"
#include "core/network/slice_view.h"

namespace wherry {

// What a Service's rule is made of beside the Service itself.
struct RuleInputs {
  std::vector<const SliceView*> slices;
  struct Node {
    std::string name;
    uint32_t address = 0;
  };
  std::vector<Node> nodes;  // where node ports are served
  // Pods' ports below 1024 are so much higher where nobody may bind them; 0 = they are where they say.
  int privileged_port_offset = 0;
  // Whether a pod is already on its way out, whatever the slices still say. May be empty.
  std::function<bool(const std::string& pod, const std::string& uid)> is_going;
};

// How the proxy serves a Service. Nothing to listen at for headless and external ones. Pure.
ServiceRule PlanServiceRule(const ServiceView& service, const RuleInputs& inputs);

// What the DNS responder says about it. Pure.
DnsService PlanDnsService(const std::string& ns, const std::string& name, const ServiceView& service,
                          const RuleInputs& inputs);

}  // namespace wherry
