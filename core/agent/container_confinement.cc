#include "core/agent/container_confinement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/agent/claimed_volumes.h"
#include "core/agent/pod_env.h"
#include "core/agent/projection.h"
#include "core/kinds/fields.h"
#include "core/kinds/quantity.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

// By number.
constexpr const char* kCapabilities[] = {"CHOWN",
                                         "DAC_OVERRIDE",
                                         "DAC_READ_SEARCH",
                                         "FOWNER",
                                         "FSETID",
                                         "KILL",
                                         "SETGID",
                                         "SETUID",
                                         "SETPCAP",
                                         "LINUX_IMMUTABLE",
                                         "NET_BIND_SERVICE",
                                         "NET_BROADCAST",
                                         "NET_ADMIN",
                                         "NET_RAW",
                                         "IPC_LOCK",
                                         "IPC_OWNER",
                                         "SYS_MODULE",
                                         "SYS_RAWIO",
                                         "SYS_CHROOT",
                                         "SYS_PTRACE",
                                         "SYS_PACCT",
                                         "SYS_ADMIN",
                                         "SYS_BOOT",
                                         "SYS_NICE",
                                         "SYS_RESOURCE",
                                         "SYS_TIME",
                                         "SYS_TTY_CONFIG",
                                         "MKNOD",
                                         "LEASE",
                                         "AUDIT_WRITE",
                                         "AUDIT_CONTROL",
                                         "SETFCAP",
                                         "MAC_OVERRIDE",
                                         "MAC_ADMIN",
                                         "SYSLOG",
                                         "WAKE_ALARM",
                                         "BLOCK_SUSPEND",
                                         "AUDIT_READ",
                                         "PERFMON",
                                         "BPF",
                                         "CHECKPOINT_RESTORE"};

// What containers have unless they say otherwise.
constexpr const char* kUsual[] = {"AUDIT_WRITE", "CHOWN",   "DAC_OVERRIDE",     "FOWNER",    "FSETID",
                                  "KILL",        "MKNOD",   "NET_BIND_SERVICE", "NET_RAW",   "SETFCAP",
                                  "SETGID",      "SETPCAP", "SETUID",           "SYS_CHROOT"};

constexpr uint64_t kAllCapabilities = ~uint64_t{0};

// 0 = no such capability.
uint64_t CapabilityBit(std::string name) {
  if (name.starts_with("CAP_")) name.erase(0, 4);
  const auto found = std::find(std::begin(kCapabilities), std::end(kCapabilities), name);
  return found == std::end(kCapabilities) ? 0 : uint64_t{1} << (found - std::begin(kCapabilities));
}

uint64_t UsualCapabilities() {
  uint64_t mask = 0;
  for (const char* name : kUsual) mask |= CapabilityBit(name);
  return mask;
}

// A setting of the container, or else of its pod.
const Json* Setting(const Json& pod, const Json& container, const std::string& field) {
  const Json* own = FindPath(container, "securityContext." + field);
  return own && !own->is_null() ? own : FindPath(pod, "spec.securityContext." + field);
}

int64_t IntSetting(const Json& pod, const Json& container, const std::string& field) {
  const Json* found = Setting(pod, container, field);
  return found && found->is_number() ? found->get<int64_t>() : -1;
}

Status Impossible(std::string message) { return ContainerRefusal("CreateContainerError", std::move(message)); }

