// The CronJob contract seen from outside: real store, registry and controllers on the manual clock, which begins at
// 2023-11-14T22:13:20Z.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/cronjob/cronjob_reconciler.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/faulty_client.h"
#include "tests/core/controllers/job/job_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

Json CronJob(Json spec = Json::object()) {
  Json cron_job =
      Json::parse(R"({"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"c","namespace":"default"},
      "spec":{"schedule":"*/5 * * * *","jobTemplate":{"metadata":{"labels":{"a":"b"},"annotations":{"x":"y"}},
        "spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"main","image":"busybox"}]}}}}}})");
  cron_job["spec"].merge_patch(spec);
  return cron_job;
}

// Names of the Jobs, blank-separated; finished ones in brackets.
std::string Jobs(const JobCluster& cluster) {
  std::string out;
  for (const ObjectPtr& job : cluster.List(resources::kJobs, "default")) {
    out += (out.empty() ? "" : " ") + (job->view<JobView>().finished() ? "[" + job->name() + "]" : job->name());
  }
  return out;
}

Json StatusOf(const JobCluster& cluster) { return cluster.Document(resources::kCronJobs, "default", "c")["status"]; }

long Count(const std::vector<std::string>& events, const std::string& event) {
  return std::count(events.begin(), events.end(), event);
}

void Edit(JobCluster& cluster, Json spec) {
  cluster.Update(cluster.Get(resources::kCronJobs, "default", "c"), [&](Json& c) { c["spec"].merge_patch(spec); });
  cluster.Settle();
}

}  // namespace

TEST_CASE("schedule: a Job at each moment, and sleep in between") {
  JobCluster cluster;
  const ObjectPtr cron_job = cluster.Create(CronJob({{"timeZone", "UTC"}}));
  cluster.Settle();
  cluster.Advance(99s);
  CHECK(Jobs(cluster) == "");
  const int before = cluster.Reconciles("cronjob-controller");
  CHECK(before == 1);
  cluster.Advance(1s);
  CHECK(Jobs(cluster) == "c-28333335");
  const Json job = cluster.Document(resources::kJobs, "default", "c-28333335");
  CHECK(job["metadata"]["labels"]["a"] == "b");
  CHECK(job["metadata"]["annotations"] ==
        Json({{"x", "y"}, {"batch.kubernetes.io/cronjob-scheduled-timestamp", "2023-11-14T22:15:00Z"}}));
  CHECK(job["metadata"]["ownerReferences"] == Json::array({{{"apiVersion", "batch/v1"},
                                                            {"kind", "CronJob"},
                                                            {"name", "c"},
                                                            {"uid", cron_job->uid()},
                                                            {"controller", true},
                                                            {"blockOwnerDeletion", true}}}));
  CHECK(StatusOf(cluster)["lastScheduleTime"] == "2023-11-14T22:15:00Z");
  REQUIRE(StatusOf(cluster)["active"].size() == 1);
  CHECK(StatusOf(cluster)["active"][0]["name"] == "c-28333335");
  CHECK(StatusOf(cluster)["active"][0]["uid"] == job["metadata"]["uid"]);

  cluster.Work();
  cluster.Advance(30s);
  cluster.EndAll(0);
  CHECK(StatusOf(cluster) ==
        Json({{"lastScheduleTime", "2023-11-14T22:15:00Z"}, {"lastSuccessfulTime", "2023-11-14T22:15:30Z"}}));
  cluster.Advance(269s);
  CHECK(Jobs(cluster) == "[c-28333335]");
  cluster.Advance(1s);
  CHECK(Jobs(cluster) == "[c-28333335] c-28333340");
  CHECK(cluster.Reconciles("cronjob-controller") - before < 10);
  const std::vector<std::string> events = cluster.EventsAbout("c");
  CHECK(Count(events, "SuccessfulCreate: Created job c-28333335") == 1);
  CHECK(Count(events, "SawCompletedJob: Saw completed job: c-28333335, condition: Complete") == 1);
  CHECK(events.size() == 3);
}

