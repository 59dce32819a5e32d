#include "core/agent/pod_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// How long a failed pull shows as ErrImagePull before it shows as ImagePullBackOff.
constexpr Duration kShowPullError = std::chrono::seconds(1);

// The end of the current run by today's wall clock.
Time EndedAt(const ContainerRecord& c) { return c.current->finished_at + c.set_since_end; }

bool Succeeded(const ContainerRecord& c) { return c.current && !c.current->running && c.current->exit_code == 0; }
bool Ended(const ContainerRecord& c) { return !c.starting && c.current && !c.current->running; }

// Whether an ended container runs again by the pod's policy. Init containers run until they succeed, unless Never.
bool RunsAgain(const PodInfo& pod, ContainerRole role, const ContainerRecord& c) {
  if (role == ContainerRole::kEphemeral) return false;
  if (role == ContainerRole::kSidecar) return true;
  if (pod.restart_policy == RestartPolicy::kNever) return false;
  if (c.current->exit_code != 0 || c.current->condemned) return true;
  return role == ContainerRole::kMain && pod.restart_policy == RestartPolicy::kAlways;
}

// One planning run; collects into `plan`.
class Planner {
 public:
  Planner(const PodInfo& pod, const PodRecord& record, Time now) : pod_(pod), record_(record), now_(now) {
    plan_.waiting.resize(pod.containers.size());
  }

  PodPlan Run() {
    FindStop();
    plan_.initialized = Initialized();
    if (record_.terminal || !record_.rejected_reason.empty()) {
      StopEverything(StopOrder{now_, Duration::zero(), {}, {}});
      plan_.actions.erase(std::remove_if(plan_.actions.begin(), plan_.actions.end(),
                                         [](const PodAction& a) { return a.kind == PodAction::Kind::kTerm; }),
                          plan_.actions.end());
      plan_.finished = NoneAlive();
    } else if (stop_) {
      StopEverything(*stop_);
      plan_.finished = NoneAlive();
    } else {
      KeepRunning();
    }
    ShowWaiting();
    plan_.phase = Phase();
    Explain();
    return std::move(plan_);
  }

 private:
  using Kind = PodAction::Kind;

  const ContainerRecord& at(size_t i) const { return record_.containers[i]; }
  ContainerRole role(size_t i) const { return pod_.containers[i].role; }
  size_t count() const { return pod_.containers.size(); }
  void WakeAt(Time time) { plan_.wake_at = std::min(plan_.wake_at, time); }
  bool NoneAlive() const {
    return std::none_of(record_.containers.begin(), record_.containers.end(), [](const auto& c) { return Alive(c); });
  }

  void FindStop() {
    stop_ = record_.stop;
    if (pod_.active_deadline == Duration::zero() || !record_.start_time || record_.terminal) return;
    const Time deadline = *record_.start_time + record_.set_since_start + pod_.active_deadline;
    if (now_ < deadline) {
      WakeAt(deadline);
    } else if (!stop_) {
      stop_ = StopOrder{deadline, pod_.grace, "DeadlineExceeded",
                        "Pod was active on the node longer than the specified deadline"};
    }
  }

  // Init containers have all succeeded and sidecars have started. Once a main container ran, that stays true.
  bool Initialized() const {
    for (size_t i = 0; i < count(); ++i) {
      if (role(i) == ContainerRole::kMain) {
        if (at(i).current || at(i).starting) return true;
      }
    }
    for (size_t i = 0; i < count(); ++i) {
      if (role(i) == ContainerRole::kInit && !Succeeded(at(i))) return false;
      if (role(i) == ContainerRole::kSidecar && !(at(i).up() && at(i).probed_started)) return false;
    }
    return true;
  }

  // preStop, SIGTERM, then SIGKILL at the deadline. Sidecars outlive the main containers and go in reverse order; their
  // preStop hooks run at once with the others'.
  void StopEverything(const StopOrder& order) {
    bool others_alive = false;
    for (size_t i = 0; i < count(); ++i) {
      if (role(i) == ContainerRole::kSidecar || !Alive(at(i))) continue;
      others_alive = true;
      Stop(i, order, true);
    }
    for (size_t i = count(); i-- > 0;) {
      if (role(i) != ContainerRole::kSidecar || !Alive(at(i))) continue;
      Stop(i, order, !others_alive || now_ >= order.kill_at());
      others_alive = true;
    }
    if (others_alive && now_ < order.kill_at()) WakeAt(order.kill_at());
  }

