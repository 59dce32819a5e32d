#include "core/controllers/namespace.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "core/controllers/controllers.h"
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

TEST_CASE("Namespace deletion: empties every namespaced resource, custom ones too") {
  constexpr char kWidgets[] = R"(
package example.v1 example.com v1 com.example.v1

kind Widget widgets widget
  flags status

type Widget
  + meta.v1.TypeMeta 0
  metadata? meta.v1.ObjectMeta 1
  spec? any 2
)";
  std::vector<std::string> others;
  for (const ControllerRow& row : AllControllers()) {
    const std::string name = row.name;
    if (name != "namespace-controller" && name != "garbage-collector") others.push_back(name);
  }
  ControllerCluster cluster(1, others, kWidgets);
  MakeNamespace(cluster);
  cluster.Create({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "other"}}}});
  // One of each kind, past every check, here and in another namespace.
  std::set<std::string> kinds;
  for (const auto& kind : cluster.catalog().kinds()) {
    if (!kind->namespaced || kind->storage) continue;
    kinds.insert(kind->resource);
    for (const char* ns : {"lab", "other"}) {
      Mutation made;
      made.key = {kind->resource, ns, "one"};
      made.uid = kind->resource + "-" + ns;
      made.draft.emplace(Json{{"apiVersion", kind->gvk.api_version()},
                              {"kind", kind->gvk.kind},
                              {"metadata", {{"name", "one"}, {"namespace", ns}, {"uid", made.uid}}}});
      cluster.Commit(std::move(made));
    }
  }
  CHECK(kinds.contains("widgets.example.com"));
  CHECK(kinds.contains("pods"));
  CHECK(kinds.size() > 20);
  DeleteNamespace(cluster);
  for (const std::string& resource : kinds) {
    CAPTURE(resource);
    CHECK(cluster.List(resource, "lab").empty());
    CHECK(cluster.Get(resource, "other", "one"));
  }
  CHECK_FALSE(cluster.Get(resources::kNamespaces, "", "lab"));
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
