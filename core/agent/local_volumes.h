#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/runtime/controller.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/side_thread.h"
#include "store/status.h"

namespace wherry {

// The built-in provisioner, wherry.dev/local: where a claim was given to one of our nodes it makes a directory
// <data-dir>/volumes/<volume> and the PersistentVolume that tells of it; when such a volume goes, its directory goes
// first, unless its reclaim policy is Retain. Volumes of simulated nodes have no directory.
//
// A volume carries the finalizer wherry.dev/local-volume from its making until its directory is removed, so that a
// crash in between leaks nothing. Directories are removed beside the control thread. Control thread only.
class LocalVolumes {
 public:
  enum class Site : uint8_t { kElsewhere, kProcesses, kSimulated };

  // `site_of` tells what a node is to this process.
  LocalVolumes(RuntimeContext context, std::string data_dir, std::function<Site(const std::string& node)> site_of);
  ~LocalVolumes();

  void Start();
  void Stop();
  // A node has become ours: claims may wait for it.
  void OnNodeHere(const std::string& node);

  // Where a volume of this name is.
  std::string PathOf(const std::string& volume) const;

 private:
  void OnClaim(const Event& event, WorkQueue& queue);
  Task<ReconcileResult> Reconcile(std::string key);
  Task<Status> Provision(std::string key);
  Task<Status> Reclaim(std::string name);
  Status MakeDirectory(const std::string& volume) const;
  void SweepLeftovers();
  Task<> RemoveLeftovers(std::vector<std::string> paths);
  void Fail(const Object& claim, const std::string& storage_class, const std::string& why);

  RuntimeContext context_;
  const std::string directory_;  // <data-dir>/volumes
  const std::function<Site(const std::string&)> site_of_;
  EventRecorder events_;
  SideThread remover_;
  std::unordered_map<std::string, std::string> told_;  // by claim uid: the failure last told of
  std::unique_ptr<Controller> controller_;
};

}  // namespace wherry
