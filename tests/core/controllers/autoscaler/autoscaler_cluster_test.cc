// The autoscaler on the real store and registry, with usage that the test makes up.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/autoscaler/autoscaler_controller.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

struct ScaledCluster : ControllerCluster {
  ScaledCluster() : ControllerCluster(1, {"horizontal-pod-autoscaler-controller"}) {
    schedule = true;
    AddNode("a");
    Create({{"apiVersion", "apps/v1"},
            {"kind", "Deployment"},
            {"metadata", {{"name", "web"}}},
            {"spec",
             {{"replicas", 2},
              {"selector", {{"matchLabels", {{"app", "web"}}}}},
              {"template",
               {{"metadata", {{"labels", {{"app", "web"}}}}},
                {"spec",
                 {{"containers", Json::array({{{"name", "main"},
                                               {"image", "nginx:1"},
                                               {"resources", {{"requests", {{"cpu", "100m"}}}}}}})}}}}}}}});
    RunPods();
    Start("autoscaler", [this](RuntimeContext context) {
      return HorizontalPodAutoscalerController(
          context, [this](std::vector<std::string> uids) { return Usage(std::move(uids)); });
    });
  }

  // Each pod uses `milli` of a CPU.
  Task<PodUsages> Usage(std::vector<std::string> uids) {
    PodUsages out;
    if (measured) {
      for (const std::string& uid : uids) out[uid] = {clock().Now(), 15s, {{"main", milli * 1'000'000, 1 << 20}}};
    }
    co_return out;
  }
  void AddAutoscaler(Json spec) {
    spec["scaleTargetRef"] = {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", "web"}};
    Create({{"apiVersion", "autoscaling/v2"},
            {"kind", "HorizontalPodAutoscaler"},
            {"metadata", {{"name", "web"}}},
            {"spec", std::move(spec)}});
    Settle();
  }
  // Time passes, pods run meanwhile.
  void Pass(Duration duration) {
    for (; duration > Duration(0); duration -= 15s) {
      Advance(15s);
      RunPods();
      for (const ObjectPtr& pod : List(resources::kPods)) {
        if (!Has(*pod->json(), "status.startTime")) {
          SetPodStatus(pod->name(), {{"startTime", FormatTime(clock().Now() - 1h)}});
        }
      }
    }
  }
  int64_t Replicas() { return IntAt(Document(resources::kDeployments, "default", "web"), "spec.replicas"); }
  Json Status() { return Document(resources::kHorizontalPodAutoscalers, "default", "web")["status"]; }
  // "AbleToScale=True/ReadyForNewScale …"
  std::string Conditions() {
    std::string out;
    const Json status = Status();
    for (const Json& condition : ListAt(status, "conditions")) {
      out += (out.empty() ? "" : " ") + StringAt(condition, "type") + "=" + StringAt(condition, "status") + "/" +
             StringAt(condition, "reason");
    }
    return out;
  }
  bool Told(const std::string& event) {
    const auto events = EventsAbout("web");
    return std::find(events.begin(), events.end(), event) != events.end();
  }

  int64_t milli = 50;
  bool measured = true;
};

}  // namespace

TEST_CASE_METHOD(ScaledCluster, "An autoscaler follows the load up at once and down after five minutes") {
  Pass(15s);
  AddAutoscaler({{"minReplicas", 1}, {"maxReplicas", 8}});
  Pass(30s);
  CHECK(Replicas() == 2);  // 50m of 100m is 50 %: below the default target of 80, but held for five minutes
  CHECK(Status()["currentMetrics"][0]["resource"]["current"] ==
        Json({{"averageUtilization", 50}, {"averageValue", "50m"}}));
  milli = 160;
  Pass(30s);
  CHECK(Replicas() >= 4);
  CHECK(Told("SuccessfulRescale: New size: 4; reason: cpu resource utilization (percentage of request) above target"));
  Pass(60s);
  CHECK(Replicas() == 8);
  Pass(15s);
  CHECK(Conditions() ==
        "AbleToScale=True/ReadyForNewScale ScalingActive=True/ValidMetricFound ScalingLimited=True/TooManyReplicas");
  milli = 8;
  Pass(240s);
  CHECK(Replicas() == 8);
  Pass(120s);
  CHECK(Replicas() == 1);
  CHECK(Told("SuccessfulRescale: New size: 1; reason: All metrics below target"));
  CHECK(Has(Status(), "lastScaleTime"));
  CHECK(Status()["currentReplicas"] == 1);
}

