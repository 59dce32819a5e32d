#include "core/agent/pod_worker.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "core/agent/container_builder.h"
#include "core/agent/host_ports.h"
#include "core/agent/images.h"
#include "core/agent/pod_env.h"
#include "core/agent/pod_namespaces.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// Longest wait for the processes of a pod whose node was deleted.
constexpr Duration kAbandonGrace = std::chrono::seconds(10);
// How often emptyDirs with a sizeLimit are measured, and what a pod gets to end when one is too big; as the kubelet's.
constexpr Duration kMeasureInterval = std::chrono::seconds(10);
constexpr Duration kEvictionGrace = std::chrono::seconds(1);
// A difference between the clocks that somebody made, rather than a clock that is steered.
constexpr Duration kClockSet = std::chrono::milliseconds(500);

// What volumes can show of a pod.
Json ShownMetadata(const Json& pod) {
  return Json::array({At(pod, "metadata.labels"), At(pod, "metadata.annotations")});
}

}  // namespace

EventRecorder& RecorderOf(const AgentServices& services, NodeSite& site) {
  if (!site.recorder) site.recorder = std::make_unique<EventRecorder>(services.context, "kubelet", site.name);
  return *site.recorder;
}

PodWorker::PodWorker(AgentServices& services, std::shared_ptr<NodeSite> site, ObjectPtr pod,
                     std::vector<ContainerState> found)
    : services_(services),
      site_(std::move(site)),
      info_(*pod->json()),
      key_(KeyOf(*pod)),
      pod_(std::move(pod)),
      wall_ahead_(services_.context.clock.Now().time_since_epoch() - services_.context.clock.Monotonic()),
      sandbox_(services_, *site_, info_) {
  MakeRoom();
  site_->pods.insert(info_.uid);
  Adopt(found);
}

void PodWorker::MakeRoom() {
  const size_t containers = info_.containers.size();
  record_.containers.resize(containers);
  early_exits_.resize(containers);
  announced_.resize(containers);
  probes_.resize(containers);
  held_back_.resize(containers);
}

// Everything that is due is kept in wall-clock time, as the status and the runtimes tell it. When somebody sets that
// clock, it all moves along, so that a grace period or a probe neither ends early nor waits for an hour.
Time PodWorker::Now() {
  const Time now = services_.context.clock.Now();
  const Duration by = now.time_since_epoch() - services_.context.clock.Monotonic() - wall_ahead_;
  if (by < kClockSet && by > -kClockSet) return now;
  wall_ahead_ += by;
  FollowWallClock(record_, by);
  for (Time* time : {&wake_at_, &measure_at_, &refresh_at_}) {
    if (*time != Time::max()) *time += by;
  }
  if (status_held_since_) *status_held_since_ += by;
  for (auto& probes : probes_) {
    if (probes) probes->FollowWallClock(by);
  }
  return now;
}

PodWorker::~PodWorker() { site_->pods.erase(info_.uid); }

void PodWorker::Wake() {
  dirty_ = true;
  services_.wake(key_);
}

bool PodWorker::AnyAlive() const {
  return std::any_of(record_.containers.begin(), record_.containers.end(), [](const auto& c) { return Alive(c); });
}

void PodWorker::OnConfig(const std::string& what) {
  // Asked itself: one that found only now that something is missing is told too.
  if (obstructed()) RetryNow();
  if (!record_.sandbox_ready || record_.terminal || gone_ || !sandbox_.Follows(*pod_->json(), what)) return;
  changed_.insert(what);
  Wake();
}

void PodWorker::OnSimulation() {
  for (auto& probes : probes_) {
    if (probes) probes->Kick(Now());
  }
  services_.wake(key_);
}

void PodWorker::OnNote(const ContainerState& state) {
  std::string name;
  int attempt = 0;
  if (!SplitRunId(state.id, &name, &attempt) || state.steered_note.empty()) return;
  for (size_t i = 0; i < info_.containers.size(); ++i) {
    if (info_.containers[i].name == name) Record(EventType::kNormal, "PortSteered", state.steered_note, i);
  }
}

void PodWorker::Abandon() {
  if (abandoned_) return;
  abandoned_ = true;
  Wake();
}

bool PodWorker::obstructed() const {
  if (record_.terminal || gone_) return false;
  return (!record_.sandbox_ready && sandbox_failures_ > 0) ||
         std::any_of(record_.containers.begin(), record_.containers.end(),
                     [](const auto& c) { return !c.obstacle.empty(); });
}

