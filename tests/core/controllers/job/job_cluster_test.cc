// The Job contract seen from outside: real store, registry and controllers.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/controllers/job/job_pod_view.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/job/job_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

long Count(const std::vector<std::string>& events, const std::string& event) {
  return std::count(events.begin(), events.end(), event);
}

size_t Tracked(const JobCluster& cluster) {
  size_t tracked = 0;
  for (const ObjectPtr& pod : cluster.List(resources::kPods, "default")) tracked += pod->view<JobPodView>().tracked;
  return tracked;
}

void DeleteJob(JobCluster& cluster, Propagation propagation) {
  DeleteOptions options;
  options.propagation = propagation;
  cluster.Delete(resources::kJobs, "default", "j", options);
  cluster.Advance(1s);  // the collector and the controller may meet on one pod
}

}  // namespace

TEST_CASE("completions and parallelism: a Job runs its pods to completion") {
  JobCluster cluster;
  const ObjectPtr job = cluster.AddJob("j", {{"completions", 3}, {"parallelism", 2}});
  cluster.Work();
  REQUIRE(cluster.ActivePods().size() == 2);
  CHECK(cluster.StatusOf("j").active == 2);
  CHECK(cluster.StatusOf("j").ready == 2);
  const Json pod = cluster.Document(resources::kPods, "default", cluster.ActivePods()[0]);
  CHECK(pod["metadata"]["generateName"] == "j-");
  CHECK(pod["metadata"]["finalizers"] == Json::array({"batch.kubernetes.io/job-tracking"}));
  CHECK(pod["metadata"]["labels"] == Json({{"controller-uid", job->uid()},
                                           {"job-name", "j"},
                                           {"batch.kubernetes.io/controller-uid", job->uid()},
                                           {"batch.kubernetes.io/job-name", "j"}}));
  CHECK(pod["metadata"]["ownerReferences"][0]["uid"] == job->uid());

  cluster.EndAll(0);
  cluster.Work();
  cluster.Advance(5s);
  cluster.EndAll(0);
  CHECK(cluster.Conditions("j") == "SuccessCriteriaMet/CompletionsReached Complete/CompletionsReached");
  Json status = cluster.Document(resources::kJobs, "default", "j")["status"];
  status.erase("conditions");
  CHECK(status == Json({{"completionTime", FormatTime(cluster.clock().Now())},
                        {"startTime", FormatTime(cluster.clock().Now() - 5s)},
                        {"succeeded", 3},
                        {"ready", 0},
                        {"terminating", 0},
                        {"uncountedTerminatedPods", Json::object()}}));
  CHECK(Tracked(cluster) == 0);
  CHECK(cluster.List(resources::kPods, "default").size() == 3);  // they stay, for their logs
  const std::vector<std::string> events = cluster.EventsAbout("j");
  CHECK(events.size() == 4);
  CHECK(Count(events, "Completed: Job completed") == 1);
  CHECK(Count(events, "SuccessfulCreate: Created pod: " + pod["metadata"]["name"].get<std::string>()) == 1);
  // Nothing keeps it awake.
  const int before = cluster.Reconciles("job-controller");
  cluster.Advance(1h);
  CHECK(cluster.Reconciles("job-controller") == before);
}

