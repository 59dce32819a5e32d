#include "core/network/slice_view.h"

#include <arpa/inet.h>

#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {

uint32_t ParseIpv4(const std::string& text) {
  in_addr parsed{};
  return inet_pton(AF_INET, text.c_str(), &parsed) == 1 ? ntohl(parsed.s_addr) : 0;
}

SliceView::SliceView(const Json& slice) {
  for (const Json& port : ListAt(slice, "ports")) {
    ports.push_back({StringAt(port, "name"), StringAt(port, "protocol", "TCP"), static_cast<int>(IntAt(port, "port"))});
  }
  for (const Json& from : ListAt(slice, "endpoints")) {
    Endpoint endpoint;
    // Absent conditions (API: EndpointConditions): ready and serving, and not on the way out.
    endpoint.ready = BoolAt(from, "conditions.ready", true);
    endpoint.serving = BoolAt(from, "conditions.serving", endpoint.ready);
    endpoint.terminating = BoolAt(from, "conditions.terminating");
    endpoint.hostname = StringAt(from, "hostname");
    endpoint.node = StringAt(from, "nodeName");
    if (StringAt(from, "targetRef.kind") == "Pod") {
      endpoint.pod = StringAt(from, "targetRef.name");
      endpoint.pod_uid = StringAt(from, "targetRef.uid");
    }
    // All addresses of an endpoint are the same program's: the first will do.
    for (const Json& address : ListAt(from, "addresses")) {
      endpoint.address = address.is_string() ? ParseIpv4(address.get<std::string>()) : 0;
      if (endpoint.address != 0) break;
    }
    if (endpoint.address != 0) endpoints.push_back(std::move(endpoint));
  }
}

}  // namespace wherry
