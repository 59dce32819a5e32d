#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/agent/container_runtime.h"

namespace wherry {

// The uid of the pod that a container belongs to: ids are "<uid>/<container>/<attempt>".
std::string PodUidOf(const std::string& container_id);

// What the runtimes still had when the agents started, until the pods' workers adopt it. Control thread only.
class FoundContainers {
 public:
  // A runtime is asked what it has; until Add brings the answer, ends may overtake it.
  void Expect() { expecting_ = true; }
  void Add(std::vector<ContainerState> found);
  // A container ended before its pod has a worker, who is not to adopt it as running.
  void Correct(const ContainerState& ended);

  std::vector<ContainerState> Take(const std::string& uid);
  // Of the pods that are not among `uids`.
  std::vector<ContainerState> TakeAllBut(const std::set<std::string>& uids);

 private:
  ContainerState* Find(const std::string& id);

  std::unordered_map<std::string, std::vector<ContainerState>> by_uid_;
  bool expecting_ = false;
};

}  // namespace wherry
