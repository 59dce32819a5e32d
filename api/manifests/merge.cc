#include "api/manifests/merge.h"

#include <nlohmann/json.hpp>

namespace wherry {
namespace {

// True when `live` holds everything that `wanted` says; what else it holds does not matter.
bool Covers(const Json& live, const Json& wanted) {
  if (wanted.is_object()) {
    if (!live.is_object()) return false;
    for (const auto& [key, value] : wanted.items()) {
      const auto it = live.find(key);
      if (value.is_null()) {
        if (it != live.end() && !it->is_null()) return false;
      } else if (it == live.end() || !Covers(*it, value)) {
        return false;
      }
    }
    return true;
  }
  if (wanted.is_array()) {
    if (!live.is_array() || live.size() != wanted.size()) return false;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (!Covers(live[i], wanted[i])) return false;
    }
    return true;
  }
  return live == wanted;
}

const Json kNothing;

const Json& Member(const Json& object, const std::string& key) {
  if (!object.is_object()) return kNothing;
  const auto it = object.find(key);
  return it == object.end() ? kNothing : *it;
}

Json Diff(const Json& last, const Json& wanted, const Json& live) {
  Json patch = Json::object();
  for (const auto& [key, value] : wanted.items()) {
    const Json& now = Member(live, key);
    const Json& before = Member(last, key);
    if (value.is_object() && now.is_object()) {
      Json inner = Diff(before, value, now);
      if (!inner.empty()) patch[key] = std::move(inner);
    } else if (value.is_array()) {
      const bool edited = !before.is_null() && before != value;
      if (now != value && (edited || !Covers(now, value))) patch[key] = value;
    } else if (now != value) {
      patch[key] = value;
    }
  }
  if (!last.is_object()) return patch;
  for (const auto& [key, value] : last.items()) {
    if (!wanted.contains(key) && !Member(live, key).is_null()) patch[key] = nullptr;
  }
  return patch;
}

std::string LastAppliedText(const Json& object) {
  const Json& text = Member(Member(Member(object, "metadata"), "annotations"), kLastApplied);
  return text.is_string() ? text.get<std::string>() : std::string();
}

}  // namespace

Json WithLastApplied(Json manifest) {
  manifest.erase("status");
  Json& metadata = manifest["metadata"];
  if (!metadata.is_object()) metadata = Json::object();
  if (Member(metadata, "creationTimestamp").is_null()) metadata.erase("creationTimestamp");
  Json& annotations = metadata["annotations"];
  if (!annotations.is_object()) annotations = Json::object();
  annotations.erase(kLastApplied);
  std::string text = manifest.dump() + "\n";
  manifest["metadata"]["annotations"][kLastApplied] = std::move(text);
  return manifest;
}

Json ThreeWayMergePatch(const Json& wanted, const Json& live) {
  const std::string live_text = LastAppliedText(live);
  Json last = Json::parse(live_text, nullptr, false);
  if (!last.is_object()) last = Json::object();
  // The annotation itself is no part of the manifest it holds: it must not look taken out.
  Json patch = Diff(last, wanted, live);
  // Another client may have written the same manifest with other spelling.
  if (Json::parse(LastAppliedText(wanted), nullptr, false) == last && patch.contains("metadata")) {
    Json& metadata = patch["metadata"];
    if (metadata.contains("annotations")) {
      metadata["annotations"].erase(kLastApplied);
      if (metadata["annotations"].empty()) metadata.erase("annotations");
    }
    if (metadata.empty()) patch.erase("metadata");
  }
  return patch;
}

}  // namespace wherry
