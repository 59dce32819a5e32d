#pragma once

#include <asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <system_error>

#include "core/runtime/clock.h"
#include "core/runtime/task.h"

namespace wherry {

// Where a check goes.
struct CheckTarget {
  std::string address;             // the pod's, or the one the action names
  int privileged_port_offset = 0;  // pods' ports below 1024 may be served so much higher
};

// One outgoing connection with one time limit for all that happens on it; nothing blocks. Lives in the frame of the one
// coroutine that uses it. Control thread only.
class ProbeSocket {
 public:
  ProbeSocket(asio::any_io_executor executor, Clock& clock, Duration timeout);
  ~ProbeSocket();
  ProbeSocket(const ProbeSocket&) = delete;
  ProbeSocket& operator=(const ProbeSocket&) = delete;

  // To port + offset when the port is privileged and there is an offset; then, or else, to the port itself.
  Task<std::error_code> Connect(CheckTarget target, int port);
  // TLS over it; certificates are not verified.
  Task<std::error_code> StartTls(std::string server_name);
  Task<std::error_code> Write(std::string data);
  // Appends what has come to `out`, which outlives the call.
  Task<std::error_code> ReadSome(std::string* out);
  // Ends the connection and its time limit.
  void Close();
  bool timed_out() const;

 private:
  struct State;
  Task<std::error_code> ConnectOnce(std::string address, int port);
  const std::shared_ptr<State> state_;
};

// "connection refused": as Go writes errors of the system.
std::string GoError(const std::error_code& error);

}  // namespace wherry
