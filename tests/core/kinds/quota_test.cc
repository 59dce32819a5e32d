#include "core/kinds/quota.h"

#include "core/kinds/printers.h"
#include "tests/core/kinds/rules_support.h"

namespace wherry {
namespace {

std::string Told(const ResourceList& amounts) {
  std::string out;
  for (const auto& [name, amount] : amounts) out += (out.empty() ? "" : " ") + name + "=" + amount.ToString();
  return out;
}

TEST_CASE("quota: what an object uses") {
  struct Case {
    const char *what, *resource, *object, *uses;
  };
  const Case cases[] = {
      {"a pod", "pods",
       R"({"kind":"Pod","apiVersion":"v1","spec":{"containers":[
           {"resources":{"requests":{"cpu":"100m","memory":"1Gi"},"limits":{"cpu":"1"}}},
           {"resources":{"requests":{"cpu":"150m","example.com/gpu":"2"}}}],
           "initContainers":[{"resources":{"requests":{"cpu":"1"}}}]}})",
       "count/pods=1 cpu=1 limits.cpu=1 memory=1Gi pods=1 requests.cpu=1 requests.example.com/gpu=2 "
       "requests.memory=1Gi"},
      {"one that has ended counts only as an object", "pods",
       R"({"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"resources":{"requests":{"cpu":"1"}}}]},
           "status":{"phase":"Succeeded"}})",
       "count/pods=1"},
      {"a cluster-internal service", "services",
       R"({"kind":"Service","apiVersion":"v1","spec":{"type":"ClusterIP","ports":[{},{}]}})",
       "count/services=1 services=1"},
      {"one with node ports", "services",
       R"({"kind":"Service","apiVersion":"v1","spec":{"type":"NodePort","ports":[{},{}]}})",
       "count/services=1 services=1 services.nodeports=2"},
      {"one with a load balancer", "services",
       R"({"kind":"Service","apiVersion":"v1","spec":{"type":"LoadBalancer","ports":[{}]}})",
       "count/services=1 services=1 services.loadbalancers=1 services.nodeports=1"},
      {"a claim", "persistentvolumeclaims",
       R"({"kind":"PersistentVolumeClaim","apiVersion":"v1","spec":{"storageClassName":"fast",
           "resources":{"requests":{"storage":"2Gi"}}}})",
       "count/persistentvolumeclaims=1 fast.storageclass.storage.k8s.io/persistentvolumeclaims=1 "
       "fast.storageclass.storage.k8s.io/requests.storage=2Gi persistentvolumeclaims=1 requests.storage=2Gi"},
      {"a secret", "secrets", R"({"kind":"Secret","apiVersion":"v1"})", "count/secrets=1 secrets=1"},
      {"of another group", "deployments.apps", R"({"kind":"Deployment","apiVersion":"apps/v1"})",
       "count/deployments.apps=1"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    CHECK(Told(UseOf(c.resource, QuotaUse(Json::parse(c.object)))) == c.uses);
  }
}

TEST_CASE("quota: which pods a scoped quota covers") {
  const std::string plain = R"({"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"name":"c"}]}})";
  const std::string burst =
      R"({"kind":"Pod","apiVersion":"v1","spec":{"priorityClassName":"high","activeDeadlineSeconds":9,
         "containers":[{"resources":{"requests":{"cpu":"1"}}}]}})";
  const std::string far =
      R"({"kind":"Pod","apiVersion":"v1","spec":{"containers":[{}],"affinity":{"podAffinity":
         {"requiredDuringSchedulingIgnoredDuringExecution":[{"namespaces":["a"]}]}}}})";
  struct Case {
    const char* spec;
    bool plain, burst, far;
  };
  const Case cases[] = {
      {R"({})", true, true, true},
      {R"({"scopes":["Terminating"]})", false, true, false},
      {R"({"scopes":["NotTerminating"]})", true, false, true},
      {R"({"scopes":["BestEffort"]})", true, false, true},
      {R"({"scopes":["NotBestEffort"]})", false, true, false},
      {R"({"scopes":["NotBestEffort","NotTerminating"]})", false, false, false},
      {R"({"scopes":["PriorityClass"]})", false, true, false},
      {R"({"scopes":["CrossNamespacePodAffinity"]})", false, false, true},
      {R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["high"]}]}})",
       false, true, false},
      {R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"NotIn","values":["high"]}]}})",
       true, false, true},
      {R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"DoesNotExist"}]}})", true,
       false, true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.spec);
    const QuotaView quota(Json{{"spec", Json::parse(c.spec)}});
    CHECK(quota.Covers(QuotaUse(Json::parse(plain))) == c.plain);
    CHECK(quota.Covers(QuotaUse(Json::parse(burst))) == c.burst);
    CHECK(quota.Covers(QuotaUse(Json::parse(far))) == c.far);
    // Scopes are of pods: a scoped quota counts nothing else.
    CHECK(quota.Covers(QuotaUse(Json{{"kind", "Secret"}, {"apiVersion", "v1"}})) == quota.scopes.empty());
  }
}

