#include "core/controllers/job/job_plan.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/controllers/job/failure_policy.h"

namespace wherry {
namespace {

// How the job ends, decided or already on record.
struct End {
  bool complete = false;
  std::string reason, message;
};

// One pod as the decision sees it.
struct Fact {
  const JobPod* pod;
  const JobPodView& view;
  bool counts;     // not indexed, or of an index that the job has
  bool succeeded;  // phase Succeeded, and never taken for failed
  bool failed;     // phase Failed, or on its way out and as good as failed
  bool recorded;   // its uid waits in the status
  FailureVerdict verdict;

  bool fresh() const { return view.tracked && counts && !recorded; }  // in no number yet
};

class JobPlanner {
 public:
  explicit JobPlanner(const JobInputs& inputs)
      : in_(inputs),
        job_(*inputs.job),
        now_(std::chrono::floor<std::chrono::seconds>(inputs.now)),
        recorded_succeeded_(job_.status.uncounted_succeeded.begin(), job_.status.uncounted_succeeded.end()),
        recorded_failed_(job_.status.uncounted_failed.begin(), job_.status.uncounted_failed.end()) {}

  JobPlan Run() {
    plan_.status = job_.status;
    Observe();
    Tally();
    DecideEnd();
    GiveUpUntracked();
    if (!job_.deleting) {
      if (!end_) {
        Manage();
      } else if (end_on_record_) {
        for (const Fact& fact : facts_) {
          // What a successful job needs no more has not failed.
          if (Active(fact)) Delete(fact, end_->complete);
        }
      }
    }
    Count();
    Conditions();
    Clip();
    return std::move(plan_);
  }

 private:
  bool PerIndex() const { return job_.indexed && job_.backoff_limit_per_index.has_value(); }
  // An active pod without the finalizer is one that somebody gave up: not one of ours to count with.
  static bool Active(const Fact& fact) { return fact.view.active() && fact.view.tracked; }

  void Observe() {
    std::vector<const JobPod*> pods;
    for (const JobPod& pod : in_.pods) pods.push_back(&pod);
    // In the order of their indexes, so that what is counted first does not hang on names.
    if (job_.indexed) {
      std::stable_sort(pods.begin(), pods.end(),
                       [](const JobPod* a, const JobPod* b) { return a->view->index < b->view->index; });
    }
    facts_.reserve(pods.size());
    for (const JobPod* pod : pods) {
      const JobPodView& view = *pod->view;
      Fact fact{pod, view, true, false, false, false, {}};
      fact.counts = !job_.indexed || (view.index >= 0 && view.index < job_.completions.value_or(0));
      const std::string uid(pod->uid);
      const bool known_failed = recorded_failed_.contains(uid);
      fact.recorded = known_failed || recorded_succeeded_.contains(uid);
      fact.succeeded = view.phase == JobPodView::Phase::kSucceeded && !known_failed;
      fact.failed = !fact.succeeded && (view.phase == JobPodView::Phase::kFailed || known_failed ||
                                        (view.terminating() && !job_.only_replace_failed));
      if (fact.failed && job_.has_failure_policy) fact.verdict = JudgeFailure(job_, pod->name, view);
      if (Active(fact)) ++active_;
      if (view.terminating()) ++terminating_;
      facts_.push_back(std::move(fact));
    }
  }

  // The numbers as they will be once every pod that has ended is counted.
  void Tally() {
    completed_ = job_.status.completed_indexes;
    if (job_.status.failed_indexes) failed_indexes_ = *job_.status.failed_indexes;
    succeeded_ = job_.status.succeeded + static_cast<int64_t>(job_.status.uncounted_succeeded.size());
    failed_ = job_.status.failed + static_cast<int64_t>(job_.status.uncounted_failed.size());
    for (const Fact& fact : facts_) {
      if (!fact.fresh()) continue;
      if (fact.succeeded) {
        ++succeeded_;
        if (job_.indexed && !failed_indexes_.Contains(fact.view.index)) completed_.Add(fact.view.index);
      } else if (fact.failed && fact.verdict.counts) {
        ++failed_;
      }
    }
    if (job_.indexed) succeeded_ = completed_.size();
    if (!PerIndex()) return;
    for (const Fact& fact : facts_) {
      if (!fact.failed || !fact.view.tracked || !fact.counts || completed_.Contains(fact.view.index)) continue;
      if (fact.verdict.fails_index ||
          (fact.verdict.counts && fact.view.index_failures >= *job_.backoff_limit_per_index)) {
        failed_indexes_.Add(fact.view.index);
      }
    }
    FindLastFailures();
  }

