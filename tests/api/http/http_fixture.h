#pragma once

#include <asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/http/server.h"
#include "core/runtime/clock.h"

namespace wherry::http {

// A raw TCP client of the loopback, driven by the same thread as the server.
class RawClient {
 public:
  explicit RawClient(uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // Sends what the socket takes; true when all of it went.
  bool Send(std::string_view bytes);
  void HalfClose();
  void Reset();  // closes with RST
  // Appends what is there to received().
  void Poll();
  const std::string& received() const { return received_; }
  bool ended() const { return ended_; }
  // What came since the last Take.
  std::string Take() { return std::exchange(received_, {}); }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::string received_;
  bool ended_ = false;
};

// A server on a free port with a clock that stands still, and the loop that runs it.
class HttpFixture {
 public:
  HttpFixture();
  ~HttpFixture();
  void Start(Handler handler, Limits limits = {}, TlsContextPtr tls = nullptr);

  // Runs the loop until `done`; fails the test after five seconds of real time.
  void RunUntil(std::function<bool()> done);
  // Lets everything that can happen now happen.
  void Settle();
  // Moves the clock, firing what is due.
  void Advance(Duration by);
  // Sends and waits for the connection's end; gives all that came.
  std::string Exchange(std::string_view bytes);
  // Sends and waits until what came ends with `end`.
  std::string Exchange(RawClient& client, std::string_view bytes, std::string_view end);

  ManualClock clock;
  asio::io_context io;
  std::unique_ptr<Server> server;
};

}  // namespace wherry::http
