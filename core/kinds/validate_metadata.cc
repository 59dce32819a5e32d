#include "core/kinds/validate_metadata.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/kinds/field_error.h"
#include "core/kinds/names.h"

namespace wherry {
namespace {

constexpr size_t kMaxAnnotationBytes = 256 * 1024;
constexpr std::array<std::string_view, 3> kStandardFinalizers = {"orphan", "foregroundDeletion", "kubernetes"};

std::string_view Text(const Json& object, std::string_view name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? std::string_view(it->get_ref<const std::string&>())
                                               : std::string_view();
}

const Json& Part(const Json& object, std::string_view name) {
  static const Json kNone;
  if (!object.is_object()) return kNone;
  const auto it = object.find(name);
  return it == object.end() ? kNone : *it;
}

void Check(NameCheck check, std::string_view value, std::string path, FieldErrors& errors) {
  if (!check) return;
  if (const std::string why = check(value); !why.empty()) errors.push_back(Invalid(std::move(path), Json(value), why));
}

void ValidateName(const Kind& kind, const Json& metadata, FieldErrors& errors) {
  const NameCheck check = FindNameCheck(kind.name_format);
  const std::string_view name = Text(metadata, "name");
  std::string prefix(Text(metadata, "generateName"));
  if (!prefix.empty()) {
    // A random part follows, so the prefix may end in what a name may not end in.
    if (prefix.size() > 1 && prefix.back() == '-') prefix.back() = 'a';
    if (const std::string why = check ? check(prefix) : ""; !why.empty()) {
      errors.push_back(Invalid("metadata.generateName", Json(Text(metadata, "generateName")), why));
    }
  }
  if (!name.empty()) {
    Check(check, name, "metadata.name", errors);
  } else if (prefix.empty()) {
    errors.push_back(Required("metadata.name", "name or generateName is required"));
  }
  const std::string_view ns = Text(metadata, "namespace");
  if (!kind.namespaced) {
    if (!ns.empty()) errors.push_back(Forbidden("metadata.namespace", "not allowed on this type"));
  } else if (ns.empty()) {
    errors.push_back(Required("metadata.namespace"));
  } else {
    Check(CheckDns1123Label, ns, "metadata.namespace", errors);
  }
}

void ValidateAnnotations(const Json& annotations, FieldErrors& errors) {
  if (!annotations.is_object()) return;
  size_t total = 0;
  for (const auto& [key, value] : annotations.items()) {
    total += key.size() + (value.is_string() ? value.get_ref<const std::string&>().size() : 0);
    // Keys are compared without regard to case, so capitals in the prefix are let pass.
    std::string lower = key;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
    if (const std::string why = CheckQualifiedName(lower); !why.empty()) {
      errors.push_back(Invalid("metadata.annotations", Json(key), why));
    }
  }
  if (total > kMaxAnnotationBytes) errors.push_back(TooLong("metadata.annotations", kMaxAnnotationBytes));
}

void ValidateOwners(const Json& owners, FieldErrors& errors) {
  if (!owners.is_array()) return;
  std::string_view controller;
  for (const Json& owner : owners) {
    if (!owner.is_object() || owner.value("controller", Json(false)) != true) continue;
    const std::string_view name = Text(owner, "name");
    if (!controller.empty()) {
      errors.push_back(Invalid("metadata.ownerReferences", owners,
                               "only one owner can be the controller, but both " + std::string(controller) + " and " +
                                   std::string(name) + " are"));
    }
    controller = name;
  }
}

void ValidateFinalizers(const Json& finalizers, FieldErrors& errors) {
  if (!finalizers.is_array()) return;
  bool orphan = false, foreground = false;
  for (size_t i = 0; i < finalizers.size(); ++i) {
    if (!finalizers[i].is_string()) continue;
    const std::string& name = finalizers[i].get_ref<const std::string&>();
    orphan = orphan || name == "orphan";
    foreground = foreground || name == "foregroundDeletion";
    const std::string path = Item("metadata.finalizers", i);
    if (const std::string why = CheckQualifiedName(name); !why.empty()) {
      errors.push_back(Invalid(path, finalizers[i], why));
    } else if (name.find('/') == std::string::npos &&
               std::find(kStandardFinalizers.begin(), kStandardFinalizers.end(), name) == kStandardFinalizers.end()) {
      errors.push_back(
          Invalid(path, finalizers[i], "name is neither a standard finalizer name nor is it fully qualified"));
    }
  }
  if (orphan && foreground) {
    errors.push_back(Invalid("metadata.finalizers", finalizers,
                             "finalizer orphan and finalizer foregroundDeletion cannot be both set"));
  }
}

void ValidateUpdate(const Json& metadata, const Json& old, FieldErrors& errors) {
  for (const char* name : {"name", "namespace", "uid", "creationTimestamp"}) {
    const std::string_view value = Text(metadata, name);
    if (!value.empty() && value != Text(old, name)) {
      errors.push_back(Invalid(Child("metadata", name), Json(value), "field is immutable"));
    }
  }
  if (Text(old, "deletionTimestamp").empty()) return;
  const Json& before = Part(old, "finalizers");
  const Json& now = Part(metadata, "finalizers");
  Json added = Json::array();
  if (now.is_array()) {
    for (const Json& finalizer : now) {
      if (!before.is_array() || std::find(before.begin(), before.end(), finalizer) == before.end())
        added.push_back(finalizer);
    }
  }
  if (!added.empty()) {
    errors.push_back(Forbidden(
        "metadata.finalizers",
        "no new finalizers can be added if the object is being deleted, found new finalizers " + added.dump()));
  }
}

}  // namespace

void ValidateLabels(const Json& labels, const std::string& path, FieldErrors& errors) {
  if (!labels.is_object()) return;
  for (const auto& [key, value] : labels.items()) {
    Check(CheckQualifiedName, key, path, errors);
    if (value.is_string()) Check(CheckLabelValue, value.get_ref<const std::string&>(), path, errors);
  }
}

void ValidateMetadata(const Kind& kind, const Json& object, const Json* old, FieldErrors& errors) {
  const Json& metadata = Part(object, "metadata");
  if (!metadata.is_object()) {
    errors.push_back(Required("metadata"));
    return;
  }
  ValidateName(kind, metadata, errors);
  if (const Json& generation = Part(metadata, "generation"); generation.is_number_integer() && generation < 0) {
    errors.push_back(Invalid("metadata.generation", generation, "must be greater than or equal to 0"));
  }
  ValidateLabels(Part(metadata, "labels"), "metadata.labels", errors);
  ValidateAnnotations(Part(metadata, "annotations"), errors);
  ValidateOwners(Part(metadata, "ownerReferences"), errors);
  ValidateFinalizers(Part(metadata, "finalizers"), errors);
  if (old) ValidateUpdate(metadata, Part(*old, "metadata"), errors);
}

}  // namespace wherry
