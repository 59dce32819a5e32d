#include "core/registry/service_addresses.h"

#include <arpa/inet.h>

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr Duration kReservation = std::chrono::seconds(30);

std::string Text(uint32_t address) {
  const in_addr raw{htonl(address)};
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &raw, text, sizeof text);
}

// Every value the stored Services have of one kind, but for the one being written.
template <typename Collect>
void EachOther(const WatchCache& cache, const AdmissionRequest& request, const Collect& collect) {
  cache.ForEach(resources::kServices, {}, [&](const ObjectPtr& service) {
    if (service->ns() != request.ns || service->name() != request.name) collect(*service->json());
    return true;
  });
}

Status Refused(const AdmissionRequest& request, std::string field, std::string message) {
  return InvalidStatus(request.kind.gvk, request.name, {{std::move(field), "FieldValueInvalid", std::move(message)}});
}

}  // namespace

std::string ServiceAddresses::first() const { return Text(options_.network + 1); }
std::string ServiceAddresses::dns() const { return Text(options_.network + 10); }

Admission ServiceAddresses::Rule(std::shared_ptr<ServiceAddresses> self) {
  return {"ServiceAddresses", [self = std::move(self)](AdmissionRequest& request, const WatchCache& cache) {
            return self->Admit(request, cache);
          }};
}

bool ServiceAddresses::Reserve(const std::string& what) {
  const Duration now = registry_.clock().Monotonic();
  std::erase_if(reserved_, [&](const auto& entry) { return entry.second <= now; });
  return reserved_.emplace(what, now + kReservation).second;
}

Status ServiceAddresses::Admit(AdmissionRequest& request, const WatchCache& cache) {
  if (request.kind.resource != resources::kServices || request.op == AdmissionRequest::Op::kDelete ||
      !request.subresource.empty()) {
    return {};
  }
  if (!request.object->contains("spec")) return {};
  Status status = GiveAddress(request, cache);
  if (!status.ok()) return status;
  return GivePorts(request, cache);
}

Status ServiceAddresses::GiveAddress(AdmissionRequest& request, const WatchCache& cache) {
  Json& spec = (*request.object)["spec"];
  if (StringAt(spec, "type") == "ExternalName") {
    spec.erase("clusterIP");
    spec.erase("clusterIPs");
    return {};
  }
  std::string address = StringAt(spec, "clusterIP");
  if (address.empty() && request.old) address = StringAt(*request.old, "spec.clusterIP");
  const bool unchanged = request.old && address == StringAt(*request.old, "spec.clusterIP") && !address.empty();
  if (!unchanged && address != "None") {
    std::set<std::string> taken;
    EachOther(cache, request, [&](const Json& service) { taken.insert(StringAt(service, "spec.clusterIP")); });
    const uint32_t size = 1u << (32 - options_.prefix);
    if (!address.empty()) {
      in_addr raw{};
      const bool valid = inet_pton(AF_INET, address.c_str(), &raw) == 1;
      const uint32_t number = ntohl(raw.s_addr);
      if (!valid || number <= options_.network || number >= options_.network + size - 1) {
        return Refused(request, "spec.clusterIPs[0]",
                       "Invalid value: \"" + address + "\": failed to allocate IP " + address +
                           ": the provided IP is not in the valid range. The range of valid IPs is " +
                           Text(options_.network) + "/" + std::to_string(options_.prefix));
      }
      if (taken.contains(address) || (!request.dry_run && !Reserve(address))) {
        return Refused(request, "spec.clusterIPs[0]",
                       "Invalid value: \"" + address + "\": failed to allocate IP " + address +
                           ": provided IP is already allocated");
      }
    } else {
      // A random place, so that an address given back is not given again at once.
      const uint32_t begin = size > 64 ? 16 : 2;
      const uint32_t usable = size - begin - 1;
      const uint32_t start = static_cast<uint32_t>(registry_.Random(usable));
      for (uint32_t i = 0; i < usable && address.empty(); ++i) {
        const std::string candidate = Text(options_.network + begin + (start + i) % usable);
        if (!taken.contains(candidate) && (request.dry_run || Reserve(candidate))) address = candidate;
      }
      if (address.empty()) return Status::Internal("failed to allocate a cluster IP: the range is full");
    }
  }
  spec["clusterIP"] = address;
  spec["clusterIPs"] = Json::array({address});
  if (!spec.contains("ipFamilies")) spec["ipFamilies"] = Json::array({"IPv4"});
  if (!spec.contains("ipFamilyPolicy")) spec["ipFamilyPolicy"] = "SingleStack";
  return {};
}

Status ServiceAddresses::GivePorts(AdmissionRequest& request, const WatchCache& cache) {
  Json& spec = (*request.object)["spec"];
  const std::string type = StringAt(spec, "type");
  if ((type != "NodePort" && type != "LoadBalancer") || !spec.contains("ports") || !spec["ports"].is_array()) return {};
  std::set<int64_t> taken;
  EachOther(cache, request, [&](const Json& service) {
    for (const Json& port : ListAt(service, "spec.ports")) taken.insert(IntAt(port, "nodePort"));
  });
  std::map<std::string, int64_t> before;  // by name and port, of the service itself
  if (request.old) {
    for (const Json& port : ListAt(*request.old, "spec.ports")) {
      before[StringAt(port, "name") + "/" + std::to_string(IntAt(port, "port"))] = IntAt(port, "nodePort");
    }
  }
  size_t index = 0;
  for (Json& port : spec["ports"]) {
    const std::string path = "spec.ports[" + std::to_string(index++) + "].nodePort";
    int64_t wanted = IntAt(port, "nodePort");
    const int64_t had = before[StringAt(port, "name") + "/" + std::to_string(IntAt(port, "port"))];
    if (wanted == 0) wanted = had;
    if (wanted != 0 && wanted == had) {
      port["nodePort"] = wanted;
      continue;
    }
    if (wanted != 0) {
      if (wanted < options_.first_node_port || wanted > options_.last_node_port) {
        return Refused(request, path,
                       "Invalid value: " + std::to_string(wanted) +
                           ": provided port is not in the valid range. The range of valid ports is " +
                           std::to_string(options_.first_node_port) + "-" + std::to_string(options_.last_node_port));
      }
      if (taken.contains(wanted) || (!request.dry_run && !Reserve(std::to_string(wanted)))) {
        return Refused(request, path,
                       "Invalid value: " + std::to_string(wanted) + ": provided port is already allocated");
      }
    } else {
      const int count = options_.last_node_port - options_.first_node_port + 1;
      const int start = static_cast<int>(registry_.Random(static_cast<uint64_t>(count)));
      for (int i = 0; i < count && wanted == 0; ++i) {
        const int candidate = options_.first_node_port + (start + i) % count;
        if (!taken.contains(candidate) && (request.dry_run || Reserve(std::to_string(candidate)))) wanted = candidate;
      }
      if (wanted == 0) return Status::Internal("failed to allocate a node port: the range is full");
    }
    taken.insert(wanted);
    port["nodePort"] = wanted;
  }
  return {};
}

}  // namespace wherry
