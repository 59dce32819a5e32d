// The probes and hooks of a pod's containers.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/agent/container_builder.h"
#include "core/agent/pod_worker.h"
#include "core/agent/probes/action_runner.h"
#include "core/agent/probes/hooks.h"
#include "core/agent/shown_text.h"
#include "core/agent/simulation.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// A check that could not be carried out is tried again at once, so often in all; as upstream.
constexpr int kTries = 3;
// What an event or a state tells of a program's output.
constexpr size_t kShown = 1000;

std::string Title(ProbeKind kind) {
  return kind == ProbeKind::kStartup ? "Startup" : kind == ProbeKind::kLiveness ? "Liveness" : "Readiness";
}

}  // namespace

bool PodWorker::IsCurrent(size_t i, int attempt) const {
  const std::optional<Run>& run = record_.containers[i].current;
  return run && run->attempt == attempt && run->running;
}

void PodWorker::BeginProbes(size_t i) {
  const JsonPtr document = pod_->json();
  std::vector<ProbeSpec> specs = ProbesOf(SpecOf(*document, i));
  probes_[i].reset();
  if (!specs.empty()) {
    probes_[i].emplace(std::move(specs), record_.containers[i].current->started_at);
    if (record_.stop) probes_[i]->OnlyReadiness();
  }
  ReadVerdicts(i);
}

// Of a container that an earlier server probed. The first checks of many pods at once are spread over their periods.
void PodWorker::ResumeProbes(size_t i) {
  const ContainerRecord& c = record_.containers[i];
  const bool started = c.probed_started, ready = c.probed_ready;
  BeginProbes(i);
  if (!probes_[i]) return;
  const auto spread = Duration(static_cast<int64_t>(std::hash<std::string>()(info_.uid) % 1'000'000));
  probes_[i]->Resume(started, ready, Now() + spread);
  ReadVerdicts(i);
}

void PodWorker::ReadVerdicts(size_t i) {
  ContainerRecord& c = record_.containers[i];
  c.probed_started = !probes_[i] || probes_[i]->started();
  c.probed_ready = (!probes_[i] || probes_[i]->ready()) && !held_back_[i];
}

Time PodWorker::NextCheckAt() const {
  Time next = Time::max();
  for (const auto& probes : probes_) {
    if (probes) next = std::min(next, probes->NextAt());
  }
  return next;
}

void PodWorker::StartChecks() {
  const Time now = Now();
  for (size_t i = 0; i < probes_.size(); ++i) {
    if (!probes_[i]) continue;
    const int attempt = record_.containers[i].current->attempt;
    for (const size_t probe : probes_[i]->Begin(now))
      Spawn(services_.context.executor, "probe of " + key_, RunCheck(i, attempt, probe));
  }
}

Task<> PodWorker::RunCheck(size_t i, int attempt, size_t probe) {
  const auto self = shared_from_this();
  const ProbeSpec spec = probes_[i]->spec(probe);
  CheckResult result;
  result.outcome = CheckResult::Outcome::kError;
  result.output = spec.bad;
  for (int tries = 0; spec.bad.empty() && tries < kTries; ++tries) {
    result = co_await Perform(i, attempt, spec.action, spec.timeout, NameOf(spec.kind));
    if (result.outcome != CheckResult::Outcome::kError) break;
  }
  if (!IsCurrent(i, attempt) || !probes_[i]) co_return;
  TellOfCheck(i, spec, result);
  if (probes_[i]->Finish(probe, result, Now())) {
    ReadVerdicts(i);
    if (const ProbeSpec* condemned = probes_[i]->condemned()) Condemn(i, *condemned);
    dirty_ = true;
  }
  services_.wake(key_);
}

void PodWorker::TellOfCheck(size_t i, const ProbeSpec& spec, const CheckResult& result) {
  switch (result.outcome) {
    case CheckResult::Outcome::kSuccess:
      break;
    case CheckResult::Outcome::kWarning:
      Record(EventType::kWarning, "ProbeWarning", Title(spec.kind) + " probe warning: " + result.output, i);
      break;
    case CheckResult::Outcome::kFailure:
      Record(EventType::kWarning, "Unhealthy", Title(spec.kind) + " probe failed: " + result.output, i);
      break;
    case CheckResult::Outcome::kError:
      Record(EventType::kWarning, "Unhealthy",
             Title(spec.kind) + " probe errored and resulted in unknown state: " + result.output, i);
      break;
  }
}

