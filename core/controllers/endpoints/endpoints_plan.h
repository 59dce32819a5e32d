#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/controllers/endpoints/endpoint_pod.h"
#include "core/kinds/service_view.h"
#include "store/json.h"

namespace wherry {

// A pod that the Service's selector matches.
struct EndpointPod {
  std::string ns, name, uid;
  const EndpointPodView* view = nullptr;
  std::string zone;  // of its node; "" = not told
};

// The Service that endpoints are planned for.
struct EndpointService {
  std::string name;
  const ServiceView* view = nullptr;
};

inline constexpr size_t kMaxEndpointsAddresses = 1000;  // of one Endpoints object; more are left out and said so
inline constexpr size_t kMaxSliceEndpoints = 100;       // of one EndpointSlice

// The `subsets` of the Service's Endpoints: pods by the ports they offer, ready ones and others apart, in the order of
// their addresses. Null when there are none. `*truncated` tells that addresses were left out. Pure.
Json PlanSubsets(const EndpointService& service, const std::vector<EndpointPod>& pods, bool* truncated);

// Endpoints that offer the same ports: what a slice holds. `ports` and each of `endpoints` are as in an EndpointSlice.
struct PortGroup {
  Json ports = Json::array();
  std::vector<Json> endpoints;
};

// The slice endpoints of a Service's pods, by the ports they offer: also those not ready and those terminating, with
// conditions that say so. Pure.
std::vector<PortGroup> GroupPods(const EndpointService& service, const std::vector<EndpointPod>& pods);

// The same of an Endpoints object that people keep for a Service without a selector.
std::vector<PortGroup> GroupSubsets(const Json& endpoints);

// A slice as it is stored.
struct ExistingSlice {
  std::string name;
  const Json* document = nullptr;
};
struct SlicePlan {
  std::vector<Json> creates;  // addressType, endpoints and ports, without metadata
  std::vector<Json> updates;  // whole documents
  std::vector<std::string> deletes;
};

// How `existing` become slices of at most kMaxSliceEndpoints that hold `groups`, in few writes: endpoints stay in their
// slice, new ones go first where a write is due anyway, then where they fit, and then into slices of their own.
// `metadata` is {labels, ownerReferences} as every slice should have them. With no endpoints at all one empty slice
// stays, if `keep_one`. Pure.
SlicePlan PlanSlices(std::vector<PortGroup> groups, const std::vector<ExistingSlice>& existing, const Json& metadata,
                     bool keep_one);

}  // namespace wherry