Status PlanCapabilities(const Json& container, AgentUser agent, warden::Confinement& confinement,
                        std::vector<std::string>& notes) {
  const bool privileged = BoolAt(container, "securityContext.privileged");
  const bool sandbox = confinement.sandbox;
  const uint64_t usual = privileged || !sandbox ? kAllCapabilities : UsualCapabilities();
  uint64_t mask = usual;
  for (const Json& name : ListAt(container, "securityContext.capabilities.drop")) {
    if (name == "ALL") mask = 0;
    mask &= ~CapabilityBit(name.get<std::string>());
  }
  std::string beyond;
  for (const Json& name : ListAt(container, "securityContext.capabilities.add")) {
    const uint64_t bit = name == "ALL" ? kAllCapabilities : CapabilityBit(name.get<std::string>());
    if (bit == 0) return Impossible("unknown capability \"" + name.get<std::string>() + "\"");
    // In a user namespace that one reaches what is in it and no further.
    if (sandbox && !agent.root() && bit == CapabilityBit("SYS_PTRACE")) {
      mask |= bit;
      continue;
    }
    if ((UsualCapabilities() & bit) != bit) beyond += (beyond.empty() ? "" : ", ") + name.get<std::string>();
    mask |= bit;
  }
  if (!agent.root()) {
    if (privileged) beyond = "those of a privileged container";
    if (!beyond.empty() && sandbox) return Impossible("capabilities cannot be given without root: " + beyond);
    if (!beyond.empty()) notes.push_back("capabilities cannot be given without root: " + beyond);
    // A plain process of an ordinary user has none to lose.
    if (!sandbox) return {};
  }
  confinement.limit_capabilities = mask != kAllCapabilities;
  confinement.capabilities = confinement.limit_capabilities ? mask : 0;
  return {};
}

Status PlanSystemCalls(const Json& pod, const Json& container, warden::Confinement& confinement) {
  const Json* profile = Setting(pod, container, "seccompProfile");
  const std::string type = profile ? StringAt(*profile, "type") : "";
  if (type == "Localhost") {
    return Impossible("seccompProfile " + StringAt(*profile, "localhostProfile") +
                      ": profiles from files are not offered on this node");
  }
  confinement.default_system_calls = type == "RuntimeDefault" && !BoolAt(container, "securityContext.privileged");
  return {};
}

int64_t Limit(const Json& container, const char* resource, bool milli) {
  const Json* limits = FindPath(container, "resources.limits");
  if (!limits || !limits->is_object() || !limits->contains(resource)) return 0;
  const Result<Quantity> quantity = Quantity::Parse(limits->value(resource, "0"));
  if (!quantity.ok()) return 0;
  return milli ? quantity->milli() : quantity->value();
}

}  // namespace

Result<bool> WantsSandbox(const WatchCache& cache, const Json& pod) {
  const std::string name = StringAt(pod, "spec.runtimeClassName");
  if (name.empty()) return false;
  const ObjectPtr found = cache.Get(resources::kRuntimeClasses, "", name);
  if (!found) return Impossible("RuntimeClass \"" + name + "\" not found");
  const std::string handler = StringAt(*found->json(), "handler");
  if (handler != "host" && handler != "sandbox") {
    return Impossible("RuntimeClass \"" + name + "\": no runtime for handler \"" + handler +
                      "\": this node has \"host\" and \"sandbox\"");
  }
  return handler == "sandbox";
}