TEST_CASE("timeZone: a Job carries the moment in the CronJob's own time") {
  JobCluster cluster;
  cluster.Create(CronJob({{"schedule", "45 3 * * *"}, {"timeZone", "Asia/Kathmandu"}}));  // 5:45 ahead, always
  cluster.Advance(24h);
  const auto jobs = cluster.List(resources::kJobs, "default");
  REQUIRE(jobs.size() == 1);
  CHECK((*jobs[0]->json())["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] ==
        "2023-11-16T03:45:00+05:45");
  CHECK(StatusOf(cluster)["lastScheduleTime"] == "2023-11-15T22:00:00Z");
}

TEST_CASE("concurrencyPolicy: with Jobs that never end") {
  JobCluster cluster;
  SECTION("Allow") {
    cluster.Create(CronJob());
    cluster.Advance(400s);
    CHECK(Jobs(cluster) == "c-28333335 c-28333340");
  }
  SECTION("Forbid: the moment that passed is made up for when the way is free") {
    cluster.Create(CronJob({{"concurrencyPolicy", "Forbid"}}));
    cluster.Advance(1000s);
    CHECK(Jobs(cluster) == "c-28333335");
    const std::string told =
        "JobAlreadyActive: Not starting job because prior execution is running and concurrency "
        "policy is Forbid";
    CHECK(Count(cluster.EventsAbout("c"), told) == 1);  // one series
    cluster.Work();
    cluster.EndAll(0);
    CHECK(Jobs(cluster) == "[c-28333335] c-28333350");
  }
  SECTION("Replace") {
    cluster.Create(CronJob({{"concurrencyPolicy", "Replace"}}));
    cluster.Advance(400s);
    CHECK(Jobs(cluster) == "c-28333340");
    CHECK(StatusOf(cluster)["active"].size() == 1);
    CHECK(Count(cluster.EventsAbout("c"), "SuccessfulDelete: Deleted job c-28333335") == 1);
  }
}

TEST_CASE("History limits: the oldest Jobs go, their pods with them") {
  JobCluster cluster;
  cluster.Create(CronJob({{"successfulJobsHistoryLimit", 2}, {"failedJobsHistoryLimit", 0}}));
  for (int i = 0; i < 4; ++i) {
    cluster.Advance(300s);
    cluster.Work();
    cluster.EndAll(0);
  }
  CHECK(Jobs(cluster) == "[c-28333345] [c-28333350]");
  CHECK(cluster.List(resources::kPods, "default").size() == 2);  // their pods went with them
}

TEST_CASE("schedule and timeZone: bad ones are told, not fought with") {
  struct Case {
    Json spec;
    const char* event;
  };
  for (const Case& c :
       {Case{{{"schedule", "61 * * * *"}},
             "UnparseableSchedule: unparseable schedule: \"61 * * * *\" : end of range (61) above maximum (59): 61"},
        Case{{{"timeZone", "Mars/Olympus"}},
             "UnknownTimeZone: invalid timeZone: \"Mars/Olympus\": unknown time zone Mars/Olympus"}}) {
    JobCluster cluster;
    // As an older version, or another host, may have stored it.
    const ObjectPtr good = cluster.Create(CronJob({{"suspend", true}}));
    Json bad = *good->json();
    bad["spec"].merge_patch(c.spec);
    bad["spec"]["suspend"] = false;
    Mutation mutation;
    mutation.op = Mutation::Op::kUpdate;
    mutation.key = good->key();
    mutation.uid = good->uid();
    mutation.draft.emplace(bad);
    cluster.Commit(std::move(mutation));
    const int before = cluster.Reconciles("cronjob-controller");
    cluster.Advance(50min);  // events live an hour
    CHECK(Jobs(cluster) == "");
    CHECK(Count(cluster.EventsAbout("c"), c.event) == 1);
    CHECK(cluster.Reconciles("cronjob-controller") - before < 3);
  }
}

TEST_CASE("kubectl create job --from: a Job by hand is neither counted nor missed") {
  JobCluster cluster;
  const ObjectPtr cron_job = cluster.Create(CronJob());
  Json job = {
      {"apiVersion", "batch/v1"}, {"kind", "Job"}, {"spec", (*cron_job->json())["spec"]["jobTemplate"]["spec"]}};
  job["metadata"] = {{"name", "manual"},
                     {"namespace", "default"},
                     {"annotations", {{"cronjob.kubernetes.io/instantiate", "manual"}}},
                     {"ownerReferences", Json::array({{{"apiVersion", "batch/v1"},
                                                       {"kind", "CronJob"},
                                                       {"name", "c"},
                                                       {"uid", cron_job->uid()},
                                                       {"controller", true}}})}};
  cluster.Create(job);
  cluster.Work();
  CHECK_FALSE(StatusOf(cluster).contains("active"));
  CHECK(cluster.ActivePods().size() == 1);
  cluster.EndAll(0);
  CHECK(Jobs(cluster) == "[manual]");
  CHECK(StatusOf(cluster).contains("lastSuccessfulTime"));
  CHECK(cluster.EventsAbout("c").empty());
}

TEST_CASE("startingDeadlineSeconds: a moment found too late is told and left out, however many were missed") {
  JobCluster cluster;
  cluster.Create(CronJob({{"schedule", "* * * * *"}, {"suspend", true}, {"startingDeadlineSeconds", 10}}));
  cluster.Advance(200min + 15s);  // 22:13:20 to 01:33:35
  Edit(cluster, {{"suspend", false}});
  CHECK(Jobs(cluster) == "");
  CHECK(Count(cluster.EventsAbout("c"),
              "MissSchedule: Missed scheduled time to start a job: Wed, 15 Nov 2023 01:33:00 +0000") == 1);
  cluster.Advance(25s);
  CHECK(Jobs(cluster) == "c-28333534");
  CHECK(Count(cluster.EventsAbout("c"), "SuccessfulCreate: Created job c-28333534") == 1);

  JobCluster patient;
  patient.Create(CronJob({{"schedule", "* * * * *"}, {"suspend", true}}));
  patient.Advance(200min + 15s);
  Edit(patient, {{"suspend", false}});
  CHECK(Jobs(patient) == "c-28333533");  // the latest of two hundred
  CHECK(Count(patient.EventsAbout("c"),
              "TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check "
              "clock skew") == 1);
}

TEST_CASE("suspend: skips moments; deletion takes the Jobs along") {
  JobCluster cluster;
  cluster.Create(CronJob());
  cluster.Settle();
  Edit(cluster, {{"suspend", true}});
  cluster.Advance(1020s);
  CHECK(Jobs(cluster) == "");
  Edit(cluster, {{"suspend", false}, {"startingDeadlineSeconds", 10}});
  CHECK(Jobs(cluster) == "");
  cluster.Advance(300s);
  CHECK(Jobs(cluster) == "c-28333355");
  cluster.Delete(resources::kCronJobs, "default", "c");
  cluster.Advance(1s);
  cluster.Work();
  CHECK(Jobs(cluster) == "");
  CHECK(cluster.List(resources::kPods, "default").empty());
}

TEST_CASE("A stranger's Job of the same name: told once, and on to the next moment") {
  JobCluster cluster;
  cluster.AddJob("c-28333335");
  cluster.Create(CronJob());
  cluster.Advance(150s);
  CHECK(Jobs(cluster) == "c-28333335");
  CHECK(cluster.Reconciles("cronjob-controller") < 6);
  cluster.Advance(300s);
  CHECK(Jobs(cluster) == "c-28333335 c-28333340");
}

TEST_CASE("Dying between any two writes makes no moment happen twice") {
  for (int writes = 0; writes < 6; ++writes) {
    for (const char* policy : {"Allow", "Forbid", "Replace"}) {
      CAPTURE(writes, policy);
      JobCluster cluster(1, {"cronjob-controller"});
      std::unique_ptr<FaultyClient> client;
      std::unique_ptr<RuntimeContext> context;
      std::shared_ptr<CronJobReconciler> reconciler;
      cluster.Start("cronjob-controller", [&](RuntimeContext given) {
        client = std::make_unique<FaultyClient>(given.client);
        context = std::make_unique<RuntimeContext>(RuntimeContext{*client, given.clock, given.executor, given.seed});
        reconciler = std::make_shared<CronJobReconciler>(*context);
        ControllerSpec spec;
        spec.name = "cronjob-controller";
        spec.watches = {
            {std::string(resources::kCronJobs), EnqueueSelf},
            {std::string(resources::kJobs), [&](const Event& e, WorkQueue& q) { reconciler->OnJob(e, q); }}};
        spec.reconcile = [&](std::string key) { return reconciler->Reconcile(std::move(key)); };
        return spec;
      });
      std::map<std::string, int> made;
      const auto handler = cluster.client().events().AddHandler(std::string(resources::kJobs), [&](const Event& event) {
        if (event.type == EventType::kAdded) ++made[event.object->name()];
      });
      cluster.Create(CronJob({{"concurrencyPolicy", policy}}));
      cluster.Advance(50s);
      client->DieAfter(writes);
      cluster.Advance(60s);
      client->Heal();
      reconciler = std::make_shared<CronJobReconciler>(*context);
      cluster.Advance(240s);
      CHECK(made == std::map<std::string, int>{{"c-28333335", 1}});
      CHECK(StatusOf(cluster)["lastScheduleTime"] == "2023-11-14T22:15:00Z");
      CHECK(StatusOf(cluster)["active"].size() == 1);
      cluster.client().events().RemoveHandler(handler);
    }
  }
}
