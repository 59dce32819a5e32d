#include "tests/core/kinds/rules_support.h"

namespace wherry {
namespace {

struct Case {
  std::string_view kind;
  std::vector<Edit> edits;
  Lines refused;
};

const char* const kTemplate =
    R"({"metadata":{"labels":{"app":"a"}},"spec":{"restartPolicy":"Always","containers":[{"name":"c","image":"x"}]}})";
const char* const kJobTemplate =
    R"({"metadata":{"labels":{"app":"a"}},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"x"}]}})";

// A valid document of each kind.
Json Good(std::string_view kind) {
  Json object = {{"metadata", {{"name", "x"}, {"namespace", "default"}, {"uid", "u1"}}}};
  Json& spec = object["spec"];
  const bool workload = kind == "DaemonSet" || kind == "Deployment" || kind == "ReplicaSet" || kind == "StatefulSet";
  if (workload || kind == "Job") {
    spec["selector"]["matchLabels"]["app"] = "a";
    spec["template"] = Json::parse(kind == "Job" ? kJobTemplate : kTemplate);
  }
  if (kind == "DaemonSet")
    spec["updateStrategy"] =
        Json::parse(R"({"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1,"maxSurge":0}})");
  if (kind == "Deployment")
    spec["strategy"] =
        Json::parse(R"({"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}})");
  if (kind == "StatefulSet") spec["updateStrategy"]["type"] = "RollingUpdate";
  if (kind == "Job") spec["completions"] = 1;
  if (kind == "CronJob") {
    spec["schedule"] = "*/5 * * * *";
    spec["jobTemplate"]["spec"]["template"] = Json::parse(kJobTemplate);
  }
  if (kind == "Service")
    spec = Json::parse(
        R"({"type":"ClusterIP","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"ports":[{"port":80,"protocol":"TCP"}]})");
  if (kind == "ConfigMap" || kind == "Secret") object["data"]["k"] = "dg==";
  if (kind == "Secret") object["type"] = "Opaque";
  if (kind == "ControllerRevision") object["data"] = {{"a", 1}};
  if (kind == "Endpoints")
    object["subsets"] = Json::parse(R"([{"addresses":[{"ip":"1.1.1.1"}],"ports":[{"port":80}]}])");
  if (kind == "EndpointSlice") {
    object["addressType"] = "IPv4";
    object["endpoints"] = Json::parse(R"([{"addresses":["1.1.1.1"]}])");
  }
  if (kind == "PodDisruptionBudget") spec["minAvailable"] = 1;
  if (kind == "PriorityClass") object["value"] = 10;
  if (kind == "HorizontalPodAutoscaler") {
    spec =
        Json::parse(R"({"maxReplicas":5,"minReplicas":1,"scaleTargetRef":{"kind":"Deployment","name":"web"},"metrics":[
      {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}]})");
  }
  if (kind == "Event") object["involvedObject"]["namespace"] = "default";
  if (kind == "Image") spec = Json::parse(R"({"references":["nginx*"],"command":["nginx"]})");
  if (spec.is_null()) object.erase("spec");
  return object;
}

TEST_CASE("good objects are accepted, on create and unchanged") {
  for (const char* kind : {"DaemonSet",          "Deployment",    "ReplicaSet", "StatefulSet",
                           "ControllerRevision", "Job",           "CronJob",    "Service",
                           "Endpoints",          "EndpointSlice", "ConfigMap",  "Secret",
                           "Namespace",          "Node",          "Event",      "PodDisruptionBudget",
                           "PriorityClass",      "Lease",         "Image",      "HorizontalPodAutoscaler"}) {
    INFO(kind);
    const Json good = Good(kind);
    CHECK(Refused(kind, good).empty());
    CHECK(Refused(kind, good, &good).empty());
  }
}