bool PodWorker::ending() const {
  return record_.stop || record_.terminal || !record_.rejected_reason.empty() || gone_ || abandoned_;
}

bool PodWorker::Evict(std::string message) {
  if (ending()) return false;
  Record(EventType::kWarning, "Evicted", message);
  record_.stop = StopOrder{Now(), std::min(info_.grace, kEvictionGrace), "Evicted", std::move(message)};
  Wake();
  return true;
}

void PodWorker::RetryNow() {
  record_.sandbox_retry_at = Time{};
  for (ContainerRecord& c : record_.containers) c.retry_at = Time{};
  Wake();
}

// Deletion, loss of the object and loss of the node become orders to stop.
void PodWorker::TakeOrders() {
  const Time now = Now();
  if (gone_) {
    record_.deleting = true;
    record_.stop = StopOrder{now, Duration::zero(), {}, {}};
    return;
  }
  if (abandoned_) {
    record_.deleting = true;
    if (!record_.stop) record_.stop = StopOrder{now, std::min(info_.grace, kAbandonGrace), {}, {}};
    return;
  }
  if (pod_->view<MetaView>().deleting()) {
    const Duration grace =
        std::chrono::seconds(IntAt(*pod_->json(), "metadata.deletionGracePeriodSeconds",
                                   std::chrono::duration_cast<std::chrono::seconds>(info_.grace).count()));
    if (!record_.stop || !record_.deleting) {
      record_.stop = StopOrder{now, grace, {}, {}};
    } else if (now + grace < record_.stop->kill_at()) {
      record_.stop->grace =
          std::max(Duration::zero(), now + grace - record_.stop->since);  // a later delete may only shorten
    }
    record_.deleting = true;
  }
  if (!record_.stop) return;
  for (auto& probes : probes_) {
    if (probes) probes->OnlyReadiness();
  }
}

// Takes in the newest state of the object.
void PodWorker::Look(ObjectPtr pod) {
  if (!pod) {
    dirty_ |= !gone_;
    gone_ = true;
    return;
  }
  const bool changed = pod->revision() != pod_->revision();
  pod_ = std::move(pod);
  if (!changed) return;
  if (info_.TakeEphemeral(*pod_->json())) MakeRoom();
  if (site_->simulated()) OnSimulation();
  if (shown_metadata_.is_null()) return;
  Json metadata = ShownMetadata(*pod_->json());
  if (metadata == shown_metadata_) return;
  shown_metadata_ = std::move(metadata);
  changed_.insert("pod");
}

Task<ReconcileResult> PodWorker::Sync(ObjectPtr pod) {
  const auto self = shared_from_this();
  ReconcileResult result;
  const Time begin = Now();
  Look(std::move(pod));
  if (!dirty_ && pod_->revision() == synced_revision_ && begin < wake_at_) {
    // Nothing to decide; a probe may be due.
    if (!gone_ && !abandoned_) StartChecks();
    const Time next = std::min(wake_at_, NextCheckAt());
    if (next != Time::max()) result.requeue_after = std::max(next - begin, Duration(1));
    co_return result;
  }
  dirty_ = false;
  synced_revision_ = pod_->revision();
  TakeOrders();
  Admit();
  FollowVolumes();

  PodPlan plan;
  for (;;) {
    plan = PlanPod(info_, record_, Now());
    if (plan.actions.empty()) break;
    for (const PodAction& action : plan.actions) co_await Act(action);
  }
  wake_at_ = plan.wake_at;
  AnnounceWaiting(plan);
  WatchUsage();
  if (!gone_ && !abandoned_) StartChecks();

  const bool silent = gone_ || abandoned_;
  if (!silent && !record_.terminal) {
    Json status = [&] {
      const JsonPtr document = pod_->json();
      const Json* previous = FindPath(*document, "status");
      return RenderPodStatus(info_, record_, plan, Addresses(), previous ? *previous : Json::object(), Now());
    }();
    const Status written = co_await WriteStatus(std::move(status));
    if (!written.ok()) {
      dirty_ = true;
      result.status = written;
      co_return result;
    }
    if (!status_held_since_ && plan.finished) {
      record_.terminal = true;
      if (site_->addresses) site_->addresses->MarkFinished(info_.uid);
      spdlog::debug("pod finished pod={} uid={} phase={}", key_, info_.uid, plan.phase);
    }
  }
  if (!status_held_since_) co_await ForgetEnded();
  const bool alive = AnyAlive();
  if (!alive && silent) {
    co_await CleanUp();
  } else if (!alive && record_.terminal && pod_->view<MetaView>().deleting()) {
    result.status = co_await FinishDeletion();
    if (!result.status.ok()) dirty_ = true;
  }
  const Time now = Now();
  const Time next = std::min(wake_at_, silent ? Time::max() : NextCheckAt());
  if (next != Time::max()) result.requeue_after = std::max(next - now, Duration(1));
  co_return result;
}

