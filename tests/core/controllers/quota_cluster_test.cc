// ResourceQuota, LimitRange and PriorityClass as a user meets them: at the door of the real registry.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/slow_start.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

struct QuotaCluster : ControllerCluster {
  void AddQuota(const std::string& name, Json spec) {
    Create(
        {{"apiVersion", "v1"}, {"kind", "ResourceQuota"}, {"metadata", {{"name", name}}}, {"spec", std::move(spec)}});
    Settle();
  }
  static Json PodOf(const std::string& name, Json resources = Json::object(), Json spec = Json::object()) {
    Json pod = {{"metadata", {{"name", name}}},
                {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "i"}}})}}}};
    if (!resources.empty()) pod["spec"]["containers"][0]["resources"] = std::move(resources);
    pod["spec"].merge_patch(spec);
    return pod;
  }
  Result<ObjectPtr> Try(std::string_view resource, Json object) {
    Result<ObjectPtr> made = Run(client().Create(
        std::string(resource), resource == resources::kPriorityClasses ? "" : "default", std::move(object)));
    Settle();
    return made;
  }
  Result<ObjectPtr> TryUpdate(std::string_view resource, Json object) {
    Result<ObjectPtr> updated = Run(client().Update(std::string(resource), std::move(object)));
    Settle();
    return updated;
  }
  // "ok", or what the refusal says.
  std::string Answer(std::string_view resource, Json object) {
    const Result<ObjectPtr> made = Try(resource, std::move(object));
    if (made.ok()) return "ok";
    CHECK(made.status().http_code() == 403);
    return made.status().message();
  }
  std::string PodAnswer(const std::string& name, Json resources = Json::object(), Json spec = Json::object()) {
    return Answer(resources::kPods, PodOf(name, std::move(resources), std::move(spec)));
  }
  Json Used(const std::string& name) { return Document(resources::kResourceQuotas, "default", name)["status"]["used"]; }
  int CreateAtOnce(int count) {
    auto made = std::make_shared<int>(0);
    BatchStep step = [this, made](size_t i) -> Task<wherry::Status> { return CreateOne(i, made); };
    (void)Run(All(static_cast<size_t>(count), std::move(step)));
    return *made;
  }

 private:
  Task<wherry::Status> CreateOne(size_t i, std::shared_ptr<int> made) {
    Json pod = PodOf("p" + std::to_string(i));
    Result<ObjectPtr> created = co_await client().Create(std::string(resources::kPods), "default", std::move(pod));
    *made += created.ok();
    co_return created.status();
  }
  static Task<wherry::Status> All(size_t count, BatchStep step) {
    co_await RunSideBySide(0, count, std::move(step));
    co_return wherry::Status();
  }
};

Json Cpu(const char* request, const char* limit = nullptr) {
  Json out = {{"requests", {{"cpu", request}}}};
  if (limit) out["limits"]["cpu"] = limit;
  return out;
}

}  // namespace

TEST_CASE("A quota refuses what it has no room for") {
  QuotaCluster cluster;
  cluster.AddQuota("few", {{"hard", {{"pods", "2"}}}});
  CHECK(cluster.Used("few") == Json({{"pods", "0"}}));
  CHECK(cluster.PodAnswer("a") == "ok");
  CHECK(cluster.PodAnswer("b") == "ok");
  CHECK(cluster.Used("few") == Json({{"pods", "2"}}));
  CHECK(cluster.PodAnswer("c") ==
        "pods \"c\" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2");
  // One that has ended makes room, and so does one that is gone.
  cluster.SetPodStatus("a", {{"phase", "Succeeded"}});
  cluster.Settle();
  CHECK(cluster.Used("few") == Json({{"pods", "1"}}));
  CHECK(cluster.PodAnswer("c") == "ok");
  cluster.Delete(resources::kPods, "default", "b");
  cluster.Settle();
  CHECK(cluster.PodAnswer("d") == "ok");
  CHECK(cluster.Document(resources::kResourceQuotas, "default", "few")["status"]["hard"] == Json({{"pods", "2"}}));
}

