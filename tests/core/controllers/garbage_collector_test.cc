#include "core/controllers/garbage_collector.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;

namespace {

// ConfigMaps stand for any objects: nobody else acts on them.
ObjectPtr Make(ControllerCluster& cluster, const std::string& name, const std::vector<ObjectPtr>& owners = {},
               bool block = true, const std::string& ns = "default") {
  Json map = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}, {"namespace", ns}}}};
  for (const ObjectPtr& owner : owners) {
    map["metadata"]["ownerReferences"].push_back({{"apiVersion", "v1"},
                                                  {"kind", owner->key().resource == "nodes" ? "Node" : "ConfigMap"},
                                                  {"name", owner->name()},
                                                  {"uid", owner->uid()},
                                                  {"blockOwnerDeletion", block}});
  }
  ObjectPtr made = cluster.Create(std::move(map));
  cluster.Settle();
  return made;
}

// The names that are left, of those made by Make.
std::string Left(const ControllerCluster& cluster) {
  std::string out;
  for (const ObjectPtr& map : cluster.List(resources::kConfigMaps)) {
    if (map->name() == "kube-root-ca.crt") continue;
    out += (out.empty() ? "" : " ") + map->name();
    if (map->view<MetaView>().deleting()) out += "(going)";
  }
  return out;
}

void Delete(ControllerCluster& cluster, const std::string& name, Propagation propagation) {
  DeleteOptions options;
  options.propagation = propagation;
  cluster.Delete(resources::kConfigMaps, "default", name, options);
  cluster.Settle();
}

void SetFinalizers(ControllerCluster& cluster, const std::string& name, Json finalizers) {
  cluster.Update(cluster.Get(resources::kConfigMaps, "default", name),
                 [&](Json& map) { map["metadata"]["finalizers"] = finalizers; });
  cluster.Settle();
}

}  // namespace

TEST_CASE("Background: what nobody owns any more is collected, all the way down") {
  ControllerCluster cluster;
  const ObjectPtr root = Make(cluster, "a-root");
  const ObjectPtr child = Make(cluster, "b-child", {root});
  Make(cluster, "c-grandchild", {child});
  Make(cluster, "d-other");
  Delete(cluster, "a-root", Propagation::kBackground);
  CHECK(Left(cluster) == "d-other");
}

TEST_CASE("Background: one living owner is enough, and the dead one's reference goes") {
  ControllerCluster cluster;
  const ObjectPtr one = Make(cluster, "a"), two = Make(cluster, "b");
  Make(cluster, "c", {one, two});
  Delete(cluster, "a", Propagation::kBackground);
  CHECK(Left(cluster) == "b c");
  const Json refs = cluster.Document(resources::kConfigMaps, "default", "c")["metadata"]["ownerReferences"];
  REQUIRE(refs.size() == 1);
  CHECK(refs[0]["uid"] == two->uid());
}

TEST_CASE("Absent owner: an object that is born orphaned is collected") {
  ControllerCluster cluster;
  const ObjectPtr owner = Make(cluster, "a");
  Delete(cluster, "a", Propagation::kBackground);
  Make(cluster, "b", {owner});
  CHECK(Left(cluster) == "");
  SECTION("a namesake of the owner is not the owner") {
    Make(cluster, "a");
    Make(cluster, "b", {owner});
    CHECK(Left(cluster) == "a");
  }
}

TEST_CASE("Foreground: the owner waits for the dependents with blockOwnerDeletion") {
  ControllerCluster cluster;
  const ObjectPtr owner = Make(cluster, "a");
  const ObjectPtr child = Make(cluster, "b", {owner});
  Make(cluster, "c", {child});
  SetFinalizers(cluster, "c", {"example.com/hold"});
  Delete(cluster, "a", Propagation::kForeground);
  CHECK(Left(cluster) == "a(going) b(going) c(going)");
  SetFinalizers(cluster, "c", Json::array());
  CHECK(Left(cluster) == "");
}

TEST_CASE("Foreground: dependents that do not block are not waited for") {
  ControllerCluster cluster;
  const ObjectPtr owner = Make(cluster, "a");
  Make(cluster, "b", {owner}, false);
  SetFinalizers(cluster, "b", {"example.com/hold"});
  Delete(cluster, "a", Propagation::kForeground);
  CHECK(Left(cluster) == "b(going)");
}

TEST_CASE("Foreground: a dependent with another owner only loses the reference") {
  ControllerCluster cluster;
  const ObjectPtr one = Make(cluster, "a"), two = Make(cluster, "b");
  Make(cluster, "c", {one, two});
  Delete(cluster, "a", Propagation::kForeground);
  CHECK(Left(cluster) == "b c");
}

TEST_CASE("Foreground: a circle of owners does not wait for itself") {
  ControllerCluster cluster;
  const ObjectPtr a = Make(cluster, "a");
  const ObjectPtr b = Make(cluster, "b", {a});
  cluster.Update(a, [&](Json& map) {
    map["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "v1"},
                                                       {"kind", "ConfigMap"},
                                                       {"name", "b"},
                                                       {"uid", b->uid()},
                                                       {"blockOwnerDeletion", true}}});
  });
  cluster.Settle();
  Delete(cluster, "a", Propagation::kForeground);
  CHECK(Left(cluster) == "");
}

TEST_CASE("Orphan: dependents stay, without the reference") {
  ControllerCluster cluster;
  const ObjectPtr owner = Make(cluster, "a");
  Make(cluster, "b", {owner});
  Make(cluster, "c", {owner});
  Delete(cluster, "a", Propagation::kOrphan);
  CHECK(Left(cluster) == "b c");
  CHECK_FALSE(cluster.Document(resources::kConfigMaps, "default", "b")["metadata"].contains("ownerReferences"));
}

TEST_CASE("Cross-namespace owner: counts as absent, and an event says so") {
  ControllerCluster cluster;
  cluster.Create({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "far"}}}});
  cluster.Settle();
  const ObjectPtr owner = Make(cluster, "a", {}, true, "far");
  Make(cluster, "b", {owner});
  CHECK(Left(cluster) == "a");
  const std::vector<std::string> events = cluster.EventsAbout("b");
  REQUIRE(events.size() == 1);
  CHECK(events[0].starts_with("OwnerRefInvalidNamespace: "));
}

TEST_CASE("Cross-namespace owner: a cluster-wide one may own in any namespace") {
  ControllerCluster cluster;
  const ObjectPtr node = cluster.AddNode("n");
  Make(cluster, "a", {node});
  CHECK(Left(cluster) == "a");
  cluster.Delete(resources::kNodes, "", "n");
  cluster.Settle();
  CHECK(Left(cluster) == "");
}

TEST_CASE("Absent owner: one of a kind nobody knows is not called absent") {
  ControllerCluster cluster;
  cluster.Create(Json::parse(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default",
    "ownerReferences":[{"apiVersion":"example.com/v1","kind":"Thing","name":"t","uid":"1"}]}})"));
  cluster.Settle();
  CHECK(Left(cluster) == "a");
}
