#include "core/kinds/pod_rules.h"
#include "tests/core/kinds/rules_support.h"

namespace wherry {
namespace {

Json Pod() {
  return Json::parse(R"({"metadata":{"name":"p"},"spec":{
    "restartPolicy":"Always","terminationGracePeriodSeconds":30,
    "volumes":[{"name":"v","emptyDir":{}}],
    "containers":[{"name":"c","image":"nginx:1","ports":[{"containerPort":80,"protocol":"TCP"}],
                   "volumeMounts":[{"name":"v","mountPath":"/v"}]}]}})");
}

struct Case {
  std::vector<Edit> edits;
  Lines refused;
};

TEST_CASE("a good pod is accepted") {
  CHECK(Refused("Pod", Pod()).empty());
  const Json pod = Pod();
  CHECK(Refused("Pod", pod, &pod).empty());
}

TEST_CASE("containers are checked") {
  const std::string c = "spec.containers[0]";
  const Case cases[] = {
      {{{"/spec/containers", "[]"}}, {"spec.containers: Required value"}},
      {{{"/spec/containers/0/name", "\"\""}}, {c + ".name: Required value"}},
      {{{"/spec/containers/0/image", ""}}, {c + ".image: Required value"}},
      {{{"/spec/containers/0/image", "\" nginx\""}},
       {c + ".image: Invalid value: \" nginx\": must not have leading or trailing whitespace"}},
      {{{"/spec/initContainers", R"([{"name":"c","image":"x"}])"}},
       {"spec.initContainers[0].name: Duplicate value: \"c\""}},
      {{{"/spec/containers/0/ports", R"([{"containerPort":0},{"containerPort":70000}])"}},
       {c + ".ports[0].containerPort: Required value",
        c + ".ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"}},
      {{{"/spec/containers/0/ports", R"([{"name":"a","containerPort":1},{"name":"a","containerPort":2}])"}},
       {c + ".ports[1].name: Duplicate value: \"a\""}},
      {{{"/spec/containers/1",
         R"({"name":"d","image":"x","ports":[{"containerPort":1,"hostPort":8080,"protocol":"TCP"}]})"},
        {"/spec/containers/0/ports/0/hostPort", "8080"}},
       {"spec.containers[1].ports[0].hostPort: Duplicate value: \"TCP//8080\""}},
      {{{"/spec/hostNetwork", "true"}, {"/spec/containers/0/ports/0/hostPort", "81"}},
       {c + ".ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true"}},
      {{{"/spec/containers/0/env", R"([{"name":"A=B"},{"name":""}])"}},
       {c + ".env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable "
            "ASCII "
            "characters other than '='",
        c + ".env[1].name: Required value"}},
      {{{"/spec/containers/0/env",
         R"([{"name":"A","valueFrom":{}},{"name":"B","value":"x","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}])"}},
       {c + ".env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, "
            "`configMapKeyRef` "
            "or `secretKeyRef`",
        c + ".env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"}},
      {{{"/spec/containers/0/envFrom", R"([{}])"}},
       {c + ".envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"}},
      {{{"/spec/containers/0/volumeMounts",
         R"([{"name":"gone","mountPath":"/a"},{"name":"v","mountPath":"/a"},{"name":"v"}])"}},
       {c + ".volumeMounts[0].name: Not found: \"gone\"",
        c + ".volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
        c + ".volumeMounts[2].mountPath: Required value"}},
      {{{"/spec/containers/0/volumeMounts/0/subPath", "\"../x\""}},
       {c + ".volumeMounts[0].subPath: Invalid value: \"../x\": must not contain '..'"}},
      {{{"/spec/containers/0/resources", R"({"limits":{"cpu":"100m"},"requests":{"cpu":"200m"}})"}},
       {c + ".resources.requests: Invalid value: \"200m\": must be less than or equal to cpu limit of 100m"}},
      {{{"/spec/containers/0/resources", R"({"requests":{"cpu":"-1","disk":"1"}})"}},
       {c + ".resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        c + ".resources.requests[disk]: Invalid value: \"disk\": must be a standard resource for containers"}},
      {{{"/spec/containers/0/resources", R"({"limits":{"example.com/gpu":"2"},"requests":{"example.com/gpu":"1"}})"}},
       {c + ".resources.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2"}},
      {{{"/spec/containers/0/livenessProbe", R"({})"}},
       {c + ".livenessProbe: Required value: must specify a handler type"}},
      {{{"/spec/containers/0/livenessProbe",
         R"({"exec":{"command":["x"]},"tcpSocket":{"port":80},"successThreshold":2})"}},
       {c + ".livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        c + ".livenessProbe.successThreshold: Invalid value: 2: must be 1"}},
      {{{"/spec/containers/0/readinessProbe", R"({"httpGet":{"port":0}})"}},
       {c + ".readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"}},
      {{{"/spec/containers/0/restartPolicy", "\"Always\""}},
       {c + ".restartPolicy: Forbidden: may not be set for non-init containers"}},
      {{{"/spec/initContainers",
         R"([{"name":"i","image":"x","restartPolicy":"Never","livenessProbe":{"exec":{"command":["x"]}}}])"}},
       {"spec.initContainers[0].restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
        "restartPolicy=Always"}},
      {{{"/spec/initContainers",
         R"([{"name":"i","image":"x","restartPolicy":"Always","livenessProbe":{"exec":{"command":["x"]}}}])"}},
       {}},
      {{{"/spec/ephemeralContainers", R"([{"name":"e","image":"x"}])"}},
       {"spec.ephemeralContainers: Forbidden: cannot be set on create"}},
  };
  for (const auto& [edits, refused] : cases) {
    INFO(edits[0].pointer << " " << edits[0].json);
    CHECK(Refused("Pod", Edited(Pod(), edits)) == refused);
  }
}

TEST_CASE("volumes, placement and the rest of the pod are checked") {
  const std::string terms =
      "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
  const Case cases[] = {
      {{{"/spec/volumes/1", R"({"name":"v","emptyDir":{}})"}}, {"spec.volumes[1].name: Duplicate value: \"v\""}},
      {{{"/spec/volumes/0", R"({"name":"v"})"}}, {"spec.volumes[0]: Required value: must specify a volume type"}},
      {{{"/spec/volumes/0/hostPath", R"({"path":"/a/../b"})"}},
       {"spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"}},
      {{{"/spec/volumes/0", R"({"name":"v","secret":{"items":[{"key":"a","path":"/x"}]}})"}},
       {"spec.volumes[0].secret.secretName: Required value",
        "spec.volumes[0].secret.items[0].path: Invalid value: \"/x\": must be a relative path"}},
      {{{"/spec/volumes/0",
         R"({"name":"v","projected":{"sources":[{},{"secret":{"name":"s"},"configMap":{"name":"m"}}]}})"}},
       {"spec.volumes[0].projected.sources[0]: Required value: must specify a source type",
        "spec.volumes[0].projected.sources[1].configMap: Forbidden: may not specify more than 1 volume type per "
        "source"}},
      {{{"/spec/tolerations", R"([{"operator":"Equal","value":"x"}])"}},
       {"spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which "
        "means "
        "\"match all values and all keys\""}},
      {{{"/spec/tolerations",
         R"([{"key":"k","operator":"Exists","value":"x"},{"key":"k","operator":"Like"},{"key":"k","effect":"Never"},{"key":"k","tolerationSeconds":1}])"}},
       {"spec.tolerations[0].operator: Invalid value: {\"key\":\"k\",\"operator\":\"Exists\",\"value\":\"x\"}: value "
        "must be "
        "empty when `operator` is 'Exists'",
        "spec.tolerations[1].operator: Unsupported value: \"Like\": supported values: \"Equal\", \"Exists\"",
        "spec.tolerations[2].effect: Unsupported value: \"Never\": supported values: \"NoExecute\", \"NoSchedule\", "
        "\"PreferNoSchedule\"",
        "spec.tolerations[3].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"}},
      {{{"/spec/affinity",
         R"({"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}})"}},
       {terms + ": Required value: must have at least one node selector term"}},
      {{{"/spec/affinity", R"({"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
          {"matchExpressions":[{"key":"a","operator":"In"},{"key":"b","operator":"Exists","values":["x"]},{"key":"c","operator":"Gt","values":["1","2"]},{"key":"d","operator":"Like"}],
           "matchFields":[{"key":"metadata.uid","operator":"In","values":["x"]}]}]}}})"}},
       {terms + "[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        terms + "[0].matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or "
                "'DoesNotExist'",
        terms + "[0].matchExpressions[2].values: Required value: must be specified single value when `operator` is "
                "'Lt' or 'Gt'",
        terms + "[0].matchExpressions[3].operator: Invalid value: \"Like\": not a valid selector operator",
        terms + "[0].matchFields[0].key: Invalid value: \"metadata.uid\": not a valid field selector key"}},
      {{{"/spec/affinity", R"({"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{}]}})"}},
       {"spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: "
        "can not "
        "be empty"}},
      {{{"/spec/topologySpreadConstraints", R"([{"maxSkew":0,"topologyKey":"zone","whenUnsatisfiable":"Maybe"}])"}},
       {"spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Maybe\": supported values: "
        "\"DoNotSchedule\", \"ScheduleAnyway\""}},
      {{{"/spec/terminationGracePeriodSeconds", "-1"}},
       {"spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0"}},
      {{{"/spec/hostPID", "true"}, {"/spec/shareProcessNamespace", "true"}},
       {"spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"}},
      {{{"/spec/schedulingGates", R"([{"name":"a/b"},{"name":"a/b"}])"}, {"/spec/nodeName", "\"n\""}},
       {"spec.schedulingGates[1].name: Duplicate value: \"a/b\"",
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"}},
      {{{"/spec/dnsPolicy", "\"None\""}},
       {"spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is "
        "None"}},
  };
  for (const auto& [edits, refused] : cases) {
    INFO(edits[0].pointer << " " << edits[0].json);
    CHECK(Refused("Pod", Edited(Pod(), edits)) == refused);
  }
}

