#include "core/agent/warden/local_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace wherry::warden {
namespace {

sockaddr_un AddressIn(int directory, const char* name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
  return address;
}

}  // namespace

Fd ConnectToWarden(const std::string& data_dir) {
  Fd directory(open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return Fd();
  Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return Fd();
  const sockaddr_un address = AddressIn(directory.get(), "warden.sock");
  if (connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    socket_fd.reset();
    errno = error;
  }
  return socket_fd;
}

Fd ListenIn(int directory, const std::string& name) {
  Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return Fd();
  unlinkat(directory, name.c_str(), 0);
  const sockaddr_un address = AddressIn(directory, name.c_str());
  // The mode is set by umask, so that there is no moment in which others could connect.
  const mode_t mask = umask(0177);
  const bool bound = bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  umask(mask);
  if (!bound || listen(socket_fd.get(), 16) != 0) return Fd();
  return socket_fd;
}

int64_t PeerUser(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
  return peer.uid;
}

namespace {

ssize_t SendWithNumbers(int socket, const void* data, size_t size, const int* numbers, size_t count) {
  iovec part{const_cast<void*>(data), size};  // NOLINT: sendmsg does not write
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxAttached * sizeof(int))] = {};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), numbers, count * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

ssize_t SendWithFds(int socket, const void* data, size_t size, const std::vector<Fd>& fds) {
  int numbers[kMaxAttached];
  const size_t count = std::min(fds.size(), kMaxAttached);
  for (size_t i = 0; i < count; ++i) numbers[i] = fds[i].get();
  return SendWithNumbers(socket, data, size, numbers, count);
}

ssize_t SendWithFd(int socket, const void* data, size_t size, int fd) {
  return SendWithNumbers(socket, data, size, &fd, fd < 0 ? 0 : 1);
}

ssize_t ReceiveWithFds(int socket, void* data, size_t size, std::vector<Fd>* fds, bool* lost) {
  iovec part{data, size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxAttached * sizeof(int))] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  fds->clear();
  *lost = false;
  const ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) return got;
  *lost = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int received = -1;
      memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      fds->emplace_back(received);
    }
  }
  return got;
}

}  // namespace wherry::warden