  // `turn`: those that must go first have gone.
  void Stop(size_t i, const StopOrder& order, bool turn) {
    const ContainerRecord& c = at(i);
    if (c.starting) return;  // its start ends first; that wakes us
    Time kill_at = order.kill_at();
    if (pod_.containers[i].pre_stop && order.grace > Duration::zero()) {
      if (!c.pre_stop_done && now_ < order.kill_at()) {
        if (!c.pre_stop_begun) plan_.actions.push_back({Kind::kPreStop, i});
        WakeAt(order.kill_at());
        return;  // its end wakes us
      }
      if (c.pre_stop_begun) kill_at = std::max(kill_at, (c.term_sent ? c.term_at : now_) + kGraceAfterHook);
    }
    if (now_ >= kill_at) {
      if (!c.kill_sent) plan_.actions.push_back({Kind::kKill, i});
      return;
    }
    WakeAt(kill_at);
    if (turn && !c.term_sent) plan_.actions.push_back({Kind::kTerm, i});
  }

  void KeepRunning() {
    if (!record_.sandbox_ready) {
      if (now_ >= record_.sandbox_retry_at) {
        plan_.actions.push_back({Kind::kPrepareSandbox, 0});
      } else {
        WakeAt(record_.sandbox_retry_at);
      }
      return;
    }
    for (size_t i = 0; i < count(); ++i) {
      if (at(i).stop && Alive(at(i))) Stop(i, *at(i).stop, true);
    }
    if (!RunInitContainers()) {
      if (!failed_init_) StartEphemeral();
      return;
    }
    bool main_pending = false;
    for (size_t i = 0; i < count(); ++i) {
      if (role(i) != ContainerRole::kMain) continue;
      if (Alive(at(i))) {
        main_pending = true;
      } else if (!at(i).current || RunsAgain(pod_, role(i), at(i))) {
        main_pending = true;
        StartWhenDue(i);
      }
    }
    if (main_pending) {
      StartEphemeral();
    } else {
      FinishOthers();
    }
  }

  // At any time of a pod that is not at its end; once.
  void StartEphemeral() {
    for (size_t i = 0; i < count(); ++i) {
      if (role(i) == ContainerRole::kEphemeral && !at(i).current && !Alive(at(i))) StartWhenDue(i);
    }
  }

  // True when the main containers may run. A sidecar that crashed later is restarted without holding them up.
  bool RunInitContainers() {
    for (size_t i = 0; i < count(); ++i) {
      const ContainerRecord& c = at(i);
      if (role(i) == ContainerRole::kMain || role(i) == ContainerRole::kEphemeral) continue;
      if (role(i) == ContainerRole::kInit) {
        if (plan_.initialized || Succeeded(c)) continue;
        if (Ended(c) && !RunsAgain(pod_, role(i), c)) {
          failed_init_ = true;
          FinishOthers();
          return false;
        }
        if (!Alive(c)) StartWhenDue(i);
        return false;
      }
      if (!Alive(c) && !MainsDone()) StartWhenDue(i);
      if (!plan_.initialized && !(c.up() && c.probed_started)) return false;
    }
    return true;
  }

  // Every main container has ended for good.
  bool MainsDone() const {
    for (size_t i = 0; i < count(); ++i) {
      if (role(i) == ContainerRole::kMain && (!Ended(at(i)) || RunsAgain(pod_, role(i), at(i)))) return false;
    }
    return true;
  }

  // What the pod does not live for, sidecars and ephemeral containers, ends with it.
  void FinishOthers() {
    // Their grace counts from the end of the last main container.
    StopOrder order{Time{}, pod_.grace, {}, {}};
    for (size_t i = 0; i < count(); ++i) {
      if (role(i) != ContainerRole::kEphemeral && Ended(at(i))) order.since = std::max(order.since, EndedAt(at(i)));
    }
    StopEverything(order);
    plan_.finished = NoneAlive();
  }

  // One start at a time, in order: the next waits until this one is through, with its postStart hook.
  void StartWhenDue(size_t i) {
    const ContainerRecord& c = at(i);
    if (!c.obstacle.empty() && now_ < c.retry_at) {
      WakeAt(c.retry_at);
      return;
    }
    if (c.current && now_ < RestartAllowedAt(c)) {
      WakeAt(RestartAllowedAt(c));
      return;
    }
    if (start_planned_ || std::any_of(record_.containers.begin(), record_.containers.end(), [](const auto& r) {
          return r.starting || (r.current && r.current->running && r.post_start);
        })) {
      return;
    }
    start_planned_ = true;
    plan_.actions.push_back({Kind::kStart, i});
  }

