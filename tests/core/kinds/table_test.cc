#include "core/kinds/table.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/printers.h"

namespace wherry {
namespace {

const Time kNow(std::chrono::seconds(1'767'323'045));  // 2026-01-02T03:04:05Z

Json Print(std::string_view printer, const char* object) {
  const Printer print = FindPrinter(printer);
  REQUIRE(print != nullptr);
  return print(Json::parse(object), kNow);
}

TEST_CASE("ages are printed as kubectl prints them") {
  const int64_t m = 60, h = 3600, d = 86400, y = 365 * d;
  const struct {
    int64_t seconds;
    std::string_view text;
  } cases[] = {
      {-5, "<invalid>"},
      {-1, "0s"},
      {0, "0s"},
      {119, "119s"},
      {120, "2m"},
      {9 * m + 9, "9m9s"},
      {10 * m + 9, "10m"},
      {179 * m, "179m"},
      {3 * h, "3h"},
      {7 * h + 59 * m, "7h59m"},
      {8 * h + 5 * m, "8h"},
      {47 * h, "47h"},
      {48 * h, "2d"},
      {3 * d + 4 * h, "3d4h"},
      {8 * d, "8d"},
      {700 * d, "700d"},
      {2 * y, "2y"},
      {2 * y + 34 * d, "2y34d"},
      {9 * y + 100 * d, "9y"},
  };
  for (const auto& c : cases) CHECK(HumanDuration(std::chrono::seconds(c.seconds)) == c.text);
  CHECK(HumanDuration(std::chrono::milliseconds(1999)) == "1s");
}

TEST_CASE("a pod's status says what holds it back") {
  const struct {
    const char* pod;
    std::string status, ready;
  } cases[] = {
      {R"({"spec":{"containers":[{}]},"status":{"phase":"Pending"}})", "Pending", "0/1"},
      {R"({"spec":{"containers":[{}]},"status":{"phase":"Failed","reason":"Evicted"}})", "Evicted", "0/1"},
      {R"({"spec":{"containers":[{}]},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"SchedulingGated"}]}})",
       "SchedulingGated", "0/1"},
      {R"({"spec":{"containers":[{},{}]},"status":{"phase":"Running","containerStatuses":[
          {"ready":true,"state":{"running":{}}},{"ready":true,"state":{"running":{}}}]}})",
       "Running", "2/2"},
      {R"({"spec":{"containers":[{}]},"status":{"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff"}}}]}})",
       "ImagePullBackOff", "0/1"},
      {R"({"spec":{"containers":[{}]},"status":{"phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":3}}}]}})",
       "ExitCode:3", "0/1"},
      {R"({"spec":{"containers":[{}]},"status":{"phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":137,"signal":9}}}]}})",
       "Signal:9", "0/1"},
      {R"({"spec":{"containers":[{},{}]},"status":{"phase":"Running","containerStatuses":[
          {"state":{"terminated":{"exitCode":0,"reason":"Completed"}}},{"ready":true,"state":{"running":{}}}]}})",
       "NotReady", "1/2"},
      {R"({"spec":{"containers":[{},{}]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[
          {"state":{"terminated":{"exitCode":0,"reason":"Completed"}}},{"ready":true,"state":{"running":{}}}]}})",
       "Running", "1/2"},
      {R"({"spec":{"containers":[{}],"initContainers":[{"name":"a"},{"name":"b"}]},"status":{"phase":"Pending","initContainerStatuses":[
          {"name":"a","state":{"terminated":{"exitCode":0}}},{"name":"b","state":{"running":{}}}]}})",
       "Init:1/2", "0/1"},
      {R"({"spec":{"containers":[{}],"initContainers":[{"name":"a"}]},"status":{"phase":"Pending","initContainerStatuses":[
          {"name":"a","state":{"terminated":{"exitCode":1,"reason":"Error"}}}]}})",
       "Init:Error", "0/1"},
      {R"({"spec":{"containers":[{}],"initContainers":[{"name":"a"}]},"status":{"phase":"Pending","initContainerStatuses":[
          {"name":"a","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}})",
       "Init:CrashLoopBackOff", "0/1"},
      {R"({"spec":{"containers":[{}],"initContainers":[{"name":"a"}]},"status":{"phase":"Pending","initContainerStatuses":[
          {"name":"a","state":{"waiting":{"reason":"PodInitializing"}}}]}})",
       "Init:0/1", "0/1"},
      {R"({"spec":{"containers":[{}],"initContainers":[{"name":"side","restartPolicy":"Always"}]},"status":{"phase":"Running",
          "initContainerStatuses":[{"name":"side","started":true,"ready":true,"state":{"running":{}}}],
          "containerStatuses":[{"ready":true,"state":{"running":{}}}]}})",
       "Running", "2/2"},
      {R"({"metadata":{"deletionTimestamp":"2026-01-02T03:04:00Z"},"spec":{"containers":[{}]},"status":{"phase":"Running",
          "containerStatuses":[{"ready":true,"state":{"running":{}}}]}})",
       "Terminating", "1/1"},
      {R"({"metadata":{"deletionTimestamp":"2026-01-02T03:04:00Z"},"spec":{"containers":[{}]},"status":{"phase":"Succeeded",
          "containerStatuses":[{"state":{"terminated":{"exitCode":0,"reason":"Completed"}}}]}})",
       "Completed", "0/1"},
      {R"({"metadata":{"deletionTimestamp":"2026-01-02T03:04:00Z"},"spec":{"containers":[{}]},"status":{"phase":"Running","reason":"NodeLost"}})",
       "Unknown", "0/1"},
  };
  for (const auto& c : cases) {
    INFO(c.pod);
    CHECK(Print("podStatus", c.pod) == c.status);
    CHECK(Print("podReady", c.pod) == c.ready);
  }
}

