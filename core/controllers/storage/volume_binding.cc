#include "core/controllers/storage/volume_binding.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "core/controllers/pod_view.h"
#include "core/controllers/storage/storage_plan.h"
#include "core/kinds/resources.h"
#include "core/registry/indexes.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

const std::string kClaims(resources::kPersistentVolumeClaims);
const std::string kVolumes(resources::kPersistentVolumes);

WriteOptions StatusWrite() {
  WriteOptions options;
  options.subresource = "status";
  return options;
}

class VolumeBinding {
 public:
  explicit VolumeBinding(RuntimeContext context) : context_(context), events_(context, "persistentvolume-controller") {}

  void OnClaim(const Event& event, WorkQueue& queue) {
    queue.Add(KeyOf(*event.object));
    const ClaimView& claim = event.object->view<ClaimView>();
    if (!claim.volume_name.empty()) queue.Add(claim.volume_name);
    for (const ObjectPtr& volume : cache().ByIndex(kIndexVolumeClaim, claim.key())) queue.Add(volume->name());
    if (event.type == EventType::kDeleted) told_.erase(event.object->uid());
  }

  void OnVolume(const Event& event, WorkQueue& queue) {
    const VolumeView& volume = event.object->view<VolumeView>();
    queue.Add(volume.name);
    if (volume.claimed) {
      queue.Add(volume.claim_key());
      if (event.type != EventType::kDeleted) return;
    } else if (volume.phase != "Available") {
      return;
    }
    EnqueueClaims(queue, [&](const ClaimView& claim) {
      return claim.volume_name == volume.name ||
             (!claim.bind_completed && claim.volume_name.empty() && claim.class_name() == volume.storage_class);
    });
  }

  void OnClass(const Event& event, WorkQueue& queue) {
    const ClassView& storage_class = event.object->view<ClassView>();
    EnqueueClaims(queue, [&](const ClaimView& claim) {
      return !claim.bind_completed && (!claim.storage_class || claim.class_name() == storage_class.name);
    });
  }

  // A pod that has its node before its claim has its volume came past the scheduler.
  void OnPod(const Event& event, WorkQueue& queue) {
    if (event.type == EventType::kDeleted || event.object->view<PodView>().node_name.empty()) return;
    for (const std::string& name : ClaimsOfPod(*event.object->json())) {
      const ObjectPtr claim = cache().Get(kClaims, event.object->ns(), name);
      if (claim && !claim->view<ClaimView>().bind_completed) queue.Add(KeyOf(*claim));
    }
  }

  // Where a volume is to be: only whether the node is there counts, so heartbeats wake nobody.
  void OnNode(const Event& event, WorkQueue& queue) {
    if (event.type == EventType::kModified) return;
    const bool gone = event.type == EventType::kDeleted;
    EnqueueClaims(queue, [&](const ClaimView& claim) {
      return !claim.bind_completed &&
             (gone ? claim.selected_node == event.object->name() : claim.selected_node.empty());
    });
  }

  Task<ReconcileResult> Reconcile(std::string key) {
    ReconcileResult result;
    if (key.find('/') == std::string::npos) {
      result.status = co_await ReconcileVolume(std::move(key));
    } else {
      result.status = co_await ReconcileClaim(std::move(key));
    }
    co_return result;
  }

 private:
  const WatchCache& cache() const { return context_.client.cache(); }

  template <typename Wanted>
  void EnqueueClaims(WorkQueue& queue, Wanted wanted) const {
    cache().ForEach(kClaims, {}, [&](const ObjectPtr& claim) {
      if (wanted(claim->view<ClaimView>())) queue.Add(KeyOf(*claim));
      return true;
    });
  }

  // ---- claims

  ObjectPtr DefaultClass() const {
    ObjectPtr found;
    cache().ForEach(resources::kStorageClasses, {}, [&](const ObjectPtr& candidate) {
      const ClassView& view = candidate->view<ClassView>();
      if (!view.is_default) return true;
      if (!found || view.created > found->view<ClassView>().created) found = candidate;  // the newest, as upstream
      return true;
    });
    return found;
  }

