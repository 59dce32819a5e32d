#pragma once

#include <sys/types.h>
#include <cstddef>
#include <string>
#include <vector>

#include "core/agent/warden/fd.h"

namespace wherry::warden {

// Local stream sockets that carry bytes and, now and then, a few file descriptors.

// A connected, non-blocking socket to the warden of `data_dir`; invalid with errno set when none answers. The path may
// be of any length: it is reached through the opened directory (sun_path holds 108 bytes).
Fd ConnectToWarden(const std::string& data_dir);
// Binds and listens on <data_dir>/<name>, for the owner only, replacing what is there.
Fd ListenIn(int directory, const std::string& name);
// The user at the other end, or -1.
int64_t PeerUser(int socket);

constexpr size_t kMaxAttached = 4;  // descriptors sent together

// Like send(2), with at most kMaxAttached descriptors attached to the first byte.
ssize_t SendWithFds(int socket, const void* data, size_t size, const std::vector<Fd>& fds);
// Like recv(2). Attached descriptors (close-on-exec) go to *fds, which otherwise becomes empty. *lost is set when not
// all could be taken because the process has no room for them.
ssize_t ReceiveWithFds(int socket, void* data, size_t size, std::vector<Fd>* fds, bool* lost);
// The same with one descriptor, -1 = none; invalid when there is none.
ssize_t SendWithFd(int socket, const void* data, size_t size, int fd);
ssize_t ReceiveWithFd(int socket, void* data, size_t size, Fd* fd, bool* lost);

}  // namespace wherry::warden
