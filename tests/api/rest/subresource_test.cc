// Scale, binding, eviction, finalize, reviews, and Events under both of their names.

#include "tests/api/rest/table.h"

namespace wherry {
namespace {

const std::string kDeployment =
    R"({"metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},)"
    R"("spec":{"containers":[{"name":"c","image":"nginx"}]}}}})";
const std::string kPod =
    R"({"metadata":{"name":"p","labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":"i"}]}})";

TEST_CASE("scale") {
  ApiCluster api;
  REQUIRE(api.Send("POST", kApps + "deployments", kDeployment).code == 201);
  const std::string scale = kApps + "deployments/d/scale";
  CheckLines(
      api,
      {
          {"GET",
           scale,
           {},
           "",
           200,
           "",
           "",
           {{"/kind", "Scale"},
            {"/apiVersion", "autoscaling/v1"},
            {"/spec/replicas", 2},
            {"/status/selector", "app=x"},
            {"/metadata/name", "d"}}},
          {"GET",
           scale,
           kTable,
           "",
           200,
           "",
           "",
           {{"/kind", "Table"},
            {"/columnDefinitions/1/name", "Desired"},
            {"/rows/0/cells/0", "d"},
            {"/rows/0/cells/1", 2}}},
          // kubectl scale, then with --current-replicas: no Content-Type
          {"PATCH", scale, kMergePatch, R"({"spec":{"replicas":3}})", 200, "", "", {{"/spec/replicas", 3}}},
          {"PUT",
           scale,
           {},
           R"({"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"d"},"spec":{"replicas":4}})",
           200,
           "",
           "",
           {{"/spec/replicas", 4}}},
          {"GET", kApps + "deployments/d", {}, "", 200, "", "", {{"/spec/replicas", 4}}},
          {"PATCH",
           scale,
           kJsonPatch,
           R"([{"op":"replace","path":"/spec/replicas","value":0}])",
           200,
           "",
           "",
           {{"/spec/replicas", 0}}},
          {"PATCH",
           scale + "?dryRun=All",
           kMergePatch,
           R"({"spec":{"replicas":9}})",
           200,
           "",
           "",
           {{"/spec/replicas", 9}}},
          {"GET", scale, {}, "", 200, "", "", {{"/spec/replicas", 0}}},
          {"PATCH",
           scale,
           kMergePatch,
           R"({"spec":{"replicas":-1}})",
           422,
           "Invalid",
           "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
           {}},
          {"PATCH", scale, kMergePatch, R"({"spec":{"replicas":"many"}})", 400, "BadRequest", "", {}},
          {"PUT",
           scale,
           {},
           R"({"metadata":{"name":"d","resourceVersion":"1"},"spec":{"replicas":4}})",
           409,
           "Conflict",
           "",
           {}},
          {"PUT", scale, {}, R"({"metadata":{"name":"e"},"spec":{"replicas":4}})", 400, "BadRequest", "", {}},
          {"PUT", scale, {}, R"({"kind":"Deployment","apiVersion":"apps/v1"})", 400, "BadRequest", "", {}},
          {"GET", kApps + "deployments/e/scale", {}, "", 404, "NotFound", "deployments.apps \"e\" not found", {}},
          {"PATCH", kApps + "deployments/e/scale", kMergePatch, "{}", 404, "NotFound", "", {}},
          {"GET", kApps + "daemonsets/d/scale", {}, "", 404, "NotFound", "", {}},
          {"PUT",
           scale,
           kProtobuf,
           EnvelopeOf("autoscaling/v1", "Scale", Bytes(1, Bytes(1, "d")) + Bytes(2, Number(1, 6))),
           200,
           "",
           "",
           {{"/spec/replicas", 6}}},
      });
}

