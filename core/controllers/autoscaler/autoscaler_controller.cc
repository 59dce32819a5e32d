#include "core/controllers/autoscaler/autoscaler_controller.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/controllers/autoscaler/autoscaler_status.h"
#include "core/controllers/autoscaler/replica_count.h"
#include "core/controllers/autoscaler/scaling_rules.h"
#include "core/controllers/ownership.h"
#include "core/controllers/scaled_kinds.h"
#include "core/kinds/quantity.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// What the metrics together ask for.
struct Proposal {
  int64_t replicas = 0;
  std::string metric;  // the one that decided: "cpu resource utilization (percentage of request)"
  Json current = Json::array();
  size_t invalid = 0;
  std::string first_reason, first_error;  // of the invalid ones
};

std::string Described(const ResourceMetric& metric) {
  std::string text = metric.resource;
  text += metric.container.empty() ? " resource" : " container resource";
  return text + (metric.utilization ? " utilization (percentage of request)" : "");
}

ResourceMetric ReadMetric(const Json& source) {
  ResourceMetric metric;
  metric.resource = StringAt(source, "name");
  metric.container = StringAt(source, "container");
  if (Has(source, "target.averageUtilization")) {
    metric.utilization = IntAt(source, "target.averageUtilization");
  } else if (const Result<Quantity> average = Quantity::Parse(StringAt(source, "target.averageValue")); average.ok()) {
    metric.average_milli = average->milli();
  }
  return metric;
}

Json CurrentMetric(const std::string& type, const char* field, const ResourceMetric& metric,
                   const ReplicaCount& count) {
  const Quantity average = metric.resource == "cpu" ? Quantity::FromMilli(count.average_milli)
                                                    : Quantity::FromValue(count.average_milli / 1000);
  Json current = {{"averageValue", average.ToString()}};
  if (count.utilization) current["averageUtilization"] = *count.utilization;
  Json of = {{"name", metric.resource}, {"current", std::move(current)}};
  if (!metric.container.empty()) of["container"] = metric.container;
  return {{"type", type}, {field, std::move(of)}};
}

// Control thread only.
class Autoscalers : public std::enable_shared_from_this<Autoscalers> {
 public:
  Autoscalers(RuntimeContext context, PodUsageSource usage)
      : context_(context), usage_(std::move(usage)), events_(context, "horizontal-pod-autoscaler") {}

  Task<ReconcileResult> Reconcile(std::string key) {
    ReconcileResult result;
    const auto [ns, name] = SplitKey(key);
    const ObjectPtr autoscaler = context_.client.cache().Get(resources::kHorizontalPodAutoscalers, ns, name);
    if (!autoscaler) {
      histories_.erase(key);
      co_return result;
    }
    if (autoscaler->view<MetaView>().deleting()) co_return result;
    result.requeue_after = kAutoscalerPeriod;
    AutoscalerStatus status;
    result.status = co_await Look(autoscaler, &status);
    const Status written = co_await WriteStatus(key, autoscaler->uid(), status);
    if (result.status.ok()) result.status = written;
    co_return result;
  }

  void OnAutoscaler(const Event& event, WorkQueue& queue) {
    // Not its own status: it is looked at by the clock.
    if (event.type == EventType::kModified && event.previous &&
        event.object->view<MetaView>().generation == event.previous->view<MetaView>().generation) {
      return;
    }
    queue.Add(KeyOf(*event.object));
  }

