// Create, update, patch and delete as clients send them.

#include "tests/api/rest/table.h"

namespace wherry {
namespace {

const std::string kMaps = kCore + "configmaps";
const std::string kStale =
    "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the "
    "latest version "
    "and try again";

std::string DaemonSet(const std::string& name, const std::string& more = "") {
  return R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":")" + name + R"("},"spec":{)" + more +
         R"("selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},)"
         R"("spec":{"containers":[{"name":"c","image":"nginx"}]}}}})";
}

TEST_CASE("create answers 201 with the server's metadata") {
  ApiCluster api;
  CheckLines(api, {
                      // Neither Content-Type nor apiVersion and kind, as Python sends it.
                      {"POST",
                       kMaps,
                       {},
                       R"({"metadata":{"name":"a"},"data":{"k":"v"}})",
                       201,
                       "",
                       "",
                       {{"/kind", "ConfigMap"},
                        {"/apiVersion", "v1"},
                        {"/metadata/namespace", "default"},
                        {"/metadata/generation", nullptr},
                        {"/metadata/creationTimestamp", "2023-11-14T22:13:20Z"},
                        {"/data/k", "v"}}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"metadata":{"name":"a"}})",
                       409,
                       "AlreadyExists",
                       "configmaps \"a\" already exists",
                       {{"/details/name", "a"}, {"/details/kind", "configmaps"}}},
                      {"POST",
                       kMaps + "?fieldManager=kubectl-create",
                       kYaml,
                       "metadata:\n  name: yaml\ndata:\n  k: \"on\"\n",
                       201,
                       "",
                       "",
                       {{"/data/k", "on"}}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"metadata":{"name":"b","namespace":"other"}})",
                       400,
                       "BadRequest",
                       "the namespace of the provided object does not match the namespace sent on the request",
                       {}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"b"}})",
                       400,
                       "BadRequest",
                       "Secret in version \"v1\" cannot be handled as a ConfigMap: the kind in the data (Secret) does "
                       "not match the expected kind (ConfigMap)",
                       {}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"apiVersion":"v2","metadata":{"name":"b"}})",
                       400,
                       "BadRequest",
                       "the API version in the data (v2) does not match the expected API version (v1)",
                       {}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"metadata":{"name":"b","resourceVersion":"5"}})",
                       500,
                       "",
                       "resourceVersion should not be set on objects to be created",
                       {}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"data":{"k":"v"}})",
                       422,
                       "Invalid",
                       "",
                       {{"/details/causes/0/field", "metadata.name"},
                        {"/details/causes/0/reason", "FieldValueRequired"},
                        {"/details/kind", "ConfigMap"}}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"metadata":{"name":"Bad_Name"}})",
                       422,
                       "Invalid",
                       "",
                       {{"/details/name", "Bad_Name"},
                        {"/details/causes/0/field", "metadata.name"},
                        {"/details/causes/0/reason", "FieldValueInvalid"}}},
                      {"POST",
                       "/api/v1/namespaces/nowhere/configmaps",
                       {},
                       R"({"metadata":{"name":"b"}})",
                       404,
                       "NotFound",
                       "namespaces \"nowhere\" not found",
                       {}},
                      {"POST",
                       kApps + "daemonsets",
                       {},
                       DaemonSet("d"),
                       201,
                       "",
                       "",
                       {{"/metadata/generation", 1},
                        {"/spec/updateStrategy/rollingUpdate", {{"maxUnavailable", 1}, {"maxSurge", 0}}},
                        {"/spec/template/spec/dnsPolicy", "ClusterFirst"}}},
                      // A namespace on what has none is overlooked.
                      {"POST",
                       "/api/v1/namespaces",
                       {},
                       R"({"metadata":{"name":"n","namespace":"x"}})",
                       201,
                       "",
                       "",
                       {{"/metadata/namespace", nullptr}}},
                      {"POST",
                       kMaps,
                       {},
                       R"({"metadata":{"generateName":"g-","uid":"mine","creationTimestamp":"2001-01-01T00:00:00Z"}})",
                       201,
                       "",
                       "",
                       {{"/metadata/creationTimestamp", "2023-11-14T22:13:20Z"}}},
                  });
  const Answer made = api.Send("POST", kMaps, R"({"metadata":{"generateName":"h-","uid":"mine"}})");
  CHECK(made.at("/metadata/name").get<std::string>().size() == 7);
  CHECK(made.at("/metadata/uid").get<std::string>().size() == 36);
}