TEST_CASE("binding") {
  ApiCluster api;
  REQUIRE(api.Send("POST", kCore + "pods", kPod).code == 201);
  const std::string binding = kCore + "pods/p/binding";
  const std::string body = R"({"target":{"kind":"Node","name":"n1"}})";
  CheckLines(
      api, {
               {"POST", binding, {}, "{}", 422, "Invalid", "", {{"/details/causes/0/field", "target.name"}}},
               {"POST", binding, {}, R"({"target":{"kind":"Pod","name":"n1"}})", 422, "Invalid", "", {}},
               {"POST", binding + "?dryRun=All", {}, body, 201, "", "", {}},
               {"POST", binding, {}, body, 201, "", "", {{"/kind", "Status"}, {"/status", "Success"}}},
               {"GET",
                kCore + "pods/p",
                {},
                "",
                200,
                "",
                "",
                {{"/spec/nodeName", "n1"},
                 {"/status/conditions/0/type", "PodScheduled"},
                 {"/status/conditions/0/status", "True"}}},
               {"POST",
                binding,
                {},
                body,
                409,
                "Conflict",
                "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"",
                {}},
               {"POST", kCore + "pods/q/binding", {}, body, 404, "NotFound", "", {}},
               // The collection that the first schedulers used.
               {"POST",
                kCore + "pods",
                {},
                R"({"metadata":{"name":"r"},"spec":{"containers":[{"name":"c","image":"i"}]}})",
                201,
                "",
                "",
                {}},
               {"POST", kCore + "bindings", {}, R"({"metadata":{"name":"r"},"target":{"name":"n2"}})", 201, "", "", {}},
               {"GET", kCore + "pods/r", {}, "", 200, "", "", {{"/spec/nodeName", "n2"}}},
               {"GET", kCore + "bindings", {}, "", 405, "MethodNotAllowed", "", {}},
           });
}

TEST_CASE("ephemeral containers are added through a subresource of their own") {
  ApiCluster api;
  const std::string pods = kCore + "pods", part = pods + "/p/ephemeralcontainers";
  REQUIRE(api.Send("POST", pods, kPod).code == 201);
  // As kubectl debug asks.
  const std::string debug =
      R"({"spec":{"ephemeralContainers":[{"name":"d","image":"busybox","imagePullPolicy":"IfNotPresent","resources":{},)"
      R"("stdin":true,"terminationMessagePolicy":"File","tty":true,"targetContainerName":"c"}]}})";
  Json sent = api.Get(pods + "/p").json;
  CheckLines(
      api,
      {
          {"PATCH", pods + "/p", kStrategicPatch, debug, 422, "Invalid", "", {}},
          {"PATCH",
           pods + "/gone/ephemeralcontainers",
           kStrategicPatch,
           debug,
           404,
           "NotFound",
           "pods \"gone\" not found",
           {}},
          {"PATCH",
           part + "?dryRun=All",
           kStrategicPatch,
           debug,
           200,
           "",
           "",
           {{"/spec/ephemeralContainers/0/name", "d"}}},
          {"GET", part, {}, "", 200, "", "", {{"/kind", "Pod"}, {"/spec/ephemeralContainers", nullptr}}},
          {"PATCH",
           part,
           kStrategicPatch,
           debug,
           200,
           "",
           "",
           {{"/kind", "Pod"},
            {"/apiVersion", "v1"},
            {"/spec/containers/0/name", "c"},
            {"/spec/ephemeralContainers/0/name", "d"},
            {"/spec/ephemeralContainers/0/targetContainerName", "c"},
            {"/spec/ephemeralContainers/0/terminationMessagePath", "/dev/termination-log"}}},
          {"PATCH",
           part,
           kStrategicPatch,
           R"({"metadata":{"labels":{"app":"y"}},"spec":{"$setElementOrder/ephemeralContainers":[{"name":"d"},{"name":"e"}],)"
           R"("ephemeralContainers":[{"name":"e","image":"busybox"}]}})",
           200,
           "",
           "",
           {{"/metadata/labels/app", "x"},
            {"/spec/ephemeralContainers/1/name", "e"},
            {"/spec/ephemeralContainers/1/imagePullPolicy", "Always"},
            {"/spec/ephemeralContainers/2", nullptr}}},
          {"PATCH",
           part,
           kJsonPatch,
           R"([{"op":"remove","path":"/spec/ephemeralContainers/0"}])",
           422,
           "Invalid",
           "Pod \"p\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be "
           "removed",
           {}},
          {"PATCH",
           part,
           kStrategicPatch,
           R"({"spec":{"ephemeralContainers":[{"name":"f","image":"b","imagePullPolicy":"Sometimes"}]}})",
           422,
           "Invalid",
           "",
           {{"/details/causes/0/field", "spec.ephemeralContainers[0].imagePullPolicy"}}},
          {"PATCH",
           part,
           kStrategicPatch,
           R"({"spec":{"ephemeralContainers":[{"name":"d","tty":null}]}})",
           422,
           "Invalid",
           "",
           {}},
          // An ordinary write that leaves them as they are is fine, one that forgets them is not.
          {"PATCH",
           pods + "/p",
           kMergePatch,
           R"({"metadata":{"labels":{"app":"z"}}})",
           200,
           "",
           "",
           {{"/metadata/labels/app", "z"}, {"/spec/ephemeralContainers/1/name", "e"}}},
          {"PATCH", pods + "/p", kMergePatch, R"({"spec":{"ephemeralContainers":null}})", 422, "Invalid", "", {}},
          // What kubectl of before 1.22 sends.
          {"PUT",
           part,
           {},
           R"({"kind":"EphemeralContainers","apiVersion":"v1","metadata":{"name":"p"},"ephemeralContainers":[]})",
           400,
           "BadRequest",
           "",
           {}},
          {"DELETE", part, {}, "", 405, "MethodNotAllowed", "", {}},
          {"POST", part, {}, "{}", 405, "MethodNotAllowed", "", {}},
      });
  // The whole pod, as an update.
  sent["spec"]["ephemeralContainers"] = Json::parse(R"([{"name":"g","image":"busybox"}])");
  CHECK(api.Send("PUT", part, sent).code == 409);  // of an older state
  sent["metadata"].erase("resourceVersion");
  CHECK(api.Send("PUT", part, sent).code == 422);  // d and e are not there
  Json whole = api.Get(part).json;
  whole["spec"]["ephemeralContainers"].push_back(Json::parse(R"({"name":"g","image":"busybox"})"));
  whole["spec"]["containers"][0]["image"] = "other";
  const Answer put = api.Send("PUT", part, whole);
  CHECK(put.code == 200);
  CHECK(put.at("/spec/ephemeralContainers/2/name") == "g");
  CHECK(put.at("/spec/containers/0/image") == "i");
}

