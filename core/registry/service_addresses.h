#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/registry/registry.h"

namespace wherry {

struct ServiceAddressOptions {
  uint32_t network = 0x7f600000;  // 127.96.0.0: cluster IPs are loopback addresses
  int prefix = 16;
  int first_node_port = 30000, last_node_port = 32767;
};

// Gives Services their cluster IPs and node ports, and refuses taken or foreign ones: what the ranges upstream's
// registry keeps in etcd do. What is taken is read from the stored Services; addresses given to writes still under way
// are remembered for a while. Control thread only; the registry outlives it.
class ServiceAddresses {
 public:
  ServiceAddresses(Registry& registry, ServiceAddressOptions options) : registry_(registry), options_(options) {}

  // The admission rule, as a row of the registry's table. REQUIRES: `self` lives as long as the registry's rules.
  static Admission Rule(std::shared_ptr<ServiceAddresses> self);
  // The first address of the range: the kubernetes Service's.
  std::string first() const;
  // The tenth: the DNS responder's. Addresses are given out from the sixteenth on, so that these stay free.
  std::string dns() const;

 private:
  Status Admit(AdmissionRequest& request, const WatchCache& cache);
  Status GiveAddress(AdmissionRequest& request, const WatchCache& cache);
  Status GivePorts(AdmissionRequest& request, const WatchCache& cache);
  bool Reserve(const std::string& what);

  Registry& registry_;
  const ServiceAddressOptions options_;
  std::map<std::string, Duration> reserved_;  // address or port → until when
};

}  // namespace wherry
