#include "core/registry/registry.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"
#include "tests/support/test_cluster.h"

namespace wherry {
namespace {

Json ConfigMap(const std::string& name) {
  return {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}}}, {"data", {{"a", "1"}}}};
}

Json DaemonSet(const std::string& name) {
  return Json::parse(R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":")" + name + R"("},
    "spec":{"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},
    "spec":{"containers":[{"name":"c","image":"nginx"}]}}}})");
}

TEST_CASE("a created object carries the server's metadata and defaults") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  const ObjectPtr made = cluster.Create(DaemonSet("d"));
  const Json d = *made->json();
  CHECK(d["metadata"]["namespace"] == "default");
  CHECK(d["metadata"]["generation"] == 1);
  CHECK(d["metadata"]["uid"].get<std::string>().size() == 36);
  CHECK(d["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z");
  CHECK(d["metadata"]["resourceVersion"] == std::to_string(made->revision()));
  CHECK(d["spec"]["updateStrategy"]["type"] == "RollingUpdate");
  CHECK(d["spec"]["revisionHistoryLimit"] == 10);
  CHECK(d["spec"]["template"]["spec"]["restartPolicy"] == "Always");
}

TEST_CASE("an object is created once") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  cluster.Create(ConfigMap("a"));
  const auto again = cluster.TryCreate(ConfigMap("a"));
  REQUIRE_FALSE(again.ok());
  CHECK(again.status().message() == "configmaps \"a\" already exists");
}

TEST_CASE("generateName makes distinct names") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  Json object = ConfigMap("");
  object["metadata"] = {{"generateName", "x-"}};
  const ObjectPtr first = cluster.Create(object);
  const ObjectPtr second = cluster.Create(object);
  CHECK(first->name().size() == 7);
  CHECK(first->name().substr(0, 2) == "x-");
  CHECK(first->name() != second->name());
}

TEST_CASE("a write that changes nothing is none") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  const ObjectPtr made = cluster.Create(ConfigMap("a"));
  const ObjectPtr same = cluster.Update(made, [](Json&) {});
  CHECK(same->revision() == made->revision());
}

TEST_CASE("generation counts changes of the spec only") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  const ObjectPtr made = cluster.Create(DaemonSet("d"));
  ObjectPtr now = cluster.Update(made, [](Json& d) { d["metadata"]["labels"]["x"] = "y"; });
  CHECK(now->view<MetaView>().generation == 1);
  now = cluster.Update(
      made, [](Json& d) { d["status"]["numberReady"] = 5; }, "status");
  CHECK(now->view<MetaView>().generation == 1);
  CHECK(IntAt(*now->json(), "status.numberReady") == 5);
  now = cluster.Update(made, [](Json& d) { d["spec"]["minReadySeconds"] = 3; });
  CHECK(now->view<MetaView>().generation == 2);
  CHECK(IntAt(*now->json(), "status.numberReady") == 5);
}

TEST_CASE("a stale revision is refused") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  const ObjectPtr made = cluster.Create(ConfigMap("a"));
  cluster.Update(made, [](Json& d) { d["data"]["a"] = "2"; });
  Json old = *made->json();
  old["data"]["a"] = "3";
  const auto refused = cluster.Run(cluster.client().Update("configmaps", old));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message() ==
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to "
        "the latest "
        "version and try again");
  CHECK(refused.status().http_code() == 409);
}

TEST_CASE("a finalizer holds a deleted object until it is removed") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  Json object = ConfigMap("a");
  object["metadata"]["finalizers"] = {"example.com/hold"};
  const ObjectPtr made = cluster.Create(object);
  cluster.Delete("configmaps", "default", "a");
  REQUIRE(cluster.Get("configmaps", "default", "a"));
  CHECK(cluster.Get("configmaps", "default", "a")->view<MetaView>().deleting());
  cluster.Update(made, [](Json& d) { d["metadata"].erase("finalizers"); });
  CHECK_FALSE(cluster.Get("configmaps", "default", "a"));
}

TEST_CASE("a bound pod is deleted in two steps, an unbound one at once") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  const Json pod = Json::parse(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"x"}]}})");
  cluster.Create(pod);
  cluster.Delete("pods", "default", "p");
  CHECK_FALSE(cluster.Get("pods", "default", "p"));

  cluster.Create(pod);
  CHECK(cluster.Run(cluster.client().Bind("default", "p", "", "n1")).ok());
  cluster.Delete("pods", "default", "p");
  const Json waiting = cluster.Document("pods", "default", "p");
  CHECK(waiting["metadata"]["deletionGracePeriodSeconds"] == 30);
  CHECK(waiting["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:50Z");
  DeleteOptions now;
  now.grace_period_seconds = 0;
  cluster.Delete("pods", "default", "p", now);
  CHECK_FALSE(cluster.Get("pods", "default", "p"));
}

