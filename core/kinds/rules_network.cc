#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

bool Headless(const Json& service) { return StringAt(service, "spec.clusterIP") == "None"; }

void CheckTargetPort(const Json& port, const std::string& path, Refusals& out) {
  if (port.is_number_integer()) out.AddIf(path, port, CheckPort(port.get<int64_t>()));
  if (port.is_string()) out.AddIf(path, port, CheckPortName(port.get_ref<const std::string&>()));
}

void CheckServicePorts(const Json& service, Refusals& out) {
  const std::string& type = StringAt(service, "spec.type");
  const auto& ports = ListAt(service, "spec.ports");
  if (ports.empty() && type != "ExternalName" && !Headless(service)) out.Add(Required("spec.ports"));
  std::set<std::string> names;
  std::set<std::pair<std::string, int64_t>> taken, node_taken;
  for (size_t i = 0; i < ports.size(); ++i) {
    const Json& port = ports[i];
    const std::string at = Item("spec.ports", i);
    const std::string& name = StringAt(port, "name");
    const std::string& protocol = StringAt(port, "protocol");
    if (name.empty()) {
      if (ports.size() > 1) out.Add(Required(Child(at, "name")));
    } else {
      out.AddIf(Child(at, "name"), name, CheckDns1123Label(name));
      if (!names.insert(name).second) out.Add(Duplicate(Child(at, "name"), name));
    }
    out.AddIf(Child(at, "port"), IntAt(port, "port"), CheckPort(IntAt(port, "port")));
    CheckTargetPort(At(port, "targetPort"), Child(at, "targetPort"), out);
    if (!taken.emplace(protocol, IntAt(port, "port")).second) {
      out.Add(Duplicate(at, {{"port", IntAt(port, "port")}, {"protocol", protocol}}));
    }
    const int64_t node_port = IntAt(port, "nodePort");
    if (node_port == 0) continue;
    const std::string node_path = Child(at, "nodePort");
    if (type != "NodePort" && type != "LoadBalancer") {
      out.Add(Forbidden(node_path, "may not be used when `type` is '" + type + "'"));
    } else if (node_port < 30000 || node_port > 32767) {
      out.Add(Invalid(node_path, node_port,
                      "provided port is not in the valid range. The range of valid ports is 30000-32767"));
    } else if (!node_taken.emplace(protocol, node_port).second) {
      out.Add(Duplicate(node_path, node_port));
    }
  }
}

void CheckServiceAddresses(const Json& service, Refusals& out) {
  const std::string& type = StringAt(service, "spec.type");
  const std::string& ip = StringAt(service, "spec.clusterIP");
  if (type == "ExternalName") {
    if (!ip.empty()) out.Add(Forbidden("spec.clusterIPs", "may not be set when `type` is 'ExternalName'"));
    const std::string& target = StringAt(service, "spec.externalName");
    std::string_view name = target;
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.empty()) {
      out.Add(Required("spec.externalName"));
    } else {
      out.AddIf("spec.externalName", target, CheckDns1123Subdomain(name));
    }
    return;
  }
  if (!ip.empty() && ip != "None" && !CheckIp(ip).empty()) {
    out.Add(Invalid("spec.clusterIPs[0]", ip, "must be empty, 'None', or a valid IP address"));
  }
  if (Headless(service) && type != "ClusterIP") {
    out.Add(Invalid("spec.clusterIPs[0]", ip, "may not be set to 'None' for " + type + " services"));
  }
  const auto& external = ListAt(service, "spec.externalIPs");
  for (size_t i = 0; i < external.size(); ++i) {
    if (!external[i].is_string()) continue;
    out.AddIf(Item("spec.externalIPs", i), external[i], CheckIp(external[i].get_ref<const std::string&>()));
  }
}

void CheckEndpointAddress(const std::string& type, const Json& address, const std::string& path, Refusals& out) {
  if (!address.is_string()) return;
  const auto& text = address.get_ref<const std::string&>();
  if (type == "FQDN") return out.AddIf(path, address, CheckDns1123Subdomain(text));
  const bool valid = CheckIp(text).empty();
  const bool v6 = text.find(':') != std::string::npos;
  if (!valid || v6 != (type == "IPv6")) {
    out.Add(Invalid(path, address, type == "IPv6" ? "must be an IPv6 address" : "must be an IPv4 address"));
  }
}

}  // namespace

void DefaultService(Json& service) {
  if (!At(service, "spec.ports").is_array()) return;
  for (Json& port : service["spec"]["ports"]) {
    if (!port.is_object() || !Has(port, "port")) continue;
    const Json& target = At(port, "targetPort");
    if (target.is_null() || target == 0 || target == "") port["targetPort"] = IntAt(port, "port");
  }
}

void CreateService(Json& service) { service["status"] = {{"loadBalancer", Json::object()}}; }

