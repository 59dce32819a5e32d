#include "tests/core/controllers/job/job_cluster.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>

#include "core/controllers/job/job_pod_view.h"
#include "core/kinds/resources.h"

namespace wherry {

JobCluster::JobCluster(uint64_t seed, std::vector<std::string> without) : ControllerCluster(seed, std::move(without)) {
  AddNode("n");
}

ObjectPtr JobCluster::AddJob(const std::string& name, Json spec) {
  Json job = Json::parse(R"({"apiVersion":"batch/v1","kind":"Job","spec":{"template":{"spec":{
      "restartPolicy":"Never","containers":[{"name":"main","image":"busybox"}]}}}})");
  job["metadata"] = {{"name", name}, {"namespace", "default"}};
  job["spec"].merge_patch(spec);
  ObjectPtr made = Create(std::move(job));
  Settle();
  return made;
}

void JobCluster::EditJob(const std::string& name, const std::function<void(Json& spec)>& change) {
  Update(Get(resources::kJobs, "default", name), [&](Json& job) { change(job["spec"]); });
  Settle();
}

JobStatus JobCluster::StatusOf(const std::string& name) const {
  const ObjectPtr job = Get(resources::kJobs, "default", name);
  REQUIRE(job);
  return job->view<JobView>().status;
}

std::string JobCluster::Conditions(const std::string& name) const {
  std::string out;
  for (const JobCondition& c : StatusOf(name).conditions) {
    if (c.status == "True") out += (out.empty() ? "" : " ") + c.type + "/" + c.reason;
  }
  return out;
}

std::vector<std::string> JobCluster::ActivePods() const {
  std::vector<ObjectPtr> pods = List(resources::kPods, "default");
  std::erase_if(pods, [](const ObjectPtr& pod) { return !pod->view<JobPodView>().active(); });
  std::stable_sort(pods.begin(), pods.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
    return a->view<JobPodView>().created < b->view<JobPodView>().created;
  });
  std::vector<std::string> out;
  for (const ObjectPtr& pod : pods) out.push_back(pod->name());
  return out;
}

void JobCluster::Work() {
  for (const ObjectPtr& seen : List(resources::kPods, "default")) {
    // The steps settle, so what was seen may have changed.
    const ObjectPtr pod = Get(resources::kPods, "default", seen->name());
    if (!pod) continue;
    const JobPodView& view = pod->view<JobPodView>();
    if (view.deleting) {
      if (!view.terminal()) SetPodStatus(pod->name(), {{"phase", "Failed"}});
      DeleteOptions options;
      options.grace_period_seconds = 0;
      Settle();
      if (Get(resources::kPods, "default", pod->name())) Delete(resources::kPods, "default", pod->name(), options);
    } else if (view.phase == JobPodView::Phase::kPending) {
      if (!view.scheduled) Bind(pod, "n");
      SetPodStatus(pod->name(), {{"phase", "Running"}});
      SetReady(pod->name(), true);
    }
  }
  Settle();
}

void JobCluster::End(const std::string& pod, int exit_code) {
  SetReady(pod, false);
  const std::string now = FormatTime(clock().Now());
  Json ended = {
      {"exitCode", exit_code}, {"reason", exit_code ? "Error" : "Completed"}, {"startedAt", now}, {"finishedAt", now}};
  SetPodStatus(pod, {{"phase", exit_code ? "Failed" : "Succeeded"},
                     {"containerStatuses", Json::array({{{"name", "main"},
                                                         {"image", "busybox"},
                                                         {"imageID", ""},
                                                         {"ready", false},
                                                         {"restartCount", 0},
                                                         {"state", {{"terminated", std::move(ended)}}}}})}});
  Settle();
}

void JobCluster::EndAll(int exit_code) {
  for (const std::string& name : ActivePods()) {
    const ObjectPtr pod = Get(resources::kPods, "default", name);
    if (pod && pod->view<JobPodView>().active()) End(name, exit_code);
  }
}

}  // namespace wherry