TEST_CASE("a PUT replaces, and insists on a revision when it has one") {
  ApiCluster api;
  const std::string first = std::to_string(api.Put("a"));
  CheckLines(
      api,
      {
          {"PUT",
           kMaps + "/a",
           {},
           R"({"metadata":{"name":"a","resourceVersion":")" + first + R"("},"data":{"k":"2"}})",
           200,
           "",
           "",
           {{"/data/k", "2"}}},
          {"PUT",
           kMaps + "/a",
           {},
           R"({"metadata":{"name":"a","resourceVersion":")" + first + R"("},"data":{"k":"3"}})",
           409,
           "Conflict",
           kStale,
           {{"/details/kind", "configmaps"}, {"/details/name", "a"}}},
          {"PUT", kMaps + "/a", {}, R"({"metadata":{"name":"a"},"data":{"k":"4"}})", 200, "", "", {{"/data/k", "4"}}},
          {"PUT",
           kMaps + "/a",
           {},
           R"({"metadata":{"name":"b"}})",
           400,
           "BadRequest",
           "the name of the object (b) does not match the name on the URL (a)",
           {}},
          {"PUT",
           kMaps + "/a",
           {},
           R"({"metadata":{"name":"a","namespace":"other"}})",
           400,
           "BadRequest",
           "the namespace of the provided object does not match the namespace sent on the request",
           {}},
          {"PUT", kMaps + "/a", {}, R"({"metadata":{"name":"a","resourceVersion":"x"}})", 400, "BadRequest", "", {}},
          {"PUT", kMaps + "/a", {}, R"({"metadata":{"name":"a","uid":"other"}})", 409, "Conflict", "", {}},
          {"PUT",
           kMaps + "/nothere",
           {},
           R"({"metadata":{"name":"nothere"}})",
           404,
           "NotFound",
           "configmaps \"nothere\" not found",
           {}},
          // Kinds that a PUT may create, and those whose PUT must name a revision.
          {"PUT",
           kCore + "services/s",
           {},
           R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}})",
           201,
           "",
           "",
           {{"/spec/type", "ClusterIP"}}},
          {"PUT",
           "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
           {},
           R"({"spec":{"holderIdentity":"x"}})",
           201,
           "",
           "",
           {}},
          {"PUT",
           "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
           {},
           R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"y"}})",
           422,
           "Invalid",
           "Lease.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified "
           "for an update",
           {}},
      });
}

TEST_CASE("a write that changes nothing keeps the revision") {
  ApiCluster api;
  const uint64_t first = api.Put("a");
  CHECK(api.Put("a") == first);
  const Answer patched = api.Send("PATCH", kMaps + "/a", R"({"data":{"k":"1"}})", kMergePatch);
  CHECK(patched.at("/metadata/resourceVersion") == std::to_string(first));
}