TEST_CASE("cells are printed as upstream prints them") {
  const struct {
    std::string_view printer;
    const char* object;
    Json cell;
  } cases[] = {
      {"podRestarts",
       R"({"status":{"containerStatuses":[{"restartCount":2,"lastState":{"terminated":{"finishedAt":"2026-01-02T03:01:05Z"}}}]}})",
       "2 (3m ago)"},
      {"podRestarts", R"({"status":{"containerStatuses":[{"restartCount":0}]}})", "0"},
      {"podReadinessGates", R"({"spec":{}})", "<none>"},
      {"podReadinessGates",
       R"({"spec":{"readinessGates":[{"conditionType":"a"},{"conditionType":"b"}]},"status":{"conditions":[{"type":"a","status":"True"}]}})",
       "1/2"},
      {"nodeStatus", R"({})", "Unknown"},
      {"nodeStatus", R"({"status":{"conditions":[{"type":"Ready","status":"True"}]}})", "Ready"},
      {"nodeStatus", R"({"spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}})",
       "NotReady,SchedulingDisabled"},
      {"nodeRoles",
       R"({"metadata":{"labels":{"node-role.kubernetes.io/worker":"","node-role.kubernetes.io/control-plane":"","x":"y"}}})",
       "control-plane,worker"},
      {"nodeRoles", R"({"metadata":{}})", "<none>"},
      {"nodeInternalIP", R"({"status":{"addresses":[{"type":"InternalIP","address":"127.1.0.1"}]}})", "127.1.0.1"},
      {"nodeExternalIP", R"({"status":{"addresses":[{"type":"InternalIP","address":"127.1.0.1"}]}})", "<none>"},
      {"age", R"({"metadata":{"creationTimestamp":"2026-01-02T03:02:06Z"}})", "119s"},
      {"age", R"({"metadata":{}})", "<unknown>"},
      {"images",
       R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"x:1"},{"name":"b","image":"y"}]}}}})",
       "x:1,y"},
      {"containers",
       R"({"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}}}}})", "a,b"},
      {"selector", R"({"spec":{"selector":{"matchLabels":{"app":"web","a":"b"}}}})", "a=b,app=web"},
      {"selector", R"({"spec":{"selector":{"app":"web"}}})", "app=web"},
      {"selector", R"({"spec":{}})", "<none>"},
      {"nodeSelector", R"({"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}}})", "disk=ssd"},
      {"nodeSelector", R"({"spec":{"template":{"spec":{}}}})", "<none>"},
      {"readyOfReplicas", R"({"spec":{"replicas":3},"status":{"readyReplicas":1}})", "1/3"},
      {"serviceExternalIP", R"({"spec":{"type":"ClusterIP"}})", "<none>"},
      {"serviceExternalIP", R"({"spec":{"type":"LoadBalancer"}})", "<pending>"},
      {"serviceExternalIP",
       R"({"spec":{"type":"LoadBalancer","externalIPs":["9.9.9.9"]},"status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"},{"hostname":"h"}]}}})",
       "1.2.3.4,h,9.9.9.9"},
      {"serviceExternalIP", R"({"spec":{"type":"ExternalName","externalName":"example.com"}})", "example.com"},
      {"servicePorts",
       R"({"spec":{"ports":[{"port":443,"protocol":"TCP"},{"port":53,"nodePort":30053,"protocol":"UDP"}]}})",
       "443/TCP,53:30053/UDP"},
      {"servicePorts", R"({"spec":{}})", "<none>"},
      {"eventLastSeen", R"({"lastTimestamp":"2026-01-02T03:04:00Z","firstTimestamp":"2026-01-02T03:00:05Z"})", "5s"},
      {"eventLastSeen", R"({"eventTime":"2026-01-02T03:04:00.000001Z","lastTimestamp":null})", "4s"},
      {"eventLastSeen",
       R"({"series":{"count":3,"lastObservedTime":"2026-01-02T03:04:04.000000Z"},"lastTimestamp":"2026-01-02T03:00:05Z"})",
       "1s"},
      {"eventFirstSeen", R"({"firstTimestamp":"2026-01-02T03:00:05Z"})", "4m"},
      {"eventCount", R"({"series":{"count":3},"count":1})", 3},
      {"eventCount", R"({})", 1},
      {"eventObject", R"({"involvedObject":{"kind":"DaemonSet","name":"web"}})", "daemonset/web"},
      {"eventSource", R"({"source":{"component":"kubelet","host":"n1"}})", "kubelet, n1"},
      {"eventSource", R"({"source":{},"reportingComponent":"sched"})", "sched"},
      {"jobStatus", R"({})", "Running"},
      {"jobStatus", R"({"status":{"conditions":[{"type":"Suspended","status":"True"}]}})", "Suspended"},
      {"jobStatus", R"({"status":{"conditions":[{"type":"Complete","status":"True"}]}})", "Complete"},
      {"jobCompletions", R"({"spec":{"completions":5},"status":{"succeeded":2}})", "2/5"},
      {"jobCompletions", R"({"spec":{"parallelism":3}})", "0/1 of 3"},
      {"jobCompletions", R"({"spec":{"parallelism":1}})", "0/1"},
      {"jobDuration", R"({})", ""},
      {"jobDuration", R"({"status":{"startTime":"2026-01-02T03:03:05Z"}})", "60s"},
      {"jobDuration", R"({"status":{"startTime":"2026-01-02T03:03:05Z","completionTime":"2026-01-02T03:03:08Z"}})",
       "3s"},
      {"cronLastSchedule", R"({})", "<none>"},
      {"cronLastSchedule", R"({"status":{"lastScheduleTime":"2026-01-02T03:04:00Z"}})", "5s"},
      {"cronActive", R"({"status":{"active":[{},{}]}})", 2},
      {"dataCount", R"({"data":{"a":"b"},"binaryData":{"c":"d"}})", 2},
      {"secretsCount", R"({"secrets":[{}]})", 1},
      {"endpoints",
       R"({"subsets":[{"addresses":[{"ip":"1.1.1.1"},{"ip":"1.1.1.2"}],"ports":[{"port":80},{"port":81}]}]})",
       "1.1.1.1:80,1.1.1.1:81,1.1.1.2:80 + 1 more..."},
      {"endpoints", R"({})", "<none>"},
      {"sliceEndpoints", R"({"endpoints":[{"addresses":["1.1.1.1"]},{"addresses":["1.1.1.2"]}]})", "1.1.1.1,1.1.1.2"},
      {"slicePorts", R"({"ports":[{"port":80},{"name":"any"}]})", "80,*"},
      {"slicePorts", R"({"ports":[]})", "<unset>"},
      {"revisionController",
       R"({"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"web","controller":true}]}})",
       "daemonset.apps/web"},
      {"revisionController", R"({"metadata":{}})", "<none>"},
      {"lastTransition",
       R"({"status":{"conditions":[{"lastTransitionTime":"2026-01-02T03:04:00Z"},{"lastTransitionTime":"2026-01-02T03:03:00Z"}]}})",
       "5s"},
      {"pdbMin", R"({"spec":{"minAvailable":"50%"}})", "50%"},
      {"pdbMin", R"({"spec":{"maxUnavailable":1}})", "N/A"},
      {"pdbMax", R"({"spec":{"maxUnavailable":1}})", "1"},
  };
  for (const auto& c : cases) {
    INFO(c.printer << " of " << c.object);
    CHECK(Print(c.printer, c.object) == c.cell);
  }
  CHECK(FindPrinter("nonsense") == nullptr);
}

