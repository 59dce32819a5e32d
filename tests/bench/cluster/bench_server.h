#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "api/http/http_client.h"
#include "core/runtime/clock.h"
#include "store/json.h"
#include "tests/bench/cluster/machine.h"

namespace wherry::bench {

// A server in a temporary directory, ended with its pods when it goes out of scope.
class Server {
 public:
  Server(const std::string& program, int nodes, const char* durability = "full");
  ~Server();
  http::ClientOptions client() const;
  pid_t pid() const { return pid_; }
  // Of the helper that holds its pods; it is there once one has run.
  pid_t warden() const;
  double ready_after() const { return ready_after_; }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
  pid_t pid_ = 0;
  uint16_t port_ = 0;
  double ready_after_ = 0;
  http::TlsContextPtr tls_;
};

// An event loop with clients on it.
struct Loop {
  asio::io_context io{1};
  std::unique_ptr<Clock> clock = NewSystemClock(io);

  // One request on a connection of its own; the body of the answer.
  Json Call(const Server& server, const std::string& method, const std::string& target, const Json& body = {});
};

// Requests made by keep-alive connections until `next` gives no more.
struct Load {
  std::function<bool(http::ClientRequest&)> next;
  uint64_t done = 0, failed = 0;
};

// Seconds that so many clients at once took for the load.
double RunLoad(const http::ClientOptions& options, int clients, Load& load);
// Requests for a while; `make` fills in each, told its number.
Load TimedLoad(double seconds, std::function<void(http::ClientRequest&, uint64_t)> make);

// POSTs `count` objects over 32 connections; `make` is told the number of each.
void CreateMany(const Server& server, const std::string& target, int count, const std::function<Json(int)>& make);
// Polls a document until `good`; false after `seconds`.
bool Await(const Server& server, const std::string& target, double seconds,
           const std::function<bool(const Json&)>& good);

inline constexpr const char* kPodsPath = "/api/v1/namespaces/default/pods";
// A pod of /bin/true that runs once.
Json Pod(const std::string& name);
// About 1 KiB.
std::string ConfigMap(const std::string& name);

}  // namespace wherry::bench
