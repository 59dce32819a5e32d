#include "core/scheduler/scheduler.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <asio/post.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/resources.h"
#include "core/scheduler/pod_demand.h"

namespace wherry {
namespace {

// After so many decisions the loop gets its turn, so that a flood of pods does not hold up requests.
constexpr int kDecisionsPerTurn = 64;
// A refusal that has not changed is told again after this, while its event would otherwise be forgotten.
constexpr Duration kTellAgain = std::chrono::minutes(5);

constexpr std::string_view kUnschedulable = "Unschedulable";
constexpr std::string_view kGated = "SchedulingGated";
constexpr std::string_view kError = "SchedulerError";

}  // namespace

Scheduler::Scheduler(RuntimeContext context, SchedulerOptions options)
    : context_(std::move(context)),
      max_binds_(std::max<size_t>(options.max_binds, 1)),
      queue_(context_.clock),
      placer_(context_.seed),
      self_(std::make_shared<Scheduler*>(this)) {
  if (options.profiles.empty()) options.profiles.push_back(DefaultProfile());
  for (Profile& profile : options.profiles) {
    ProfileEntry entry;
    for (size_t i = 0; i < profile.filters.size(); ++i) {
      if (!profile.filters[i]->node_local) entry.far_sighted |= FilterMask{1} << i;
    }
    entry.recorder = std::make_unique<EventRecorder>(context_, profile.scheduler_name);
    entry.profile = std::move(profile);
    profiles_.emplace(entry.profile.scheduler_name, std::move(entry));
  }
  queue_.set_on_ready([this] { Wake(); });
}

Scheduler::~Scheduler() {
  Stop();
  *self_ = nullptr;
}

void Scheduler::Start() {
  EventBus& events = context_.client.events();
  handlers_.push_back(events.AddHandler(resources::kNodes, [this](const Event& event) { OnNode(event); }));
  handlers_.push_back(events.AddHandler(resources::kPods, [this](const Event& event) { OnPod(event); }));
  const WatchCache& cache = context_.client.cache();
  auto replay = [&cache](std::string_view resource, auto handle) {
    cache.ForEach(resource, {}, [&](const ObjectPtr& object) {
      Event seen;
      seen.object = object;
      handle(seen);
      return true;
    });
  };
  replay(resources::kNodes, [this](const Event& event) { OnNode(event); });
  replay(resources::kPods, [this](const Event& event) { OnPod(event); });
}

void Scheduler::Stop() {
  if (stopped_) return;
  stopped_ = true;
  for (EventBus::HandlerId id : handlers_) context_.client.events().RemoveHandler(id);
  handlers_.clear();
}

void Scheduler::OnNode(const Event& event) {
  if (event.type == EventType::kDeleted) {
    snapshot_.RemoveNode(event.object->name());
  } else {
    snapshot_.PutNode(*event.object);
  }
  Wake();
}

void Scheduler::OnPod(const Event& event) {
  const ObjectPtr& pod = event.object;
  if (event.type == EventType::kDeleted) {
    snapshot_.RemovePod(pod->uid());
    queue_.Remove(pod->uid());
    reports_.erase(pod->uid());
    Wake();
    return;
  }
  const PodDemand& info = pod->view<PodDemand>();
  snapshot_.PutPod(pod);
  const bool waits = !info.assigned() && !info.deleting && !info.finished && ProfileOf(info) != nullptr;
  if (!waits || info.request.gated) {
    queue_.Remove(pod->uid());
    if (waits) {
      Say(pod, std::string(kGated), "Scheduling is blocked due to non-empty scheduling gates");
    } else {
      reports_.erase(pod->uid());
    }
  } else if (queue_.Find(pod->uid()) != nullptr || !snapshot_.Counts(pod->uid())) {
    // A pod that is counted but not queued was bound just now, and this is older news.
    queue_.Put(pod);
  }
  Wake();
}

Scheduler::ProfileEntry* Scheduler::ProfileOf(const PodDemand& pod) {
  auto it = profiles_.find(pod.scheduler_name);
  return it == profiles_.end() ? nullptr : &it->second;
}

void Scheduler::Wake() {
  if (pump_posted_ || stopped_) return;
  const bool decide = queue_.active() > 0 && binding_ < max_binds_;
  if (queue_.refused() == 0 && snapshot_.changed()) snapshot_.DropChanges();  // nobody waits for them
  if (!decide && !snapshot_.changed()) return;
  pump_posted_ = true;
  asio::post(context_.executor, [self = self_] {
    if (*self != nullptr) (*self)->Pump();
  });
}

void Scheduler::Pump() {
  pump_posted_ = false;
  if (stopped_) return;
  WakeRefused();
  for (int i = 0; i < kDecisionsPerTurn && binding_ < max_binds_; ++i) {
    QueuedPod* queued = queue_.Pop();
    if (queued == nullptr) break;
    Decide(*queued);
  }
  Wake();
}

void Scheduler::WakeRefused() {
  for (const auto& [node, events] : snapshot_.TakeChanges()) {
    if (queue_.refused() == 0) continue;
    // Named again for clang before 16, whose lambdas cannot capture a structured binding.
    queue_.Wake(node, [this, &name = node, &what = events](QueuedPod& queued) { return Helps(queued, name, what); });
  }
}

// Whether what happened on the node may let the pod be placed now.
bool Scheduler::Helps(QueuedPod& queued, const std::string& node_name, ClusterEvents events) {
  const PodDemand& info = queued.pod->view<PodDemand>();
  const ProfileEntry& entry = *ProfileOf(info);
  FilterMask moved = 0;
  for (size_t i = 0; i < entry.profile.filters.size(); ++i) {
    if ((entry.profile.filters[i]->events & events) != 0) moved |= FilterMask{1} << i;
  }
  if ((queued.refused_by & moved) == 0) return false;
  if ((queued.refused_by & moved & entry.far_sighted) != 0) return true;
  const NodeInfo* node = snapshot_.Find(node_name);
  if (node == nullptr) return false;
  const PreparedPod prepared(entry.profile, info, snapshot_);
  if (!prepared.refusal().empty()) return false;
  Refusal refusal;
  FilterMask refused_by = 0;
  if (prepared.Fits(*node, refusal, refused_by)) return true;
  queued.refused_by |= refused_by;  // the next obstacle is this one
  return false;
}

void Scheduler::Decide(QueuedPod& queued) {
  ++decisions_;
  const ObjectPtr pod = queued.pod;
  const PodDemand& info = pod->view<PodDemand>();
  const ProfileEntry& entry = *ProfileOf(info);
  Placement placement = placer_.Place(entry.profile, info, snapshot_);
  if (placement.node != nullptr) {
    std::string node = placement.node->name;
    snapshot_.Assume(pod, node);
    ++binding_;
    Spawn(context_.executor, "bind", Bind(pod, std::move(node)));
    return;
  }
  const FilterMask refused_by = placement.diagnosis.refused_by();
  // What a far-sighted filter refused may be helped by any node, also for a pod tied to one.
  if ((refused_by & entry.far_sighted) != 0) placement.tied_to.clear();
  queue_.Refuse(queued, refused_by, std::move(placement.tied_to));
  Say(pod, std::string(kUnschedulable), placement.diagnosis.Message());
}

Task<> Scheduler::Bind(ObjectPtr pod, std::string node) {
  const Time decided = context_.clock.Now();
  const Status status = co_await context_.client.Bind(pod->ns(), pod->name(), pod->uid(), node);
  --binding_;
  if (status.ok()) {
    queue_.Remove(pod->uid());
    reports_.erase(pod->uid());
    const ProfileEntry& entry = *ProfileOf(pod->view<PodDemand>());
    // The node's agent saw the binding before we did.
    entry.recorder->NormalAt(decided, *pod, "Scheduled",
                             "Successfully assigned " + pod->ns() + "/" + pod->name() + " to " + node);
  } else {
    snapshot_.Forget(pod->uid());
    const bool moved_on = status.reason() == Reason::kConflict || status.reason() == Reason::kNotFound;
    if (!moved_on) {
      spdlog::warn("bind failed pod={}/{} node={} error=\"{}\"", pod->ns(), pod->name(), node, status.message());
      Say(pod, std::string(kError), "binding rejected: " + status.message());
    }
    RequeueOrDrop(pod);
  }
  Wake();
}

// After a failed bind: the pod is tried again if it still waits.
void Scheduler::RequeueOrDrop(const ObjectPtr& pod) {
  QueuedPod* queued = queue_.Find(pod->uid());
  if (queued == nullptr) return;  // an event already said that it is gone or bound
  const ObjectPtr now = context_.client.cache().Get(resources::kPods, pod->ns(), pod->name());
  if (now == nullptr || now->uid() != pod->uid()) {
    queue_.Remove(pod->uid());
  } else {
    queue_.Retry(*queued);
  }
}

void Scheduler::Say(const ObjectPtr& pod, std::string reason, std::string message) {
  Report& report = reports_[pod->uid()];
  const Duration now = context_.clock.Monotonic();
  if (reason != kGated && (report.told != message || now - report.told_at >= kTellAgain)) {
    report.told = message;
    report.told_at = now;
    ProfileOf(pod->view<PodDemand>())->recorder->Warning(*pod, "FailedScheduling", message);
  }
  report.pod = pod;
  report.reason = std::move(reason);
  report.message = std::move(message);
  if (report.writing) return;  // the writer looks again when its write is done
  const auto& have = pod->view<PodDemand>().scheduled;
  if (have && have->status == "False" && have->reason == report.reason && have->message == report.message) return;
  report.writing = true;
  Spawn(context_.executor, "pod condition", WriteCondition(pod->uid()));
}

Task<> Scheduler::WriteCondition(std::string uid) {
  for (;;) {
    auto it = reports_.find(uid);
    if (it == reports_.end()) co_return;
    const ObjectPtr pod = it->second.pod;
    const std::string reason = it->second.reason;
    const std::string message = it->second.message;
    const auto& have = pod->view<PodDemand>().scheduled;
    Json condition = {{"type", "PodScheduled"}, {"status", "False"}, {"reason", reason}, {"message", message}};
    if (!have || have->status != "False") condition["lastTransitionTime"] = FormatTime(context_.clock.Now());
    Json patch = {{"metadata", {{"uid", uid}}}, {"status", {{"conditions", Json::array({std::move(condition)})}}}};
    WriteOptions options;
    options.subresource = "status";
    const Result<ObjectPtr> written =
        co_await context_.client.Patch(std::string(resources::kPods), pod->ns(), pod->name(), PatchType::kStrategic,
                                       std::move(patch), std::move(options));
    if (!written.ok() && written.status().reason() != Reason::kNotFound &&
        written.status().reason() != Reason::kConflict) {
      spdlog::warn("condition not written pod={}/{} error=\"{}\"", pod->ns(), pod->name(), written.status().message());
    }
    it = reports_.find(uid);
    if (it == reports_.end()) co_return;
    if (it->second.reason == reason && it->second.message == message) {
      it->second.writing = false;
      co_return;
    }
  }
}

}  // namespace wherry