Kind PodKind() {
  Kind kind;
  kind.columns = {{"Name", "string", "name", "The name.", 0, "metadata.name", ""},
                  {"Status", "string", "", "", 0, "", "podStatus"},
                  {"Node", "string", "", "", 1, "spec.nodeName", ""},
                  {"Desired", "integer", "", "", 0, "status.desired", ""},
                  {"Flag", "string", "", "", 0, "spec.flag", ""},
                  {"First", "string", "", "", 0, ".spec.list[1]", ""}};
  return kind;
}

TEST_CASE("a row holds cells, conditions and the object as asked") {
  const Kind kind = PodKind();
  const Json pod = Json::parse(
      R"({"metadata":{"name":"p","uid":"u"},"spec":{"flag":false,"list":["a","b"]},"status":{"phase":"Succeeded"}})");
  CHECK(TableColumns(kind)[0] ==
        Json::parse(R"({"name":"Name","type":"string","format":"name","description":"The name.","priority":0})"));
  CHECK(TableColumns(kind)[2]["priority"] == 1);

  Json row = TableRow(kind, pod, IncludeObject::kMetadata, kNow);
  CHECK(row["cells"] == Json::parse(R"(["p","Succeeded","<none>",0,"False","b"])"));
  CHECK(row["object"] ==
        Json::parse(
            R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"p","uid":"u"}})"));
  CHECK(row["conditions"][0]["type"] == "Completed");
  CHECK(row["conditions"][0]["reason"] == "Succeeded");

  Json running = pod;
  running["status"]["phase"] = "Running";
  row = TableRow(kind, running, IncludeObject::kNone, kNow);
  CHECK(row["object"].is_null());
  CHECK_FALSE(row.contains("conditions"));
  CHECK(TableRow(kind, running, IncludeObject::kObject, kNow)["object"] == running);

  Kind custom = kind;
  custom.is_custom = true;
  CHECK(TableRow(custom, Json::object(), IncludeObject::kNone, kNow)["cells"][2].is_null());
}

}  // namespace
}  // namespace wherry
