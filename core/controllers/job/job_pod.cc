#include "core/controllers/job/job_pod.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/controllers/pod_control.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr char kIndexVariable[] = "JOB_COMPLETION_INDEX";
constexpr size_t kGeneratedBase = 58;  // a DNS label less the five characters that are generated

void AddIndexVariable(Json& container) {
  Json& env = container["env"];
  if (!env.is_array()) env = Json::array();
  const bool there =
      std::any_of(env.begin(), env.end(), [](const Json& v) { return StringAt(v, "name") == kIndexVariable; });
  if (there) return;
  const std::string path = std::string("metadata.labels['") + kCompletionIndexKey + "']";
  env.push_back({{"name", kIndexVariable}, {"valueFrom", {{"fieldRef", {{"apiVersion", "v1"}, {"fieldPath", path}}}}}});
}

void SetText(Json& metadata, const char* map, const char* key, std::string value) {
  Json& entries = metadata[map];
  if (!entries.is_object()) entries = Json::object();
  entries[key] = std::move(value);
}

}  // namespace

Json JobPodTemplate(const Object& job) {
  const JsonPtr document = job.json();
  Json pod = PodFromTemplate(document->at("spec").at("template"), job.name() + "-");
  pod["metadata"]["ownerReferences"] = Json::array({ControllerReference(job)});
  AddFinalizer(pod["metadata"], kJobTrackingFinalizer);
  if (!job.view<JobView>().indexed) return pod;
  for (const char* list : {"initContainers", "containers"}) {
    if (auto it = pod["spec"].find(list); it != pod["spec"].end() && it->is_array()) {
      for (Json& container : *it) AddIndexVariable(container);
    }
  }
  return pod;
}

Json JobPodFor(const Json& pod_template, const JobView& job, const JobPlan::Create& create) {
  Json pod = pod_template;
  if (create.index < 0) return pod;
  Json& metadata = pod["metadata"];
  const std::string index = std::to_string(create.index);
  SetText(metadata, "annotations", kCompletionIndexKey, index);
  SetText(metadata, "labels", kCompletionIndexKey, index);
  if (job.backoff_limit_per_index) {
    SetText(metadata, "annotations", kIndexFailureCount, std::to_string(create.index_failures));
    if (create.index_ignored > 0) {
      SetText(metadata, "annotations", kIndexIgnoredFailureCount, std::to_string(create.index_ignored));
    }
  }
  pod["spec"]["hostname"] = job.name + "-" + index;
  const std::string suffix = "-" + index + "-";
  metadata["generateName"] = job.name.substr(0, kGeneratedBase - suffix.size()) + suffix;
  return pod;
}

}  // namespace wherry
