// The rules of Jobs (docs/jobs.md), one decision at a time.
#include <catch2/catch.hpp>

#include "tests/core/controllers/job/job_world.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

Json Spec(const char* text) { return Json::parse(text); }

}  // namespace

TEST_CASE("parallelism: as many pods at work as there is work") {
  struct Case {
    const char* spec;
    int active, succeeded;
    const char* acts;
  };
  const Case cases[] = {
      {R"({"completions":1,"parallelism":1})", 0, 0, "+"},
      {R"({"completions":1,"parallelism":1})", 1, 0, ""},
      {R"({"completions":5,"parallelism":2})", 0, 0, "+ +"},
      {R"({"completions":5,"parallelism":2})", 1, 3, "+"},
      {R"({"completions":5,"parallelism":3})", 0, 4, "+"},  // no more than what is left
      {R"({"completions":5,"parallelism":0})", 2, 0, "-a0! -a1!"},
      {R"({"completions":5,"parallelism":1})", 2, 0, "-a0!"},
      {R"({"parallelism":3})", 0, 0, "+ + +"},  // a work queue
      {R"({"parallelism":3})", 2, 1, ""},       // one has succeeded: the rest ends by itself
  };
  for (const Case& c : cases) {
    CAPTURE(c.spec, c.active, c.succeeded);
    JobWorld world(Spec(c.spec), {{"succeeded", c.succeeded}});
    for (int i = 0; i < c.active; ++i) world.Pod("a" + std::to_string(i));
    CHECK(world.Acts() == c.acts);
  }
}

TEST_CASE("A surplus of pods: the least advanced go first") {
  JobWorld world(Spec(R"({"completions":9,"parallelism":1})"));
  world.Pod("ready").ready = true;
  world.Pod("running");
  world.Pod("pending", JobPodView::Phase::kPending);
  world.Pod("unscheduled", JobPodView::Phase::kPending).scheduled = false;
  CHECK(world.Acts() == "-unscheduled! -pending! -running!");
}

TEST_CASE("completions: recorded, released, counted, and only then complete") {
  JobWorld world(Spec(R"({"completions":1})"));
  world.Succeeded("a");
  JobPlan plan = world.Advance();
  CHECK(JobWorld::Acts(plan) == "~a");
  CHECK(plan.status.succeeded == 0);
  CHECK(plan.status.uncounted_succeeded == std::vector<std::string>{"a"});
  CHECK(JobWorld::Conditions(plan.status) == "SuccessCriteriaMet/CompletionsReached");
  CHECK(plan.notices.empty());

  plan = world.Advance();
  CHECK(JobWorld::Acts(plan) == "");
  CHECK(plan.status.succeeded == 1);
  CHECK(plan.status.uncounted_succeeded.empty());
  CHECK(JobWorld::Conditions(plan.status) == "SuccessCriteriaMet/CompletionsReached Complete/CompletionsReached");
  CHECK(plan.status.completion_time == JobWorld::At(1000));
  REQUIRE(plan.notices.size() == 1);
  CHECK(plan.notices[0].reason == "Completed");
}

