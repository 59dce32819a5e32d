#include "core/controllers/cronjob/cronjob_plan.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr int kManyMissed = 100;

// As Go's RFC1123Z writes a moment of UTC: "Mon, 02 Jan 2006 15:04:05 +0000".
std::string LongTime(Time time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02u %s %d %02d:%02d:%02d +0000", kDays[std::chrono::weekday(day).c_encoding()],
                unsigned{date.day()}, kMonths[unsigned{date.month()} - 1], int{date.year()},
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

class CronJobPlanner {
 public:
  explicit CronJobPlanner(const CronJobInputs& inputs) : in_(inputs), cron_job_(*inputs.cron_job) {}

  CronJobPlan Run() {
    plan_.status = cron_job_.status;
    FollowChildren();
    if (cron_job_.deleting) return std::move(plan_);
    for (const bool succeeded : {true, false}) {
      TrimHistory(succeeded, succeeded ? cron_job_.successful_limit : cron_job_.failed_limit);
    }
    if (!in_.schedule) {
      Say("Warning", in_.trouble_reason, in_.trouble, in_.trouble);
    } else if (!cron_job_.suspend) {
      Schedule();
    }
    return std::move(plan_);
  }

 private:
  void FollowChildren() {
    CronJobStatus& status = plan_.status;
    auto find = [&status](const std::string& uid) {
      return std::find_if(status.active.begin(), status.active.end(), [&](const auto& a) { return a.uid == uid; });
    };
    for (const CronChild& child : in_.children) {
      const bool finished = child.job->finished();
      auto known = find(child.uid);
      if (known != status.active.end() && finished) {
        const char* condition = child.job->status.Is("Complete") ? "Complete" : "Failed";
        Say("Normal", "SawCompletedJob", "Saw completed job: " + child.name + ", condition: " + condition);
        status.active.erase(known);
      } else if (known == status.active.end() && !finished && !child.job->deleting) {
        if (child.scheduled_for) {
          status.active.push_back({child.name, child.uid, child.revision});
        } else if (!child.by_hand) {
          Say("Warning", "UnexpectedJob", "Saw a job that the controller did not create or forgot: " + child.name,
              child.uid);
        }
      }
      if (child.scheduled_for) Raise(status.last_schedule, *child.scheduled_for);
      if (child.job->status.Is("Complete") && child.job->status.completion_time) {
        Raise(status.last_successful, *child.job->status.completion_time);
      }
    }
    std::erase_if(status.active, [&](const CronJobStatus::Active& active) {
      const bool there = std::any_of(in_.children.begin(), in_.children.end(),
                                     [&](const CronChild& child) { return child.uid == active.uid; });
      if (!there) Say("Normal", "MissingJob", "Active job went missing: " + active.name);
      return !there;
    });
  }

  static void Raise(std::optional<Time>& moment, Time other) {
    if (!moment || *moment < other) moment = other;
  }

  // The oldest finished Jobs of one kind beyond the limit.
  void TrimHistory(bool succeeded, std::optional<int64_t> limit) {
    if (!limit) return;
    std::vector<const CronChild*> finished;
    for (const CronChild& child : in_.children) {
      if (child.job->finished() && !child.job->deleting && child.job->status.Is("Complete") == succeeded) {
        finished.push_back(&child);
      }
    }
    std::sort(finished.begin(), finished.end(), [](const CronChild* a, const CronChild* b) {
      return std::pair(a->job->status.start_time.value_or(Time{}), a->name) <
             std::pair(b->job->status.start_time.value_or(Time{}), b->name);
    });
    for (size_t i = 0; static_cast<int64_t>(i) < static_cast<int64_t>(finished.size()) - *limit; ++i) {
      plan_.expired.push_back({finished[i]->name, finished[i]->uid});
    }
  }

  void Schedule() {
    const CronJobStatus& status = plan_.status;
    const Time since = status.last_schedule.value_or(cron_job_.created);
    const MissedStarts missed = FindMissedStarts(*in_.schedule, in_.offset, since, in_.now);
    plan_.wake = missed.next;
    if (!missed.latest) return;
    const Time moment = *missed.latest;
    if (cron_job_.starting_deadline && moment + *cron_job_.starting_deadline < in_.now) {
      Say("Warning", "MissSchedule", "Missed scheduled time to start a job: " + LongTime(moment), LongTime(moment));
      return;
    }
    if (cron_job_.concurrency == CronJobView::Concurrency::kForbid && !status.active.empty()) {
      Say("Normal", "JobAlreadyActive",
          "Not starting job because prior execution is running and concurrency policy is Forbid", LongTime(moment));
      return;
    }
    if (cron_job_.concurrency == CronJobView::Concurrency::kReplace) {
      for (const CronJobStatus::Active& active : status.active) plan_.replaced.push_back({active.name, active.uid});
    }
    if (TooManySince(since)) {
      Say("Warning", "TooManyMissedTimes",
          "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
          LongTime(moment));
    }
    plan_.start = moment;
  }

  // What the deadline rules out is not missed.
  bool TooManySince(Time since) const {
    if (cron_job_.starting_deadline) since = std::max(since, in_.now - *cron_job_.starting_deadline);
    return FindMissedStarts(*in_.schedule, in_.offset, since, in_.now).too_many;
  }

  void Say(const char* type, std::string reason, std::string message, std::string once_for = {}) {
    plan_.notices.push_back({type, std::move(reason), std::move(message), std::move(once_for)});
  }

  const CronJobInputs& in_;
  const CronJobView& cron_job_;
  CronJobPlan plan_;
};

std::optional<Time> MaybeTime(const Json& object, std::string_view path) {
  Time time;
  if (!ParseTime(StringAt(object, path), &time)) return std::nullopt;
  return time;
}

std::optional<int64_t> MaybeInt(const Json& object, std::string_view path) {
  if (!Has(object, path)) return std::nullopt;
  return IntAt(object, path);
}

}  // namespace

