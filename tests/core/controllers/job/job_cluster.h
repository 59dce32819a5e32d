#pragma once

#include <string>
#include <vector>

#include "core/controllers/job/job_view.h"
#include "tests/core/controllers/controller_cluster.h"

namespace wherry {

// A ControllerCluster with a node "n" and the words to play the agent for pods of Jobs.
class JobCluster : public ControllerCluster {
 public:
  explicit JobCluster(uint64_t seed = 1, std::vector<std::string> without = {});

  // default/<name>, one container, restartPolicy Never; `spec` is merged over its spec. Settles.
  ObjectPtr AddJob(const std::string& name, Json spec = Json::object());
  void EditJob(const std::string& name, const std::function<void(Json& spec)>& change);
  JobStatus StatusOf(const std::string& name) const;
  // "Type/Reason" of the job's conditions that are True.
  std::string Conditions(const std::string& name) const;

  // Pods in namespace default that have not ended and are not going, oldest first; names.
  std::vector<std::string> ActivePods() const;
  // One round of the agent: pods that wait run and are ready, pods on their way out end (phase Failed) and go.
  void Work();
  // The pod's container ends. Settles.
  void End(const std::string& pod, int exit_code);
  // All active pods end, oldest first.
  void EndAll(int exit_code);
};

}  // namespace wherry