TEST_CASE("Finalizer tracking: a crash between any two writes counts nothing twice and loses nothing") {
  SECTION("recorded but not released: recorded once") {
    JobWorld world(Spec(R"({"completions":3,"parallelism":1})"),
                   Spec(R"({"uncountedTerminatedPods":{"succeeded":["a"],"failed":["b"]}})"));
    world.Succeeded("a");
    world.Failed("b");
    world.backoff = JobBackoff();
    const JobPlan plan = world.Plan();
    CHECK(JobWorld::Acts(plan) == "+ ~a ~b");
    CHECK(plan.status.uncounted_succeeded == std::vector<std::string>{"a"});
    CHECK(plan.status.uncounted_failed == std::vector<std::string>{"b"});
    CHECK(plan.status.succeeded == 0);
  }
  SECTION("released but not counted: counted once, whether the pod is still there or not") {
    JobWorld world(Spec(R"({"completions":3,"parallelism":0})"),
                   Spec(R"({"succeeded":1,"uncountedTerminatedPods":{"succeeded":["a","gone"],"failed":["b"]}})"));
    world.Succeeded("a").tracked = false;
    world.Failed("b").tracked = false;
    JobPlan plan = world.Advance();
    CHECK(plan.status.succeeded == 3);
    CHECK(plan.status.failed == 1);
    plan = world.Advance();
    CHECK(plan.status.succeeded == 3);
    CHECK(plan.status.failed == 1);
  }
  SECTION("deleted, recorded as failed, then ended well: it stays a failure") {
    JobWorld world(Spec(R"({"completions":1,"parallelism":1})"),
                   Spec(R"({"uncountedTerminatedPods":{"failed":["a"]}})"));
    world.Succeeded("a").deleting = true;
    world.backoff = JobBackoff();
    const JobPlan plan = world.Plan();
    CHECK(JobWorld::Acts(plan) == "+ ~a");
    CHECK(plan.status.uncounted_succeeded.empty());
  }
  SECTION("a pod that was given up and not deleted yet is no pod of ours, and goes") {
    JobWorld world(Spec(R"({"completions":1})"));
    world.Pod("a").tracked = false;
    CHECK(world.Acts() == "-a! +");
    CHECK(world.Plan().status.active == 0);
  }
  SECTION("no more than 500 wait uncounted") {
    JobWorld world(Spec(R"({"completions":2000,"parallelism":0,"backoffLimit":2000})"));
    for (int i = 0; i < 700; ++i) world.Succeeded("s" + std::to_string(i));
    JobPlan plan = world.Advance();
    CHECK(plan.status.uncounted_succeeded.size() == 500);
    CHECK(plan.release.size() == 500);
    plan = world.Advance();
    CHECK(plan.status.succeeded == 500);
    CHECK(plan.release.size() == 200);
    CHECK(world.Advance().status.succeeded == 700);
  }
}

TEST_CASE("Indexed: each index once") {
  JobWorld world(Spec(R"({"completionMode":"Indexed","completions":5,"parallelism":3})"), {{"completedIndexes", "1"}});
  SECTION("the lowest free indexes are filled") {
    world.Pod("2-a");
    CHECK(world.Acts() == "+0 +3");
  }
  SECTION("an index that succeeds twice counts once") {
    world.Succeeded("1-a");
    world.Succeeded("3-a");
    world.Succeeded("3-b");
    const JobPlan plan = world.Plan();
    CHECK(plan.status.completed_indexes.ToString() == "1,3");
    CHECK(plan.status.succeeded == 2);
    CHECK(JobWorld::Acts(plan) == "+0 +2 +4 ~1-a ~3-a ~3-b");
  }
  SECTION("doubles and pods of indexes that are done or do not exist go, the most advanced stays") {
    world.Pod("0-a");
    world.Pod("0-b").ready = true;
    world.Pod("1-a");
    world.Pod("7-a");
    CHECK(world.Acts() == "-7-a! -1-a! -0-a!");
  }
  SECTION("a pod of an index that does not exist counts for nothing") {
    world.Succeeded("9-a");
    const JobPlan plan = world.Plan();
    CHECK(plan.status.succeeded == 1);
    CHECK(JobWorld::Acts(plan) == "+0 +2 +3 ~9-a");
  }
  SECTION("all indexes done: complete") {
    for (const char* pod : {"0-a", "2-a", "3-a", "4-a"}) world.Succeeded(pod);
    JobPlan plan = world.Advance();
    CHECK(plan.status.completed_indexes.ToString() == "0-4");
    plan = world.Advance();
    CHECK(JobWorld::Conditions(plan.status) == "SuccessCriteriaMet/CompletionsReached Complete/CompletionsReached");
  }
  SECTION("elastic: made smaller, what lies beyond counts no more; made larger, there is more to do") {
    world.document()["status"] = {{"completedIndexes", "0-2,4"}, {"succeeded", 4}};
    world.document()["spec"]["completions"] = world.document()["spec"]["parallelism"] = 3;
    CHECK(world.Conditions() == "SuccessCriteriaMet/CompletionsReached Complete/CompletionsReached");
    CHECK(world.Plan().status.succeeded == 3);
    world.document()["spec"]["completions"] = world.document()["spec"]["parallelism"] = 6;
    CHECK(world.Acts() == "+3 +5");
  }
}

