#include "core/scheduler/pod_demand.h"

#include <nlohmann/json.hpp>

#include "core/kinds/pod_rules.h"
#include "core/kinds/storage_view.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// What a container without a request is taken to need, so that such pods spread as well (kube-scheduler's figures).
constexpr int64_t kAssumedMilliCpu = 100;
constexpr int64_t kAssumedMemory = 200 * 1024 * 1024;

Amounts EffectiveRequests(const Json& pod) {
  Amounts amounts;
  for (const auto& [resource, quantity] : PodRequests(pod)) {
    if (resource == "cpu") {
      amounts.milli_cpu = quantity.milli();
    } else if (resource == "memory") {
      amounts.memory = quantity.value();
    } else if (resource == "ephemeral-storage") {
      amounts.ephemeral_storage = quantity.value();
    } else if (!quantity.is_zero()) {
      amounts.AddExtended(resource, quantity.value());
    }
  }
  return amounts;
}

template <typename F>
void ForEachIn(const Json& parent, const char* member, F f) {
  const Json* list = FindPath(parent, member);
  if (list == nullptr || !list->is_array()) return;
  for (const Json& item : *list) f(item);
}

// Runs for the pod's whole life: a container, or an init container that restarts always.
template <typename F>
void ForEachLongRunning(const Json& spec, F f) {
  ForEachIn(spec, "containers", f);
  ForEachIn(spec, "initContainers", [&](const Json& container) {
    if (StringAt(container, "restartPolicy") == "Always") f(container);
  });
}

std::vector<HostPort> ReadHostPorts(const Json& spec) {
  std::vector<HostPort> ports;
  const bool host_network = BoolAt(spec, "hostNetwork");
  ForEachLongRunning(spec, [&](const Json& container) {
    ForEachIn(container, "ports", [&](const Json& port) {
      int64_t number = IntAt(port, "hostPort");
      if (number == 0 && host_network) number = IntAt(port, "containerPort");
      if (number == 0) return;
      std::string ip = StringAt(port, "hostIP");
      if (ip.empty()) ip = HostPort::kAny;
      ports.push_back({std::move(ip), StringAt(port, "protocol", "TCP"), static_cast<int32_t>(number)});
    });
  });
  return ports;
}

// Of a few members that tell templates apart; comparing does the rest.
size_t HashOf(const PodDemand::Request& request) {
  const std::hash<std::string> hash;
  size_t seed = hash(request.ns);
  auto mix = [&seed](size_t value) { seed ^= value + 0x9E3779B97F4A7C15ull + (seed << 6) + (seed >> 2); };
  for (const auto& [key, value] : *request.labels) mix(hash(key) ^ (hash(value) << 1));
  mix(hash(request.owner.uid));
  mix(static_cast<size_t>(request.amounts.milli_cpu));
  mix(static_cast<size_t>(request.amounts.memory));
  mix(static_cast<size_t>(request.priority));
  for (const PodDemand::Claim& claim : request.claims) mix(hash(claim.name));
  for (const NodeTerm& term : request.selection.terms) {
    for (const NodeRequirement& field : term.fields) {
      for (const std::string& name : field.values) mix(hash(name));
    }
  }
  return seed;
}

}  // namespace

PodDemand::PodDemand(const Json& pod) {
  static const Json kEmpty = Json::object();
  const Json* found = FindPath(pod, "spec");
  const Json& spec = found != nullptr ? *found : kEmpty;
  uid = StringAt(pod, "metadata.uid");
  node_name = StringAt(spec, "nodeName");
  nominated_node = StringAt(pod, "status.nominatedNodeName");
  scheduler_name = StringAt(spec, "schedulerName", "default-scheduler");

  MetaView meta(pod);
  request.ns = StringAt(pod, "metadata.namespace");
  if (const OwnerRef* owner = meta.controller()) request.owner = {owner->kind, owner->name, owner->uid};
  request.labels = std::move(meta.labels);
  request.amounts = EffectiveRequests(pod);
  request.host_ports = ReadHostPorts(spec);
  request.selection = ReadNodeSelection(spec);
  request.preferred = ReadPreferredNodeTerms(spec);
  if (const Json* tolerations = FindPath(spec, "tolerations")) request.tolerations = ParseTolerations(*tolerations);
  for (const char* member : {"initContainers", "containers"}) {
    ForEachIn(spec, member, [&](const Json& container) {
      if (std::string image = StringAt(container, "image"); !image.empty()) request.images.push_back(std::move(image));
    });
  }
  if (spec.contains("affinity")) {
    request.affinity = ReadPodAffinity(spec, "podAffinity", request.ns, *request.labels);
    request.anti_affinity = ReadPodAffinity(spec, "podAntiAffinity", request.ns, *request.labels);
  }
  for (std::string& claim : ClaimsOfPod(pod)) request.claims.push_back({std::move(claim), false});
  ForEachIn(spec, "volumes", [&](const Json& volume) {
    if (!volume.contains("ephemeral")) return;
    const std::string name = ClaimOfVolume(volume, StringAt(pod, "metadata.name"));
    for (Claim& claim : request.claims) claim.ephemeral = claim.ephemeral || claim.name == name;
  });
  request.spread = ReadSpreadConstraints(spec, *request.labels);
  request.priority = static_cast<int32_t>(IntAt(spec, "priority"));
  request.never_preempts = StringAt(spec, "preemptionPolicy") == "Never";
  if (const Json* gates = FindPath(spec, "schedulingGates")) request.gated = gates->is_array() && !gates->empty();

  score_milli_cpu = request.amounts.milli_cpu;
  score_memory = request.amounts.memory;
  ForEachLongRunning(spec, [&](const Json& container) {
    const Json* requests = FindPath(container, "resources.requests");
    auto asks = [&](const char* resource) {
      return requests != nullptr && requests->is_object() && requests->contains(resource);
    };
    if (!asks("cpu")) score_milli_cpu += kAssumedMilliCpu;
    if (!asks("memory")) score_memory += kAssumedMemory;
  });

  request_hash = HashOf(request);

  ParseTime(StringAt(pod, "metadata.creationTimestamp"), &creation);
  ParseTime(StringAt(pod, "status.startTime"), &started);
  deleting = !StringAt(pod, "metadata.deletionTimestamp").empty();
  const std::string phase = StringAt(pod, "status.phase");
  finished = phase == "Succeeded" || phase == "Failed";
  if (const Json* conditions = FindPath(pod, "status.conditions"); conditions != nullptr && conditions->is_array()) {
    for (const Json& condition : *conditions) {
      if (StringAt(condition, "type") != "PodScheduled") continue;
      scheduled =
          Condition{StringAt(condition, "status"), StringAt(condition, "reason"), StringAt(condition, "message")};
    }
  }
}

}  // namespace wherry
