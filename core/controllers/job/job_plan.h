#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/controllers/job/job_backoff.h"
#include "core/controllers/job/job_pod_view.h"
#include "core/controllers/job/job_view.h"

namespace wherry {

// Everything one decision about a Job rests on: a snapshot. The views outlive the planning.
struct JobPod {
  std::string_view name, uid;
  const JobPodView* view;
};
struct JobInputs {
  const JobView* job = nullptr;
  std::vector<JobPod> pods;           // the job's own
  std::optional<JobBackoff> backoff;  // as of the last stored count; none = nothing is remembered
  Time now;
};

// What to do, in this order: deletes and creates; the status; once that is stored, releases. Each step may be the last
// one that happens: the next plan, from what is there then, goes on without counting anything twice.
struct JobPlan {
  struct Create {
    int64_t index = -1;  // completion index; -1 = not indexed
    // Of the index before, written into the pod under backoffLimitPerIndex.
    int64_t index_failures = 0, index_ignored = 0;
    bool operator==(const Create&) const = default;
  };
  struct Delete {
    std::string name, uid;
    bool given_up = false;  // by us, so no failure: it loses the finalizer before it is deleted
    bool operator==(const Delete&) const = default;
  };
  struct Notice {  // an Event about the job
    std::string type, reason, message;
  };
  std::vector<Create> creates;
  std::vector<Delete> deletes;
  JobStatus status;                       // to store, when it differs
  std::vector<Notice> notices;            // to tell once it is stored
  JobBackoff backoff;                     // to remember once it is stored
  std::vector<std::string_view> release;  // uids of pods that then lose the finalizer
  Duration requeue_after{0};              // > 0: when a back-off or the deadline runs out
};

// At most this many pods are created, and deleted, by one reconcile.
inline constexpr size_t kJobBurst = 500;
// At most this many uids wait in status.uncountedTerminatedPods.
inline constexpr size_t kMaxUncounted = 500;

// The decision, pure. REQUIRES: the job is not finished and ours to manage.
JobPlan PlanJob(const JobInputs& inputs);

}  // namespace wherry
