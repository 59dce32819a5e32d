#include "core/scheduler/scheduler.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <asio/post.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/kinds/resources.h"
#include "core/scheduler/pod_demand.h"

namespace wherry {
namespace {

// After so many decisions, some milliseconds, the loop gets its turn: a flood of pods does not hold up requests. Not
// sooner, so that who creates pods by the hundred does not run far ahead of them.
constexpr int kDecisionsPerTurn = 256;
// A refusal that has not changed is told again after this, while its event would otherwise be forgotten.
constexpr Duration kTellAgain = std::chrono::minutes(5);

constexpr std::string_view kUnschedulable = "Unschedulable";
constexpr std::string_view kGated = "SchedulingGated";
constexpr std::string_view kError = "SchedulerError";

}  // namespace

Scheduler::Scheduler(RuntimeContext context, SchedulerOptions options)
    : context_(std::move(context)),
      max_binds_(std::max<size_t>(options.max_binds, 1)),
      view_{snapshot_, &context_.client.cache(), &memories_},
      queue_(context_.clock),
      placer_(context_.seed),
      self_(std::make_shared<Scheduler*>(this)) {
  if (options.profiles.empty()) options.profiles = BuiltInProfiles();
  for (Profile& profile : options.profiles) {
    ProfileEntry entry;
    for (size_t i = 0; i < profile.plugins.size(); ++i) {
      const Plugin& plugin = *profile.plugins[i].plugin;
      if (!plugin.node_local) entry.far_sighted |= FilterMask{1} << i;
      if (plugin.pre_bind != nullptr) entry.binds_late = true;
      if (plugin.make_memory != nullptr && !memories_.contains(&plugin)) {
        memories_.emplace(&plugin, plugin.make_memory(context_));
      }
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
  std::set<const Plugin*> plugins;
  for (const auto& [name, entry] : profiles_) {
    for (const Profile::Enabled& enabled : entry.profile.plugins) plugins.insert(enabled.plugin);
  }
  for (const Plugin* plugin : plugins) {
    for (const ResourceWatch& watch : plugin->watches) {
      handlers_.push_back(events.AddHandler(
          watch.resource, [this, plugin, &watch](const Event& event) { OnOther(*plugin, watch, event); }));
    }
  }
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
    const NodeInfo* node = snapshot_.Find(event.object->name());
    // Whoever was to come here looks elsewhere.
    const std::vector<ObjectPtr> nominated = node == nullptr ? std::vector<ObjectPtr>() : node->nominated;
    snapshot_.RemoveNode(event.object->name());
    for (const ObjectPtr& pod : nominated) EndNomination(pod);
  } else {
    snapshot_.PutNode(*event.object);
  }
  Wake();
}

void Scheduler::OnPod(const Event& event) {
  const ObjectPtr& pod = event.object;
  if (event.type == EventType::kDeleted) {
    snapshot_.RemovePod(pod->uid());
    snapshot_.Unnominate(pod->uid());
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
    snapshot_.Unnominate(pod->uid());
    if (waits) {
      Say(pod, std::string(kGated), "Scheduling is blocked due to non-empty scheduling gates");
    } else {
      reports_.erase(pod->uid());
    }
  } else if (queue_.Find(pod->uid()) != nullptr || !snapshot_.Counts(pod->uid())) {
    // A pod that is counted but not queued was bound just now, and this is older news.
    if (queue_.Find(pod->uid()) == nullptr && !info.nominated_node.empty()) {
      snapshot_.Nominate(pod, info.nominated_node);  // by those who ran before us
    }
    queue_.Put(pod);
  }
  Wake();
}

void Scheduler::OnOther(const Plugin& plugin, const ResourceWatch& watch, const Event& event) {
  if (watch.matters != nullptr && !watch.matters(event)) return;
  placer_.DropPrepared(watch);
  queue_.Wake("", [&](QueuedPod& queued) {
    const PodDemand& info = queued.pod->view<PodDemand>();
    const std::vector<Profile::Enabled>& plugins = ProfileOf(info)->profile.plugins;
    for (size_t i = 0; i < plugins.size(); ++i) {
      if (plugins[i].plugin != &plugin || (queued.refused_by & (FilterMask{1} << i)) == 0) continue;
      return watch.helps == nullptr || watch.helps(info, event);
    }
    return false;
  });
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
  for (const Snapshot::Change& change : snapshot_.TakeChanges()) {
    if (queue_.refused() == 0) continue;
    queue_.Wake(change.node, [&, this](QueuedPod& queued) { return Helps(queued, change); });
  }
}

// Whether what happened on the node may let the pod be placed now.
bool Scheduler::Helps(QueuedPod& queued, const Snapshot::Change& change) {
  const PodDemand& info = queued.pod->view<PodDemand>();
  const ProfileEntry& entry = *ProfileOf(info);
  const std::vector<Profile::Enabled>& plugins = entry.profile.plugins;
  bool moved = false;
  for (size_t i = 0; i < plugins.size(); ++i) {
    const FilterMask bit = FilterMask{1} << i;
    const Plugin& plugin = *plugins[i].plugin;
    if ((queued.refused_by & bit) == 0 || (plugin.events & change.events) == 0) continue;
    if (plugin.node_local) {
      moved = true;
    } else if (plugin.helps == nullptr || plugin.helps(info, change, view_)) {
      return true;
    }
  }
  const NodeInfo* node = moved ? snapshot_.Find(change.node) : nullptr;
  if (node == nullptr) return false;
  PreparedPod& prepared = placer_.Prepare(entry.profile, info, view_);
  if (!prepared.refusal().empty()) return false;
  Refusal refusal;
  FilterMask refused_by = 0;
  if (prepared.Fits(info, *node, refusal, refused_by)) return true;
  if (RoomIsDue(entry, prepared, info, *node, refusal, refused_by)) return true;
  // The next obstacle is this one. One that other nodes can move needs a pod that hears of them.
  queued.refused_by |= refused_by;
  return (refused_by & entry.far_sighted) != 0 && !queued.tied_to.empty();
}

// Whether the pod, refused by the node, could make room there; or was to come there and waits for nobody any more, so
// that a decision must find it another place or end its nomination.
bool Scheduler::RoomIsDue(const ProfileEntry& entry, PreparedPod& prepared, const PodDemand& pod, const NodeInfo& node,
                          const Refusal& refusal, FilterMask& refused_by) {
  if (evicting_.contains(pod.uid)) return false;
  bool waits = false;
  const NodeInfo* const nodes[] = {&node};
  for (const Profile::Enabled& enabled : entry.profile.plugins) {
    if (enabled.plugin->post_filter == nullptr || !refusal.resolvable()) continue;
    const PostFilter found = enabled.plugin->post_filter(prepared, pod, view_, std::span(nodes), 0);
    if (found.node != nullptr) return true;
    waits = waits || found.wait;
    refused_by |= found.refused_by;
  }
  return !waits && snapshot_.NominationOf(pod.uid) == node.name;
}

void Scheduler::Decide(QueuedPod& queued) {
  ++decisions_;
  const ObjectPtr pod = queued.pod;
  const PodDemand& info = pod->view<PodDemand>();
  const ProfileEntry& entry = *ProfileOf(info);
  Placement placement = placer_.Place(entry.profile, info, view_);
  if (placement.node != nullptr) {
    const NodeInfo& node = *placement.node;
    if (Status reserved = Reserve(entry, pod, node); !reserved.ok()) {
      Say(pod, std::string(kError), reserved.message());
      queue_.Retry(queued);
      return;
    }
    snapshot_.Unnominate(pod->uid());
    snapshot_.Assume(pod, node.name);
    ++binding_;
    Spawn(context_.executor, "bind", Bind(pod, node.name));
    return;
  }
  const FilterMask refused_by = placement.diagnosis.refused_by();
  // A filter that looks at other nodes too may be moved by any of them.
  if ((refused_by & entry.far_sighted) != 0) placement.tied_to.clear();
  queue_.Refuse(queued, refused_by, std::move(placement.tied_to));
  if (!evicting_.contains(pod->uid())) {
    if (placement.post.node != nullptr) {
      Preempt(pod, placement.post);
    } else if (!placement.post.wait) {
      snapshot_.Unnominate(pod->uid());  // the room made for it does not do any more
    }
  }
  Say(pod, std::string(kUnschedulable), placement.diagnosis.Message());
}

Status Scheduler::Reserve(const ProfileEntry& entry, const ObjectPtr& pod, const NodeInfo& node) {
  for (const Profile::Enabled& enabled : entry.profile.plugins) {
    if (enabled.plugin->reserve == nullptr) continue;
    Status reserved = enabled.plugin->reserve(pod, node, view_);
    if (reserved.ok()) continue;
    Unreserve(entry, pod, node.name);
    return reserved;
  }
  return Status();
}

void Scheduler::Unreserve(const ProfileEntry& entry, const ObjectPtr& pod, const std::string& node) {
  for (auto it = entry.profile.plugins.rbegin(); it != entry.profile.plugins.rend(); ++it) {
    if (it->plugin->unreserve != nullptr) it->plugin->unreserve(pod, node, view_);
  }
}

void Scheduler::Preempt(const ObjectPtr& pod, const PostFilter& plan) {
  const std::string node = plan.node->name;
  // Those who were to come here and are less important look elsewhere.
  std::vector<ObjectPtr> others = plan.node->nominated;
  std::erase_if(others, [&](const ObjectPtr& other) {
    return other->view<PodDemand>().request.priority >= pod->view<PodDemand>().request.priority;
  });
  for (const ObjectPtr& other : others) EndNomination(other);
  snapshot_.Nominate(pod, node);
  for (const ObjectPtr& victim : plan.victims) {
    if (victim->view<PodDemand>().deleting) continue;
    ++evicting_[pod->uid()];
    Spawn(context_.executor, "evict", Evict(victim, pod, node));
  }
}

void Scheduler::EndNomination(const ObjectPtr& pod) {
  snapshot_.Unnominate(pod->uid());
  queue_.Reconsider(pod->uid());
  const auto report = reports_.find(pod->uid());
  if (report != reports_.end()) WriteReport(report->second.pod, report->second);
}

Task<> Scheduler::Evict(ObjectPtr victim, ObjectPtr preemptor, std::string node) {
  const std::string& scheduler_name = preemptor->view<PodDemand>().scheduler_name;
  Json condition = {{"type", "DisruptionTarget"},
                    {"status", "True"},
                    {"reason", "PreemptionByScheduler"},
                    {"message", scheduler_name + ": preempting to accommodate a higher priority pod"},
                    {"lastTransitionTime", FormatTime(context_.clock.Now())}};
  Json patch = {{"metadata", {{"uid", victim->uid()}}},
                {"status", {{"conditions", Json::array({std::move(condition)})}}}};
  WriteOptions status;
  status.subresource = "status";
  const Result<ObjectPtr> told = co_await context_.client.Patch(
      std::string(resources::kPods), victim->ns(), victim->name(), PatchType::kStrategic, std::move(patch), status);
  Status evicted = told.status();
  if (told.ok()) {
    DeleteOptions options;
    options.uid_precondition = victim->uid();
    const Result<ObjectPtr> deleted =
        co_await context_.client.Delete(std::string(resources::kPods), victim->ns(), victim->name(), options);
    evicted = deleted.status();
  }
  if (evicted.ok()) {
    ProfileOf(preemptor->view<PodDemand>())
        ->recorder->Normal(*victim, "Preempted", "Preempted by pod " + preemptor->uid() + " on node " + node);
  } else if (evicted.reason() != Reason::kNotFound && evicted.reason() != Reason::kConflict) {
    spdlog::warn("eviction failed pod={}/{} preemptor={}/{} error=\"{}\"", victim->ns(), victim->name(),
                 preemptor->ns(), preemptor->name(), evicted.message());
  }
  const auto left = evicting_.find(preemptor->uid());
  if (--left->second == 0) evicting_.erase(left);
  // A victim that did not go leaves the pod waiting for nothing.
  if (!evicted.ok()) queue_.Reconsider(preemptor->uid());
  Wake();
}

Task<Status> Scheduler::BindNow(ObjectPtr pod, std::string node) {
  const PodDemand& info = pod->view<PodDemand>();
  const ProfileEntry& entry = *ProfileOf(info);
  if (entry.binds_late) {
    for (const Profile::Enabled& enabled : entry.profile.plugins) {
      const Plugin& plugin = *enabled.plugin;
      if (plugin.pre_bind == nullptr || (plugin.needs_pre_bind != nullptr && !plugin.needs_pre_bind(info))) continue;
      const auto memory = memories_.find(&plugin);
      PluginMemory* const own = memory == memories_.end() ? nullptr : memory->second.get();
      // It may wait for others, minutes long: meanwhile it holds up nobody's bind.
      --binding_;
      Wake();
      Status ready = co_await plugin.pre_bind(context_, pod, node, own);
      ++binding_;
      if (!ready.ok()) co_return ready;
    }
  }
  Status bound = co_await context_.client.Bind(pod->ns(), pod->name(), pod->uid(), node);
  co_return bound;
}

Task<> Scheduler::Bind(ObjectPtr pod, std::string node) {
  const Time decided = context_.clock.Now();
  const Status status = co_await BindNow(pod, node);
  --binding_;
  const ProfileEntry& entry = *ProfileOf(pod->view<PodDemand>());
  if (status.ok()) {
    queue_.Remove(pod->uid());
    reports_.erase(pod->uid());
    // The node's agent saw the binding before we did.
    entry.recorder->NormalAt(decided, *pod, "Scheduled",
                             "Successfully assigned " + pod->ns() + "/" + pod->name() + " to " + node);
  } else {
    Unreserve(entry, pod, node);
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
  report.reason = std::move(reason);
  report.message = std::move(message);
  WriteReport(pod, report);
}

void Scheduler::WriteReport(const ObjectPtr& pod, Report& report) {
  report.pod = pod;
  report.nominated = snapshot_.NominationOf(pod->uid());
  if (report.writing) return;  // the writer looks again when its write is done
  const PodDemand& info = pod->view<PodDemand>();
  const auto& have = info.scheduled;
  if (have && have->status == "False" && have->reason == report.reason && have->message == report.message &&
      info.nominated_node == report.nominated) {
    return;
  }
  report.writing = true;
  Spawn(context_.executor, "pod condition", WriteCondition(pod->uid()));
}

Task<> Scheduler::WriteCondition(std::string uid) {
  bool had_nomination = false;
  for (;;) {
    auto it = reports_.find(uid);
    if (it == reports_.end()) co_return;
    const ObjectPtr pod = it->second.pod;
    const std::string reason = it->second.reason;
    const std::string message = it->second.message;
    const std::string nominated = it->second.nominated;
    const auto& have = pod->view<PodDemand>().scheduled;
    Json condition = {{"type", "PodScheduled"}, {"status", "False"}, {"reason", reason}, {"message", message}};
    if (!have || have->status != "False") condition["lastTransitionTime"] = FormatTime(context_.clock.Now());
    Json patch = {{"metadata", {{"uid", uid}}}, {"status", {{"conditions", Json::array({std::move(condition)})}}}};
    // Empty says that an earlier one, of which `pod` need not know yet, is over.
    if (!nominated.empty()) {
      patch["status"]["nominatedNodeName"] = nominated;
    } else if (had_nomination || !pod->view<PodDemand>().nominated_node.empty()) {
      patch["status"]["nominatedNodeName"] = nullptr;
    }
    had_nomination = !nominated.empty();
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
    if (it->second.reason == reason && it->second.message == message && it->second.nominated == nominated) {
      it->second.writing = false;
      co_return;
    }
  }
}

}  // namespace wherry
