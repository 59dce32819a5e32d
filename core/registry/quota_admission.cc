#include "core/registry/quota_admission.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/registry/admission.h"

namespace wherry {
namespace {

using Op = AdmissionRequest::Op;

// "cpu=1,memory=2Gi", as upstream prints it.
std::string Told(const ResourceList& amounts, const std::set<std::string>& of) {
  std::string out;
  for (const auto& [name, amount] : amounts) {
    if (of.contains(name)) out += (out.empty() ? "" : ",") + name + "=" + amount.ToString();
  }
  return out;
}

// The compute resources of a quota that a container does not state. A quota can only count what is stated.
std::string Unstated(const QuotaView& quota, const Json& pod) {
  static constexpr std::pair<std::string_view, std::string_view> kStated[] = {
      {"cpu", "resources.requests.cpu"},          {"memory", "resources.requests.memory"},
      {"requests.cpu", "resources.requests.cpu"}, {"requests.memory", "resources.requests.memory"},
      {"limits.cpu", "resources.limits.cpu"},     {"limits.memory", "resources.limits.memory"}};
  std::map<std::string, std::set<std::string>> missing;  // by quota resource: container names
  for (const char* list : {"spec.containers", "spec.initContainers"}) {
    for (const Json& container : ListAt(pod, list)) {
      for (const auto& [name, path] : kStated) {
        if (quota.hard.contains(name) && !Has(container, path)) {
          missing[std::string(name)].insert(StringAt(container, "name"));
        }
      }
    }
  }
  std::string out;
  for (const auto& [name, containers] : missing) {
    out += (out.empty() ? "" : "; ") + name + " for: ";
    std::string names;
    for (const std::string& container : containers) names += (names.empty() ? "" : ",") + container;
    out += names;
  }
  return out;
}

}  // namespace

Admission QuotaAdmission::Rule() {
  return {"ResourceQuota",
          [self = std::make_shared<QuotaAdmission>()](AdmissionRequest& request, const WatchCache& cache) {
            return self->Admit(request, cache);
          }};
}

bool QuotaAdmission::Grant::Stored(const WatchCache& cache) const {
  const ObjectPtr there = cache.Get(resource, ns, name);
  if (creates()) return there && there->uid() == uid;
  return !there || there->uid() != uid || there->revision() != revision;
}

ResourceList QuotaAdmission::Added(const QuotaView& quota, const Grant& grant) {
  ResourceList out;
  if (!quota.resources.contains(grant.resource)) return out;
  if (quota.Covers(grant.after)) out = Masked(UseOf(grant.resource, grant.after), quota.hard);
  if (!grant.creates() && quota.Covers(grant.before)) {
    for (const auto& [name, amount] : Masked(UseOf(grant.resource, grant.before), quota.hard)) out[name] -= amount;
  }
  return out;
}

Status QuotaAdmission::Admit(AdmissionRequest& request, const WatchCache& cache) {
  if (request.op == Op::kDelete || !request.subresource.empty() || !request.kind.namespaced) return {};
  std::vector<ObjectPtr> quotas = cache.List(resources::kResourceQuotas, request.ns);
  if (quotas.empty()) return {};

  Grant grant;
  grant.ns = request.ns;
  grant.resource = request.kind.resource;
  grant.name = StringAt(*request.object, "metadata.name");
  grant.uid = StringAt(*request.object, "metadata.uid");
  // Documents on their way in may lack what says which kind they are.
  Json after = *request.object;
  after["apiVersion"] = request.kind.gvk.api_version();
  after["kind"] = request.kind.gvk.kind;
  grant.after = QuotaUse(after);
  if (request.op == Op::kUpdate) {
    const ObjectPtr there = cache.Get(grant.resource, grant.ns, grant.name);
    if (!there) return {};
    grant.revision = there->revision();
    grant.before = there->view<QuotaUse>();
    if (grant.before.SameAs(grant.after)) return {};
  }

  for (const ObjectPtr& object : quotas) {
    const QuotaView& quota = object->view<QuotaView>();
    if (!quota.resources.contains(grant.resource)) continue;
    if (grant.after.is_pod && grant.creates() && quota.Covers(grant.after)) {
      if (const std::string unstated = Unstated(quota, after); !unstated.empty()) {
        return Forbidden(request.kind, request.name, "failed quota: " + object->name() + ": must specify " + unstated);
      }
    }
    const ResourceList requested = Added(quota, grant);
    const bool asks = std::any_of(requested.begin(), requested.end(),
                                  [](const auto& item) { return item.second.Compare(Quantity()) > 0; });
    if (!asks) continue;
    ResourceList used = SumUse(cache, request.ns, quota);
    for (const Grant& other : grants_) {
      if (other.ns != request.ns || other.Stored(cache)) continue;
      for (const auto& [name, amount] : Added(quota, other)) used[name] += amount;
    }
    std::set<std::string> exceeded;
    for (const auto& [name, amount] : requested) {
      if (amount.Compare(Quantity()) <= 0) continue;
      Quantity total = used[name];
      total += amount;
      if (total.Compare(quota.hard.at(name)) > 0) exceeded.insert(name);
    }
    if (exceeded.empty()) continue;
    return Forbidden(request.kind, request.name,
                     "exceeded quota: " + object->name() + ", requested: " + Told(requested, exceeded) +
                         ", used: " + Told(used, exceeded) + ", limited: " + Told(quota.hard, exceeded));
  }

  if (request.dry_run) return {};
  grants_.push_back(std::move(grant));
  request.held.push_back(std::shared_ptr<void>(
      nullptr, [self = shared_from_this(), at = std::prev(grants_.end())](void*) { self->grants_.erase(at); }));
  return {};
}

}  // namespace wherry
