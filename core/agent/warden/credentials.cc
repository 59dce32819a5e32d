#include "core/agent/warden/credentials.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace wherry::warden {
namespace {

Refusal Failed(std::string what) { return Refusal{errno == 0 ? EIO : errno, std::move(what)}; }

// By name, since libseccomp knows some and leaves out what an architecture does not have.
constexpr const char* kDenied[] = {
    // the machine
    "acct", "adjtimex", "clock_adjtime", "clock_settime", "create_module", "delete_module", "finit_module",
    "get_kernel_syms", "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "nfsservctl", "query_module",
    "quotactl", "quotactl_fd", "reboot", "settimeofday", "stime", "swapoff", "swapon", "syslog", "uselib", "vhangup",
    "vm86", "vm86old", "_sysctl", "ustat",
    // mounts and namespaces
    "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "name_to_handle_at",
    "open_by_handle_at", "open_tree", "pivot_root", "setns", "umount", "umount2", "unshare",
    // other programs' memory and secrets; ways into the kernel
    "add_key", "bpf", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl", "kcmp", "lookup_dcookie",
    "mbind", "migrate_pages", "move_pages", "perf_event_open", "process_madvise", "request_key", "set_mempolicy",
    "userfaultfd"};

constexpr int kNewNamespaces[] = {CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
                                  CLONE_NEWPID, CLONE_NEWNET, 0x02000000 /* CLONE_NEWCGROUP */};

std::vector<sock_filter>& Program() {
  static std::vector<sock_filter> program;
  return program;
}

}  // namespace

Refusal LimitCapabilities(const Confinement& confinement) {
  if (!confinement.limit_capabilities) return {};
  for (int capability = 0; capability < 64; ++capability) {
    if (((confinement.capabilities >> capability) & 1) != 0) continue;
    const int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) break;  // beyond the last that the kernel knows
    if (held == 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return Failed("drop a capability");
  }
  return {};
}

Refusal ChangeUser(const SpawnRequest& request) {
  const Confinement& confinement = request.confinement;
  const bool other_user = request.run_as_user >= 0 && request.run_as_user != geteuid();
  const bool other_group = request.run_as_group >= 0 && request.run_as_group != getegid();
  if (!other_user && !other_group && confinement.groups.empty()) return {};
  const auto user = static_cast<uid_t>(request.run_as_user);
  const auto group = static_cast<gid_t>(request.run_as_group);
  const std::vector<gid_t> groups(confinement.groups.begin(), confinement.groups.end());
  if (setgroups(groups.size(), groups.data()) != 0) return Failed("setgroups");
  if (other_group && setresgid(group, group, group) != 0)
    return Failed("setgid " + std::to_string(request.run_as_group));
  if (other_user && setresuid(user, user, user) != 0) return Failed("setuid " + std::to_string(request.run_as_user));
  return {};
}

int PrepareDefaultFilter() {
  if (!Program().empty()) return 0;
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
  if (context == nullptr) return ENOMEM;
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> owner(context, seccomp_release);
#if defined(__x86_64__)
  seccomp_arch_add(context, SCMP_ARCH_X86);
#elif defined(__aarch64__)
  seccomp_arch_add(context, SCMP_ARCH_ARM);
#endif
  seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
  for (const char* name : kDenied) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call != __NR_SCMP_ERROR) seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), call, 0);
  }
  for (const int flag : kNewNamespaces) {
    const auto bit = static_cast<scmp_datum_t>(flag);
    const scmp_arg_cmp has_bit = SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit);
    const int error = seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, &has_bit);
    if (error != 0) return -error;
  }
  seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  Fd memory(memfd_create("default-filter", MFD_CLOEXEC));
  if (!memory.valid()) return errno;
  const int error = seccomp_export_bpf(context, memory.get());
  if (error != 0) return -error;
  const off_t size = lseek(memory.get(), 0, SEEK_END);
  Program().resize(static_cast<size_t>(size) / sizeof(sock_filter));
  return pread(memory.get(), Program().data(), static_cast<size_t>(size), 0) == size ? 0 : EIO;
}

Refusal InstallDefaultFilter() {
  sock_fprog program{static_cast<unsigned short>(Program().size()), Program().data()};
  errno = ENOSYS;
  if (Program().empty() || prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &program) != 0)
    return Failed("seccompProfile RuntimeDefault");
  return {};
}

}  // namespace wherry::warden
