#include "core/control_plane/bootstrap.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"

namespace wherry {
namespace {

struct Row {
  std::string_view resource;
  std::string ns;
  Json object;
};

std::vector<Row> Rows(const std::string& address, int port) {
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
          {"clusterIP", address},
          {"ports", Json::array({{{"name", "https"}, {"protocol", "TCP"}, {"port", 443}, {"targetPort", port}}})}}}}});
  return rows;
}

}  // namespace

Task<Status> Bootstrap(Client& client, std::string address, int port) {
  std::vector<Row> rows = Rows(address, port);
  for (Row& row : rows) {
    const std::string name = row.object["metadata"]["name"];
    if (client.cache().Get(row.resource, row.ns, name)) continue;
    Result<ObjectPtr> created = co_await client.Create(std::string(row.resource), row.ns, std::move(row.object));
    if (!created.ok() && created.status().reason() != Reason::kAlreadyExists) co_return created.status();
  }
  co_return Status();
}

}  // namespace wherry