TEST_CASE("patches of every type") {
  ApiCluster api;
  api.Send("POST", kApps + "daemonsets", DaemonSet("d"));
  api.Send("POST", "/api/v1/nodes", R"({"metadata":{"name":"n1"}})");
  const std::string revision = std::to_string(api.Put("a", {{"x", "1"}}));
  const std::string d = kApps + "daemonsets/d";
  CheckLines(
      api,
      {
          // kubectl label and annotate
          {"PATCH",
           kMaps + "/a?fieldManager=kubectl-label",
           kMergePatch,
           R"({"metadata":{"labels":{"x":null,"y":"2"}}})",
           200,
           "",
           "",
           {{"/metadata/labels", {{"y", "2"}}}}},
          {"PATCH",
           kMaps + "/a",
           kMergePatch,
           R"({"metadata":{"resourceVersion":")" + revision + R"(","labels":{"z":"1"}}})",
           409,
           "Conflict",
           kStale,
           {}},
          {"PATCH",
           kMaps + "/a",
           kMergePatch,
           R"({"metadata":{"name":"b"}})",
           400,
           "BadRequest",
           "the name of the object (b) does not match the name on the URL (a)",
           {}},
          {"PATCH", kMaps + "/nothere", kMergePatch, "{}", 404, "NotFound", "", {}},
          {"PATCH",
           kMaps + "/a",
           kJsonPatch,
           R"([{"op":"test","path":"/data/k","value":"1"},{"op":"replace","path":"/data/k","value":"5"}])",
           200,
           "",
           "",
           {{"/data/k", "5"}}},
          {"PATCH",
           kMaps + "/a",
           kJsonPatch,
           R"([{"op":"test","path":"/data/k","value":"1"},{"op":"remove","path":"/data/k"}])",
           422,
           "Invalid",
           "",
           {{"/details/causes/0/field", "patch"}, {"/details/causes/0/message", "test /data/k: the value is another"}}},
          {"PATCH", kMaps + "/a", kJsonPatch, R"([{"op":"remove","path":"/data/none"}])", 422, "Invalid", "", {}},
          {"PATCH", kMaps + "/a", kJsonPatch, R"({"data":{}})", 400, "BadRequest", "", {}},
          {"PATCH", kMaps + "/a", kMergePatch, R"("text")", 400, "BadRequest", "", {}},
          {"PATCH", kMaps + "/a", kMergePatch, R"({"data":{"k":7}})", 400, "BadRequest", "", {}},
          // kubectl set image, rollout restart, undo
          {"PATCH",
           d,
           kStrategicPatch,
           R"({"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"c","image":"nginx:2"}]}}}})",
           200,
           "",
           "",
           {{"/spec/template/spec/containers/0/image", "nginx:2"}, {"/metadata/generation", 2}}},
          {"PATCH",
           d,
           kStrategicPatch,
           R"({"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2024-01-01T00:00:00Z"}}}}})",
           200,
           "",
           "",
           {{"/metadata/generation", 3}, {"/spec/template/spec/containers/0/image", "nginx:2"}}},
          {"PATCH",
           d,
           kStrategicPatch,
           R"({"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":"old"}]}}}})",
           200,
           "",
           "",
           {{"/spec/template/spec/containers/0/image", "old"}, {"/spec/template/metadata/annotations", nullptr}}},
          {"PATCH",
           d,
           kMergePatch,
           R"({"spec":{"selector":{"matchLabels":{"app":"other"}}}})",
           422,
           "Invalid",
           "",
           {{"/details/kind", "DaemonSet"}, {"/details/group", "apps"}}},
          // kubectl taint, cordon, uncordon
          {"PATCH",
           "/api/v1/nodes/n1",
           kStrategicPatch,
           R"({"spec":{"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]}})",
           200,
           "",
           "",
           {{"/spec/taints", Json::array({{{"key", "a"}, {"value", "b"}, {"effect", "NoSchedule"}}})}}},
          {"PATCH",
           "/api/v1/nodes/n1",
           kStrategicPatch,
           R"({"spec":{"unschedulable":true}})",
           200,
           "",
           "",
           {{"/spec/unschedulable", true}}},
          {"PATCH",
           "/api/v1/nodes/n1",
           kStrategicPatch,
           R"({"spec":{"unschedulable":null}})",
           200,
           "",
           "",
           {{"/spec/unschedulable", nullptr}}},
          // A hand-written patch in YAML is not JSON; apply patches are not there yet.
          {"PATCH",
           kMaps + "/a?fieldManager=x",
           {{"Content-Type", "application/apply-patch+yaml"}},
           "{}",
           415,
           "UnsupportedMediaType",
           "",
           {}},
      });
}

