#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// spec.behavior of one direction, with the API's defaults for what is absent.
struct ScalingRules {
  enum class Select : uint8_t { kMax, kMin, kDisabled };
  struct Policy {
    bool percent = false;
    int64_t value = 0;
    Duration period{0};
  };
  Duration stabilization{0};
  Select select = Select::kMax;
  std::vector<Policy> policies;
  double tolerance = 0.1;

  static ScalingRules Up(const Json& behavior);    // `behavior` may be null
  static ScalingRules Down(const Json& behavior);  // the same
};

// What an autoscaler remembers between looks; lost with the server, as upstream's.
struct ScalingHistory {
  struct Recommendation {
    Time at;
    int64_t replicas;
  };
  struct Change {
    Time at;
    int64_t by;  // > 0
  };
  std::vector<Recommendation> recommendations;
  std::vector<Change> ups, downs;

  // Notes that the target was scaled, and forgets what no policy looks back at.
  void NoteChange(Time now, int64_t from, int64_t to, const ScalingRules& up, const ScalingRules& down);
};

// What becomes of a wanted size under the rules: first held back by recent recommendations, then limited in speed, then
// kept within the bounds.
struct ScalingDecision {
  int64_t replicas = 0;
  // The condition AbleToScale: ReadyForNewScale, ScaleUpStabilized or ScaleDownStabilized.
  std::string able_reason, able_message;
  // The condition ScalingLimited.
  bool limited = false;
  std::string limit_reason, limit_message;
};
// Adds `wanted` to the history's recommendations.
ScalingDecision DecideScale(int64_t current, int64_t wanted, int64_t least, int64_t most, const ScalingRules& up,
                            const ScalingRules& down, ScalingHistory& history, Time now);

}  // namespace wherry
