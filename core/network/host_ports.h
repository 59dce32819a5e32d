#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/network/service_rule.h"
#include "core/runtime/controller.h"

namespace wherry {

// What of a pod its host ports need: `pod->view<HostPortView>()`.
struct HostPortView {
  explicit HostPortView(const Json& pod);

  struct Port {
    uint16_t host_port, container_port;
    bool udp;
    uint32_t host_ip;  // 0 = the node's
    bool operator==(const Port&) const = default;
  };
  std::vector<Port> ports;  // none with hostNetwork: then the pod listens there itself
  std::string node;
  uint32_t pod_ip = 0;
  bool ended = false;
  bool operator==(const HostPortView&) const = default;
};

// The pod's host ports as the proxy serves them, at the address of its node; nothing while the pod has no address, or
// none any more. Container ports below 1024 are `privileged_port_offset` higher. Pure.
ServiceRule PlanHostPorts(const HostPortView& pod, uint32_t node_address, int privileged_port_offset);

// Serves `hostPort`: tells the proxy of each pod that has one, as of a Service with one backend, under a key that is no
// Service's ("pod:namespace/name"). Control thread only.
class HostPorts {
 public:
  using Tell = std::function<void(std::string key, ServiceRulePtr rule)>;  // null = no more
  HostPorts(RuntimeContext context, int privileged_port_offset, Tell tell);

  void Start();
  void Stop();

  static constexpr std::string_view kKeyPrefix = "pod:";

 private:
  Task<ReconcileResult> Reconcile(std::string key);
  void OnNode(const Event& event, WorkQueue& queue) const;

  RuntimeContext context_;
  const int privileged_port_offset_;
  Tell tell_;
  std::unordered_map<std::string, ServiceRule> told_;  // by pod; of all that have host ports, wherever they are
  std::unique_ptr<Controller> controller_;
};

}  // namespace wherry
