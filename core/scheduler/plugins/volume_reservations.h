#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/kinds/storage_view.h"
#include "core/scheduler/plugin.h"

namespace wherry::plugins {

// What the VolumeBinding plugin has decided and not stored yet, and the storing of it. A claim of a class that waits
// for its first consumer is bound with its first pod: to a static volume that can be reached from the pod's node, or to
// one that is to be made there. Until that can be read in the cache, later decisions read it here. Control thread only.
class VolumeReservations : public PluginMemory {
 public:
  // What a pod's unbound claim gets on a node.
  struct Choice {
    std::string claim;   // "namespace/name"
    std::string volume;  // "" = one is to be made
  };

  explicit VolumeReservations(RuntimeContext context);
  ~VolumeReservations() override;

  // The node that a claim was given to by a decision that is not stored yet; "" = none.
  const std::string& NodeOf(const std::string& claim) const;
  // Whether a volume is as good as taken, by another claim than this one.
  bool Taken(const VolumeView& volume, const std::string& claim) const;

  void Reserve(const std::string& pod_uid, const std::string& node, std::vector<Choice> choices);
  void Unreserve(const std::string& pod_uid);

  // Stores what was reserved for the pod, and waits until all its claims are bound, the pod is gone, or ten minutes
  // have passed. Then nothing is reserved any more.
  Task<Status> Bind(ObjectPtr pod, std::string node);

  size_t waiting() const { return waiters_.size(); }

 private:
  struct Reservation {
    std::string node;
    std::vector<Choice> choices;
  };
  struct Waiter {
    ObjectPtr pod;
    std::string node;
    std::function<void(Status)> done;
    Clock::TimerId timeout = 0;
  };
  Task<Status> Store(std::string claim_key, std::string volume, std::string node);
  // Ok when all claims are bound, kServiceUnavailable while one is not, another error when it will not be.
  Status Progress(const Object& pod, const std::string& node) const;
  Task<Status> Await(ObjectPtr pod, std::string node);
  // At the claim, for the pods that wait for it.
  void LookAgain(const std::string& claim);
  void OnPod(const Event& event);
  void Finish(const std::string& pod_uid, Status status);

  RuntimeContext context_;
  std::vector<EventBus::HandlerId> handlers_;
  std::unordered_map<std::string, Reservation> reservations_;  // by pod uid
  std::unordered_map<std::string, std::string> nodes_;         // by claim
  std::unordered_map<std::string, std::string> volumes_;       // claim by volume
  std::unordered_map<std::string, Waiter> waiters_;            // by pod uid
  std::unordered_multimap<std::string, std::string> waiting_;  // pod uid by claim
};

}  // namespace wherry::plugins
