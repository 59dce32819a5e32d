#include "core/controllers/deployment/deployment_revision.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

constexpr size_t kMaxHistory = 2000;  // bytes

// Annotations that are the Deployment's alone.
constexpr const char* kNotTakenOver[] = {"kubectl.kubernetes.io/last-applied-configuration",
                                         kRevision,
                                         kRevisionHistory,
                                         kDesiredReplicas,
                                         kMaxReplicas,
                                         "deprecated.deployment.rollback.to"};

bool TakenOver(const std::string& key) {
  return std::find(std::begin(kNotTakenOver), std::end(kNotTakenOver), key) == std::end(kNotTakenOver);
}

// "1,3" and 5 are "1,3,5"; the oldest are dropped when it grows too long.
std::string Remembered(std::string history, const std::string& revision) {
  if (revision.size() > kMaxHistory) return history;
  while (!history.empty() && history.size() + 1 + revision.size() > kMaxHistory) {
    const size_t comma = history.find(',');
    history.erase(0, comma == std::string::npos ? std::string::npos : comma + 1);
  }
  return history.empty() ? revision : history + "," + revision;
}

const std::string& Annotation(const Json& object, const char* key) {
  static const std::string kNone;
  const auto& annotations = MapAt(object, "metadata.annotations");
  const auto it = annotations.find(key);
  return it != annotations.end() && it->second.is_string() ? it->second.get_ref<const std::string&>() : kNone;
}

}  // namespace

Json RevisedAnnotations(const Json& deployment, const Json& set, int64_t revision) {
  Json changes = Json::object();
  const auto& there = MapAt(set, "metadata.annotations");
  for (const auto& [key, value] : MapAt(deployment, "metadata.annotations")) {
    const auto it = there.find(key);
    if (TakenOver(key) && (it == there.end() || it->second != value)) changes[key] = value;
  }
  const std::string& before = Annotation(set, kRevision);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(before.data(), before.data() + before.size(), number);
  const bool readable = error == std::errc() && end == before.data() + before.size();
  // What somebody wrote there by hand is left alone.
  if ((!before.empty() && !readable) || number >= revision) return changes;
  changes[kRevision] = std::to_string(revision);
  if (!before.empty()) changes[kRevisionHistory] = Remembered(Annotation(set, kRevisionHistory), before);
  return changes;
}

}  // namespace wherry
