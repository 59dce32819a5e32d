#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// status of a HorizontalPodAutoscaler while it is being decided.
struct AutoscalerStatus {
  struct Condition {
    std::string type;
    bool met;
    std::string reason, message;
  };
  int64_t current = 0, desired = 0;
  std::optional<Time> scaled;  // now, when the target was scaled by this look
  Json metrics = nullptr;      // status.currentMetrics; null: as they were
  std::vector<Condition> conditions;

  // Sets the condition, in place of an earlier one of the type.
  void Set(std::string type, bool met, std::string reason, std::string message);
};

// The new status document over `old` (may be null): transition times are kept where the condition did not change.
Json StatusDocument(const AutoscalerStatus& status, const Json* old, int64_t generation, Time now);

}  // namespace wherry