// Orders the end of a container that its startup or liveness probe has given up.
void PodWorker::Condemn(size_t i, const ProbeSpec& probe) {
  ContainerRecord& c = record_.containers[i];
  if (c.stop || record_.stop) return;
  const bool again =
      info_.restart_policy != RestartPolicy::kNever || info_.containers[i].role == ContainerRole::kSidecar;
  c.current->condemned = true;
  c.stop = StopOrder{Now(),
                     probe.grace.value_or(info_.grace),
                     {},
                     "Container " + info_.containers[i].name + " failed " + NameOf(probe.kind) + " probe" +
                         (again ? ", will be restarted" : "")};
}

Task<CheckResult> PodWorker::Perform(size_t i, int attempt, Action action, Duration timeout, std::string what) {
  ActionSubject subject;
  subject.container_id = RunId(info_, i, attempt);
  subject.attempt = attempt;
  subject.started_at = record_.containers[i].current->started_at;
  subject.target = {sandbox_.place().pod_ip, services_.options.privileged_port_offset};
  if (site_->simulated()) {
    const Result<Json> behaviour = Simulation(i);
    subject.simulation = behaviour.ok() ? *behaviour : Json();
  }
  CheckResult result = co_await PerformAction(services_.context.executor, services_.context.clock, *site_->runtime,
                                              std::move(action), std::move(subject), timeout, std::move(what));
  result.output = ShownText(std::move(result.output), kShown);
  co_return result;
}

Task<> PodWorker::RunPostStart(size_t i, int attempt) {
  const auto self = shared_from_this();
  const JsonPtr document = pod_->json();
  const std::optional<Result<Action>> hook = HookOf(SpecOf(*document, i), "postStart");
  CheckResult result = CheckFailed(hook->status().message());
  Action action;
  if (hook->ok()) {
    action = **hook;
    result = co_await Perform(i, attempt, action, Duration::max(), "postStart");
  }
  ContainerRecord& c = record_.containers[i];
  if (!c.current || c.current->attempt != attempt) co_return;
  if (!c.current->running) {  // it ended by itself meanwhile
    c.post_start = false;
  } else if (result.good()) {
    c.post_start = false;
    BeginProbes(i);
  } else {
    c.hook_error = HookFailure(action, info_, info_.containers[i].name, result.output);
    if (!record_.stop) Record(EventType::kWarning, "FailedPostStartHook", "PostStartHook failed", i);
    if (!c.stop) c.stop = StopOrder{Now(), info_.grace, {}, "FailedPostStartHook"};
    spdlog::info("postStart failed pod={} container={}", key_, info_.containers[i].name);
  }
  Wake();
}

Task<> PodWorker::RunPreStop(size_t i, int attempt) {
  const auto self = shared_from_this();
  const Time now = Now();
  const Duration begin = services_.context.clock.Monotonic();
  const std::optional<StopOrder>& order = record_.stop ? record_.stop : record_.containers[i].stop;
  const Duration left = order ? order->kill_at() - now : info_.grace;
  const JsonPtr document = pod_->json();
  const std::optional<Result<Action>> hook = HookOf(SpecOf(*document, i), "preStop");
  CheckResult result = CheckFailed(hook->status().message());
  if (hook->ok()) {
    Action action = **hook;
    result = co_await Perform(i, attempt, std::move(action), std::max(left, Duration(1)), "preStop");
  }
  if (!IsCurrent(i, attempt)) co_return;  // the container ended first
  // One that took too long is cut off without a word, as upstream.
  const bool late = services_.context.clock.Monotonic() - begin >= left;
  if (!result.good() && !late) {
    Record(EventType::kWarning, "FailedPreStopHook", "PreStopHook failed", i);
    spdlog::info("preStop failed pod={} container={} error=\"{}\"", key_, info_.containers[i].name, result.output);
  }
  record_.containers[i].pre_stop_done = true;
  Wake();
}

}  // namespace wherry
