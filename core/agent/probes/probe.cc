#include "core/agent/probes/probe.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {

const char* NameOf(ProbeKind kind) {
  return kind == ProbeKind::kStartup ? "startup" : kind == ProbeKind::kLiveness ? "liveness" : "readiness";
}

std::vector<ProbeSpec> ProbesOf(const Json& container) {
  static constexpr std::pair<const char*, ProbeKind> kFields[] = {{"startupProbe", ProbeKind::kStartup},
                                                                  {"livenessProbe", ProbeKind::kLiveness},
                                                                  {"readinessProbe", ProbeKind::kReadiness}};
  std::vector<ProbeSpec> out;
  for (const auto& [field, kind] : kFields) {
    const Json* probe = FindPath(container, field);
    if (!probe || !probe->is_object()) continue;
    ProbeSpec spec;
    spec.kind = kind;
    Result<Action> action = ParseAction(*probe, container);
    if (action.ok()) {
      spec.action = std::move(*action);
    } else {
      spec.bad = action.status().message();
    }
    // Zeros mean the defaults, as the API's defaulting has it.
    const auto at_least_one = [&](const char* name, int64_t otherwise) {
      const int64_t value = IntAt(*probe, name);
      return value > 0 ? value : otherwise;
    };
    spec.initial_delay = std::chrono::seconds(IntAt(*probe, "initialDelaySeconds"));
    spec.period = std::chrono::seconds(at_least_one("periodSeconds", 10));
    spec.timeout = std::chrono::seconds(at_least_one("timeoutSeconds", 1));
    spec.success_threshold = static_cast<int>(at_least_one("successThreshold", 1));
    spec.failure_threshold = static_cast<int>(at_least_one("failureThreshold", 3));
    if (Has(*probe, "terminationGracePeriodSeconds"))
      spec.grace = std::chrono::seconds(IntAt(*probe, "terminationGracePeriodSeconds"));
    out.push_back(std::move(spec));
  }
  return out;
}

ContainerProbes::ContainerProbes(std::vector<ProbeSpec> specs, Time started_at) : started_at_(started_at) {
  for (ProbeSpec& spec : specs) {
    Probe probe;
    probe.verdict = spec.kind == ProbeKind::kLiveness;
    probe.spec = std::move(spec);
    probes_.push_back(std::move(probe));
  }
  if (started()) {
    OnStarted(started_at);
  } else {
    for (Probe& probe : probes_) {
      if (probe.spec.kind == ProbeKind::kStartup) probe.due = started_at + probe.spec.initial_delay;
    }
  }
}

void ContainerProbes::Resume(bool started, bool ready, Time first) {
  for (Probe& probe : probes_) {
    if (probe.spec.kind == ProbeKind::kStartup) {
      probe.verdict = probe.over = started;
      probe.due = started ? Time::max() : std::max(first, started_at_ + probe.spec.initial_delay);
    }
    if (probe.spec.kind == ProbeKind::kReadiness) probe.verdict = ready;
  }
  if (!ContainerProbes::started()) return;
  for (Probe& probe : probes_) {
    if (!probe.over) probe.due = std::max(first, started_at_ + probe.spec.initial_delay);
  }
}

void ContainerProbes::OnStarted(Time now) {
  for (Probe& probe : probes_) {
    if (probe.spec.kind != ProbeKind::kStartup && !probe.over)
      probe.due = std::max(now, started_at_ + probe.spec.initial_delay);
  }
}

bool ContainerProbes::started() const {
  return std::all_of(probes_.begin(), probes_.end(),
                     [](const Probe& probe) { return probe.spec.kind != ProbeKind::kStartup || probe.verdict; });
}

bool ContainerProbes::ready() const {
  return std::all_of(probes_.begin(), probes_.end(),
                     [](const Probe& probe) { return probe.spec.kind != ProbeKind::kReadiness || probe.verdict; });
}

const ProbeSpec* ContainerProbes::condemned() const {
  for (const Probe& probe : probes_) {
    if (probe.condemned) return &probe.spec;
  }
  return nullptr;
}

Time ContainerProbes::NextAt() const {
  Time next = Time::max();
  for (const Probe& probe : probes_) {
    if (!probe.over && !probe.under_way && !probe.steady) next = std::min(next, probe.due);
  }
  return next;
}

std::vector<size_t> ContainerProbes::Begin(Time now) {
  std::vector<size_t> out;
  for (size_t i = 0; i < probes_.size(); ++i) {
    Probe& probe = probes_[i];
    if (probe.over || probe.under_way || probe.steady || now < probe.due) continue;
    probe.under_way = true;
    probe.begun = now;
    out.push_back(i);
  }
  return out;
}

bool ContainerProbes::Finish(size_t index, const CheckResult& result, Time now) {
  Probe& probe = probes_[index];
  probe.under_way = false;
  if (probe.over) return false;
  const bool good = result.good();
  probe.in_a_row = probe.last == good ? probe.in_a_row + 1 : 1;
  probe.last = good;
  const bool decided = probe.in_a_row >= (good ? probe.spec.success_threshold : probe.spec.failure_threshold);
  // Checks keep their rhythm; one that took longer than its period is followed at once.
  probe.due = std::max(now, probe.begun + probe.spec.period);
  probe.steady = result.steady && decided;
  if (!decided) return false;
  const bool changed = probe.verdict != good;
  probe.verdict = good;
  if (probe.spec.kind == ProbeKind::kReadiness) return changed;
  if (!good) {  // nothing more is asked of a container that is to be killed
    probe.condemned = true;
    for (Probe& other : probes_) other.over |= other.spec.kind != ProbeKind::kReadiness;
    return true;
  }
  if (probe.spec.kind == ProbeKind::kStartup) {
    probe.over = true;
    OnStarted(now);
  }
  return changed;
}

void ContainerProbes::OnlyReadiness() {
  for (Probe& probe : probes_) probe.over |= probe.spec.kind != ProbeKind::kReadiness;
}

void ContainerProbes::FollowWallClock(Duration by) {
  started_at_ += by;
  for (Probe& probe : probes_) {
    probe.begun += by;
    if (probe.due != Time::max()) probe.due += by;
  }
}

void ContainerProbes::Kick(Time now) {
  for (Probe& probe : probes_) {
    if (std::exchange(probe.steady, false)) probe.due = now;
  }
}

}  // namespace wherry
