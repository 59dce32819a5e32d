#pragma once

#include <sys/types.h>
#include <cstddef>
#include <string>

#include "core/agent/warden/fd.h"

namespace wherry::warden {

// Local stream sockets that carry bytes and, now and then, one file descriptor.

// A connected, non-blocking socket to the warden of `data_dir`; invalid with errno set when none answers. The path may
// be of any length: it is reached through the opened directory (sun_path holds 108 bytes).
Fd ConnectToWarden(const std::string& data_dir);
// Binds and listens on <data_dir>/<name>, for the owner only, replacing what is there.
Fd ListenIn(int directory, const std::string& name);
// The user at the other end, or -1.
int64_t PeerUser(int socket);

// Like send(2), with `fd` attached to the first byte unless it is -1.
ssize_t SendWithFd(int socket, const void* data, size_t size, int fd);
// Like recv(2). An attached descriptor (close-on-exec) goes to *fd, which otherwise becomes invalid. *lost is set when
// one could not be taken because the process has no room for it.
ssize_t ReceiveWithFd(int socket, void* data, size_t size, Fd* fd, bool* lost);

}  // namespace wherry::warden
