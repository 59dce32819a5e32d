#include "core/controllers/node_lifecycle.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/node_view.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/event_recorder.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kLeaseNamespace[] = "kube-node-lease";
constexpr size_t kWritesAtOnce = 64;
// The wall clock may drift this much against the monotonic one before it counts as a jump.
constexpr Duration kJump = std::chrono::seconds(5);

// Which taint a condition of this status asks for.
struct TaintRule {
  const char* condition;
  const char* status;
  const char* taint;
  TaintEffect effect;
};
constexpr TaintRule kTaintRules[] = {
    {"Ready", "False", kTaintNotReady, TaintEffect::kNoSchedule},
    {"Ready", "False", kTaintNotReady, TaintEffect::kNoExecute},
    {"Ready", "Unknown", kTaintUnreachable, TaintEffect::kNoSchedule},
    {"Ready", "Unknown", kTaintUnreachable, TaintEffect::kNoExecute},
    {"MemoryPressure", "True", kTaintMemoryPressure, TaintEffect::kNoSchedule},
    {"DiskPressure", "True", kTaintDiskPressure, TaintEffect::kNoSchedule},
    {"PIDPressure", "True", kTaintPidPressure, TaintEffect::kNoSchedule},
    {"NetworkUnavailable", "True", kTaintNetworkUnavailable, TaintEffect::kNoSchedule},
};
// The conditions that a node reports and that a silent node's are Unknown of.
constexpr const char* kReported[] = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"};

bool Asks(const NodeView& node, const TaintRule& rule) {
  if (std::string_view(rule.condition) == "Ready") return node.ready == rule.status;
  return std::find(node.bad.begin(), node.bad.end(), rule.condition) != node.bad.end();
}

// The node's taints as they should be: strangers' untouched and in place, ours added and taken away.
std::vector<Taint> TaintsFor(const NodeView& node, Time now) {
  std::vector<Taint> out;
  const std::string since = FormatTime(now);
  auto wanted = [&](const Taint& taint) {
    if (taint.key == kTaintUnschedulable && taint.effect == TaintEffect::kNoSchedule) return node.unschedulable;
    bool ours = false;
    for (const TaintRule& rule : kTaintRules) {
      if (taint.key != rule.taint || taint.effect != rule.effect) continue;
      ours = true;
      if (Asks(node, rule)) return true;
    }
    // A node that has not spoken yet keeps the taint that it was born with.
    return !ours || node.ready.empty();
  };
  std::copy_if(node.taints.begin(), node.taints.end(), std::back_inserter(out), wanted);
  auto add = [&](Taint taint) {
    const bool there = std::any_of(out.begin(), out.end(), [&](const Taint& t) { return t.SameKeyAndEffect(taint); });
    if (!there) out.push_back(std::move(taint));
  };
  for (const TaintRule& rule : kTaintRules) {
    if (Asks(node, rule)) add({rule.taint, "", rule.effect, since});
  }
  if (node.unschedulable) add({kTaintUnschedulable, "", TaintEffect::kNoSchedule, since});
  return out;
}

struct LeaseView {
  explicit LeaseView(const Json& lease) : seconds(IntAt(lease, "spec.leaseDurationSeconds")) {}
  int64_t seconds;
};

class NodeKeeper : public std::enable_shared_from_this<NodeKeeper> {
 public:
  explicit NodeKeeper(RuntimeContext context) : context_(context), events_(context, "node-controller") {
    grace_from_ = context_.clock.Now();
    wall_ahead_ = WallAhead();
  }

  static void OnNode(const Event& event, WorkQueue& queue) {
    if (event.type == EventType::kDeleted) return;
    if (event.type == EventType::kModified && event.previous) {
      const NodeView &before = event.previous->view<NodeView>(), &after = event.object->view<NodeView>();
      const bool same = before.ready == after.ready && before.bad == after.bad &&
                        before.unschedulable == after.unschedulable && before.taints == after.taints;
      if (same) return;  // a heartbeat
    }
    queue.Add(event.object->name());
  }

  // Of leases only one that promises less than the last matters: a look was planned for when that would end.
  static void OnLease(const Event& event, WorkQueue& queue) {
    if (event.type != EventType::kModified || !event.previous || event.object->ns() != kLeaseNamespace) return;
    if (event.object->view<LeaseView>().seconds < event.previous->view<LeaseView>().seconds) {
      queue.Add(event.object->name());
    }
  }

  Task<ReconcileResult> Reconcile(std::string name) {
    ReconcileResult result;
    ObjectPtr node = context_.client.cache().Get(resources::kNodes, "", name);
    if (!node) co_return result;
    const Time now = context_.clock.Now();
    if (node->view<NodeView>().ready != "Unknown") {
      const Time deadline = Deadline(*node);
      if (deadline > now) {
        result.requeue_after = deadline - now;
      } else {
        Result<ObjectPtr> marked = co_await MarkUnknown(node);
        if (!marked.ok()) {
          result.status = marked.status();
          co_return result;
        }
        node = *marked;
      }
    }
    result.status = co_await SetTaints(node, now);
    if (result.status.ok() && node->view<NodeView>().ready == "Unknown") {
      result.status = co_await MarkPodsNotReady(node);
    }
    if (result.status.reason() == Reason::kNotFound) result.status = Status();
    co_return result;
  }

