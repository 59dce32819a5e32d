#include "core/agent/service_env.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/kinds/service_view.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// "redis-primary" → "REDIS_PRIMARY".
std::string Shouted(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return name;
}

struct PortVariables {
  std::string name, protocol, number;
};

void AddOne(const std::string& service, const std::string& host, const std::vector<PortVariables>& ports,
            Environment& env) {
  const std::string prefix = Shouted(service);
  env.emplace_back(prefix + "_SERVICE_HOST", host);
  env.emplace_back(prefix + "_SERVICE_PORT", ports.front().number);
  for (const PortVariables& port : ports) {
    if (!port.name.empty()) env.emplace_back(prefix + "_SERVICE_PORT_" + Shouted(port.name), port.number);
  }
  bool first = true;
  for (const PortVariables& port : ports) {
    std::string lower = port.protocol;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::string url = lower + "://" + host + ":" + port.number;
    if (first) env.emplace_back(prefix + "_PORT", url);
    first = false;
    const std::string link = prefix + "_PORT_" + port.number + "_" + port.protocol;
    env.emplace_back(link, url);
    env.emplace_back(link + "_PROTO", lower);
    env.emplace_back(link + "_PORT", port.number);
    env.emplace_back(link + "_ADDR", host);
  }
}

}  // namespace

Environment ServiceVariables(const WatchCache& cache, const Json& pod, const std::string& api_host,
                             const std::string& api_port) {
  Environment env;
  // Where the API server itself listens, not the kubernetes Service's address: it needs no proxy to be reached.
  if (!api_host.empty()) AddOne("kubernetes", api_host, {{"https", "TCP", api_port}}, env);
  if (!BoolAt(pod, "spec.enableServiceLinks", true)) return env;
  cache.ForEach(resources::kServices, StringAt(pod, "metadata.namespace"), [&](const ObjectPtr& service) {
    const ServiceView& view = service->view<ServiceView>();
    if (view.cluster_ip.empty() || view.ports.empty() || view.type == ServiceView::Type::kExternalName) return true;
    if (service->name() == "kubernetes" && service->ns() == "default" && !api_host.empty()) return true;
    std::vector<PortVariables> ports;
    for (const ServicePort& port : view.ports) ports.push_back({port.name, port.protocol, std::to_string(port.port)});
    AddOne(service->name(), view.cluster_ip, ports, env);
    return true;
  });
  return env;
}

}  // namespace wherry
