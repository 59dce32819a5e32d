#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/kinds/node_match.h"
#include "core/runtime/object_view.h"
#include "core/runtime/time.h"
#include "core/scheduler/affinity_term.h"
#include "core/scheduler/amounts.h"
#include "core/scheduler/node_selection.h"
#include "store/json.h"

namespace wherry {

// A port of the node that a pod claims for itself.
struct HostPort {
  std::string ip;        // "0.0.0.0" = every address
  std::string protocol;  // TCP, UDP, SCTP
  int32_t port = 0;

  bool operator==(const HostPort&) const = default;
  bool ConflictsWith(const HostPort& other) const {
    return port == other.port && protocol == other.protocol && (ip == other.ip || ip == kAny || other.ip == kAny);
  }
  static constexpr std::string_view kAny = "0.0.0.0";
};

// What the scheduler knows of a pod: `object->view<PodDemand>()`. Parsed once per stored version of the pod.
struct PodDemand {
  explicit PodDemand(const Json& pod);

  // The controller that manages the pod; all empty when nobody does.
  struct Owner {
    std::string kind, name, uid;
    bool operator==(const Owner&) const = default;
  };
  // A PersistentVolumeClaim that one of its volumes stands for.
  struct Claim {
    std::string name;
    bool ephemeral = false;  // made for the pod by the ephemeral volume controller
    bool operator==(const Claim&) const = default;
  };
  // What decides where the pod may go. Two pods that agree here would be refused alike: those of one template do.
  struct Request {
    std::string ns;
    SharedLabels labels;
    Amounts amounts;  // effective requests: init and sidecar rule, overhead
    std::vector<HostPort> host_ports;
    NodeSelection selection;  // nodeSelector and required node affinity
    std::vector<PreferredNodeTerm> preferred;
    std::vector<Toleration> tolerations;
    std::vector<std::string> images;  // of every container, for image locality
    PodAffinity affinity, anti_affinity;
    std::vector<SpreadConstraint> spread;
    std::vector<Claim> claims;  // each once
    Owner owner;
    int32_t priority = 0;
    bool never_preempts = false;  // preemptionPolicy: Never
    bool gated = false;           // spec.schedulingGates is not empty

    bool operator==(const Request&) const = default;
  };
  // The last PodScheduled condition, so that an equal one is not written again.
  struct Condition {
    std::string status, reason, message;
  };

  std::string uid;
  std::string node_name;
  std::string scheduler_name;
  std::string nominated_node;  // status.nominatedNodeName
  Request request;
  size_t request_hash = 0;  // equal for equal requests
  // As request.amounts, with the assumed needs of containers that ask for no cpu or memory: for scores, so that pods
  // without requests spread too.
  int64_t score_milli_cpu = 0;
  int64_t score_memory = 0;
  Time creation{};
  Time started = Time::max();  // status.startTime
  bool deleting = false;
  bool finished = false;  // Succeeded or Failed: uses nothing any more
  std::optional<Condition> scheduled;

  bool assigned() const { return !node_name.empty(); }
};

}  // namespace wherry