TEST_CASE("backoffLimit: one failure too many ends the job") {
  JobWorld world(Spec(R"({"completions":3,"parallelism":2,"backoffLimit":1})"), {{"failed", 1}});
  world.Failed("a");
  world.Pod("b");
  JobPlan plan = world.Plan();
  CHECK(JobWorld::Conditions(plan.status) == "FailureTarget/BackoffLimitExceeded");
  CHECK(JobWorld::Acts(plan) == "~a");  // the verdict is stored before anything is done about it
  world.Advance();
  plan = world.Plan();
  CHECK(JobWorld::Acts(plan) == "-b");
  CHECK(plan.status.failed == 2);
  CHECK(JobWorld::Conditions(plan.status) == "FailureTarget/BackoffLimitExceeded");
}

TEST_CASE("backoffLimit: of a failed job whatever did not succeed has failed") {
  JobWorld world(
      Spec(R"({"completions":3,"parallelism":2,"backoffLimit":0,"podReplacementPolicy":"Failed"})"),
      Spec(R"({"failed":1,"conditions":[{"type":"FailureTarget","status":"True","reason":"BackoffLimitExceeded",
                          "message":"Job has reached the specified backoff limit"}]})"));
  world.Going("b");
  JobPlan plan = world.Advance();
  CHECK(plan.status.uncounted_failed == std::vector<std::string>{"b"});
  CHECK(JobWorld::Conditions(plan.status) == "FailureTarget/BackoffLimitExceeded");
  plan = world.Advance();
  CHECK(plan.status.failed == 2);
  CHECK(plan.status.terminating == 1);
  CHECK(JobWorld::Conditions(plan.status) == "FailureTarget/BackoffLimitExceeded");  // until it is gone
}

TEST_CASE("backoffLimit: with restartPolicy OnFailure the restarts of the containers count") {
  struct Case {
    int limit, restarts;
    const char* conditions;
  };
  for (const Case& c : {Case{2, 1, ""}, Case{2, 2, "FailureTarget/BackoffLimitExceeded"}, Case{0, 0, ""},
                        Case{0, 1, "FailureTarget/BackoffLimitExceeded"}}) {
    CAPTURE(c.limit, c.restarts);
    JobWorld world(
        {{"completions", 1}, {"backoffLimit", c.limit}, {"template", {{"spec", {{"restartPolicy", "OnFailure"}}}}}});
    world.Pod("a").restarts = c.restarts;
    CHECK(world.Conditions() == c.conditions);
  }
}

TEST_CASE("backoffLimit: exponential back-off, 10 s doubling to 10 min; a success begins anew") {
  struct Case {
    int64_t failures;
    Duration wait;
  };
  for (const Case& c :
       {Case{0, 0s}, Case{1, 10s}, Case{2, 20s}, Case{3, 40s}, Case{6, 320s}, Case{7, 600s}, Case{60, 600s}}) {
    CAPTURE(c.failures);
    CHECK(JobBackoff::Remaining(c.failures, JobWorld::At(100), JobWorld::At(100)) == c.wait);
    CHECK(JobBackoff::Remaining(c.failures, JobWorld::At(100), JobWorld::At(700)) == 0s);
  }
  JobWorld world(Spec(R"({"completions":9,"parallelism":2,"backoffLimit":9})"));
  world.Failed("a").finished = JobWorld::At(995);
  CHECK(JobWorld::Acts(world.Plan()) == "~a");
  CHECK(world.Plan().requeue_after == 5s);
  world.Advance();
  CHECK(world.Plan().requeue_after == 5s);  // remembered
  world.backoff.reset();
  CHECK(world.Plan().requeue_after == 5s);  // or told by the pod that is still there
  world.Advance();
  world.Succeeded("b").finished = JobWorld::At(1000);
  CHECK(world.Acts() == "+ + ~b");
}

