#pragma once

#include <string>
#include <string_view>

#include "core/controllers/job/job_pod_view.h"
#include "core/controllers/job/job_view.h"

namespace wherry {

// What spec.podFailurePolicy makes of one failed pod: the first rule that matches speaks (KEP-3329).
struct FailureVerdict {
  bool counts = true;        // against backoffLimit
  bool fails_index = false;  // its index is beyond repair
  std::string fails_job;     // not "": why the whole job fails
};
FailureVerdict JudgeFailure(const JobView& job, std::string_view pod_name, const JobPodView& pod);

}  // namespace wherry