TEST_CASE("eviction, in both versions") {
  ApiCluster api;
  const std::string pods = kCore + "pods";
  auto pod = [](const std::string& name) {
    return R"({"metadata":{"name":")" + name +
           R"(","labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":"i"}]}})";
  };
  for (const char* name : {"a", "b", "c", "d", "e"}) REQUIRE(api.Send("POST", pods, pod(name)).code == 201);
  auto body = [](const std::string& version, const std::string& name) {
    return R"({"kind":"Eviction","apiVersion":"policy/)" + version + R"(","metadata":{"name":")" + name + R"("}})";
  };
  CheckLines(api, {
                      {"POST", pods + "/a/eviction", {}, body("v1", "a"), 201, "", "", {{"/status", "Success"}}},
                      {"GET", pods + "/a", {}, "", 404, "", "", {}},
                      {"POST", pods + "/b/eviction", {}, body("v1beta1", "b"), 201, "", "", {{"/status", "Success"}}},
                      {"GET", pods + "/b", {}, "", 404, "", "", {}},
                      {"POST",
                       pods + "/e/eviction",
                       kProtobuf,
                       EnvelopeOf("policy/v1beta1", "Eviction", Bytes(1, Bytes(1, "e"))),
                       201,
                       "",
                       "",
                       {}},
                      {"GET", pods + "/e", {}, "", 404, "", "", {}},
                      {"POST", pods + "/b/eviction", {}, body("v1", "b"), 404, "NotFound", "pods \"b\" not found", {}},
                      {"POST",
                       pods + "/c/eviction",
                       {},
                       body("v1", "a"),
                       400,
                       "BadRequest",
                       "name in URL does not match name in Eviction object",
                       {}},
                      {"POST",
                       pods + "/c/eviction",
                       {},
                       R"({"apiVersion":"policy/v1","kind":"Eviction","deleteOptions":{"dryRun":["All"]}})",
                       201,
                       "",
                       "",
                       {}},
                      {"GET", pods + "/c", {}, "", 200, "", "", {}},
                  });
  // A budget that has nothing to spare, in a state that nobody but its controller writes.
  api.Send("PATCH", pods + "/d/status",
           R"({"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})", kMergePatch);
  const std::string budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  REQUIRE(api.Send("POST", budgets,
                   R"({"metadata":{"name":"b"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"x"}}}})")
              .code == 201);
  const Answer set = api.Send(
      "PATCH", budgets + "/b/status",
      R"({"status":{"observedGeneration":1,"disruptionsAllowed":0,"currentHealthy":1,"desiredHealthy":1,"expectedPods":1}})",
      kMergePatch);
  REQUIRE(set.code == 200);
  CheckLines(api,
             {
                 {"POST",
                  pods + "/d/eviction",
                  {},
                  body("v1", "d"),
                  429,
                  "TooManyRequests",
                  "Cannot evict pod as it would violate the pod's disruption budget.",
                  {{"/details/causes/0/reason", "DisruptionBudget"},
                   {"/details/causes/0/message", "The disruption budget b needs 1 healthy pods and has 1 currently"}}},
                 {"GET", pods + "/d", {}, "", 200, "", "", {}},
                 // Another way than eviction is always open.
                 {"DELETE", pods + "/d", {}, "", 200, "", "", {}},
             });
}

