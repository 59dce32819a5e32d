#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <set>
#include <string>

#include "core/agent/warden/fd.h"

struct seccomp_notif;  // <linux/seccomp.h>

namespace wherry::warden {

// Steers bind(2) of a container to its pod's loopback address (DESIGN, decision 8), by a seccomp user notification: the
// kernel holds the call while the warden does it on the same socket with another address. Not a security boundary.

// What to do with one bind: nothing (the kernel carries it out as asked), or bind to `address` instead.
struct BindPlan {
  bool steer = false;
  sockaddr_storage address{};
  socklen_t length = 0;
};

struct BindQuestion {
  sockaddr_storage address{};
  socklen_t length = 0;
  int domain = 0;        // of the socket
  bool v6_only = false;  // IPV6_V6ONLY of the socket
};

// - A wildcard address becomes the pod's; [::] becomes the v4-mapped one, because [::] takes the port on every address.
// - A wildcard of a v6-only socket goes to a free port of ::1, out of everybody's way: the pod has no v6 address, and
//   programs that listen on 0.0.0.0:80 and [::]:80 apart expect both to succeed.
// - Port 0 is left alone: it collides with nobody, and a client's socket bound to loopback could reach nothing else.
// - Explicit addresses are left alone, except that a privileged port is bound by us (same address) when
// `own_privileged`,
//   so that a refusal can be answered with another port.
BindPlan PlanBind(const BindQuestion& question, in_addr pod, bool own_privileged);

// Builds the filter program; call once before InstallBindFilter in a forked child. Returns an errno.
int PrepareBindFilter();
// In the child, with no_new_privs set: traps bind(2) from here on, for all descendants too. The listener, or -1 with
// errno.
int InstallBindFilter();

// Answers the binds of one container. Owned by its container; single thread.
class BindSteering {
 public:
  BindSteering(in_addr pod, int privileged_port_offset) : pod_(pod), offset_(privileged_port_offset) {}

  // Answers one pending call on `listener`. Returns something to tell the user, once for each thing; "" = nothing.
  std::string Answer(int listener);

 private:
  int Bind(int listener, const seccomp_notif& call, std::string* note, bool* leave);
  std::string Once(std::string note);

  const in_addr pod_;
  const int offset_;
  std::set<std::string> told_;
};

}  // namespace wherry::warden
