#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/network/dns/message.h"

namespace wherry {

// What names there are of one Service. Immutable once handed over. Addresses in host byte order.
struct DnsService {
  struct Port {
    std::string name;  // "" = none
    bool udp = false;
    uint16_t port = 0;
    bool operator==(const Port&) const = default;
  };
  struct Endpoint {
    uint32_t address = 0;
    std::string hostname;  // "" = its address with dashes
    std::vector<Port> ports;
    bool operator==(const Endpoint&) const = default;
  };
  std::string ns, name;
  uint32_t address = 0;       // cluster IP; 0 = headless
  std::string external_name;  // a CNAME to it
  std::vector<Port> ports;
  std::vector<Endpoint> endpoints;  // of a headless one: those to be told
  bool operator==(const DnsService&) const = default;
};
using DnsServicePtr = std::shared_ptr<const DnsService>;

// The names of the cluster, after the "Kubernetes DNS-Based Service Discovery" specification:
// <service>.<ns>.svc.<domain>, <hostname>.<service>.<ns>.svc.<domain>, _<port>._<protocol>.<service>…,
// <a-b-c-d>.<ns>.pod.<domain>, and the way back from an address. Pure but for what it was told. Proxy thread only.
class DnsZone {
 public:
  explicit DnsZone(std::string domain = "cluster.local") : domain_(std::move(domain)) {}

  // null = gone.
  void Set(const std::string& key, DnsServicePtr service);
  void SetOwnAddress(uint32_t address) { own_address_ = address; }

  // The answer, or nothing when the name is not of this cluster: somebody else may know it.
  std::optional<DnsReply> Answer(const DnsQuery& query) const;

 private:
  struct Found {
    bool exists = false;
    std::vector<DnsRecord> answers, additional;
  };
  Found Look(const std::string& name, const std::vector<std::string>& labels, DnsType type) const;
  void LookInService(const DnsService& service, const std::string& name, const std::vector<std::string>& labels,
                     DnsType type, Found* out) const;
  void AddServers(const DnsService& service, const std::string& name, const std::string* port, const bool* udp,
                  Found* out) const;
  std::optional<DnsReply> Reverse(const DnsQuery& query) const;
  std::string NameOf(const DnsService& service) const;
  DnsRecord Authority() const;

  const std::string domain_;
  uint32_t own_address_ = 0;
  uint32_t serial_ = 1;
  std::map<std::string, std::map<std::string, DnsServicePtr>> services_;  // by namespace and name
  std::map<uint32_t, std::multiset<std::string>> names_of_;               // the way back
};

}  // namespace wherry