// What the server has allocated stays when a client leaves it out; clusterIP and clusterIPs say the same.
void UpdateService(Json& service, const Json& old) {
  if (!At(service, "spec").is_object()) return;
  Json& spec = service["spec"];
  const bool allocates = StringAt(spec, "type") != "ExternalName" && StringAt(old, "spec.type") != "ExternalName";
  if (allocates) {
    for (const char* field : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"}) {
      const Json& before = At(old, std::string("spec.") + field);
      const Json& now = At(spec, field);
      if (!before.is_null() && (now.is_null() || now.empty() || now == "")) spec[field] = Json(before);
    }
    const bool ip_changed = StringAt(spec, "clusterIP") != StringAt(old, "spec.clusterIP");
    if (ip_changed && At(spec, "clusterIPs") == At(old, "spec.clusterIPs")) {
      spec["clusterIPs"] = Json::array({StringAt(spec, "clusterIP")});
    }
  }
  const std::string& type = StringAt(spec, "type");
  if ((type != "NodePort" && type != "LoadBalancer") || !At(spec, "ports").is_array()) return;
  for (Json& port : spec["ports"]) {
    if (IntAt(port, "nodePort") != 0) continue;
    for (const Json& before : ListAt(old, "spec.ports")) {
      const bool same =
          At(before, "port") == At(port, "port") && StringAt(before, "protocol") == StringAt(port, "protocol");
      if (same && IntAt(before, "nodePort") != 0) port["nodePort"] = IntAt(before, "nodePort");
    }
  }
}

void ValidateService(const Json& service, const Json* old, FieldErrors& errors) {
  if (Unchanged(service, old, "spec")) return;
  Refusals out(errors);
  CheckServicePorts(service, out);
  CheckServiceAddresses(service, out);
  CheckLabels(At(service, "spec.selector"), "spec.selector", out);
  if (const Json& traffic = At(service, "spec.externalTrafficPolicy"); traffic.is_string()) {
    const std::string& type = StringAt(service, "spec.type");
    if (type != "NodePort" && type != "LoadBalancer" && ListAt(service, "spec.externalIPs").empty()) {
      out.Add(Invalid("spec.externalTrafficPolicy", traffic, "may only be set for externally-accessible services"));
    }
  }
  if (old == nullptr) return;
  const std::string& before = StringAt(*old, "spec.clusterIP");
  const bool external =
      StringAt(service, "spec.type") == "ExternalName" || StringAt(*old, "spec.type") == "ExternalName";
  if (!external && !before.empty() && StringAt(service, "spec.clusterIP") != before) {
    out.Add(
        Invalid("spec.clusterIPs[0]", Json::array({StringAt(service, "spec.clusterIP")}), "may not change once set"));
  }
}

void ValidateEndpoints(const Json& endpoints, const Json*, FieldErrors& errors) {
  Refusals out(errors);
  const auto& subsets = ListAt(endpoints, "subsets");
  for (size_t i = 0; i < subsets.size(); ++i) {
    const std::string at = Item("subsets", i);
    if (ListAt(subsets[i], "addresses").empty() && ListAt(subsets[i], "notReadyAddresses").empty()) {
      out.Add(Required(at, "must specify `addresses` or `notReadyAddresses`"));
    }
    for (const char* list : {"addresses", "notReadyAddresses"}) {
      const auto& addresses = ListAt(subsets[i], list);
      for (size_t j = 0; j < addresses.size(); ++j) {
        out.AddIf(Child(Item(Child(at, list), j), "ip"), StringAt(addresses[j], "ip"),
                  CheckIp(StringAt(addresses[j], "ip")));
      }
    }
    const auto& ports = ListAt(subsets[i], "ports");
    for (size_t j = 0; j < ports.size(); ++j) {
      const std::string port = Item(Child(at, "ports"), j);
      if (ports.size() > 1 && StringAt(ports[j], "name").empty()) out.Add(Required(Child(port, "name")));
      out.AddIf(Child(port, "port"), IntAt(ports[j], "port"), CheckPort(IntAt(ports[j], "port")));
    }
  }
}

void ValidateEndpointSlice(const Json& slice, const Json* old, FieldErrors& errors) {
  static constexpr size_t kMaxEndpoints = 1000, kMaxAddresses = 100, kMaxPorts = 20000;
  Refusals out(errors);
  const std::string& type = StringAt(slice, "addressType");
  if (old != nullptr) CheckImmutable(slice, *old, "addressType", out);
  const auto& endpoints = ListAt(slice, "endpoints");
  if (endpoints.size() > kMaxEndpoints) out.Add(TooMany("endpoints", endpoints.size(), kMaxEndpoints));
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const std::string at = Child(Item("endpoints", i), "addresses");
    const auto& addresses = ListAt(endpoints[i], "addresses");
    if (addresses.empty()) out.Add(Required(at, "must contain at least 1 address"));
    if (addresses.size() > kMaxAddresses) out.Add(TooMany(at, addresses.size(), kMaxAddresses));
    for (size_t j = 0; j < addresses.size(); ++j) CheckEndpointAddress(type, addresses[j], Item(at, j), out);
  }
  const auto& ports = ListAt(slice, "ports");
  if (ports.size() > kMaxPorts) out.Add(TooMany("ports", ports.size(), kMaxPorts));
  std::set<std::string> names;
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string& name = StringAt(ports[i], "name");
    const std::string at = Child(Item("ports", i), "name");
    if (!name.empty()) out.AddIf(at, name, CheckDns1123Label(name));
    if (!names.insert(name).second) out.Add(Duplicate(at, name));
  }
}

}  // namespace wherry::rules