TEST_CASE("bad objects are refused on create") {
  const std::string selector =
      "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match "
      "template `labels`";
  const std::string percent =
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
      "'93%', regex used for validation is '[0-9]+%')";
  const Case cases[] = {
      {"DaemonSet", {{"/spec/selector", ""}}, {"spec.selector: Required value"}},
      {"DaemonSet",
       {{"/spec/selector", "{}"}},
       {"spec.selector: Invalid value: {}: empty selector is invalid for daemonset"}},
      {"DaemonSet", {{"/spec/template/metadata/labels/app", "\"b\""}}, {selector}},
      {"Deployment", {{"/spec/template/metadata/labels/app", "\"b\""}}, {selector}},
      {"DaemonSet",
       {{"/spec/template/spec/restartPolicy", "\"Never\""}},
       {"spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""}},
      {"DaemonSet",
       {{"/spec/template/spec/activeDeadlineSeconds", "5"}},
       {"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported"}},
      {"DaemonSet",
       {{"/spec/template/spec/containers/0/image", "\"\""}},
       {"spec.template.spec.containers[0].image: Required value"}},
      {"DaemonSet",
       {{"/spec/updateStrategy/rollingUpdate/maxSurge", "1"}},
       {"spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is "
        "non-zero"}},
      {"DaemonSet",
       {{"/spec/updateStrategy/rollingUpdate/maxUnavailable", "\"0%\""}},
       {"spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"}},
      {"DaemonSet",
       {{"/spec/updateStrategy/rollingUpdate/maxUnavailable", "\"101%\""}},
       {"spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"}},
      {"DaemonSet",
       {{"/spec/updateStrategy/rollingUpdate/maxUnavailable", "-1"}},
       {"spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: -1: must be greater than or equal to 0"}},
      {"Deployment",
       {{"/spec/strategy/rollingUpdate/maxUnavailable", "\"x\""}},
       {"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"x\": " + percent}},
      {"Deployment",
       {{"/spec/strategy/rollingUpdate", R"({"maxUnavailable":0,"maxSurge":"0%"})"}},
       {"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"}},
      {"Deployment",
       {{"/spec/strategy/type", "\"Recreate\""}},
       {"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"}},
      {"Deployment",
       {{"/spec/progressDeadlineSeconds", "5"}, {"/spec/minReadySeconds", "5"}},
       {"spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"}},
      {"StatefulSet",
       {{"/spec/updateStrategy", R"({"type":"OnDelete","rollingUpdate":{"partition":0}})"}},
       {"spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":0}: only allowed for updateStrategy "
        "'RollingUpdate'"}},
      {"StatefulSet",
       {{"/spec/volumeClaimTemplates", R"([{"metadata":{"name":"data"}}])"},
        {"/spec/template/spec/containers/0/volumeMounts", R"([{"name":"data","mountPath":"/d"}])"}},
       {}},
      {"ReplicaSet",
       {{"/spec/selector/matchExpressions", R"([{"key":"a","operator":"In"}])"}},
       {"spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or "
        "'NotIn'"}},
      {"ControllerRevision", {{"/data", ""}}, {"data: Required value: data is mandatory"}},
      {"Job",
       {{"/spec/template/spec/restartPolicy", "\"Always\""}},
       {"spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""}},
      {"Job",
       {{"/spec/completionMode", "\"Indexed\""}, {"/spec/completions", ""}},
       {"spec.completions: Required value: when completion mode is Indexed"}},
      {"Job", {{"/spec/template/metadata/labels/app", "\"b\""}}, {selector}},
      {"Job",
       {{"/metadata/name", "\"a1234567890123456789012345678901234567890123456789012345678901\""},
        {"/spec/completionMode", "\"Indexed\""}},
       {"metadata.name: Invalid value: \"a1234567890123456789012345678901234567890123456789012345678901\": will not "
        "able to create pod with invalid DNS label: "
        "a1234567890123456789012345678901234567890123456789012345678901-0"}},
      {"Job",
       {{"/spec/maxFailedIndexes", "1"}},
       {"spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"}},
      {"Job",
       {{"/spec/podFailurePolicy",
         R"({"rules":[{"action":"FailIndex","onExitCodes":{"operator":"In","values":[3,0,3,1],"containerName":"x"}}]})"},
        {"/spec/podReplacementPolicy", "\"TerminatingOrFailed\""}},
       {"spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be "
        "set",
        "spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: \"x\": must be one of the container "
        "or initContainer names in the pod template",
        "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
        "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 3",
        "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0,3,1]: must be ordered",
        "spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported values: \"Failed\""}},
      {"Job",
       {{"/spec/podFailurePolicy", R"({"rules":[{"action":"Ignore"}]})"}},
       {"spec.podFailurePolicy.rules[0]: Invalid value: {\"action\":\"Ignore\"}: specifying one of OnExitCodes and "
        "OnPodConditions is required"}},
      {"Job",
       {{"/spec/successPolicy", R"({"rules":[{"succeededCount":1}]})"}},
       {"spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: requires indexed completion mode"}},
      {"Job",
       {{"/spec/completionMode", "\"Indexed\""},
        {"/spec/completions", "3"},
        {"/spec/successPolicy",
         R"({"rules":[{"succeededIndexes":"0-3"},{"succeededIndexes":"1,0"},{"succeededCount":4},{"succeededIndexes":"0,2","succeededCount":3},{}]})"}},
       {"spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0-3\": error parsing succeededIndexes: too "
        "large index: \"3\"",
        "spec.successPolicy.rules[1].succeededIndexes: Invalid value: \"1,0\": error parsing succeededIndexes: "
        "non-increasing order, previous: 1, current: 0",
        "spec.successPolicy.rules[2].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of "
        "specified completions)",
        "spec.successPolicy.rules[3].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of "
        "indexes in the specified succeededIndexes field)",
        "spec.successPolicy.rules[4]: Required value: at least one of succeededCount or succeededIndexes must be "
        "specified"}},
      {"CronJob",
       {{"/spec/schedule", "\"x\""}},
       {"spec.schedule: Invalid value: \"x\": expected exactly 5 fields, found 1: [x]"}},
      {"CronJob",
       {{"/spec/schedule", "\"TZ=UTC * * * * *\""}},
       {"spec.schedule: Invalid value: \"TZ=UTC * * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field "
        "instead"}},
      {"CronJob",
       {{"/spec/timeZone", "\"Mars/Olympus\""}},
       {"spec.timeZone: Invalid value: \"Mars/Olympus\": unknown time zone Mars/Olympus"}},
      {"CronJob",
       {{"/spec/jobTemplate/spec/template/spec/restartPolicy", "\"Always\""}},
       {"spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""}},
      {"CronJob",
       {{"/metadata/name", "\"a12345678901234567890123456789012345678901234567890123\""}},
       {"metadata.name: Invalid value: \"a12345678901234567890123456789012345678901234567890123\": must be no more "
        "than 52 "
        "characters"}},
      {"Service", {{"/spec/ports", "[]"}}, {"spec.ports: Required value"}},
      {"Service", {{"/spec/ports", "[]"}, {"/spec/clusterIP", "\"None\""}}, {}},
      {"Service",
       {{"/spec/ports/1", R"({"port":80,"protocol":"TCP","name":"b"})"}},
       {"spec.ports[0].name: Required value", "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}"}},
      {"Service",
       {{"/spec/ports/0/targetPort", "\"Bad_Name\""}},
       {"spec.ports[0].targetPort: Invalid value: \"Bad_Name\": must contain only alpha-numeric characters (a-z, 0-9), "
        "and "
        "hyphens (-)"}},
      {"Service",
       {{"/spec/ports/0/nodePort", "30080"}},
       {"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"}},
      {"Service",
       {{"/spec/ports/0/nodePort", "80"}, {"/spec/type", "\"NodePort\""}},
       {"spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports "
        "is "
        "30000-32767"}},
      {"Service", {{"/spec", R"({"type":"ExternalName"})"}}, {"spec.externalName: Required value"}},
      {"Service",
       {{"/spec/clusterIP", "\"x\""}},
       {"spec.clusterIPs[0]: Invalid value: \"x\": must be empty, 'None', or a valid IP address"}},
      {"Endpoints",
       {{"/subsets/0/addresses/0/ip", "\"x\""}, {"/subsets/0/ports/0/port", "0"}},
       {"subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
        "2001:db8::ffff)",
        "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"}},
      {"EndpointSlice",
       {{"/endpoints/0/addresses", R"(["::1"])"}, {"/ports", R"([{"name":"a"},{"name":"a"}])"}},
       {"endpoints[0].addresses[0]: Invalid value: \"::1\": must be an IPv4 address",
        "ports[1].name: Duplicate value: \"a\""}},
      {"EndpointSlice",
       {{"/endpoints/0/addresses", "[]"}},
       {"endpoints[0].addresses: Required value: must contain at least 1 address"}},
      {"ConfigMap",
       {{"/data/..x", "\"\""}, {"/binaryData/k", "\"\""}},
       {"data[..x]: Invalid value: \"..x\": must not start with '..'",
        "data[k]: Invalid value: \"k\": duplicate of key present in binaryData"}},
      {"Secret", {{"/type", "\"kubernetes.io/tls\""}, {"/data/tls.crt", "\"\""}}, {"data[tls.key]: Required value"}},
      {"Secret",
       {{"/type", "\"kubernetes.io/basic-auth\""}},
       {"data[username]: Required value", "data[password]: Required value"}},
      {"Secret", {{"/type", "\"kubernetes.io/basic-auth\""}, {"/data/username", "\"\""}}, {}},
      {"Secret",
       {{"/type", "\"kubernetes.io/dockerconfigjson\""}, {"/data/.dockerconfigjson", "\"eA==\""}},
       {"data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": must be valid JSON"}},
      {"Secret", {{"/type", "\"kubernetes.io/dockerconfigjson\""}, {"/data/.dockerconfigjson", "\"e30=\""}}, {}},
      {"Secret",
       {{"/type", "\"kubernetes.io/service-account-token\""}},
       {"metadata.annotations[kubernetes.io/service-account.name]: Required value"}},
      {"Namespace",
       {{"/spec/finalizers", R"(["a b"])"}},
       {"spec.finalizers[0]: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or "
        "'.', and "
        "must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
        "for "
        "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"}},
      {"Node",
       {{"/spec/taints", R"([{"key":"k","effect":"NoSchedule"},{"key":"k","effect":"NoSchedule","value":"v"}])"}},
       {"spec.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"k\",\"value\":\"v\"}: taints must be "
        "unique by "
        "key and effect pair"}},
      {"Node",
       {{"/spec/taints", R"([{"key":"k","effect":"Never"},{"key":"l"}])"}},
       {"spec.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", "
        "\"NoExecute\"",
        "spec.taints[1].effect: Required value"}},
      {"Node",
       {{"/status/capacity", R"({"cpu":"-1"})"}},
       {"status.capacity[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"}},
      {"Event",
       {{"/involvedObject/namespace", "\"other\""}},
       {"involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"}},
      {"PodDisruptionBudget",
       {{"/spec/maxUnavailable", "1"}},
       {"spec: Invalid value: {\"maxUnavailable\":1,\"minAvailable\":1}: minAvailable and maxUnavailable cannot be "
        "both set"}},
      {"HorizontalPodAutoscaler",
       {{"/spec/maxReplicas", "2"}, {"/spec/minReplicas", "3"}},
       {"spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`"}},
      {"HorizontalPodAutoscaler",
       {{"/spec/maxReplicas", "0"}, {"/spec/minReplicas", "0"}},
       {"spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
        "spec.maxReplicas: Invalid value: 0: must be greater than 0"}},
      {"HorizontalPodAutoscaler",
       {{"/spec/metrics/0/resource/target/averageUtilization", "0"}, {"/spec/metrics/0/pods", "{}"}},
       {"spec.metrics[0].pods: Forbidden: must populate the given metric source only",
        "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than zero"}},
      {"HorizontalPodAutoscaler",
       {{"/spec/metrics/0/type", "\"Pods\""}},
       {"spec.metrics[0].pods: Required value: must populate information for the given metric source",
        "spec.metrics[0].resource: Forbidden: must populate the given metric source only"}},
      {"HorizontalPodAutoscaler",
       {{"/spec/behavior",
         R"({"scaleUp":{"stabilizationWindowSeconds":3601,"policies":[{"type":"Pods","value":0,"periodSeconds":1801}]}})"}},
       {"spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
        "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
        "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"}},
      {"PriorityClass",
       {{"/metadata/name", "\"system-mine\""}},
       {"metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only"}},
      {"PriorityClass", {{"/metadata/name", "\"system-node-critical\""}, {"/value", "2000001000"}}, {}},
      {"PriorityClass",
       {{"/value", "1000000001"}},
       {"value: Forbidden: maximum allowed value of a user defined priority is 1000000000"}},
      {"Lease",
       {{"/spec", R"({"leaseDurationSeconds":0,"leaseTransitions":-1})"}},
       {"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"}},
      {"Image",
       {{"/spec", R"({"references":[""],"rootDirectory":"rel"})"}},
       {"spec.references[0]: Required value: must not be empty",
        "spec.rootDirectory: Invalid value: \"rel\": must be an absolute path"}},
      {"Image",
       {{"/spec/command", "[]"}},
       {"spec.command: Required value: the program to run, unless `args` or `rootDirectory` is given"}},
  };
  for (const auto& [kind, edits, refused] : cases) {
    INFO(kind << " " << edits[0].pointer << " " << edits[0].json);
    CHECK(Refused(kind, Edited(Good(kind), edits)) == refused);
  }
}

TEST_CASE("what may not change is refused on update") {
  const std::string frozen = "Forbidden: field is immutable when `immutable` is set";
  const struct {
    std::string_view kind;
    std::vector<Edit> before, edits;
    Lines refused;
  } cases[] = {
      {"DaemonSet",
       {},
       {{"/spec/selector/matchLabels/b", "\"c\""}, {"/spec/template/metadata/labels/b", "\"c\""}},
       {"spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"a\",\"b\":\"c\"}}: field is immutable"}},
      {"Deployment", {}, {{"/spec/replicas", "3"}}, {}},
      {"StatefulSet", {}, {{"/spec/replicas", "3"}, {"/spec/template/spec/hostname", "\"h\""}}, {}},
      {"StatefulSet",
       {},
       {{"/spec/serviceName", "\"other\""}},
       {"spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
        "forbidden"}},
      {"ControllerRevision", {}, {{"/data/a", "2"}}, {"data: Invalid value: {\"a\":2}: field is immutable"}},
      {"ControllerRevision", {}, {{"/revision", "2"}}, {}},
      {"Job", {}, {{"/spec/completions", "2"}}, {"spec.completions: Invalid value: 2: field is immutable"}},
      {"Job", {}, {{"/spec/parallelism", "2"}, {"/spec/suspend", "true"}}, {}},
      {"Job",
       {{"/spec/completionMode", "\"Indexed\""}},
       {{"/spec/completions", "2"}},
       {"spec.completions: Invalid value: 2: can only be modified in tandem with spec.parallelism"}},
      {"Job", {{"/spec/completionMode", "\"Indexed\""}}, {{"/spec/completions", "2"}, {"/spec/parallelism", "2"}}, {}},
      {"Job", {{"/spec/suspend", "true"}}, {{"/spec/template/spec/nodeSelector", R"({"a":"b"})"}}, {}},
      {"Job",
       {},
       {{"/spec/template",
         R"({"metadata":{"labels":{"app":"a"}},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"y"}]}})"}},
       {"spec.template: Invalid value: "
        "{\"metadata\":{\"labels\":{\"app\":\"a\"}},\"spec\":{\"containers\":[{\"image\":\"y\","
        "\"name\":\"c\"}],\"restartPolicy\":\"Never\"}}: field is immutable"}},
      {"Service",
       {},
       {{"/spec/clusterIP", "\"10.0.0.2\""}},
       {"spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"}},
      {"EndpointSlice",
       {},
       {{"/addressType", "\"FQDN\""}, {"/endpoints", "[]"}},
       {"addressType: Invalid value: \"FQDN\": field is immutable"}},
      {"ConfigMap", {{"/immutable", "true"}}, {{"/data/k", "\"x\""}}, {"data: " + frozen}},
      {"ConfigMap", {{"/immutable", "true"}}, {{"/immutable", "false"}}, {"immutable: " + frozen}},
      {"ConfigMap", {{"/immutable", "true"}}, {{"/metadata/labels", R"({"a":"b"})"}}, {}},
      {"Secret", {}, {{"/type", "\"other\""}}, {"type: Invalid value: \"other\": field is immutable"}},
      {"Secret", {{"/immutable", "true"}}, {{"/data/k", "\"eA==\""}}, {"data: " + frozen}},
      {"Node",
       {{"/spec/podCIDR", "\"127.1.0.0/24\""}},
       {{"/spec/podCIDR", "\"127.2.0.0/24\""}},
       {"spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"}},
      {"Node", {}, {{"/spec/podCIDR", "\"127.2.0.0/24\""}, {"/spec/providerID", "\"p\""}}, {}},
      {"Node",
       {{"/spec/providerID", "\"p\""}},
       {{"/spec/providerID", "\"q\""}},
       {"spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"}},
      {"PriorityClass", {}, {{"/value", "11"}}, {"value: Forbidden: may not be changed in an update."}},
  };
  for (const auto& [kind, before, edits, refused] : cases) {
    INFO(kind << " " << edits[0].pointer << " " << edits[0].json);
    const Json old = Edited(Good(kind), before);
    CHECK(Refused(kind, Edited(old, edits), &old) == refused);
  }
}

TEST_CASE("a field that the schema has refused is not refused twice") {
  FieldErrors errors = {{"spec.containers[0].image", "FieldValueRequired", "Required value"}};
  Hooks("Pod").validate(Json::parse(R"({"spec":{"containers":[{"name":"c"}]}})"), nullptr, errors);
  CHECK(errors.size() == 1);
}

TEST_CASE("data over one mebibyte is too long") {
  Json map = Good("ConfigMap");
  map["data"]["big"] = std::string(1024 * 1024, 'x');
  CHECK(Refused("ConfigMap", map) == Lines{"[]: Too long: may not be more than 1048576 bytes"});
  map["data"]["big"] = std::string(1024 * 1024 - 4, 'x');
  CHECK(Refused("ConfigMap", map).empty());
}

TEST_CASE("the server prepares what clients may not set") {
  const auto created = [](std::string_view kind, Json object) {
    Hooks(kind).prepare_create(object);
    return object;
  };
  CHECK(created("Deployment", Json::parse(R"({"status":{"replicas":9}})"))["status"] == Json::object());
  CHECK(created("ReplicaSet", Json::object())["status"] == Json::parse(R"({"replicas":0})"));
  CHECK(created("DaemonSet", Json::parse(R"({"metadata":{}})")) == Json::parse(R"({"metadata":{"annotations":{
      "deprecated.daemonset.template.generation":"1"}},"status":{"currentNumberScheduled":0,"numberMisscheduled":0,
      "desiredNumberScheduled":0,"numberReady":0}})"));
  CHECK(created("Namespace", Json::parse(R"({"metadata":{"name":"n"},"status":{"phase":"Terminating"}})")) ==
        Json::parse(R"({"metadata":{"name":"n","labels":{"kubernetes.io/metadata.name":"n"}},
                        "spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}})"));
  const Json job = created("Job", Json::parse(R"({"metadata":{"name":"j","uid":"u"},"spec":{"template":{}}})"));
  CHECK(job["spec"] == Json::parse(R"({"selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"u"}},
      "template":{"metadata":{"labels":{"controller-uid":"u","job-name":"j","batch.kubernetes.io/controller-uid":"u",
                                        "batch.kubernetes.io/job-name":"j"}}}})"));
  const Json manual =
      Json::parse(R"({"metadata":{"name":"j","uid":"u"},"spec":{"manualSelector":true,"template":{}}})");
  CHECK(created("Job", manual)["spec"] == manual["spec"]);

  const Json set = created("DaemonSet", Good("DaemonSet"));
  const char* const generation = "deprecated.daemonset.template.generation";
  const auto updated = [&](Json object) {
    Hooks("DaemonSet").prepare_update(object, set);
    return object["metadata"]["annotations"][generation];
  };
  CHECK(updated(Good("DaemonSet")) == "1");
  CHECK(updated(Edited(set, {{"/spec/template/spec/hostname", "\"h\""}})) == "2");

  Json ns = Json::parse(R"({"metadata":{"name":"n"},"spec":{"finalizers":[]}})");
  Hooks("Namespace").prepare_update(ns, Json::parse(R"({"spec":{"finalizers":["kubernetes"]}})"));
  CHECK(ns["spec"]["finalizers"] == Json::parse(R"(["kubernetes"])"));

  Json service = Json::parse(R"({"spec":{"type":"NodePort","ports":[{"port":80,"protocol":"TCP"}]}})");
  const Json stored = Json::parse(R"({"spec":{"type":"NodePort","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],
      "ports":[{"port":80,"protocol":"TCP","nodePort":30001}]}})");
  Hooks("Service").prepare_update(service, stored);
  CHECK(service == stored);
}

