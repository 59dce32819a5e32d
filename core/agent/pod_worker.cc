#include "core/agent/pod_worker.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "core/agent/claimed_volumes.h"
#include "core/agent/images.h"
#include "core/agent/pod_env.h"
#include "core/agent/simulation.h"
#include "core/kinds/quantity.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

// Longest wait for the processes of a pod whose node was deleted.
constexpr Duration kAbandonGrace = std::chrono::seconds(10);

// "<uid>/<name>/<attempt>" without the uid.
bool SplitId(const std::string& id, std::string* name, int* attempt) {
  const size_t first = id.find('/'), last = id.rfind('/');
  if (first == std::string::npos || first == last) return false;
  *name = id.substr(first + 1, last - first - 1);
  *attempt = std::atoi(id.c_str() + last + 1);
  return true;
}

std::string RunId(const PodInfo& info, size_t i, int attempt) {
  return info.uid + "/" + info.containers[i].name + "/" + std::to_string(attempt);
}

int64_t Allocatable(const Json& node, const char* resource, bool milli) {
  const Json* map = FindPath(node, "status.allocatable");
  if (!map || !map->is_object()) return 0;
  Result<Quantity> quantity = Quantity::Parse(map->value(resource, "0"));
  if (!quantity.ok()) return 0;
  return milli ? quantity->milli() : quantity->value();
}

}  // namespace

PodWorker::PodWorker(AgentServices& services, std::shared_ptr<NodeSite> site, ObjectPtr pod,
                     std::vector<ContainerState> found)
    : services_(services), site_(std::move(site)), info_(*pod->json()), key_(KeyOf(*pod)), pod_(std::move(pod)) {
  const fs::path data = services_.options.data_dir;
  place_.node_name = site_->name;
  place_.directory = data / "pods" / info_.uid;
  place_.log_directory = data / "logs" / (info_.ns + "_" + info_.name + "_" + info_.uid);
  early_exits_.resize(info_.containers.size());
  announced_.resize(info_.containers.size());
  site_->pods.insert(info_.uid);
  Adopt(found);
}

PodWorker::~PodWorker() { site_->pods.erase(info_.uid); }

// Joins what the stored status says with what the runtime knows. The runtime is right about runs, the status about
// history.
void PodWorker::Adopt(const std::vector<ContainerState>& found) {
  const JsonPtr document = pod_->json();
  const Json* status = FindPath(*document, "status");
  record_ = RecordFromStatus(info_, status ? *status : Json::object());
  if (status && site_->addresses) {
    if (const std::string address = StringAt(*status, "podIP");
        !address.empty() && site_->addresses->Reserve(info_.uid, address)) {
      place_.pod_ip = address;
    }
    if (record_.terminal) site_->addresses->MarkFinished(info_.uid);
  }
  for (const ContainerState& state : found) {
    in_runtime_.insert(state.id);
    std::string name;
    int attempt = 0;
    if (!SplitId(state.id, &name, &attempt)) continue;
    for (size_t i = 0; i < info_.containers.size(); ++i) {
      ContainerRecord& c = record_.containers[i];
      if (info_.containers[i].name != name || (c.current && c.current->attempt > attempt)) continue;
      if (c.current && c.current->attempt < attempt) c.last = c.current;
      if (c.last && c.last->attempt >= attempt) c.last.reset();
      Run run;
      run.attempt = attempt;
      run.running = state.running;
      run.started_at = state.started_at;
      if (!state.running) ApplyExit(run, state);
      c.current = run;
    }
  }
  if (record_.terminal) return;
  for (size_t i = 0; i < info_.containers.size(); ++i) {
    std::optional<Run>& run = record_.containers[i].current;
    if (!run || !run->running || in_runtime_.contains(RunId(info_, i, run->attempt))) continue;
    if (site_->simulated()) {  // it lives in the stored status alone, and goes on
      Result<ContainerSpec> spec = SimulatedSpec(i, run->attempt);
      if (spec.ok() && site_->simulation->Restore(*spec, run->started_at)) {
        in_runtime_.insert(spec->id);
        continue;
      }
    }
    run->running = false;  // nobody knows what became of it: a reboot, or a wiped data directory
    run->finished_at = services_.context.clock.Now();
    run->exit_code = 255;
    run->reason = "ContainerStatusUnknown";
    run->message = "The container could not be located when the pod was adopted";
  }
}