TEST_CASE("Writers at one moment cannot spend the same room twice, nor does a refused write keep it") {
  QuotaCluster cluster;
  cluster.AddQuota("few", {{"hard", {{"pods", "3"}}}});
  CHECK(cluster.CreateAtOnce(8) == 3);
  CHECK(cluster.Used("few") == Json({{"pods", "3"}}));
  cluster.Delete(resources::kPods, "default", "p0");
  cluster.Settle();
  for (int i = 0; i < 5; ++i) {
    const Result<ObjectPtr> bad =
        cluster.Try(resources::kPods, {{"metadata", {{"name", "bad"}}}, {"spec", Json::object()}});
    CHECK(bad.status().http_code() == 422);
  }
  CHECK(cluster.PodAnswer("good") == "ok");
}

TEST_CASE("Compute quotas") {
  QuotaCluster cluster;
  cluster.AddQuota("cpu", {{"hard", {{"requests.cpu", "1"}, {"limits.cpu", "2"}}}});
  CHECK(cluster.PodAnswer("a") ==
        "pods \"a\" is forbidden: failed quota: cpu: must specify limits.cpu for: main; requests.cpu for: main");
  CHECK(cluster.PodAnswer("a", Cpu("600m", "1")) == "ok");
  CHECK(cluster.Used("cpu") == Json({{"requests.cpu", "600m"}, {"limits.cpu", "1"}}));
  CHECK(cluster.PodAnswer("b", Cpu("600m", "1")) ==
        "pods \"b\" is forbidden: exceeded quota: cpu, requested: requests.cpu=600m, used: requests.cpu=600m, limited: "
        "requests.cpu=1");
  CHECK(cluster.PodAnswer("b", Cpu("600m", "1500m")) ==
        "pods \"b\" is forbidden: exceeded quota: cpu, requested: limits.cpu=1500m,requests.cpu=600m, used: "
        "limits.cpu=1,requests.cpu=600m, limited: limits.cpu=2,requests.cpu=1");
  CHECK(cluster.PodAnswer("b", Cpu("400m", "1")) == "ok");
}