TEST_CASE("backoffLimit: the back-off counts from the moment a pod ended, or was told to go") {
  const std::string base = R"("creationTimestamp":"1970-01-01T00:00:10Z")";
  const std::string going = base + R"(,"deletionTimestamp":"1970-01-01T00:01:30Z","deletionGracePeriodSeconds":30)";
  const std::string not_ready = R"("conditions":[{"type":"Ready","status":"False",
      "lastTransitionTime":"1970-01-01T00:00:50Z"}])";
  const std::string ready = R"("conditions":[{"type":"Ready","status":"True",
      "lastTransitionTime":"1970-01-01T00:00:20Z"}])";
  const std::string one = R"({"name":"a","state":{"terminated":{"exitCode":1,"finishedAt":"1970-01-01T00:00:40Z"}}})";
  const std::string two = R"({"name":"b","state":{"terminated":{"exitCode":0,"finishedAt":"1970-01-01T00:00:45Z"}}})";
  const std::string runs = R"({"name":"b","state":{"running":{}}})";
  const struct {
    const char* what;
    std::string metadata, status;
    int64_t finished;
  } cases[] = {
      {"the last container", base, R"("phase":"Failed","containerStatuses":[)" + one + "," + two + "]", 45},
      {"whatever else is known", going,
       R"("phase":"Failed","containerStatuses":[)" + two + "," + one + "]," + not_ready, 45},
      {"one still runs", base, R"("phase":"Failed","containerStatuses":[)" + one + "," + runs + "]," + not_ready, 50},
      {"told to go", going, R"("phase":"Running",)" + ready, 60},
      {"nobody knows", base, R"("phase":"Failed")", 10},
      {"not ended", base, R"("phase":"Running",)" + not_ready, 0},
  };
  for (const auto& c : cases) {
    CAPTURE(c.what);
    const Json pod = Json::parse(R"({"metadata":{)" + c.metadata + R"(},"status":{)" + c.status + "}}");
    CHECK(JobPodView(pod).finished == JobWorld::At(c.finished));
  }
}

TEST_CASE("backoffLimitPerIndex: indexes fail one by one") {
  JobWorld world(Spec(R"({"completionMode":"Indexed","completions":3,"parallelism":3,"backoffLimitPerIndex":1,
                          "backoffLimit":1000})"));
  SECTION("the last failed pod of an index waits for its successor, which inherits the count") {
    world.Failed("0-a").finished = JobWorld::At(980);
    world.Pod("1-a");
    JobPlan plan = world.Plan();
    REQUIRE(JobWorld::Acts(plan) == "+0 +2");
    CHECK(plan.creates[0].index_failures == 1);
    CHECK(plan.creates[1].index_failures == 0);
    CHECK(plan.status.failed_indexes->ToString() == "");
    world.Pod("0-b").index_failures = 1;
    world.Pod("2-b");
    CHECK(world.Acts() == "~0-a");
  }
  SECTION("its back-off holds nobody else up") {
    world.Failed("0-a").finished = JobWorld::At(996);
    const JobPlan plan = world.Plan();
    CHECK(JobWorld::Acts(plan) == "+1 +2");
    CHECK(plan.requeue_after == 6s);
  }
  SECTION("beyond the limit the index has failed") {
    world.Failed("0-b").index_failures = 1;
    JobPlan plan = world.Advance();
    CHECK(JobWorld::Acts(plan) == "+1 +2 ~0-b");
    CHECK(plan.status.failed_indexes->ToString() == "0");
    CHECK(plan.status.uncounted_failed == std::vector<std::string>{"0-b"});
    world.Succeeded("1-a");
    world.Succeeded("2-a");
    plan = world.Advance();
    CHECK(JobWorld::Conditions(plan.status) == "FailureTarget/FailedIndexes");
    plan = world.Advance();
    CHECK(JobWorld::Conditions(plan.status) == "FailureTarget/FailedIndexes Failed/FailedIndexes");
    CHECK(plan.status.completed_indexes.ToString() == "1,2");
  }
  SECTION("maxFailedIndexes") {
    world.document()["spec"]["maxFailedIndexes"] = 0;
    world.Failed("0-b").index_failures = 1;
    world.Pod("1-a");
    CHECK(world.Conditions() == "FailureTarget/MaxFailedIndexesExceeded");
  }
  SECTION("FailIndex gives an index up at once, Ignore counts nothing against it") {
    world.document()["spec"]["podFailurePolicy"] = Spec(R"({"rules":[
        {"action":"FailIndex","onExitCodes":{"operator":"In","values":[42]}},
        {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]}]})");
    world.Failed("0-a").exit_codes = {{"main", 42}};
    JobPodView& evicted = world.Failed("1-a");
    evicted.conditions = {{"DisruptionTarget", "True"}};
    evicted.index_failures = 1;
    evicted.finished = JobWorld::At(500);
    const JobPlan plan = world.Plan();
    CHECK(plan.status.failed_indexes->ToString() == "0");
    REQUIRE(JobWorld::Acts(plan) == "+1 +2 ~0-a");
    CHECK(plan.creates[0].index_failures == 1);
    CHECK(plan.creates[0].index_ignored == 1);
  }
}

