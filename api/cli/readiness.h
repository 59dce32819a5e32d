#pragma once

#include <string>

#include "store/json.h"

namespace wherry::cli {

// How far an object is from doing its work.
struct Readiness {
  bool ready = true;
  bool failed = false;  // it will not become ready by itself
  std::string text;     // "2 of 3 ready"; "" for kinds that have nothing to wait for
};

// Reads the status of a DaemonSet, Deployment, StatefulSet, ReplicaSet, Pod or Job; any other object is ready.
Readiness ReadinessOf(const Json& object);

}  // namespace wherry::cli
