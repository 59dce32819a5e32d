#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "core/runtime/task.h"
#include "store/status.h"

namespace wherry {

// One of many like calls. The coroutine it returns owns what it uses.
using BatchStep = std::function<Task<Status>(size_t index)>;

// Runs step(first) … step(first + count - 1) side by side and waits for all: many writers share one group commit. The
// outcomes in order; an exception becomes kInternalError.
Task<std::vector<Status>> RunSideBySide(size_t first, size_t count, BatchStep step);

// Runs all `count` steps, at most `at_once` at a time; the first failure, or ok. A failure stops nothing.
Task<Status> RunInGroups(size_t count, size_t at_once, BatchStep step);

// Runs steps in batches of `initial`, then twice that …; the first batch with a failure is the last, so that a cause
// common to all (a quota, a refused template) costs few calls. The first failure, or ok.
Task<Status> SlowStart(size_t count, size_t initial, BatchStep step);

}  // namespace wherry
