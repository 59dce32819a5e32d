// Random lives of a Job on the real registry: pods succeed, fail, are deleted and vanish, nodes are lost, the Job is
// suspended and resumed, and the controller dies between any two of its writes and comes back without its memory.
// Whatever happens, every end of a pod is counted at most once and nothing that is counted is lost; once things calm
// down the Job ends.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "core/controllers/job/job_pod_view.h"
#include "core/controllers/job/job_reconciler.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/faulty_client.h"
#include "tests/core/controllers/job/job_cluster.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace {

// Follows every write and keeps its own books.
class Auditor {
 public:
  void OnJob(const Event& event) {
    if (event.type != EventType::kModified) return;
    const JobView& job = event.object->view<JobView>();
    const JobStatus &now = job.status, &before = event.previous->view<JobView>().status;
    if (!job.indexed)
      Settle("succeeded", before.uncounted_succeeded, now.uncounted_succeeded, now.succeeded - before.succeeded);
    Settle("failed", before.uncounted_failed, now.uncounted_failed, now.failed - before.failed);
    if (job.indexed) {
      REQUIRE(now.succeeded == now.completed_indexes.size());
      REQUIRE(now.completed_indexes.CountOf(before.completed_indexes) == before.completed_indexes.size());
      for (int64_t index = 0; index < job.completions.value_or(0); ++index) {
        if (!now.completed_indexes.Contains(index) || before.completed_indexes.Contains(index)) continue;
        CAPTURE(index);
        REQUIRE(succeeded_indexes_.contains(index));
      }
      if (now.failed_indexes) REQUIRE(now.failed_indexes->CountOf(now.completed_indexes) == 0);
    }
    REQUIRE((!before.Is("Complete") && !before.Is("Failed")));  // the last word is the last word
    REQUIRE_FALSE((now.Is("Complete") && now.Is("Failed")));
    REQUIRE_FALSE((now.Is("SuccessCriteriaMet") && now.Is("FailureTarget")));
  }

  void OnPod(const Event& event, const Object* job) {
    const JobPodView& pod = event.object->view<JobPodView>();
    if (pod.phase == JobPodView::Phase::kSucceeded) succeeded_indexes_.insert(pod.index);
    if (!event.previous || !job) return;
    const JobPodView& before = event.previous->view<JobPodView>();
    const bool released = before.tracked && (!pod.tracked || event.type == EventType::kDeleted);
    if (!released) return;
    // What is released has left its trace.
    const JobView& view = job->view<JobView>();
    const std::string& uid = event.object->uid();
    CAPTURE(event.object->name());
    if (before.active()) {
      given_up_.insert(uid);
    } else if (before.phase == JobPodView::Phase::kSucceeded && view.indexed) {
      const bool known = view.status.completed_indexes.Contains(before.index) || ever_["failed"].contains(uid) ||
                         (view.status.failed_indexes && view.status.failed_indexes->Contains(before.index));
      REQUIRE(known);
    } else if (before.phase == JobPodView::Phase::kSucceeded) {
      REQUIRE(ever_["succeeded"].contains(uid) + ever_["failed"].contains(uid) == 1);
    } else if (!view.has_failure_policy && !view.status.Is("SuccessCriteriaMet")) {
      REQUIRE(ever_["failed"].contains(uid));
    }
  }

  size_t counted(const char* what) { return counted_[what].size(); }
  bool GivenUp(const std::string& uid) const { return given_up_.contains(uid); }

 private:
  void Settle(const char* what, const std::vector<std::string>& before, const std::vector<std::string>& now,
              int64_t more) {
    const std::set<std::string> was(before.begin(), before.end()), is(now.begin(), now.end());
    REQUIRE(is.size() == now.size());
    int64_t left = 0;
    for (const std::string& uid : is) {
      if (was.contains(uid)) continue;
      CAPTURE(what, uid);
      for (auto& [name, uids] : ever_) REQUIRE_FALSE(uids.contains(uid));  // never recorded twice, under any name
      REQUIRE_FALSE(given_up_.contains(uid));
      ever_[what].insert(uid);
    }
    for (const std::string& uid : was) {
      if (is.contains(uid)) continue;
      ++left;
      REQUIRE(counted_[what].insert(uid).second);
    }
    REQUIRE(more == left);
  }

