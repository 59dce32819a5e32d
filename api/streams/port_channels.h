#pragma once

#include <cstdint>
#include <vector>

#include "api/http/exchange.h"
#include "api/streams/port_forward.h"

namespace wherry::streams {

// The port-forward of the Python and Node clients: WebSocket messages whose first byte is 2i for data of the i-th port
// asked for and 2i+1 for its errors. One connection for each port, made at once.

// The query's `ports`, repeated or separated by commas.
Result<std::vector<uint16_t>> ReadPorts(const http::Request& request);

// Until all the pod's connections have ended or the client goes.
Task<> ServePortChannels(http::ByteStream& stream, asio::any_io_executor executor, Clock& clock, PortTarget target,
                         std::vector<uint16_t> ports);

}  // namespace wherry::streams
