#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/registry/indexes.h"
#include "core/scheduler/node_selection.h"
#include "core/scheduler/plugins/plugins.h"
#include "core/scheduler/plugins/volume_reservations.h"

// VolumeBinding: a pod goes where the volumes of its claims can be reached. Claims that wait for their first consumer
// are bound with the pod, as upstream's plugin of this name does it (KEP-490).
namespace wherry::plugins {
namespace {

using Choice = VolumeReservations::Choice;

// A claim that is to be bound together with the pod.
struct Unbound {
  ObjectPtr claim;
  ObjectPtr storage_class;
  std::string node;       // where it is to be, if that is decided; "" = it is free
  bool promised = false;  // by a decision that is being stored
  std::vector<ObjectPtr> candidates;
};

struct Volumes : PluginState {
  std::vector<CompiledNodeSelection> reachable;  // where each bound volume is
  std::vector<Unbound> unbound;                  // smallest first, so that they leave the large volumes to the others
  const WatchCache* cache = nullptr;
  const VolumeReservations* reservations = nullptr;
};

CompiledNodeSelection Reachable(const VolumeView& volume, const Symbols& symbols) {
  Json spec;
  spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = volume.node_selector;
  return CompiledNodeSelection(ReadNodeSelection(spec), symbols);
}

// "" or why no node will do, in upstream's words.
std::string AddClaim(const PodDemand& pod, const PodDemand::Claim& used, const ClusterView& cluster, Volumes& volumes) {
  const WatchCache& cache = *cluster.cache;
  ObjectPtr claim = cache.Get(resources::kPersistentVolumeClaims, pod.request.ns, used.name);
  if (!claim) {
    if (used.ephemeral) {
      return "waiting for ephemeral volume controller to create the persistentvolumeclaim \"" + used.name + "\"";
    }
    return "persistentvolumeclaim \"" + used.name + "\" not found";
  }
  const ClaimView& view = claim->view<ClaimView>();
  if (view.phase == "Lost") {
    return "persistentvolumeclaim \"" + used.name + "\" bound to non-existent persistentvolume \"" + view.volume_name +
           "\"";
  }
  if (view.deleting) return "persistentvolumeclaim \"" + used.name + "\" is being deleted";
  if (view.bound()) {
    const ObjectPtr volume = cache.Get(resources::kPersistentVolumes, "", view.volume_name);
    if (!volume) return "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
    const VolumeView& bound = volume->view<VolumeView>();
    if (!bound.node_selector.is_null()) volumes.reachable.push_back(Reachable(bound, cluster.snapshot.symbols()));
    return "";
  }
  ObjectPtr storage_class =
      view.class_name().empty() ? ObjectPtr() : cache.Get(resources::kStorageClasses, "", view.class_name());
  if (!storage_class || !storage_class->view<ClassView>().waits_for_consumer || !view.volume_name.empty()) {
    return "pod has unbound immediate PersistentVolumeClaims";
  }
  Unbound unbound;
  if (volumes.reservations != nullptr) unbound.node = volumes.reservations->NodeOf(view.key());
  unbound.promised = !unbound.node.empty();
  if (unbound.node.empty()) unbound.node = view.selected_node;
  unbound.candidates = cache.ByIndex(kIndexVolumeClaim, view.key());
  for (ObjectPtr& free : cache.ByIndex(kIndexVolumeClaim, view.class_name())) {
    unbound.candidates.push_back(std::move(free));
  }
  unbound.claim = std::move(claim);
  unbound.storage_class = std::move(storage_class);
  volumes.unbound.push_back(std::move(unbound));
  return "";
}

PreFilter PreFilterVolumes(const PodDemand& pod, const ClusterView& cluster) {
  PreFilter result;
  if (pod.request.claims.empty() || cluster.cache == nullptr) {
    result.skip = true;
    return result;
  }
  result.once = true;  // what others reserve meanwhile changes it
  auto volumes = std::make_unique<Volumes>();
  volumes->cache = cluster.cache;
  volumes->reservations = cluster.memory<VolumeReservations>(kVolumeBinding);
  for (const PodDemand::Claim& used : pod.request.claims) {
    result.refusal = AddClaim(pod, used, cluster, *volumes);
    if (!result.refusal.empty()) return result;
  }
  std::stable_sort(volumes->unbound.begin(), volumes->unbound.end(), [](const Unbound& a, const Unbound& b) {
    return a.claim->view<ClaimView>().requested.Compare(b.claim->view<ClaimView>().requested) < 0;
  });
  result.skip = volumes->reachable.empty() && volumes->unbound.empty();
  result.state = std::move(volumes);
  return result;
}

// What the unbound claims would get on the node, in `choices` when given; false when one gets nothing.
bool Choose(const Volumes& volumes, const std::string& node, std::vector<Choice>* choices) {
  JsonPtr document;  // of the node, read only where it matters
  const auto node_document = [&]() -> const Json& {
    if (!document) {
      const ObjectPtr object = volumes.cache->Get(resources::kNodes, "", node);
      document = object ? object->json() : std::make_shared<const Json>();
    }
    return *document;
  };
  std::vector<std::string_view> chosen;
  for (const Unbound& unbound : volumes.unbound) {
    const ClaimView& claim = unbound.claim->view<ClaimView>();
    if (!unbound.node.empty() && unbound.node != node) return false;
    if (unbound.promised) continue;
    const VolumeView* match = nullptr;
    if (!unbound.candidates.empty() && unbound.node.empty()) {
      std::vector<const VolumeView*> views;
      for (const ObjectPtr& candidate : unbound.candidates) views.push_back(&candidate->view<VolumeView>());
      match = BestMatch(claim, views, &node_document(), false, [&](const VolumeView& volume) {
        const bool reserved = volumes.reservations != nullptr && volumes.reservations->Taken(volume, claim.key());
        return reserved || std::find(chosen.begin(), chosen.end(), volume.name) != chosen.end();
      });
    }
    if (match != nullptr) {
      chosen.push_back(match->name);
    } else {
      const ClassView& storage_class = unbound.storage_class->view<ClassView>();
      if (storage_class.provisioner.empty() || storage_class.provisioner == storage::kNoProvisioner) return false;
      if (!storage_class.topologies.is_null() && !storage_class.AllowsNode(node_document())) return false;
    }
    if (choices != nullptr) choices->push_back({claim.key(), match != nullptr ? match->name : ""});
  }
  return true;
}

bool FilterVolumes(const PluginState* state, const PodDemand&, const NodeInfo& node, Refusal& refusal) {
  const Volumes& volumes = *static_cast<const Volumes*>(state);
  for (const CompiledNodeSelection& reachable : volumes.reachable) {
    if (reachable.Matches(node)) continue;
    refusal.Add("node(s) had volume node affinity conflict");
    refusal.SetUnresolvable();
    return false;
  }
  if (Choose(volumes, node.name, nullptr)) return true;
  refusal.Add("node(s) didn't find available persistent volumes to bind");
  refusal.SetUnresolvable();
  return false;
}

Status ReserveVolumes(const ObjectPtr& pod, const NodeInfo& node, const ClusterView& cluster) {
  auto* reservations = cluster.memory<VolumeReservations>(kVolumeBinding);
  const PodDemand& demand = pod->view<PodDemand>();
  if (reservations == nullptr || demand.request.claims.empty()) return Status();
  const PreFilter prepared = PreFilterVolumes(demand, cluster);
  if (prepared.skip) return Status();
  std::vector<Choice> choices;
  if (!prepared.refusal.empty() || !Choose(*static_cast<const Volumes*>(prepared.state.get()), node.name, &choices)) {
    return Status(Reason::kConflict, "the claims of the pod have changed");
  }
  reservations->Reserve(pod->uid(), node.name, std::move(choices));
  return Status();
}

void UnreserveVolumes(const ObjectPtr& pod, const std::string&, const ClusterView& cluster) {
  if (auto* reservations = cluster.memory<VolumeReservations>(kVolumeBinding)) reservations->Unreserve(pod->uid());
}

Task<Status> BindVolumes(RuntimeContext, ObjectPtr pod, std::string node, PluginMemory* memory) {
  if (memory == nullptr) co_return Status();
  Status bound = co_await static_cast<VolumeReservations*>(memory)->Bind(std::move(pod), std::move(node));
  co_return bound;
}

bool Uses(const PodDemand& pod, std::string_view ns, std::string_view claim) {
  return pod.request.ns == ns && std::any_of(pod.request.claims.begin(), pod.request.claims.end(),
                                             [&](const PodDemand::Claim& used) { return used.name == claim; });
}

// A volume that is nobody's may suit anybody; one that is somebody's helps the pods of that claim.
bool VolumeHelps(const PodDemand& pod, const Event& event) {
  const VolumeView& volume = event.object->view<VolumeView>();
  return !volume.claimed || Uses(pod, volume.claim_ns, volume.claim_name);
}

bool ClaimHelps(const PodDemand& pod, const Event& event) {
  return Uses(pod, event.object->ns(), event.object->name());
}

bool HasClaims(const PodDemand::Request& request) { return !request.claims.empty(); }

constexpr ResourceWatch kWatches[] = {
    {.resource = resources::kPersistentVolumeClaims, .helps = ClaimHelps, .concerns = HasClaims},
    {.resource = resources::kPersistentVolumes, .helps = VolumeHelps, .concerns = HasClaims},
    {.resource = resources::kStorageClasses, .concerns = HasClaims},
};

}  // namespace

const Plugin kVolumeBinding{
    .name = "VolumeBinding",
    .events = kNodeAdded | kNodeLabels,
    .node_local = false,
    .pre_filter = PreFilterVolumes,
    .filter = FilterVolumes,
    .watches = kWatches,
    .reserve = ReserveVolumes,
    .unreserve = UnreserveVolumes,
    .pre_bind = BindVolumes,
    .needs_pre_bind = [](const PodDemand& pod) { return !pod.request.claims.empty(); },
    .make_memory = [](RuntimeContext context) -> std::unique_ptr<PluginMemory> {
      return std::make_unique<VolumeReservations>(context);
    },
};

}  // namespace wherry::plugins
