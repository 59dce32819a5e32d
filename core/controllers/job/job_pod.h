#pragma once

#include "core/controllers/job/job_plan.h"
#include "store/object.h"

namespace wherry {

// The pod that a Job's template makes: owner, tracking finalizer and JOB_COMPLETION_INDEX included. Made once for a
// batch.
Json JobPodTemplate(const Object& job);

// That pod for one place: of an Indexed job with its index in annotation, label, host name and name.
Json JobPodFor(const Json& pod_template, const JobView& job, const JobPlan::Create& create);

}  // namespace wherry
