#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

enum class RestartPolicy : uint8_t { kAlways, kOnFailure, kNever };

// Where a container stands in a pod's life: init containers run one after the other to completion; a sidecar (an init
// container with restartPolicy Always) is only waited for until it has started and then stays; main containers follow.
// An ephemeral container is added to a pod that runs: started once, never again, and counted for nothing (KEP-277).
enum class ContainerRole : uint8_t { kInit, kSidecar, kMain, kEphemeral };

struct ContainerInfo {
  std::string name;
  std::string image;
  ContainerRole role = ContainerRole::kMain;
  bool pre_stop = false;  // has such a hook
};

// What the planner needs to know of a pod's metadata and spec. Constant for the pod's life, but for ephemeral
// containers that come at the end.
struct PodInfo {
  explicit PodInfo(const Json& pod);
  PodInfo() = default;
  // Appends the ephemeral containers that are not known yet. False when there are none.
  bool TakeEphemeral(const Json& pod);

  std::string ns, name, uid;
  RestartPolicy restart_policy = RestartPolicy::kAlways;
  std::vector<ContainerInfo> containers;  // spec.initContainers in order, then spec.containers, then ephemeral ones
  std::vector<std::string> readiness_gates;
  std::string qos_class;
  Duration grace{std::chrono::seconds(30)};  // terminationGracePeriodSeconds
  Duration active_deadline{0};               // 0 = none
};

// One run of a container, from its start to its end.
struct Run {
  int attempt = 0;
  bool running = false;
  Time started_at{};
  Time finished_at{};
  int exit_code = 0;
  int signal = 0;
  std::string reason;  // of an ended run: Completed, Error, StartError, ContainerStatusUnknown …
  std::string message;
  bool condemned = false;  // by a probe: runs again after whatever exit code, unless the policy is Never

  bool operator==(const Run&) const = default;
};

// An order to stop: SIGTERM now, SIGKILL `grace` after `since`.
struct StopOrder {
  Time since{};
  Duration grace{0};
  std::string reason, message;  // become status.reason and status.message of a pod that is stopped but not deleted
  Time kill_at() const { return since + grace; }
};

// What the agent remembers of one container between syncs. The executor writes it; the planner only reads.
struct ContainerRecord {
  std::optional<Run> current;                 // the newest run
  std::optional<Run> last;                    // the one before it
  bool starting = false;                      // a start is under way
  std::optional<StopOrder> stop;              // of this container alone (a failed liveness probe)
  bool term_sent = false, kill_sent = false;  // to the current run
  Time term_at{};                             // when term_sent

  // The hooks of the current run. While postStart is under way the container counts as not started yet.
  bool post_start = false;
  std::string hook_error;  // why postStart failed: the container is being killed for it
  bool pre_stop_begun = false, pre_stop_done = false;

  // Why the next run could not be prepared ("ErrImagePull", "CreateContainerConfigError" …); "" = no obstacle.
  std::string obstacle, obstacle_message;
  Time obstacle_since{};
  Time retry_at{};
  int obstacle_failures = 0;

  // The crash back-off: the wait before the next restart, and when the last restart happened.
  Duration backoff{0};
  Time backoff_at{};

  // Verdicts of the probes; without one a running container is started and ready.
  bool probed_started = true, probed_ready = true;

  // Its current run is up as far as others may tell.
  bool up() const { return current && current->running && !post_start; }

  std::string image_id;

  // How far the wall clock was set since the current run ended, whose times stay as they were told.
  Duration set_since_end{0};
};

struct PodRecord {
  std::vector<ContainerRecord> containers;  // parallel to PodInfo::containers
  bool sandbox_ready = false;               // address and volumes are there
  Time sandbox_retry_at{};
  std::optional<Time> start_time;                 // when the agent accepted the pod …
  Duration set_since_start{0};                    // … and how far the wall clock was set since
  std::optional<StopOrder> stop;                  // deletion, eviction, loss of the node
  bool deleting = false;                          // stop comes from deletion: the pod's object will go
  std::string rejected_reason, rejected_message;  // the agent refused the pod at admission
  bool terminal = false;                          // the stored phase is Succeeded or Failed: nothing may run again
};

struct PodAction {
  enum class Kind : uint8_t {
    kPrepareSandbox,
    kStart,  // the next attempt of `container`
    kPreStop,
    kTerm,  // SIGTERM
    kKill,  // SIGKILL
  };
  Kind kind;
  size_t container = 0;
  bool operator==(const PodAction&) const = default;
};

// What one look at a pod decided.
struct PodPlan {
  std::vector<PodAction> actions;
  Time wake_at = Time::max();  // look again then, even when nothing happens
  std::string phase;
  std::string reason, message;  // status.reason, status.message
  bool initialized = false;     // the init containers are through
  bool finished = false;        // nothing runs and nothing will run again
  // The waiting state to show for a container; "" = show its current run.
  struct Waiting {
    std::string reason, message;
  };
  std::vector<Waiting> waiting;  // parallel to PodInfo::containers
};

// Decides what to do for a pod from what is wanted and what is known. Pure; `now` is the only clock.
PodPlan PlanPod(const PodInfo& pod, const PodRecord& record, Time now);

// The crash back-off of client-go's Backoff as the kubelet uses it: the first restart is immediate, then 10 s doubling
// to 5 min, forgotten after a run of more than 10 min.
inline constexpr Duration kBackoffBase = std::chrono::seconds(10);
inline constexpr Duration kBackoffMax = std::chrono::minutes(5);
inline constexpr Duration kBackoffReset = std::chrono::minutes(10);
// What a container gets at least between SIGTERM and SIGKILL after a preStop hook that used up the grace period.
inline constexpr Duration kGraceAfterHook = std::chrono::seconds(2);
// When the ended current run may be followed by the next (its finish when at once).
Time RestartAllowedAt(const ContainerRecord& record);
// Notes that a restart happens now: the next wait doubles.
void NoteRestart(ContainerRecord& record, Time now);
// The wait before try `failures + 1` of something that failed: 10 s doubling to 5 min.
Duration BackoffAfter(int failures);

// The wall clock was set, forward or back: what is due stays due after the same time. Times that the status tells stay
// as they were.
void FollowWallClock(PodRecord& record, Duration by);

// "10s", "1m20s", "5m0s": as Go prints durations of whole seconds.
std::string GoDuration(Duration duration);

// The current run of a container is up, or on its way up.
inline bool Alive(const ContainerRecord& record) {
  return record.starting || (record.current && record.current->running);
}

// Guaranteed, Burstable or BestEffort (KEP-less; the API's "Pod QoS classes").
std::string QosClassOf(const Json& pod_spec);

}  // namespace wherry