TEST_CASE_METHOD(ScaledCluster, "Without metrics an autoscaler changes nothing and says so") {
  measured = false;
  AddAutoscaler({{"maxReplicas", 8}});
  Pass(60s);
  CHECK(Replicas() == 2);
  CHECK(Conditions() == "AbleToScale=True/SucceededGetScale ScalingActive=False/FailedGetResourceMetric");
  CHECK(
      Told("FailedGetResourceMetric: failed to get cpu utilization: did not receive metrics for targeted pods (pods "
           "might be unready)"));
}

TEST_CASE_METHOD(ScaledCluster, "An autoscaler brings its target within its bounds without looking at metrics") {
  measured = false;
  AddAutoscaler({{"minReplicas", 4}, {"maxReplicas", 8}});
  Pass(15s);
  CHECK(Replicas() == 4);
  CHECK(Told("SuccessfulRescale: New size: 4; reason: Current number of replicas below Spec.MinReplicas"));
}

TEST_CASE_METHOD(ScaledCluster, "A target that is scaled to zero is left there") {
  AddAutoscaler({{"minReplicas", 2}, {"maxReplicas", 8}});
  Update(Get(resources::kDeployments, "default", "web"), [](Json& web) { web["spec"]["replicas"] = 0; });
  Pass(60s);
  CHECK(Replicas() == 0);
  CHECK(Conditions().find("ScalingActive=False/ScalingDisabled") != std::string::npos);
}

TEST_CASE_METHOD(ScaledCluster, "A metric that is not measured here keeps an autoscaler from scaling down") {
  milli = 10;
  AddAutoscaler(
      {{"maxReplicas", 8},
       {"behavior", {{"scaleDown", {{"stabilizationWindowSeconds", 0}}}}},
       {"metrics",
        {{{"type", "Resource"},
          {"resource", {{"name", "cpu"}, {"target", {{"type", "Utilization"}, {"averageUtilization", 50}}}}}},
         {{"type", "Pods"},
          {"pods",
           {{"metric", {{"name", "queue"}}}, {"target", {{"type", "AverageValue"}, {"averageValue", "1"}}}}}}}}});
  Pass(60s);
  CHECK(Replicas() == 2);
  CHECK(Conditions().find("ScalingActive=False/FailedGetPodsMetric") != std::string::npos);
  milli = 200;  // upwards it does not matter
  Pass(60s);
  CHECK(Replicas() == 8);
}

TEST_CASE_METHOD(ScaledCluster, "A target that is not there is told, and found when it comes") {
  Create({{"apiVersion", "autoscaling/v2"},
          {"kind", "HorizontalPodAutoscaler"},
          {"metadata", {{"name", "web"}}},
          {"spec",
           {{"maxReplicas", 5},
            {"minReplicas", 3},
            {"scaleTargetRef", {{"apiVersion", "apps/v1"}, {"kind", "StatefulSet"}, {"name", "db"}}}}}});
  Pass(15s);
  CHECK(Conditions() == "AbleToScale=False/FailedGetScale");
  CHECK(Told("FailedGetScale: statefulsets.apps \"db\" not found"));
  Update(Get(resources::kHorizontalPodAutoscalers, "default", "web"), [](Json& autoscaler) {
    autoscaler["spec"]["scaleTargetRef"] = {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", "web"}};
  });
  Settle();
  CHECK(Replicas() == 3);
}