TEST_CASE("status is written by itself") {
  ApiCluster api;
  api.Send("POST", kApps + "daemonsets", DaemonSet("d"));
  const std::string d = kApps + "daemonsets/d";
  CheckLines(
      api, {
               {"PATCH",
                d + "/status",
                kMergePatch,
                R"({"metadata":{"labels":{"no":"1"}},"spec":{"minReadySeconds":9},"status":{"numberReady":4}})",
                200,
                "",
                "",
                {{"/status/numberReady", 4},
                 {"/spec/minReadySeconds", nullptr},
                 {"/metadata/labels", nullptr},
                 {"/metadata/generation", 1}}},
               {"GET", d + "/status", {}, "", 200, "", "", {{"/kind", "DaemonSet"}, {"/status/numberReady", 4}}},
               {"PATCH",
                d,
                kMergePatch,
                R"({"spec":{"minReadySeconds":9},"status":{"numberReady":7}})",
                200,
                "",
                "",
                {{"/status/numberReady", 4}, {"/spec/minReadySeconds", 9}, {"/metadata/generation", 2}}},
               {"PUT",
                d + "/status",
                {},
                R"({"metadata":{"name":"d","resourceVersion":"1"},"status":{"numberReady":1}})",
                409,
                "Conflict",
                "",
                {}},
               {"PUT",
                d + "/status",
                {},
                R"({"metadata":{"name":"other"},"status":{"numberReady":1}})",
                400,
                "BadRequest",
                "",
                {}},
               {"PATCH", d + "/status", kMergePatch, R"({"status":{"numberReady":"many"}})", 400, "BadRequest", "", {}},
               {"PATCH", kApps + "daemonsets/e/status", kMergePatch, "{}", 404, "NotFound", "", {}},
           });
}

TEST_CASE("unknown and repeated fields: Strict, Warn, Ignore") {
  ApiCluster api;
  const std::string body = DaemonSet("d", R"("bogus":1,"minReadySeconds":1,"minReadySeconds":2,)");
  const std::string list = kApps + "daemonsets";
  const Answer strict = api.Send("POST", list + "?fieldValidation=Strict", body);
  CHECK(strict.code == 400);
  CHECK(strict.message() ==
        "DaemonSet in version \"v1\" cannot be handled as a DaemonSet: strict decoding error: duplicate field "
        "\"spec.minReadySeconds\", "
        "unknown field \"spec.bogus\"");
  const Answer warned = api.Send("POST", list, body);
  CHECK(warned.code == 201);
  CHECK(warned.header_values("Warning") ==
        std::vector<std::string>{R"(299 - "duplicate field \"spec.minReadySeconds\"")",
                                 R"(299 - "unknown field \"spec.bogus\"")"});
  CHECK(warned.at("/spec/bogus").is_null());
  CHECK(warned.at("/spec/minReadySeconds") == 2);
  const Answer ignored = api.Send("PUT", list + "/d?fieldValidation=Ignore", body);
  CHECK(ignored.code == 200);
  CHECK(ignored.header("Warning").empty());

  const std::string patch = R"({"spec":{"frob":1,"minReadySeconds":3,"minReadySeconds":4}})";
  CheckLines(api, {
                      {"PATCH",
                       list + "/d?fieldValidation=Strict",
                       kMergePatch,
                       R"({"spec":{"frob":1}})",
                       400,
                       "BadRequest",
                       "DaemonSet in version \"v1\" cannot be handled as a DaemonSet: strict decoding error: unknown "
                       "field \"spec.frob\"",
                       {}},
                      {"PATCH",
                       list + "/d?fieldValidation=Strict",
                       kMergePatch,
                       R"({"spec":{"minReadySeconds":3,"minReadySeconds":4}})",
                       400,
                       "BadRequest",
                       "DaemonSet in version \"v1\" cannot be handled as a DaemonSet: strict decoding error: duplicate "
                       "field \"spec.minReadySeconds\"",
                       {}},
                      {"POST",
                       list + "?fieldValidation=Never",
                       {},
                       body,
                       422,
                       "Invalid",
                       "",
                       {{"/details/kind", "CreateOptions"}, {"/details/causes/0/field", "fieldValidation"}}},
                      {"PATCH",
                       list + "/d?fieldValidation=Never",
                       kMergePatch,
                       "{}",
                       422,
                       "Invalid",
                       "",
                       {{"/details/kind", "PatchOptions"}}},
                  });
  const Answer patched = api.Send("PATCH", list + "/d", patch, kMergePatch);
  CHECK(patched.code == 200);
  CHECK(patched.header_values("Warning") ==
        std::vector<std::string>{R"(299 - "duplicate field \"spec.minReadySeconds\"")",
                                 R"(299 - "unknown field \"spec.frob\"")"});
  CHECK(patched.at("/spec/minReadySeconds") == 4);
}

