#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/registry/registry.h"
#include "core/runtime/clock.h"
#include "core/runtime/controller.h"

namespace wherry {

// A workload of apps/v1 (Deployment, ReplicaSet, StatefulSet …) default/<name>: selector and template label app=<name>,
// one container "main" of image nginx:1; `spec` is merged over its spec.
Json Workload(const std::string& kind, const std::string& name, int replicas, const Json& spec = Json::object());

// Store, registry and every controller on a manual clock, but neither scheduler nor agents: their part is played here,
// step by step, so that a test sees every moment in between. (TestCluster has them all.)
class ControllerCluster {
 public:
  // `without`: controllers, by their names in AllControllers(), that are not started. `more_kinds`: the text of a
  // schema (docs/kinds.md) that is served beside the built-in ones.
  explicit ControllerCluster(uint64_t seed = 1, std::vector<std::string> without = {},
                             std::string_view more_kinds = {});
  ~ControllerCluster();

  // Runs until nothing is left to do at the present moment.
  void Settle();
  // Moves time forward, settling at every timer on the way.
  void Advance(Duration duration);

  // Writes as a user would; a refusal fails the test. The document names its kind.
  ObjectPtr Create(Json object);
  ObjectPtr Update(const ObjectPtr& current, const std::function<void(Json&)>& change, std::string subresource = "");
  // Straight into the store, past every check.
  void Commit(Mutation mutation);
  void Delete(std::string_view resource, std::string_view ns, std::string_view name, DeleteOptions options = {});
  ObjectPtr Get(std::string_view resource, std::string_view ns, std::string_view name) const;
  Json Document(std::string_view resource, std::string_view ns, std::string_view name) const;  // null when absent
  std::vector<ObjectPtr> List(std::string_view resource, std::string_view ns = {}) const;

  void Bind(const ObjectPtr& pod, const std::string& node);

  // A node that is Ready and never falls silent. `labels` and `taints` may be null.
  ObjectPtr AddNode(const std::string& name, Json labels = {}, Json taints = {});
  // A DaemonSet default/<name> with selector and template label app=<name>; `spec` is merged over its spec.
  ObjectPtr AddDaemonSet(const std::string& name, Json spec = Json::object());

  // One step of scheduler and agents: pinned pods are bound, bound ones run and are ready (unless `sick` says
  // otherwise), going ones are gone. True when anything happened. Settles.
  bool StepPods();
  // Steps until nothing happens any more.
  void RunPods();
  void SetPodStatus(const std::string& pod, Json status);
  void SetReady(const std::string& pod, bool ready);

  // Names of the pods in namespace default that are not on their way out, by node; `set` "" = whoever's.
  std::map<std::string, std::vector<std::string>> PodsByNode(const std::string& set = "") const;
  // "a=web-a b=web-b": as PodsByNode, for literal expectations.
  std::string Where(const std::string& set = "") const;
  Json Status(const std::string& set) const;
  // "reason: message" of the Events about an object of this name, in the order they came.
  std::vector<std::string> EventsAbout(const std::string& name) const;
  // How often a controller looked at anything.
  int Reconciles(const std::string& controller) const;

  // One more controller, started; `name` is counted like the others.
  void Start(const std::string& name, const std::function<ControllerSpec(RuntimeContext)>& make);

  const KindCatalog& catalog() const { return *catalog_; }
  Registry& registry() { return *registry_; }
  WatchCache& cache() { return *cache_; }
  Client& client() { return *clients_.front(); }
  ManualClock& clock() { return clock_; }

  // Pods that are pinned to no node are bound too, to the node with the fewest pods.
  bool schedule = false;
  // Pods of these nodes run but do not become ready.
  std::vector<std::string> sick;

 protected:
  // Runs a coroutine to its end, settling.
  template <typename T>
  T Run(Task<T> task);

 private:
  const Kind& KindOf(const Json& object) const;
  std::string EmptiestNode() const;

  const uint64_t seed_;
  const std::shared_ptr<const KindCatalog> catalog_;
  asio::io_context io_;
  ManualClock clock_;
  EventBus bus_;
  std::unique_ptr<WatchCache> cache_;
  std::unique_ptr<ObjectStore> store_;
  std::unique_ptr<Registry> registry_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::map<std::string, std::shared_ptr<int>> reconciles_;
};

}  // namespace wherry