std::vector<warden::Mount> PlanMounts(const Json& pod, const Json& container, const MountMap& places) {
  std::vector<warden::Mount> mounts;
  for (const Json& mount : ListAt(container, "volumeMounts")) {
    std::string target = fs::path("/" + StringAt(mount, "mountPath")).lexically_normal().string();
    while (target.size() > 1 && target.ends_with('/')) target.pop_back();
    if (target.starts_with("//")) target.erase(0, 1);
    std::string written = StringAt(mount, "mountPath");
    while (written.size() > 1 && written.ends_with('/')) written.pop_back();
    const auto place =
        std::find_if(places.begin(), places.end(), [&](const auto& pair) { return pair.first == written; });
    if (place == places.end()) continue;
    bool read_only = BoolAt(mount, "readOnly");
    for (const Json& volume : ListAt(pod, "spec.volumes")) {
      if (StringAt(volume, "name") != StringAt(mount, "name")) continue;
      read_only = read_only || IsProjection(volume) || BoolAt(volume, "persistentVolumeClaim.readOnly");
    }
    mounts.push_back({place->second, std::move(target), read_only});
  }
  std::sort(mounts.begin(), mounts.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
  return mounts;
}

Status PlanSecurity(const Json& pod, const Json& container, AgentUser agent, int64_t image_user, int64_t image_group,
                    ContainerSpec& spec, std::vector<std::string>& notes) {
  warden::Confinement& confinement = spec.confinement;
  const std::string name = StringAt(container, "name");
  int64_t user = IntSetting(pod, container, "runAsUser");
  int64_t group = IntSetting(pod, container, "runAsGroup");
  const bool asked_user = user >= 0;
  if (user < 0 && agent.root()) {
    user = image_user;
    if (group < 0) group = image_group;
  }
  const Json* non_root = Setting(pod, container, "runAsNonRoot");
  if (non_root && non_root->is_boolean() && non_root->get<bool>()) {
    const std::string where = "(pod: \"" + StringAt(pod, "metadata.name") + "_" + StringAt(pod, "metadata.namespace") +
                              "(" + StringAt(pod, "metadata.uid") + ")\", container: " + name + ")";
    if (user == 0 && asked_user) {
      return ContainerRefusal("CreateContainerConfigError", "container's runAsUser breaks non-root policy " + where);
    }
    if (user == 0 || (user < 0 && agent.root())) {
      return ContainerRefusal("CreateContainerConfigError",
                              "container has runAsNonRoot and image will run as root " + where);
    }
    if (user < 0 && confinement.sandbox) user = agent.uid;
  }

  std::vector<int64_t> groups;
  for (const Json& one : ListAt(pod, "spec.securityContext.supplementalGroups")) groups.push_back(one.get<int64_t>());
  const int64_t fs_group = IntAt(pod, "spec.securityContext.fsGroup", -1);
  if (fs_group >= 0) groups.push_back(fs_group);
  if (agent.root()) {
    spec.run_as_user = user;
    spec.run_as_group = group >= 0 ? group : user;
    confinement.groups = std::move(groups);
  } else if (confinement.sandbox) {
    // The one user there is can have any number in a user namespace of its own.
    spec.run_as_user = user;
    spec.run_as_group = group;
    if (groups.size() > (fs_group >= 0 ? 1U : 0U)) return Impossible("supplementalGroups cannot be given without root");
  } else {
    const auto note = [&](const std::string& what) {
      notes.push_back("container " + name + " asks to run as " + what + "; without root it runs as user " +
                      std::to_string(agent.uid));
    };
    if (user >= 0 && user != agent.uid) note("user " + std::to_string(user));
    if (user < 0 && group >= 0 && group != agent.gid) note("group " + std::to_string(group));
    if (groups.size() > (fs_group >= 0 ? 1U : 0U)) note("a member of supplementalGroups");
  }

  Status status = PlanCapabilities(container, agent, confinement, notes);
  if (status.ok()) status = PlanSystemCalls(pod, container, confinement);
  if (!status.ok()) return status;
  confinement.read_only_root = BoolAt(container, "securityContext.readOnlyRootFilesystem");
  if (confinement.read_only_root && !confinement.sandbox) {
    notes.push_back("container " + name +
                    " asks for a read-only root file system, which only the sandbox has (runtimeClassName: sandbox)");
  }
  if (confinement.sandbox) {
    confinement.host_pid = BoolAt(pod, "spec.hostPID");
    confinement.host_ipc = BoolAt(pod, "spec.hostIPC");
  }
  return {};
}

Status PlanLimits(const Json& pod, const Json& container, int64_t max_pids, warden::Confinement& confinement) {
  confinement.memory_limit = Limit(container, "memory", false);
  confinement.cpu_limit = Limit(container, "cpu", true);
  if (confinement.sandbox)
    confinement.scratch_bytes = static_cast<uint64_t>(Limit(container, "ephemeral-storage", false));
  const auto& annotations = MapAt(pod, "metadata.annotations");
  if (const auto said = annotations.find(kMaxPidsKey); said != annotations.end() && said->second.is_string()) {
    const std::string text = said->second.get<std::string>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), max_pids);
    if (error != std::errc() || end != text.data() + text.size() || max_pids < -1) {
      return ContainerRefusal("CreateContainerConfigError", "annotation " + std::string(kMaxPidsKey) + " is \"" + text +
                                                                "\", not a number of processes");
    }
  }
  confinement.pids_limit = std::max<int64_t>(0, max_pids);
  return {};
}

}  // namespace wherry