TEST_CASE("reviews answer what is true: everybody with credentials may do everything") {
  ApiCluster api;
  const std::string authz = "/apis/authorization.k8s.io/v1/", authn = "/apis/authentication.k8s.io/v1/";
  CheckLines(
      api,
      {
          {"POST",
           authz + "selfsubjectaccessreviews",
           {},
           R"({"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}})",
           201,
           "",
           "",
           {{"/kind", "SelfSubjectAccessReview"}, {"/status/allowed", true}, {"/spec/resourceAttributes/verb", "get"}}},
          {"POST",
           authz + "subjectaccessreviews",
           {},
           R"({"spec":{"user":"x"}})",
           201,
           "",
           "",
           {{"/status/allowed", true}}},
          {"POST",
           authz + "namespaces/default/localsubjectaccessreviews",
           {},
           R"({"spec":{"user":"x"}})",
           201,
           "",
           "",
           {{"/status/allowed", true}}},
          // Headlamp's login test names no kind.
          {"POST",
           authz + "selfsubjectrulesreviews",
           {},
           R"({"spec":{"namespace":"default"}})",
           201,
           "",
           "",
           {{"/kind", "SelfSubjectRulesReview"},
            {"/status/incomplete", false},
            {"/status/resourceRules/0/verbs", {"*"}}}},
          {"POST",
           authn + "selfsubjectreviews",
           {},
           "{}",
           201,
           "",
           "",
           {{"/status/userInfo/username", "alice"},
            {"/status/userInfo/groups", {"system:masters", "system:authenticated"}}}},
          {"POST",
           authn + "tokenreviews",
           {},
           R"({"spec":{"token":"secret"}})",
           201,
           "",
           "",
           {{"/status/authenticated", true}, {"/status/user/username", "alice"}}},
          {"POST",
           authn + "tokenreviews",
           {},
           R"({"spec":{"token":"no"}})",
           201,
           "",
           "",
           {{"/status/authenticated", false}, {"/status/user", nullptr}}},
          {"POST",
           authz + "selfsubjectaccessreviews",
           kProtobuf,
           EnvelopeOf("authorization.k8s.io/v1", "SelfSubjectAccessReview",
                      Bytes(2, Bytes(1, Bytes(2, "list") + Bytes(5, "pods")))),
           201,
           "",
           "",
           {{"/status/allowed", true},
            {"/spec/resourceAttributes/verb", "list"},
            {"/spec/resourceAttributes/resource", "pods"}}},
          {"POST", authz + "selfsubjectaccessreviews", {}, "{", 400, "BadRequest", "", {}},
          {"POST",
           authz + "selfsubjectaccessreviews",
           {},
           R"({"kind":"Pod","apiVersion":"v1"})",
           400,
           "BadRequest",
           "",
           {}},
      });
}