 private:
  Duration WallAhead() const { return context_.clock.Now().time_since_epoch() - context_.clock.Monotonic(); }

  // When a node that says nothing more is taken for lost. A lease that is made for longer than the grace counts for so
  // long: simulated nodes renew theirs rarely.
  Time Deadline(const Object& node) {
    const Duration ahead = WallAhead();
    if (ahead - wall_ahead_ > kJump || wall_ahead_ - ahead > kJump) grace_from_ = context_.clock.Now();
    wall_ahead_ = ahead;
    const NodeView& view = node.view<NodeView>();
    const Time now = context_.clock.Now();  // a clock that is ahead buys nobody time
    Time deadline = std::min(std::max({grace_from_, view.created, view.heartbeat}), now) + kNodeGrace;
    if (const ObjectPtr lease = context_.client.cache().Get(resources::kLeases, kLeaseNamespace, node.name())) {
      const JsonPtr document = lease->json();
      const Duration lasts =
          std::max<Duration>(kNodeGrace, std::chrono::seconds(IntAt(*document, "spec.leaseDurationSeconds")));
      Time renewed;
      if (ParseTime(StringAt(*document, "spec.renewTime"), &renewed))
        deadline = std::max(deadline, std::min(renewed, now) + lasts);
    }
    return deadline;
  }

  Task<Result<ObjectPtr>> MarkUnknown(ObjectPtr node) {
    Json document = *node->json();
    Json& conditions = document["status"]["conditions"];
    if (!conditions.is_array()) conditions = Json::array();
    const std::string now = FormatTime(context_.clock.Now());
    const bool spoke = !node->view<NodeView>().ready.empty();
    for (const char* type : kReported) {
      auto it = std::find_if(conditions.begin(), conditions.end(),
                             [&](const Json& c) { return StringAt(c, "type") == type; });
      Json made = it == conditions.end() ? Json{{"type", type}} : *it;
      made["status"] = "Unknown";
      made["reason"] = spoke ? "NodeStatusUnknown" : "NodeStatusNeverUpdated";
      made["message"] = spoke ? "Kubelet stopped posting node status." : "Kubelet never posted node status.";
      made["lastTransitionTime"] = now;
      if (it == conditions.end()) {
        conditions.push_back(std::move(made));
      } else {
        *it = std::move(made);
      }
    }
    events_.Normal(*node, "NodeNotReady", "Node " + node->name() + " status is now: NodeNotReady");
    WriteOptions options;
    options.subresource = "status";
    Result<ObjectPtr> marked = co_await context_.client.Update(node->key().resource, std::move(document), options);
    co_return marked;
  }

  Task<Status> SetTaints(ObjectPtr node, Time now) {
    const NodeView& view = node->view<NodeView>();
    const std::vector<Taint> taints = TaintsFor(view, now);
    if (taints == view.taints) co_return Status();
    Json document = *node->json();
    Json made = Json::array();
    for (const Taint& taint : taints) made.push_back(ToJson(taint));
    document["spec"].erase("taints");
    if (!made.empty()) document["spec"]["taints"] = std::move(made);
    Result<ObjectPtr> updated = co_await context_.client.Update(node->key().resource, std::move(document));
    co_return updated.ok() ? Status() : updated.status();
  }

  // Nobody vouches for the pods of a silent node.
  Task<Status> MarkPodsNotReady(ObjectPtr node) {
    auto pods = std::make_shared<std::vector<ObjectPtr>>();
    for (ObjectPtr& pod : context_.client.cache().ByIndex(kIndexNodeName, node->name())) {
      if (pod->view<PodView>().ready) pods->push_back(std::move(pod));
    }
    BatchStep step = [this, pods](size_t i) { return MarkPodNotReady((*pods)[i]); };
    Status marked = co_await RunInGroups(pods->size(), kWritesAtOnce, step);
    co_return marked;
  }

  Task<Status> MarkPodNotReady(ObjectPtr pod) {
    Json document = *pod->json();
    for (Json& condition : document["status"]["conditions"]) {
      if (StringAt(condition, "type") != "Ready") continue;
      condition["status"] = "False";
      condition["lastTransitionTime"] = FormatTime(context_.clock.Now());
    }
    events_.Warning(*pod, "NodeNotReady", "Node is not ready");
    WriteOptions options;
    options.subresource = "status";
    Result<ObjectPtr> updated = co_await context_.client.Update(pod->key().resource, std::move(document), options);
    const bool gone = !updated.ok() && updated.status().reason() == Reason::kNotFound;
    co_return updated.ok() || gone ? Status() : updated.status();
  }

  RuntimeContext context_;
  EventRecorder events_;
  Time grace_from_;      // silence before this moment does not count
  Duration wall_ahead_;  // wall minus monotonic clock, as last seen
};

}  // namespace

ControllerSpec NodeLifecycleController(RuntimeContext context) {
  auto self = std::make_shared<NodeKeeper>(context);
  ControllerSpec spec;
  spec.name = "node-lifecycle-controller";
  spec.watches = {{std::string(resources::kNodes), NodeKeeper::OnNode},
                  {std::string(resources::kLeases), NodeKeeper::OnLease}};
  spec.reconcile = [self](std::string key) { return self->Reconcile(std::move(key)); };
  return spec;
}

}  // namespace wherry
