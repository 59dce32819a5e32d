#include "core/controllers/endpoints/service_pods.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/controllers/ownership.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr char kZoneLabel[] = "topology.kubernetes.io/zone";
constexpr size_t kManyPods = 100;

std::string ZoneOf(const ObjectPtr& node) {
  const std::string* zone = node ? node->view<MetaView>().label(kZoneLabel) : nullptr;
  return zone ? *zone : std::string();
}

}  // namespace

void ServicePods::OnService(const Event& event, WorkQueue& queue) {
  const Object& service = *event.object;
  const ServiceView& view = service.view<ServiceView>();
  if (event.type != EventType::kDeleted && view.has_selector) {
    selectors_[service.ns()][service.name()] = view.selector;
  } else if (auto ns = selectors_.find(service.ns()); ns != selectors_.end()) {
    ns->second.erase(service.name());
    if (ns->second.empty()) selectors_.erase(ns);
    pods_.erase(KeyOf(service));
  }
  queue.Add(KeyOf(service));
}

void ServicePods::OnPod(const Event& event, WorkQueue& queue) {
  const Object& pod = *event.object;
  const SharedLabels& labels = pod.view<MetaView>().labels;
  const SharedLabels* before = nullptr;
  if (event.type == EventType::kModified && event.previous) {
    before = &event.previous->view<MetaView>().labels;
    if (*before == labels) before = nullptr;
    if (!before && pod.view<EndpointPodView>() == event.previous->view<EndpointPodView>()) return;
  } else if (pod.view<EndpointPodView>().ip.empty()) {
    return;  // nowhere, and nowhere before
  }
  WakeSelecting(pod.ns(), *labels, before ? &**before : nullptr, queue);
}

void ServicePods::WakeSelecting(const std::string& ns, const Labels& labels, const Labels* before,
                                WorkQueue& queue) const {
  auto services = selectors_.find(ns);
  if (services == selectors_.end()) return;
  for (const auto& [name, selector] : services->second) {
    if (!selector.Matches(labels) && !(before && selector.Matches(*before))) continue;
    const std::string key = KeyOf(ns, name);
    queue.AddAfter(key, Patience(key));
  }
}

void ServicePods::OnNode(const Event& event, WorkQueue& queue) {
  const std::string now = event.type == EventType::kDeleted ? std::string() : ZoneOf(event.object);
  const ObjectPtr gone = event.type == EventType::kDeleted ? event.object : nullptr;
  const std::string before = gone ? ZoneOf(gone) : ZoneOf(event.previous);
  if (now == before) return;
  for (const ObjectPtr& pod : context_.client.cache().ByIndex(kIndexNodeName, event.object->name())) {
    WakeSelecting(pod->ns(), *pod->view<MetaView>().labels, nullptr, queue);
  }
}

std::vector<EndpointPod> ServicePods::Select(const Object& service, std::vector<ObjectPtr>* objects) {
  const WatchCache& cache = context_.client.cache();
  *objects = PodsMatching(cache, service.ns(), service.view<ServiceView>().selector);
  std::vector<EndpointPod> out;
  std::map<std::string, std::string> zones;
  for (const ObjectPtr& pod : *objects) {
    const EndpointPodView& view = pod->view<EndpointPodView>();
    auto [zone, fresh] = zones.try_emplace(view.node_name);
    if (fresh && !view.node_name.empty()) zone->second = ZoneOf(cache.Get(resources::kNodes, "", view.node_name));
    out.push_back({pod->ns(), pod->name(), pod->uid(), &view, zone->second});
  }
  pods_[KeyOf(service)] = out.size();
  return out;
}

Duration ServicePods::Patience(const std::string& key) const {
  auto it = pods_.find(key);
  if (it == pods_.end() || it->second < kManyPods) return Duration(0);
  return std::min<Duration>(std::chrono::milliseconds(500), std::chrono::microseconds(100) * it->second);
}

}  // namespace wherry
