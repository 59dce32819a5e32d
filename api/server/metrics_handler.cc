#include "api/server/metrics_handler.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

std::string Seconds(Duration duration) {
  // As the field writes durations: "10.5s".
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  std::string text = std::to_string(millis / 1000);
  if (millis % 1000 != 0) {
    std::string rest = std::to_string(1000 + millis % 1000).substr(1);
    while (rest.ends_with('0')) rest.pop_back();
    text += "." + rest;
  }
  return text + "s";
}

Json Quantities(int64_t nano_cpu, uint64_t memory_bytes) {
  return {{"cpu", std::to_string(nano_cpu) + "n"}, {"memory", std::to_string(memory_bytes / 1024) + "Ki"}};
}

Json Head(const Object& object, Time now) {
  const JsonPtr document = object.json();
  Json metadata = {{"name", object.name()}, {"creationTimestamp", FormatTime(now)}};
  if (!object.ns().empty()) metadata["namespace"] = object.ns();
  const Json* labels = FindPath(*document, "metadata.labels");
  if (labels && labels->is_object() && !labels->empty()) metadata["labels"] = *labels;
  return metadata;
}

Json PodMetrics(const PodMeasurement& usage, Time now) {
  Json containers = Json::array();
  for (const ContainerMetrics& container : usage.containers) {
    containers.push_back({{"name", container.name}, {"usage", Quantities(container.nano_cpu, container.memory_bytes)}});
  }
  return {{"metadata", Head(*usage.pod, now)},
          {"timestamp", FormatTime(usage.timestamp)},
          {"window", Seconds(usage.window)},
          {"containers", std::move(containers)}};
}

// Usage of all pods, by node.
std::map<std::string, std::vector<PodMeasurement>> ByNode(ControlPlane& plane) {
  std::map<std::string, std::vector<PodMeasurement>> found;
  plane.cache().ForEach(resources::kPods, {}, [&](const ObjectPtr& pod) {
    PodMeasurement usage;
    if (plane.usage().Read(pod, &usage)) found[StringAt(*pod->json(), "spec.nodeName")].push_back(std::move(usage));
    return true;
  });
  return found;
}

// Many nodes share this machine, so a node takes what its pods take.
Json NodeMetrics(const Object& node, const std::vector<PodMeasurement>& pods, Time now) {
  int64_t nano_cpu = 0;
  uint64_t memory_bytes = 0;
  Time timestamp = now;
  Duration window = std::chrono::seconds(10);
  for (const PodMeasurement& usage : pods) {
    timestamp = usage.timestamp;
    window = usage.window;
    for (const ContainerMetrics& container : usage.containers) {
      nano_cpu += container.nano_cpu;
      memory_bytes += container.memory_bytes;
    }
  }
  return {{"metadata", Head(node, now)},
          {"timestamp", FormatTime(timestamp)},
          {"window", Seconds(window)},
          {"usage", Quantities(nano_cpu, memory_bytes)}};
}

Task<> ServeMetrics(std::shared_ptr<Call> call, ControlPlane& plane, Clock& clock, std::string resource) {
  const bool nodes = resource == resources::kNodes;
  Result<ListQuery> query = ReadListQuery(call->request(), false);
  if (!query.ok()) co_return RespondStatus(*call->exchange, query.status());
  co_await plane.usage().Refresh();
  const Time now = clock.Now();
  const std::string version = call->kind->gvk.api_version();
  const auto by_node = nodes ? ByNode(plane) : std::map<std::string, std::vector<PodMeasurement>>();
  static const std::vector<PodMeasurement> none;
  const auto measure = [&](const ObjectPtr& object, Json* out) {
    if (nodes) {
      const auto pods = by_node.find(std::string(object->name()));
      *out = NodeMetrics(*object, pods == by_node.end() ? none : pods->second, now);
      return true;
    }
    PodMeasurement usage;
    if (!plane.usage().Read(object, &usage)) return false;
    *out = PodMetrics(usage, now);
    return true;
  };
  if (!call->name.empty()) {
    const ObjectPtr object = plane.cache().Get(resource, call->ns, call->name);
    Json metrics;
    if (!object || !measure(object, &metrics)) {
      co_return RespondStatus(*call->exchange, Status::NotFound(call->kind->plural, call->kind->gvk.group, call->name));
    }
    metrics["kind"] = call->kind->gvk.kind;
    metrics["apiVersion"] = version;
    co_return RespondJson(*call->exchange, metrics);
  }
  Json items = Json::array();
  const Kind* stored = plane.registry().catalog().Find("", "v1", call->kind->plural);
  plane.cache().ForEach(resource, call->ns, [&](const ObjectPtr& object) {
    Json metrics;
    if (Selects(*stored, *query, std::string(object->name()), *object) && measure(object, &metrics))
      items.push_back(std::move(metrics));
    return true;
  });
  const Json list = {{"kind", call->kind->list_kind},
                     {"apiVersion", version},
                     {"metadata", Json::object()},
                     {"items", std::move(items)}};
  co_return RespondJson(*call->exchange, list);
}