CronJobStatus::CronJobStatus(const Json& status) {
  for (const Json& reference : ListAt(status, "active")) {
    active.push_back({StringAt(reference, "name"), StringAt(reference, "uid"), 0});
    const std::string& revision = StringAt(reference, "resourceVersion");
    if (!revision.empty()) active.back().revision = std::strtoull(revision.c_str(), nullptr, 10);
  }
  last_schedule = MaybeTime(status, "lastScheduleTime");
  last_successful = MaybeTime(status, "lastSuccessfulTime");
}

Json CronJobStatus::ToJson(const std::string& ns) const {
  Json out = Json::object();
  for (const Active& job : active) {
    Json reference = {
        {"apiVersion", "batch/v1"}, {"kind", "Job"}, {"name", job.name}, {"namespace", ns}, {"uid", job.uid}};
    if (job.revision > 0) reference["resourceVersion"] = std::to_string(job.revision);
    out["active"].push_back(std::move(reference));
  }
  if (last_schedule) out["lastScheduleTime"] = FormatTime(*last_schedule);
  if (last_successful) out["lastSuccessfulTime"] = FormatTime(*last_successful);
  return out;
}

CronJobView::CronJobView(const Json& cron_job) {
  ns = StringAt(cron_job, "metadata.namespace");
  name = StringAt(cron_job, "metadata.name");
  uid = StringAt(cron_job, "metadata.uid");
  schedule = StringAt(cron_job, "spec.schedule");
  time_zone = StringAt(cron_job, "spec.timeZone");
  created = MaybeTime(cron_job, "metadata.creationTimestamp").value_or(Time{});
  deleting = Has(cron_job, "metadata.deletionTimestamp");
  suspend = BoolAt(cron_job, "spec.suspend");
  const std::string& policy = StringAt(cron_job, "spec.concurrencyPolicy");
  if (policy == "Forbid") concurrency = Concurrency::kForbid;
  if (policy == "Replace") concurrency = Concurrency::kReplace;
  if (const auto deadline = MaybeInt(cron_job, "spec.startingDeadlineSeconds")) {
    starting_deadline = std::chrono::seconds(std::clamp<int64_t>(*deadline, 0, int64_t{1} << 32));
  }
  successful_limit = MaybeInt(cron_job, "spec.successfulJobsHistoryLimit");
  failed_limit = MaybeInt(cron_job, "spec.failedJobsHistoryLimit");
  status = CronJobStatus(At(cron_job, "status"));
}

CronJobPlan PlanCronJob(const CronJobInputs& inputs) { return CronJobPlanner(inputs).Run(); }

std::string CronJobChildName(const std::string& cron_job, Time moment) {
  return cron_job + "-" + std::to_string(std::chrono::floor<std::chrono::minutes>(moment).time_since_epoch().count());
}

MissedStarts FindMissedStarts(const CronSchedule& schedule, const CronSchedule::UtcOffset& offset, Time after,
                              Time now) {
  MissedStarts out;
  if (const Duration every = schedule.every(); every > Duration::zero()) {
    // Counted from the last start, so that the distance holds.
    after = std::chrono::floor<std::chrono::seconds>(after);
    const int64_t count = now > after ? (now - after) / every : 0;
    if (count > 0) out.latest = after + count * every;
    out.too_many = count > kManyMissed;
    out.next = after + (count + 1) * every;
    return out;
  }
  out.next = schedule.Next(std::max(now, after), offset);
  std::optional<Time> moment = schedule.Next(after, offset);
  if (!moment || *moment > now) return out;
  // Bisect for the last second from which there is still a moment to come until now: `low` is one, `high` is none.
  int64_t low = std::chrono::floor<std::chrono::seconds>(after).time_since_epoch().count();
  int64_t high = std::chrono::ceil<std::chrono::seconds>(now).time_since_epoch().count();
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    const std::optional<Time> next = schedule.Next(Time(std::chrono::seconds(middle)), offset);
    (next && *next <= now ? low : high) = middle;
  }
  out.latest = schedule.Next(std::max(after, Time(std::chrono::seconds(low))), offset);
  for (int count = 0; moment && *moment <= now && !out.too_many; ++count) {
    out.too_many = count >= kManyMissed;
    moment = schedule.Next(*moment, offset);
  }
  return out;
}

}  // namespace wherry
