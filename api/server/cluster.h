#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/agent/agent_options.h"
#include "core/registry/client.h"
#include "core/runtime/task.h"
#include "core/runtime/time.h"
#include "store/object_store.h"
#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

// How a cluster is set up. Paths may be relative; everything else is fixed once it runs.
struct ClusterOptions {
  // Made when absent (0700); holds the database, keys, logs and pods. "" = a throwaway cluster: the store is in memory,
  // what needs a directory has one in $TMPDIR which is gone with the Cluster, and `stop_pods` holds.
  std::string data_dir;
  int nodes = 3;  // pseudo-nodes to register at start: node-1 … node-N
  // The nodes of the start run their pods without processes, any image (docs/simulation.md); and nodes that are added
  // later start nothing on this machine either.
  bool simulated = false;
  std::string address = "127.0.0.1";
  uint16_t port = 6443;  // 0 = any free one
  // Where nodes get their /24 of pod addresses, within 127.0.0.0/8. "" = 127.64.0.0/10, beginning at a place of its own
  // for each data directory, so that clusters on one machine keep out of each other's way.
  std::string pod_cidr;
  // Where Services get their cluster IPs, within 127.0.0.0/8. "" = the range this directory has had so far; at first a
  // /19 of 127.128.0.0/9 of its own for each directory. Addresses given before stay as they are.
  std::string service_cidr;
  // When a node is short of something, in the form of the kubelet's --eviction-hard, over what holds otherwise
  // (docs/node-agent.md); and how long its condition stays afterwards.
  std::string eviction_hard;
  Duration eviction_pressure_transition_period = std::chrono::minutes(5);
  // How many processes and threads a container may have; -1 or 0 = any number.
  int64_t pod_max_pids = kDefaultMaxPids;
  // Serve Services: cluster IPs, node ports and DNS.
  bool serve_services = true;
  Durability durability = Durability::kFull;
  // A directory of manifests that the cluster is kept in step with (docs/command-line.md). "" = none.
  std::string manifests;
  // On Stop: end the pods' processes, or leave them to be adopted by the next server over the same data directory.
  bool stop_pods = false;
  Duration stop_grace = std::chrono::seconds(10);
  // So long after the nodes have become ready, memory that only starting needed is given back, program text too
  // (api/server/startup_memory.h). 0 = never, for programs that have other things to do with theirs.
  Duration trim_after{0};
};

// A whole cluster in this process: the server behind `wherry up`, and the entry for programs that embed one
// (docs/embedding.md).
//
//   auto cluster = wherry::Cluster::Open(options);   // everything that can be refused is refused here
//   cluster.value()->Run();                          // this thread is the control thread, until Stop
// or
//   cluster.value()->Start();                        // a thread of its own is; returns when the nodes are Ready
//   cluster.value()->Call(…), Read(…), WaitUntil(…); // from this thread
//
// Open, Run or Start, and destruction belong to one thread; the rest may be called from any, Stop also from a signal
// handler's thread.
class Cluster {
 public:
  // Errors name what is wrong and the remedy: the port is in use, the directory is not ours, another server runs on it
  // …
  static Result<std::unique_ptr<Cluster>> Open(ClusterOptions options);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Serves until Stop, or until SIGTERM or SIGINT when `handle_signals`. The first error of the start ends it.
  Status Run(bool handle_signals = false);
  // Serves on a thread of its own until Stop, which destruction implies. Returns when every node of the start is Ready,
  // or with what kept it from that.
  Status Start();
  void Stop();

  // What a program does with the cluster it holds, without HTTP. Not from the control thread itself (from within
  // `work`, say), where they would wait for themselves. Once the cluster has stopped they say so: kUnavailable or
  // false.

  // Runs `work` on the control thread, with the seam that the cluster's own parts use, and waits for its answer:
  //   cluster->Call([&](Client& client) { return client.Create("daemonsets.apps", "default", document); });
  // `work` is no coroutine itself: it returns one.
  Result<ObjectPtr> Call(std::function<Task<Result<ObjectPtr>>(Client&)> work);
  // Shows every current object to `look`, on the control thread, and waits for it.
  Status Read(std::function<void(const WatchCache&)> look);
  // Waits until `holds` is true, looking again after every change. False when it is not so within `timeout`.
  bool WaitUntil(std::function<bool(const WatchCache&)> holds, Duration timeout);

  uint16_t port() const;
  std::string url() const;              // "https://127.0.0.1:6443"
  std::string kubeconfig_path() const;  // written before Open returns
  // Called once, on the control thread, when every node of the start is Ready.
  void set_on_ready(std::function<void()> on_ready);

 private:
  struct State;
  explicit Cluster(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wherry
