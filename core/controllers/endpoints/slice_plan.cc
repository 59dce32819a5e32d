#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/controllers/endpoints/endpoints_plan.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

// An endpoint is the same as long as it is the same pod at the same address.
std::string Identity(const Json& endpoint) {
  const auto& addresses = ListAt(endpoint, "addresses");
  std::string out = addresses.empty() || !addresses[0].is_string() ? "" : addresses[0].get<std::string>();
  return out + "|" + StringAt(endpoint, "targetRef.uid") + "|" + StringAt(endpoint, "hostname");
}

// Ports as the API returns them are filled with defaults; ours say everything, so they compare as they are.
std::string PortsKey(const Json& document) {
  const Json& ports = At(document, "ports");
  return ports.is_array() ? ports.dump() : "[]";
}

bool HasMetadata(const Json& document, const Json& metadata) {
  return At(document, "metadata.labels") == At(metadata, "labels") &&
         At(document, "metadata.ownerReferences") == At(metadata, "ownerReferences");
}

// A stored slice on its way to what it should be.
struct Draft {
  const ExistingSlice* stored;
  std::vector<Json> endpoints;
  bool changed = false;
};

class GroupPlanner {
 public:
  GroupPlanner(PortGroup group, const Json& metadata) : group_(std::move(group)), metadata_(metadata) {
    for (Json& endpoint : group_.endpoints) wanted_.emplace(Identity(endpoint), std::move(endpoint));
  }

  // Keeps in a stored slice what is still wanted.
  void Take(const ExistingSlice& slice) {
    Draft draft{&slice, {}, !HasMetadata(*slice.document, metadata_)};
    for (const Json& endpoint : ListAt(*slice.document, "endpoints")) {
      auto it = wanted_.find(Identity(endpoint));
      if (it == wanted_.end() || draft.endpoints.size() == kMaxSliceEndpoints) {
        draft.changed = true;
        continue;
      }
      draft.changed |= it->second != endpoint;
      draft.endpoints.push_back(std::move(it->second));
      wanted_.erase(it);
    }
    drafts_.push_back(std::move(draft));
  }

  void Finish(SlicePlan& plan) {
    for (Draft& draft : drafts_) {
      if (draft.changed) Fill(draft);
    }
    if (!wanted_.empty() && wanted_.size() <= kMaxSliceEndpoints) FillFullestThatFits();
    for (Draft& draft : drafts_) {
      if (draft.endpoints.empty()) {
        plan.deletes.push_back(draft.stored->name);
      } else if (draft.changed) {
        plan.updates.push_back(Document(draft));
      }
    }
    while (!wanted_.empty()) {
      Draft fresh{nullptr, {}, true};
      Fill(fresh);
      plan.creates.push_back(
          {{"addressType", "IPv4"}, {"endpoints", Json(std::move(fresh.endpoints))}, {"ports", group_.ports}});
    }
  }

 private:
  void Fill(Draft& draft) {
    while (!wanted_.empty() && draft.endpoints.size() < kMaxSliceEndpoints) {
      draft.endpoints.push_back(std::move(wanted_.begin()->second));
      wanted_.erase(wanted_.begin());
      draft.changed = true;
    }
  }

  void FillFullestThatFits() {
    Draft* best = nullptr;
    for (Draft& draft : drafts_) {
      const bool fits = draft.endpoints.size() + wanted_.size() <= kMaxSliceEndpoints;
      if (fits && (!best || draft.endpoints.size() > best->endpoints.size())) best = &draft;
    }
    if (best) Fill(*best);
  }

  Json Document(Draft& draft) const {
    Json document = *draft.stored->document;
    document["endpoints"] = Json(std::move(draft.endpoints));
    document["ports"] = group_.ports;
    document["metadata"]["labels"] = At(metadata_, "labels");
    document["metadata"]["ownerReferences"] = At(metadata_, "ownerReferences");
    return document;
  }

  PortGroup group_;
  const Json& metadata_;
  std::map<std::string, Json> wanted_;  // by identity; what has no place yet
  std::vector<Draft> drafts_;
};

}  // namespace

SlicePlan PlanSlices(std::vector<PortGroup> groups, const std::vector<ExistingSlice>& existing, const Json& metadata,
                     bool keep_one) {
  SlicePlan plan;
  std::erase_if(groups, [](const PortGroup& group) { return group.endpoints.empty(); });
  if (groups.empty()) {
    // One empty slice says that the Service is known and has nobody.
    const ExistingSlice* kept = nullptr;
    for (const ExistingSlice& slice : existing) {
      if (!keep_one || kept || StringAt(*slice.document, "addressType") != "IPv4") {
        plan.deletes.push_back(slice.name);
      } else {
        kept = &slice;
      }
    }
    if (!keep_one) return plan;
    const Json none = Json::array();
    if (!kept) {
      plan.creates.push_back({{"addressType", "IPv4"}, {"endpoints", none}, {"ports", none}});
    } else if (!HasMetadata(*kept->document, metadata) || !ListAt(*kept->document, "endpoints").empty()) {
      Json document = *kept->document;
      document["endpoints"] = none;
      document["ports"] = none;
      document["metadata"]["labels"] = At(metadata, "labels");
      document["metadata"]["ownerReferences"] = At(metadata, "ownerReferences");
      plan.updates.push_back(std::move(document));
    }
    return plan;
  }

  std::map<std::string, GroupPlanner> planners;
  for (PortGroup& group : groups) {
    const std::string key = group.ports.dump();
    planners.emplace(key, GroupPlanner(std::move(group), metadata));
  }
  for (const ExistingSlice& slice : existing) {
    auto it = planners.find(PortsKey(*slice.document));
    if (it == planners.end() || StringAt(*slice.document, "addressType") != "IPv4") {
      plan.deletes.push_back(slice.name);
    } else {
      it->second.Take(slice);
    }
  }
  for (auto& [key, planner] : planners) planner.Finish(plan);
  return plan;
}

}  // namespace wherry
