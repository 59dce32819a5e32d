#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/controller.h"
#include "tests/support/test_cluster.h"

namespace wherry {

// A TestCluster with every controller, but without scheduler and agents: their part is played here, step by step, so that a test
// sees every moment in between.
class ControllerCluster : public TestCluster {
 public:
  explicit ControllerCluster(uint64_t seed = 1);
  ~ControllerCluster();

  // A node that is Ready and never falls silent. `labels` and `taints` may be null.
  ObjectPtr AddNode(const std::string& name, Json labels = {}, Json taints = {});
  // A DaemonSet default/<name> with selector and template label app=<name>; `spec` is merged over its spec.
  ObjectPtr AddDaemonSet(const std::string& name, Json spec = Json::object());

  // One step of scheduler and agents: pinned pods are bound, bound ones run and are ready (unless `sick` says otherwise), going ones are
  // gone. True when anything happened. Settles.
  bool StepPods();
  // Steps until nothing happens any more.
  void RunPods();

  // Names of the pods of default/<set>, that are not on their way out, by node.
  std::map<std::string, std::vector<std::string>> PodsByNode(const std::string& set = "") const;
  // "a=web-a b=web-b": as PodsByNode, for literal expectations.
  std::string Where(const std::string& set = "") const;
  void SetPodStatus(const std::string& pod, Json status);
  Json Status(const std::string& set) const;
  // "reason: message" of the Events about an object of this name, in the order they came.
  std::vector<std::string> EventsAbout(const std::string& name) const;

  // How often a controller looked at anything.
  int Reconciles(const std::string& controller) const;

  // Pods of these nodes run but do not become ready.
  std::vector<std::string> sick;

 private:
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::map<std::string, std::shared_ptr<int>> reconciles_;
};

}  // namespace wherry
