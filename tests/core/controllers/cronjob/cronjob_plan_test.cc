// The rules of CronJobs (docs/jobs.md), one decision at a time.
#include "core/controllers/cronjob/cronjob_plan.h"

#include <catch2/catch.hpp>
#include <deque>
#include <nlohmann/json.hpp>

#include "core/kinds/time_zone.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

Time At(const std::string& text) {
  Time time;
  REQUIRE(ParseTime(text, &time));
  return time;
}

// A CronJob default/c made at midnight of 1 March 2026.
class CronWorld {
 public:
  explicit CronWorld(Json spec = Json::object(), Json status = Json::object()) {
    if (!spec.contains("schedule")) spec["schedule"] = "0 * * * *";
    document_ = {
        {"metadata",
         {{"name", "c"}, {"namespace", "default"}, {"uid", "cron-uid"}, {"creationTimestamp", "2026-03-01T00:00:00Z"}}},
        {"spec", std::move(spec)},
        {"status", std::move(status)}};
  }
  Json& document() { return document_; }

  // Its name is also its uid; `condition` "" = unfinished.
  CronChild& Child(const std::string& name, const std::string& condition = "", const std::string& when = "") {
    Json job = {{"metadata", {{"name", name}}}, {"status", Json::object()}};
    if (!condition.empty()) {
      job["status"]["conditions"] = Json::array({{{"type", condition}, {"status", "True"}}});
      if (condition == "Complete") job["status"]["completionTime"] = when;
    }
    if (!when.empty()) job["status"]["startTime"] = when;
    jobs_.emplace_back(job);
    children_.push_back({name, name, 7, &jobs_.back(), std::nullopt, false});
    return children_.back();
  }
  static Json Active(const std::string& name) {
    return {{"apiVersion", "batch/v1"}, {"kind", "Job"}, {"name", name}, {"namespace", "default"}, {"uid", name}};
  }

  CronJobPlan PlanAt(const std::string& now, const TimeZone* zone = nullptr) {
    view_ = CronJobView(document_);
    Result<CronSchedule> schedule = CronSchedule::Parse(view_.schedule);
    REQUIRE(schedule.ok());
    CronJobInputs in;
    in.cron_job = &view_;
    in.children.assign(children_.begin(), children_.end());
    in.schedule = &*schedule;
    if (zone) in.offset = [zone](Time utc) { return zone->OffsetAt(utc); };
    in.now = At(now);
    return PlanCronJob(in);
  }
  // "start → next wake", "-" for none.
  std::string StartAt(const std::string& now, const TimeZone* zone = nullptr) {
    const CronJobPlan plan = PlanAt(now, zone);
    return (plan.start ? FormatTime(*plan.start) : "-") + " " + (plan.wake ? FormatTime(*plan.wake) : "-");
  }
  static std::string Reasons(const CronJobPlan& plan) {
    std::string out;
    for (const auto& notice : plan.notices) out += (out.empty() ? "" : " ") + notice.reason;
    return out;
  }

 private:
  Json document_;
  CronJobView view_;
  std::deque<JobView> jobs_;
  std::deque<CronChild> children_;
};

TimeZone Zone(const char* posix) {
  Result<TimeZone> zone = TimeZone::FromPosix(posix);
  REQUIRE(zone.ok());
  return *zone;
}

}  // namespace

