#include "core/agent/host_ports.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "core/runtime/object_view.h"

namespace wherry {
namespace {

std::set<std::pair<int64_t, std::string>> PortsOf(const Json& pod) {
  std::set<std::pair<int64_t, std::string>> ports;
  for (const Json& container : ListAt(pod, "spec.containers")) {
    for (const Json& port : ListAt(container, "ports")) {
      if (const int64_t number = IntAt(port, "hostPort"); number > 0)
        ports.emplace(number, StringAt(port, "protocol", "TCP"));
    }
  }
  return ports;
}

}  // namespace

bool WantsHostPorts(const Json& pod) { return !PortsOf(pod).empty(); }

bool HostPortTaken(const Json& pod, const std::vector<ObjectPtr>& others) {
  const auto wanted = PortsOf(pod);
  for (const ObjectPtr& other : others) {
    for (const auto& port : PortsOf(*other->json())) {
      if (wanted.contains(port)) return true;
    }
  }
  return false;
}

}  // namespace wherry