void PodWorker::ApplyExit(Run& run, const ContainerState& state) const {
  run.running = false;
  run.finished_at = state.finished_at;
  run.exit_code = state.lost ? 255 : state.exit_code;
  run.signal = state.signal;
  run.reason = state.lost             ? "ContainerStatusUnknown"
               : state.oom_killed     ? "OOMKilled"
               : state.exit_code == 0 ? "Completed"
                                      : "Error";
  if (state.lost) run.message = "The exit status of the container could not be learnt";
}

void PodWorker::OnExit(const ContainerState& state) {
  std::string name;
  int attempt = 0;
  if (!SplitId(state.id, &name, &attempt)) return;
  for (size_t i = 0; i < info_.containers.size(); ++i) {
    if (info_.containers[i].name != name) continue;
    ContainerRecord& c = record_.containers[i];
    if (c.current && c.current->attempt == attempt && c.current->running) {
      ApplyExit(*c.current, state);
      spdlog::debug("container ended pod={} container={} attempt={} exit_code={}", key_, name, attempt,
                    state.exit_code);
    } else if (c.starting) {
      early_exits_[i] = state;
    }
  }
  dirty_ = true;
  services_.wake(key_);
}

void PodWorker::OnNote(const ContainerState& state) {
  std::string name;
  int attempt = 0;
  if (!SplitId(state.id, &name, &attempt) || state.steered_note.empty()) return;
  for (size_t i = 0; i < info_.containers.size(); ++i) {
    if (info_.containers[i].name == name) Record(EventType::kNormal, "PortSteered", state.steered_note, i);
  }
}

void PodWorker::Abandon() {
  if (abandoned_) return;
  abandoned_ = true;
  dirty_ = true;
  services_.wake(key_);
}

bool PodWorker::obstructed() const {
  if (record_.terminal || gone_) return false;
  return (!record_.sandbox_ready && sandbox_failures_ > 0) ||
         std::any_of(record_.containers.begin(), record_.containers.end(),
                     [](const auto& c) { return !c.obstacle.empty(); });
}

void PodWorker::RetryNow() {
  record_.sandbox_retry_at = Time{};
  for (ContainerRecord& c : record_.containers) c.retry_at = Time{};
  dirty_ = true;
  services_.wake(key_);
}

// Deletion, loss of the object and loss of the node become orders to stop.
void PodWorker::TakeOrders() {
  const Time now = services_.context.clock.Now();
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
}

