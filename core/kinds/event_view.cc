#include "core/kinds/event_view.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace wherry {
namespace {

// Stored name, name in the view. Fields that are not listed are called the same in both.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kRenamed = {{
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"reportingComponent", "reportingController"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
}};

Json Rename(const Json& from, std::string_view api_version, bool to_view) {
  Json out = from;
  if (!out.is_object()) return out;
  for (const auto& [stored, view] : kRenamed) {
    const std::string old_name(to_view ? stored : view);
    auto it = out.find(old_name);
    if (it == out.end()) continue;
    Json value = std::move(*it);
    out.erase(it);
    out[std::string(to_view ? view : stored)] = std::move(value);
  }
  out["apiVersion"] = api_version;
  out["kind"] = "Event";
  return out;
}

}  // namespace

Json EventFromStorage(const Json& stored) { return Rename(stored, "events.k8s.io/v1", true); }
Json EventToStorage(const Json& view) { return Rename(view, "v1", false); }

}  // namespace wherry