 private:
  Task<Status> Look(ObjectPtr autoscaler, AutoscalerStatus* status) {
    const JsonPtr document = autoscaler->json();
    const Json& spec = At(*document, "spec");
    const Json& reference = At(spec, "scaleTargetRef");
    const std::string group = GroupOfApiVersion(StringAt(reference, "apiVersion"));
    const std::string &kind = StringAt(reference, "kind"), &target_name = StringAt(reference, "name");
    const std::string_view resource = ScaledResource(group, kind);
    status->desired = IntAt(*document, "status.desiredReplicas");
    status->current = IntAt(*document, "status.currentReplicas");
    const ObjectPtr target =
        resource.empty() ? nullptr : context_.client.cache().Get(resource, autoscaler->ns(), target_name);
    if (!target) {
      const std::string why = resource.empty()
                                  ? "no matches for kind \"" + kind + "\" in group \"" + group + "\" that can be scaled"
                                  : std::string(resource) + " \"" + target_name + "\" not found";
      events_.Warning(*autoscaler, "FailedGetScale", why);
      status->Set("AbleToScale", false, "FailedGetScale",
                  "the HPA controller was unable to get the target's current scale: " + why);
      co_return Status();
    }
    status->Set("AbleToScale", true, "SucceededGetScale",
                "the HPA controller was able to get the target's current scale");

    const JsonPtr target_document = target->json();
    const int64_t current = IntAt(*target_document, "spec.replicas", 1);
    const int64_t least = IntAt(spec, "minReplicas", 1), most = IntAt(spec, "maxReplicas");
    status->current = IntAt(*target_document, "status.replicas");
    status->desired = current;
    const Json& behavior = At(spec, "behavior");
    const ScalingRules up = ScalingRules::Up(behavior), down = ScalingRules::Down(behavior);
    const Time now = context_.clock.Now();
    ScalingHistory& history = histories_[KeyOf(*autoscaler)];
    if (history.recommendations.empty()) history.recommendations.push_back({now, current});

    if (current == 0) {
      status->Set("ScalingActive", false, "ScalingDisabled",
                  "scaling is disabled since the replica count of the target is zero");
      co_return Status();
    }
    int64_t desired = current;
    std::string reason;
    if (current > most) {
      reason = "Current number of replicas above Spec.MaxReplicas";
      desired = most;
    } else if (current < least) {
      reason = "Current number of replicas below Spec.MinReplicas";
      desired = least;
    } else {
      const Tolerance tolerance{up.tolerance, down.tolerance};
      const Proposal proposal = co_await Measure(autoscaler, target, current, tolerance);
      const size_t metrics = ListAt(spec, "metrics").size();
      status->metrics = proposal.current;
      if (proposal.invalid > 0) events_.Warning(*autoscaler, proposal.first_reason, proposal.first_error);
      // A metric that is missing might ask for more: without it nothing is scaled down.
      if (proposal.invalid == metrics || (proposal.invalid > 0 && proposal.replicas < current)) {
        const std::string why = "invalid metrics (" + std::to_string(proposal.invalid) + " invalid out of " +
                                std::to_string(metrics) + "), first error is: " + proposal.first_error;
        events_.Warning(*autoscaler, "FailedComputeMetricsReplicas", why);
        status->Set("ScalingActive", false, proposal.first_reason,
                    "the HPA was unable to compute the replica count: " + proposal.first_error);
        co_return Status();
      }
      status->Set("ScalingActive", true, "ValidMetricFound",
                  "the HPA was able to successfully calculate a replica count from " + proposal.metric);
      ScalingHistory& remembered = histories_[KeyOf(*autoscaler)];
      const ScalingDecision decision =
          DecideScale(current, proposal.replicas, least, most, up, down, remembered, context_.clock.Now());
      status->Set("AbleToScale", true, decision.able_reason, decision.able_message);
      status->Set("ScalingLimited", decision.limited, decision.limit_reason, decision.limit_message);
      desired = decision.replicas;
      reason = desired > current ? proposal.metric + " above target" : "All metrics below target";
    }
    status->desired = desired;
    if (desired == current) co_return Status();
    co_return co_await Scale(autoscaler, target, current, desired, reason, up, down, status);
  }

  Task<Status> Scale(ObjectPtr autoscaler, ObjectPtr target, int64_t from, int64_t to, std::string reason,
                     ScalingRules up, ScalingRules down, AutoscalerStatus* status) {
    Json patch = {{"metadata", {{"resourceVersion", std::to_string(target->revision())}}},
                  {"spec", {{"replicas", to}}}};
    const Result<ObjectPtr> scaled = co_await context_.client.Patch(
        target->key().resource, target->ns(), target->name(), PatchType::kMerge, std::move(patch));
    const std::string size = "New size: " + std::to_string(to) + "; reason: " + reason;
    if (!scaled.ok()) {
      status->desired = from;
      // The target changed meanwhile: looked at again at once, and nobody needs to hear of it.
      if (scaled.status().reason() == Reason::kConflict) co_return scaled.status();
      events_.Warning(*autoscaler, "FailedRescale", size + "; error: " + scaled.status().message());
      status->Set("AbleToScale", false, "FailedUpdateScale",
                  "the HPA controller was unable to update the target scale: " + scaled.status().message());
      co_return Status();
    }
    const Time now = context_.clock.Now();
    events_.Normal(*autoscaler, "SuccessfulRescale", size);
    status->Set("AbleToScale", true, "SucceededRescale",
                "the HPA controller was able to update the target scale to " + std::to_string(to));
    status->scaled = now;
    histories_[KeyOf(*autoscaler)].NoteChange(now, from, to, up, down);
    co_return Status();
  }

