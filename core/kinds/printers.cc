#include "core/kinds/printers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/table.h"

namespace wherry {
namespace {

Json Age(const Json& object, Time now) { return Since(object, "metadata.creationTimestamp", now); }

Json DataCount(const Json& object, Time) { return MapAt(object, "data").size() + MapAt(object, "binaryData").size(); }

Json SecretsCount(const Json& object, Time) { return ListAt(object, "secrets").size(); }

Json LastTransition(const Json& object, Time now) {
  std::string newest;  // RFC 3339 in UTC sorts as text
  for (const Json& condition : ListAt(object, "status.conditions")) {
    newest = std::max(newest, StringAt(condition, "lastTransitionTime"));
  }
  return Since(Json{{"time", newest}}, "time", now);
}

// Events come from two API groups and from old and new recorders, which fill in different times and counts.
Json EventFirstSeen(const Json& event, Time now) {
  return Since(event, Has(event, "firstTimestamp") ? "firstTimestamp" : "eventTime", now);
}

Json EventLastSeen(const Json& event, Time now) {
  if (Has(event, "series")) return Since(event, "series.lastObservedTime", now);
  if (Has(event, "lastTimestamp")) return Since(event, "lastTimestamp", now);
  return EventFirstSeen(event, now);
}

Json EventCount(const Json& event, Time) {
  if (Has(event, "series")) return IntAt(event, "series.count");
  return std::max<int64_t>(1, IntAt(event, "count"));
}

Json EventObject(const Json& event, Time) {
  const Json& object = At(event, Has(event, "involvedObject") ? "involvedObject" : "regarding");
  std::string text = StringAt(object, "kind");
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string& name = StringAt(object, "name");
  return name.empty() ? text : text + "/" + name;
}

Json EventSource(const Json& event, Time) {
  const auto either = [&](std::string_view first, std::string_view second) {
    const std::string& value = StringAt(event, first);
    return value.empty() ? StringAt(event, second) : value;
  };
  const std::string component = either("source.component", "reportingComponent");
  const std::string host = either("source.host", "reportingInstance");
  return host.empty() ? component : component + ", " + host;
}

struct Named {
  std::string_view name;
  Printer print;
};

constexpr Named kPrinters[] = {
    {"age", Age},
    {"containers", printers::Containers},
    {"cronActive", printers::CronActive},
    {"cronLastSchedule", printers::CronLastSchedule},
    {"dataCount", DataCount},
    {"endpoints", printers::Endpoints},
    {"eventCount", EventCount},
    {"eventFirstSeen", EventFirstSeen},
    {"eventLastSeen", EventLastSeen},
    {"eventObject", EventObject},
    {"eventSource", EventSource},
    {"hpaCpuTarget", printers::HpaCpuTarget},
    {"hpaMinPods", printers::HpaMinPods},
    {"hpaReference", printers::HpaReference},
    {"hpaReplicas", printers::HpaReplicas},
    {"hpaTargets", printers::HpaTargets},
    {"images", printers::Images},
    {"jobCompletions", printers::JobCompletions},
    {"jobDuration", printers::JobDuration},
    {"jobStatus", printers::JobStatus},
    {"lastTransition", LastTransition},
    {"nodeExternalIP", printers::NodeExternalIp},
    {"nodeInternalIP", printers::NodeInternalIp},
    {"nodeRoles", printers::NodeRoles},
    {"nodeSelector", printers::NodeSelector},
    {"nodeStatus", printers::NodeStatus},
    {"pdbMax", printers::PdbMax},
    {"pdbMin", printers::PdbMin},
    {"podReadinessGates", printers::PodReadinessGates},
    {"podReady", printers::PodReady},
    {"podRestarts", printers::PodRestarts},
    {"podStatus", printers::PodStatus},
    {"pvAccessModes", printers::PvAccessModes},
    {"pvClaim", printers::PvClaim},
    {"pvcAccessModes", printers::PvcAccessModes},
    {"pvcCapacity", printers::PvcCapacity},
    {"quotaLimit", printers::QuotaLimit},
    {"quotaRequest", printers::QuotaRequest},
    {"readyOfReplicas", printers::ReadyOfReplicas},
    {"revisionController", printers::RevisionController},
    {"secretsCount", SecretsCount},
    {"selector", printers::Selector},
    {"serviceExternalIP", printers::ServiceExternalIp},
    {"servicePorts", printers::ServicePorts},
    {"sliceEndpoints", printers::SliceEndpoints},
    {"slicePorts", printers::SlicePorts},
    {"storageClass", printers::StorageClass},
    {"storageClassExpands", printers::StorageClassExpands},
    {"storageClassName", printers::StorageClassName},
    {"volumeAttributesClass", printers::VolumeAttributesClass},
    {"volumeMode", printers::VolumeMode},
    {"volumePhase", printers::VolumePhase},
};

}  // namespace

Printer FindPrinter(std::string_view name) {
  const auto* it = std::lower_bound(std::begin(kPrinters), std::end(kPrinters), name,
                                    [](const Named& p, std::string_view n) { return p.name < n; });
  return it != std::end(kPrinters) && it->name == name ? it->print : nullptr;
}

std::string Since(const Json& object, std::string_view path, Time now, std::string_view absent) {
  Time then;
  if (!ParseTime(StringAt(object, path), &then)) return std::string(absent);
  return HumanDuration(now - then);
}

}  // namespace wherry