TEST_CASE("a running pod changes in few fields only") {
  const std::string only =
      "spec: Forbidden: pod updates may not change fields other than "
      "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
      "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
      "previously negative)\nchanged: ";
  const Case cases[] = {
      {{{"/spec/containers/0/image", "\"nginx:2\""}}, {}},
      {{{"/spec/containers/0/image", "\"\""}}, {"spec.containers[0].image: Required value"}},
      {{{"/spec/activeDeadlineSeconds", "50"}}, {}},
      {{{"/spec/activeDeadlineSeconds", "200"}},
       {"spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value"}},
      {{{"/spec/activeDeadlineSeconds", ""}},
       {"spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"}},
      {{{"/spec/tolerations/1", R"({"key":"new","operator":"Exists"})"}}, {}},
      {{{"/spec/tolerations/0/tolerationSeconds", "9"}}, {}},
      {{{"/spec/tolerations", "[]"}},
       {"spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"}},
      {{{"/spec/containers/1", R"({"name":"d","image":"x"})"}},
       {"spec.containers: Forbidden: pod updates may not add or remove containers"}},
      {{{"/spec/containers/0/name", "\"d\""}, {"/spec/hostname", "\"h\""}}, {only + "spec.containers, spec.hostname"}},
      {{{"/spec/nodeName", "\"n\""}}, {only + "spec.nodeName"}},
      {{{"/spec/schedulingGates", R"([{"name":"new"}])"}},
       {"spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate 'new'"}},
      {{{"/spec/nodeSelector", R"({"a":"b"})"}}, {only + "spec.nodeSelector"}},
      {{{"/metadata/labels", R"({"a":"b"})"}}, {}},
  };
  const Json old = Edited(Pod(), {{"/spec/activeDeadlineSeconds", "100"},
                                  {"/spec/tolerations", R"([{"key":"k","operator":"Exists","effect":"NoExecute"}])"}});
  for (const auto& [edits, refused] : cases) {
    INFO(edits[0].pointer << " " << edits[0].json);
    CHECK(Refused("Pod", Edited(old, edits), &old) == refused);
  }
  const Json gated = Edited(Pod(), {{"/spec/schedulingGates", R"([{"name":"g"}])"}});
  CHECK(Refused("Pod", Edited(gated, {{"/spec/nodeSelector", R"({"a":"b"})"}, {"/spec/schedulingGates", "[]"}}), &gated)
            .empty());
}

