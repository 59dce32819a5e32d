#include "api/cli/pod_choice.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry::cli {
namespace {

TEST_CASE("a workload's selector becomes a query") {
  struct Row {
    const char* object;
    const char* selector;
  };
  const Row row = GENERATE(values<Row>({
      {R"({"spec":{"selector":{"matchLabels":{"app":"web","tier":"x"}}}})", "app=web,tier=x"},
      {R"({"spec":{"selector":{"app":"web"}}})", "app=web"},
      {R"({"spec":{"selector":{"matchLabels":{"a":"b"},"matchExpressions":[
          {"key":"k","operator":"In","values":["x","y"]},{"key":"l","operator":"NotIn","values":["z"]},
          {"key":"m","operator":"Exists"},{"key":"n","operator":"DoesNotExist"}]}}})",
       "a=b,k in (x,y),l notin (z),m,!n"},
      {R"({"spec":{}})", ""},
      {R"({"data":{}})", ""},
  }));
  CHECK(PodSelector(Json::parse(row.object)) == row.selector);
}

Json Pod(const char* name, const char* ready, const char* created) {
  return {{"metadata", {{"name", name}, {"creationTimestamp", created}}},
          {"status", {{"conditions", {{{"type", "Ready"}, {"status", ready}}}}}}};
}

TEST_CASE("a ready pod is preferred, then the newest") {
  const Json old_ready = Pod("old", "True", "2026-01-01T00:00:00Z");
  const Json new_ready = Pod("new", "True", "2026-01-02T00:00:00Z");
  const Json newest = Pod("newest", "False", "2026-01-03T00:00:00Z");
  CHECK(ChoosePod(Json::array({old_ready, newest, new_ready}))["metadata"]["name"] == "new");
  CHECK(ChoosePod(Json::array({newest}))["metadata"]["name"] == "newest");
}

TEST_CASE("the container is the annotated one or the first") {
  Json pod = Json::parse(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}],"initContainers":[{"name":"i"}]}})");
  CHECK(ContainerNames(pod) == std::vector<std::string>{"a", "b", "i"});
  CHECK(DefaultContainer(pod) == "a");
  pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "b";
  CHECK(DefaultContainer(pod) == "b");
  pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "gone";
  CHECK(DefaultContainer(pod) == "a");
}

}  // namespace
}  // namespace wherry::cli