TEST_CASE("Indexed: every pod is given its index") {
  JobCluster cluster;
  cluster.AddJob("j", {{"completionMode", "Indexed"}, {"completions", 2}, {"parallelism", 2}});
  REQUIRE(cluster.ActivePods().size() == 2);
  for (const std::string& name : cluster.ActivePods()) {
    const Json pod = cluster.Document(resources::kPods, "default", name);
    const std::string index = pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"];
    CHECK(name.starts_with("j-" + index + "-"));
    CHECK(name.size() == 9);
    CHECK(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == index);
    CHECK(pod["spec"]["hostname"] == "j-" + index);
    const Json& env = pod["spec"]["containers"][0]["env"][0];
    CHECK(env["name"] == "JOB_COMPLETION_INDEX");
    CHECK(env["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-completion-index']");
  }
  cluster.Work();
  cluster.EndAll(0);
  CHECK(cluster.StatusOf("j").completed_indexes.ToString() == "0,1");
  CHECK(cluster.StatusOf("j").succeeded == 2);
  CHECK(cluster.StatusOf("j").Is("Complete"));
}

TEST_CASE("backoffLimit: failures are retried with a growing pause, then the Job has failed") {
  JobCluster cluster;
  cluster.AddJob("j", {{"backoffLimit", 2}});
  for (const Duration pause : {10s, 20s}) {
    cluster.Work();
    cluster.EndAll(1);
    CHECK(cluster.ActivePods().empty());
    cluster.Advance(pause - 1s);
    CHECK(cluster.ActivePods().empty());
    cluster.Advance(1s);
    CHECK(cluster.ActivePods().size() == 1);
  }
  cluster.Work();
  cluster.EndAll(1);
  CHECK(cluster.Conditions("j") == "FailureTarget/BackoffLimitExceeded Failed/BackoffLimitExceeded");
  CHECK(cluster.StatusOf("j").failed == 3);
  CHECK_FALSE(cluster.StatusOf("j").completion_time);
  CHECK(Count(cluster.EventsAbout("j"), "BackoffLimitExceeded: Job has reached the specified backoff limit") == 1);
  cluster.Advance(1h);
  CHECK(cluster.ActivePods().empty());
}

TEST_CASE("activeDeadlineSeconds: ends the pods") {
  JobCluster cluster;
  cluster.AddJob("j", {{"activeDeadlineSeconds", 30}, {"parallelism", 2}, {"completions", 2}});
  cluster.Work();
  cluster.Advance(29s);
  CHECK(cluster.ActivePods().size() == 2);
  cluster.Advance(1s);
  CHECK(cluster.ActivePods().empty());
  CHECK(cluster.Conditions("j") == "FailureTarget/DeadlineExceeded");  // until they are gone
  cluster.Work();
  CHECK(cluster.Conditions("j") == "FailureTarget/DeadlineExceeded Failed/DeadlineExceeded");
  CHECK(cluster.StatusOf("j").failed == 2);
  CHECK(cluster.List(resources::kPods, "default").empty());
}

TEST_CASE("ttlSecondsAfterFinished: removes the Job and its pods") {
  JobCluster cluster;
  cluster.AddJob("j", {{"ttlSecondsAfterFinished", 60}});
  cluster.Work();
  cluster.Advance(1h);
  cluster.EndAll(0);
  CHECK(cluster.StatusOf("j").Is("Complete"));
  cluster.Advance(59s);
  CHECK(cluster.Get(resources::kJobs, "default", "j"));
  SECTION("in time") {
    cluster.Advance(1s);
    CHECK_FALSE(cluster.Get(resources::kJobs, "default", "j"));
    CHECK(cluster.List(resources::kPods, "default").empty());
  }
  SECTION("a longer life granted in time") {
    cluster.EditJob("j", [](Json& spec) { spec["ttlSecondsAfterFinished"] = 100; });
    cluster.Advance(40s);
    CHECK(cluster.Get(resources::kJobs, "default", "j"));
    cluster.Advance(1s);
    CHECK_FALSE(cluster.Get(resources::kJobs, "default", "j"));
  }
}

TEST_CASE("suspend: and resume") {
  JobCluster cluster;
  cluster.AddJob("j", {{"parallelism", 2}, {"completions", 2}, {"backoffLimit", 0}});
  cluster.Work();
  cluster.EditJob("j", [](Json& spec) { spec["suspend"] = true; });
  cluster.Work();
  CHECK(cluster.List(resources::kPods, "default").empty());
  CHECK(cluster.Conditions("j") == "Suspended/JobSuspended");
  CHECK(cluster.StatusOf("j").failed == 0);
  cluster.Advance(30min);
  cluster.EditJob("j", [](Json& spec) { spec["suspend"] = false; });
  CHECK(cluster.StatusOf("j").start_time == std::chrono::floor<std::chrono::seconds>(cluster.clock().Now()));
  CHECK(cluster.ActivePods().size() == 2);
  cluster.Work();
  cluster.EndAll(0);
  CHECK(cluster.StatusOf("j").Is("Complete"));
  CHECK_FALSE(cluster.StatusOf("j").Is("Suspended"));
  const std::vector<std::string> events = cluster.EventsAbout("j");
  CHECK(Count(events, "Suspended: Job suspended") == 1);
  CHECK(Count(events, "Resumed: Job resumed") == 1);
}

TEST_CASE("podReplacementPolicy: with Failed the successor waits for the end") {
  JobCluster cluster;
  cluster.AddJob("j", {{"podReplacementPolicy", "Failed"}});
  cluster.Work();
  cluster.Delete(resources::kPods, "default", cluster.ActivePods()[0]);
  cluster.Advance(20s);
  CHECK(cluster.ActivePods().empty());
  CHECK(cluster.StatusOf("j").terminating == 1);
  CHECK(cluster.StatusOf("j").failed == 0);
  cluster.Work();
  cluster.Advance(20s);
  CHECK(cluster.ActivePods().size() == 1);
  CHECK(cluster.StatusOf("j").failed == 1);
}

TEST_CASE("podReplacementPolicy: Failed where there is a podFailurePolicy, else TerminatingOrFailed") {
  JobCluster cluster;
  cluster.AddJob("j");
  CHECK(cluster.Document(resources::kJobs, "default", "j")["spec"]["podReplacementPolicy"] == "TerminatingOrFailed");
  cluster.Work();
  const std::string first = cluster.ActivePods()[0];
  cluster.Delete(resources::kPods, "default", first);
  cluster.Advance(9s);
  CHECK(cluster.ActivePods().empty());
  cluster.Advance(1s);  // the back-off, while the old one still goes
  CHECK(cluster.ActivePods().size() == 1);
  CHECK(cluster.Get(resources::kPods, "default", first));

  JobCluster patient;
  patient.AddJob("j", Json::parse(R"({"podFailurePolicy":{"rules":[
      {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget"}]}]}})"));
  CHECK(patient.Document(resources::kJobs, "default", "j")["spec"]["podReplacementPolicy"] == "Failed");
  patient.Work();
  patient.Delete(resources::kPods, "default", patient.ActivePods()[0]);
  patient.Advance(20s);
  CHECK(patient.ActivePods().empty());
}

TEST_CASE("successPolicy: the Job is complete when its rule is met, and what still runs goes") {
  JobCluster cluster;
  cluster.AddJob("j", Json::parse(R"({"completionMode":"Indexed","completions":3,"parallelism":3,
      "successPolicy":{"rules":[{"succeededIndexes":"0"}]}})"));
  cluster.Work();
  for (const std::string& pod : cluster.ActivePods()) {
    if (pod.starts_with("j-0-")) cluster.End(pod, 0);
  }
  CHECK(cluster.ActivePods().empty());
  cluster.Work();
  CHECK(cluster.Conditions("j") == "SuccessCriteriaMet/SuccessPolicy Complete/SuccessPolicy");
  CHECK(cluster.StatusOf("j").succeeded == 1);
  CHECK(cluster.StatusOf("j").failed == 0);
}

TEST_CASE("backoffLimitPerIndex and maxFailedIndexes: indexes fail one by one, then the Job") {
  JobCluster cluster;
  cluster.AddJob("j", Json::parse(R"({"completionMode":"Indexed","completions":3,"parallelism":1,
      "backoffLimitPerIndex":0,"maxFailedIndexes":1})"));
  for (const char* failed : {"0", "0,1"}) {
    cluster.Work();
    REQUIRE(cluster.ActivePods().size() == 1);
    cluster.EndAll(1);
    cluster.Advance(1s);
    CHECK(cluster.StatusOf("j").failed_indexes->ToString() == failed);
  }
  CHECK(cluster.Conditions("j") == "FailureTarget/MaxFailedIndexesExceeded Failed/MaxFailedIndexesExceeded");
  CHECK(cluster.ActivePods().empty());
  CHECK(cluster.StatusOf("j").failed == 2);
}

TEST_CASE("A lost node: its pods have failed, and are replaced") {
  for (const char* policy : {"TerminatingOrFailed", "Failed"}) {
    CAPTURE(policy);
    JobCluster cluster;
    cluster.AddJob("j", {{"podReplacementPolicy", policy}});
    cluster.Work();
    const std::string pod = cluster.ActivePods()[0];
    cluster.Delete(resources::kNodes, "", "n");
    cluster.Advance(60s);
    CHECK_FALSE(cluster.Get(resources::kPods, "default", pod));
    CHECK(cluster.StatusOf("j").failed == 1);
    CHECK(cluster.ActivePods().size() == 1);
  }
}

TEST_CASE("podFailurePolicy: forgives a lost node") {
  JobCluster cluster;
  cluster.AddJob("j", Json::parse(R"({"backoffLimit":0,"podFailurePolicy":{"rules":[
      {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget"}]}]}})"));
  cluster.Work();
  cluster.Delete(resources::kNodes, "", "n");
  cluster.Advance(60s);
  CHECK(cluster.StatusOf("j").failed == 0);
  CHECK(cluster.ActivePods().size() == 1);
  CHECK(cluster.Conditions("j") == "");
}

TEST_CASE("managedBy: somebody else's Job is left alone") {
  JobCluster cluster;
  cluster.AddJob("j", {{"managedBy", "example.com/other"}});
  cluster.Advance(1h);
  CHECK(cluster.ActivePods().empty());
  CHECK(cluster.Document(resources::kJobs, "default", "j")["status"] == Json::object());
}

TEST_CASE("Deleting a Job takes its pods along, whatever it counts with") {
  JobCluster cluster;
  cluster.AddJob("j", {{"parallelism", 3}, {"completions", 3}});
  cluster.Work();
  cluster.End(cluster.ActivePods()[0], 0);
  SECTION("background") { DeleteJob(cluster, Propagation::kBackground); }
  SECTION("foreground") { DeleteJob(cluster, Propagation::kForeground); }
  cluster.Work();
  cluster.Work();
  CHECK_FALSE(cluster.Get(resources::kJobs, "default", "j"));
  CHECK(cluster.List(resources::kPods, "default").empty());
}

TEST_CASE("Deleting a Job as an orphaning client does leaves its pods, unbound") {
  JobCluster cluster;
  cluster.AddJob("j", {{"parallelism", 2}, {"completions", 2}});
  cluster.Work();
  SECTION("asked for") { DeleteJob(cluster, Propagation::kOrphan); }
  SECTION("the default of batch/v1") { DeleteJob(cluster, Propagation::kDefault); }
  CHECK_FALSE(cluster.Get(resources::kJobs, "default", "j"));
  CHECK(cluster.ActivePods().size() == 2);
  CHECK(Tracked(cluster) == 0);
}

TEST_CASE("A namespace goes with its Jobs and CronJobs") {
  JobCluster cluster;
  cluster.Create({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "team"}}}});
  Json job = Json::parse(R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","namespace":"team"},
      "spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"main","image":"busybox"}]}}}})");
  Json cron_job = {{"apiVersion", "batch/v1"}, {"kind", "CronJob"}, {"metadata", job["metadata"]}};
  cron_job["spec"] = {{"schedule", "* * * * *"}, {"jobTemplate", {{"spec", job["spec"]}}}};
  cluster.Create(std::move(job));
  cluster.Create(std::move(cron_job));
  cluster.Advance(2min);
  CHECK(cluster.List(resources::kPods, "team").size() == 3);
  cluster.Delete(resources::kNamespaces, "", "team");
  cluster.Advance(2min);
  CHECK(cluster.List(resources::kPods, "team").empty());
  CHECK(cluster.List(resources::kJobs, "team").empty());
  CHECK_FALSE(cluster.Get(resources::kNamespaces, "", "team"));
}