TEST_CASE("ephemeral containers may only be added, and only look on") {
  const std::string at = "spec.ephemeralContainers", f = at + "[1]";
  const auto added = [](const std::string& fields) {
    return R"({"name":"f","image":"x")" + (fields.empty() ? "" : "," + fields) + "}";
  };
  const struct {
    std::string pointer, json;
    Lines refused;
  } cases[] = {
      {"/1", added(""), {}},
      {"/1", added(R"("targetContainerName":"c","stdin":true,"tty":true,"resources":{})"), {}},
      {"/1", added(R"("targetContainerName":"e")"), {f + ".targetContainerName: Not found: \"e\""}},
      {"/1", R"({"name":"c","image":"x"})", {f + ".name: Duplicate value: \"c\""}},
      {"/1", R"({"name":"e","image":"y"})", {f + ".name: Duplicate value: \"e\""}},
      {"/1", R"({"name":"f"})", {f + ".image: Required value"}},
      {"/1",
       added(R"("ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1"}},"restartPolicy":"Always",
                "livenessProbe":{"exec":{"command":["x"]}},"readinessProbe":{"exec":{"command":["x"]}},
                "startupProbe":{"exec":{"command":["x"]}},"lifecycle":{"preStop":{"exec":{"command":["x"]}}})"),
       {f + ".ports: Forbidden: cannot be set for an Ephemeral Container",
        f + ".resources: Forbidden: cannot be set for an Ephemeral Container",
        f + ".restartPolicy: Forbidden: cannot be set for an Ephemeral Container",
        f + ".livenessProbe: Forbidden: cannot be set for an Ephemeral Container",
        f + ".readinessProbe: Forbidden: cannot be set for an Ephemeral Container",
        f + ".startupProbe: Forbidden: cannot be set for an Ephemeral Container",
        f + ".lifecycle: Forbidden: cannot be set for an Ephemeral Container"}},
      {"/1", added(R"("volumeMounts":[{"name":"v","mountPath":"/a"}])"), {}},
      {"/1",
       added(R"("volumeMounts":[{"name":"v","mountPath":"/a","subPath":"s"},{"name":"no","mountPath":"/b"}])"),
       {f + ".volumeMounts[1].name: Not found: \"no\"",
        f + ".volumeMounts[0].subPath: Forbidden: cannot be set for an Ephemeral Container"}},
      {"", "[]", {at + ": Forbidden: existing ephemeral containers \"e\" may not be removed"}},
      {"/0/image", "\"y\"", {at + ": Forbidden: existing ephemeral containers \"e\" may not be changed"}},
  };
  const KindHooks hooks = Hooks("Pod");
  const PartRules& rules = hooks.parts.at("ephemeralcontainers");
  const Json old = Edited(Pod(), {{"/spec/ephemeralContainers", R"([{"name":"e","image":"x"}])"}});
  for (const auto& [pointer, json, refused] : cases) {
    INFO(pointer << " " << json);
    const std::string whole = "/spec/ephemeralContainers" + pointer;
    FieldErrors errors;
    rules.validate(Edited(old, {{whole.c_str(), json.c_str()}}), old, errors);
    Lines lines;
    for (const FieldError& e : errors) lines.push_back(e.field + ": " + e.message);
    CHECK(lines == refused);
  }
  // Nothing else of what is sent there counts.
  const Json sent = Edited(old, {{"/spec/ephemeralContainers/1", R"({"name":"f","image":"x"})"},
                                 {"/spec/hostname", "\"h\""},
                                 {"/metadata/labels", R"({"a":"b"})"}});
  CHECK(rules.take(sent, old) == Edited(old, {{"/spec/ephemeralContainers/1", R"({"name":"f","image":"x"})"}}));
  CHECK(rules.take(Json::object(), old) == Edited(old, {{"/spec/ephemeralContainers", ""}}));
}