  // Of the pods that use the claim the first by name without a node, and the node of the first that has one.
  void FindPods(const ClaimView& claim, ClaimFacts& facts) const {
    for (const ObjectPtr& pod : cache().ByIndex(kIndexPodClaim, claim.key())) {
      const PodView& view = pod->view<PodView>();
      if (view.deleting || view.terminal()) continue;
      if (!view.node_name.empty()) {
        const bool there = cache().Get(resources::kNodes, "", view.node_name) != nullptr;
        if (facts.consumer_node.empty() && there) facts.consumer_node = view.node_name;
      } else if (facts.waiting_pod.empty()) {
        facts.waiting_pod = pod->name();
      }
    }
  }

  // The allowed, schedulable node with the fewest volumes.
  std::string ChooseNode(const ClassView& storage_class) const {
    std::map<std::string, int> volumes;
    cache().ForEach(kClaims, {}, [&](const ObjectPtr& claim) {
      ++volumes[claim->view<ClaimView>().selected_node];
      return true;
    });
    std::string best;
    cache().ForEach(resources::kNodes, {}, [&](const ObjectPtr& node) {
      const JsonPtr document = node->json();
      if (node->view<MetaView>().deleting() || BoolAt(*document, "spec.unschedulable")) return true;
      if (!storage_class.AllowsNode(*document)) return true;
      if (best.empty() || volumes[node->name()] < volumes[best]) best = node->name();
      return true;
    });
    return best;
  }

  Task<Status> ReconcileClaim(std::string key) {
    const auto [ns, name] = SplitKey(key);
    const ObjectPtr object = cache().Get(kClaims, ns, name);
    if (!object) co_return Status();
    const ClaimView& claim = object->view<ClaimView>();
    const ObjectPtr named = claim.volume_name.empty() ? ObjectPtr() : cache().Get(kVolumes, "", claim.volume_name);
    std::vector<ObjectPtr> candidates;
    if (!claim.bind_completed && claim.volume_name.empty()) {
      candidates = cache().ByIndex(kIndexVolumeClaim, claim.key());
      for (ObjectPtr& free : cache().ByIndex(kIndexVolumeClaim, claim.class_name()))
        candidates.push_back(std::move(free));
    }
    const ObjectPtr storage_class =
        claim.class_name().empty() ? ObjectPtr() : cache().Get(resources::kStorageClasses, "", claim.class_name());
    const ObjectPtr default_class = claim.storage_class ? ObjectPtr() : DefaultClass();
    ClaimFacts facts{claim, nullptr, {}, nullptr, nullptr, {}, {}, {}, {}};
    if (named) facts.volume = &named->view<VolumeView>();
    for (const ObjectPtr& candidate : candidates) facts.candidates.push_back(&candidate->view<VolumeView>());
    if (storage_class) facts.storage_class = &storage_class->view<ClassView>();
    if (default_class) facts.default_class = &default_class->view<ClassView>();
    if (!claim.bind_completed) FindPods(claim, facts);
    facts.node_exists = [&](const std::string& node) { return cache().Get(resources::kNodes, "", node) != nullptr; };
    facts.choose_node = [&] { return ChooseNode(*facts.storage_class); };
    const ClaimPlan plan = PlanClaim(facts);

    ObjectPtr volume;
    if (plan.bind != nullptr) volume = cache().Get(kVolumes, "", plan.bind->name);
    Status done;
    if (volume) {
      done = co_await Bind(object, volume, plan.grow != nullptr);
    } else {
      done = co_await Mark(object, plan);
    }
    if (done.ok()) Tell(*object, plan.notice);
    co_return done;
  }

