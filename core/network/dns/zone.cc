#include "core/network/dns/zone.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace wherry {
namespace {

constexpr uint32_t kTtl = 5;
constexpr std::string_view kReverse = ".in-addr.arpa";

std::vector<std::string> SplitLabels(std::string_view name) {
  std::vector<std::string> out;
  while (!name.empty()) {
    const size_t dot = name.find('.');
    out.emplace_back(name.substr(0, dot));
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  return out;
}

std::string Dashed(uint32_t address) {
  return std::to_string(address >> 24) + "-" + std::to_string(address >> 16 & 255) + "-" +
         std::to_string(address >> 8 & 255) + "-" + std::to_string(address & 255);
}

// "127-64-3-5" (or with dots) as an address; 0 when it is none.
uint32_t ParseAddress(std::string_view text, char separator) {
  uint32_t out = 0;
  for (int part = 0; part < 4; ++part) {
    const size_t end = part < 3 ? text.find(separator) : text.size();
    if (end == std::string_view::npos || end == 0 || end > 3) return 0;
    uint32_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + end, value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + end || value > 255) return 0;
    out = out << 8 | value;
    text.remove_prefix(part < 3 ? end + 1 : end);
  }
  return out;
}

DnsRecord Address(const std::string& name, uint32_t address) {
  DnsRecord record;
  record.name = name;
  record.address = address;
  record.ttl = kTtl;
  return record;
}

DnsRecord Pointing(DnsType type, const std::string& name, const std::string& target) {
  DnsRecord record;
  record.name = name;
  record.type = type;
  record.target = target;
  record.ttl = kTtl;
  return record;
}

std::string HostOf(const DnsService::Endpoint& endpoint) {
  return endpoint.hostname.empty() ? Dashed(endpoint.address) : endpoint.hostname;
}

}  // namespace

std::string DnsZone::NameOf(const DnsService& service) const {
  return service.name + "." + service.ns + ".svc." + domain_;
}

void DnsZone::Set(const std::string& key, DnsServicePtr service) {
  const size_t slash = key.find('/');
  const std::string ns = key.substr(0, slash), name = key.substr(slash + 1);
  const auto each_address = [&](const DnsService& of, const auto& fn) {
    if (of.address != 0) fn(of.address, NameOf(of));
    for (const DnsService::Endpoint& endpoint : of.endpoints) fn(endpoint.address, HostOf(endpoint) + "." + NameOf(of));
  };
  auto& in_namespace = services_[ns];
  if (auto it = in_namespace.find(name); it != in_namespace.end()) {
    each_address(*it->second, [&](uint32_t address, const std::string& host) {
      auto names = names_of_.find(address);
      if (names == names_of_.end()) return;
      if (auto found = names->second.find(host); found != names->second.end()) names->second.erase(found);
      if (names->second.empty()) names_of_.erase(names);
    });
    in_namespace.erase(it);
  }
  ++serial_;
  if (service) {
    each_address(*service, [&](uint32_t address, const std::string& host) { names_of_[address].insert(host); });
    in_namespace[name] = std::move(service);
  }
  if (in_namespace.empty()) services_.erase(ns);
}

DnsRecord DnsZone::Authority() const {
  DnsRecord record = Pointing(DnsType::kSoa, domain_, "ns.dns." + domain_);
  record.text = "hostmaster." + domain_;
  record.serial = serial_;
  return record;
}

std::optional<DnsReply> DnsZone::Answer(const DnsQuery& query) const {
  const std::string& name = query.name;
  if (name.ends_with(kReverse)) return Reverse(query);
  const bool apex = name == domain_;
  if (!apex && !name.ends_with("." + domain_)) return std::nullopt;

  DnsReply reply;
  if (query.class_code != kDnsClassIn && query.class_code != kDnsClassAny) {
    reply.code = DnsCode::kRefused;
    return reply;
  }
  Found found;
  if (apex) {
    found.exists = true;
    if (query.type == DnsType::kSoa) found.answers.push_back(Authority());
    if (query.type == DnsType::kNs) {
      found.answers.push_back(Pointing(DnsType::kNs, domain_, "ns.dns." + domain_));
      if (own_address_ != 0) found.additional.push_back(Address("ns.dns." + domain_, own_address_));
    }
  } else {
    found = Look(name, SplitLabels(std::string_view(name).substr(0, name.size() - domain_.size() - 1)), query.type);
  }
  reply.code = found.exists ? DnsCode::kOk : DnsCode::kNoName;
  reply.answers = std::move(found.answers);
  reply.additional = std::move(found.additional);
  if (reply.answers.empty()) reply.authority.push_back(Authority());
  return reply;
}

// `labels` are those before the domain, from the left.
DnsZone::Found DnsZone::Look(const std::string& name, const std::vector<std::string>& labels, DnsType type) const {
  Found out;
  const bool wants_address = type == DnsType::kA || type == DnsType::kAny;
  const size_t count = labels.size();
  const std::string& last = labels.back();
  if (last == "dns-version" && count == 1) {
    out.exists = true;
    if (type == DnsType::kTxt || type == DnsType::kAny) {
      DnsRecord record = Pointing(DnsType::kTxt, name, "");
      record.text = "1.1.0";
      out.answers.push_back(std::move(record));
    }
  } else if (last == "dns") {
    out.exists = count == 1 || (count == 2 && labels[0] == "ns");
    if (count == 2 && out.exists && wants_address && own_address_ != 0)
      out.answers.push_back(Address(name, own_address_));
  } else if (last == "pod") {
    // Any address has a name here, as with CoreDNS's "pods insecure".
    const uint32_t address = count == 3 ? ParseAddress(labels[0], '-') : 0;
    out.exists = count <= 2 || address != 0;
    if (address != 0 && wants_address) out.answers.push_back(Address(name, address));
  } else if (last == "svc") {
    if (count == 1) {
      out.exists = true;
      return out;
    }
    auto ns = services_.find(labels[count - 2]);
    if (ns == services_.end()) return out;
    if (count == 2) {
      out.exists = true;
      return out;
    }
    auto service = ns->second.find(labels[count - 3]);
    if (service == ns->second.end()) return out;
    LookInService(*service->second, name, std::vector<std::string>(labels.begin(), labels.end() - 3), type, &out);
  }
  return out;
}

