#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/quantity.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

constexpr std::string_view kPvcProtection = "kubernetes.io/pvc-protection";
constexpr std::string_view kPvProtection = "kubernetes.io/pv-protection";

// The fields of a PersistentVolume's spec that do not say where the volume is.
bool IsSource(std::string_view field) {
  static constexpr std::string_view kOthers[] = {"accessModes",      "capacity",
                                                 "claimRef",         "mountOptions",
                                                 "nodeAffinity",     "persistentVolumeReclaimPolicy",
                                                 "storageClassName", "volumeAttributesClassName",
                                                 "volumeMode"};
  return !std::binary_search(std::begin(kOthers), std::end(kOthers), field);
}

Json SourceOf(const Json& volume) {
  Json source = Json::object();
  for (const auto& [field, value] : MapAt(volume, "spec")) {
    if (IsSource(field) && !value.is_null()) source[field] = value;
  }
  return source;
}

void AddFinalizer(Json& object, std::string_view finalizer) {
  Json& finalizers = object["metadata"]["finalizers"];
  if (!finalizers.is_array()) finalizers = Json::array();
  if (std::find(finalizers.begin(), finalizers.end(), finalizer) == finalizers.end()) finalizers.push_back(finalizer);
}

void CheckQuantityPositive(const Json& quantity, const std::string& path, Refusals& out) {
  if (!quantity.is_string()) return;
  const Result<Quantity> parsed = Quantity::Parse(quantity.get_ref<const std::string&>());
  if (!parsed.ok()) {
    out.Add(Invalid(path, quantity, parsed.status().message()));
  } else if (parsed->Compare(Quantity()) <= 0) {
    out.Add(Invalid(path, quantity, "must be greater than zero"));
  }
}

// ReadWriteOncePod promises that nobody else has the volume, which the other modes would break (KEP-2485).
void CheckAccessModes(const Json& spec, const std::string& path, Refusals& out) {
  bool one_pod = false, others = false;
  for (const Json& mode : ListAt(spec, "accessModes")) (mode == "ReadWriteOncePod" ? one_pod : others) = true;
  if (one_pod && others) {
    out.Add(Forbidden(Child(path, "accessModes"), "may not use ReadWriteOncePod with other access modes"));
  }
}

void CheckClassName(const Json& spec, const std::string& path, Refusals& out) {
  const std::string& name = StringAt(spec, "storageClassName");
  if (!name.empty()) out.AddIf(Child(path, "storageClassName"), name, CheckDns1123Subdomain(name));
}

void CheckCapacity(const Json& spec, Refusals& out) {
  const std::string path = "spec.capacity";
  const auto& capacity = MapAt(spec, "capacity");
  if (capacity.empty()) {
    out.Add(Required(path));
    return;
  }
  if (capacity.size() > 1 || !capacity.contains("storage")) {
    out.Add(NotSupported(path, At(spec, "capacity"), {"storage"}));
  }
  for (const auto& [resource, quantity] : capacity) CheckQuantityPositive(quantity, Key(path, resource), out);
}

// Of "/a/../b//." and the like: is it the root of the file system?
bool IsRoot(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (part != ".." && part != "." && !part.empty()) parts.push_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts.empty();
}