// The node's own say before a pod's first start: what the scheduler did not check, for pods that were bound past it.
void PodWorker::Admit() {
  if (record_.start_time || record_.terminal || gone_ || abandoned_) return;
  record_.start_time = Now();
  if (const HostPressure pressure = site_->pressure(); pressure.any()) {
    const std::string why = PressureRefusal(pressure, pod_->view<EvictionView>());
    if (!why.empty()) return Reject("Evicted", why);
  }
  const JsonPtr document = pod_->json();
  if (!WantsHostPorts(*document) || !HostPortTaken(*document, services_.active_pods(*site_, info_.uid))) return;
  Reject("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports");
}

void PodWorker::Reject(const std::string& reason, const std::string& why) {
  record_.rejected_reason = reason;
  record_.rejected_message = "Pod was rejected: " + why;
  Record(EventType::kWarning, reason, why);
}

Task<> PodWorker::Act(PodAction action) {
  const size_t i = action.container;
  switch (action.kind) {
    case PodAction::Kind::kPrepareSandbox:
      PrepareSandbox();
      break;
    case PodAction::Kind::kStart:
      record_.containers[i].starting = true;
      Spawn(services_.context.executor, "start of " + key_, StartContainer(i));
      break;
    case PodAction::Kind::kPreStop:
      record_.containers[i].pre_stop_begun = true;
      TellOfKilling(i);
      Spawn(services_.context.executor, "preStop of " + key_, RunPreStop(i, record_.containers[i].current->attempt));
      break;
    case PodAction::Kind::kTerm:
      record_.containers[i].term_sent = true;
      record_.containers[i].term_at = Now();
      if (!record_.containers[i].pre_stop_begun) TellOfKilling(i);
      co_await SignalContainer(i, StopSignalOf(i));
      break;
    case PodAction::Kind::kKill:
      record_.containers[i].kill_sent = true;
      co_await SignalContainer(i, SIGKILL);
      break;
  }
}

void PodWorker::TellOfKilling(size_t i) {
  const std::optional<StopOrder>& own = record_.containers[i].stop;
  Record(EventType::kNormal, "Killing",
         own && !record_.stop ? own->message : "Stopping container " + info_.containers[i].name, i);
}

const Json& PodWorker::SpecOf(const Json& pod, size_t i) const {
  static const Json none = Json::object();
  const Json* found = ContainerNamed(pod, info_.containers[i].name);
  return found ? *found : none;
}

int PodWorker::StopSignalOf(size_t i) const {
  const JsonPtr document = pod_->json();
  return StopSignal(services_.context.client.cache(), SpecOf(*document, i));
}

Task<> PodWorker::SignalContainer(size_t i, int signal) {
  const Status sent = co_await site_->runtime->Signal(RunId(info_, i, record_.containers[i].current->attempt), signal);
  if (!sent.ok())
    spdlog::warn("signal not sent pod={} container={} signal={} error=\"{}\"", key_, info_.containers[i].name, signal,
                 sent.message());
}

// The pod's address, directories and volumes.
void PodWorker::PrepareSandbox() {
  if (!site_->addresses) {  // the node is new; its agent calls again when it has its block
    sandbox_failures_ = 1;
    record_.sandbox_retry_at = Now() + kBackoffBase;
    return;
  }
  const JsonPtr document = pod_->json();
  const bool adopted =
      std::any_of(record_.containers.begin(), record_.containers.end(), [](const auto& c) { return c.current; });
  const Status prepared = sandbox_.Prepare(*document, adopted);
  if (prepared.ok()) {
    record_.sandbox_ready = true;
    sandbox_failures_ = 0;
    if (sandbox_.Follows(*document, "pod")) shown_metadata_ = ShownMetadata(*document);
    limits_ = VolumeLimits(*document, sandbox_.place().volumes);
    if (!limits_.empty()) measure_at_ = Now() + kMeasureInterval;
    return;
  }
  ++sandbox_failures_;
  record_.sandbox_retry_at = Now() + BackoffAfter(sandbox_failures_);
  const bool volume = prepared.message().starts_with("MountVolume");
  Record(EventType::kWarning, volume ? "FailedMount" : "FailedCreatePodSandBox", prepared.message());
}