// `labels` are those before the Service's name.
void DnsZone::LookInService(const DnsService& service, const std::string& name, const std::vector<std::string>& labels,
                            DnsType type, Found* out) const {
  const bool wants_address = type == DnsType::kA || type == DnsType::kAny;
  if (labels.empty()) {
    out->exists = true;
    if (!service.external_name.empty()) {
      out->answers.push_back(Pointing(DnsType::kCname, name, service.external_name));
      return;
    }
    if (wants_address && service.address != 0) out->answers.push_back(Address(name, service.address));
    if (wants_address) {
      std::set<uint32_t> told;
      for (const DnsService::Endpoint& endpoint : service.endpoints) {
        if (told.insert(endpoint.address).second) out->answers.push_back(Address(name, endpoint.address));
      }
    }
    if (type == DnsType::kSrv) AddServers(service, name, nullptr, nullptr, out);
    return;
  }
  if (labels.size() == 1 && (labels[0] == "_tcp" || labels[0] == "_udp")) {
    const bool udp = labels[0] == "_udp";
    out->exists =
        std::any_of(service.ports.begin(), service.ports.end(), [&](const auto& port) { return port.udp == udp; });
    return;
  }
  if (labels.size() == 1) {
    for (const DnsService::Endpoint& endpoint : service.endpoints) {
      if (HostOf(endpoint) != labels[0] && Dashed(endpoint.address) != labels[0]) continue;
      out->exists = true;
      if (wants_address) out->answers.push_back(Address(name, endpoint.address));
    }
    return;
  }
  if (labels.size() != 2 || labels[0].empty() || labels[0][0] != '_' || (labels[1] != "_tcp" && labels[1] != "_udp"))
    return;
  const std::string port = labels[0].substr(1);
  const bool udp = labels[1] == "_udp";
  out->exists = std::any_of(service.ports.begin(), service.ports.end(),
                            [&](const DnsService::Port& known) { return known.name == port && known.udp == udp; });
  if (!out->exists) return;
  if (type == DnsType::kSrv || type == DnsType::kAny) AddServers(service, name, &port, &udp, out);
}

// The SRV records of the ports of this name and protocol; null = all.
void DnsZone::AddServers(const DnsService& service, const std::string& name, const std::string* port, const bool* udp,
                         Found* out) const {
  const auto wanted = [&](const DnsService::Port& known) {
    return (!port || known.name == *port) && (!udp || known.udp == *udp);
  };
  const auto add = [&](const std::string& host, uint32_t address, uint16_t number) {
    DnsRecord record = Pointing(DnsType::kSrv, name, host);
    record.port = number;
    out->answers.push_back(std::move(record));
    const bool told = std::any_of(out->additional.begin(), out->additional.end(),
                                  [&](const DnsRecord& other) { return other.name == host; });
    if (!told) out->additional.push_back(Address(host, address));
  };
  if (service.address != 0) {
    for (const DnsService::Port& known : service.ports) {
      if (wanted(known)) add(NameOf(service), service.address, known.port);
    }
  }
  for (const DnsService::Endpoint& endpoint : service.endpoints) {
    for (const DnsService::Port& known : endpoint.ports) {
      if (wanted(known)) add(HostOf(endpoint) + "." + NameOf(service), endpoint.address, known.port);
    }
  }
  for (DnsRecord& record : out->answers)
    record.weight = static_cast<uint16_t>(std::max<size_t>(1, 100 / out->answers.size()));
}

std::optional<DnsReply> DnsZone::Reverse(const DnsQuery& query) const {
  const std::string_view digits = std::string_view(query.name).substr(0, query.name.size() - kReverse.size());
  const uint32_t backwards = ParseAddress(digits, '.');
  const uint32_t address = backwards >> 24 | (backwards >> 8 & 0xff00) | (backwards << 8 & 0xff0000) | backwards << 24;
  auto it = backwards == 0 ? names_of_.end() : names_of_.find(address);
  if (it == names_of_.end()) {
    // 127.0.0.0/16 is the machine's own; the rest of loopback is ours alone to know.
    if (address >> 24 != 127 || address >> 16 == 0x7f00) return std::nullopt;
    DnsReply reply;
    reply.code = DnsCode::kNoName;
    reply.authority.push_back(Authority());
    return reply;
  }
  DnsReply reply;
  if (query.type == DnsType::kPtr || query.type == DnsType::kAny) {
    std::set<std::string> told(it->second.begin(), it->second.end());
    for (const std::string& name : told) reply.answers.push_back(Pointing(DnsType::kPtr, query.name, name));
  } else {
    reply.authority.push_back(Authority());
  }
  return reply;
}

}  // namespace wherry
