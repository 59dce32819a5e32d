#include "core/agent/pod_sandbox.h"

#include <nlohmann/json.hpp>

#include "core/agent/claimed_volumes.h"
#include "core/agent/pod_files.h"
#include "core/kinds/quantity.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

int64_t Allocatable(const Json& node, const char* resource, bool milli) {
  const Json* map = FindPath(node, "status.allocatable");
  if (!map || !map->is_object()) return 0;
  Result<Quantity> quantity = Quantity::Parse(map->value(resource, "0"));
  if (!quantity.ok()) return 0;
  return milli ? quantity->milli() : quantity->value();
}

bool Shows(const Json& volume, const std::string& what) {
  if (what == "pod") return ShowsPod(volume);
  if (what == "tokens") return HasToken(volume);
  return ConfigReferencesOfVolume(volume).contains(what);
}

}  // namespace

PodSandbox::PodSandbox(AgentServices& services, NodeSite& site, const PodInfo& info)
    : services_(services), site_(site), info_(info), place_(PlaceOf(services.options.data_dir, site.name, info)) {}

void PodSandbox::KeepAddress(const std::string& address) {
  if (!address.empty() && site_.addresses && site_.addresses->Reserve(info_.uid, address)) place_.pod_ip = address;
}

Status PodSandbox::Prepare(const Json& pod, bool adopted) {
  place_.node_address = site_.addresses->node_address();
  if (BoolAt(pod, "spec.hostNetwork")) place_.pod_ip = place_.node_address;
  if (place_.pod_ip.empty()) place_.pod_ip = site_.addresses->Allocate(info_.uid);
  if (place_.pod_ip.empty()) {
    return Status::Unavailable("failed to create pod sandbox: no free address on node " + site_.name);
  }
  if (site_.simulated()) {
    if (adopted) return {};
    return CheckClaims(services_.context.client.cache(), pod, place_.node_name);
  }
  ReadNode();
  PodVolumes volumes = Volumes();
  const EnvSources sources = Sources(pod);
  if (adopted) {
    place_.volumes = volumes.Places(sources);
    // What changed while nobody looked. One that has gone meanwhile stays as it was.
    const Status refreshed = volumes.Refresh(
        sources, [](const Json&) { return true; }, services_.context.clock.Now());
    (void)refreshed;
  } else {
    Result<std::map<std::string, std::string>> places = volumes.Prepare(sources);
    if (!places.ok()) return places.status();
    place_.volumes = std::move(*places);
  }
  renewal_ = volumes.NextRenewal(pod);
  return {};
}

void PodSandbox::Release() {
  if (site_.addresses) site_.addresses->Release(info_.uid);
  if (site_.simulated()) return;
  RemovePodFiles(services_.options.data_dir, place_, info_);
  if (const fs::path memory = MemoryVolumes(services_.options.data_dir); !memory.empty()) {
    std::error_code error;
    fs::remove_all(memory / info_.uid, error);
    fs::remove(memory, error);  // when it was the last
  }
}

bool PodSandbox::Follows(const Json& pod, const std::string& what) const {
  if (site_.simulated()) return false;
  const std::vector<Json>& volumes = ListAt(pod, "spec.volumes");
  return std::any_of(volumes.begin(), volumes.end(), [&](const Json& volume) { return Shows(volume, what); });
}

Status PodSandbox::Refresh(const Json& pod, const std::set<std::string>& what) {
  PodVolumes volumes = Volumes();
  const EnvSources sources = Sources(pod);
  const auto follows = [&](const Json& volume) {
    return std::any_of(what.begin(), what.end(), [&](const std::string& one) { return Shows(volume, one); });
  };
  const Status refreshed = volumes.Refresh(sources, follows, services_.context.clock.Now());
  renewal_ = volumes.NextRenewal(pod);
  // A token that could not be had is asked for again a little later.
  const Time soonest = services_.context.clock.Now() + std::chrono::seconds(10);
  if (renewal_ < soonest) renewal_ = soonest;
  return refreshed;
}

void PodSandbox::ReadNode() {
  if (!site_.node) return;
  const JsonPtr node = site_.node->json();
  place_.node_milli_cpu = Allocatable(*node, "cpu", true);
  place_.node_memory = Allocatable(*node, "memory", false);
  place_.node_ephemeral = Allocatable(*node, "ephemeral-storage", false);
}

EnvSources PodSandbox::Sources(const Json& pod) const {
  static const Json none = Json::object();
  return EnvSources{services_.context.client.cache(),
                    pod,
                    none,
                    place_.node_name,
                    place_.node_address,
                    place_.pod_ip,
                    place_.node_milli_cpu,
                    place_.node_memory,
                    place_.node_ephemeral};
}

PodVolumes PodSandbox::Volumes() const {
  fs::path memory = MemoryVolumes(services_.options.data_dir);
  if (!memory.empty()) memory /= info_.uid;
  return PodVolumes(place_.directory / "volumes", std::move(memory), services_.options.tokens);
}

}  // namespace wherry