TEST_CASE("podFailurePolicy: the first rule that matches speaks") {
  const Json spec =
      Spec(R"({"completions":1,"backoffLimit":0,"podReplacementPolicy":"Failed","podFailurePolicy":{"rules":[
      {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]},
      {"action":"FailJob","onExitCodes":{"containerName":"main","operator":"In","values":[3,42]}},
      {"action":"Ignore","onExitCodes":{"operator":"NotIn","values":[1,2]}},
      {"action":"Count","onExitCodes":{"operator":"In","values":[1]}}]}})");
  struct Case {
    std::vector<std::pair<std::string, int64_t>> codes;
    bool disrupted;
    const char* conditions;
  };
  for (const Case& c :
       {Case{{{"main", 42}}, false, "FailureTarget/PodFailurePolicy"}, Case{{{"main", 42}}, true, ""},
        Case{{{"side", 42}}, false, ""}, Case{{{"main", 1}}, false, "FailureTarget/BackoffLimitExceeded"},
        Case{{{"main", 2}}, false, "FailureTarget/BackoffLimitExceeded"},
        Case{{}, false, "FailureTarget/BackoffLimitExceeded"}}) {
    JobWorld world(spec);
    JobPodView& pod = world.Failed("a");
    pod.exit_codes = c.codes;
    pod.conditions = {{"Ready", "False"}, {"DisruptionTarget", c.disrupted ? "True" : "False"}};
    CAPTURE(c.codes, c.disrupted);
    const JobPlan plan = world.Plan();
    CHECK(JobWorld::Conditions(plan.status) == c.conditions);
    // An ignored failure is released without a trace.
    CHECK(plan.status.uncounted_failed.size() == (c.conditions[0] ? 1 : 0));
    CHECK(plan.release.size() == 1);
  }
  JobWorld world(spec);
  world.Failed("a").exit_codes = {{"main", 42}};
  CHECK(world.Plan().status.Find("FailureTarget")->message ==
        "Container main for pod default/a failed with exit code 42 matching FailJob rule at index 1");
}

TEST_CASE("podReplacementPolicy: who waits for a pod on its way out") {
  JobWorld eager(Spec(R"({"completions":1,"backoffLimit":5})"));
  eager.Going("a").finished = JobWorld::At(900);
  JobPlan plan = eager.Plan();
  CHECK(JobWorld::Acts(plan) == "+ ~a");  // as good as failed
  CHECK(plan.status.uncounted_failed == std::vector<std::string>{"a"});

  JobWorld patient(Spec(R"({"completions":1,"backoffLimit":5,"podReplacementPolicy":"Failed"})"));
  patient.Going("a");
  plan = patient.Plan();
  CHECK(JobWorld::Acts(plan) == "");
  CHECK(plan.status.terminating == 1);
  CHECK(plan.status.uncounted_failed.empty());

  JobWorld indexed(
      Spec(R"({"completionMode":"Indexed","completions":2,"parallelism":2,"podReplacementPolicy":"Failed"})"));
  indexed.Going("0-a");
  CHECK(indexed.Acts() == "+1");
}

TEST_CASE("activeDeadlineSeconds: from the start, and not while suspended") {
  JobWorld world(Spec(R"({"completions":1,"activeDeadlineSeconds":120})"));
  world.Pod("a");
  CHECK(world.Plan().requeue_after == 20s);
  CHECK(world.Conditions() == "");
  world.now = JobWorld::At(1020);
  CHECK(world.Conditions() == "FailureTarget/DeadlineExceeded");
  world.document()["spec"]["suspend"] = true;
  CHECK(world.Conditions() == "Suspended/JobSuspended");
}

