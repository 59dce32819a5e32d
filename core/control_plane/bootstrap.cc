#include "core/control_plane/bootstrap.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/kinds/service_view.h"
#include "core/kinds/storage_view.h"

namespace wherry {
namespace {

struct Row {
  std::string_view resource;
  std::string ns;
  Json object;
};

std::vector<Row> Rows(const BootstrapAddresses& addresses) {
  std::vector<Row> rows;
  for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    rows.push_back({resources::kNamespaces, "", {{"metadata", {{"name", name}}}}});
  }
  rows.push_back(
      {resources::kPriorityClasses,
       "",
       {{"metadata", {{"name", "system-cluster-critical"}}},
        {"value", 2000000000},
        {"description", "For pods that the cluster as a whole cannot do without; they may move to another node."}}});
  rows.push_back({resources::kPriorityClasses,
                  "",
                  {{"metadata", {{"name", "system-node-critical"}}},
                   {"value", 2000001000},
                   {"description", "For pods that their node cannot do without."}}});
  for (const char* level : {"host", "sandbox"}) {
    rows.push_back({resources::kRuntimeClasses, "", {{"metadata", {{"name", level}}}, {"handler", level}}});
  }
  rows.push_back({resources::kStorageClasses,
                  "",
                  {{"metadata",
                    {{"name", storage::kLocalClass}, {"annotations", {{std::string(storage::kDefaultClass), "true"}}}}},
                   {"provisioner", storage::kLocalProvisioner},
                   {"volumeBindingMode", "WaitForFirstConsumer"},
                   {"reclaimPolicy", "Delete"},
                   {"allowVolumeExpansion", true}}});
  rows.push_back(
      {resources::kServices,
       "default",
       {{"metadata", {{"name", "kubernetes"}, {"labels", {{"component", "apiserver"}, {"provider", "kubernetes"}}}}},
        {"spec",
         {{"type", "ClusterIP"},
          {"clusterIP", addresses.kubernetes},
          {"ports",
           Json::array(
               {{{"name", "https"}, {"protocol", "TCP"}, {"port", 443}, {"targetPort", addresses.api_port}}})}}}}});
  if (!addresses.dns.empty()) {
    rows.push_back(
        {resources::kServices,
         "kube-system",
         {{"metadata",
           {{"name", "kube-dns"},
            {"labels",
             {{"k8s-app", "kube-dns"}, {"kubernetes.io/cluster-service", "true"}, {"kubernetes.io/name", "CoreDNS"}}}}},
          {"spec",
           {{"type", "ClusterIP"},
            {"clusterIP", addresses.dns},
            {"ports", Json::array({{{"name", "dns"}, {"protocol", "UDP"}, {"port", 53}},
                                   {{"name", "dns-tcp"}, {"protocol", "TCP"}, {"port", 53}}})}}}}});
  }
  return rows;
}

// What leads from a Service to the server itself, in both forms. Nobody mirrors them.
void AddEndpoints(const std::string& ns, const std::string& service, const std::string& address, const Json& ports,
                  std::vector<Row>& rows) {
  rows.push_back({resources::kEndpoints,
                  ns,
                  {{"metadata", {{"name", service}, {"labels", {{"endpointslice.kubernetes.io/skip-mirror", "true"}}}}},
                   {"subsets", Json::array({{{"addresses", Json::array({{{"ip", address}}})}, {"ports", ports}}})}}});
  rows.push_back(
      {resources::kEndpointSlices,
       ns,
       {{"metadata", {{"name", service}, {"labels", {{kServiceNameLabel, service}}}}},
        {"addressType", "IPv4"},
        {"endpoints", Json::array({{{"addresses", Json::array({address})}, {"conditions", {{"ready", true}}}}})},
        {"ports", ports}}});
}

std::vector<Row> OwnEndpoints(const Client& client, const BootstrapAddresses& addresses) {
  std::vector<Row> rows;
  AddEndpoints("default", "kubernetes", addresses.api,
               Json::array({{{"name", "https"}, {"protocol", "TCP"}, {"port", addresses.api_port}}}), rows);
  if (addresses.dns.empty()) return rows;
  // The responder listens on the address of its Service, which may have become another than was wished.
  const ObjectPtr dns = client.cache().Get(resources::kServices, "kube-system", "kube-dns");
  if (!dns || dns->view<ServiceView>().cluster_ip.empty()) return rows;
  AddEndpoints("kube-system", "kube-dns", dns->view<ServiceView>().cluster_ip,
               Json::array({{{"name", "dns"}, {"protocol", "UDP"}, {"port", addresses.dns_port}},
                            {{"name", "dns-tcp"}, {"protocol", "TCP"}, {"port", addresses.dns_port}}}),
               rows);
  return rows;
}

Status UnlessThere(const Status& status) { return status.reason() == Reason::kAlreadyExists ? Status() : status; }

// Where the server is now. The fields of the rows replace the stored ones.
Task<Status> PublishServer(Client& client, BootstrapAddresses addresses) {
  std::vector<Row> rows = OwnEndpoints(client, addresses);
  for (Row& row : rows) {
    const std::string name = row.object["metadata"]["name"];
    const ObjectPtr stored = client.cache().Get(row.resource, row.ns, name);
    Status status;
    if (!stored) {
      Result<ObjectPtr> created = co_await client.Create(std::string(row.resource), row.ns, std::move(row.object));
      status = UnlessThere(created.status());
    } else {
      Json document = *stored->json();
      for (auto& [field, value] : row.object.items()) {
        if (field != "metadata") document[field] = std::move(value);
      }
      if (document == *stored->json()) continue;
      Result<ObjectPtr> updated = co_await client.Update(std::string(row.resource), std::move(document));
      status = updated.status();
    }
    if (!status.ok()) co_return status;
  }
  const ObjectPtr service = client.cache().Get(resources::kServices, "default", "kubernetes");
  if (service) {
    Json document = *service->json();
    Json& ports = document["spec"]["ports"];
    if (ports.is_array() && ports.size() == 1 && IntAt(ports[0], "targetPort") != addresses.api_port) {
      ports[0]["targetPort"] = addresses.api_port;
      Result<ObjectPtr> updated = co_await client.Update(std::string(resources::kServices), std::move(document));
      if (!updated.ok()) co_return updated.status();
    }
  }
  co_return Status();
}

}  // namespace

Task<Status> Bootstrap(Client& client, BootstrapAddresses addresses) {
  std::vector<Row> rows = Rows(addresses);
  for (Row& row : rows) {
    const std::string name = row.object["metadata"]["name"];
    if (client.cache().Get(row.resource, row.ns, name)) continue;
    Json again = row.object;
    Result<ObjectPtr> created = co_await client.Create(std::string(row.resource), row.ns, std::move(row.object));
    if (created.status().reason() == Reason::kInvalid && row.resource == resources::kServices) {
      // Its address has been given to somebody else: any other will do.
      again["spec"].erase("clusterIP");
      created = co_await client.Create(std::string(row.resource), row.ns, std::move(again));
    }
    if (!created.ok() && created.status().reason() != Reason::kAlreadyExists) co_return created.status();
  }
  Status published = co_await PublishServer(client, addresses);
  co_return published;
}

}  // namespace wherry
