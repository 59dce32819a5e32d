#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/agent/warden/connection.h"
#include "core/agent/warden/containers.h"
#include "core/agent/warden/execs.h"

namespace wherry::warden {

struct WardenOptions {
  std::string data_dir;
  // With no container alive and no server connected for so long, it ends by itself.
  std::chrono::milliseconds idle_limit{10'000};
};

// The process that owns the containers of one data directory (DESIGN, decision 7): single-threaded, of few needs, so
// that it can outlive every crash and upgrade of the server. It holds <data-dir>/warden.lock while it lives, listens on
// <data-dir>/warden.sock for its own user, and ends when it is told to or has been idle.
class Warden {
 public:
  explicit Warden(WardenOptions options);

  // Returns the exit status of the process.
  int Run();

 private:
  bool Start();
  bool TakeLock();
  void Loop();
  int TimeoutMs() const;
  void Accept();
  void HandleConnection(uint64_t serial, uint32_t events);
  void HandleFrame(uint64_t serial, const Frame& frame);
  void HandleAttach(uint64_t serial, const Frame& frame);
  void HandleExec(uint64_t serial, const Frame& frame);
  void Reply(uint64_t serial, MessageType type, uint32_t request, std::string_view payload);
  void Broadcast(MessageType type, std::string_view payload, int attached = -1, uint32_t since = 1);
  void Drop(uint64_t serial);
  // Watches for writability while something is queued; drops what failed.
  void Settle();

  const WardenOptions options_;
  Fd directory_, lock_, listener_, signals_;
  Poller poller_;
  std::unique_ptr<Containers> containers_;
  std::unique_ptr<Execs> execs_;
  struct Client {
    Connection connection;
    bool greeted = false;
    uint32_t version = 1;  // that the server speaks
    bool watching_writes = false;
  };
  std::map<uint64_t, Client> clients_;
  uint64_t next_serial_ = 1;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point idle_since_, stop_deadline_;
  std::multimap<uint64_t, uint32_t> stop_requests_;  // client and request
};

int RunWarden(const WardenOptions& options);

}  // namespace wherry::warden
