#include "core/controllers/endpoints/endpoints_plan.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

// The ports of a Service as one pod offers them, as in Endpoints: those whose name no container has are left out.
Json PortsOf(const EndpointService& service, const EndpointPodView& pod, bool with_empty_names) {
  Json out = Json::array();
  for (const ServicePort& port : service.view->ports) {
    const int number = port.target_name.empty() ? port.target_port : pod.FindPort(port.target_name, port.protocol);
    if (number == 0) continue;
    Json entry = {{"port", number}, {"protocol", port.protocol}};
    if (with_empty_names || !port.name.empty()) entry["name"] = port.name;
    if (!port.app_protocol.empty()) entry["appProtocol"] = port.app_protocol;
    out.push_back(std::move(entry));
  }
  return out;
}

Json PodReference(const EndpointPod& pod) {
  return {{"kind", "Pod"}, {"namespace", pod.ns}, {"name", pod.name}, {"uid", pod.uid}};
}

// The pod's name of its own below a headless Service's.
const std::string& HostnameFor(const EndpointService& service, const EndpointPodView& pod) {
  static const std::string none;
  return pod.subdomain == service.name ? pod.hostname : none;
}

// Addresses by the numbers in them, not by their text.
std::array<int, 4> AddressOrder(const std::string& ip) {
  std::array<int, 4> out{};
  size_t part = 0;
  for (char c : ip) {
    if (c == '.' && part < 3) {
      ++part;
    } else if (c >= '0' && c <= '9') {
      out[part] = out[part] * 10 + (c - '0');
    }
  }
  return out;
}

bool AddressBefore(const Json& a, const Json& b) {
  const std::string &x = StringAt(a, "ip"), &y = StringAt(b, "ip");
  return std::pair(AddressOrder(x), StringAt(a, "targetRef.name")) <
         std::pair(AddressOrder(y), StringAt(b, "targetRef.name"));
}

}  // namespace

Json PlanSubsets(const EndpointService& service, const std::vector<EndpointPod>& pods, bool* truncated) {
  struct Subset {
    std::vector<Json> ready, others;
    Json ports;
  };
  const ServiceView& view = *service.view;
  std::map<std::string, Subset> by_ports;
  size_t ready_count = 0, count = 0;
  for (const EndpointPod& pod : pods) {
    const EndpointPodView& p = *pod.view;
    if (p.ip.empty() || p.terminal || (p.deleting && !view.publish_not_ready)) continue;
    Json ports = PortsOf(service, p, false);
    // Without ports an address says nothing, except of a headless Service.
    if (ports.empty() && !(view.headless && view.ports.empty())) continue;
    Json address = {{"ip", p.ip}, {"targetRef", PodReference(pod)}};
    if (!p.node_name.empty()) address["nodeName"] = p.node_name;
    if (const std::string& hostname = HostnameFor(service, p); !hostname.empty()) address["hostname"] = hostname;
    Subset& subset = by_ports[ports.dump()];
    const bool ready = p.ready || view.publish_not_ready;
    (ready ? subset.ready : subset.others).push_back(std::move(address));
    subset.ports = std::move(ports);
    ready_count += ready ? 1 : 0;
    ++count;
  }
  *truncated = count > kMaxEndpointsAddresses;
  // The ready ones first, and of those and the others the first in order.
  size_t room_ready = std::min(ready_count, kMaxEndpointsAddresses);
  size_t room_others = kMaxEndpointsAddresses - room_ready;
  Json out;
  for (auto& [key, subset] : by_ports) {
    Json made = Json::object();
    for (auto [name, list, room] : {std::tuple{"addresses", &subset.ready, &room_ready},
                                    std::tuple{"notReadyAddresses", &subset.others, &room_others}}) {
      std::sort(list->begin(), list->end(), AddressBefore);
      if (list->size() > *room) list->resize(*room);
      *room -= list->size();
      if (!list->empty()) made[name] = Json(std::move(*list));
    }
    if (made.empty()) continue;
    if (!subset.ports.empty()) made["ports"] = std::move(subset.ports);
    out.push_back(std::move(made));
  }
  return out;
}

std::vector<PortGroup> GroupPods(const EndpointService& service, const std::vector<EndpointPod>& pods) {
  std::map<std::string, PortGroup> groups;
  for (const EndpointPod& pod : pods) {
    const EndpointPodView& p = *pod.view;
    if (p.ip.empty() || p.terminal) continue;
    Json ports = PortsOf(service, p, true);
    Json endpoint = {{"addresses", Json::array({p.ip})},
                     {"conditions",
                      {{"ready", service.view->publish_not_ready || (p.ready && !p.deleting)},
                       {"serving", p.ready},
                       {"terminating", p.deleting}}},
                     {"targetRef", PodReference(pod)}};
    if (!p.node_name.empty()) endpoint["nodeName"] = p.node_name;
    if (!pod.zone.empty()) endpoint["zone"] = pod.zone;
    if (const std::string& hostname = HostnameFor(service, p); !hostname.empty()) endpoint["hostname"] = hostname;
    PortGroup& group = groups[ports.dump()];
    group.ports = std::move(ports);
    group.endpoints.push_back(std::move(endpoint));
  }
  std::vector<PortGroup> out;
  for (auto& [key, group] : groups) out.push_back(std::move(group));
  return out;
}

std::vector<PortGroup> GroupSubsets(const Json& endpoints) {
  std::map<std::string, PortGroup> groups;
  for (const Json& subset : ListAt(endpoints, "subsets")) {
    Json ports = Json::array();
    for (const Json& port : ListAt(subset, "ports")) {
      Json entry = {{"name", StringAt(port, "name")},
                    {"port", IntAt(port, "port")},
                    {"protocol", StringAt(port, "protocol", "TCP")}};
      if (Has(port, "appProtocol")) entry["appProtocol"] = At(port, "appProtocol");
      ports.push_back(std::move(entry));
    }
    PortGroup& group = groups[ports.dump()];
    group.ports = std::move(ports);
    for (const bool ready : {true, false}) {
      for (const Json& address : ListAt(subset, ready ? "addresses" : "notReadyAddresses")) {
        if (StringAt(address, "ip").find(':') != std::string::npos) continue;  // no IPv6 here
        Json endpoint = {{"addresses", Json::array({StringAt(address, "ip")})}, {"conditions", {{"ready", ready}}}};
        for (const char* field : {"hostname", "nodeName", "targetRef"}) {
          if (Has(address, field)) endpoint[field] = At(address, field);
        }
        group.endpoints.push_back(std::move(endpoint));
      }
    }
  }
  std::vector<PortGroup> out;
  for (auto& [key, group] : groups) out.push_back(std::move(group));
  return out;
}

}  // namespace wherry