Json Cpu(int64_t nano_cpu, Duration cpu_time, Time at) {
  return {{"time", FormatTime(at)},
          {"usageNanoCores", nano_cpu},
          {"usageCoreNanoSeconds", std::chrono::duration_cast<std::chrono::nanoseconds>(cpu_time).count()}};
}

Json Memory(uint64_t bytes, Time at) {
  return {{"time", FormatTime(at)}, {"usageBytes", bytes}, {"workingSetBytes", bytes}, {"rssBytes", bytes}};
}

// The kubelet's stats/summary: what monitoring agents read of a node.
Json Summary(const std::string& node, const std::vector<PodMeasurement>& pods, Time now) {
  Json list = Json::array();
  int64_t node_cpu = 0;
  uint64_t node_memory = 0;
  Duration node_time{};
  Time began = now;
  for (const PodMeasurement& usage : pods) {
    Json containers = Json::array();
    int64_t nano_cpu = 0;
    uint64_t memory_bytes = 0;
    Duration cpu_time{};
    Time started = usage.timestamp;
    for (const ContainerMetrics& container : usage.containers) {
      containers.push_back({{"name", container.name},
                            {"startTime", FormatTime(container.started_at)},
                            {"cpu", Cpu(container.nano_cpu, container.cpu_time, usage.timestamp)},
                            {"memory", Memory(container.memory_bytes, usage.timestamp)}});
      nano_cpu += container.nano_cpu;
      memory_bytes += container.memory_bytes;
      cpu_time += container.cpu_time;
      started = std::min(started, container.started_at);
    }
    const JsonPtr document = usage.pod->json();
    list.push_back(
        {{"podRef",
          {{"name", usage.pod->name()}, {"namespace", usage.pod->ns()}, {"uid", StringAt(*document, "metadata.uid")}}},
         {"startTime", StringAt(*document, "status.startTime")},
         {"containers", std::move(containers)},
         {"cpu", Cpu(nano_cpu, cpu_time, usage.timestamp)},
         {"memory", Memory(memory_bytes, usage.timestamp)}});
    node_cpu += nano_cpu;
    node_memory += memory_bytes;
    node_time += cpu_time;
    began = std::min(began, started);
  }
  return {{"node",
           {{"nodeName", node},
            {"startTime", FormatTime(began)},
            {"cpu", Cpu(node_cpu, node_time, now)},
            {"memory", Memory(node_memory, now)}}},
          {"pods", std::move(list)}};
}

Task<> ServeNodeProxy(std::shared_ptr<Call> call, ControlPlane& plane, Clock& clock) {
  const ObjectPtr node = plane.cache().Get(resources::kNodes, "", call->name);
  if (!node) co_return RespondStatus(*call->exchange, Status::NotFound("nodes", "", call->name));
  if (!std::string(call->request().path()).ends_with("/proxy/stats/summary")) {
    co_return call->exchange->Respond(http::Response::Text(404, "404 page not found\n"));
  }
  co_await plane.usage().Refresh();
  auto by_node = ByNode(plane);
  co_return RespondJson(*call->exchange, Summary(call->name, by_node[call->name], clock.Now()));
}

}  // namespace

void AddMetricsHandlers(Api& api, ControlPlane& plane) {
  Clock& clock = plane.ContextFor("metrics").clock;
  for (const std::string_view resource : {resources::kNodes, resources::kPods}) {
    const std::string name(resource);
    api.AddMeasured(name + ".metrics.k8s.io", [&plane, &clock, name](std::shared_ptr<Call> call) {
      return ServeMetrics(std::move(call), plane, clock, name);
    });
  }
  api.AddSubresource(std::string(resources::kNodes), "proxy", "GET", [&plane, &clock](std::shared_ptr<Call> call) {
    return ServeNodeProxy(std::move(call), plane, clock);
  });
}

}  // namespace wherry
