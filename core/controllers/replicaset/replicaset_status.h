#pragma once

#include <optional>
#include <string>

#include "core/controllers/replicaset/replicaset_plan.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// Why the pods are not as many as they should be: the condition ReplicaFailure.
struct ReplicaFailure {
  std::string reason;  // FailedCreate, FailedDelete
  std::string message;
};

// The new status document. Conditions of others in `old` (may be null) stay. A failure that is told already keeps its
// first message: the messages of repeated refusals differ in nothing but generated names.
Json ReplicaSetStatusDocument(const ReplicaSetStatus& status, bool counts_terminating,
                              const std::optional<ReplicaFailure>& failure, const Json* old,
                              int64_t observed_generation, Time now);

}  // namespace wherry