TEST_CASE("schedule: what is due, and when to look again") {
  struct Case {
    const char *schedule, *last, *now, *expected;
  };
  const Case cases[] = {
      {"0 * * * *", "", "2026-03-01T00:59:59Z", "- 2026-03-01T01:00:00Z"},
      {"0 * * * *", "", "2026-03-01T01:00:00Z", "2026-03-01T01:00:00Z 2026-03-01T02:00:00Z"},
      {"0 * * * *", "2026-03-01T01:00:00Z", "2026-03-01T01:00:00Z", "- 2026-03-01T02:00:00Z"},
      // Of several that were missed the latest is made up for.
      {"0 * * * *", "2026-03-01T01:00:00Z", "2026-03-01T05:30:00Z", "2026-03-01T05:00:00Z 2026-03-01T06:00:00Z"},
      // However uneven the schedule: the last of yesterday's burst.
      {"* 9 * * *", "2026-03-01T09:10:00Z", "2026-03-03T08:30:00Z", "2026-03-02T09:59:00Z 2026-03-03T09:00:00Z"},
      {"30 6-16/4 * * 1-5", "2026-03-06T14:30:00Z", "2026-03-09T06:29:00Z", "- 2026-03-09T06:30:00Z"},
      {"0 0 30 2 *", "", "2026-03-09T06:29:00Z", "- -"},
      {"@every 90m", "", "2026-03-01T01:29:59Z", "- 2026-03-01T01:30:00Z"},
      {"@every 90m", "2026-03-01T01:30:00Z", "2026-03-01T04:40:00Z", "2026-03-01T04:30:00Z 2026-03-01T06:00:00Z"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.schedule, c.last, c.now);
    CronWorld world(Json({{"schedule", c.schedule}}));
    if (*c.last) world.document()["status"]["lastScheduleTime"] = c.last;
    CHECK(world.StartAt(c.now) == c.expected);
  }
}

