#include "core/scheduler/affinity_term.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "core/scheduler/pod_demand.h"

namespace wherry {
namespace {

const std::string* ValueOf(const Labels& labels, const std::string& key) {
  const auto it = std::find_if(labels.begin(), labels.end(), [&](const auto& label) { return label.first == key; });
  return it == labels.end() ? nullptr : &it->second;
}

// The selector with the pod's own values of some keys as further requirements. Keys that the pod does not have are
// left out.
Json WithOwnValues(Json selector, const Json& term, const Labels& labels) {
  if (!selector.is_object()) return selector;  // none: it matches nothing
  for (const auto& [member, op] : {std::pair{"matchLabelKeys", "In"}, std::pair{"mismatchLabelKeys", "NotIn"}}) {
    for (const Json& key : ListAt(term, member)) {
      const std::string* value = key.is_string() ? ValueOf(labels, key.get_ref<const std::string&>()) : nullptr;
      if (value == nullptr) continue;
      selector["matchExpressions"].push_back({{"key", key}, {"operator", op}, {"values", {*value}}});
    }
  }
  return selector;
}

LabelSelector Compile(const Json& selector) {
  Result<LabelSelector> compiled = LabelSelector::FromJson(selector);
  return compiled.ok() ? *compiled : LabelSelector::Nothing();  // validation lets none through
}

AffinityTerm ReadTerm(const Json& term, int64_t weight, const std::string& ns, const Labels& labels) {
  AffinityTerm read;
  read.weight = weight;
  read.topology_key = StringAt(term, "topologyKey");
  for (const Json& name : ListAt(term, "namespaces")) {
    if (name.is_string()) read.namespaces.push_back(name.get<std::string>());
  }
  if (Has(term, "namespaceSelector")) {
    read.namespace_selector = Compile(At(term, "namespaceSelector"));
  } else if (read.namespaces.empty()) {
    read.namespaces.push_back(ns);
  }
  const Json selector = WithOwnValues(At(term, "labelSelector"), term, labels);
  read.selector = Compile(selector);
  read.text = term.dump() + selector.dump();
  return read;
}

}  // namespace

bool AffinityTerm::Matches(const PodDemand& other, const WatchCache* cache) const {
  const std::string& ns = other.request.ns;
  bool there = std::find(namespaces.begin(), namespaces.end(), ns) != namespaces.end();
  if (!there && namespace_selector) {
    static const Labels kNone;
    const ObjectPtr object = cache == nullptr ? nullptr : cache->Get(resources::kNamespaces, "", ns);
    there = namespace_selector->Matches(object == nullptr ? kNone : *object->view<MetaView>().labels);
  }
  return there && selector.Matches(*other.request.labels);
}

PodAffinity ReadPodAffinity(const Json& pod_spec, const char* member, const std::string& ns, const Labels& labels) {
  PodAffinity affinity;
  const Json& given = At(At(pod_spec, "affinity"), member);
  for (const Json& term : ListAt(given, "requiredDuringSchedulingIgnoredDuringExecution")) {
    affinity.required.push_back(ReadTerm(term, 0, ns, labels));
  }
  for (const Json& weighted : ListAt(given, "preferredDuringSchedulingIgnoredDuringExecution")) {
    affinity.preferred.push_back(ReadTerm(At(weighted, "podAffinityTerm"), IntAt(weighted, "weight"), ns, labels));
  }
  return affinity;
}

std::vector<SpreadConstraint> ReadSpreadConstraints(const Json& pod_spec, const Labels& labels) {
  std::vector<SpreadConstraint> constraints;
  for (const Json& given : ListAt(pod_spec, "topologySpreadConstraints")) {
    SpreadConstraint read;
    read.max_skew = IntAt(given, "maxSkew", 1);
    read.topology_key = StringAt(given, "topologyKey");
    read.required = StringAt(given, "whenUnsatisfiable") != "ScheduleAnyway";
    read.min_domains = IntAt(given, "minDomains", 1);
    read.honor_affinity = StringAt(given, "nodeAffinityPolicy") != "Ignore";
    read.honor_taints = StringAt(given, "nodeTaintsPolicy") == "Honor";
    const Json selector = WithOwnValues(At(given, "labelSelector"), given, labels);
    read.selector = Compile(selector);
    read.text = given.dump() + selector.dump();
    constraints.push_back(std::move(read));
  }
  return constraints;
}

}  // namespace wherry
