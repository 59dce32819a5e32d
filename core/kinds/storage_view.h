#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/kinds/quantity.h"
#include "core/kinds/selector.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// The marks that the parts of the cluster leave for each other on volumes and claims. The names are upstream's.
namespace storage {
inline constexpr std::string_view kBindCompleted = "pv.kubernetes.io/bind-completed";
inline constexpr std::string_view kBoundByController = "pv.kubernetes.io/bound-by-controller";
inline constexpr std::string_view kProvisionedBy = "pv.kubernetes.io/provisioned-by";
inline constexpr std::string_view kSelectedNode = "volume.kubernetes.io/selected-node";
inline constexpr std::string_view kProvisioner = "volume.kubernetes.io/storage-provisioner";
inline constexpr std::string_view kBetaProvisioner = "volume.beta.kubernetes.io/storage-provisioner";
inline constexpr std::string_view kDefaultClass = "storageclass.kubernetes.io/is-default-class";

inline constexpr std::string_view kPvcProtection = "kubernetes.io/pvc-protection";
inline constexpr std::string_view kPvProtection = "kubernetes.io/pv-protection";
// On volumes that wherry made: their directory is still there.
inline constexpr std::string_view kDirectoryFinalizer = "wherry.dev/local-volume";

inline constexpr std::string_view kLocalProvisioner = "wherry.dev/local";
inline constexpr std::string_view kLocalClass = "wherry-local";
inline constexpr std::string_view kNoProvisioner = "kubernetes.io/no-provisioner";
}  // namespace storage

// What binding looks at in a StorageClass: `object->view<ClassView>()`.
struct ClassView {
  ClassView() = default;
  explicit ClassView(const Json& storage_class);

  std::string name, provisioner;
  std::string reclaim_policy = "Delete";
  bool waits_for_consumer = false;  // WaitForFirstConsumer, else Immediate
  bool expands = false;
  bool is_default = false;
  Time created{};
  // allowedTopologies as a NodeSelector; null = every node.
  Json topologies;

  bool AllowsNode(const Json& node) const;
};

// What binding looks at in a PersistentVolumeClaim: `object->view<ClaimView>()`.
struct ClaimView {
  ClaimView() = default;
  explicit ClaimView(const Json& claim);

  std::string ns, name, uid;
  std::vector<std::string> access_modes;
  Quantity requested;  // spec.resources.requests.storage
  Quantity capacity;   // status.capacity.storage
  std::optional<LabelSelector> selector;
  std::string volume_name;
  std::optional<std::string> storage_class;  // absent = the default one, "" = none
  std::string volume_mode = "Filesystem";
  std::string phase;
  std::string selected_node, provisioner;  // annotations
  bool bind_completed = false;
  bool bound_by_controller = false;
  bool deleting = false;
  bool from_source = false;  // dataSource or dataSourceRef is given

  std::string class_name() const { return storage_class.value_or(""); }
  bool bound() const { return bind_completed && !volume_name.empty(); }
  std::string key() const { return ns + "/" + name; }
};

// What binding looks at in a PersistentVolume: `object->view<VolumeView>()`.
struct VolumeView {
  VolumeView() = default;
  explicit VolumeView(const Json& volume);

  std::string name, uid;
  Quantity capacity;
  std::vector<std::string> access_modes;
  std::string storage_class;
  std::string volume_mode = "Filesystem";
  std::string reclaim_policy = "Retain";
  Labels labels;
  Json node_selector;    // nodeAffinity.required; null = reachable from everywhere
  bool claimed = false;  // claimRef is given
  std::string claim_ns, claim_name, claim_uid;
  std::string phase;
  std::string provisioned_by;
  std::string path;  // of a hostPath or local volume; "" = of another type
  std::string host_path_type;
  bool bound_by_controller = false;
  bool deleting = false;
  bool protected_in_use = false;  // has the finalizer kPvProtection
  bool has_directory = false;     // has the finalizer kDirectoryFinalizer

  // claimRef names this claim, and no other of its name before or after it.
  bool IsFor(const ClaimView& claim) const;
  std::string claim_key() const { return claim_ns + "/" + claim_name; }
  bool ReachableFrom(const Json& node) const;
};

// "" when the volume satisfies the claim, or why not, in upstream's words: "requested PV is too small".
std::string Mismatch(const ClaimView& claim, const VolumeView& volume);

// The volume to bind the claim to: one that is reserved for it, else, unless `only_reserved`, the smallest available
// one that satisfies it; of equal ones the first by name. `node` is given when the choice is for that node. Null when
// there is none. Volumes that `taken` says yes to are passed over.
const VolumeView* BestMatch(const ClaimView& claim, std::span<const VolumeView* const> volumes, const Json* node,
                            bool only_reserved, const std::function<bool(const VolumeView&)>& taken = {});

// The document of a volume with claimRef pointing at the claim; the annotation tells the two who made the match apart.
Json ReservedFor(Json volume, const Json& claim);

// The claim a pod's volume stands for: of a persistentVolumeClaim volume the one it names, of an ephemeral one
// "<pod>-<volume>"; "" for other volumes.
std::string ClaimOfVolume(const Json& volume, std::string_view pod_name);
// The claims of all its volumes, each once, in order.
std::vector<std::string> ClaimsOfPod(const Json& pod);

}  // namespace wherry