TEST_CASE("Binding: a pod is bound once") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  cluster.Create(Json::parse(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"x"}]}})"));
  CHECK(cluster.Run(cluster.client().Bind("default", "p", "", "n1")).ok());
  const Status again = cluster.Run(cluster.client().Bind("default", "p", "", "n2"));
  CHECK(again.reason() == Reason::kConflict);
  CHECK(StringAt(cluster.Document("pods", "default", "p"), "spec.nodeName") == "n1");
}

TEST_CASE("Binding: the subresource alone gives a pod its node, by uid, gates and all") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  const ObjectPtr made = cluster.Create(Json::parse(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"a":"1"}},
          "spec":{"schedulingGates":[{"name":"example.com/wait"}],"containers":[{"name":"c","image":"x"}]}})"));
  auto bind = [&](const Json& metadata) {
    const Json binding = {{"metadata", metadata}, {"target", {{"kind", "Node"}, {"name", "n1"}}}};
    const Status bound = cluster.Run(cluster.registry().Bind("default", "p", binding, RequestContext()));
    return bound.ok() ? std::string("ok") : std::to_string(bound.http_code()) + " " + bound.message();
  };
  const std::string refused = "409 Operation cannot be fulfilled on pods/binding \"p\": ";
  CHECK(bind(Json::object()) == refused + "pod p has non-empty .spec.schedulingGates");
  cluster.Update(made, [](Json& pod) { pod["spec"].erase("schedulingGates"); });
  CHECK(bind({{"uid", "another"}}) ==
        refused + "Precondition failed: UID in precondition: another, UID in object meta: " + made->uid());

  Json moved = cluster.Document("pods", "default", "p");
  moved["spec"]["nodeName"] = "n2";
  CHECK(cluster.Run(cluster.client().Update("pods", moved)).status().http_code() == 422);

  cluster.Update(
      cluster.Get("pods", "default", "p"), [](Json& pod) { pod["status"]["nominatedNodeName"] = "n1"; }, "status");
  CHECK(cluster.Document("pods", "default", "p")["status"]["nominatedNodeName"] == "n1");
  CHECK(bind({{"uid", made->uid()}, {"annotations", {{"b", "2"}}}}) == "ok");
  const Json pod = cluster.Document("pods", "default", "p");
  CHECK(pod["spec"]["nodeName"] == "n1");
  CHECK(pod["metadata"]["annotations"] == Json({{"a", "1"}, {"b", "2"}}));
  CHECK(pod["status"]["conditions"] == Json::array({{{"type", "PodScheduled"},
                                                     {"status", "True"},
                                                     {"lastProbeTime", nullptr},
                                                     {"lastTransitionTime", "2023-11-14T22:13:20Z"}}}));
  CHECK_FALSE(pod["status"].contains("nominatedNodeName"));

  cluster.Create(Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"q","finalizers":["example.com/x"]},
      "spec":{"containers":[{"name":"c","image":"x"}]}})"));
  cluster.Delete("pods", "default", "q");
  const Status late = cluster.Run(cluster.client().Bind("default", "q", "", "n1"));
  CHECK(late.reason() == Reason::kConflict);
}

TEST_CASE("Default tolerations: 300 s for nodes that are not ready or unreachable, unless the pod says otherwise") {
  const std::string ready =
      R"({"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300})";
  const std::string reach =
      R"({"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300})";
  const std::string never = R"({"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute"})";
  const std::string brief = R"({"key":"node.kubernetes.io/unreachable","operator":"Exists","tolerationSeconds":5,
      "effect":"NoExecute"})";
  const std::string soft = R"({"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoSchedule"})";
  const std::string all = R"({"operator":"Exists"})";
  const std::pair<std::string, std::string> cases[] = {
      {"", ready + "," + reach},
      {never, never + "," + reach},
      {brief, brief + "," + ready},
      {soft, soft + "," + ready + "," + reach},
      {all, all},
  };
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  for (const auto& [given, made] : cases) {
    CAPTURE(given);
    Json pod = Json::parse(
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-"},"spec":{"containers":[{"name":"c","image":"x"}]}})");
    pod["spec"]["tolerations"] = Json::parse("[" + given + "]");
    const ObjectPtr stored = cluster.Create(pod);
    CHECK((*stored->json())["spec"]["tolerations"] == Json::parse("[" + made + "]"));
  }
}

TEST_CASE("nothing is created in a namespace that is absent") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  Json object = ConfigMap("a");
  object["metadata"]["namespace"] = "nowhere";
  const auto refused = cluster.TryCreate(object);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message() == "namespaces \"nowhere\" not found");
}

TEST_CASE("the system's namespaces stay") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  const auto refused = cluster.Run(cluster.client().Delete("namespaces", "", "default"));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().message() == "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

}  // namespace
}  // namespace wherry