TEST_CASE("suspend: pods go uncounted; resuming starts the clock anew") {
  JobWorld world(Spec(R"({"completions":2,"parallelism":2,"suspend":true})"));
  world.Pod("a");
  JobPlan plan = world.Advance();
  CHECK(JobWorld::Acts(plan) == "-a!");
  REQUIRE(plan.notices.size() == 1);
  CHECK(plan.notices[0].reason == "Suspended");
  plan = world.Advance();
  CHECK(JobWorld::Acts(plan) == "");
  CHECK(plan.notices.empty());
  CHECK(plan.status.failed == 0);
  CHECK(plan.status.start_time == JobWorld::At(900));

  world.now = JobWorld::At(2000);
  world.document()["spec"]["suspend"] = false;
  plan = world.Advance();
  CHECK(JobWorld::Acts(plan) == "+ +");
  CHECK(plan.status.start_time == JobWorld::At(2000));
  CHECK(plan.status.Find("Suspended")->status == "False");
  CHECK(plan.status.Find("Suspended")->reason == "JobResumed");
  REQUIRE(plan.notices.size() == 1);
  CHECK(plan.notices[0].reason == "Resumed");
  CHECK(world.Advance().notices.empty());

  JobWorld born(Spec(R"({"completions":1,"suspend":true})"), {{"startTime", nullptr}});
  CHECK_FALSE(born.Plan().status.start_time);
}

TEST_CASE("successPolicy: enough indexes, and the rest goes without having failed") {
  struct Case {
    const char* rule;
    const char* completed;
    bool met;
  };
  for (const Case& c :
       {Case{R"({"succeededCount":2})", "3", false}, Case{R"({"succeededCount":2})", "3,4", true},
        Case{R"({"succeededIndexes":"0,2-3"})", "0,2", false}, Case{R"({"succeededIndexes":"0,2-3"})", "0,2-4", true},
        Case{R"({"succeededIndexes":"0-3","succeededCount":2})", "1,4", false},
        Case{R"({"succeededIndexes":"0-3","succeededCount":2})", "1,3", true}}) {
    CAPTURE(c.rule, c.completed);
    JobWorld world(Spec(R"({"completionMode":"Indexed","completions":9,"parallelism":1})"),
                   {{"completedIndexes", c.completed}});
    world.document()["spec"]["successPolicy"]["rules"] = Json::array({Spec(R"({"succeededCount":9})"), Spec(c.rule)});
    world.Pod("8-a");
    CHECK(world.Conditions() == (c.met ? "SuccessCriteriaMet/SuccessPolicy" : ""));
    if (!c.met) continue;
    JobPlan plan = world.Advance();
    CHECK(plan.status.Find("SuccessCriteriaMet")->message == "Matched rules at index 1");
    plan = world.Advance();
    CHECK(JobWorld::Acts(plan) == "-8-a!");
    plan = world.Advance();
    CHECK(JobWorld::Conditions(plan.status) == "SuccessCriteriaMet/SuccessPolicy Complete/SuccessPolicy");
    CHECK(plan.status.failed == 0);
  }
}

TEST_CASE("Being deleted: nothing is made, what has ended is released") {
  JobWorld world(Spec(R"({"completions":3,"parallelism":3})"));
  world.document()["metadata"]["deletionTimestamp"] = "1970-01-01T00:16:00Z";
  world.Going("a");
  world.Pod("b");
  CHECK(world.Acts() == "~a");
}

TEST_CASE("A burst is bounded") {
  JobWorld world(Spec(R"({"completions":9999,"parallelism":9999})"));
  CHECK(world.Plan().creates.size() == kJobBurst);
}

TEST_CASE("Index sets are read and written as upstream does") {
  struct Case {
    const char* text;
    int64_t limit;
    const char* written;
    bool good;
  };
  for (const Case& c :
       {Case{"", 9, "", true}, Case{"1", 9, "1", true}, Case{"0,1", 9, "0,1", true}, Case{"0,1,2", 9, "0-2", true},
        Case{"1,3-5,7", 9, "1,3-5,7", true}, Case{"1,3-5,7", 5, "1,3,4", true}, Case{"3-1", 9, "", false},
        Case{"2,2", 9, "2", false}, Case{"1,", 9, "1", false}, Case{"a", 9, "", false}, Case{"1-2-3", 9, "", false},
        Case{"-1", 9, "", false}}) {
    CAPTURE(c.text);
    IndexSet set;
    CHECK(IndexSet::Parse(c.text, c.limit, &set).empty() == c.good);
    CHECK(set.ToString() == c.written);
  }
  IndexSet set;
  for (const int64_t index : {5, 1, 3, 2, 9, 4, 5}) set.Add(index);
  CHECK(set.ToString() == "1-5,9");
  CHECK(set.size() == 6);
  CHECK(set.Contains(3));
  CHECK_FALSE(set.Contains(6));
  IndexSet other;
  for (const int64_t index : {0, 1, 5, 6, 9}) other.Add(index);
  CHECK(set.CountOf(other) == 3);
}