TEST_CASE("defaults depend on other fields") {
  const auto defaulted = [](std::string_view kind, const char* text) {
    Json object = Json::parse(text);
    Hooks(kind).set_defaults(object);
    Json again = object;
    Hooks(kind).set_defaults(again);
    CHECK(again == object);
    return object;
  };
  CHECK(defaulted("Deployment", R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})") ==
        Json::parse(
            R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1,"maxUnavailable":"25%"}}}})"));
  CHECK(defaulted("Deployment", R"({"spec":{"strategy":{"type":"Recreate"}}})") ==
        Json::parse(R"({"spec":{"strategy":{"type":"Recreate"}}})"));
  CHECK(defaulted(
            "DaemonSet",
            R"({"spec":{"template":{"spec":{"containers":[{"image":"x:1"}]}}}})")["spec"]["template"]["spec"]
                                                                                 ["containers"][0]["imagePullPolicy"] ==
        "IfNotPresent");
  CHECK(defaulted("Job", R"({"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}})") ==
        Json::parse(R"({"metadata":{"labels":{"a":"b"}},"spec":{"completions":1,"parallelism":1,
            "backoffLimit":6,"completionMode":"NonIndexed","suspend":false,
            "podReplacementPolicy":"TerminatingOrFailed","template":{"metadata":{"labels":{"a":"b"}}}}})"));
  CHECK_FALSE(defaulted("Job", R"({"spec":{"parallelism":3}})")["spec"].contains("completions"));
  CHECK(defaulted("Job", R"({"spec":{"completions":3}})")["spec"]["parallelism"] == 1);
  CHECK(defaulted("Job", R"({"spec":{"backoffLimitPerIndex":1}})")["spec"]["backoffLimit"] == 2147483647);
  const Json strict = defaulted("Job", R"({"spec":{"podFailurePolicy":{"rules":[{"action":"Ignore",
      "onPodConditions":[{"type":"DisruptionTarget"}]}]}}})")["spec"];
  CHECK(strict["podReplacementPolicy"] == "Failed");
  CHECK(strict["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["status"] == "True");
  CHECK(defaulted("CronJob", R"({"spec":{"jobTemplate":{"spec":{}}}})")["spec"]["jobTemplate"]["spec"] ==
        Json::object());
  CHECK(defaulted("Service", R"({"spec":{"ports":[{"port":80},{"port":81,"targetPort":"web"}]}})")["spec"]["ports"] ==
        Json::parse(R"([{"port":80,"targetPort":80},{"port":81,"targetPort":"web"}])"));
  CHECK(defaulted("Secret", R"({"data":{"a":"eA=="},"stringData":{"a":"new","b":"\u00e9"}})") ==
        Json::parse(R"({"type":"Opaque","data":{"a":"bmV3","b":"w6k="}})"));
  CHECK(defaulted("Node", R"({"status":{"capacity":{"cpu":"2"}}})")["status"]["allocatable"] ==
        Json::parse(R"({"cpu":"2"})"));
  CHECK(defaulted("Node",
                  R"({"status":{"capacity":{"cpu":"2"},"allocatable":{"cpu":"1"}}})")["status"]["allocatable"]["cpu"] ==
        "1");
  CHECK(defaulted("Namespace", R"({"metadata":{"name":"n"}})")["metadata"]["labels"]["kubernetes.io/metadata.name"] ==
        "n");
}

TEST_CASE("hooks survive documents of the wrong shape") {
  const char* const shapes[] = {
      "{}",
      R"({"spec":null})",
      R"({"spec":[]})",
      R"({"spec":"x","metadata":1,"data":[],"status":7})",
      R"({"spec":{"template":5,"selector":"x","containers":{},"volumes":[1,null],"ports":[null,"x"],
                                   "jobTemplate":[],"taints":[1],"tolerations":"x","strategy":3,"updateStrategy":[]}})",
      R"({"spec":{"containers":[null,1,"x",[]],"initContainers":[{}],"template":{"spec":{"containers":[7]}}}})"};
  for (const char* kind : {"Pod",
                           "DaemonSet",
                           "Deployment",
                           "ReplicaSet",
                           "StatefulSet",
                           "ControllerRevision",
                           "Job",
                           "CronJob",
                           "Service",
                           "Endpoints",
                           "EndpointSlice",
                           "ConfigMap",
                           "Secret",
                           "Namespace",
                           "Node",
                           "Event",
                           "PodDisruptionBudget",
                           "PriorityClass",
                           "Lease",
                           "Image",
                           "HorizontalPodAutoscaler"}) {
    for (const char* shape : shapes) {
      INFO(kind << " " << shape);
      const Json object = Json::parse(shape);
      const Json good = kind == std::string_view("Pod") ? Json::object() : Good(kind);
      CHECK_NOTHROW(Refused(kind, object));
      CHECK_NOTHROW(Refused(kind, object, &good));
      CHECK_NOTHROW(Refused(kind, object, &object));
    }
    // Before the hooks that write, the schema has dropped ill-typed and null fields; absent ones are usual.
    for (const char* shape : {"{}", R"({"metadata":{},"spec":{}})"}) {
      INFO(kind << " " << shape);
      const KindHooks hooks = Hooks(kind);
      Json object = Json::parse(shape);
      if (hooks.set_defaults) CHECK_NOTHROW(hooks.set_defaults(object));
      if (hooks.prepare_create) CHECK_NOTHROW(hooks.prepare_create(object));
      if (hooks.prepare_update) CHECK_NOTHROW(hooks.prepare_update(object, Json::object()));
    }
  }
}

}  // namespace
}  // namespace wherry
