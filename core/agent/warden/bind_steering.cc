#include "core/agent/warden/bind_steering.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

namespace wherry::warden {
namespace {

constexpr int kFirstUnprivilegedPort = 1024;

std::vector<sock_filter>& Program() {
  static std::vector<sock_filter> program;
  return program;
}

uint16_t PortOf(const sockaddr_storage& address) {
  // sin_port and sin6_port are at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

void SetPort(sockaddr_storage* address, uint16_t port) {
  reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
}

void SetMapped(sockaddr_storage* address, in_addr v4) {
  in6_addr& v6 = reinterpret_cast<sockaddr_in6*>(address)->sin6_addr;
  memset(&v6, 0, sizeof(v6));
  v6.s6_addr[10] = v6.s6_addr[11] = 0xFF;
  memcpy(&v6.s6_addr[12], &v4, sizeof(v4));
}

bool ReadMemory(uint32_t tid, uint64_t from, void* to, size_t size) {
  iovec local{to, size};
  iovec remote{reinterpret_cast<void*>(from), size};  // NOLINT: an address in the other process
  return process_vm_readv(static_cast<pid_t>(tid), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

// A pidfd through which the descriptors of the thread can be reached. Before Linux 6.9 pidfds name whole processes
// only, which is the same for all programs whose threads share their descriptors.
Fd OpenThread(uint32_t tid) {
  Fd thread(static_cast<int>(syscall(SYS_pidfd_open, tid, PIDFD_THREAD)));
  if (thread.valid()) return thread;
  char path[40];
  snprintf(path, sizeof(path), "/proc/%u/status", tid);
  unsigned process = tid;
  if (FILE* file = fopen(path, "re")) {
    char line[128];
    while (fgets(line, sizeof(line), file) != nullptr && sscanf(line, "Tgid: %u", &process) != 1) {
    }
    fclose(file);
  }
  return Fd(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
}

bool StillWaiting(int listener, uint64_t id) { return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

}  // namespace

BindPlan PlanBind(const BindQuestion& question, in_addr pod, bool own_privileged) {
  BindPlan plan;
  plan.address = question.address;
  plan.length = question.length;
  sa_family_t family = question.address.ss_family;
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&question.address);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&question.address);
  // Linux takes AF_UNSPEC with the wildcard address as AF_INET.
  if (family == AF_UNSPEC && question.domain == AF_INET) family = AF_INET;
  const bool is_v4 = family == AF_INET && question.domain == AF_INET && question.length >= sizeof(sockaddr_in);
  // The scope id may be missing (RFC 2133 had none); the kernel takes 24 bytes.
  const bool is_v6 = family == AF_INET6 && question.domain == AF_INET6 && question.length >= 24;
  if (!is_v4 && !is_v6) return plan;
  const uint16_t port = PortOf(question.address);
  if (port == 0) return plan;
  plan.steer = own_privileged && port < kFirstUnprivilegedPort;

  if (is_v4 && v4->sin_addr.s_addr == htonl(INADDR_ANY)) {
    plan.steer = true;
    plan.address.ss_family = AF_INET;
    reinterpret_cast<sockaddr_in*>(&plan.address)->sin_addr = pod;
  } else if (is_v6) {
    const bool any = memcmp(&v6->sin6_addr, &in6addr_any, sizeof(in6_addr)) == 0;
    const bool mapped_any = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr32[3] == htonl(INADDR_ANY);
    if (any && question.v6_only) {
      plan.steer = true;
      reinterpret_cast<sockaddr_in6*>(&plan.address)->sin6_addr = in6addr_loopback;
      SetPort(&plan.address, 0);
    } else if (any || mapped_any) {
      plan.steer = true;
      SetMapped(&plan.address, pod);
    }
  }
  return plan;
}

int PrepareBindFilter() {
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
  if (context == nullptr) return ENOMEM;
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> owner(context, seccomp_release);
#if defined(__x86_64__)
  seccomp_arch_add(context, SCMP_ARCH_X86);  // 32-bit programs: bind and socketcall(SYS_BIND)
#elif defined(__aarch64__)
  seccomp_arch_add(context, SCMP_ARCH_ARM);
#endif
  // A program of an architecture that the filter does not know is not our business.
  seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
  int error = seccomp_rule_add(context, SCMP_ACT_NOTIFY, SCMP_SYS(bind), 0);
  if (error != 0) return -error;
  Fd memory(memfd_create("bind-filter", MFD_CLOEXEC));
  if (!memory.valid()) return errno;
  error = seccomp_export_bpf(context, memory.get());
  if (error != 0) return -error;
  const off_t size = lseek(memory.get(), 0, SEEK_END);
  Program().resize(static_cast<size_t>(size) / sizeof(sock_filter));
  return pread(memory.get(), Program().data(), static_cast<size_t>(size), 0) == size ? 0 : EIO;
}

int InstallBindFilter() {
  if (Program().empty()) {
    errno = ENOSYS;
    return -1;
  }
  sock_fprog program{static_cast<unsigned short>(Program().size()), Program().data()};
  // Without WAIT_KILLABLE_RECV (Linux 5.19) a signal that arrives while we bind makes the program repeat a bind that
  // has been done, and see EINVAL.
  long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
  if (fd < 0 && errno == EINVAL) {
    fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  }
  return static_cast<int>(fd);
}

std::string BindSteering::Once(std::string note) {
  // Bounded: a program may try every port.
  if (told_.size() >= 16 || !told_.insert(note).second) return {};
  return note;
}

// Carries out one bind; the result is 0 or -errno. *leave = the kernel shall do it as asked.
int BindSteering::Bind(int listener, const seccomp_notif& call, std::string* note, bool* leave) {
  *leave = true;
  const uint32_t tid = call.pid;
  uint64_t socket_number = call.data.args[0], address_at = call.data.args[1], length = call.data.args[2];
#if defined(__x86_64__)
  if (call.data.arch == AUDIT_ARCH_I386 && call.data.nr == 102) {  // socketcall: the arguments are in memory
    uint32_t args[3];
    if (!ReadMemory(tid, call.data.args[1], args, sizeof(args))) return 0;
    socket_number = args[0];
    address_at = args[1];
    length = args[2];
  }
#endif
  BindQuestion question;
  if (length < sizeof(sa_family_t) || length > sizeof(question.address)) return 0;
  question.length = static_cast<socklen_t>(length);
  if (!ReadMemory(tid, address_at, &question.address, length)) {
    // EFAULT is the kernel's to say; if it is ours (no right to look), the port stays where the program asked for it.
    if (errno == EPERM) *note = "a bind could not be steered to the pod's address: the process may not be inspected";
    return 0;
  }
  const sa_family_t family = question.address.ss_family;
  if (family != AF_INET && family != AF_INET6 && family != AF_UNSPEC) return 0;

  Fd thread = OpenThread(tid);
  Fd socket_fd(static_cast<int>(syscall(SYS_pidfd_getfd, thread.get(), static_cast<int>(socket_number), 0)));
  if (!socket_fd.valid()) {
    if (errno == EPERM) *note = "a bind could not be steered to the pod's address: the process may not be inspected";
    return 0;  // EBADF is the kernel's to say
  }
  socklen_t size = sizeof(question.domain);
  if (getsockopt(socket_fd.get(), SOL_SOCKET, SO_DOMAIN, &question.domain, &size) != 0) return 0;
  int v6_only = 0;
  size = sizeof(v6_only);
  if (question.domain == AF_INET6) getsockopt(socket_fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &size);
  question.v6_only = v6_only != 0;

  BindPlan plan = PlanBind(question, pod_, offset_ > 0);
  if (!plan.steer) return 0;
  // Only now is it known that what was read belonged to the caller, and not to a later process with its number.
  if (!StillWaiting(listener, call.id)) return 0;
  *leave = false;
  const auto try_bind = [&] {
    return bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&plan.address), plan.length) == 0 ? 0 : -errno;
  };
  int result = try_bind();
  const int port = PortOf(plan.address);
  if (result == -EACCES && offset_ > 0 && port > 0 && port < kFirstUnprivilegedPort && port + offset_ <= 65535) {
    SetPort(&plan.address, static_cast<uint16_t>(port + offset_));
    result = try_bind();
    if (result == 0) {
      *note = "port " + std::to_string(port) + " is served on port " + std::to_string(port + offset_) +
              ": this user may not bind ports below 1024";
    }
  }
  return result;
}

std::string BindSteering::Answer(int listener) {
  static const seccomp_notif_sizes sizes = [] {
    seccomp_notif_sizes s{};
    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &s);
    return s;
  }();
  // The kernel's structures may be longer than those we were built with, and want to be zero.
  const std::unique_ptr<void, void (*)(void*)> call_bytes(
      calloc(1, std::max<size_t>(sizes.seccomp_notif, sizeof(seccomp_notif))), free);
  const std::unique_ptr<void, void (*)(void*)> reply_bytes(
      calloc(1, std::max<size_t>(sizes.seccomp_notif_resp, sizeof(seccomp_notif_resp))), free);
  auto* call = static_cast<seccomp_notif*>(call_bytes.get());
  auto* reply = static_cast<seccomp_notif_resp*>(reply_bytes.get());
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, call) != 0) return {};  // ENOENT: it was killed meanwhile

  std::string note;
  bool leave = true;
  int result = 0;
  // A pid of 0 is outside our pid namespace: out of reach.
  if (call->pid != 0) result = Bind(listener, *call, &note, &leave);
  reply->id = call->id;
  reply->val = 0;
  reply->error = leave ? 0 : result;
  reply->flags = leave ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, reply);
  return note.empty() ? note : Once(std::move(note));
}

}  // namespace wherry::warden
