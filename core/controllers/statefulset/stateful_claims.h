#pragma once

#include <string>
#include <vector>

#include "core/controllers/statefulset/claim_owners.h"
#include "core/registry/client.h"
#include "core/runtime/event_recorder.h"

namespace wherry {

// The storage side of a StatefulSet: claims are made before their pod and outlive it. Control thread only; outlives its
// calls.
class StatefulClaims {
 public:
  StatefulClaims(Client& client, EventRecorder& events) : client_(client), events_(events) {}

  // Makes those of an ordinal's claims that are missing. Not ok while one is being deleted.
  Task<Status> MakeMissing(ObjectPtr set, int64_t ordinal);
  // Writes the owners that the retention policy asks for into the claims of this pod (of `set`, perhaps leaving).
  Task<Status> KeepOwners(ObjectPtr set, int64_t ordinal, ClaimPod pod);
  // True when a claim of the ordinal, which has no pod, still belongs to a former pod.
  bool Leaving(const Object& set, int64_t ordinal) const;

 private:
  Client& client_;
  EventRecorder& events_;
};

}  // namespace wherry