TEST_CASE("events.k8s.io shows the Events that core/v1 stores") {
  ApiCluster api;
  const std::string events = "/apis/events.k8s.io/v1/namespaces/default/events";
  auto watch = api.Watch(events + "?watch=1");
  watch->Take();
  CheckLines(
      api,
      {
          {"POST",
           events,
           {},
           R"({"metadata":{"name":"e"},"eventTime":"2023-11-14T22:13:20.000001Z","reportingController":"x.y/z","reportingInstance":"i","action":"Do",)"
           R"("reason":"Because","type":"Normal","note":"hello","regarding":{"kind":"Pod","name":"p","namespace":"default"}})",
           201,
           "",
           "",
           {{"/kind", "Event"},
            {"/apiVersion", "events.k8s.io/v1"},
            {"/note", "hello"},
            {"/regarding/name", "p"},
            {"/message", nullptr}}},
          {"GET",
           kCore + "events/e",
           {},
           "",
           200,
           "",
           "",
           {{"/apiVersion", "v1"},
            {"/message", "hello"},
            {"/involvedObject/name", "p"},
            {"/reportingComponent", "x.y/z"},
            {"/note", nullptr}}},
          {"POST",
           kCore + "events",
           {},
           R"({"metadata":{"name":"f"},"reason":"R","type":"Warning","message":"old","involvedObject":{"kind":"Pod","name":"q","namespace":"default"}})",
           201,
           "",
           "",
           {}},
          {"GET",
           events + "?fieldSelector=regarding.name%3Dq",
           {},
           "",
           200,
           "",
           "",
           {{"/kind", "EventList"},
            {"/apiVersion", "events.k8s.io/v1"},
            {"/items/0/note", "old"},
            {"/items/0/apiVersion", "events.k8s.io/v1"},
            {"/items/1", nullptr}}},
          {"GET",
           kCore + "events?fieldSelector=involvedObject.name%3Dp,involvedObject.kind%3DPod,type%3DNormal",
           {},
           "",
           200,
           "",
           "",
           {{"/items/0/message", "hello"}, {"/items/1", nullptr}}},
          {"GET",
           events + "?fieldSelector=involvedObject.name%3Dq",
           {},
           "",
           400,
           "BadRequest",
           "field label not supported: involvedObject.name",
           {}},
          {"PATCH",
           events + "/e",
           kMergePatch,
           R"({"series":{"count":2,"lastObservedTime":"2023-11-14T22:13:21.000000Z"}})",
           200,
           "",
           "",
           {{"/series/count", 2}, {"/note", "hello"}}},
          {"GET", events + "/e", kTable, "", 200, "", "", {{"/kind", "Table"}, {"/rows/0/cells/2", "Because"}}},
          {"DELETE", events + "/f", {}, "", 200, "", "", {{"/details/group", "events.k8s.io"}}},
          {"GET", kCore + "events/f", {}, "", 404, "", "", {}},
          {"GET", events + "/f", {}, "", 404, "NotFound", "events.events.k8s.io \"f\" not found", {}},
      });
  const std::vector<Json> frames = watch->Take();
  REQUIRE(frames.size() == 4);
  CHECK(frames[0]["object"]["note"] == "hello");
  CHECK(frames[0]["object"]["apiVersion"] == "events.k8s.io/v1");
  CHECK(frames[2]["type"] == "MODIFIED");
  CHECK(frames[3]["type"] == "DELETED");
  CHECK(frames[3]["object"]["note"] == "old");
}

