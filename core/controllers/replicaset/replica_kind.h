#pragma once

#include <string_view>

#include "core/controllers/replicaset/replicaset_view.h"
#include "store/object.h"

namespace wherry {

// What tells ReplicaSets and ReplicationControllers apart; all else is one engine.
struct ReplicaKind {
  const char* controller;  // source of its events
  const char* kind;        // of owner references
  std::string_view resource;
  const ReplicaSetView& (*view)(const Object& object);
  bool counts_terminating;  // status.terminatingReplicas
};

extern const ReplicaKind kReplicaSetKind;
extern const ReplicaKind kReplicationControllerKind;

}  // namespace wherry