TEST_CASE("timeZone: wall clocks that change") {
  const TimeZone berlin = Zone("CET-1CEST,M3.5.0,M10.5.0/3");
  struct Case {
    const char *schedule, *last, *now, *expected;
  };
  const Case cases[] = {
      {"30 8 * * *", "2026-03-01T07:30:00Z", "2026-03-02T07:30:00Z", "2026-03-02T07:30:00Z 2026-03-03T07:30:00Z"},
      // Summer begins on 29 March at 1:00 UTC: half past two does not happen that day.
      {"30 2 * * *", "2026-03-28T01:30:00Z", "2026-03-29T12:00:00Z", "- 2026-03-30T00:30:00Z"},
      // It ends on 25 October at 1:00 UTC: half past two happens twice and counts once.
      {"30 2 * * *", "2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
      {"30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "- 2026-10-26T01:30:00Z"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.schedule, c.now);
    CronWorld world({{"schedule", c.schedule}}, {{"lastScheduleTime", c.last}});
    CHECK(world.StartAt(c.now, &berlin) == c.expected);
  }
}

TEST_CASE("startingDeadlineSeconds: too late is too late") {
  CronWorld world(Json({{"startingDeadlineSeconds", 60}}));
  CHECK(world.StartAt("2026-03-01T01:01:00Z") == "2026-03-01T01:00:00Z 2026-03-01T02:00:00Z");
  CHECK(world.StartAt("2026-03-01T01:01:01Z") == "- 2026-03-01T02:00:00Z");
  const CronJobPlan plan = world.PlanAt("2026-03-01T01:02:00Z");
  REQUIRE(CronWorld::Reasons(plan) == "MissSchedule");
  CHECK(plan.notices[0].message == "Missed scheduled time to start a job: Sun, 01 Mar 2026 01:00:00 +0000");
}

TEST_CASE("startingDeadlineSeconds: more than 100 missed starts are told, and the latest is made up for") {
  CronWorld world(Json({{"schedule", "* * * * *"}}));
  CronJobPlan plan = world.PlanAt("2026-03-01T01:40:00Z");
  CHECK(CronWorld::Reasons(plan) == "");
  plan = world.PlanAt("2026-03-01T01:41:00Z");
  CHECK(CronWorld::Reasons(plan) == "TooManyMissedTimes");
  CHECK(plan.start == At("2026-03-01T01:41:00Z"));
  plan = world.PlanAt("2036-03-01T01:41:30Z");  // ten years asleep
  CHECK(plan.start == At("2036-03-01T01:41:00Z"));
  world.document()["spec"]["startingDeadlineSeconds"] = 600;  // what it rules out is not missed
  CHECK(CronWorld::Reasons(world.PlanAt("2026-03-01T05:00:00Z")) == "");
}

TEST_CASE("concurrencyPolicy: what a running Job means for the next") {
  struct Case {
    const char *policy, *start, *replaced, *reasons;
  };
  for (const Case& c : {Case{"Allow", "2026-03-01T02:00:00Z", "", ""}, Case{"Forbid", "-", "", "JobAlreadyActive"},
                        Case{"Replace", "2026-03-01T02:00:00Z", "c-1", ""}}) {
    CAPTURE(c.policy);
    CronWorld world({{"concurrencyPolicy", c.policy}}, {{"lastScheduleTime", "2026-03-01T01:00:00Z"}});
    world.document()["status"]["active"] = Json::array({CronWorld::Active("c-1")});
    world.Child("c-1");
    const CronJobPlan plan = world.PlanAt("2026-03-01T02:00:00Z");
    CHECK((plan.start ? FormatTime(*plan.start) : "-") == c.start);
    CHECK((plan.replaced.empty() ? "" : plan.replaced[0].name) == c.replaced);
    CHECK(CronWorld::Reasons(plan) == c.reasons);
  }
}

TEST_CASE("A crash after the Job was made: it is recognised, not made again") {
  CronWorld world;
  world.Child("c-29538780").scheduled_for = At("2026-03-01T01:00:00Z");
  for (const char* policy : {"Allow", "Forbid", "Replace"}) {
    world.document()["spec"]["concurrencyPolicy"] = policy;
    const CronJobPlan plan = world.PlanAt("2026-03-01T01:00:05Z");
    CHECK_FALSE(plan.start);
    CHECK(plan.status.last_schedule == At("2026-03-01T01:00:00Z"));
    REQUIRE(plan.status.active.size() == 1);
    CHECK(plan.status.active[0].name == "c-29538780");
  }
  CHECK(CronJobChildName("c", At("2026-03-01T01:00:00Z")) == "c-29538780");
}

TEST_CASE("status: Jobs that end, vanish or come from elsewhere") {
  CronWorld world({}, {{"lastScheduleTime", "2026-03-01T03:00:00Z"}});
  for (const char* name : {"ended", "failed", "gone", "runs"}) {
    world.document()["status"]["active"].push_back(CronWorld::Active(name));
  }
  world.Child("ended", "Complete", "2026-03-01T03:00:20Z");
  world.Child("failed", "Failed", "2026-03-01T03:00:30Z");
  world.Child("runs");
  world.Child("stranger");
  world.Child("by-hand").by_hand = true;
  const CronJobPlan plan = world.PlanAt("2026-03-01T03:10:00Z");
  CHECK(CronWorld::Reasons(plan) == "SawCompletedJob SawCompletedJob UnexpectedJob MissingJob");
  CHECK(plan.notices[1].message == "Saw completed job: failed, condition: Failed");
  REQUIRE(plan.status.active.size() == 1);
  CHECK(plan.status.active[0].name == "runs");
  CHECK(plan.status.last_successful == At("2026-03-01T03:00:20Z"));
}

TEST_CASE("History limits: the oldest go") {
  struct Case {
    Json successful, failed;
    std::string expired;
  };
  for (const Case& c : {Case{3, 1, "b c "}, Case{1, 2, "x b "}, Case{0, 0, "x y b c a "}, Case{nullptr, nullptr, ""}}) {
    CronWorld world(
        {{"suspend", true}, {"successfulJobsHistoryLimit", c.successful}, {"failedJobsHistoryLimit", c.failed}});
    world.Child("x", "Complete", "2026-03-01T01:00:00Z");
    world.Child("y", "Complete", "2026-03-01T02:00:00Z");
    world.Child("a", "Failed", "2026-03-01T05:00:00Z");
    world.Child("b", "Failed", "2026-03-01T03:00:00Z");
    world.Child("c", "Failed", "2026-03-01T04:00:00Z");
    world.Child("runs");
    std::string expired;
    for (const auto& job : world.PlanAt("2026-03-02T00:00:00Z").expired) expired += job.name + " ";
    CHECK(expired == c.expired);
  }
}

TEST_CASE("suspend and deletion: nothing starts, nobody waits") {
  CronWorld world(Json({{"suspend", true}}));
  CHECK(world.StartAt("2026-03-01T05:00:00Z") == "- -");
  world.document()["spec"]["suspend"] = false;
  CHECK(world.StartAt("2026-03-01T05:00:00Z") == "2026-03-01T05:00:00Z 2026-03-01T06:00:00Z");
  world.document()["metadata"]["deletionTimestamp"] = "2026-03-01T05:00:00Z";
  CHECK(world.StartAt("2026-03-01T05:00:00Z") == "- -");
}
