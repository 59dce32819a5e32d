#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/network/dns/dns_server.h"
#include "core/network/host_ports.h"
#include "core/network/plan_rule.h"
#include "core/network/proxy.h"
#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

struct NetworkOptions {
  ProxyOptions proxy;
  DnsOptions dns;  // dns.address 0 = no responder
  // Ports below 1024 are served so much higher where they may not be bound; 0 = they may.
  int privileged_port_offset = 0;
};

// The network of Services: the proxy and the DNS responder on a thread of their own, and on the control thread the
// controller that tells them of every change, as immutable rules, one Service at a time (docs/services.md). The two
// threads share nothing else, so that traffic does not slow the API and a busy API does not stop traffic.
//
// Pods' host ports are served likewise (HostPorts). Control thread only. What goes wrong with a port becomes an Event
// about its Service, or pod.
class ServiceNetwork {
 public:
  ServiceNetwork(RuntimeContext context, NetworkOptions options);
  ~ServiceNetwork();
  ServiceNetwork(const ServiceNetwork&) = delete;
  ServiceNetwork& operator=(const ServiceNetwork&) = delete;

  void Start();
  // Closes every socket and ends the thread; waits for it.
  void Stop();

 private:
  class Thread;
  struct Sent {
    ServiceRulePtr rule;
    DnsServicePtr dns;
    std::vector<std::string> pod_uids;
    bool node_ports = false;
  };

  ControllerSpec MakeSpec();
  Task<ReconcileResult> Reconcile(std::string key);
  void OnSlice(const Event& event, WorkQueue& queue) const;
  void OnPod(const Event& event, WorkQueue& queue) const;
  void OnNode(const Event& event, WorkQueue& queue);
  void SendBlocks();
  void NotePods(const std::string& key, std::vector<std::string> uids);
  void OnReport(const ListenReport& report);

  RuntimeContext context_;
  NetworkOptions options_;
  EventRecorder events_;
  std::unique_ptr<Thread> thread_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<HostPorts> host_ports_;
  std::unordered_map<std::string, Sent> sent_;                                        // by key
  std::unordered_map<std::string, std::unordered_set<std::string>> services_of_pod_;  // by uid: keys
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace wherry