TEST_CASE("Object counts, and the namespaces they are of") {
  QuotaCluster cluster;
  cluster.AddQuota("objects", {{"hard",
                                {{"configmaps", "3"},
                                 {"count/secrets", "1"},
                                 {"services", "2"},
                                 {"services.nodeports", "1"},
                                 {"persistentvolumeclaims", "1"},
                                 {"requests.storage", "2Gi"},
                                 {"count/daemonsets.apps", "0"}}}});
  auto named = [](const char* name) { return Json{{"metadata", {{"name", name}}}}; };
  const int64_t there = std::stoll(cluster.Used("objects")["configmaps"].get<std::string>());  // kube-root-ca.crt
  for (int64_t i = there; i < 3; ++i) {
    CHECK(cluster.Answer(resources::kConfigMaps, named(("c" + std::to_string(i)).c_str())) == "ok");
  }
  CHECK(cluster.Answer(resources::kConfigMaps, named("over")) ==
        "configmaps \"over\" is forbidden: exceeded quota: objects, requested: configmaps=1, used: configmaps=3, "
        "limited: configmaps=3");
  CHECK(cluster.Answer(resources::kSecrets, named("s")) == "ok");
  CHECK(cluster.Answer(resources::kSecrets, named("t")) ==
        "secrets \"t\" is forbidden: exceeded quota: objects, requested: count/secrets=1, used: count/secrets=1, "
        "limited: count/secrets=1");
  Json set = {{"metadata", {{"name", "d"}}},
              {"spec",
               {{"selector", {{"matchLabels", {{"a", "b"}}}}},
                {"template", {{"metadata", {{"labels", {{"a", "b"}}}}}, {"spec", QuotaCluster::PodOf("x")["spec"]}}}}}};
  CHECK(cluster.Answer(resources::kDaemonSets, set) ==
        "daemonsets.apps \"d\" is forbidden: exceeded quota: objects, requested: count/daemonsets.apps=1, used: "
        "count/daemonsets.apps=0, limited: count/daemonsets.apps=0");

  auto service = [](const char* name, const char* type, int ports) {
    Json out = {{"metadata", {{"name", name}}}, {"spec", {{"type", type}, {"ports", Json::array()}}}};
    for (int i = 0; i < ports; ++i)
      out["spec"]["ports"].push_back({{"name", "p" + std::to_string(i)}, {"port", 80 + i}});
    return out;
  };
  CHECK(cluster.Answer(resources::kServices, service("n", "NodePort", 2)) ==
        "services \"n\" is forbidden: exceeded quota: objects, requested: services.nodeports=2, used: "
        "services.nodeports=0, limited: services.nodeports=1");
  CHECK(cluster.Answer(resources::kServices, service("n", "ClusterIP", 2)) == "ok");
  // A change may ask for more than there is room for, too.
  Json changed = cluster.Document(resources::kServices, "default", "n");
  changed["spec"]["type"] = "NodePort";
  CHECK_FALSE(cluster.TryUpdate(resources::kServices, changed).ok());
  changed["spec"]["ports"].erase(1);
  CHECK(cluster.TryUpdate(resources::kServices, changed).ok());
  CHECK(cluster.Used("objects")["services.nodeports"] == "1");

  auto claim = [](const char* name, const char* size) {
    return Json{
        {"metadata", {{"name", name}}},
        {"spec",
         {{"accessModes", Json::array({"ReadWriteOnce"})}, {"resources", {{"requests", {{"storage", size}}}}}}}};
  };
  CHECK(cluster.Answer(resources::kPersistentVolumeClaims, claim("v", "3Gi")) ==
        "persistentvolumeclaims \"v\" is forbidden: exceeded quota: objects, requested: requests.storage=3Gi, used: "
        "requests.storage=0, limited: requests.storage=2Gi");
  CHECK(cluster.Answer(resources::kPersistentVolumeClaims, claim("v", "2Gi")) == "ok");
  CHECK(cluster.Used("objects")["requests.storage"] == "2Gi");
}

TEST_CASE("A scoped quota limits only the pods it covers") {
  QuotaCluster cluster;
  cluster.AddQuota("rest", {{"hard", {{"pods", "1"}}}, {"scopes", Json::array({"BestEffort"})}});
  CHECK(cluster.PodAnswer("a") == "ok");
  CHECK(cluster.PodAnswer("b").starts_with("pods \"b\" is forbidden: exceeded quota: rest"));
  CHECK(cluster.PodAnswer("b", Cpu("1")) == "ok");
  CHECK(cluster.Used("rest") == Json({{"pods", "1"}}));
}

TEST_CASE("A limit range fills in and refuses before the quota counts") {
  QuotaCluster cluster;
  cluster.AddQuota("cpu", {{"hard", {{"requests.cpu", "1"}}}});
  cluster.Create({{"apiVersion", "v1"},
                  {"kind", "LimitRange"},
                  {"metadata", {{"name", "bounds"}}},
                  {"spec",
                   {{"limits", Json::array({{{"type", "Container"},
                                             {"max", {{"cpu", "500m"}}},
                                             {"defaultRequest", {{"cpu", "200m"}}}}})}}}});
  CHECK(cluster.PodAnswer("a") == "ok");
  const Json pod = cluster.Document(resources::kPods, "default", "a");
  CHECK(pod["spec"]["containers"][0]["resources"] ==
        Json({{"limits", {{"cpu", "500m"}}}, {"requests", {{"cpu", "200m"}}}}));
  CHECK(cluster.Used("cpu") == Json({{"requests.cpu", "200m"}}));
  CHECK(cluster.PodAnswer("b", Cpu("600m", "600m")) ==
        "pods \"b\" is forbidden: maximum cpu usage per Container is 500m, but limit is 600m");
}