Task<ReconcileResult> PodWorker::Sync(ObjectPtr pod) {
  const auto self = shared_from_this();
  ReconcileResult result;
  const Time begin = services_.context.clock.Now();
  if (!pod && !gone_) {
    gone_ = true;
    dirty_ = true;
  }
  if (pod) pod_ = std::move(pod);
  if (!dirty_ && pod_->revision() == synced_revision_ && begin < wake_at_) {
    if (wake_at_ != Time::max()) result.requeue_after = wake_at_ - begin;
    co_return result;
  }
  dirty_ = false;
  synced_revision_ = pod_->revision();
  TakeOrders();
  Admit();

  PodPlan plan;
  for (;;) {
    plan = PlanPod(info_, record_, services_.context.clock.Now());
    if (plan.actions.empty()) break;
    for (const PodAction& action : plan.actions) co_await Act(action);
  }
  wake_at_ = plan.wake_at;
  AnnounceWaiting(plan);

  const bool silent = gone_ || abandoned_;
  if (!silent && !record_.terminal) {
    const Json status = [&] {
      const JsonPtr document = pod_->json();
      const Json* previous = FindPath(*document, "status");
      return RenderPodStatus(info_, record_, plan, Addresses(), previous ? *previous : Json::object(),
                             services_.context.clock.Now());
    }();
    const Status written = co_await WriteStatus(status);
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
  const bool alive =
      std::any_of(record_.containers.begin(), record_.containers.end(), [](const auto& c) { return Alive(c); });
  if (!alive && silent) {
    co_await CleanUp();
  } else if (!alive && record_.terminal && pod_->view<MetaView>().deleting()) {
    result.status = co_await FinishDeletion();
    if (!result.status.ok()) dirty_ = true;
  }
  const Time now = services_.context.clock.Now();
  if (wake_at_ != Time::max()) result.requeue_after = std::max(wake_at_ - now, Duration(1));
  co_return result;
}

// The node's own say before a pod's first start: what the scheduler did not check, for pods that were bound past it.
void PodWorker::Admit() {
  if (record_.start_time || record_.terminal || gone_ || abandoned_) return;
  record_.start_time = services_.context.clock.Now();
  const auto ports_of = [](const Json& pod) {
    std::set<std::tuple<int64_t, std::string>> ports;
    const Json* containers = FindPath(pod, "spec.containers");
    if (!containers || !containers->is_array()) return ports;
    for (const Json& container : *containers) {
      const Json* list = FindPath(container, "ports");
      if (!list || !list->is_array()) continue;
      for (const Json& port : *list) {
        if (const int64_t number = IntAt(port, "hostPort"); number > 0)
          ports.emplace(number, StringAt(port, "protocol", "TCP"));
      }
    }
    return ports;
  };
  const auto wanted = ports_of(*pod_->json());
  if (wanted.empty()) return;
  for (const ObjectPtr& other : services_.active_pods(*site_, info_.uid)) {
    for (const auto& port : ports_of(*other->json())) {
      if (!wanted.contains(port)) continue;
      record_.rejected_reason = "NodePorts";
      record_.rejected_message =
          "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
      Record(EventType::kWarning, record_.rejected_reason,
             "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports");
      return;
    }
  }
}

Task<> PodWorker::Act(PodAction action) {
  switch (action.kind) {
    case PodAction::Kind::kPrepareSandbox:
      PrepareSandbox();
      break;
    case PodAction::Kind::kStart:
      record_.containers[action.container].starting = true;
      Spawn(services_.context.executor, "start of " + key_, StartContainer(action.container));
      break;
    case PodAction::Kind::kTerm:
      record_.containers[action.container].term_sent = true;
      Record(EventType::kNormal, "Killing", "Stopping container " + info_.containers[action.container].name,
             action.container);
      co_await SignalContainer(action.container, StopSignalOf(action.container));
      break;
    case PodAction::Kind::kKill:
      record_.containers[action.container].kill_sent = true;
      co_await SignalContainer(action.container, SIGKILL);
      break;
  }
}

int PodWorker::StopSignalOf(size_t i) const {
  const JsonPtr document = pod_->json();
  return StopSignal(services_.context.client.cache(), ContainerAt(*document, i));
}

Task<> PodWorker::SignalContainer(size_t i, int signal) {
  const Status sent = co_await site_->runtime->Signal(RunId(info_, i, record_.containers[i].current->attempt), signal);
  if (!sent.ok())
    spdlog::warn("signal not sent pod={} container={} signal={} error=\"{}\"", key_, info_.containers[i].name, signal,
                 sent.message());
}

// The pod's address, directories and volumes.
void PodWorker::PrepareSandbox() {
  const JsonPtr document = pod_->json();
  if (!site_->addresses) {  // the node is new; its agent calls again when it has its block
    sandbox_failures_ = 1;
    record_.sandbox_retry_at = services_.context.clock.Now() + kBackoffBase;
    return;
  }
  std::string failure;
  place_.node_address = site_->addresses->node_address();
  if (BoolAt(*document, "spec.hostNetwork")) place_.pod_ip = place_.node_address;
  if (place_.pod_ip.empty()) place_.pod_ip = site_->addresses->Allocate(info_.uid);
  if (place_.pod_ip.empty()) failure = "failed to create pod sandbox: no free address on node " + site_->name;
  const bool adopted =
      std::any_of(record_.containers.begin(), record_.containers.end(), [](const auto& c) { return c.current; });
  if (failure.empty() && site_->simulated() && !adopted) {
    failure = CheckClaims(services_.context.client.cache(), *document, place_.node_name).message();
  }
  if (failure.empty() && !site_->simulated()) {
    if (site_->node) {
      const JsonPtr node = site_->node->json();
      place_.node_milli_cpu = Allocatable(*node, "cpu", true);
      place_.node_memory = Allocatable(*node, "memory", false);
      place_.node_ephemeral = Allocatable(*node, "ephemeral-storage", false);
    }
    static const Json none = Json::object();
    const EnvSources sources{services_.context.client.cache(),
                             *document,
                             none,
                             place_.node_name,
                             place_.node_address,
                             place_.pod_ip,
                             place_.node_milli_cpu,
                             place_.node_memory,
                             place_.node_ephemeral};
    PodVolumes volumes(place_.directory / "volumes", services_.options.tokens);
    Result<std::map<std::string, std::string>> places = adopted ? volumes.Places(sources) : volumes.Prepare(sources);
    if (places.ok()) {
      place_.volumes = std::move(*places);
    } else {
      failure = places.status().message();
    }
  }
  if (failure.empty()) {
    record_.sandbox_ready = true;
    sandbox_failures_ = 0;
    return;
  }
  ++sandbox_failures_;
  record_.sandbox_retry_at = services_.context.clock.Now() + BackoffAfter(sandbox_failures_);
  const bool volume = failure.starts_with("MountVolume");
  Record(EventType::kWarning, volume ? "FailedMount" : "FailedCreatePodSandBox", failure);
}

Result<ContainerSpec> PodWorker::SimulatedSpec(size_t i, int attempt) {
  ContainerRecord& c = record_.containers[i];
  ContainerSpec spec;
  spec.id = RunId(info_, i, attempt);
  c.image_id = "wherry://simulated";
  const JsonPtr node = site_->node ? site_->node->json() : std::make_shared<const Json>();
  Result<Json> behaviour = SimulationFor(*node, *pod_->json(), info_.containers[i].name);
  if (!behaviour.ok()) return ContainerRefusal("CreateContainerConfigError", behaviour.status().message());
  if (behaviour->is_object()) {
    c.probed_ready = !BoolAt(*behaviour, "notReady");
    spec.env.emplace_back(kSimulateVariable, behaviour->dump());
  }
  return spec;
}

Result<ContainerSpec> PodWorker::BuildSpec(size_t i, int attempt) {
  const JsonPtr document = pod_->json();
  ContainerRecord& c = record_.containers[i];
  if (site_->simulated()) return SimulatedSpec(i, attempt);
  Result<BuiltContainer> built =
      BuildContainer(services_.options, services_.context.client.cache(), *document, i, attempt, place_);
  if (!built.ok()) return built.status();
  Record(EventType::kNormal, "Pulled",
         "Container image \"" + info_.containers[i].image + "\" already present on machine", i);
  c.image_id = built->image_id;
  for (const std::string& note : built->notes) Record(EventType::kWarning, "NotAsAsked", note, i);
  return std::move(built->spec);
}

Task<> PodWorker::StartContainer(size_t i) {
  const auto self = shared_from_this();
  const ContainerRecord& before = record_.containers[i];
  const int attempt = before.current ? before.current->attempt + 1 : 0;
  Result<ContainerSpec> spec = BuildSpec(i, attempt);
  Status failure = spec.status();
  ContainerState state;
  if (spec.ok()) {
    if (!site_->simulated()) {
      DropOldLogs(i, attempt);
      LinkLog(i, attempt);
    }
    Result<ContainerState> started = co_await site_->runtime->Start(std::move(*spec));
    failure = started.status();
    if (started.ok()) state = std::move(*started);
  }
  record_.containers[i].starting = false;
  if (failure.ok()) {
    Started(i, attempt, state);
  } else {
    StartFailed(i, attempt, failure);
  }
  dirty_ = true;
  services_.wake(key_);
}

void PodWorker::Started(size_t i, int attempt, const ContainerState& state) {
  ContainerRecord& c = record_.containers[i];
  if (c.current) {
    NoteRestart(c, state.started_at);
    c.last = c.current;
  }
  Run run;
  run.attempt = attempt;
  run.running = state.running;
  run.started_at = state.started_at;
  c.current = run;
  c.obstacle.clear();
  c.obstacle_failures = 0;
  c.term_sent = c.kill_sent = false;
  c.stop.reset();
  in_runtime_.insert(RunId(info_, i, attempt));
  const std::string& name = info_.containers[i].name;
  Record(EventType::kNormal, "Created", "Created container: " + name, i);
  Record(EventType::kNormal, "Started", "Started container " + name, i);
  if (!state.steered_note.empty()) Record(EventType::kNormal, "PortSteered", state.steered_note, i);
  if (!state.running) ApplyExit(*c.current, state);
  if (std::optional<ContainerState> early = std::exchange(early_exits_[i], std::nullopt); early && c.current->running) {
    if (early->id == RunId(info_, i, attempt)) ApplyExit(*c.current, *early);
  }
  spdlog::debug("container started pod={} container={} attempt={} pid={}", key_, name, attempt, state.pid);
}

void PodWorker::StartFailed(size_t i, int attempt, const Status& why) {
  ContainerRecord& c = record_.containers[i];
  const Time now = services_.context.clock.Now();
  const std::string reason = WaitingReason(why, "RunContainerError");
  if (reason == "RunContainerError") {
    // The container was made and its program would not run: that is a run, which ended at once.
    if (c.current) {
      NoteRestart(c, now);
      c.last = c.current;
    }
    Run run;
    run.attempt = attempt;
    run.started_at = run.finished_at = now;
    run.exit_code = 128;
    run.reason = "StartError";
    run.message = why.message();
    c.current = run;
    c.obstacle.clear();
    Record(EventType::kWarning, "Failed", "Error: " + why.message(), i);
    return;
  }
  c.obstacle = reason;
  c.obstacle_message = why.message();
  c.obstacle_since = now;
  c.retry_at = now + BackoffAfter(++c.obstacle_failures);
  if (reason == "ErrImagePull") {
    Record(EventType::kWarning, "Failed",
           "Failed to pull image \"" + info_.containers[i].image + "\": " + why.message(), i);
  }
  Record(EventType::kWarning, "Failed", "Error: " + (reason == "ErrImagePull" ? reason : why.message()), i);
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
  if (!record_.sandbox_ready && place_.pod_ip.empty()) return {};
  const std::string host = site_->addresses ? site_->addresses->node_address() : place_.node_address;
  return {host, place_.pod_ip};
}

// Writes the status unless it says nothing new, or only that a start is under way which may be through in a moment.
Task<Status> PodWorker::WriteStatus(const Json& status) {
  const JsonPtr document = pod_->json();
  const Json* previous = FindPath(*document, "status");
  if (previous && *previous == status) {
    status_held_since_.reset();
    co_return Status();
  }
  const Time now = services_.context.clock.Now();
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
  Json body = *document;
  body["status"] = status;
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

// Ended runs that the stored status tells of need not be kept by the runtime.
Task<> PodWorker::ForgetEnded() {
  std::vector<std::string> ended;
  for (const std::string& id : in_runtime_) {
    std::string name;
    int attempt = 0;
    SplitId(id, &name, &attempt);
    const bool running = [&] {
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
  if (site_->addresses) site_->addresses->Release(info_.uid);
  if (!site_->simulated()) {
    std::error_code error;
    fs::remove_all(place_.directory, error);
    fs::remove_all(place_.log_directory, error);
    for (const ContainerInfo& container : info_.containers) {
      fs::remove(fs::path(services_.options.data_dir) / "nodes" / site_->name / "containers" /
                     (info_.name + "_" + info_.ns + "_" + container.name + "-" + info_.uid + ".log"),
                 error);
    }
  }
  done_ = true;
}

// The logs of the run before stay for `kubectl logs --previous`; older ones go.
void PodWorker::DropOldLogs(size_t i, int attempt) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(place_.log_directory / info_.containers[i].name, error)) {
    if (std::atoi(entry.path().filename().c_str()) < attempt - 1) fs::remove(entry.path(), error);
  }
}

// <data>/nodes/<node>/containers/<pod>_<ns>_<container>-<uid>.log: where log collectors look, as /var/log/containers
// is.
void PodWorker::LinkLog(size_t i, int attempt) {
  const std::string& name = info_.containers[i].name;
  const fs::path directory = fs::path(services_.options.data_dir) / "nodes" / site_->name / "containers";
  const fs::path link = directory / (info_.name + "_" + info_.ns + "_" + name + "-" + info_.uid + ".log");
  std::error_code error;
  fs::create_directories(directory, error);
  fs::remove(link, error);
  fs::create_symlink(place_.log_directory / name / (std::to_string(attempt) + ".log"), link, error);
  if (error) spdlog::warn("log not linked pod={} link={} error=\"{}\"", key_, link.string(), error.message());
}

void PodWorker::Record(EventType type, std::string reason, std::string message, size_t container) {
  if (gone_ || abandoned_) return;
  if (site_->simulated() && type == EventType::kNormal && !services_.options.simulated_events) return;
  if (!site_->recorder) site_->recorder = std::make_unique<EventRecorder>(services_.context, "kubelet", site_->name);
  std::string field;
  if (container != SIZE_MAX) {
    const bool main = info_.containers[container].role == ContainerRole::kMain;
    field = std::string(main ? "spec.containers{" : "spec.initContainers{") + info_.containers[container].name + "}";
  }
  if (type == EventType::kNormal) {
    site_->recorder->Normal(*pod_, std::move(reason), std::move(message), std::move(field));
  } else {
    site_->recorder->Warning(*pod_, std::move(reason), std::move(message), std::move(field));
  }
}

}  // namespace wherry