TEST_CASE("manualSelector: pods that match are adopted, those that cease to are let go") {
  JobCluster cluster;
  const Json orphan = Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"old","namespace":"default",
      "labels":{"app":"a"}},"spec":{"containers":[{"name":"main","image":"busybox"}]}})");
  cluster.Create(orphan);
  cluster.AddJob("j", Json::parse(R"({"manualSelector":true,"selector":{"matchLabels":{"app":"a"}},"parallelism":1,
      "template":{"metadata":{"labels":{"app":"a"}}}})"));
  CHECK(cluster.ActivePods() == std::vector<std::string>{"old"});
  const ObjectPtr old = cluster.Get(resources::kPods, "default", "old");
  REQUIRE(old->view<MetaView>().controller());
  CHECK(old->view<JobPodView>().tracked);

  cluster.Update(old, [](Json& pod) { pod["metadata"]["labels"]["app"] = "b"; });
  cluster.Settle();
  CHECK(cluster.ActivePods().size() == 2);
  const ObjectPtr freed = cluster.Get(resources::kPods, "default", "old");
  CHECK_FALSE(freed->view<MetaView>().controller());
  CHECK_FALSE(freed->view<JobPodView>().tracked);
}

TEST_CASE("A Job named by the server carries its name in its labels") {
  JobCluster cluster;
  Json job =
      Json::parse(R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"generateName":"j-","namespace":"default"},
      "spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"main","image":"busybox"}]}}}})");
  const ObjectPtr made = cluster.Create(std::move(job));
  CHECK((*made->json())["spec"]["template"]["metadata"]["labels"]["job-name"] == made->name());
}

