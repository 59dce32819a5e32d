#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/controllers/job/job_view.h"
#include "core/kinds/cron.h"
#include "core/runtime/time.h"
#include "store/json.h"

namespace wherry {

// CronJobStatus as stored, and as it is to be stored. Moments are whole seconds.
struct CronJobStatus {
  struct Active {
    std::string name, uid;
    uint64_t revision = 0;
    bool operator==(const Active&) const = default;
  };
  CronJobStatus() = default;
  explicit CronJobStatus(const Json& status);
  Json ToJson(const std::string& ns) const;

  std::vector<Active> active;
  std::optional<Time> last_schedule, last_successful;
  bool operator==(const CronJobStatus&) const = default;
};

// What the planner needs of a CronJob: `object->view<CronJobView>()`.
struct CronJobView {
  enum class Concurrency : uint8_t { kAllow, kForbid, kReplace };

  CronJobView() = default;
  explicit CronJobView(const Json& cron_job);

  std::string ns, name, uid, schedule, time_zone;  // time_zone "" = UTC
  Time created{};
  bool deleting = false, suspend = false;
  Concurrency concurrency = Concurrency::kAllow;
  std::optional<Duration> starting_deadline;
  std::optional<int64_t> successful_limit, failed_limit;
  CronJobStatus status;
};

// A Job that belongs to the CronJob.
struct CronChild {
  std::string name, uid;
  uint64_t revision = 0;
  const JobView* job = nullptr;
  std::optional<Time> scheduled_for;  // the moment it was made for; none when a person made it
  bool by_hand = false;               // kubectl create job --from
};

struct CronJobInputs {
  const CronJobView* cron_job = nullptr;
  std::vector<CronChild> children;
  const CronSchedule* schedule = nullptr;  // null: `trouble` says why there is none
  CronSchedule::UtcOffset offset;          // of the zone; empty = UTC
  std::string trouble_reason, trouble;
  Time now;
};

// What to do, in this order.
struct CronJobPlan {
  struct Delete {
    std::string name, uid;
    bool operator==(const Delete&) const = default;
  };
  struct Notice {  // an Event about the CronJob
    std::string type, reason, message;
    std::string once_for;  // not "": told once for each such text, although the plan will say it again
  };
  std::vector<Delete> replaced;  // before the start, by concurrencyPolicy Replace
  std::optional<Time> start;     // a Job for this moment; its name follows from it
  CronJobStatus status;          // to store, when it differs
  std::vector<Delete> expired;   // beyond the history limits
  std::vector<Notice> notices;
  std::optional<Time> wake;  // the next moment of the schedule
};

// The decision, pure. A Job that was made just before a crash is recognised by the moment it was made for.
CronJobPlan PlanCronJob(const CronJobInputs& inputs);

// "<cronjob>-<minutes since the epoch>": the same moment never makes two Jobs.
std::string CronJobChildName(const std::string& cron_job, Time moment);

// The moments of a schedule between `after` (exclusive) and `now` (inclusive).
struct MissedStarts {
  std::optional<Time> latest;
  bool too_many = false;     // more than 100
  std::optional<Time> next;  // after now
};
MissedStarts FindMissedStarts(const CronSchedule& schedule, const CronSchedule::UtcOffset& offset, Time after,
                              Time now);

inline constexpr char kScheduledTimestamp[] = "batch.kubernetes.io/cronjob-scheduled-timestamp";
inline constexpr char kInstantiate[] = "cronjob.kubernetes.io/instantiate";

}  // namespace wherry
