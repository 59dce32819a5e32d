#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/kinds/storage_view.h"

namespace wherry {

// What people are told about a claim or a volume, as an Event.
struct Notice {
  bool warning = false;
  std::string reason, message;
  bool empty() const { return reason.empty(); }
  bool operator==(const Notice&) const = default;
};

// Everything that decides about one claim.
struct ClaimFacts {
  const ClaimView& claim;
  const VolumeView* volume = nullptr;         // the one that the claim names, if it is there
  std::vector<const VolumeView*> candidates;  // reserved for the claim, or unclaimed and of its class
  const ClassView* storage_class = nullptr;   // of the claim; null = none, or unknown
  const ClassView* default_class = nullptr;   // of the cluster
  std::string waiting_pod;                    // a pod that uses the claim and has no node yet
  std::string consumer_node;                  // there, of a pod that uses the claim and came past the scheduler
  std::function<bool(const std::string& node)> node_exists;
  // The node for a volume that nobody waits for; "" = none is allowed.
  std::function<std::string()> choose_node;
};

// The next step for one claim. What is empty is left as it is.
struct ClaimPlan {
  const VolumeView* bind = nullptr;        // bind to it, or see to it that the binding is complete
  const VolumeView* grow = nullptr;        // bound to it: let it have the size that the claim asks for now
  std::string phase;                       // Pending or Lost
  std::string assign_class;                // the default class
  std::string announce;                    // the provisioner that is to make a volume
  std::optional<std::string> select_node;  // the annotation: where; "" = take it away, its node is gone
  Notice notice;
};

// Binding and provisioning of claims (upstream's PersistentVolumeController; phases and reasons are its own). Pure.
ClaimPlan PlanClaim(const ClaimFacts& facts);

// The next step for one volume.
struct VolumePlan {
  enum class Unbind : uint8_t { kNo, kForgetUid, kForgetClaim };
  std::string phase;  // Available, Bound, Released or Failed; "" = as it is
  std::string message;
  Unbind unbind = Unbind::kNo;
  Notice notice;
};

// `claim` is the one that claimRef names, by namespace and name; null when there is none. Pure.
VolumePlan PlanVolume(const VolumeView& volume, const ClaimView* claim);

}  // namespace wherry
