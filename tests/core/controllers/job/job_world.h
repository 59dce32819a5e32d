#pragma once

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/controllers/job/job_plan.h"

namespace wherry {

// A snapshot for planner tests, spoken in their words. The job is default/j with the given spec, started at second 900;
// the time is second 1000.
class JobWorld {
 public:
  explicit JobWorld(Json spec, Json status = Json::object()) {
    if (!spec.contains("completions") && !spec.contains("parallelism")) spec["completions"] = 1;
    if (!status.contains("startTime")) status["startTime"] = "1970-01-01T00:15:00Z";
    document_ = {{"metadata", {{"name", "j"}, {"namespace", "default"}, {"uid", "job-uid"}}},
                 {"spec", std::move(spec)},
                 {"status", std::move(status)}};
  }
  Json& document() { return document_; }

  static Time At(int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

  // Its name is also its uid. "0-a": of index 0.
  JobPodView& Pod(std::string name, JobPodView::Phase phase = JobPodView::Phase::kRunning) {
    pods_.emplace_back(std::move(name), JobPodView());
    JobPodView& pod = pods_.back().second;
    const std::string& made = pods_.back().first;
    pod.phase = phase;
    pod.tracked = pod.scheduled = true;
    pod.created = At(950);
    if (pod.terminal()) pod.finished = At(1000);
    if (made[0] >= '0' && made[0] <= '9') pod.index = std::stoll(made.substr(0, made.find('-')));
    return pod;
  }
  JobPodView& Succeeded(std::string name) { return Pod(std::move(name), JobPodView::Phase::kSucceeded); }
  JobPodView& Failed(std::string name) { return Pod(std::move(name), JobPodView::Phase::kFailed); }
  JobPodView& Going(std::string name) {
    JobPodView& pod = Pod(std::move(name));
    pod.deleting = true;
    pod.finished = At(1000);
    return pod;
  }

  JobPlan Plan() {
    view_ = JobView(document_);
    JobInputs in;
    in.job = &view_;
    for (const auto& [name, pod] : pods_) in.pods.push_back({name, name, &pod});
    in.backoff = backoff;
    in.now = now;
    return PlanJob(in);
  }

  // "+" or "+index" for each create, "-pod" for each delete (with "!" when it is given up), "~pod" for each release:
  // blank-separated, in the planner's order.
  static std::string Acts(const JobPlan& plan) {
    std::string out;
    auto add = [&out](const std::string& act) { out += (out.empty() ? "" : " ") + act; };
    for (const auto& pod : plan.deletes) add("-" + pod.name + (pod.given_up ? "!" : ""));
    for (const auto& pod : plan.creates) add("+" + (pod.index < 0 ? "" : std::to_string(pod.index)));
    for (const std::string_view uid : plan.release) add("~" + std::string(uid));
    return out;
  }
  std::string Acts() { return Acts(Plan()); }

  // "Type/Reason" of the conditions that are True.
  static std::string Conditions(const JobStatus& status) {
    std::string out;
    for (const JobCondition& c : status.conditions) {
      if (c.status == "True") out += (out.empty() ? "" : " ") + c.type + "/" + c.reason;
    }
    return out;
  }
  std::string Conditions() { return Conditions(Plan().status); }

  // The plan's status is stored, its releases and deletes done: the next snapshot.
  JobPlan Advance() {
    JobPlan plan = Plan();
    document_["status"] = plan.status.ToJson();
    backoff = plan.backoff;
    for (auto& [name, pod] : pods_) {
      if (std::find(plan.release.begin(), plan.release.end(), name) != plan.release.end()) pod.tracked = false;
    }
    for (const auto& gone : plan.deletes) {
      std::erase_if(pods_, [&](const auto& pod) { return pod.first == gone.name; });
    }
    return plan;
  }

  std::optional<JobBackoff> backoff;
  Time now = At(1000);

 private:
  Json document_;
  JobView view_;
  std::deque<std::pair<std::string, JobPodView>> pods_;
};

}  // namespace wherry
