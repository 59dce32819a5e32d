#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/printers.h"

namespace wherry {
namespace {

// "a,b,c + 2 more...": the first three of a list.
class ShortList {
 public:
  void Add(std::string item) {
    if (++count_ <= 3) text_ += (text_.empty() ? "" : ",") + item;
  }
  std::string Text(std::string_view empty) const {
    if (count_ == 0) return std::string(empty);
    return count_ <= 3 ? text_ : text_ + " + " + std::to_string(count_ - 3) + " more...";
  }

 private:
  std::string text_;
  size_t count_ = 0;
};

std::string JoinStrings(const std::vector<Json>& items) {
  std::string text;
  for (const Json& item : items) {
    if (item.is_string()) text += (text.empty() ? "" : ",") + item.get<std::string>();
  }
  return text;
}

std::string HostPort(const std::string& ip, int64_t port) {
  const std::string text = ":" + std::to_string(port);
  return ip.find(':') == std::string::npos ? ip + text : "[" + ip + "]" + text;
}

}  // namespace

namespace printers {

Json ServiceExternalIp(const Json& service, Time) {
  const std::string& type = StringAt(service, "spec.type");
  if (type == "ExternalName") return StringAt(service, "spec.externalName");
  const std::string external = JoinStrings(ListAt(service, "spec.externalIPs"));
  if (type != "LoadBalancer") return external.empty() ? "<none>" : external;
  std::string text;
  for (const Json& ingress : ListAt(service, "status.loadBalancer.ingress")) {
    const std::string& ip = StringAt(ingress, "ip");
    text += (text.empty() ? "" : ",") + (ip.empty() ? StringAt(ingress, "hostname") : ip);
  }
  if (!external.empty()) text += (text.empty() ? "" : ",") + external;
  return text.empty() ? "<pending>" : text;
}

Json ServicePorts(const Json& service, Time) {
  std::string text;
  for (const Json& port : ListAt(service, "spec.ports")) {
    if (!text.empty()) text += ',';
    text += std::to_string(IntAt(port, "port"));
    if (const int64_t node_port = IntAt(port, "nodePort"); node_port > 0) text += ":" + std::to_string(node_port);
    const std::string& protocol = StringAt(port, "protocol");
    text += "/" + (protocol.empty() ? "TCP" : protocol);
  }
  return text.empty() ? "<none>" : text;
}

Json Endpoints(const Json& endpoints, Time) {
  ShortList list;
  for (const Json& subset : ListAt(endpoints, "subsets")) {
    const auto& ports = ListAt(subset, "ports");
    for (const Json& address : ListAt(subset, "addresses")) {
      const std::string& ip = StringAt(address, "ip");
      if (ports.empty()) list.Add(ip);
      for (const Json& port : ports) list.Add(HostPort(ip, IntAt(port, "port")));
    }
  }
  return list.Text("<none>");
}

Json SliceEndpoints(const Json& slice, Time) {
  ShortList list;
  for (const Json& endpoint : ListAt(slice, "endpoints")) {
    for (const Json& address : ListAt(endpoint, "addresses")) {
      if (address.is_string()) list.Add(address.get<std::string>());
    }
  }
  return list.Text("<unset>");
}

Json SlicePorts(const Json& slice, Time) {
  ShortList list;
  for (const Json& port : ListAt(slice, "ports")) {
    list.Add(Has(port, "port") ? std::to_string(IntAt(port, "port")) : "*");
  }
  return list.Text("<unset>");
}

}  // namespace printers
}  // namespace wherry