TEST_CASE("an older version of a kind is served beside the newer one") {
  ApiCluster api;
  const std::string v1 = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  const std::string beta = "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets";
  auto watch = api.Watch(beta + "?watch=1");
  watch->Take();
  CheckLines(
      api,
      {
          {"POST",
           beta,
           {},
           R"({"apiVersion":"policy/v1beta1","kind":"PodDisruptionBudget","metadata":{"name":"b"},)"
           R"("spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"x"}}}})",
           201,
           "",
           "",
           {{"/apiVersion", "policy/v1beta1"}, {"/kind", "PodDisruptionBudget"}, {"/metadata/generation", 1}}},
          {"GET", v1 + "/b", {}, "", 200, "", "", {{"/apiVersion", "policy/v1"}, {"/spec/minAvailable", 1}}},
          {"POST", v1, {}, R"({"apiVersion":"policy/v1beta1","metadata":{"name":"c"}})", 400, "BadRequest", "", {}},
          {"PATCH",
           beta + "/b",
           kStrategicPatch,
           R"({"apiVersion":"policy/v1beta1","spec":{"minAvailable":2}})",
           200,
           "",
           "",
           {{"/apiVersion", "policy/v1beta1"}, {"/spec/minAvailable", 2}}},
          {"PATCH", beta + "/b", kMergePatch, R"({"apiVersion":"policy/v1"})", 400, "BadRequest", "", {}},
          {"PATCH",
           beta + "/b/status",
           kMergePatch,
           R"({"status":{"disruptionsAllowed":3}})",
           200,
           "",
           "",
           {{"/apiVersion", "policy/v1beta1"}, {"/status/disruptionsAllowed", 3}}},
          {"GET",
           beta,
           {},
           "",
           200,
           "",
           "",
           {{"/kind", "PodDisruptionBudgetList"},
            {"/apiVersion", "policy/v1beta1"},
            {"/items/0/apiVersion", "policy/v1beta1"},
            {"/items/0/spec/minAvailable", 2},
            {"/items/1", nullptr}}},
          {"GET", beta, kTable, "", 200, "", "", {{"/rows/0/cells/0", "b"}, {"/rows/0/cells/3", 3}}},
          {"DELETE", v1 + "/b", {}, "", 200, "", "", {}},
      });
  const std::vector<Json> frames = watch->Take();
  REQUIRE(frames.size() == 4);
  for (const Json& frame : frames) CHECK(frame["object"]["apiVersion"] == "policy/v1beta1");
  CHECK(frames[0]["type"] == "ADDED");
  CHECK(frames[3]["type"] == "DELETED");

  // As protobuf: metadata.name; spec.schedule; spec.jobTemplate.spec.template.spec with a container and a policy.
  const std::string container = Bytes(1, "c") + Bytes(2, "i");
  const std::string pod = Bytes(2, Bytes(2, container) + Bytes(3, "Never"));
  const std::string job = Bytes(5, Bytes(2, Bytes(6, pod)));
  const std::string raw = Bytes(1, Bytes(1, "hello")) + Bytes(2, Bytes(1, "@daily") + job);
  const std::string jobs = "/apis/batch/v1beta1/namespaces/default/cronjobs";
  CheckLines(api, {
                      {"POST",
                       jobs,
                       kProtobuf,
                       EnvelopeOf("batch/v1beta1", "CronJob", raw),
                       201,
                       "",
                       "",
                       {{"/apiVersion", "batch/v1beta1"},
                        {"/spec/schedule", "@daily"},
                        {"/spec/jobTemplate/spec/template/spec/containers/0/image", "i"}}},
                      {"POST", jobs, kProtobuf, EnvelopeOf("batch/v1", "CronJob", raw), 400, "BadRequest", "", {}},
                      {"GET",
                       "/apis/batch/v1/namespaces/default/cronjobs/hello",
                       {},
                       "",
                       200,
                       "",
                       "",
                       {{"/apiVersion", "batch/v1"}, {"/spec/concurrencyPolicy", "Allow"}}},
                      {"GET",
                       "/apis/batch",
                       {},
                       "",
                       200,
                       "",
                       "",
                       {{"/preferredVersion/version", "v1"},
                        {"/versions/0/version", "v1"},
                        {"/versions/1/version", "v1beta1"},
                        {"/versions/2", nullptr}}},
                      {"GET",
                       "/apis/batch/v1beta1",
                       {},
                       "",
                       200,
                       "",
                       "",
                       {{"/resources/0/name", "cronjobs"}, {"/resources/1/name", "cronjobs/status"}}},
                  });
}

}  // namespace
}  // namespace wherry