TEST_CASE("quota: what is counted over what") {
  const QuotaView quota(Json{{"spec",
                              {{"hard",
                                {{"pods", "1"},
                                 {"limits.cpu", "1"},
                                 {"services.nodeports", "1"},
                                 {"a.storageclass.storage.k8s.io/requests.storage", "1Gi"},
                                 {"requests.storage", "1Gi"},
                                 {"configmaps", "1"},
                                 {"count/jobs.batch", "1"}}}}}});
  CHECK(quota.resources ==
        std::set<std::string>{"pods", "services", "persistentvolumeclaims", "configmaps", "jobs.batch"});
}

TEST_CASE("quota: bad quotas and ranges are refused") {
  struct Case {
    const char *kind, *spec;
    Lines refused;
  };
  const Case cases[] = {
      {"ResourceQuota",
       R"({"hard":{"pods":"4","requests.cpu":"500m","count/jobs.batch":"2","requests.x.y/gpu":"1"}})",
       {}},
      {"ResourceQuota",
       R"({"hard":{"cows":"1"}})",
       {"spec.hard[cows]: Invalid value: \"cows\": must be a standard resource for quota"}},
      {"ResourceQuota",
       R"({"hard":{"pods":"500m"}})",
       {"spec.hard[pods]: Invalid value: \"500m\": must be an integer"}},
      {"ResourceQuota",
       R"({"hard":{"pods":"-1"}})",
       {"spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0"}},
      {"ResourceQuota", R"({"scopes":["Odd"]})", {"spec.scopes: Invalid value: \"Odd\": unsupported scope"}},
      {"ResourceQuota",
       R"({"scopes":["BestEffort","NotBestEffort"]})",
       {"spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"}},
      {"ResourceQuota",
       R"({"hard":{"cpu":"1"},"scopes":["BestEffort"]})",
       {"spec.scopes: Invalid value: \"BestEffort\": unsupported scope applied to resource"}},
      {"ResourceQuota",
       R"({"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In"}]}})",
       {"spec.scopeSelector.matchExpressions[0].values: Required value: must be at least one value when `operator` is "
        "'In' or 'NotIn' for scope selector"}},
      {"LimitRange", R"({"limits":[{"type":"Container","max":{"cpu":"2"},"min":{"cpu":"1"}}]})", {}},
      {"LimitRange",
       R"({"limits":[{"type":"Container","max":{"cpu":"1"},"min":{"cpu":"2"}}]})",
       {"spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"}},
      {"LimitRange",
       R"({"limits":[{"type":"Container","default":{"cpu":"1"},"defaultRequest":{"cpu":"2"}}]})",
       {"spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default "
        "limit "
        "value 1"}},
      {"LimitRange",
       R"({"limits":[{"type":"Pod","default":{"cpu":"1"}}]})",
       {"spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"}},
      {"LimitRange",
       R"({"limits":[{"type":"Pod"},{"type":"Pod"}]})",
       {"spec.limits[1].type: Duplicate value: \"Pod\""}},
      {"LimitRange",
       R"({"limits":[{"type":"House"}]})",
       {"spec.limits[0].type: Invalid value: \"House\": must be a standard limit type or fully qualified"}},
      {"LimitRange",
       R"({"limits":[{"type":"PersistentVolumeClaim"}]})",
       {"spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was "
        "provided"}},
      {"LimitRange",
       R"({"limits":[{"type":"Container","maxLimitRequestRatio":{"cpu":"500m"}}]})",
       {"spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.spec);
    CHECK(Refused(c.kind, Json{{"metadata", {{"name", "x"}}}, {"spec", Json::parse(c.spec)}}) == c.refused);
  }
  const Json old = {{"spec", {{"scopes", {"BestEffort"}}}}};
  const Json changed = {{"spec", {{"scopes", {"NotBestEffort"}}}}};
  CHECK(Refused("ResourceQuota", changed, &old) ==
        Lines{"spec.scopes: Invalid value: [\"NotBestEffort\"]: field is immutable"});
}

TEST_CASE("quota: a range fills in what it says only once") {
  Json range = Json::parse(R"({"spec":{"limits":[{"type":"Container","max":{"cpu":"4"},"min":{"memory":"1Mi"},
      "default":{"memory":"8Mi"}},{"type":"Pod","max":{"cpu":"8"}}]}})");
  Hooks("LimitRange").set_defaults(range);
  CHECK(range["spec"]["limits"][0]["default"] == Json({{"cpu", "4"}, {"memory", "8Mi"}}));
  CHECK(range["spec"]["limits"][0]["defaultRequest"] == Json({{"cpu", "4"}, {"memory", "8Mi"}}));
  CHECK_FALSE(range["spec"]["limits"][1].contains("default"));
}

TEST_CASE("quota: the cells of its row") {
  const Json quota = Json::parse(R"({"status":{"hard":{"pods":"4","requests.cpu":"1","limits.cpu":"2"},
      "used":{"pods":"1","requests.cpu":"250m"}}})");
  CHECK(FindPrinter("quotaRequest")(quota, Time()) == "pods: 1/4, requests.cpu: 250m/1");
  CHECK(FindPrinter("quotaLimit")(quota, Time()) == "limits.cpu: 0/2");
}

}  // namespace
}  // namespace wherry