TEST_CASE("pods get the defaults that depend on their other fields") {
  Json pod = Json::parse(R"({"spec":{"hostNetwork":true,"volumes":[{"name":"v"}],"containers":[
      {"name":"a","image":"nginx","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}}}],
      "initContainers":[{"name":"i","image":"x:1"}]}})");
  const KindHooks hooks = Hooks("Pod");
  hooks.set_defaults(pod);
  CHECK(pod["spec"]["containers"][0]["imagePullPolicy"] == "Always");
  CHECK(pod["spec"]["initContainers"][0]["imagePullPolicy"] == "IfNotPresent");
  CHECK(pod["spec"]["initContainers"][0]["resources"] == Json::object());
  CHECK(pod["spec"]["containers"][0]["resources"]["requests"] == Json::parse(R"({"cpu":"500m","memory":"1Gi"})"));
  CHECK(pod["spec"]["containers"][0]["ports"][0]["hostPort"] == 80);
  CHECK(pod["spec"]["volumes"][0] == Json::parse(R"({"name":"v","emptyDir":{}})"));
  CHECK(pod["spec"]["securityContext"] == Json::object());
  CHECK(pod["spec"]["enableServiceLinks"] == true);
  Json again = pod;
  hooks.set_defaults(again);
  CHECK(again == pod);
  pod["status"]["phase"] = "Running";
  hooks.prepare_create(pod);
  CHECK(pod["status"] == Json::parse(R"({"phase":"Pending"})"));
  hooks.conclude_create(pod);
  CHECK(pod["status"] == Json::parse(R"({"phase":"Pending","qosClass":"Burstable"})"));
}

