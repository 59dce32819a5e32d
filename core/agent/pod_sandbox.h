#pragma once

#include <functional>
#include <string>

#include "core/agent/agent_services.h"
#include "core/agent/container_builder.h"
#include "core/agent/pod_plan.h"
#include "core/agent/pod_volumes.h"

namespace wherry {

// What a pod has on its node besides its processes: its address, its directories and its volumes. One for each
// PodWorker, whose thread and life it shares.
class PodSandbox {
 public:
  PodSandbox(AgentServices& services, NodeSite& site, const PodInfo& info);

  // The address that the stored status tells of, for a pod of before.
  void KeepAddress(const std::string& address);
  // Puts everything in place. `adopted`: containers of the pod have run already, so its volumes are there, and only
  // brought up to date. Errors begin with "MountVolume" when a volume is at fault.
  Status Prepare(const Json& pod, bool adopted);
  // Everything goes: address and files.
  void Release();

  // The projections that show `what`: "configmaps/<name>", "secrets/<name>", "pod" (its labels and annotations), or
  // "tokens" that are due. False when no volume of the pod does.
  bool Follows(const Json& pod, const std::string& what) const;
  // Brings those up to date.
  Status Refresh(const Json& pod, const std::set<std::string>& what);
  // When the next token is due.
  Time renewal() const { return renewal_; }

  const PodSite& place() const { return place_; }

 private:
  EnvSources Sources(const Json& pod) const;
  PodVolumes Volumes() const;
  void ReadNode();

  AgentServices& services_;
  NodeSite& site_;
  const PodInfo& info_;
  PodSite place_;
  Time renewal_ = Time::max();
};

}  // namespace wherry
