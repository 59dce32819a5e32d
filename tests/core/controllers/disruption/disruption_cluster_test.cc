// Budgets and evictions on the real store and registry.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/slow_start.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/registry/eviction.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

struct BudgetCluster : ControllerCluster {
  BudgetCluster() {
    schedule = true;
    AddNode("a");
    Create({{"apiVersion", "apps/v1"},
            {"kind", "StatefulSet"},
            {"metadata", {{"name", "web"}}},
            {"spec",
             {{"replicas", 3},
              {"serviceName", "web"},
              {"podManagementPolicy", "Parallel"},
              {"selector", {{"matchLabels", {{"app", "web"}}}}},
              {"template",
               {{"metadata", {{"labels", {{"app", "web"}}}}},
                {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}}}}}});
    RunPods();
  }

  void AddBudget(const std::string& name, Json spec) {
    spec["selector"] = {{"matchLabels", {{"app", "web"}}}};
    Create(
        {{"apiVersion", "policy/v1"}, {"kind", "PodDisruptionBudget"}, {"metadata", {{"name", name}}}, {"spec", spec}});
    Settle();
  }
  Json BudgetStatus(const std::string& name) {
    return Document(resources::kPodDisruptionBudgets, "default", name)["status"];
  }
  // allowed/healthy/desired/expected
  std::string Numbers(const std::string& name) {
    const Json status = BudgetStatus(name);
    std::string out;
    for (const char* field : {"disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"}) {
      out += (out.empty() ? "" : "/") + std::to_string(IntAt(status, field));
    }
    return out;
  }
  Result<ObjectPtr> TryEvict(const std::string& pod, DeleteOptions options = {}) {
    return Run(Evict(registry(), Get(resources::kPods, "default", pod), std::move(options), RequestContext()));
  }
  std::string EvictionOf(const std::string& pod) {
    const Result<ObjectPtr> evicted = TryEvict(pod);
    if (evicted.ok()) return "ok";
    const auto& causes = evicted.status().details().causes;
    return std::to_string(evicted.status().http_code()) + " " +
           (causes.empty() ? evicted.status().message() : causes[0].message);
  }
  // All asked for before any answer is there: how many were granted.
  int EvictAtOnce(const std::vector<std::string>& pods) {
    auto granted = std::make_shared<int>(0);
    BatchStep step = [this, pods, granted](size_t i) -> Task<wherry::Status> { return EvictOne(pods[i], granted); };
    (void)Run(Ask(pods.size(), std::move(step)));
    return *granted;
  }
  Result<ObjectPtr> ChangeAndEvict(const std::string& budget, const std::string& pod) {
    return Run(ChangeThenEvict(budget, pod));
  }
  void AddPod(const std::string& name, Json owner = nullptr) {
    Json metadata = {{"name", name}, {"labels", {{"app", "web"}}}};
    if (!owner.is_null()) metadata["ownerReferences"] = Json::array({std::move(owner)});
    Create({{"apiVersion", "v1"},
            {"kind", "Pod"},
            {"metadata", metadata},
            {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}});
    RunPods();
  }

 private:
  Task<wherry::Status> EvictOne(std::string pod, std::shared_ptr<int> granted) {
    const ObjectPtr there = Get(resources::kPods, "default", pod);
    const DeleteOptions options;
    const RequestContext context;
    Result<ObjectPtr> evicted = co_await Evict(registry(), there, options, context);
    *granted += evicted.ok();
    co_return evicted.status();
  }
  static Task<wherry::Status> Ask(size_t count, BatchStep step) {
    co_await RunSideBySide(0, count, std::move(step));
    co_return wherry::Status();
  }
  Task<Result<ObjectPtr>> ChangeThenEvict(std::string budget, std::string pod) {
    Json document = *Get(resources::kPodDisruptionBudgets, "default", budget)->json();
    document["spec"]["minAvailable"] = 0;
    Result<ObjectPtr> changed = co_await client().Update(std::string(resources::kPodDisruptionBudgets), document);
    if (!changed.ok()) co_return changed;
    const ObjectPtr there = Get(resources::kPods, "default", pod);
    const DeleteOptions options;
    const RequestContext context;
    Result<ObjectPtr> evicted = co_await Evict(registry(), there, options, context);
    co_return evicted;
  }
};

}  // namespace

