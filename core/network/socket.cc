#include "core/network/socket.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace wherry {
namespace {

// Closes, and leaves errno as it was.
int Refused(int fd) {
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

int Bind(int fd, uint32_t address, uint16_t port) {
  if (fd < 0) return fd;
  const sockaddr_in at = SocketAddress(address, port);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 ? fd : Refused(fd);
}

}  // namespace

sockaddr_in SocketAddress(uint32_t address, uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(address);
  out.sin_port = htons(port);
  return out;
}

int OpenTcp() { return ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }
int OpenUdp() { return ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

int BindTcp(uint32_t address, uint16_t port) {
  const int fd = OpenTcp();
  if (fd < 0) return fd;
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return Bind(fd, address, port);
}

int BindUdp(uint32_t address, uint16_t port) { return Bind(OpenUdp(), address, port); }

std::string AddressText(uint32_t address, uint16_t port) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." +
         std::to_string(address >> 8 & 255) + "." + std::to_string(address & 255) + ":" + std::to_string(port);
}

bool MayBindPrivilegedPorts() {
  // An address nobody uses; only the right to bind is asked for.
  const int fd = BindTcp(0x7ffffffe, 1);
  if (fd < 0) return errno != EACCES;
  ::close(fd);
  return true;
}

}  // namespace wherry