// Volumes that show what has changed are written anew. One whose source is gone stays as it was.
void PodWorker::FollowVolumes() {
  if (!record_.sandbox_ready || record_.terminal || gone_ || abandoned_) return;
  if (Now() >= sandbox_.renewal()) changed_.insert("tokens");
  if (Now() >= refresh_at_) {
    changed_.merge(refused_);
    refused_.clear();
    refresh_at_ = Time::max();
  }
  if (changed_.empty()) return;
  const JsonPtr document = pod_->json();
  const std::set<std::string> asked = std::exchange(changed_, {});
  const Status refreshed = sandbox_.Refresh(*document, asked);
  if (refreshed.ok()) {
    if (!refused_.empty()) return;
    refresh_failures_ = 0;
    refresh_error_.clear();
    return;
  }
  refused_.insert(asked.begin(), asked.end());
  refresh_at_ = Now() + BackoffAfter(++refresh_failures_);
  if (std::exchange(refresh_error_, refreshed.message()) != refreshed.message())
    Record(EventType::kWarning, "FailedMount", refreshed.message());
}

// Sees to it that emptyDirs with a limit are measured, and tokens renewed, in time.
void PodWorker::WatchUsage() {
  if (!record_.sandbox_ready || record_.terminal || record_.stop || gone_ || abandoned_) return;
  wake_at_ = std::min({wake_at_, sandbox_.renewal(), refresh_at_});
  if (limits_.empty() || measuring_) return;
  if (Now() < measure_at_) {
    wake_at_ = std::min(wake_at_, measure_at_);
    return;
  }
  measuring_ = true;
  Spawn(services_.context.executor, "volumes of " + key_, MeasureVolumes());
}

Task<> PodWorker::MeasureVolumes() {
  const auto self = shared_from_this();
  const std::vector<VolumeLimit> limits = limits_;
  const Duration begin = services_.context.clock.Monotonic();
  for (const VolumeLimit& limit : limits) {
    const DirectoryUse used = co_await MeasureDirectory(limit.path, limit.bytes);
    if (used.bytes <= limit.bytes) continue;
    if (Evict("Usage of EmptyDir volume \"" + limit.volume + "\" exceeds the limit \"" + limit.text + "\". "))
      spdlog::info("pod evicted pod={} volume={} limit={}", key_, limit.volume, limit.text);
  }
  measuring_ = false;
  // Big trees are measured less often.
  const Duration took = services_.context.clock.Monotonic() - begin;
  measure_at_ = Now() + std::max<Duration>(kMeasureInterval, took * 100);
  Wake();
}

// One event for each time a container begins to wait out a back-off.
void PodWorker::AnnounceWaiting(const PodPlan& plan) {
  for (size_t i = 0; i < plan.waiting.size(); ++i) {
    const std::string& reason = plan.waiting[i].reason;
    const ContainerRecord& c = record_.containers[i];
    if (reason != "CrashLoopBackOff" && reason != "ImagePullBackOff") continue;
    const std::string what =
        reason + "/" + std::to_string(c.current ? c.current->attempt : -1) + "/" + std::to_string(c.obstacle_failures);
    if (announced_[i] == what) continue;
    announced_[i] = what;
    if (reason == "CrashLoopBackOff") {
      Record(EventType::kWarning, "BackOff",
             "Back-off restarting failed container " + info_.containers[i].name + " in pod " + info_.name + "_" +
                 info_.ns + "(" + info_.uid + ")",
             i);
    } else {
      Record(EventType::kNormal, "BackOff", "Back-off pulling image \"" + info_.containers[i].image + "\"", i);
      Record(EventType::kWarning, "Failed", "Error: ImagePullBackOff", i);
    }
  }
}