TEST_CASE("PodDisruptionBudget status: follows its pods and their controllers") {
  BudgetCluster cluster;
  cluster.AddBudget("most", {{"maxUnavailable", 1}});
  cluster.AddBudget("half", {{"minAvailable", "50%"}});
  cluster.AddBudget("two", {{"minAvailable", 2}});
  CHECK(cluster.Numbers("most") == "1/3/2/3");
  CHECK(cluster.Numbers("half") == "1/3/2/3");
  CHECK(cluster.Numbers("two") == "1/3/2/3");
  CHECK(cluster.BudgetStatus("most")["observedGeneration"] == 1);
  CHECK(cluster.BudgetStatus("most")["conditions"][0]["reason"] == "SufficientPods");
  cluster.SetReady("web-1", false);
  cluster.Settle();
  CHECK(cluster.Numbers("most") == "0/2/2/3");
  CHECK(cluster.BudgetStatus("most")["conditions"][0]["reason"] == "InsufficientPods");
  cluster.SetReady("web-1", true);
  cluster.Settle();
  CHECK(cluster.Numbers("most") == "1/3/2/3");
  // Scaling up counts at once, before the pods are there.
  cluster.Update(cluster.Get(resources::kStatefulSets, "default", "web"),
                 [](Json& set) { set["spec"]["replicas"] = 6; });
  cluster.Settle();
  CHECK(cluster.Numbers("most") == "0/3/5/6");
  CHECK(cluster.Numbers("two") == "1/3/2/6");
  cluster.RunPods();
  CHECK(cluster.Numbers("most") == "1/6/5/6");
  CHECK(cluster.Numbers("half") == "3/6/3/6");
  // A new spec is counted anew.
  cluster.Update(cluster.Get(resources::kPodDisruptionBudgets, "default", "two"),
                 [](Json& budget) { budget["spec"]["minAvailable"] = 6; });
  cluster.Settle();
  CHECK(cluster.Numbers("two") == "0/6/6/6");
  CHECK(cluster.BudgetStatus("two")["observedGeneration"] == 2);
}

TEST_CASE("A status that stays the same is not written") {
  BudgetCluster cluster;
  cluster.AddBudget("b", {{"maxUnavailable", 1}});
  const uint64_t revision = cluster.Get(resources::kPodDisruptionBudgets, "default", "b")->revision();
  cluster.SetPodStatus("web-0", {{"message", "something else"}});
  cluster.Advance(10min);
  CHECK(cluster.Get(resources::kPodDisruptionBudgets, "default", "b")->revision() == revision);
}

TEST_CASE("PodDisruptionBudget status: pods without a controller, or with one that has no scale") {
  BudgetCluster cluster;
  cluster.AddPod("bare");
  cluster.AddBudget("b", {{"maxUnavailable", 1}});
  CHECK(cluster.Numbers("b") == "2/4/2/3");
  CHECK(cluster.EventsAbout("b").at(0).starts_with(
      "UnmanagedPods: Pods selected by this PodDisruptionBudget (selector: app=web) were found to be unmanaged."));
  cluster.AddPod("owned", {{"apiVersion", "v1"},
                           {"kind", "Node"},
                           {"name", "a"},
                           {"uid", cluster.Get(resources::kNodes, "", "a")->uid()},
                           {"controller", true}});
  CHECK(cluster.BudgetStatus("b")["disruptionsAllowed"] == 0);
  CHECK(cluster.BudgetStatus("b")["conditions"][0]["reason"] == "SyncFailed");
  CHECK(cluster.BudgetStatus("b")["conditions"][0]["message"] == "nodes does not implement the scale subresource");
  CHECK(cluster.EvictionOf("web-0") ==
        "429 The disruption budget b does not allow evicting pods currently because it failed sync: nodes "
        "does not implement the scale subresource");
  cluster.AddBudget("c", {{"minAvailable", 1}});  // a plain number needs no scale
  CHECK(cluster.BudgetStatus("c")["conditions"][0]["reason"] == "SufficientPods");
}

