#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/kinds/pod_rules.h"
#include "store/watch_cache.h"

namespace wherry {

// What an object uses of a quota, and by which scopes it may be covered: `object->view<QuotaUse>()`. Quantities by
// quota resource ("pods", "requests.cpu", "services.nodeports"); what only the resource's name says (its count) is not
// here: UseOf adds it.
struct QuotaUse {
  QuotaUse() = default;
  explicit QuotaUse(const Json& object);

  ResourceList amounts;
  // Scopes are of pods.
  bool is_pod = false;
  bool ends_by_itself = false;  // activeDeadlineSeconds: Terminating, else NotTerminating
  bool best_effort = false;
  bool far_affinity = false;  // CrossNamespacePodAffinity
  std::string priority_class;

  bool SameAs(const QuotaUse& other) const;
};

// The amounts of one object of `resource` (the store's name), its count/<resource> included.
ResourceList UseOf(std::string_view resource, const QuotaUse& use);

// A ResourceQuota: `object->view<QuotaView>()`.
struct QuotaView {
  explicit QuotaView(const Json& quota);

  struct Scope {
    std::string name, op;
    std::vector<std::string> values;
  };
  ResourceList hard;
  std::vector<Scope> scopes;        // all must hold
  std::set<std::string> resources;  // the store's names of what it counts

  bool Covers(const QuotaUse& use) const;
};

// What the stored objects of a namespace use of a quota: an amount for each of its hard resources.
ResourceList SumUse(const WatchCache& cache, std::string_view ns, const QuotaView& quota);

// Only those of `amounts` that `hard` limits.
ResourceList Masked(const ResourceList& amounts, const ResourceList& hard);
// {"cpu":"1"} from amounts.
Json ToJson(const ResourceList& amounts);

}  // namespace wherry
