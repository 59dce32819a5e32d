#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>

namespace wherry {

// Raw IPv4 sockets for the proxy and the DNS responder: non-blocking, closed on exec. Addresses in host byte order. A
// descriptor is returned to somebody who owns it from then on; -1 with errno set on failure.

sockaddr_in SocketAddress(uint32_t address, uint16_t port);

int OpenTcp();
int OpenUdp();
// Bound but not listening: until it listens, the kernel refuses those who connect.
int BindTcp(uint32_t address, uint16_t port);
int BindUdp(uint32_t address, uint16_t port);

// "127.0.0.1:80".
std::string AddressText(uint32_t address, uint16_t port);

// Whether this process may bind ports below 1024; asks the kernel.
bool MayBindPrivilegedPorts();

}  // namespace wherry
