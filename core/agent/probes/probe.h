#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/agent/probes/action.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

enum class ProbeKind : uint8_t { kStartup, kLiveness, kReadiness };

// One probe of a container, with the API's defaults (core/v1 Probe).
struct ProbeSpec {
  ProbeKind kind = ProbeKind::kReadiness;
  Action action;
  std::string bad;  // why the action cannot be carried out; "" = it can
  Duration initial_delay{0};
  Duration period = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(1);
  int success_threshold = 1, failure_threshold = 3;
  std::optional<Duration> grace;  // of a container that it condemns, instead of the pod's
};

// "startup", "liveness", "readiness".
const char* NameOf(ProbeKind kind);
// The probes of a container.
std::vector<ProbeSpec> ProbesOf(const Json& container);

// What the probes of one run of a container have found so far, and when they are due. Pure: whoever holds it begins the
// checks that are due and tells how they ended. A probe is never under way twice at once.
//
// As the kubelet's prober: liveness and readiness wait for startup; a verdict changes after so many equal results in a
// row; a condemned container is not probed any more.
class ContainerProbes {
 public:
  ContainerProbes(std::vector<ProbeSpec> specs, Time started_at);
  // For a run that an earlier server probed: its verdicts hold until they are contradicted, and the next checks are due
  // at `first`.
  void Resume(bool started, bool ready, Time first);

  bool started() const;
  bool ready() const;
  // The startup or liveness probe that has found the container bad for good; null = none.
  const ProbeSpec* condemned() const;
  const ProbeSpec& spec(size_t probe) const { return probes_[probe].spec; }

  // When the next check is due; Time::max() = none is.
  Time NextAt() const;
  // The checks that are due, which are under way from now on.
  std::vector<size_t> Begin(Time now);
  // One of them ended. True when started(), ready() or condemned() has changed.
  bool Finish(size_t probe, const CheckResult& result, Time now);
  // The pod is ending: only readiness goes on.
  void OnlyReadiness();
  // The wall clock was set: what is due stays due after the same time.
  void FollowWallClock(Duration by);
  // Something may have changed for checks that said they were steady.
  void Kick(Time now);

 private:
  struct Probe {
    ProbeSpec spec;
    Time due = Time::max();
    Time begun{};
    bool under_way = false;
    bool over = false;    // never again
    bool steady = false;  // waits for Kick
    bool verdict = false;
    bool condemned = false;
    std::optional<bool> last;
    int in_a_row = 0;
  };
  // Lets liveness and readiness begin.
  void OnStarted(Time now);

  std::vector<Probe> probes_;
  Time started_at_;
};

}  // namespace wherry