  // The parts of a plan that bind nothing.
  Task<Status> Mark(ObjectPtr claim, ClaimPlan plan) {
    const ClaimView& view = claim->view<ClaimView>();
    Json document = *claim->json();
    Json& annotations = document["metadata"]["annotations"];
    if (annotations.is_null()) annotations = Json::object();
    const Json before = annotations;
    if (!plan.announce.empty()) {
      for (const std::string_view mark : {storage::kProvisioner, storage::kBetaProvisioner})
        annotations[std::string(mark)] = plan.announce;
    }
    if (plan.select_node) {
      annotations.erase(std::string(storage::kSelectedNode));
      if (!plan.select_node->empty()) annotations[std::string(storage::kSelectedNode)] = *plan.select_node;
    }
    const bool changed = annotations != before || !plan.assign_class.empty();
    if (!plan.assign_class.empty()) document["spec"]["storageClassName"] = plan.assign_class;
    if (annotations.empty()) document["metadata"].erase("annotations");
    if (changed) {
      Result<ObjectPtr> written = co_await context_.client.Update(kClaims, document);
      if (!written.ok()) co_return written.status();
      document = *(*written)->json();
    }
    if (plan.phase.empty() || plan.phase == view.phase) co_return Status();
    document["status"]["phase"] = plan.phase;
    if (plan.phase == "Lost") document["status"].erase("capacity");
    WriteOptions options = StatusWrite();
    Result<ObjectPtr> written = co_await context_.client.Update(kClaims, std::move(document), std::move(options));
    co_return written.status();
  }

  // Every part of a binding that is not there yet, in the order that leaves no claim with a volume of somebody else:
  // the volume points at the claim before the claim points at it.
  Task<Status> Bind(ObjectPtr claim, ObjectPtr volume, bool grow) {
    const ClaimView& wanted = claim->view<ClaimView>();
    Json document = *volume->json();
    const VolumeView& seen = volume->view<VolumeView>();
    const bool reserve = !seen.claimed || seen.claim_uid.empty();
    const bool enlarge = grow && seen.capacity.Compare(wanted.requested) < 0;
    if (reserve) document = ReservedFor(std::move(document), *claim->json());
    if (enlarge) document["spec"]["capacity"]["storage"] = wanted.requested.ToString();
    if (reserve || enlarge) {
      Result<ObjectPtr> written = co_await context_.client.Update(kVolumes, std::move(document));
      if (!written.ok()) co_return written.status();
      volume = *written;
    }
    VolumePlan bound;
    bound.phase = "Bound";
    const Status volume_done = co_await WriteVolumePhase(volume, std::move(bound));
    if (!volume_done.ok()) co_return volume_done;

    document = *claim->json();
    const ClaimView& view = claim->view<ClaimView>();
    if (view.volume_name != volume->name() || !view.bind_completed) {
      Json& annotations = document["metadata"]["annotations"];
      if (view.volume_name.empty()) annotations[std::string(storage::kBoundByController)] = "yes";
      annotations[std::string(storage::kBindCompleted)] = "yes";
      document["spec"]["volumeName"] = volume->name();
      Result<ObjectPtr> written = co_await context_.client.Update(kClaims, std::move(document));
      if (!written.ok()) co_return written.status();
      claim = *written;
      document = *claim->json();
      spdlog::info("claim bound claim={} volume={}", KeyOf(*claim), volume->name());
    }
    const JsonPtr have = volume->json();
    Json status = At(document, "status");
    status["phase"] = "Bound";
    status["accessModes"] = At(*have, "spec.accessModes");
    const Json before = At(status, "capacity");
    // The size of a volume of others is what whoever expands it says.
    if (grow || StringAt(document, "status.phase") != "Bound") status["capacity"] = At(*have, "spec.capacity");
    if (status == At(document, "status")) co_return Status();
    const bool grown = grow && status["capacity"] != before;
    document["status"] = std::move(status);
    WriteOptions options = StatusWrite();
    Result<ObjectPtr> written = co_await context_.client.Update(kClaims, std::move(document), std::move(options));
    if (written.ok() && grown) {
      events_.Normal(**written, "VolumeResizeSuccessful",
                     "Resized volume " + volume->name() + " to " + StringAt(*have, "spec.capacity.storage"));
    }
    co_return written.status();
  }