TEST_CASE("a dry run stores nothing") {
  ApiCluster api;
  const std::string before = std::to_string(api.Put("a"));
  auto watch = api.Watch(kMaps + "?watch=1&resourceVersion=" + before);
  const std::string all = "dryRun=All";
  CheckLines(api,
             {
                 {"POST",
                  kMaps + "?" + all,
                  {},
                  R"({"metadata":{"name":"b"}})",
                  201,
                  "",
                  "",
                  {{"/metadata/name", "b"}, {"/metadata/resourceVersion", nullptr}}},
                 {"POST", kMaps + "?" + all, {}, R"({"metadata":{"name":"a"}})", 409, "AlreadyExists", "", {}},
                 {"GET", kMaps + "/b", {}, "", 404, "", "", {}},
                 {"PUT", kMaps + "/a?" + all, {}, R"({"data":{"k":"9"}})", 200, "", "", {{"/data/k", "9"}}},
                 {"PATCH", kMaps + "/a?" + all, kMergePatch, R"({"data":{"k":"9"}})", 200, "", "", {{"/data/k", "9"}}},
                 {"DELETE", kMaps + "/a?" + all, {}, "", 200, "", "", {{"/status", "Success"}}},
                 {"DELETE", kMaps + "/a", {}, R"({"dryRun":["All"]})", 200, "", "", {{"/status", "Success"}}},
                 {"DELETE", kMaps + "?" + all, {}, "", 200, "", "", {{"/kind", "ConfigMapList"}}},
                 {"GET", kMaps + "/a", {}, "", 200, "", "", {{"/data/k", "1"}, {"/metadata/resourceVersion", before}}},
                 {"POST", kMaps + "?dryRun=Some", {}, "{}", 422, "Invalid", "", {{"/details/kind", "CreateOptions"}}},
                 {"PUT", kMaps + "/a?dryRun=", {}, "{}", 422, "Invalid", "", {{"/details/kind", "UpdateOptions"}}},
                 {"PATCH",
                  kMaps + "/a?dryRun=Some",
                  kMergePatch,
                  "{}",
                  422,
                  "Invalid",
                  "",
                  {{"/details/kind", "PatchOptions"}}},
                 {"DELETE", kMaps + "/a?dryRun=Some", {}, "", 422, "Invalid", "", {{"/details/kind", "DeleteOptions"}}},
                 {"DELETE",
                  kMaps + "/a",
                  {},
                  R"({"dryRun":["Some"]})",
                  422,
                  "Invalid",
                  "",
                  {{"/details/kind", "DeleteOptions"}}},
             });
  CHECK(watch->Take().empty());
}

