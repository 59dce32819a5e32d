#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/runtime/time.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// On a Node: which runtime runs its pods, "process" (the default) or "simulated". A label or an annotation.
inline constexpr std::string_view kRuntimeKey = "wherry.dev/runtime";
// On a Node or a Pod: how simulated containers behave, a JSON object (docs/simulation.md). A pod's wins over its
// node's.
inline constexpr std::string_view kSimulateKey = "wherry.dev/simulate";
// How the behaviour reaches the runtime: a variable of the container's environment.
inline constexpr std::string_view kSimulateVariable = "WHERRY_SIMULATE";

// How one simulated container behaves.
struct ContainerSimulation {
  Duration start_latency{0};
  std::string start_error;         // not "": the start fails with this message …
  std::string start_error_reason;  // … and this reason
  std::optional<int> exit_code;    // ends by itself with this code …
  Duration exit_after{0};          // … after running so long
  Duration stop_latency{0};        // between SIGTERM and the end
  bool ignores_term = false;       // only SIGKILL ends it
  int stop_exit_code = 0;          // after SIGTERM
  int64_t cpu_milli = 0;           // what it takes, for metrics
  uint64_t memory_bytes = 0;
  int64_t storage_bytes = 0;  // … and for evictions
  int processes = 1;
  int times = -1;  // errors and exits happen on the first so many attempts; -1 = on all
};

// How one probe or hook of a simulated container goes: well and at once, unless told otherwise.
struct ActionSimulation {
  Duration latency{0};  // until there is an answer; a probe that is slower than its timeout fails
  bool fails = false;   // while it runs for `fail_after` or longer, and less than `fail_after` + `fail_for` …
  Duration fail_after{0};
  Duration fail_for = Duration::max();
  int times = -1;  // … in the first so many attempts of the container; -1 = in all
  std::string message;
};

// `what` is "readiness", "liveness", "startup", "postStart" or "preStop"; `behaviour` as SimulationFor gives it.
// kBadRequest names the field that cannot be read.
Result<ActionSimulation> ParseActionSimulation(const Json& behaviour, const std::string& what);

// kBadRequest names the field that cannot be read.
Result<ContainerSimulation> ParseSimulation(const Json& behaviour);

// The annotation of a Node or Pod, if it has one.
struct SimulationAsked {
  SimulationAsked() = default;
  explicit SimulationAsked(const Json& object);
  bool operator==(const SimulationAsked&) const = default;
  std::optional<std::string> text;
};

// The behaviour asked for a container by annotations: the node's, the pod's over it, and each one's `containers.<name>`
// over its general part. Null when nothing is asked. kBadRequest on an annotation that is not a JSON object.
Result<Json> SimulationFor(const SimulationAsked& node, const SimulationAsked& pod, std::string_view container);

// "50ms", "1m30s", "1.5h" as Go reads them. False when it is none.
bool ParseGoDuration(std::string_view text, Duration* out);

}  // namespace wherry