TEST_CASE("The quality of service follows what defaults and limit ranges made of a pod") {
  QuotaCluster cluster;
  const auto quality = [&](const std::string& name, const char* resources) {
    CHECK(cluster.PodAnswer(name, Json::parse(resources)) == "ok");
    return cluster.Document(resources::kPods, "default", name)["status"]["qosClass"].get<std::string>();
  };
  CHECK(quality("a", "{}") == "BestEffort");
  CHECK(quality("b", R"({"limits":{"cpu":"1","memory":"1Gi"}})") == "Guaranteed");
  CHECK(quality("c", R"({"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}})") == "Burstable");
  cluster.Create(
      {{"apiVersion", "v1"},
       {"kind", "LimitRange"},
       {"metadata", {{"name", "defaults"}}},
       {"spec", {{"limits", Json::parse(R"([{"type":"Container","default":{"cpu":"1","memory":"1Gi"}}])")}}}});
  CHECK(quality("d", "{}") == "Guaranteed");
  CHECK(quality("e", R"({"requests":{"cpu":"500m"}})") == "Burstable");
}

TEST_CASE("A priority class gives pods their priority") {
  QuotaCluster cluster;
  auto add = [&](const char* name, int value, Json more = Json::object()) {
    Json made = {{"apiVersion", "scheduling.k8s.io/v1"},
                 {"kind", "PriorityClass"},
                 {"metadata", {{"name", name}}},
                 {"value", value}};
    made.merge_patch(more);
    cluster.Create(std::move(made));
  };
  add("high", 1000, {{"preemptionPolicy", "Never"}});
  struct Case {
    const char* what;
    const char* spec;
    const char* answer;
    int priority;
    const char *policy, *name;
  };
  const Case before[] = {
      {"none", R"({})", "ok", 0, "PreemptLowerPriority", ""},
      {"named", R"({"priorityClassName":"high"})", "ok", 1000, "Never", "high"},
      {"the same in so many words", R"({"priorityClassName":"high","priority":1000})", "ok", 1000, "Never", "high"},
      {"unknown", R"({"priorityClassName":"odd"})", "pods \"p\" is forbidden: no PriorityClass with name odd was found",
       0, "", ""},
      {"another value", R"({"priorityClassName":"high","priority":7})",
       "pods \"p\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority "
       "admission "
       "controller computed 1000 from the given PriorityClass name",
       0, "", ""},
      {"another policy", R"({"priorityClassName":"high","preemptionPolicy":"PreemptLowerPriority"})",
       "pods \"p\" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in "
       "pod "
       "spec; priority admission controller computed Never from the given PriorityClass name",
       0, "", ""},
  };
  auto check = [&](const Case& c) {
    CAPTURE(c.what);
    CHECK(cluster.PodAnswer("p", Json::object(), Json::parse(c.spec)) == c.answer);
    if (std::string_view(c.answer) != "ok") return;
    const Json spec = cluster.Document(resources::kPods, "default", "p")["spec"];
    CHECK(spec["priority"] == c.priority);
    CHECK(spec["preemptionPolicy"] == c.policy);
    CHECK(StringAt(spec, "priorityClassName") == c.name);
    cluster.Delete(resources::kPods, "default", "p");
    cluster.Settle();
  };
  for (const Case& c : before) check(c);
  add("usual", 10, {{"globalDefault", true}});
  check({"the default", R"({})", "ok", 10, "PreemptLowerPriority", "usual"});
  const Result<ObjectPtr> second = cluster.Try(
      resources::kPriorityClasses, {{"metadata", {{"name", "other"}}}, {"value", 1}, {"globalDefault", true}});
  CHECK(second.status().message() ==
        "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is already marked as default. "
        "Only "
        "one default can exist");
}
