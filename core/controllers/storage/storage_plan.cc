#include "core/controllers/storage/storage_plan.h"

namespace wherry {
namespace {

Notice Normal(std::string reason, std::string message) { return {false, std::move(reason), std::move(message)}; }
Notice Warning(std::string reason, std::string message) { return {true, std::move(reason), std::move(message)}; }

ClaimPlan Pending(Notice notice = {}) {
  ClaimPlan plan;
  plan.phase = "Pending";
  plan.notice = std::move(notice);
  return plan;
}

ClaimPlan Lost(Notice notice) {
  ClaimPlan plan;
  plan.phase = "Lost";
  plan.notice = std::move(notice);
  return plan;
}

ClaimPlan BindTo(const VolumeView* volume) {
  ClaimPlan plan;
  plan.bind = volume;
  return plan;
}

// A claim that had its volume once.
ClaimPlan PlanBound(const ClaimFacts& facts) {
  const ClaimView& claim = facts.claim;
  const bool told = claim.phase == "Lost";
  if (claim.volume_name.empty()) {
    return Lost(
        told ? Notice()
             : Warning("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"));
  }
  if (facts.volume == nullptr) {
    return Lost(told ? Notice()
                     : Warning("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"));
  }
  const VolumeView& volume = *facts.volume;
  if (volume.claimed && !volume.IsFor(claim)) {
    return Lost(
        told ? Notice()
             : Warning("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly"));
  }
  ClaimPlan plan = BindTo(&volume);
  if (claim.phase == "Bound" && !claim.deleting && claim.capacity.Compare(claim.requested) < 0) {
    if (volume.provisioned_by == storage::kLocalProvisioner) {
      plan.grow = &volume;
    } else if (volume.capacity.Compare(claim.requested) < 0) {
      plan.notice = Normal("ExternalExpanding", "waiting for an external controller to expand this PVC");
    }
  }
  return plan;
}

// A claim that asks for one volume by name.
ClaimPlan PlanNamed(const ClaimFacts& facts) {
  const ClaimView& claim = facts.claim;
  if (facts.volume == nullptr) return Pending();
  const VolumeView& volume = *facts.volume;
  if (!volume.claimed) {
    const std::string why = Mismatch(claim, volume);
    if (why.empty()) return BindTo(&volume);
    return Pending(Warning("VolumeMismatch", "Cannot bind to requested volume \"" + volume.name + "\": " + why));
  }
  if (volume.IsFor(claim)) return BindTo(&volume);
  return Pending(Warning("FailedBinding", "volume \"" + volume.name + "\" already bound to a different claim."));
}

// No volume is there: its class's provisioner shall make one.
ClaimPlan PlanProvisioning(const ClaimFacts& facts) {
  const ClaimView& claim = facts.claim;
  const ClassView* storage_class = facts.storage_class;
  if (storage_class == nullptr) {
    return Pending(
        Warning("ProvisioningFailed", "storageclass.storage.k8s.io \"" + claim.class_name() + "\" not found"));
  }
  const std::string& provisioner = storage_class->provisioner;
  if (provisioner.starts_with("kubernetes.io/")) {  // built into Kubernetes, not into wherry
    return Pending(Warning("ProvisioningFailed", "no volume plugin matched name: " + provisioner));
  }
  const bool local = provisioner == storage::kLocalProvisioner;
  if (!claim.selected_node.empty() && !facts.node_exists(claim.selected_node)) {
    ClaimPlan plan = Pending();
    plan.select_node = "";
    return plan;
  }
  ClaimPlan plan = Pending(
      Normal("ExternalProvisioning",
             "Waiting for a volume to be created either by the external provisioner '" + provisioner +
                 "' or manually by the system administrator. If volume creation is delayed, please verify that the "
                 "provisioner is running and correctly registered."));
  if (claim.selected_node.empty() && !facts.consumer_node.empty()) {
    plan.select_node = facts.consumer_node;  // its first consumer is there already
  } else if (local && claim.selected_node.empty()) {
    // Its volumes are on one node each, so with volumeBindingMode Immediate somebody has to choose one.
    const std::string node = facts.choose_node();
    if (node.empty()) return Pending(Warning("ProvisioningFailed", "no node is there that the storage class allows"));
    plan.select_node = node;
  }
  plan.announce = provisioner;
  // What wherry makes itself is there in a moment, and tells of itself.
  if (local) plan.notice = {};
  return plan;
}

ClaimPlan PlanUnbound(const ClaimFacts& facts) {
  const ClaimView& claim = facts.claim;
  if (!claim.volume_name.empty()) return PlanNamed(facts);
  const bool waits = facts.storage_class != nullptr && facts.storage_class->waits_for_consumer;
  if (const VolumeView* volume = BestMatch(claim, facts.candidates, nullptr, waits)) return BindTo(volume);
  if (!claim.storage_class && facts.default_class != nullptr) {
    ClaimPlan plan;
    plan.assign_class = facts.default_class->name;
    return plan;
  }
  if (waits && claim.selected_node.empty() && facts.consumer_node.empty()) {
    return Pending(facts.waiting_pod.empty()
                       ? Normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
                       : Normal("WaitForPodScheduled", "waiting for pod " + facts.waiting_pod + " to be scheduled"));
  }
  if (!claim.class_name().empty()) return PlanProvisioning(facts);
  return Pending(Normal("FailedBinding", "no persistent volumes available for this claim and no storage class is set"));
}

// Nobody claims the volume any more.
VolumePlan PlanReleased(const VolumeView& volume) {
  VolumePlan plan;
  if (volume.phase == "Failed") return plan;
  plan.phase = "Released";
  if (volume.reclaim_policy == "Retain" || volume.deleting) return plan;
  if (volume.reclaim_policy == "Delete" && !volume.provisioned_by.empty()) return plan;  // its provisioner deletes it
  plan.phase = "Failed";
  if (volume.reclaim_policy == "Recycle") {
    plan.message = "No recycler plugin found for the volume!";
    plan.notice = Warning("VolumeFailedRecycle", plan.message);
  } else {
    plan.message = "error getting deleter volume plugin for volume \"" + volume.name + "\": no volume plugin matched";
    plan.notice = Warning("VolumeFailedDelete", plan.message);
  }
  return plan;
}

}  // namespace

ClaimPlan PlanClaim(const ClaimFacts& facts) {
  if (facts.claim.bind_completed) return PlanBound(facts);
  if (facts.claim.deleting) return {};  // it goes as it is
  return PlanUnbound(facts);
}

VolumePlan PlanVolume(const VolumeView& volume, const ClaimView* claim) {
  VolumePlan plan;
  if (!volume.claimed || volume.claim_uid.empty()) {
    plan.phase = "Available";
    return plan;
  }
  if (claim == nullptr || claim->uid != volume.claim_uid) return PlanReleased(volume);
  if (claim->volume_name == volume.name) {
    plan.phase = "Bound";
  } else if (!claim->volume_name.empty()) {
    // The claim took another volume. One that was made for it serves nobody; others are free again.
    if (!volume.provisioned_by.empty() && volume.reclaim_policy == "Delete") return PlanReleased(volume);
    plan.phase = "Available";
    plan.unbind = volume.bound_by_controller ? VolumePlan::Unbind::kForgetClaim : VolumePlan::Unbind::kForgetUid;
  }
  return plan;  // else the binding is under way
}

}  // namespace wherry