  void ShowWaiting() {
    const bool has_init = !pod_.containers.empty() && pod_.containers.front().role != ContainerRole::kMain;
    const bool over = plan_.finished || record_.terminal || !record_.rejected_reason.empty() || (stop_ && NoneAlive());
    for (size_t i = 0; i < count(); ++i) {
      const ContainerRecord& c = at(i);
      PodPlan::Waiting& waiting = plan_.waiting[i];
      if (c.current && c.current->running) {
        if (c.post_start && c.hook_error.empty()) waiting.reason = has_init ? "PodInitializing" : "ContainerCreating";
        if (!c.hook_error.empty()) waiting = {"PostStartHookError", c.hook_error};
        continue;
      }
      if (over && (c.current || role(i) != ContainerRole::kEphemeral)) continue;
      if (c.current && (stop_ || (!RunsAgain(pod_, role(i), c)))) continue;
      if (!c.obstacle.empty()) {
        ShowObstacle(i);
      } else if (!c.current) {
        waiting.reason = has_init ? "PodInitializing" : "ContainerCreating";
      } else if (c.current->reason == "StartError") {
        waiting = {"RunContainerError", c.current->message};
        if (now_ < RestartAllowedAt(c)) WakeAt(RestartAllowedAt(c));
      } else if (!c.starting && now_ < RestartAllowedAt(c)) {
        waiting = {"CrashLoopBackOff", "back-off " + GoDuration(c.backoff) +
                                           " restarting failed container=" + pod_.containers[i].name +
                                           " pod=" + pod_.name + "_" + pod_.ns + "(" + pod_.uid + ")"};
      }
    }
  }

  void ShowObstacle(size_t i) {
    const ContainerRecord& c = at(i);
    PodPlan::Waiting& waiting = plan_.waiting[i];
    waiting = {c.obstacle, c.obstacle_message};
    if (c.obstacle != "ErrImagePull") return;
    const Time flip = c.obstacle_since + kShowPullError;
    if (now_ < flip) {
      WakeAt(flip);
    } else {
      waiting = {"ImagePullBackOff",
                 "Back-off pulling image \"" + pod_.containers[i].image + "\": ErrImagePull: " + c.obstacle_message};
    }
  }

  // As the kubelet's getPhase, with the pod's end known to the planner instead of guessed from states.
  std::string Phase() const {
    if (!record_.rejected_reason.empty()) return "Failed";
    size_t waiting = 0, running = 0, ended = 0, good = 0;
    bool init_pending = false;
    for (size_t i = 0; i < count(); ++i) {
      const ContainerRecord& c = at(i);
      if (role(i) == ContainerRole::kEphemeral) continue;
      if (role(i) != ContainerRole::kMain) {
        init_pending |= !plan_.initialized;
        continue;
      }
      if (c.current && c.current->running && (!c.post_start || c.last)) {
        ++running;
      } else if (c.current && !c.current->running) {
        ++ended;
        good += c.current->exit_code == 0 ? 1 : 0;
      } else {
        ++waiting;
      }
    }
    if (plan_.finished) {
      if (stop_ && !record_.deleting && !stop_->reason.empty()) return "Failed";
      return !failed_init_ && waiting == 0 && good == ended ? "Succeeded" : "Failed";
    }
    if (init_pending || waiting > 0) return "Pending";
    return "Running";
  }

  void Explain() {
    if (!record_.rejected_reason.empty()) {
      plan_.reason = record_.rejected_reason;
      plan_.message = record_.rejected_message;
    } else if (stop_ && !record_.deleting && plan_.finished) {
      plan_.reason = stop_->reason;
      plan_.message = stop_->message;
    }
  }

  const PodInfo& pod_;
  const PodRecord& record_;
  const Time now_;
  PodPlan plan_;
  std::optional<StopOrder> stop_;
  bool failed_init_ = false;
  bool start_planned_ = false;
};

}  // namespace

PodPlan PlanPod(const PodInfo& pod, const PodRecord& record, Time now) { return Planner(pod, record, now).Run(); }

Time RestartAllowedAt(const ContainerRecord& record) {
  const Time finished = EndedAt(record);
  if (record.backoff == Duration::zero() || finished - record.backoff_at > kBackoffReset) return finished;
  return finished + record.backoff;
}

void NoteRestart(ContainerRecord& record, Time now) {
  const bool forgotten = record.backoff == Duration::zero() || EndedAt(record) - record.backoff_at > kBackoffReset;
  record.backoff = forgotten ? kBackoffBase : std::min(record.backoff * 2, kBackoffMax);
  record.backoff_at = now;
}

Duration BackoffAfter(int failures) {
  Duration wait = kBackoffBase;
  for (int i = 1; i < failures && wait < kBackoffMax; ++i) wait *= 2;
  return std::min(wait, kBackoffMax);
}

void FollowWallClock(PodRecord& record, Duration by) {
  record.sandbox_retry_at += by;
  record.set_since_start += by;
  if (record.stop) record.stop->since += by;
  for (ContainerRecord& c : record.containers) {
    if (c.stop) c.stop->since += by;
    if (c.current && !c.current->running) c.set_since_end += by;
    for (Time* time : {&c.term_at, &c.obstacle_since, &c.retry_at, &c.backoff_at}) *time += by;
  }
}

std::string GoDuration(Duration duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 60) return std::to_string(seconds) + "s";
  return std::to_string(seconds / 60) + "m" + std::to_string(seconds % 60) + "s";
}

}  // namespace wherry
