#include "core/network/host_ports.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/network/node_spot.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr int kFirstUnprivileged = 1024;

bool HasHostPorts(const ObjectPtr& pod) {
  // Few pods do: the others are not looked into.
  return pod && pod->bytes().find("\"hostPort\":") != std::string_view::npos &&
         !pod->view<HostPortView>().ports.empty();
}

void OnPod(const Event& event, WorkQueue& queue) {
  const bool has = HasHostPorts(event.object);
  if (!has && !HasHostPorts(event.previous)) return;
  if (has && event.type == EventType::kModified && HasHostPorts(event.previous) &&
      event.previous->view<HostPortView>() == event.object->view<HostPortView>()) {
    return;
  }
  queue.Add(KeyOf(*event.object));
}

}  // namespace

HostPortView::HostPortView(const Json& pod)
    : node(StringAt(pod, "spec.nodeName")),
      pod_ip(ParseIpv4(StringAt(pod, "status.podIP"))),
      ended(StringAt(pod, "status.phase") == "Succeeded" || StringAt(pod, "status.phase") == "Failed") {
  if (BoolAt(pod, "spec.hostNetwork")) return;
  for (const Json& container : ListAt(pod, "spec.containers")) {
    for (const Json& port : ListAt(container, "ports")) {
      const std::string protocol = StringAt(port, "protocol", "TCP");
      const int64_t number = IntAt(port, "hostPort");
      if (number <= 0 || (protocol != "TCP" && protocol != "UDP")) continue;
      ports.push_back({static_cast<uint16_t>(number), static_cast<uint16_t>(IntAt(port, "containerPort")),
                       protocol == "UDP", ParseIpv4(StringAt(port, "hostIP"))});
    }
  }
}

ServiceRule PlanHostPorts(const HostPortView& pod, uint32_t node_address, int privileged_port_offset) {
  ServiceRule rule;
  if (pod.pod_ip == 0 || pod.ended || node_address == 0) return rule;
  for (const HostPortView::Port& port : pod.ports) {
    const int number = port.container_port + (port.container_port < kFirstUnprivileged ? privileged_port_offset : 0);
    PortRule made;
    made.name = std::to_string(rule.ports.size());
    made.udp = port.udp;
    made.listens.push_back({port.host_ip == 0 ? node_address : port.host_ip, port.host_port, "", false});
    made.backends.push_back({pod.pod_ip, static_cast<uint16_t>(number), pod.node, true, true});
    rule.ports.push_back(std::move(made));
  }
  return rule;
}

HostPorts::HostPorts(RuntimeContext context, int privileged_port_offset, Tell tell)
    : context_(std::move(context)), privileged_port_offset_(privileged_port_offset), tell_(std::move(tell)) {}

void HostPorts::Start() {
  ControllerSpec spec;
  spec.name = "host-ports";
  spec.workers = 1;
  spec.watches = {
      {std::string(resources::kPods), OnPod},
      {std::string(resources::kNodes), [this](const Event& event, WorkQueue& queue) { OnNode(event, queue); }}};
  spec.reconcile = [this](std::string key) { return Reconcile(std::move(key)); };
  controller_ = std::make_unique<Controller>(context_, std::move(spec));
  controller_->Start();
}

void HostPorts::Stop() {
  if (controller_) controller_->Stop();
}

void HostPorts::OnNode(const Event& event, WorkQueue& queue) const {
  const bool same = event.type == EventType::kModified && event.previous &&
                    event.object->view<NodeSpot>() == event.previous->view<NodeSpot>();
  if (same) return;
  std::vector<std::string> pods;  // a copy: an idle worker begins within Add
  for (const auto& [pod, rule] : told_) pods.push_back(pod);
  for (const std::string& pod : pods) queue.Add(pod);
}

Task<ReconcileResult> HostPorts::Reconcile(std::string key) {
  const WatchCache& cache = context_.client.cache();
  const auto [ns, name] = SplitKey(key);
  const ObjectPtr pod = cache.Get(resources::kPods, ns, name);
  if (!HasHostPorts(pod)) {
    if (told_.erase(key) > 0) tell_(std::string(kKeyPrefix) + key, nullptr);
    co_return ReconcileResult();
  }
  const HostPortView& view = pod->view<HostPortView>();
  const ObjectPtr node = cache.Get(resources::kNodes, "", view.node);
  const bool reachable = node && node->view<NodeSpot>().reachable();
  ServiceRule rule = PlanHostPorts(view, reachable ? node->view<NodeSpot>().ip : 0, privileged_port_offset_);
  auto [it, fresh] = told_.try_emplace(key);
  if (it->second == rule) co_return ReconcileResult();
  it->second = rule;
  tell_(std::string(kKeyPrefix) + key, std::make_shared<const ServiceRule>(std::move(rule)));
  co_return ReconcileResult();
}

}  // namespace wherry
