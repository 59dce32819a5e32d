#include "core/registry/metadata.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// Metadata that only the server writes.
constexpr const char* kServerFields[] = {
    "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"};

bool SameBody(const Json& a, const Json& b, bool ignore_status) {
  auto skip = [&](const std::string& key) { return key == "metadata" || (ignore_status && key == "status"); };
  size_t in_a = 0, in_b = 0;
  for (auto it = a.begin(); it != a.end(); ++it) {
    if (skip(it.key())) continue;
    ++in_a;
    auto other = b.find(it.key());
    if (other == b.end() || *other != *it) return false;
  }
  for (auto it = b.begin(); it != b.end(); ++it) in_b += !skip(it.key());
  return in_a == in_b;
}

}  // namespace

Json& MetadataOf(Json& object) {
  Json& metadata = object["metadata"];
  if (!metadata.is_object()) metadata = Json::object();
  return metadata;
}

Status StampCreate(const Kind& kind, const std::string& ns, const std::string& uid, Time now, Json& object) {
  Json& metadata = MetadataOf(object);
  const std::string revision = StringAt(metadata, "resourceVersion");
  if (!revision.empty() && revision != "0") {
    return Status::Internal("resourceVersion should not be set on objects to be created");
  }
  metadata.erase("resourceVersion");
  for (const char* field : kServerFields) metadata.erase(field);
  if (kind.namespaced) {
    const std::string body_ns = StringAt(metadata, "namespace");
    if (!body_ns.empty() && body_ns != ns) {
      return Status::BadRequest(
          "the namespace of the provided object does not match the namespace sent on the request");
    }
    metadata["namespace"] = ns;
  } else {
    // As upstream: charts that put a namespace on cluster-scoped objects are common.
    metadata.erase("namespace");
  }
  metadata["uid"] = uid;
  metadata["creationTimestamp"] = FormatTime(now);
  if (kind.has_generation) metadata["generation"] = 1;
  object["apiVersion"] = kind.gvk.api_version();
  object["kind"] = kind.gvk.kind;
  return {};
}

Status StampUpdate(const Kind& kind, const std::string& ns, const std::string& name, const Json& old, Json& object) {
  Json& metadata = MetadataOf(object);
  const std::string body_name = StringAt(metadata, "name");
  if (!body_name.empty() && body_name != name) {
    return Status::BadRequest("the name of the object (" + body_name + ") does not match the name on the URL (" + name +
                              ")");
  }
  const std::string body_ns = StringAt(metadata, "namespace");
  if (kind.namespaced && !body_ns.empty() && body_ns != ns) {
    return Status::BadRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  const Json& before = old.at("metadata");
  const std::string uid = StringAt(metadata, "uid");
  const std::string old_uid = StringAt(before, "uid");
  if (!uid.empty() && uid != old_uid) {
    return Status::Conflict(kind.plural, kind.gvk.group, name,
                            "Precondition failed: UID in precondition: " + uid + ", UID in object meta: " + old_uid);
  }
  metadata["name"] = name;
  if (kind.namespaced) {
    metadata["namespace"] = ns;
  } else {
    metadata.erase("namespace");
  }
  for (const char* field : kServerFields) {
    if (auto it = before.find(field); it != before.end()) {
      metadata[field] = *it;
    } else {
      metadata.erase(field);
    }
  }
  if (auto it = before.find("generateName"); it != before.end()) metadata["generateName"] = *it;
  object["apiVersion"] = kind.gvk.api_version();
  object["kind"] = kind.gvk.kind;
  return {};
}

void BumpGeneration(const Kind& kind, const Json& old, Json& object) {
  if (!kind.has_generation) return;
  const int64_t before = IntAt(old, "metadata.generation");
  if (!SameBody(old, object, true)) object["metadata"]["generation"] = before + 1;
}

Result<std::optional<uint64_t>> RevisionPrecondition(const Json& object) {
  const std::string text = StringAt(object, "metadata.resourceVersion");
  if (text.empty() || text == "0") return std::optional<uint64_t>();
  uint64_t revision = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Status::BadRequest("metadata.resourceVersion: Invalid value: \"" + text + "\": must be a decimal number");
  }
  return std::optional<uint64_t>(revision);
}

bool SameButRevision(const Json& a, const Json& b) {
  if (!SameBody(a, b, false)) return false;
  const Json& left = a.at("metadata");
  const Json& right = b.at("metadata");
  size_t in_left = 0, in_right = 0;
  for (auto it = left.begin(); it != left.end(); ++it) {
    if (it.key() == "resourceVersion") continue;
    ++in_left;
    auto other = right.find(it.key());
    if (other == right.end() || *other != *it) return false;
  }
  for (auto it = right.begin(); it != right.end(); ++it) in_right += it.key() != "resourceVersion";
  return in_left == in_right;
}

}  // namespace wherry
