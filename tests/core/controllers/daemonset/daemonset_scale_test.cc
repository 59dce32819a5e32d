// How much a DaemonSet costs in a large cluster.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

// Binds pinned pods and makes them run, many at a time.
Task<ReconcileResult> Advance(RuntimeContext context, std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  const ObjectPtr pod = context.client.cache().Get(resources::kPods, ns, name);
  if (!pod) co_return result;
  const PodView& view = pod->view<PodView>();
  if (view.node_name.empty()) {
    result.status = co_await context.client.Bind(ns, name, pod->uid(), view.target_node);
    co_return result;
  }
  if (view.phase != PodView::Phase::kPending) co_return result;
  Json document = *pod->json();
  document["status"]["phase"] = "Running";
  document["status"]["conditions"].push_back(
      {{"type", "Ready"}, {"status", "True"}, {"lastTransitionTime", FormatTime(context.clock.Now())}});
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> updated = co_await context.client.Update(pod->key().resource, std::move(document), options);
  result.status = updated.status();
  co_return result;
}

ControllerSpec ToyAgents(RuntimeContext context) {
  ControllerSpec spec;
  spec.name = "agents";
  spec.workers = 64;
  spec.watches = {{std::string(resources::kPods), EnqueueSelf}};
  auto shared = std::make_shared<RuntimeContext>(context);
  spec.reconcile = [shared](std::string key) { return Advance(*shared, std::move(key)); };
  return spec;
}

// Creates a set over `nodes` nodes and runs until all are available. Returns the reconciles of the set; tells the time.
int Cover(int nodes) {
  ControllerCluster cluster;
  for (int i = 0; i < nodes; ++i) cluster.AddNode("node-" + std::to_string(10000 + i));
  cluster.Advance(1s);
  cluster.Start("agents", ToyAgents);
  const int before = cluster.Reconciles("daemon-set-controller");
  const auto start = std::chrono::steady_clock::now();
  cluster.AddDaemonSet("web");
  for (int i = 0; i < 1000 && cluster.Status("web").value("numberAvailable", 0) < nodes; ++i) cluster.Advance(10ms);
  CHECK(cluster.Status("web")["numberAvailable"] == nodes);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const int reconciles = cluster.Reconciles("daemon-set-controller") - before;
  std::printf("daemonset over %d nodes: %.3f s, %d reconciles of the set, %.0f us per pod\n", nodes, took.count(),
              reconciles, took.count() * 1e6 / nodes);
  return reconciles;
}

}  // namespace

TEST_CASE("Pod events are looked at together") { CHECK(Cover(300) <= 30); }

TEST_CASE("Five thousand nodes", "[.scale]") { CHECK(Cover(5000) <= 300); }