  std::map<std::string, std::set<std::string>> ever_, counted_;  // "succeeded", "failed": uids
  std::set<std::string> given_up_;
  std::set<int64_t> succeeded_indexes_;
};

class World {
 public:
  explicit World(uint64_t seed) : cluster_(seed, {"job-controller"}), random_(seed) {
    cluster_.AddNode("m");
    Watch();
    cluster_.Start("job-controller", [this](RuntimeContext context) {
      client_ = std::make_unique<FaultyClient>(context.client);
      context_ =
          std::make_unique<RuntimeContext>(RuntimeContext{*client_, context.clock, context.executor, context.seed});
      reconciler_ = std::make_shared<JobReconciler>(*context_);
      ControllerSpec spec;
      spec.name = "job-controller";
      spec.watches = {
          {std::string(resources::kJobs), [this](const Event& e, WorkQueue& q) { reconciler_->OnJob(e, q); }},
          {std::string(resources::kPods), [this](const Event& e, WorkQueue& q) { reconciler_->OnPod(e, q); }}};
      spec.reconcile = [this](std::string key) { return reconciler_->Reconcile(std::move(key)); };
      return spec;
    });
    Json spec = {{"parallelism", 1 + Pick(4)}, {"backoffLimit", Pick(3) ? 50 : Pick(4)}};
    if (Pick(4)) spec["completions"] = 1 + Pick(5);
    if (spec.contains("completions") && Pick(2)) {
      spec["completionMode"] = "Indexed";
      if (Pick(3) == 0) spec["backoffLimitPerIndex"] = Pick(3), spec["backoffLimit"] = 1000;
    }
    if (Pick(3) == 0) spec["podReplacementPolicy"] = "Failed";
    if (Pick(6) == 0) {
      spec["podFailurePolicy"] = Json::parse(R"({"rules":[
          {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget"}]},
          {"action":"FailJob","onExitCodes":{"operator":"In","values":[42]}}]})");
      spec["podReplacementPolicy"] = "Failed";
    }
    parallelism_ = spec["parallelism"].get<size_t>();
    spec_ = spec.dump();
    cluster_.AddJob("j", std::move(spec));
  }
  ~World() {
    for (const EventBus::HandlerId id : handlers_) cluster_.client().events().RemoveHandler(id);
  }

  const std::string& spec() const { return spec_; }

  void Step() {
    if (Pick(5) == 0) client_->DieAfter(static_cast<int>(Pick(6)));
    switch (Pick(9)) {
      case 0:
        WithActive([&](const std::string& pod) { cluster_.End(pod, 0); });
        break;
      case 1:
        WithActive([&](const std::string& pod) { cluster_.End(pod, Pick(5) ? 1 : 42); });
        break;
      case 2:
        WithActive([&](const std::string& pod) { cluster_.Delete(resources::kPods, "default", pod); });
        break;
      case 3:
        WithActive([&](const std::string& pod) {  // it vanishes, as far as its finalizer lets it
          DeleteOptions options;
          options.grace_period_seconds = 0;
          cluster_.Delete(resources::kPods, "default", pod, options);
        });
        break;
      case 4:
        if (!Finished()) cluster_.EditJob("j", [](Json& spec) { spec["suspend"] = !spec["suspend"].get<bool>(); });
        break;
      case 5:
        if (cluster_.Get(resources::kNodes, "", "m")) {
          cluster_.Delete(resources::kNodes, "", "m");
        } else {
          cluster_.AddNode("m");
        }
        break;
      case 6:
        cluster_.Advance(std::chrono::seconds(Pick(90)));
        break;
      default:
        Work();
        break;
    }
    cluster_.Settle();
    if (client_->dead()) Restart();
    CheckParallelism();
  }

  // No more faults: every pod succeeds until the Job has ended.
  void Calm() {
    Restart();
    if (!Finished()) cluster_.EditJob("j", [](Json& spec) { spec["suspend"] = false; });
    for (int round = 0; round < 60 && !Finished(); ++round) {
      Work();
      cluster_.EndAll(0);
      Work();
      cluster_.Advance(7min);
    }
    Work();
    Work();
  }

  void CheckEnd() {
    const JobStatus status = cluster_.StatusOf("j");
    INFO(status.ToJson().dump());
    REQUIRE(Finished());
    CHECK(status.uncounted_succeeded.empty());
    CHECK(status.uncounted_failed.empty());
    CHECK(status.active == 0);
    CHECK(cluster_.ActivePods().empty());
    const JobView& job = cluster_.Get(resources::kJobs, "default", "j")->view<JobView>();
    if (!job.indexed) CHECK(status.succeeded == static_cast<int64_t>(auditor_.counted("succeeded")));
    CHECK(status.failed == static_cast<int64_t>(auditor_.counted("failed")));
    for (const ObjectPtr& pod : cluster_.List(resources::kPods, "default")) {
      CAPTURE(pod->name());
      CHECK_FALSE(pod->view<JobPodView>().tracked);
    }
    if (status.Is("Complete")) {
      if (job.completions) CHECK(status.succeeded == *job.completions);
      if (!job.completions) CHECK(status.succeeded > 0);
    } else if (!job.has_failure_policy && !job.backoff_limit_per_index) {
      CHECK(status.failed > job.backoff_limit);
    }
  }

 private:
  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  bool Finished() const { return cluster_.Get(resources::kJobs, "default", "j")->view<JobView>().finished(); }

  void Watch() {
    EventBus& bus = cluster_.client().events();
    handlers_.push_back(
        bus.AddHandler(std::string(resources::kJobs), [this](const Event& event) { auditor_.OnJob(event); }));
    handlers_.push_back(bus.AddHandler(std::string(resources::kPods), [this](const Event& event) {
      auditor_.OnPod(event, cluster_.Get(resources::kJobs, "default", "j").get());
    }));
  }

  void WithActive(const std::function<void(const std::string&)>& act) {
    std::vector<std::string> pods = cluster_.ActivePods();
    std::erase_if(pods, [&](const std::string& pod) {
      return !cluster_.Get(resources::kPods, "default", pod)->view<JobPodView>().scheduled;
    });
    if (!pods.empty()) act(pods[Pick(pods.size())]);
  }

  // The agent's round; half of the pods land on the node that may be lost.
  void Work() {
    for (const std::string& name : cluster_.ActivePods()) {
      const ObjectPtr pod = cluster_.Get(resources::kPods, "default", name);
      if (!pod || pod->view<JobPodView>().scheduled) continue;
      if (cluster_.Get(resources::kNodes, "", "m") && Pick(2)) cluster_.Bind(pod, "m");
    }
    cluster_.Work();
  }

  // A new process: the memory is gone, the queue is filled from what is there.
  void Restart() {
    client_->Heal();
    reconciler_ = std::make_shared<JobReconciler>(*context_);
    const ObjectPtr job = cluster_.Get(resources::kJobs, "default", "j");
    // Any event brings the key back, as a start would.
    if (job && !Finished()) {
      cluster_.Update(
          job, [this](Json& object) { object["metadata"]["annotations"]["restarted"] = std::to_string(++restarts_); });
    }
    cluster_.Settle();
  }

  void CheckParallelism() {
    size_t active = 0;
    for (const ObjectPtr& pod : cluster_.List(resources::kPods, "default")) {
      if (pod->view<JobPodView>().active() && !auditor_.GivenUp(pod->uid())) ++active;
    }
    REQUIRE(active <= parallelism_);
  }

  JobCluster cluster_;
  std::mt19937_64 random_;
  Auditor auditor_;
  std::unique_ptr<FaultyClient> client_;
  std::unique_ptr<RuntimeContext> context_;
  std::shared_ptr<JobReconciler> reconciler_;
  std::vector<EventBus::HandlerId> handlers_;
  std::string spec_;
  size_t parallelism_ = 0;
  int restarts_ = 0;
};

}  // namespace

TEST_CASE("Property: each end is counted once, and every Job ends") {
  const char* only = std::getenv("WHERRY_SEED");
  const uint64_t first = only ? std::strtoull(only, nullptr, 10) : 1;
  const uint64_t last = only ? first : 1000;
  for (uint64_t seed = first; seed <= last; ++seed) {
    CAPTURE(seed);
    World world(seed);
    CAPTURE(world.spec());
    for (int step = 0; step < 25; ++step) world.Step();
    world.Calm();
    world.CheckEnd();
  }
}
