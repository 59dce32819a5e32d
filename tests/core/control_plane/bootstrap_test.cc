#include "core/control_plane/bootstrap.h"

#include <catch2/catch.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "tests/support/test_cluster.h"

namespace wherry {
namespace {

// "address:port port …" of the one endpoint, as both forms tell it.
std::pair<std::string, std::string> Leads(const TestCluster& cluster, const std::string& ns, const std::string& name) {
  std::string from_endpoints, from_slice;
  const Json endpoints = cluster.Document(resources::kEndpoints, ns, name);
  REQUIRE(ListAt(endpoints, "subsets").size() == 1);
  const Json& subset = endpoints["subsets"][0];
  from_endpoints = subset["addresses"][0]["ip"].get<std::string>() + ":";
  for (const Json& port : subset["ports"]) from_endpoints += port["port"].dump() + " ";
  const Json slice = cluster.Document(resources::kEndpointSlices, ns, name);
  REQUIRE(ListAt(slice, "endpoints").size() == 1);
  CHECK(slice["metadata"]["labels"]["kubernetes.io/service-name"] == name);
  from_slice = slice["endpoints"][0]["addresses"][0].get<std::string>() + ":";
  for (const Json& port : slice["ports"]) from_slice += port["port"].dump() + " ";
  return {from_endpoints, from_slice};
}

TEST_CASE("The Services of the cluster itself lead to where it listens, at each start anew") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  BootstrapAddresses addresses;
  addresses.api = "127.0.0.1";
  addresses.api_port = 7000;
  addresses.dns = "127.96.0.10";
  REQUIRE(cluster.Run(Bootstrap(cluster.client(), addresses)).ok());
  const Json service = cluster.Document(resources::kServices, "kube-system", "kube-dns");
  const std::string ip = StringAt(service, "spec.clusterIP");
  CHECK(Leads(cluster, "default", "kubernetes") ==
        std::pair<std::string, std::string>("127.0.0.1:7000 ", "127.0.0.1:7000 "));
  CHECK(Leads(cluster, "kube-system", "kube-dns") == std::pair(ip + ":53 53 ", ip + ":53 53 "));

  addresses.api_port = 7001;
  addresses.dns_port = 8053;
  REQUIRE(cluster.Run(Bootstrap(cluster.client(), addresses)).ok());
  CHECK(Leads(cluster, "default", "kubernetes") ==
        std::pair<std::string, std::string>("127.0.0.1:7001 ", "127.0.0.1:7001 "));
  CHECK(Leads(cluster, "kube-system", "kube-dns") == std::pair(ip + ":8053 8053 ", ip + ":8053 8053 "));
}

}  // namespace
}  // namespace wherry
