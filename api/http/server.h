#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/http/exchange.h"
#include "api/http/tls.h"
#include "core/runtime/clock.h"

namespace wherry::http {

// Bounds on what a peer may make us hold or wait for.
struct Limits {
  size_t head_bytes = 64 * 1024;        // request line and fields: 431 beyond
  size_t header_count = 200;            // 431
  size_t target_bytes = 16 * 1024;      // 414
  size_t body_bytes = 3 * 1024 * 1024;  // 413
  size_t connections = 4096;            // beyond: accepted and closed
  Duration handshake = std::chrono::seconds(10);
  Duration head = std::chrono::seconds(30);         // from a request's first byte to the end of its head
  Duration body_idle = std::chrono::seconds(60);    // between two pieces of a body
  Duration keep_alive = std::chrono::minutes(3);    // between two requests
  Duration write_stall = std::chrono::seconds(30);  // a write that makes no progress
  Duration linger = std::chrono::seconds(1);        // for the peer to read the last answer of a connection we close
  Duration accept_retry = std::chrono::milliseconds(100);  // after EMFILE and the like
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;  // 0 = any free one
  TlsContextPtr tls;  // null = plain HTTP, for tests
  Limits limits;
};

// Accepts connections and runs one coroutine for each: read a request, await its handler, send the answer, again.
// Control thread only. The executor's loop and the clock outlive it and every connection.
class Server {
 public:
  Server(asio::any_io_executor executor, Clock& clock, ServerOptions options, Handler handler);
  // Breaks off what Shutdown has not ended.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and starts to accept.
  Status Start();
  uint16_t port() const;  // the bound one

  // For connections accepted from now on (a renewed certificate).
  void set_tls(TlsContextPtr tls);

  // Stops accepting, closes idle connections, lets requests under way finish (their exchanges become closed()), breaks
  // off after `grace`. Returns when no connection is left, or when handlers still run one more grace later.
  Task<> Shutdown(Duration grace);

  struct Stats {
    size_t connections = 0;  // open now
    uint64_t accepted = 0;
    uint64_t refused = 0;  // beyond Limits::connections
    uint64_t requests = 0;
    uint64_t accept_errors = 0;
  };
  Stats stats() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace wherry::http
