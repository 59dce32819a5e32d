#include "core/controllers/daemonset/daemon_pod.h"

#include <nlohmann/json.hpp>

#include "core/controllers/daemonset/eligibility.h"
#include "core/controllers/pod_control.h"
#include "core/controllers/pod_view.h"

namespace wherry {

Json DaemonPodTemplate(const Object& set, const std::string& update_hash, const std::string& template_generation) {
  const JsonPtr document = set.json();
  Json pod = PodFromTemplate(document->at("spec").at("template"), set.name() + "-");
  pod["metadata"]["ownerReferences"] = Json::array({ControllerReference(set)});
  Json& labels = pod["metadata"]["labels"];
  if (!labels.is_object()) labels = Json::object();
  labels[kRevisionHashLabel] = update_hash;
  if (!template_generation.empty()) labels[kTemplateGenerationLabel] = template_generation;
  AddDaemonTolerations(pod["spec"]);
  return pod;
}

Json DaemonPodFor(const Json& pod_template, const std::string& node, const std::string& name) {
  Json pod = pod_template;
  if (!name.empty()) pod["metadata"]["name"] = name;
  PinToNode(pod["spec"], node);
  return pod;
}

}  // namespace wherry
