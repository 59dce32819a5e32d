#include "core/scheduler/plugins/volume_reservations.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/resources.h"
#include "core/runtime/await.h"
#include "core/runtime/object_view.h"

namespace wherry::plugins {
namespace {

// kube-scheduler's bindTimeoutSeconds.
constexpr Duration kBindTimeout = std::chrono::seconds(600);

const std::string kClaims(resources::kPersistentVolumeClaims);
const std::string kVolumes(resources::kPersistentVolumes);

Status Unfinished() { return Status(Reason::kServiceUnavailable, "claims are being bound"); }

}  // namespace

VolumeReservations::VolumeReservations(RuntimeContext context) : context_(context) {
  EventBus& events = context_.client.events();
  handlers_.push_back(events.AddHandler(kClaims, [this](const Event& event) { LookAgain(KeyOf(*event.object)); }));
  handlers_.push_back(events.AddHandler(resources::kPods, [this](const Event& event) { OnPod(event); }));
}

VolumeReservations::~VolumeReservations() {
  for (EventBus::HandlerId id : handlers_) context_.client.events().RemoveHandler(id);
  for (const auto& [uid, waiter] : waiters_) context_.clock.Cancel(waiter.timeout);
}

const std::string& VolumeReservations::NodeOf(const std::string& claim) const {
  static const std::string kNowhere;
  const auto it = nodes_.find(claim);
  return it == nodes_.end() ? kNowhere : it->second;
}

bool VolumeReservations::Taken(const VolumeView& volume, const std::string& claim) const {
  const auto it = volumes_.find(volume.name);
  return it != volumes_.end() && it->second != claim;
}

void VolumeReservations::Reserve(const std::string& pod_uid, const std::string& node, std::vector<Choice> choices) {
  if (choices.empty()) return;
  for (const Choice& choice : choices) {
    nodes_[choice.claim] = node;
    if (!choice.volume.empty()) volumes_[choice.volume] = choice.claim;
  }
  reservations_[pod_uid] = {node, std::move(choices)};
}

void VolumeReservations::Unreserve(const std::string& pod_uid) {
  const auto it = reservations_.find(pod_uid);
  if (it == reservations_.end()) return;
  for (const Choice& choice : it->second.choices) {
    nodes_.erase(choice.claim);
    if (!choice.volume.empty()) volumes_.erase(choice.volume);
  }
  const std::vector<Choice> given_back = std::move(it->second.choices);
  reservations_.erase(it);
  for (const Choice& choice : given_back) LookAgain(choice.claim);  // pods that counted on it
}

Task<Status> VolumeReservations::Bind(ObjectPtr pod, std::string node) {
  std::vector<Choice> choices;
  if (const auto it = reservations_.find(pod->uid()); it != reservations_.end()) choices = it->second.choices;
  Status status;
  for (const Choice& choice : choices) {
    status = co_await Store(choice.claim, choice.volume, node);
    if (!status.ok()) break;
  }
  if (status.ok()) status = Progress(*pod, node);
  if (status.reason() == Reason::kServiceUnavailable) status = co_await Await(pod, node);
  Unreserve(pod->uid());
  const bool moved_on = status.reason() == Reason::kConflict || status.reason() == Reason::kNotFound;
  if (status.ok() || moved_on) co_return status;
  co_return Status(status.reason(), "running PreBind plugin \"VolumeBinding\": binding volumes: " + status.message());
}

Task<Status> VolumeReservations::Store(std::string claim_key, std::string volume, std::string node) {
  const auto [ns, name] = SplitKey(claim_key);
  const WatchCache& cache = context_.client.cache();
  const ObjectPtr claim = cache.Get(kClaims, ns, name);
  if (!claim) co_return Status::NotFound("persistentvolumeclaims", "", name);
  const ClaimView& view = claim->view<ClaimView>();
  if (view.bound()) co_return Status();
  if (!volume.empty()) {
    const ObjectPtr chosen = cache.Get(kVolumes, "", volume);
    if (!chosen) co_return Status::NotFound("persistentvolumes", "", volume);
    const VolumeView& seen = chosen->view<VolumeView>();
    if (seen.claimed && seen.claim_uid == view.uid) co_return Status();
    if (seen.claimed && !seen.IsFor(view)) co_return Status(Reason::kConflict, "volume " + volume + " is taken");
    Json document = ReservedFor(*chosen->json(), *claim->json());
    Result<ObjectPtr> written = co_await context_.client.Update(kVolumes, std::move(document));
    co_return written.status();
  }
  if (view.selected_node == node) co_return Status();
  if (!view.selected_node.empty()) co_return Status(Reason::kConflict, "claim " + claim_key + " is to be elsewhere");
  Json document = *claim->json();
  document["metadata"]["annotations"][std::string(storage::kSelectedNode)] = node;
  Result<ObjectPtr> written = co_await context_.client.Update(kClaims, std::move(document));
  co_return written.status();
}

Status VolumeReservations::Progress(const Object& pod, const std::string& node) const {
  const WatchCache& cache = context_.client.cache();
  bool unfinished = false;
  const auto reservation = reservations_.find(pod.uid());
  for (const PodDemand::Claim& used : pod.view<PodDemand>().request.claims) {
    const ObjectPtr claim = cache.Get(kClaims, pod.ns(), used.name);
    if (!claim) return Status::NotFound("persistentvolumeclaims", "", used.name);
    const ClaimView& view = claim->view<ClaimView>();
    if (view.bound()) {
      unfinished = unfinished || view.phase != "Bound";  // told last; the node's agent goes by it
      const ObjectPtr volume = cache.Get(kVolumes, "", view.volume_name);
      const ObjectPtr where = cache.Get(resources::kNodes, "", node);
      if (volume && where && !volume->view<VolumeView>().ReachableFrom(*where->json())) {
        return Status(Reason::kConflict, "volume " + view.volume_name + " cannot be reached from node " + node);
      }
      continue;
    }
    unfinished = true;
    if (view.selected_node == node) continue;
    const std::vector<Choice>* choices = reservation == reservations_.end() ? nullptr : &reservation->second.choices;
    const Choice* own = nullptr;
    for (size_t i = 0; choices != nullptr && i < choices->size(); ++i) {
      if ((*choices)[i].claim == view.key()) own = &(*choices)[i];
    }
    // Whoever was to make the volume there gave up, or another pod that was to bring it there did.
    if (own != nullptr ? own->volume.empty() : NodeOf(view.key()) != node) {
      return Status(Reason::kConflict, "provisioning failed for PVC \"" + view.name + "\"");
    }
  }
  return unfinished ? Unfinished() : Status();
}

Task<Status> VolumeReservations::Await(ObjectPtr pod, std::string node) {
  auto start = [this, pod, node](std::function<void(Status)> done) {
    const std::string uid = pod->uid();
    for (const PodDemand::Claim& claim : pod->view<PodDemand>().request.claims) {
      waiting_.emplace(pod->ns() + "/" + claim.name, uid);
    }
    Waiter waiter{pod, node, std::move(done), 0};
    waiter.timeout = context_.clock.After(
        kBindTimeout, [this, uid] { Finish(uid, Status(Reason::kTimeout, "context deadline exceeded")); });
    waiters_[uid] = std::move(waiter);
  };
  Status status = co_await AwaitCallback<Status>(std::move(start));
  co_return status;
}

void VolumeReservations::LookAgain(const std::string& claim) {
  if (waiters_.empty()) return;
  std::vector<std::string> uids;
  const auto [begin, end] = waiting_.equal_range(claim);
  for (auto it = begin; it != end; ++it) uids.push_back(it->second);
  for (const std::string& uid : uids) {
    const auto waiter = waiters_.find(uid);
    if (waiter == waiters_.end()) continue;
    Status status = Progress(*waiter->second.pod, waiter->second.node);
    if (status.reason() != Reason::kServiceUnavailable) Finish(uid, std::move(status));
  }
}

void VolumeReservations::OnPod(const Event& event) {
  if (event.type != EventType::kDeleted || !waiters_.contains(event.object->uid())) return;
  Finish(event.object->uid(), Status::NotFound("pods", "", event.object->name()));
}

void VolumeReservations::Finish(const std::string& pod_uid, Status status) {
  const auto it = waiters_.find(pod_uid);
  if (it == waiters_.end()) return;
  const Waiter waiter = std::move(it->second);
  waiters_.erase(it);
  context_.clock.Cancel(waiter.timeout);
  for (const PodDemand::Claim& claim : waiter.pod->view<PodDemand>().request.claims) {
    const auto [begin, end] = waiting_.equal_range(waiter.pod->ns() + "/" + claim.name);
    for (auto entry = begin; entry != end; ++entry) {
      if (entry->second != waiter.pod->uid()) continue;
      waiting_.erase(entry);
      break;
    }
  }
  waiter.done(std::move(status));
}

}  // namespace wherry::plugins
