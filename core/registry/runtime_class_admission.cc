#include "core/registry/runtime_class_admission.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/registry/admission.h"

namespace wherry {

Status RuntimeClassOfPod(AdmissionRequest& request, const WatchCache& cache) {
  if (request.op != AdmissionRequest::Op::kCreate || request.kind.resource != resources::kPods) return {};
  const auto reject = [&](const std::string& why) {
    return Forbidden(request.kind, request.name, "pod rejected: " + why);
  };
  Json& spec = (*request.object)["spec"];
  const std::string name = StringAt(spec, "runtimeClassName");
  const bool own_overhead = Has(spec, "overhead") && !spec["overhead"].empty();
  if (name.empty()) {
    return own_overhead ? reject("Pod Overhead set without corresponding RuntimeClass defined Overhead") : Status();
  }
  const ObjectPtr found = cache.Get(resources::kRuntimeClasses, "", name);
  if (!found) return reject("RuntimeClass \"" + name + "\" not found");
  const JsonPtr document = found->json();
  const Json* overhead = FindPath(*document, "overhead.podFixed");
  if (own_overhead && (!overhead || *overhead != spec["overhead"])) {
    return reject(overhead ? "Pod's Overhead doesn't match RuntimeClass's defined Overhead"
                           : "Pod Overhead set without corresponding RuntimeClass defined Overhead");
  }
  if (overhead && !overhead->empty()) spec["overhead"] = *overhead;
  if (const Json* selector = FindPath(*document, "scheduling.nodeSelector"); selector && selector->is_object()) {
    Json& own = spec["nodeSelector"];
    if (!own.is_object()) own = Json::object();
    for (const auto& [key, value] : selector->items()) {
      if (own.contains(key) && own[key] != value)
        return reject("conflict: runtimeClass.scheduling.nodeSelector[" + key + "] = " + value.get<std::string>() +
                      "; pod.spec.nodeSelector[" + key + "] = " + own[key].get<std::string>());
      own[key] = value;
    }
  }
  for (const Json& toleration : ListAt(*document, "scheduling.tolerations")) {
    Json& own = spec["tolerations"];
    if (!own.is_array()) own = Json::array();
    if (std::find(own.begin(), own.end(), toleration) == own.end()) own.push_back(toleration);
  }
  return {};
}

}  // namespace wherry