  // What each metric asks for; the greatest wins.
  Task<Proposal> Measure(ObjectPtr autoscaler, ObjectPtr target, int64_t current, Tolerance tolerance) {
    const JsonPtr document = autoscaler->json(), target_document = target->json();
    const Json& selector = At(*target_document, "spec.selector");
    const bool plain_map = target->key().resource == resources::kReplicationControllers;
    Result<LabelSelector> selects = LabelSelector::FromMap(selector);
    if (!plain_map) selects = LabelSelector::FromJson(selector);
    std::vector<ObjectPtr> pods;
    if (selects.ok() && !selects->empty()) pods = PodsMatching(context_.client.cache(), target->ns(), *selects);
    std::vector<std::string> uids;
    for (const ObjectPtr& pod : pods) uids.push_back(pod->uid());
    PodUsages usages;
    if (usage_) usages = co_await usage_(std::move(uids));

    std::vector<ScaledPod> scaled;
    for (const ObjectPtr& pod : pods) {
      const auto usage = usages.find(pod->uid());
      scaled.push_back({&pod->view<ScaledPodView>(), usage == usages.end() ? nullptr : &usage->second});
    }
    Proposal out;
    for (const Json& metric : ListAt(*document, "spec.metrics")) {
      const std::string& type = StringAt(metric, "type");
      const bool of_container = type == "ContainerResource";
      const char* field = of_container ? "containerResource" : "resource";
      Result<ReplicaCount> count =
          Status::BadRequest("metrics of type " + type +
                             " need a metrics API that this cluster does not have; Resource and ContainerResource "
                             "metrics (cpu, memory) are measured");
      ResourceMetric wanted;
      std::string reason = "FailedGet" + type + "Metric";
      if (of_container || type == "Resource") {
        wanted = ReadMetric(At(metric, field));
        if (wanted.resource != "cpu" && wanted.resource != "memory") {
          count = Status::BadRequest("no metrics known for resource " + wanted.resource);
        } else {
          count = CountReplicas(wanted, current, scaled, tolerance, context_.clock.Now());
        }
      }
      if (!count.ok()) {
        if (out.invalid++ == 0) {
          out.first_reason = std::move(reason);
          out.first_error = of_container || type == "Resource"
                                ? "failed to get " + wanted.resource +
                                      (wanted.utilization ? " utilization: " : " usage: ") + count.status().message()
                                : count.status().message();
        }
        continue;
      }
      out.current.push_back(CurrentMetric(type, field, wanted, *count));
      if (out.metric.empty() || count->replicas > out.replicas) {
        out.replicas = count->replicas;
        out.metric = Described(wanted);
      }
    }
    co_return out;
  }

  Task<Status> WriteStatus(std::string key, std::string uid, AutoscalerStatus status) {
    const auto [ns, name] = SplitKey(key);
    const ObjectPtr latest = context_.client.cache().Get(resources::kHorizontalPodAutoscalers, ns, name);
    if (!latest || latest->uid() != uid) co_return Status();
    const JsonPtr document = latest->json();
    const Json* old = FindPath(*document, "status");
    Json made = StatusDocument(status, old, latest->view<MetaView>().generation, context_.clock.Now());
    if (old != nullptr && *old == made) co_return Status();
    Json changed = *document;
    changed["status"] = std::move(made);
    WriteOptions options;
    options.subresource = "status";
    const Result<ObjectPtr> written =
        co_await context_.client.Update(latest->key().resource, std::move(changed), options);
    co_return written.ok() || written.status().reason() == Reason::kNotFound ? Status() : written.status();
  }

  RuntimeContext context_;
  const PodUsageSource usage_;
  EventRecorder events_;
  std::unordered_map<std::string, ScalingHistory> histories_;
};

}  // namespace

ControllerSpec HorizontalPodAutoscalerController(RuntimeContext context, PodUsageSource usage) {
  auto self = std::make_shared<Autoscalers>(context, std::move(usage));
  ControllerSpec spec;
  spec.name = "horizontal-pod-autoscaler";
  spec.watches = {{std::string(resources::kHorizontalPodAutoscalers),
                   [self](const Event& event, WorkQueue& queue) { self->OnAutoscaler(event, queue); }}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
