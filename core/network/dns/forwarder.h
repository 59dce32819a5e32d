#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/runtime/clock.h"

namespace wherry {

// Somebody who answers for the rest of the world.
struct Resolver {
  uint32_t address = 0;
  uint16_t port = 53;
};
// The IPv4 nameservers of a resolv.conf, but for `own`.
std::vector<Resolver> ParseResolvConf(std::string_view text, uint32_t own);

struct ForwarderOptions {
  std::string resolv_conf = "/etc/resolv.conf";  // read again when it changes
  std::vector<Resolver> resolvers;               // instead, for tests
  size_t max_pending = 256;
  Duration timeout = std::chrono::seconds(2);  // of one resolver
  int attempts = 3;
};

// Asks the host's resolvers what is not ours to know: one after another, each with a time limit, and never more than
// so many at once. Proxy thread only.
class Forwarder {
 public:
  Forwarder(asio::io_context& io, Clock& clock, ForwarderOptions options, uint32_t own_address);
  ~Forwarder();

  // Whether there is anybody to ask.
  bool available();
  // `done` gets the answer with the request's id, or "" when nobody gave one. Over TCP when `tcp`.
  void Ask(std::string request, bool tcp, std::function<void(std::string)> done);
  void Close();
  size_t pending() const { return pending_.size(); }

 private:
  class Question;
  void Refresh();

  asio::io_context& io_;
  Clock& clock_;
  const ForwarderOptions options_;
  const uint32_t own_address_;
  std::mt19937_64 random_;
  std::vector<Resolver> resolvers_;
  int64_t read_at_ = -1;  // mtime of resolv.conf
  std::unordered_set<std::shared_ptr<Question>> pending_;
};

}  // namespace wherry
