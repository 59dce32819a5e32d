#include "api/cli/readiness.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry::cli {
namespace {

TEST_CASE("readiness is read from the status") {
  struct Row {
    const char* object;
    bool ready, failed;
    const char* text;
  };
  const Row row = GENERATE(values<Row>({
      {R"({"apiVersion":"v1","kind":"ConfigMap"})", true, false, ""},
      {R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"generation":1}})", false, false,
       "not yet seen by its controller"},
      {R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"generation":2},"status":{"observedGeneration":2,
          "desiredNumberScheduled":3,"updatedNumberScheduled":1,"numberReady":3}})",
       false, false, "1 of 3 updated"},
      {R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"generation":2},"status":{"observedGeneration":2,
          "desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberReady":2}})",
       false, false, "2 of 3 ready"},
      {R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"generation":2},"status":{"observedGeneration":2,
          "desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberReady":3}})",
       true, false, "3 of 3 ready"},
      {R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"generation":2},"spec":{"updateStrategy":{"type":
          "OnDelete"}},"status":{"observedGeneration":2,"desiredNumberScheduled":1,"numberReady":1}})",
       true, false, "1 of 1 ready"},
      {R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"generation":1},"spec":{"replicas":2},"status":{
          "observedGeneration":1,"replicas":3,"updatedReplicas":2,"availableReplicas":2}})",
       false, false, "1 old replicas to end"},
      {R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"generation":1},"spec":{"replicas":0},"status":{
          "observedGeneration":1}})",
       true, false, "0 of 0 ready"},
      {R"({"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"generation":1},"spec":{"replicas":2},"status":{
          "observedGeneration":1,"updatedReplicas":2,"readyReplicas":1}})",
       false, false, "1 of 2 ready"},
      {R"({"apiVersion":"v1","kind":"Pod","status":{"phase":"Pending"}})", false, false, "Pending"},
      {R"({"apiVersion":"v1","kind":"Pod","status":{"phase":"Pending","containerStatuses":[{"state":{"waiting":{
          "reason":"ErrImagePull"}}}]}})",
       false, false, "ErrImagePull"},
      {R"({"apiVersion":"v1","kind":"Pod","status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}]}})",
       false, false, "running, not ready"},
      {R"({"apiVersion":"v1","kind":"Pod","status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})",
       true, false, "Ready"},
      {R"({"apiVersion":"v1","kind":"Pod","status":{"phase":"Succeeded"}})", true, false, "Succeeded"},
      {R"({"apiVersion":"v1","kind":"Pod","status":{"phase":"Failed"}})", false, true, "Failed"},
      {R"({"apiVersion":"batch/v1","kind":"Job","spec":{"completions":3},"status":{"succeeded":1}})", false, false,
       "1 of 3 completed"},
      {R"({"apiVersion":"batch/v1","kind":"Job","status":{"conditions":[{"type":"Complete","status":"True"}]}})", true,
       false, "Complete"},
      {R"({"apiVersion":"batch/v1","kind":"Job","status":{"conditions":[{"type":"Failed","status":"True"}]}})", false,
       true, "Failed"},
  }));
  CAPTURE(row.object);
  const Readiness readiness = ReadinessOf(Json::parse(row.object));
  CHECK(readiness.ready == row.ready);
  CHECK(readiness.failed == row.failed);
  CHECK(readiness.text == row.text);
}

}  // namespace
}  // namespace wherry::cli
