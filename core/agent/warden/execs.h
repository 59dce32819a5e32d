#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/agent/warden/containers.h"

namespace wherry::warden {

// Programs that join containers: exec, exec probes and hooks. Each belongs to the server that asked for it and dies
// with its connection, with its container and with the warden; nothing of them is in the journal. They carry their
// container's tag, so that whatever they leave behind ends with the container.
class Execs {
 public:
  using Started = std::function<void(const ExecReply&)>;
  using Exited = std::function<void(uint64_t client, const ExecEnd& end)>;

  Execs(Poller& poller, Inheritance inheritance, Containers& containers, Exited exited);

  // `stdio` are the attached descriptors, see ExecRequest. `started` is called once, before the end is told.
  void Start(const ExecRequest& request, std::vector<Fd> stdio, uint64_t client, Started started);
  // Kills it and its group.
  void Stop(uint64_t client, const std::string& exec_id);
  void ClientGone(uint64_t client);
  void ContainerEnded(const std::string& container_id);

  void Handle(const Poller::Event& event);
  // A child of ours ended, perhaps an exec.
  void Ended(pid_t pid, int exit_code, int signal);

  size_t size() const { return execs_.size(); }

 private:
  struct Exec {
    uint64_t client = 0;
    std::string id, container_id;
    SpawnRequest request;
    Birth birth;
    Fd listener;  // of its binds
    Started started;
  };
  using Map = std::map<uint64_t, Exec>;

  void ReadBirth(Exec& exec, uint64_t serial);
  void Watch(Exec& exec, uint64_t serial, Fd listener);
  void Close(Fd& watched);
  static void Kill(const Exec& exec);

  Poller& poller_;
  const Inheritance inheritance_;
  Containers& containers_;
  const Exited exited_;
  uint64_t next_serial_ = 1;
  Map execs_;
};

}  // namespace wherry::warden