TEST_CASE("Eviction: takes one disruption, and the next one is refused with 429") {
  BudgetCluster cluster;
  cluster.AddBudget("b", {{"maxUnavailable", 1}});
  CHECK(cluster.EvictionOf("web-0") == "ok");
  const Json pod = cluster.Document(resources::kPods, "default", "web-0");
  REQUIRE(pod["metadata"].contains("deletionTimestamp"));
  const Json conditions = pod["status"]["conditions"];
  CHECK(std::any_of(conditions.begin(), conditions.end(), [](const Json& condition) {
    return condition["type"] == "DisruptionTarget" && condition["reason"] == "EvictionByEvictionAPI";
  }));
  const Result<ObjectPtr> second = cluster.TryEvict("web-1");
  REQUIRE_FALSE(second.ok());
  CHECK(second.status().http_code() == 429);
  CHECK(second.status().message() == "Cannot evict pod as it would violate the pod's disruption budget.");
  REQUIRE(second.status().details().causes.size() == 1);
  CHECK(second.status().details().causes[0].reason == "DisruptionBudget");
  CHECK(second.status().details().causes[0].message ==
        "The disruption budget b needs 2 healthy pods and has 2 currently");
  CHECK(cluster.EvictionOf("web-0") == "ok");  // it is going already
  cluster.RunPods();
  CHECK(cluster.EvictionOf("web-1") == "ok");
}

TEST_CASE("Eviction: those of one moment cannot spend the same disruption") {
  BudgetCluster cluster;
  cluster.AddBudget("b", {{"minAvailable", 1}});
  CHECK(cluster.Numbers("b") == "2/3/1/3");
  const int granted = cluster.EvictAtOnce({"web-0", "web-1", "web-2"});
  CHECK(granted == 2);
  CHECK(cluster.Numbers("b") == "0/1/1/3");
}

TEST_CASE("Eviction: unhealthyPodEvictionPolicy says when a pod that is not ready may go") {
  struct Case {
    const char *policy, *pods;
    bool healthy_enough;
    const char* answer;
  };
  const char* const refused = "429 The disruption budget b needs 2 healthy pods and has 1 currently";
  const Case cases[] = {
      {"", "when the others suffice", true, "ok"},
      {"", "not when they do not", false, refused},
      {"IfHealthyBudget", "not when they do not", false, refused},
      {"AlwaysAllow", "always", false, "ok"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.policy, c.pods);
    BudgetCluster cluster;
    Json spec = {{"minAvailable", 2}};
    if (*c.policy) spec["unhealthyPodEvictionPolicy"] = c.policy;
    cluster.AddBudget("b", spec);
    cluster.SetReady("web-0", false);
    if (!c.healthy_enough) cluster.SetReady("web-1", false);
    cluster.Settle();
    CHECK(cluster.EvictionOf("web-0") == c.answer);
    CHECK(cluster.BudgetStatus("b").value("disruptedPods", Json::object()).empty());  // it cost nothing
  }
}

TEST_CASE("Eviction: refusals that are no matter of numbers") {
  BudgetCluster cluster;
  cluster.AddBudget("b", {{"minAvailable", 1}});
  SECTION("several budgets") {
    cluster.AddBudget("c", {{"minAvailable", 1}});
    CHECK(cluster.EvictionOf("web-0") ==
          "500 This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
  }
  SECTION("a spec that is not counted yet") {
    // Changed and asked in one breath: the controller has had no turn.
    const Result<ObjectPtr> refused = cluster.ChangeAndEvict("b", "web-0");
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.status().details().retry_after_seconds == 10);
    CHECK(refused.status().details().causes[0].message ==
          "The disruption budget b is still being processed by the server.");
  }
  SECTION("another pod of that name") {
    DeleteOptions options;
    options.uid_precondition = "another";
    const Result<ObjectPtr> refused = cluster.TryEvict("web-0", options);
    CHECK(refused.status().http_code() == 409);
    CHECK(cluster.Numbers("b") == "2/3/1/3");
  }
  SECTION("pods that have ended or not begun need no leave") {
    cluster.Update(cluster.Get(resources::kPodDisruptionBudgets, "default", "b"),
                   [](Json& budget) { budget["spec"]["minAvailable"] = 3; });
    cluster.Settle();
    cluster.SetPodStatus("web-0", {{"phase", "Pending"}});
    CHECK(cluster.EvictionOf("web-0") == "ok");
  }
}
