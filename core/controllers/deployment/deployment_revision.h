#pragma once

#include <cstdint>

#include "core/controllers/deployment/deployment_view.h"
#include "store/json.h"

namespace wherry {

// The revisions of a Deployment live in annotations of its ReplicaSets, which is where `kubectl rollout history` and
// `undo` look for them. Pure.

// What changes in the annotations of the ReplicaSet of the current template: it takes over the Deployment's own (the
// change cause among them), and carries the greatest revision, `revision` at least. A number that it gives up is kept
// in the history annotation, bounded. Empty = nothing changes.
Json RevisedAnnotations(const Json& deployment, const Json& set, int64_t revision);

}  // namespace wherry
