#include "core/controllers/endpoints/endpoint_pod.h"

#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {

EndpointPodView::EndpointPodView(const Json& pod)
    : ip(StringAt(pod, "status.podIP")),
      node_name(StringAt(pod, "spec.nodeName")),
      hostname(StringAt(pod, "spec.hostname")),
      subdomain(StringAt(pod, "spec.subdomain")),
      deleting(Has(pod, "metadata.deletionTimestamp")) {
  for (const Json& condition : ListAt(pod, "status.conditions")) {
    if (StringAt(condition, "type") == "Ready") ready = StringAt(condition, "status") == "True";
  }
  const std::string& phase = StringAt(pod, "status.phase");
  terminal = phase == "Succeeded" || phase == "Failed";
  for (const char* field : {"spec.containers", "spec.initContainers"}) {
    const bool init = field[5] == 'i';
    for (const Json& container : ListAt(pod, field)) {
      if (init && StringAt(container, "restartPolicy") != "Always") continue;
      for (const Json& port : ListAt(container, "ports")) {
        if (!Has(port, "name")) continue;
        ports.push_back({StringAt(port, "name"), StringAt(port, "protocol", "TCP"),
                         static_cast<int>(IntAt(port, "containerPort"))});
      }
    }
  }
}

int EndpointPodView::FindPort(const std::string& name, const std::string& protocol) const {
  for (const Port& port : ports) {
    if (port.name == name && port.protocol == protocol) return port.port;
  }
  return 0;
}

}  // namespace wherry