TEST_CASE("delete, with options in the body, the query and protobuf") {
  ApiCluster api;
  for (const char* name : {"a", "b", "c", "d", "e"}) api.Put(name);
  const std::string uid = api.Get(kMaps + "/a").at("/metadata/uid").get<std::string>();
  CheckLines(
      api,
      {
          {"DELETE",
           kMaps + "/a",
           {},
           R"({"preconditions":{"uid":"x"}})",
           409,
           "Conflict",
           "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (x) does not match the UID "
           "in record (" +
               uid + "). The object might have been deleted and then recreated",
           {}},
          {"DELETE", kMaps + "/a", {}, R"({"preconditions":{"resourceVersion":"1"}})", 409, "Conflict", "", {}},
          {"DELETE",
           kMaps + "/a",
           {},
           R"({"propagationPolicy":"Sideways"})",
           422,
           "Invalid",
           "",
           {{"/details/kind", "DeleteOptions"}}},
          {"DELETE",
           kMaps + "/a",
           {},
           R"({"propagationPolicy":"Orphan","orphanDependents":true})",
           422,
           "Invalid",
           "",
           {}},
          {"DELETE", kMaps + "/a", {}, R"({"kind":"Pod"})", 400, "BadRequest", "", {}},
          {"DELETE", kMaps + "/a", {}, "{", 400, "BadRequest", "", {}},
          {"DELETE",
           kMaps + "/a",
           {},
           R"({"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background","preconditions":{"uid":")" +
               uid + R"("}})",
           200,
           "",
           "",
           {{"/kind", "Status"},
            {"/status", "Success"},
            {"/details", {{"name", "a"}, {"kind", "configmaps"}, {"uid", uid}}}}},
          {"DELETE", kMaps + "/a", {}, "", 404, "NotFound", "configmaps \"a\" not found", {}},
          {"DELETE",
           kMaps + "/b?propagationPolicy=Background&gracePeriodSeconds=0",
           {},
           "",
           200,
           "",
           "",
           {{"/status", "Success"}}},
          {"DELETE",
           kMaps + "/c",
           kProtobuf,
           EnvelopeOf("v1", "DeleteOptions", Number(1, 0) + Bytes(2, Bytes(1, "x"))),
           409,
           "Conflict",
           "",
           {}},
          {"DELETE",
           kMaps + "/c",
           kProtobuf,
           EnvelopeOf("v1", "DeleteOptions", Number(1, 0) + Bytes(4, "Background")),
           200,
           "",
           "",
           {{"/status", "Success"}}},
          {"DELETE", kMaps + "/d", {}, "null", 200, "", "", {{"/status", "Success"}}},
          {"DELETE",
           kMaps + "/e",
           kYaml,
           "propagationPolicy: Orphan\n",
           200,
           "",
           "",
           {{"/kind", "ConfigMap"}, {"/metadata/finalizers", {"orphan"}}}},
          {"DELETE",
           "/api/v1/namespaces/default",
           {},
           "",
           403,
           "Forbidden",
           "namespaces \"default\" is forbidden: this namespace may not be deleted",
           {}},
      });
}

TEST_CASE("finalizers hold an object back") {
  ApiCluster api;
  api.Send("POST", kMaps, R"({"metadata":{"name":"a","finalizers":["x.y/z"]}})");
  CheckLines(api, {
                      {"DELETE",
                       kMaps + "/a",
                       {},
                       "",
                       200,
                       "",
                       "",
                       {{"/kind", "ConfigMap"},
                        {"/metadata/deletionTimestamp", "2023-11-14T22:13:20Z"},
                        {"/metadata/deletionGracePeriodSeconds", 0}}},
                      {"PATCH",
                       kMaps + "/a",
                       kMergePatch,
                       R"({"metadata":{"finalizers":["x.y/z","x.y/more"]}})",
                       422,
                       "Invalid",
                       "ConfigMap \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if "
                       "the object is being deleted, found new "
                       "finalizers [\"x.y/more\"]",
                       {{"/details/causes/0/reason", "FieldValueForbidden"}}},
                      {"PATCH",
                       kMaps + "/a",
                       kMergePatch,
                       R"({"metadata":{"deletionTimestamp":null}})",
                       200,
                       "",
                       "",
                       {{"/metadata/deletionTimestamp", "2023-11-14T22:13:20Z"}}},
                      {"PATCH",
                       kMaps + "/a",
                       kMergePatch,
                       R"({"metadata":{"finalizers":null}})",
                       200,
                       "",
                       "",
                       {{"/metadata/name", "a"}}},
                      {"GET", kMaps + "/a", {}, "", 404, "", "", {}},
                  });
}