TEST_CASE("Many pods: bursts, and few looks") {
  JobCluster cluster;
  cluster.AddJob("j", {{"parallelism", 700}, {"completions", 700}});
  cluster.Advance(1s);
  CHECK(cluster.ActivePods().size() == 700);
  const int before = cluster.Reconciles("job-controller");
  cluster.EndAll(0);
  cluster.Advance(2s);
  CHECK(cluster.StatusOf("j").succeeded == 700);
  CHECK(cluster.StatusOf("j").Is("Complete"));
  CHECK(cluster.Reconciles("job-controller") - before < 50);
}

TEST_CASE("A refused pod is tried again with patience, and an event says why") {
  JobCluster cluster;
  Admission refuse;
  refuse.name = "refuse";
  auto open = std::make_shared<bool>(false);
  refuse.admit = [open](AdmissionRequest& request, const WatchCache&) {
    const bool pod = request.op == AdmissionRequest::Op::kCreate && request.kind.resource == resources::kPods;
    return pod && !*open ? Status(Reason::kForbidden, "exceeded quota") : Status();
  };
  cluster.registry().AddAdmission(refuse);
  cluster.AddJob("j");
  cluster.Advance(10s);
  CHECK(Count(cluster.EventsAbout("j"), "FailedCreate: Error creating: exceeded quota") == 1);
  CHECK(cluster.Reconciles("job-controller") < 30);
  *open = true;
  cluster.Advance(20s);
  CHECK(cluster.ActivePods().size() == 1);
}
