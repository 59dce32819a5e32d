#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/streams/fd_pump.h"
#include "api/streams/port_forward.h"

namespace wherry::streams {

// One connection to a pod's port: what the pod sends, what it is sent.
struct PodConnection {
  PodConnection(asio::any_io_executor executor, int fd, int other_fd)
      : reader(executor, fd), writer(executor, other_fd) {}

  FdReader reader;
  FdWriter writer;

  void Close() {
    reader.Close();
    writer.Close();
  }
};

// Connects to where the port is served; the error names what was tried.
Task<Result<std::shared_ptr<PodConnection>>> ConnectToPod(asio::any_io_executor executor, Clock& clock,
                                                          PortTarget target, uint16_t port);

}  // namespace wherry::streams
