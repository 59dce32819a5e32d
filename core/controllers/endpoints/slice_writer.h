#pragma once

#include <string>
#include <vector>

#include "core/controllers/endpoints/endpoints_plan.h"
#include "core/runtime/controller.h"

namespace wherry {

// {labels, ownerReferences} of the slices that `managed_by` keeps for a Service: the labels of `owner` (the Service, or
// the Endpoints that are mirrored) and those that say what the slice is.
Json SliceMetadata(const Object& owner, const std::string& service, const std::string& managed_by, bool headless);

// The slices of a Service that `managed_by` keeps.
std::vector<ObjectPtr> SlicesOf(const WatchCache& cache, const std::string& ns, const std::string& service,
                                const std::string& managed_by);

// Brings them to what `groups` ask for. `metadata` as from SliceMetadata.
Task<Status> WriteSlices(RuntimeContext context, std::string ns, std::string service, std::vector<PortGroup> groups,
                         std::vector<ObjectPtr> existing, Json metadata, bool keep_one);

// A slice event's Service, when `managed_by` keeps the slice: a WatchRule's work.
void EnqueueSliceService(const Event& event, const std::string& managed_by, WorkQueue& queue);

}  // namespace wherry
