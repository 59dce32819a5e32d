#include "core/agent/node_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr const char* kKubeletVersion = "v1.32.0+wherry";

// A stable identity of this node on this machine, in the shape of a UUID.
std::string NodeUuid(const std::string& machine_id, const std::string& name) {
  uint64_t words[2] = {0xcbf29ce484222325, 0x9ae16a3b2f90404f};
  for (uint64_t& word : words) {
    for (const char c : machine_id + "/" + name) word = (word ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%04x-4%03x-8%03x-%012llx", static_cast<unsigned>(words[0] >> 32),
                static_cast<unsigned>(words[0] >> 16 & 0xffff), static_cast<unsigned>(words[0] & 0xfff),
                static_cast<unsigned>(words[1] >> 52), static_cast<unsigned long long>(words[1] & 0xffffffffffff));
  return text;
}

struct Condition {
  const char* type;
  bool bad;  // of the conditions that are good when False; for Ready: not ready
  const char* good_reason;
  const char* good_message;
  const char* bad_reason;
  std::string bad_message;
};

Json RenderCondition(const Condition& condition, const Json& previous, Time now, bool* changed) {
  const bool ready = std::string_view(condition.type) == "Ready";
  Json out = {{"type", condition.type},
              {"status", ready != condition.bad ? "True" : "False"},
              {"reason", condition.bad ? condition.bad_reason : condition.good_reason},
              {"message", condition.bad ? condition.bad_message : condition.good_message}};
  for (const Json& old : previous) {
    if (StringAt(old, "type") != condition.type) continue;
    const bool same = StringAt(old, "status") == out["status"];
    out["lastHeartbeatTime"] = StringAt(old, "lastHeartbeatTime", FormatTime(now));
    out["lastTransitionTime"] = same ? StringAt(old, "lastTransitionTime", FormatTime(now)) : FormatTime(now);
    *changed |= !same || StringAt(old, "reason") != out["reason"] || StringAt(old, "message") != out["message"];
    return out;
  }
  out["lastHeartbeatTime"] = out["lastTransitionTime"] = FormatTime(now);
  *changed = true;
  return out;
}

Json RenderConditions(const NodeFacts& facts, const Json& previous, bool beat, Time now) {
  const Condition conditions[] = {
      {"MemoryPressure", facts.pressure.memory, "KubeletHasSufficientMemory", "kubelet has sufficient memory available",
       "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"},
      {"DiskPressure", facts.pressure.disk, "KubeletHasNoDiskPressure", "kubelet has no disk pressure",
       "KubeletHasDiskPressure", "kubelet has disk pressure"},
      {"PIDPressure", facts.pressure.pid, "KubeletHasSufficientPID", "kubelet has sufficient PID available",
       "KubeletHasInsufficientPID", "kubelet has insufficient PID available"},
      {"Ready", !facts.ready, "KubeletReady", "wherry's node agent is posting ready status", "KubeletNotReady",
       facts.not_ready_message},
  };
  Json out = Json::array();
  for (const Json& old : previous) {
    const std::string type = StringAt(old, "type");
    if (std::none_of(std::begin(conditions), std::end(conditions), [&](const Condition& c) { return type == c.type; }))
      out.push_back(old);
  }
  bool changed = false;
  for (const Condition& condition : conditions) out.push_back(RenderCondition(condition, previous, now, &changed));
  if (changed || beat) {
    for (Json& condition : out) {
      const std::string type = StringAt(condition, "type");
      const bool ours =
          std::any_of(std::begin(conditions), std::end(conditions), [&](const Condition& c) { return type == c.type; });
      if (ours) condition["lastHeartbeatTime"] = FormatTime(now);
    }
  }
  return out;
}

void RenderResources(const NodeFacts& facts, const HostFacts& host, Json& status) {
  const std::pair<const char*, std::string> defaults[] = {
      {"cpu", std::to_string(host.cpus)},
      {"memory", std::to_string(host.memory_bytes / 1024) + "Ki"},
      {"ephemeral-storage", std::to_string(host.storage_bytes / 1024) + "Ki"},
      {"pods", "110"},
  };
  Json& capacity = status["capacity"];
  Json& allocatable = status["allocatable"];
  if (!capacity.is_object()) capacity = Json::object();
  if (!allocatable.is_object()) allocatable = Json::object();
  for (const auto& [name, value] : defaults) {
    const bool said = facts.capacity.contains(name);
    if (said || (facts.simulated && capacity.contains(name))) continue;
    if (capacity.value(name, "") != value || !allocatable.contains(name)) capacity[name] = allocatable[name] = value;
  }
  for (const auto& [name, value] : facts.capacity) {
    if (capacity.value(name, "") != value || !allocatable.contains(name)) capacity[name] = allocatable[name] = value;
  }
}

}  // namespace

Json RenderNodeStatus(const NodeFacts& facts, const HostFacts& host, const Json& previous, bool beat, Time now) {
  Json status = previous.is_object() ? previous : Json::object();
  RenderResources(facts, host, status);
  const Json none = Json::array();
  const Json* conditions = FindPath(status, "conditions");
  status["conditions"] = RenderConditions(facts, conditions && conditions->is_array() ? *conditions : none, beat, now);
  Json addresses = Json::array();
  if (!facts.address.empty()) addresses.push_back({{"type", "InternalIP"}, {"address", facts.address}});
  addresses.push_back({{"type", "Hostname"}, {"address", facts.name}});
  status["addresses"] = std::move(addresses);
  status["nodeInfo"] = {{"machineID", host.machine_id},
                        {"systemUUID", NodeUuid(host.machine_id, facts.name)},
                        {"bootID", host.boot_id},
                        {"kernelVersion", host.kernel_version},
                        {"osImage", host.os_image},
                        {"containerRuntimeVersion", "wherry://" + facts.version},
                        {"kubeletVersion", kKubeletVersion},
                        {"kubeProxyVersion", kKubeletVersion},
                        {"operatingSystem", "linux"},
                        {"architecture", host.architecture}};
  Json images = Json::array();
  for (const std::string& name : facts.images) images.push_back({{"names", {name}}, {"sizeBytes", 0}});
  if (!images.empty()) status["images"] = std::move(images);
  return status;
}

std::map<std::string, std::string> NodeLabels(const std::string& name, const HostFacts& host) {
  return {{"kubernetes.io/hostname", name},
          {"kubernetes.io/os", "linux"},
          {"kubernetes.io/arch", host.architecture},
          {"beta.kubernetes.io/os", "linux"},
          {"beta.kubernetes.io/arch", host.architecture}};
}

}  // namespace wherry
