#include "tests/core/controllers/controller_cluster.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/controllers.h"
#include "core/controllers/pod_view.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {

ControllerCluster::ControllerCluster(uint64_t seed) : TestCluster(seed) {
  const ControllerSettings settings{registry().catalog(), "-----BEGIN CERTIFICATE-----\ntest\n"};
  for (const ControllerRow& row : AllControllers()) {
    const RuntimeContext context = plane().ContextFor(row.name);
    ControllerSpec spec = row.make(context, settings);
    auto count = reconciles_[row.name] = std::make_shared<int>(0);
    spec.reconcile = [count, inner = std::move(spec.reconcile)](std::string key) {
      ++*count;
      return inner(std::move(key));
    };
    controllers_.push_back(std::make_unique<Controller>(context, std::move(spec)));
  }
  for (const auto& controller : controllers_) controller->Start();
  Settle();
}

ControllerCluster::~ControllerCluster() {
  for (const auto& controller : controllers_) controller->Stop();
  Settle();
}

ObjectPtr ControllerCluster::AddNode(const std::string& name, Json labels, Json taints) {
  Json node = {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", name}}}};
  if (!labels.is_null()) node["metadata"]["labels"] = std::move(labels);
  if (!taints.is_null()) node["spec"]["taints"] = std::move(taints);
  const ObjectPtr made = Create(std::move(node));
  return Update(
      made,
      [](Json& object) {
        object["status"]["conditions"] = Json::array({{{"type", "Ready"},
                                                       {"status", "True"},
                                                       {"reason", "KubeletReady"},
                                                       {"message", "ready"},
                                                       {"lastHeartbeatTime", "2100-01-01T00:00:00Z"},
                                                       {"lastTransitionTime", "2020-01-01T00:00:00Z"}}});
      },
      "status");
}

ObjectPtr ControllerCluster::AddDaemonSet(const std::string& name, Json spec) {
  Json set = {{"apiVersion", "apps/v1"},
              {"kind", "DaemonSet"},
              {"metadata", {{"name", name}, {"namespace", "default"}}},
              {"spec",
               {{"selector", {{"matchLabels", {{"app", name}}}}},
                {"template",
                 {{"metadata", {{"labels", {{"app", name}}}}},
                  {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}}}}}};
  set["spec"].merge_patch(spec);
  ObjectPtr made = Create(std::move(set));
  Settle();
  return made;
}

void ControllerCluster::SetPodStatus(const std::string& pod, Json status) {
  Update(Get(resources::kPods, "default", pod), [&](Json& object) { object["status"].merge_patch(status); }, "status");
}

bool ControllerCluster::StepPods() {
  bool changed = false;
  for (const ObjectPtr& pod : List(resources::kPods)) {
    const PodView& view = pod->view<PodView>();
    if (view.deleting) {
      if (!pod->view<MetaView>().finalizers.empty()) continue;
      DeleteOptions options;
      options.grace_period_seconds = 0;
      Delete(resources::kPods, pod->ns(), pod->name(), options);
      changed = true;
    } else if (view.node_name.empty()) {
      if (view.target_node.empty() || !Get(resources::kNodes, "", view.target_node)) continue;
      (void)Run(client().Bind(pod->ns(), pod->name(), pod->uid(), view.target_node));
      changed = true;
    } else if (view.phase == PodView::Phase::kPending) {
      const bool ready = std::find(sick.begin(), sick.end(), view.node_name) == sick.end();
      SetPodStatus(pod->name(), {{"phase", "Running"},
                                 {"conditions", Json::array({{{"type", "Ready"},
                                                              {"status", ready ? "True" : "False"},
                                                              {"lastTransitionTime", FormatTime(clock().Now())}}})}});
      changed = true;
    }
  }
  Settle();
  return changed;
}

void ControllerCluster::RunPods() {
  Settle();
  for (int i = 0; i < 1000 && StepPods(); ++i) {
  }
}

std::map<std::string, std::vector<std::string>> ControllerCluster::PodsByNode(const std::string& set) const {
  std::map<std::string, std::vector<std::string>> out;
  for (const ObjectPtr& pod : List(resources::kPods, "default")) {
    const PodView& view = pod->view<PodView>();
    const OwnerRef* owner = pod->view<MetaView>().controller();
    if (view.deleting || (!set.empty() && (!owner || owner->name != set))) continue;
    out[view.target_node].push_back(pod->name());
  }
  return out;
}

std::string ControllerCluster::Where(const std::string& set) const {
  std::string out;
  for (const auto& [node, pods] : PodsByNode(set)) {
    for (const std::string& pod : pods) out += (out.empty() ? "" : " ") + node + "=" + pod;
  }
  return out;
}

Json ControllerCluster::Status(const std::string& set) const {
  return Document(resources::kDaemonSets, "default", set)["status"];
}

std::vector<std::string> ControllerCluster::EventsAbout(const std::string& name) const {
  std::vector<ObjectPtr> events = List(resources::kEvents);
  std::sort(events.begin(), events.end(), [](const ObjectPtr& a, const ObjectPtr& b) { return a->revision() < b->revision(); });
  std::vector<std::string> out;
  for (const ObjectPtr& event : events) {
    const JsonPtr document = event->json();
    if (StringAt(*document, "involvedObject.name") != name) continue;
    out.push_back(StringAt(*document, "reason") + ": " + StringAt(*document, "message"));
  }
  return out;
}

int ControllerCluster::Reconciles(const std::string& controller) const { return *reconciles_.at(controller); }

}  // namespace wherry
