#include "core/controllers/namespace.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;

namespace {

void MakeNamespace(ControllerCluster& cluster) {
  cluster.Create({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "lab"}}}});
  cluster.Settle();
}

ObjectPtr MakeMap(ControllerCluster& cluster, const char* finalizer = nullptr) {
  Json map = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "m"}, {"namespace", "lab"}}}};
  if (finalizer) map["metadata"]["finalizers"] = Json::array({finalizer});
  return cluster.Create(std::move(map));
}

// …and the second that its content is left alone.
void DeleteNamespace(ControllerCluster& cluster) {
  cluster.Delete(resources::kNamespaces, "", "lab");
  cluster.Settle();
  cluster.Advance(std::chrono::seconds(1));
}

Json Condition(const ControllerCluster& cluster, const std::string& type) {
  const Json ns = cluster.Document(resources::kNamespaces, "", "lab");
  for (const Json& condition : ns["status"]["conditions"]) {
    if (condition["type"] == type) return condition;
  }
  return {};
}

}  // namespace

TEST_CASE("Every namespace has its service account and certificate, and gets them back") {
  ControllerCluster cluster;
  MakeNamespace(cluster);
  CHECK(cluster.Get(resources::kServiceAccounts, "lab", "default"));
  CHECK(cluster.Document(resources::kConfigMaps, "lab", "kube-root-ca.crt")["data"]["ca.crt"] ==
        "-----BEGIN CERTIFICATE-----\ntest\n");
  cluster.Delete(resources::kServiceAccounts, "lab", "default");
  cluster.Delete(resources::kConfigMaps, "lab", "kube-root-ca.crt");
  cluster.Settle();
  CHECK(cluster.Get(resources::kServiceAccounts, "lab", "default"));
  CHECK(cluster.Get(resources::kConfigMaps, "lab", "kube-root-ca.crt"));
  cluster.Update(cluster.Get(resources::kConfigMaps, "lab", "kube-root-ca.crt"),
                 [](Json& map) { map["data"]["ca.crt"] = "x"; });
  cluster.Settle();
  CHECK(cluster.Document(resources::kConfigMaps, "lab", "kube-root-ca.crt")["data"]["ca.crt"] ==
        "-----BEGIN CERTIFICATE-----\ntest\n");
}

TEST_CASE("Namespace deletion: goes with everything in it") {
  ControllerCluster cluster;
  MakeNamespace(cluster);
  MakeMap(cluster);
  DeleteNamespace(cluster);
  CHECK_FALSE(cluster.Get(resources::kNamespaces, "", "lab"));
  CHECK(cluster.List(resources::kConfigMaps, "lab").empty());
  CHECK(cluster.List(resources::kServiceAccounts, "lab").empty());
}

TEST_CASE("Namespace deletion: what is in it can still be deleted by name for a second") {
  ControllerCluster cluster;
  MakeNamespace(cluster);
  MakeMap(cluster);
  cluster.Delete(resources::kNamespaces, "", "lab");
  cluster.Settle();
  cluster.Advance(std::chrono::milliseconds(990));
  REQUIRE(cluster.Get(resources::kConfigMaps, "lab", "m"));
  CHECK(cluster.Document(resources::kNamespaces, "", "lab")["status"]["phase"] == "Terminating");
  cluster.Delete(resources::kConfigMaps, "lab", "m");
  cluster.Settle();
  CHECK(cluster.Get(resources::kServiceAccounts, "lab", "default"));  // what else happens there does not hurry us
  cluster.Advance(std::chrono::milliseconds(10));
  CHECK_FALSE(cluster.Get(resources::kNamespaces, "", "lab"));
}

TEST_CASE("Namespace deletion: waits for finalizers, and its conditions say what it waits for") {
  ControllerCluster cluster;
  MakeNamespace(cluster);
  const ObjectPtr map = MakeMap(cluster, "example.com/hold");
  DeleteNamespace(cluster);
  REQUIRE(cluster.Get(resources::kNamespaces, "", "lab"));
  CHECK(cluster.Document(resources::kNamespaces, "", "lab")["status"]["phase"] == "Terminating");
  CHECK(Condition(cluster, "NamespaceContentRemaining")["status"] == "True");
  CHECK(Condition(cluster, "NamespaceContentRemaining")["message"] ==
        "Some resources are remaining: configmaps has 1 resource instances");
  CHECK(Condition(cluster, "NamespaceFinalizersRemaining")["message"] ==
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances");
  CHECK(Condition(cluster, "NamespaceDeletionContentFailure")["status"] == "False");
  cluster.Update(map, [](Json& object) { object["metadata"].erase("finalizers"); });
  cluster.Settle();
  CHECK_FALSE(cluster.Get(resources::kNamespaces, "", "lab"));
}

TEST_CASE("Namespace deletion: pods go with their grace") {
  ControllerCluster cluster;
  MakeNamespace(cluster);
  cluster.AddNode("a");
  cluster.Create(Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"lab"},
    "spec":{"nodeName":"a","containers":[{"name":"main","image":"nginx:1"}]}})"));
  DeleteNamespace(cluster);
  REQUIRE(cluster.Get(resources::kPods, "lab", "p"));
  CHECK(cluster.Get(resources::kPods, "lab", "p")->view<MetaView>().deleting());
  cluster.RunPods();
  CHECK_FALSE(cluster.Get(resources::kNamespaces, "", "lab"));
}
