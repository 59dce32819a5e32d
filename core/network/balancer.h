#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/network/service_rule.h"

namespace wherry {

// Which backends a client of one port should try, in order: the ready ones round robin; when none is ready, those that
// still serve while they terminate. With affinity a client's last backend comes first as long as it may be used.
// Proxy thread only.
class Balancer {
 public:
  void Set(std::vector<Backend> backends, Duration affinity, Duration now);

  // The backends to try. `node` restricts them to one node ("" = any). Empty = refuse.
  std::vector<Backend> Order(uint32_t client, const std::string& node, Duration now);
  // The client was served by `backend`.
  void Served(uint32_t client, const Backend& backend, Duration now);

  // Whether a backend (of `node`, "" = any) became ready only just now. Without a readiness probe that means that its
  // process runs; it may need a moment until it listens.
  bool IsStarting(const std::string& node, Duration now) const;

  // Whether anybody could be served.
  bool usable() const { return !ready_.empty() || !serving_.empty(); }
  // Whether this backend is one that new clients are meant for, not merely one that still serves.
  bool IsReady(const Backend& backend) const;
  // Whether traffic may (still) go to this backend.
  bool Uses(const Backend& backend) const;

 private:
  static constexpr size_t kMaxClients = 16384;
  static constexpr Duration kStart = std::chrono::seconds(2);
  struct Kept {
    uint32_t address;
    uint16_t port;
    Duration last;
    std::list<uint32_t>::iterator recency;
  };
  const std::vector<Backend>& Usable() const { return ready_.empty() ? serving_ : ready_; }

  std::vector<Backend> ready_, serving_;
  std::vector<Duration> ready_since_;  // of each of ready_
  Duration affinity_{0};
  uint64_t turn_ = 0;
  std::unordered_map<uint32_t, Kept> kept_;  // by client
  std::list<uint32_t> recency_;              // newest first
};

}  // namespace wherry
