#pragma once

#include <list>
#include <memory>
#include <string>

#include "core/kinds/quota.h"
#include "core/registry/registry.h"

namespace wherry {

// Refuses what a namespace's ResourceQuotas have no room for (upstream's admission plugin ResourceQuota). Decides by
// what is stored and what writes under way have been granted, never by status.used, so writers at the same moment
// cannot spend the same room twice. Control thread only.
class QuotaAdmission : public std::enable_shared_from_this<QuotaAdmission> {
 public:
  // The admission rule, to be the last but for those that only fill in. It keeps a QuotaAdmission of its own.
  static Admission Rule();

 private:
  // A write that was granted and has not been stored yet. Dropped when the write has ended, one way or the other.
  struct Grant {
    std::string ns, resource, name, uid;
    uint64_t revision = 0;  // of the object it changes; 0 = it makes one
    QuotaUse before, after;
    bool creates() const { return revision == 0; }
    bool Stored(const WatchCache& cache) const;
  };
  Status Admit(AdmissionRequest& request, const WatchCache& cache);
  // What a write adds to a quota's use; may be negative.
  static ResourceList Added(const QuotaView& quota, const Grant& grant);

  std::list<Grant> grants_;
};

}  // namespace wherry