void CheckSource(const Json& volume, Refusals& out) {
  const Json& spec = At(volume, "spec");
  size_t sources = 0;
  const Json source = SourceOf(volume);
  for (const auto& [field, value] : source.items()) {
    if (++sources > 1) out.Add(Forbidden(Child("spec", field), "may not specify more than 1 volume type"));
  }
  if (sources == 0) out.Add(Required("spec", "must specify a volume type"));
  if (Has(spec, "hostPath")) {
    CheckHostPath(At(spec, "hostPath"), "spec.hostPath", out);
    if (StringAt(spec, "persistentVolumeReclaimPolicy") == "Recycle" && IsRoot(StringAt(spec, "hostPath.path"))) {
      out.Add(Forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"));
    }
  }
  if (Has(spec, "local")) {
    CheckHostPath(At(spec, "local"), "spec.local", out);
    if (!Has(spec, "nodeAffinity.required")) {
      out.Add(Required("spec.nodeAffinity", "Local volume requires node affinity"));
    }
  }
  if (Has(spec, "nfs") && !StringAt(spec, "nfs.path").starts_with('/')) {
    out.Add(Invalid("spec.nfs.path", StringAt(spec, "nfs.path"), "must be an absolute path"));
  }
}

void CheckVolumeUpdate(const Json& volume, const Json& old, Refusals& out) {
  if (SourceOf(volume) != SourceOf(old)) {
    out.Add(Forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"));
  }
  if (At(volume, "spec.volumeMode") != At(old, "spec.volumeMode")) {
    out.Add(Invalid("volumeMode", At(volume, "spec.volumeMode"), "field is immutable"));
  }
  if (Has(old, "spec.nodeAffinity") && At(volume, "spec.nodeAffinity") != At(old, "spec.nodeAffinity")) {
    out.Add(Invalid("nodeAffinity", At(volume, "spec.nodeAffinity"), "field is immutable"));
  }
}

Quantity StorageAt(const Json& object, std::string_view path) {
  const Result<Quantity> parsed = Quantity::Parse(StringAt(object, path, "0"));
  return parsed.ok() ? *parsed : Quantity();
}

void SetOrErase(Json& spec, const char* field, const Json& value) {
  if (value.is_null()) {
    spec.erase(field);
  } else {
    spec[field] = value;
  }
}

// A claim never changes what it asks for, but for these: it gets its volume and, late, the default class, and once
// bound it may grow or take another attributes class.
void CheckClaimUpdate(const Json& claim, const Json& old, Refusals& out) {
  Json now = At(claim, "spec");
  const Json& before = At(old, "spec");
  if (!now.is_object() || !before.is_object()) return;
  if (StringAt(before, "volumeName").empty()) SetOrErase(now, "volumeName", At(before, "volumeName"));
  const bool had_class = Has(before, "storageClassName") ||
                         MapAt(old, "metadata.annotations").contains("volume.beta.kubernetes.io/storage-class");
  if (!had_class && Has(now, "storageClassName")) now.erase("storageClassName");
  if (StringAt(claim, "status.phase") == "Bound") {
    if (Has(now, "resources.requests") && Has(before, "resources.requests.storage")) {
      now["resources"]["requests"]["storage"] = At(before, "resources.requests.storage");
    }
    SetOrErase(now, "volumeAttributesClassName", At(before, "volumeAttributesClassName"));
  }
  if (now != before) {
    out.Add(Forbidden("spec",
                      "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                      "bound claims"));
  }
  const std::string size = "spec.resources.requests.storage";
  const Quantity asked = StorageAt(claim, size);
  if (asked.Compare(StorageAt(old, size)) < 0 && asked.Compare(StorageAt(old, "status.capacity.storage")) <= 0) {
    out.Add(Forbidden(size, "field can not be less than status.capacity"));
  }
}

void CheckTopologies(const Json& storage_class, Refusals& out) {
  const auto& terms = ListAt(storage_class, "allowedTopologies");
  for (size_t i = 0; i < terms.size(); ++i) {
    std::set<std::string> keys;
    const std::string list = Child(Item("allowedTopologies", i), "matchLabelExpressions");
    const auto& expressions = ListAt(terms[i], "matchLabelExpressions");
    for (size_t j = 0; j < expressions.size(); ++j) {
      const std::string at = Item(list, j);
      const std::string& key = StringAt(expressions[j], "key");
      out.AddIf(Child(at, "key"), key, CheckQualifiedName(key));
      if (!keys.insert(key).second) out.Add(Duplicate(Child(at, "key"), ""));
      std::set<Json> values;
      const auto& listed = ListAt(expressions[j], "values");
      if (listed.empty()) out.Add(Required(Child(at, "values")));
      for (size_t k = 0; k < listed.size(); ++k) {
        if (!values.insert(listed[k]).second) out.Add(Duplicate(Item(Child(at, "values"), k), listed[k]));
      }
    }
  }
}

}  // namespace

// Storage that is in use outlives its deletion: the finalizer is there before anybody can use it (KEP-2644).
void CreateVolume(Json& volume) {
  volume["status"] = {{"phase", "Pending"}};
  AddFinalizer(volume, kPvProtection);
}

void CreateClaim(Json& claim) {
  claim["status"] = {{"phase", "Pending"}};
  AddFinalizer(claim, kPvcProtection);
}

void ValidatePersistentVolume(const Json& volume, const Json* old, FieldErrors& errors) {
  if (Unchanged(volume, old, "spec")) return;
  Refusals out(errors);
  const Json& spec = At(volume, "spec");
  if (ListAt(spec, "accessModes").empty()) out.Add(Required("spec.accessModes"));
  CheckAccessModes(spec, "spec", out);
  CheckCapacity(spec, out);
  if (Has(spec, "nodeAffinity")) {
    if (Has(spec, "nodeAffinity.required")) {
      CheckNodeSelector(At(spec, "nodeAffinity.required"), "spec.nodeAffinity.required", out);
    } else {
      out.Add(Required("spec.nodeAffinity.required", "must specify required node constraints"));
    }
  }
  CheckSource(volume, out);
  CheckClassName(spec, "spec", out);
  if (old != nullptr) CheckVolumeUpdate(volume, *old, out);
}

void CheckClaimSpec(const Json& spec, const std::string& path, Refusals& out) {
  if (ListAt(spec, "accessModes").empty()) {
    out.Add(Required(Child(path, "accessModes"), "at least 1 access mode is required"));
  }
  CheckAccessModes(spec, path, out);
  CheckLabelSelector(At(spec, "selector"), Child(path, "selector"), out);
  const std::string storage = Key(Child(path, "resources"), "storage");
  if (Has(spec, "resources.requests.storage")) {
    CheckQuantityPositive(At(spec, "resources.requests.storage"), storage, out);
  } else {
    out.Add(Required(storage));
  }
  CheckClassName(spec, path, out);
}

void ValidatePersistentVolumeClaim(const Json& claim, const Json* old, FieldErrors& errors) {
  if (Unchanged(claim, old, "spec")) return;
  Refusals out(errors);
  CheckClaimSpec(At(claim, "spec"), "spec", out);
  if (old != nullptr) CheckClaimUpdate(claim, *old, out);
}

void ValidateStorageClass(const Json& storage_class, const Json* old, FieldErrors& errors) {
  static constexpr size_t kMaxParameters = 512;
  Refusals out(errors);
  if (old == nullptr) {
    const std::string& provisioner = StringAt(storage_class, "provisioner");
    if (!provisioner.empty()) {
      std::string lower = provisioner;
      std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
      out.AddIf("provisioner", provisioner, CheckQualifiedName(lower));
    }
    const auto& parameters = MapAt(storage_class, "parameters");
    if (parameters.size() > kMaxParameters) out.Add(TooMany("parameters", parameters.size(), kMaxParameters));
    if (parameters.contains("")) out.Add(Invalid("parameters", "", "field can not be empty."));
  } else {
    for (const char* field : {"parameters", "provisioner", "reclaimPolicy"}) {
      if (At(storage_class, field) != At(*old, field)) {
        out.Add(Forbidden(field, std::string("updates to ") + field + " are forbidden."));
      }
    }
    CheckImmutable(storage_class, *old, "volumeBindingMode", out);
  }
  CheckTopologies(storage_class, out);
}

}  // namespace wherry::rules
