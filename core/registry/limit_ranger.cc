#include "core/registry/limit_ranger.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/pod_rules.h"
#include "core/kinds/resources.h"
#include "core/registry/admission.h"

namespace wherry {
namespace {

using Op = AdmissionRequest::Op;

constexpr char kAnnotation[] = "kubernetes.io/limit-ranger";

const Quantity* Find(const ResourceList& list, const std::string& name) {
  auto it = list.find(name);
  return it == list.end() ? nullptr : &it->second;
}

// Amounts of one thing that is limited: a container, a pod, a claim.
struct Stated {
  ResourceList requests, limits;
};

class Checker {
 public:
  Checker(const Json& item, std::vector<std::string>& out) : item_(item), type_(StringAt(item, "type")), out_(out) {}

  void CheckMin(const Stated& stated) {
    for (const auto& [name, least] : ParseResources(At(item_, "min"))) {
      const Quantity* request = Find(stated.requests, name);
      const Quantity* limit = Find(stated.limits, name);
      const std::string text = "minimum " + name + " usage per " + type_ + " is " + least.ToString();
      if (!request) {
        out_.push_back(text + ".  No request is specified");
      } else if (request->Compare(least) < 0) {
        out_.push_back(text + ", but request is " + request->ToString());
      } else if (limit && limit->Compare(least) < 0) {
        out_.push_back(text + ", but limit is " + limit->ToString());
      }
    }
  }
  void CheckMax(const Stated& stated) {
    for (const auto& [name, most] : ParseResources(At(item_, "max"))) {
      const Quantity* request = Find(stated.requests, name);
      const Quantity* limit = Find(stated.limits, name);
      const std::string text = "maximum " + name + " usage per " + type_ + " is " + most.ToString();
      if (!limit) {
        out_.push_back(text + ".  No limit is specified");
      } else if (limit->Compare(most) > 0) {
        out_.push_back(text + ", but limit is " + limit->ToString());
      } else if (request && request->Compare(most) > 0) {
        out_.push_back(text + ", but request is " + request->ToString());
      }
    }
  }
  // Claims have requests alone.
  void CheckMaxRequest(const Stated& stated) {
    for (const auto& [name, most] : ParseResources(At(item_, "max"))) {
      const Quantity* request = Find(stated.requests, name);
      const std::string text = "maximum " + name + " usage per " + type_ + " is " + most.ToString();
      if (!request) {
        out_.push_back(text + ".  No request is specified");
      } else if (request->Compare(most) > 0) {
        out_.push_back(text + ", but request is " + request->ToString());
      }
    }
  }
  void CheckRatio(const Stated& stated) {
    for (const auto& [name, most] : ParseResources(At(item_, "maxLimitRequestRatio"))) {
      const Quantity* request = Find(stated.requests, name);
      const Quantity* limit = Find(stated.limits, name);
      const std::string text = name + " max limit to request ratio per " + type_ + " is " + most.ToString();
      if (!request || request->is_zero()) {
        out_.push_back(text + ", but no request is specified or request is 0");
      } else if (!limit || limit->is_zero()) {
        out_.push_back(text + ", but no limit is specified or limit is 0");
      } else {
        const double ratio = static_cast<double>(limit->milli()) / static_cast<double>(request->milli());
        if (ratio > static_cast<double>(most.milli()) / 1000) {
          out_.push_back(text + ", but provided ratio is " + std::to_string(ratio));
        }
      }
    }
  }

 private:
  const Json& item_;
  const std::string& type_;
  std::vector<std::string>& out_;
};

Stated OfContainer(const Json& container) {
  return {ParseResources(At(container, "resources.requests")), ParseResources(At(container, "resources.limits"))};
}

// A sum is known when every container states its part.
ResourceList KnownSums(const Json& pod, const ResourceList& sums, const char* list) {
  ResourceList out;
  for (const auto& [name, sum] : sums) {
    const auto& containers = ListAt(pod, "spec.containers");
    const bool known = std::all_of(containers.begin(), containers.end(), [&, &n = name](const Json& container) {
      return ParseResources(At(At(container, "resources"), list)).contains(n);
    });
    if (known) out[name] = sum;
  }
  return out;
}

// Fills in what the container does not state; the names of what was filled in.
std::vector<std::string> Fill(const Json& from, Json& container, const char* list) {
  std::vector<std::string> out;
  if (!from.is_object()) return out;
  for (const auto& [name, amount] : from.items()) {
    Json& stated = container["resources"][list];
    if (!stated.is_object()) stated = Json::object();
    if (stated.contains(name)) continue;
    stated[name] = amount;
    out.push_back(name);
  }
  return out;
}

std::string Joined(const std::vector<std::string>& names, const char* between) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : between) + name;
  return out;
}

}  // namespace