  // Once for each new thing there is to say: the claim is looked at again and again.
  void Tell(const Object& about, const Notice& notice) {
    if (notice.empty()) {
      told_.erase(about.uid());
      return;
    }
    if (!told_.try_emplace(about.uid(), notice).second) {
      if (told_[about.uid()] == notice) return;
      told_[about.uid()] = notice;
    }
    if (notice.warning) {
      events_.Warning(about, notice.reason, notice.message);
    } else {
      events_.Normal(about, notice.reason, notice.message);
    }
  }

  // ---- volumes

  Task<Status> ReconcileVolume(std::string name) {
    ObjectPtr volume = cache().Get(kVolumes, "", name);
    if (!volume) co_return Status();
    const VolumeView& view = volume->view<VolumeView>();
    const ObjectPtr claim = view.claimed ? cache().Get(kClaims, view.claim_ns, view.claim_name) : ObjectPtr();
    VolumePlan plan = PlanVolume(view, claim ? &claim->view<ClaimView>() : nullptr);
    const Notice notice = plan.notice;
    if (plan.unbind != VolumePlan::Unbind::kNo) {
      Json document = *volume->json();
      if (plan.unbind == VolumePlan::Unbind::kForgetClaim) {
        document["spec"].erase("claimRef");
        document["metadata"]["annotations"].erase(std::string(storage::kBoundByController));
      } else {
        document["spec"]["claimRef"].erase("uid");
        document["spec"]["claimRef"].erase("resourceVersion");
      }
      Result<ObjectPtr> written = co_await context_.client.Update(kVolumes, std::move(document));
      if (!written.ok()) co_return written.status();
      volume = *written;
    }
    const bool changes = !plan.phase.empty() && plan.phase != volume->view<VolumeView>().phase;
    const Status written = co_await WriteVolumePhase(volume, std::move(plan));
    if (written.ok() && changes && !notice.empty()) events_.Warning(*volume, notice.reason, notice.message);
    co_return written;
  }

  Task<Status> WriteVolumePhase(ObjectPtr volume, VolumePlan plan) {
    if (plan.phase.empty() || plan.phase == volume->view<VolumeView>().phase) co_return Status();
    Json document = *volume->json();
    Json status = {{"phase", plan.phase}, {"lastPhaseTransitionTime", FormatTime(context_.clock.Now())}};
    if (!plan.message.empty()) status["message"] = plan.message;
    document["status"] = std::move(status);
    WriteOptions options = StatusWrite();
    Result<ObjectPtr> written = co_await context_.client.Update(kVolumes, std::move(document), std::move(options));
    co_return written.status();
  }

  RuntimeContext context_;
  EventRecorder events_;
  std::unordered_map<std::string, Notice> told_;  // by claim uid
};

}  // namespace

ControllerSpec VolumeBindingController(RuntimeContext context) {
  auto self = std::make_shared<VolumeBinding>(context);
  auto on = [&self](void (VolumeBinding::*handler)(const Event&, WorkQueue&)) {
    return [self, handler](const Event& event, WorkQueue& queue) { ((*self).*handler)(event, queue); };
  };
  ControllerSpec spec;
  spec.name = "persistentvolume-binder";
  spec.watches = {{std::string(resources::kPersistentVolumeClaims), on(&VolumeBinding::OnClaim)},
                  {std::string(resources::kPersistentVolumes), on(&VolumeBinding::OnVolume)},
                  {std::string(resources::kStorageClasses), on(&VolumeBinding::OnClass)},
                  {std::string(resources::kPods), on(&VolumeBinding::OnPod)},
                  {std::string(resources::kNodes), on(&VolumeBinding::OnNode)}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  spec.workers = 32;
  return spec;
}

}  // namespace wherry