TEST_CASE("a pod that runs is given its grace, which may only be shortened") {
  ApiCluster api;
  const std::string pod = kCore + "pods/p";
  const std::string body =
      R"({"metadata":{"name":"p","finalizers":["x.y/z"]},"spec":{"nodeName":"nowhere","containers":[{"name":"c","image":"i"}]}})";
  CHECK(api.Send("POST", kCore + "pods", body).code == 201);
  CheckLines(
      api, {
               {"DELETE",
                pod + "?gracePeriodSeconds=60",
                {},
                "",
                200,
                "",
                "",
                {{"/kind", "Pod"},
                 {"/metadata/deletionGracePeriodSeconds", 60},
                 {"/metadata/deletionTimestamp", "2023-11-14T22:14:20Z"}}},
               {"DELETE", pod, {}, "", 200, "", "", {{"/metadata/deletionGracePeriodSeconds", 60}}},
               {"DELETE",
                pod,
                {},
                R"({"gracePeriodSeconds":90})",
                200,
                "",
                "",
                {{"/metadata/deletionGracePeriodSeconds", 60}}},
               {"DELETE",
                pod,
                {},
                R"({"gracePeriodSeconds":5})",
                200,
                "",
                "",
                {{"/metadata/deletionGracePeriodSeconds", 5}, {"/metadata/deletionTimestamp", "2023-11-14T22:13:25Z"}}},
           });
  // Unbound pods go at once, and the answer is the pod.
  CHECK(
      api.Send("POST", kCore + "pods", R"({"metadata":{"name":"q"},"spec":{"containers":[{"name":"c","image":"i"}]}})")
          .code == 201);
  CHECK(api.Send("DELETE", kCore + "pods/q").at("/kind") == "Pod");
  CHECK(api.Get(kCore + "pods/q").code == 404);
}

TEST_CASE("a collection is deleted by selector, with or without options") {
  ApiCluster api;
  for (const char* name : {"a", "b", "c", "d"}) api.Put(name, {{"app", name[0] < 'c' ? "x" : "y"}});
  CheckLines(api, {
                      {"DELETE", kMaps + "?labelSelector=app%20in%20(", {}, "", 400, "BadRequest", "", {}},
                      {"DELETE",
                       kMaps + "?fieldSelector=data.k%3D1",
                       {},
                       "",
                       400,
                       "BadRequest",
                       "field label not supported: data.k",
                       {}},
                      {"DELETE",
                       kMaps + "?labelSelector=app%3Dx",
                       {},
                       R"({"propagationPolicy":"Background"})",
                       200,
                       "",
                       "",
                       {{"/kind", "ConfigMapList"},
                        {"/items/0/metadata/name", "a"},
                        {"/items/1/metadata/name", "b"},
                        {"/items/2", nullptr}}},
                      {"GET", kMaps + "/a", {}, "", 404, "", "", {}},
                      {"DELETE",
                       kMaps + "?fieldSelector=metadata.name%3Dc",
                       {},
                       "",
                       200,
                       "",
                       "",
                       {{"/items/0/metadata/name", "c"}, {"/items/1", nullptr}}},
                      {"GET", kMaps + "/d", {}, "", 200, "", "", {}},
                  });
}

TEST_CASE("nothing is created in a namespace that goes") {
  ApiCluster api;
  api.Send("POST", "/api/v1/namespaces", R"({"metadata":{"name":"n"}})");
  CheckLines(
      api,
      {
          {"DELETE",
           "/api/v1/namespaces/n",
           {},
           "",
           200,
           "",
           "",
           {{"/kind", "Namespace"}, {"/status/phase", "Terminating"}}},
          {"POST",
           "/api/v1/namespaces/n/configmaps",
           {},
           R"({"metadata":{"name":"a"}})",
           403,
           "Forbidden",
           "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being terminated",
           {{"/details/causes/0/reason", "NamespaceTerminating"}, {"/details/causes/0/field", "metadata.namespace"}}},
          {"PUT",
           "/api/v1/namespaces/n/finalize",
           {},
           R"({"metadata":{"name":"n"},"spec":{"finalizers":[]}})",
           200,
           "",
           "",
           {{"/kind", "Namespace"}}},
          {"GET", "/api/v1/namespaces/n", {}, "", 404, "", "", {}},
      });
}

}  // namespace
}  // namespace wherry