void ApplyLimitDefaults(const Json& limit_range, Json& pod) {
  std::vector<std::string> told;
  for (const Json& item : ListAt(limit_range, "spec.limits")) {
    if (StringAt(item, "type") != "Container") continue;
    for (const char* list : {"containers", "initContainers"}) {
      if (!At(pod, std::string("spec.") + list).is_array()) continue;
      const std::string what = std::string(list) == "containers" ? "container " : "init container ";
      for (Json& container : pod["spec"][list]) {
        const std::string whose = what + StringAt(container, "name");
        const std::vector<std::string> requests = Fill(At(item, "defaultRequest"), container, "requests");
        const std::vector<std::string> limits = Fill(At(item, "default"), container, "limits");
        if (!requests.empty()) told.push_back(Joined(requests, ", ") + " request for " + whose);
        if (!limits.empty()) told.push_back(Joined(limits, ", ") + " limit for " + whose);
      }
    }
  }
  if (!told.empty()) pod["metadata"]["annotations"][kAnnotation] = "LimitRanger plugin set: " + Joined(told, "; ");
}

std::vector<std::string> BrokenLimits(const Json& limit_range, std::string_view kind, const Json& object) {
  std::vector<std::string> out;
  for (const Json& item : ListAt(limit_range, "spec.limits")) {
    const std::string& type = StringAt(item, "type");
    Checker checker(item, out);
    auto check = [&](const Stated& stated) {
      checker.CheckMin(stated);
      checker.CheckMax(stated);
      checker.CheckRatio(stated);
    };
    if (kind == "PersistentVolumeClaim" && type == kind) {
      const Stated stated{ParseResources(At(object, "spec.resources.requests")), {}};
      checker.CheckMin(stated);
      checker.CheckMaxRequest(stated);
    } else if (kind == "Pod" && type == "Container") {
      for (const Json& container : ListAt(object, "spec.containers")) check(OfContainer(container));
      for (const Json& container : ListAt(object, "spec.initContainers")) check(OfContainer(container));
    } else if (kind == "Pod" && type == "Pod") {
      check({KnownSums(object, PodRequests(object), "requests"), KnownSums(object, PodLimits(object), "limits")});
    }
  }
  return out;
}

Status LimitRanger(AdmissionRequest& request, const WatchCache& cache) {
  const bool pod = request.kind.resource == resources::kPods;
  const bool claim = request.kind.resource == resources::kPersistentVolumeClaims;
  const bool asked = request.op == Op::kCreate || (request.op == Op::kUpdate && claim);
  if (!(pod || claim) || !asked || !request.subresource.empty()) return {};
  // A claim that is going, or that asks for no more than it has, is let be.
  if (claim && request.old &&
      (Has(*request.old, "metadata.deletionTimestamp") ||
       At(*request.old, "spec.resources") == At(*request.object, "spec.resources"))) {
    return {};
  }
  std::vector<ObjectPtr> ranges = cache.List(resources::kLimitRanges, request.ns);
  if (pod) {
    for (const ObjectPtr& range : ranges) ApplyLimitDefaults(*range->json(), *request.object);
  }
  std::vector<std::string> broken;
  for (const ObjectPtr& range : ranges) {
    const JsonPtr document = range->json();
    for (std::string& why : BrokenLimits(*document, pod ? "Pod" : "PersistentVolumeClaim", *request.object)) {
      broken.push_back(std::move(why));
    }
  }
  if (broken.empty()) return {};
  const std::string why = broken.size() == 1 ? broken[0] : "[" + Joined(broken, ", ") + "]";
  return Forbidden(request.kind, request.name, why);
}

}  // namespace wherry