TEST_CASE("the pull policy follows the tag") {
  const struct {
    std::string_view image, policy;
  } cases[] = {{"nginx", "Always"},
               {"nginx:latest", "Always"},
               {"nginx:1.25", "IfNotPresent"},
               {"host:5000/nginx", "Always"},
               {"host:5000/nginx:1", "IfNotPresent"},
               {"nginx@sha256:00", "IfNotPresent"},
               {"nginx:latest@sha256:00", "Always"}};
  for (const auto& c : cases) CHECK(DefaultPullPolicy(c.image) == c.policy);
}

TEST_CASE("the quality of service follows the resources") {
  const auto qos = [](const char* resources) {
    Json pod;
    pod["spec"]["containers"] = Json::array();
    for (const Json& r : Json::parse(resources)) pod["spec"]["containers"].push_back({{"resources", r}});
    return QosClass(pod);
  };
  CHECK(qos("[{}]") == "BestEffort");
  CHECK(qos(R"([{"requests":{"cpu":"0"}}])") == "BestEffort");
  CHECK(qos(R"([{"requests":{"cpu":"1"}}])") == "Burstable");
  CHECK(qos(R"([{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}}])") == "Guaranteed");
  CHECK(qos(R"([{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1000m","memory":"1024Mi"}}])") == "Guaranteed");
  CHECK(qos(R"([{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m","memory":"1Gi"}}])") == "Burstable");
  CHECK(qos(R"([{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1","memory":"1Gi"}},{}])") == "Burstable");
}

TEST_CASE("a pod requests what its containers need at once") {
  const struct {
    const char* spec;
    std::string cpu;
  } cases[] = {
      {R"({"containers":[{"resources":{"requests":{"cpu":"1"}}},{"resources":{"requests":{"cpu":"500m"}}}]})", "1500m"},
      {R"({"containers":[{"resources":{"requests":{"cpu":"1"}}}],"initContainers":[{"resources":{"requests":{"cpu":"3"}}},{"resources":{"requests":{"cpu":"2"}}}]})",
       "3"},
      // A sidecar counts with the containers, and with init containers that start after it.
      {R"({"containers":[{"resources":{"requests":{"cpu":"1"}}}],"initContainers":[{"restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}},{"resources":{"requests":{"cpu":"3"}}}]})",
       "4"},
      {R"({"containers":[{"resources":{"requests":{"cpu":"1"}}}],"initContainers":[{"resources":{"requests":{"cpu":"3"}}},{"restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}}]})",
       "3"},
      {R"({"containers":[{"resources":{"requests":{"cpu":"1"}}}],"overhead":{"cpu":"250m"}})", "1250m"},
      {R"({"containers":[{"resources":{"requests":{"cpu":"1"}}}],"resources":{"requests":{"cpu":"5"}}})", "5"},
  };
  for (const auto& c : cases) {
    INFO(c.spec);
    CHECK(PodRequests(Json{{"spec", Json::parse(c.spec)}}).at("cpu").ToString() == c.cpu);
  }
}

}  // namespace
}  // namespace wherry
