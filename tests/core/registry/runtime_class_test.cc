#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "tests/support/test_cluster.h"

namespace wherry {
namespace {

Json Pod(const std::string& name, const Json& spec) {
  Json pod = {{"apiVersion", "v1"},
              {"kind", "Pod"},
              {"metadata", {{"name", name}, {"namespace", "default"}}},
              {"spec", {{"containers", Json::array({{{"name", "app"}, {"image", "app"}}})}}}};
  pod["spec"].update(spec);
  return pod;
}

}  // namespace

TEST_CASE("a pod gets what its RuntimeClass brings, or is refused") {
  TestCluster cluster(1, TestCluster::Parts::kStoreOnly);
  CHECK(cluster.Document(resources::kRuntimeClasses, "", "host")["handler"] == "host");
  CHECK(cluster.Document(resources::kRuntimeClasses, "", "sandbox")["handler"] == "sandbox");
  cluster.Create({{"apiVersion", "node.k8s.io/v1"},
                  {"kind", "RuntimeClass"},
                  {"metadata", {{"name", "heavy"}}},
                  {"handler", "sandbox"},
                  {"overhead", {{"podFixed", {{"memory", "10Mi"}}}}},
                  {"scheduling",
                   {{"nodeSelector", {{"boxes", "yes"}}},
                    {"tolerations", Json::array({{{"key", "boxes"}, {"operator", "Exists"}}})}}}});
  const ObjectPtr pod = cluster.Create(Pod("a", {{"runtimeClassName", "heavy"}}));
  const Json spec = (*pod->json())["spec"];
  CHECK(spec["overhead"] == Json{{"memory", "10Mi"}});
  CHECK(spec["nodeSelector"] == Json{{"boxes", "yes"}});
  CHECK(spec["tolerations"][0]["key"] == "boxes");

  struct Case {
    const char* spec;
    const char* why;
  };
  const Case cases[] = {
      {R"({"runtimeClassName":"gvisor"})", "pods \"b\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found"},
      {R"({"overhead":{"cpu":"1"}})",
       "pods \"b\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"},
      {R"({"runtimeClassName":"heavy","overhead":{"cpu":"1"}})",
       "pods \"b\" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"},
      {R"({"runtimeClassName":"heavy","nodeSelector":{"boxes":"no"}})",
       "pods \"b\" is forbidden: pod rejected: conflict: runtimeClass.scheduling.nodeSelector[boxes] = yes; "
       "pod.spec.nodeSelector[boxes] = no"},
  };
  for (const Case& c : cases) {
    INFO(c.spec);
    const Result<ObjectPtr> refused = cluster.TryCreate(Pod("b", Json::parse(c.spec)));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.status().message() == c.why);
  }
  CHECK_FALSE(cluster
                  .TryCreate({{"apiVersion", "node.k8s.io/v1"},
                              {"kind", "RuntimeClass"},
                              {"metadata", {{"name", "bad"}}},
                              {"handler", "Not a label"}})
                  .ok());
}

}  // namespace wherry