  // Under backoffLimitPerIndex the last failed pod of an index stays uncounted until its successor is there, which
  // inherits the number of failures from it.
  void FindLastFailures() {
    std::unordered_set<int64_t> replaced;
    for (const Fact& fact : facts_) {
      if (Active(fact)) replaced.insert(fact.view.index);
    }
    for (const Fact& fact : facts_) {
      const int64_t index = fact.view.index;
      if (!fact.failed || !fact.view.tracked || !fact.counts || replaced.contains(index)) continue;
      if (completed_.Contains(index) || failed_indexes_.Contains(index)) continue;
      const Fact*& last = last_failures_[index];
      const auto rank = [](const Fact& f) {
        return std::pair(f.view.index_failures + f.view.index_ignored, f.view.finished);
      };
      if (!last || rank(*last) <= rank(fact)) last = &fact;
    }
  }

  void Fail(const char* reason, std::string message) { end_ = End{false, reason, std::move(message)}; }

  void DecideEnd() {
    for (const auto& [type, complete] : {std::pair("SuccessCriteriaMet", true), {"FailureTarget", false}}) {
      if (!job_.status.Is(type)) continue;
      const JobCondition& condition = *job_.status.Find(type);
      end_ = End{complete, condition.reason, condition.message};
      end_on_record_ = true;
      return;
    }
    for (const Fact& fact : facts_) {
      if (fact.failed && !fact.verdict.fails_job.empty()) return Fail("PodFailurePolicy", fact.verdict.fails_job);
    }
    if (failed_ > job_.backoff_limit || TooManyRestarts()) {
      return Fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if (job_.active_deadline && job_.status.start_time && !job_.suspend) {
      const Duration left = *job_.status.start_time + *job_.active_deadline - in_.now;
      if (left <= Duration::zero()) {
        return Fail("DeadlineExceeded", "Job was active longer than specified deadline");
      }
      LookAgainIn(left);
    }
    const int64_t failed_indexes = failed_indexes_.size();
    if (job_.max_failed_indexes && failed_indexes > *job_.max_failed_indexes) {
      return Fail("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
    }
    if (failed_indexes > 0 && failed_indexes + completed_.size() >= job_.completions.value_or(0)) {
      return Fail("FailedIndexes", "Job has failed indexes");
    }
    for (size_t i = 0; i < job_.success_rules.size() && !completed_.empty(); ++i) {
      const JobSuccessRule& rule = job_.success_rules[i];
      const int64_t have = rule.indexes ? completed_.CountOf(*rule.indexes) : completed_.size();
      const int64_t need = rule.count ? *rule.count : rule.indexes ? rule.indexes->size() : 0;
      if (have >= need) {
        end_ = End{true, "SuccessPolicy", "Matched rules at index " + std::to_string(i)};
        return;
      }
    }
    const bool enough = job_.completions ? succeeded_ >= *job_.completions : succeeded_ > 0;
    if (enough && active_ == 0) {
      end_ = End{true, "CompletionsReached", "Reached expected number of succeeded pods"};
    }
  }

  // Pods that restart their containers themselves fail by restarting too often.
  bool TooManyRestarts() const {
    if (!job_.restart_on_failure) return false;
    int64_t restarts = 0;
    for (const Fact& fact : facts_) {
      if (!fact.view.terminal()) restarts += fact.view.restarts;
    }
    return restarts > 0 && restarts >= job_.backoff_limit;
  }

  void GiveUpUntracked() {
    for (const Fact& fact : facts_) {
      if (fact.view.active() && !fact.view.tracked) Delete(fact, true);
    }
  }

  // The right number of pods at work.
  void Manage() {
    int64_t wanted = 0;
    if (!job_.suspend) {
      if (!job_.completions) {
        wanted = succeeded_ > 0 ? active_ : job_.parallelism;
      } else {
        wanted = std::clamp<int64_t>(*job_.completions - succeeded_, 0, job_.parallelism);
      }
    }
    if (ShedPods(std::max<int64_t>(0, active_ - wanted)) || job_.suspend) return;

    int64_t missing = wanted - active_;
    if (job_.only_replace_failed) missing -= terminating_;
    if (missing <= 0) return;
    if (!PerIndex()) {
      if (const Duration wait = NextBackoff().Remaining(in_.now); wait > Duration::zero()) return LookAgainIn(wait);
    }
    missing = std::min<int64_t>(missing, kJobBurst);
    if (job_.indexed) return FillIndexes(missing);
    plan_.creates.resize(static_cast<size_t>(missing));
  }

  // Deletes `surplus` pods, and whatever doubles another's index; true when it did.
  bool ShedPods(int64_t surplus) {
    std::vector<const Fact*> pods;
    for (const Fact& fact : facts_) {
      if (Active(fact)) pods.push_back(&fact);
    }
    std::stable_sort(pods.begin(), pods.end(),
                     [](const Fact* a, const Fact* b) { return LessAdvanced(a->view, b->view); });
    std::vector<const Fact*> doomed;
    if (job_.indexed) {
      // The most advanced one of an index stays.
      std::unordered_set<int64_t> seen;
      std::vector<const Fact*> kept;
      for (auto it = pods.rbegin(); it != pods.rend(); ++it) {
        const Fact& fact = **it;
        const int64_t index = fact.view.index;
        const bool needed = fact.counts && !completed_.Contains(index) && !failed_indexes_.Contains(index);
        (needed && seen.insert(index).second ? kept : doomed).push_back(&fact);
      }
      pods.assign(kept.rbegin(), kept.rend());
    }
    for (const Fact* fact : pods) {
      if (static_cast<int64_t>(doomed.size()) >= surplus) break;
      doomed.push_back(fact);
    }
    for (const Fact* fact : doomed) Delete(*fact, true);
    return !doomed.empty();
  }

  void FillIndexes(int64_t missing) {
    std::unordered_set<int64_t> taken;
    for (const Fact& fact : facts_) {
      if (Active(fact) || (job_.only_replace_failed && fact.view.terminating())) taken.insert(fact.view.index);
    }
    for (int64_t index = 0; index < job_.completions.value_or(0) && missing > 0; ++index) {
      if (taken.contains(index) || completed_.Contains(index) || failed_indexes_.Contains(index)) continue;
      JobPlan::Create create{index, 0, 0};
      if (auto it = last_failures_.find(index); it != last_failures_.end()) {
        const Fact& last = *it->second;
        const int64_t before = last.view.index_failures + last.view.index_ignored;
        const Duration wait = JobBackoff::Remaining(before + 1, last.view.finished, in_.now);
        if (wait > Duration::zero()) {
          LookAgainIn(wait);
          continue;
        }
        create.index_failures = last.view.index_failures + (last.verdict.counts ? 1 : 0);
        create.index_ignored = last.view.index_ignored + (last.verdict.counts ? 0 : 1);
      }
      plan_.creates.push_back(create);
      --missing;
    }
  }

  // What is remembered, or what the pods that are still there tell, and the pods that have ended since.
  JobBackoff NextBackoff() const {
    JobBackoff backoff = in_.backoff.value_or(JobBackoff());
    std::vector<Time> succeeded, failed;
    for (const Fact& fact : facts_) {
      if (in_.backoff && !fact.fresh()) continue;
      if (fact.succeeded) succeeded.push_back(fact.view.finished);
      if (fact.failed) failed.push_back(fact.view.finished);
    }
    backoff.Observe(succeeded, failed);
    return backoff;
  }

  // Moves what has lost the finalizer from the uncounted uids to the numbers, and records what has ended since.
  void Count() {
    JobStatus& status = plan_.status;
    std::unordered_set<std::string_view> tracked;
    for (const Fact& fact : facts_) {
      if (fact.view.tracked) tracked.insert(fact.pod->uid);
    }
    auto settle = [&](std::vector<std::string>& uids) {
      return static_cast<int64_t>(std::erase_if(uids, [&](const std::string& uid) { return !tracked.contains(uid); }));
    };
    status.succeeded += settle(status.uncounted_succeeded);
    status.failed += settle(status.uncounted_failed);
    status.has_uncounted = true;

    IndexSet completed = job_.status.completed_indexes;
    size_t recorded = status.uncounted_succeeded.size() + status.uncounted_failed.size();
    bool all = true;
    for (const Fact& fact : facts_) {
      if (!fact.view.tracked || !MayRelease(fact)) continue;
      if (!fact.recorded && recorded >= kMaxUncounted) {
        all = false;
        continue;
      }
      if (fact.fresh()) recorded += Record(fact, status, completed) ? 1 : 0;
      plan_.release.push_back(fact.pod->uid);
    }
    plan_.backoff = all || !in_.backoff ? NextBackoff() : *in_.backoff;
    if (job_.indexed) {
      status.completed_indexes = std::move(completed);
      status.succeeded = status.completed_indexes.size();
      if (PerIndex()) status.failed_indexes = failed_indexes_;
    }
    status.active = active_;
    status.terminating = terminating_;
    status.ready =
        std::count_if(facts_.begin(), facts_.end(), [](const Fact& fact) { return Active(fact) && fact.view.ready; });
  }

  bool MayRelease(const Fact& fact) const {
    if (fact.view.active()) return false;
    if (fact.succeeded || job_.deleting || end_) return true;
    if (!fact.counts && fact.view.terminal()) return true;
    if (!fact.failed) return false;
    auto last = last_failures_.find(fact.view.index);
    return last == last_failures_.end() || last->second != &fact;
  }

  // True when something is recorded.
  bool Record(const Fact& fact, JobStatus& status, IndexSet& completed) const {
    if (fact.succeeded) {
      if (!job_.indexed) {
        status.uncounted_succeeded.emplace_back(fact.pod->uid);
        return true;
      }
      // The index tells enough; a second pod of one that is done, or given up, counts for nothing.
      if (completed.Contains(fact.view.index) || !completed_.Contains(fact.view.index)) return false;
      completed.Add(fact.view.index);
      return true;
    }
    // Of a failed job every pod that did not succeed has failed.
    if (!fact.failed && !(end_ && !end_->complete)) return false;
    if (!fact.verdict.counts) return false;
    status.uncounted_failed.emplace_back(fact.pod->uid);
    return true;
  }

  void Conditions() {
    JobStatus& status = plan_.status;
    if (end_) {
      status.Set(end_->complete ? "SuccessCriteriaMet" : "FailureTarget", true, end_->reason, end_->message, now_);
      MayFinish();
    } else if (job_.deleting) {
      return;
    } else if (job_.suspend) {
      if (status.Set("Suspended", true, "JobSuspended", "Job suspended", now_)) {
        Say("Normal", "Suspended", "Job suspended");
      }
    } else if (status.Set("Suspended", false, "JobResumed", "Job resumed", now_)) {
      Say("Normal", "Resumed", "Job resumed");
      status.start_time = now_;  // the deadline counts from here
    }
    if (!status.start_time && !job_.suspend) status.start_time = now_;
  }

  // The last word, once every pod has gone and is counted.
  void MayFinish() {
    JobStatus& status = plan_.status;
    const bool in_the_way = std::any_of(facts_.begin(), facts_.end(),
                                        [](const Fact& fact) { return fact.view.tracked || !fact.view.terminal(); });
    if (in_the_way) return;
    if (!status.uncounted_succeeded.empty() || !status.uncounted_failed.empty()) return;
    if (!end_->complete) {
      status.Set("Failed", true, end_->reason, end_->message, now_);
      Say("Warning", end_->reason.c_str(), end_->message);
      return;
    }
    status.Set("Complete", true, end_->reason, end_->message, now_);
    status.completion_time = now_;
    if (job_.completions && status.succeeded > *job_.completions) {
      Say("Warning", "TooManySucceededPods", "Too many succeeded pods running after completion count reached");
    }
    Say("Normal", "Completed", "Job completed");
  }

  void Clip() {
    if (plan_.deletes.size() > kJobBurst) plan_.deletes.resize(kJobBurst);
    if (plan_.creates.size() > kJobBurst) plan_.creates.resize(kJobBurst);
  }

  void Delete(const Fact& fact, bool given_up) {
    plan_.deletes.push_back({std::string(fact.pod->name), std::string(fact.pod->uid), given_up});
  }
  void Say(const char* type, const char* reason, std::string message) {
    plan_.notices.push_back({type, reason, std::move(message)});
  }
  void LookAgainIn(Duration wait) {
    if (plan_.requeue_after == Duration::zero() || wait < plan_.requeue_after) plan_.requeue_after = wait;
  }

  const JobInputs& in_;
  const JobView& job_;
  const Time now_;  // in whole seconds, as it is stored
  const std::unordered_set<std::string> recorded_succeeded_, recorded_failed_;
  std::vector<Fact> facts_;
  int64_t active_ = 0, terminating_ = 0, succeeded_ = 0, failed_ = 0;
  IndexSet completed_, failed_indexes_;                     // once all is counted
  std::unordered_map<int64_t, const Fact*> last_failures_;  // by index
  std::optional<End> end_;
  bool end_on_record_ = false;
  JobPlan plan_;
};

}  // namespace

JobPlan PlanJob(const JobInputs& inputs) { return JobPlanner(inputs).Run(); }

}  // namespace wherry
