// How a pod's containers come to run, by their start or by adoption, and how they end.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/agent/container_builder.h"
#include "core/agent/pod_env.h"
#include "core/agent/pod_files.h"
#include "core/agent/pod_namespaces.h"
#include "core/agent/pod_worker.h"
#include "core/agent/probes/hooks.h"
#include "core/agent/simulation.h"
#include "core/agent/termination_message.h"
#include "core/runtime/object_view.h"

namespace wherry {

bool SplitRunId(const std::string& id, std::string* name, int* attempt) {
  const size_t first = id.find('/'), last = id.rfind('/');
  if (first == std::string::npos || first == last) return false;
  *name = id.substr(first + 1, last - first - 1);
  *attempt = std::atoi(id.c_str() + last + 1);
  return true;
}

std::string RunId(const PodInfo& info, size_t i, int attempt) {
  return info.uid + "/" + info.containers[i].name + "/" + std::to_string(attempt);
}

// Joins what the stored status says with what the runtime knows. The runtime is right about runs, the status about
// history.
void PodWorker::Adopt(const std::vector<ContainerState>& found) {
  const JsonPtr document = pod_->json();
  const Json* status = FindPath(*document, "status");
  record_ = RecordFromStatus(info_, status ? *status : Json::object());
  if (status) sandbox_.KeepAddress(StringAt(*status, "podIP"));
  if (record_.terminal && site_->addresses) site_->addresses->MarkFinished(info_.uid);
  for (const ContainerState& state : found) {
    in_runtime_.insert(state.id);
    std::string name;
    int attempt = 0;
    if (!SplitRunId(state.id, &name, &attempt)) continue;
    if (name == kPauseName) {
      next_pause_ = std::max(next_pause_, attempt + 1);
      if (state.running) pause_ = state.id;
      continue;
    }
    for (size_t i = 0; i < info_.containers.size(); ++i) {
      ContainerRecord& c = record_.containers[i];
      if (info_.containers[i].name != name || (c.current && c.current->attempt > attempt)) continue;
      if (c.current && c.current->attempt < attempt) c.last = c.current;
      if (c.last && c.last->attempt >= attempt) c.last.reset();
      Run run;
      run.attempt = attempt;
      run.running = state.running;
      run.started_at = state.started_at;
      // Of a run that the status does not tell of nobody knows what its probes would say.
      if (!c.current || c.current->attempt != attempt || !c.current->running) c.probed_started = c.probed_ready = false;
      run.condemned = c.current && c.current->attempt == attempt && c.current->condemned;
      if (!state.running) ApplyExit(i, run, state);
      c.current = run;
    }
  }
  if (record_.terminal) return;
  for (size_t i = 0; i < info_.containers.size(); ++i) {
    std::optional<Run>& run = record_.containers[i].current;
    if (!run || !run->running) continue;
    if (in_runtime_.contains(RunId(info_, i, run->attempt))) {
      ResumeProbes(i);
      continue;
    }
    if (site_->simulated()) {  // it lives in the stored status alone, and goes on
      Result<ContainerSpec> spec = SimulatedSpec(i, run->attempt);
      if (spec.ok() && site_->simulation->Restore(*spec, run->started_at)) {
        in_runtime_.insert(spec->id);
        ResumeProbes(i);
        continue;
      }
    }
    run->running = false;  // nobody knows what became of it: a reboot, or a wiped data directory
    run->finished_at = Now();
    run->exit_code = 255;
    run->reason = "ContainerStatusUnknown";
    run->message = "The container could not be located when the pod was adopted";
  }
}

void PodWorker::ApplyExit(size_t i, Run& run, const ContainerState& state) {
  run.running = false;
  run.finished_at = state.finished_at;
  record_.containers[i].set_since_end = Duration::zero();
  run.exit_code = state.lost ? 255 : state.exit_code;
  run.signal = state.signal;
  run.reason = state.lost             ? "ContainerStatusUnknown"
               : state.oom_killed     ? "OOMKilled"
               : state.exit_code == 0 ? "Completed"
                                      : "Error";
  if (state.lost) run.message = "The exit status of the container could not be learnt";
  probes_[i].reset();
  if (site_->simulated() || state.lost) return;
  const JsonPtr document = pod_->json();
  const PodSite& place = sandbox_.place();
  const std::string& name = info_.containers[i].name;
  run.message = TerminationMessage(SpecOf(*document, i), info_.containers.size(), place.directory / name,
                                   LogPath(place, name, run.attempt), run.exit_code);
  if (!state.killed_for.empty()) run.message = state.killed_for;
}

void PodWorker::OnExit(const ContainerState& state) {
  std::string name;
  int attempt = 0;
  if (!SplitRunId(state.id, &name, &attempt)) return;
  if (name == kPauseName) {
    ended_pause_ = state.id;
    if (pause_ == state.id) pause_.clear();
  }
  for (size_t i = 0; i < info_.containers.size(); ++i) {
    if (info_.containers[i].name != name) continue;
    ContainerRecord& c = record_.containers[i];
    if (c.current && c.current->attempt == attempt && c.current->running) {
      ApplyExit(i, *c.current, state);
      spdlog::debug("container ended pod={} container={} attempt={} exit_code={}", key_, name, attempt,
                    state.exit_code);
    } else if (c.starting) {
      early_exits_[i] = state;
    }
  }
  dirty_ = true;
  services_.wake(key_);
}

// How the simulated container is asked to behave at this moment.
Result<Json> PodWorker::Simulation(size_t i) const {
  return SimulationFor(site_->asked, SimulationAsked(*pod_->json()), info_.containers[i].name);
}

Result<ContainerSpec> PodWorker::SimulatedSpec(size_t i, int attempt) {
  ContainerRecord& c = record_.containers[i];
  ContainerSpec spec;
  spec.id = RunId(info_, i, attempt);
  c.image_id = "wherry://simulated";
  Result<Json> behaviour = Simulation(i);
  if (!behaviour.ok()) return ContainerRefusal("CreateContainerConfigError", behaviour.status().message());
  held_back_[i] = behaviour->is_object() && BoolAt(*behaviour, "notReady");
  if (behaviour->is_object()) {
    spec.env.emplace_back(kSimulateVariable, behaviour->dump());
  }
  return spec;
}

Result<ContainerSpec> PodWorker::BuildSpec(size_t i, int attempt) {
  const JsonPtr document = pod_->json();
  ContainerRecord& c = record_.containers[i];
  if (site_->simulated()) return SimulatedSpec(i, attempt);
  Result<BuiltContainer> built = BuildContainer(services_.options, services_.context.client.cache(), *document,
                                                SpecOf(*document, i), attempt, sandbox_.place());
  if (!built.ok()) return built.status();
  Record(EventType::kNormal, "Pulled",
         "Container image \"" + info_.containers[i].image + "\" already present on machine", i);
  c.image_id = built->image_id;
  for (const std::string& note : built->notes) Record(EventType::kWarning, "NotAsAsked", note, i);
  return std::move(built->spec);
}

// The process that holds what the pod's containers share. Of a pod's starts only one is under way, so no second pause
// comes.
Task<Status> PodWorker::EnsurePause() {
  const auto self = shared_from_this();
  if (!pause_.empty()) co_return Status();
  ContainerSpec spec = PauseSpec(*pod_->json(), sandbox_.place(), next_pause_++);
  const std::string id = spec.id;
  const Result<ContainerState> started = co_await site_->runtime->Start(std::move(spec));
  if (!started.ok()) {
    co_return ContainerRefusal(WaitingReason(started.status(), "CreateContainerError"), started.status().message());
  }
  in_runtime_.insert(id);  // not before: a sync beside us would take it for one that ended
  if (started->running && ended_pause_ != id) pause_ = id;
  if (pause_.empty()) {
    co_return ContainerRefusal("CreateContainerError", "the process that holds the pod's namespaces has ended");
  }
  co_return Status();
}

Task<> PodWorker::StartContainer(size_t i) {
  const auto self = shared_from_this();
  const ContainerRecord& before = record_.containers[i];
  const int attempt = before.current ? before.current->attempt + 1 : 0;
  Result<ContainerSpec> spec = BuildSpec(i, attempt);
  Status failure = spec.status();
  ContainerState state;
  const JsonPtr document = pod_->json();
  if (failure.ok() && spec->confinement.sandbox && WantsPause(*document)) failure = co_await EnsurePause();
  if (failure.ok()) failure = ShareNamespaces(*document, info_, record_, i, pause_, spec->confinement);
  if (failure.ok()) {
    if (!site_->simulated()) {
      MakeRoomForLog(services_.options.data_dir, sandbox_.place(), info_, info_.containers[i].name, attempt);
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
  Wake();
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
  c.term_sent = c.kill_sent = c.pre_stop_begun = c.pre_stop_done = c.post_start = false;
  c.hook_error.clear();
  c.stop.reset();
  probes_[i].reset();
  in_runtime_.insert(RunId(info_, i, attempt));
  const std::string& name = info_.containers[i].name;
  Record(EventType::kNormal, "Created", "Created container: " + name, i);
  Record(EventType::kNormal, "Started", "Started container " + name, i);
  if (!state.steered_note.empty()) Record(EventType::kNormal, "PortSteered", state.steered_note, i);
  if (!state.running) ApplyExit(i, *c.current, state);
  if (std::optional<ContainerState> early = std::exchange(early_exits_[i], std::nullopt); early && c.current->running) {
    if (early->id == RunId(info_, i, attempt)) ApplyExit(i, *c.current, *early);
  }
  const JsonPtr document = pod_->json();
  if (c.current->running && HookOf(SpecOf(*document, i), "postStart")) {
    c.post_start = true;
    Spawn(services_.context.executor, "postStart of " + key_, RunPostStart(i, attempt));
  } else if (c.current->running) {
    BeginProbes(i);
  }
  spdlog::debug("container started pod={} container={} attempt={} pid={}", key_, name, attempt, state.pid);
}

void PodWorker::StartFailed(size_t i, int attempt, const Status& why) {
  ContainerRecord& c = record_.containers[i];
  const Time now = Now();
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
    c.set_since_end = Duration::zero();
    c.obstacle.clear();
    Record(EventType::kWarning, "Failed", "Error: " + why.message(), i);
    return;
  }
  c.obstacle = reason;
  c.obstacle_message = why.message();
  c.obstacle_since = now;
  c.retry_at = now + BackoffAfter(++c.obstacle_failures);
  // What is said of an image comes first, under a reason of its own.
  const std::pair<const char*, std::pair<const char*, std::string>> images[] = {
      {"ErrImagePull", {"Failed", "Failed to pull image \"" + info_.containers[i].image + "\": " + why.message()}},
      {"ErrImageNeverPull", {"ErrImageNeverPull", why.message()}},
      {"InvalidImageName", {"InspectFailed", why.message()}},
  };
  std::string error = why.message();
  for (const auto& [known, event] : images) {
    if (reason != known) continue;
    Record(EventType::kWarning, event.first, event.second, i);
    error = reason;
  }
  Record(EventType::kWarning, "Failed", "Error: " + error, i);
}

}  // namespace wherry