PodAddresses PodWorker::Addresses() const {
  if (!record_.sandbox_ready && sandbox_.place().pod_ip.empty()) return {};
  const std::string host = site_->addresses ? site_->addresses->node_address() : sandbox_.place().node_address;
  return {host, sandbox_.place().pod_ip};
}

// Writes the status unless it says nothing new, or only that a start is under way which may be through in a moment.
Task<Status> PodWorker::WriteStatus(Json status) {
  const JsonPtr document = pod_->json();
  const Json* previous = FindPath(*document, "status");
  if (previous && *previous == status) {
    status_held_since_.reset();
    co_return Status();
  }
  const Time now = Now();
  const bool starting =
      std::any_of(record_.containers.begin(), record_.containers.end(), [](const auto& c) { return c.starting; });
  if (starting && !record_.stop) {
    if (!status_held_since_) status_held_since_ = now;
    const Time due = *status_held_since_ + services_.options.status_delay;
    if (now < due) {
      wake_at_ = std::min(wake_at_, due);
      co_return Status();
    }
  }
  Json body = {{"metadata",
                {{"namespace", info_.ns},
                 {"name", info_.name},
                 {"uid", info_.uid},
                 {"resourceVersion", std::to_string(pod_->revision())}}},
               {"status", std::move(status)}};
  ++services_.status_writes;
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written =
      co_await services_.context.client.Update(std::string(resources::kPods), std::move(body), std::move(options));
  if (!written.ok()) co_return written.status();
  status_held_since_.reset();
  if ((*written)->revision() > pod_->revision()) {
    // What we wrote needs no second look; what others changed meanwhile comes with its own event.
    if (synced_revision_ == pod_->revision()) synced_revision_ = (*written)->revision();
    pod_ = *written;
  }
  co_return Status();
}

// Ended runs that the stored status tells of need not be kept by the runtime, nor a pause when nothing runs again.
Task<> PodWorker::ForgetEnded() {
  const bool over = record_.terminal || ((gone_ || abandoned_) && !AnyAlive());
  std::vector<std::string> ended;
  for (const std::string& id : in_runtime_) {
    std::string name;
    int attempt = 0;
    SplitRunId(id, &name, &attempt);
    const bool running = [&] {
      if (name == kPauseName) return id == pause_ && !over;
      for (size_t i = 0; i < info_.containers.size(); ++i) {
        const ContainerRecord& c = record_.containers[i];
        if (info_.containers[i].name == name && c.current && c.current->attempt == attempt) return c.current->running;
      }
      return false;
    }();
    if (!running) ended.push_back(id);
  }
  for (const std::string& id : ended) {
    const Status removed = co_await site_->runtime->Remove(id);
    if (removed.ok()) in_runtime_.erase(id);
  }
}

// The second step of a deletion: everything has stopped and the final status is written.
Task<Status> PodWorker::FinishDeletion() {
  DeleteOptions options;
  options.grace_period_seconds = 0;
  options.uid_precondition = info_.uid;
  Result<ObjectPtr> deleted =
      co_await services_.context.client.Delete(std::string(resources::kPods), info_.ns, info_.name, options);
  if (!deleted.ok() && deleted.status().reason() != Reason::kNotFound) {
    // Another pod has the name already: ours is gone.
    if (deleted.status().reason() != Reason::kConflict) co_return deleted.status();
  }
  co_return Status();
}

Task<> PodWorker::CleanUp() {
  co_await ForgetEnded();
  sandbox_.Release();
  done_ = true;
}

void PodWorker::Record(EventType type, std::string reason, std::string message, size_t container) {
  if (gone_ || abandoned_) return;
  if (site_->simulated() && type == EventType::kNormal && !services_.options.simulated_events) return;
  EventRecorder& recorder = RecorderOf(services_, *site_);
  std::string field;
  if (container != SIZE_MAX) {
    const ContainerInfo& info = info_.containers[container];
    const char* list = info.role == ContainerRole::kMain        ? "containers"
                       : info.role == ContainerRole::kEphemeral ? "ephemeralContainers"
                                                                : "initContainers";
    field = std::string("spec.").append(list).append("{").append(info.name).append("}");
  }
  if (type == EventType::kNormal) {
    recorder.Normal(*pod_, std::move(reason), std::move(message), std::move(field));
  } else {
    recorder.Warning(*pod_, std::move(reason), std::move(message), std::move(field));
  }
}

}  // namespace wherry
