#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"
#include "core/kinds/printers.h"

namespace wherry {
namespace {

constexpr std::string_view kUnset = "<unset>";

// In a fixed order, whichever way they were listed.
std::string ModeLetters(const std::vector<Json>& modes) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kModes = {
      {{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}}};
  std::string text;
  for (const auto& [mode, letters] : kModes) {
    for (const Json& listed : modes) {
      if (listed != mode) continue;
      text.append(text.empty() ? "" : ",").append(letters);
      break;
    }
  }
  return text;
}

const std::string* Annotation(const Json& object, std::string_view key) {
  const auto& annotations = MapAt(object, "metadata.annotations");
  const auto it = annotations.find(key);
  return it == annotations.end() ? nullptr : it->second.get_ptr<const std::string*>();
}

bool IsTrue(const std::string* annotation) { return annotation != nullptr && *annotation == "true"; }

}  // namespace

namespace printers {

Json PvAccessModes(const Json& volume, Time) { return ModeLetters(ListAt(volume, "spec.accessModes")); }

Json PvClaim(const Json& volume, Time) {
  if (!Has(volume, "spec.claimRef")) return "";
  return StringAt(volume, "spec.claimRef.namespace") + "/" + StringAt(volume, "spec.claimRef.name");
}

// What a claim has is its volume's; until there is one it has nothing, whatever it asks for.
Json PvcAccessModes(const Json& claim, Time) {
  return StringAt(claim, "spec.volumeName").empty() ? "" : ModeLetters(ListAt(claim, "status.accessModes"));
}

Json PvcCapacity(const Json& claim, Time) {
  return StringAt(claim, "spec.volumeName").empty() ? "" : StringAt(claim, "status.capacity.storage", "0");
}

Json StorageClass(const Json& volume_or_claim, Time) {
  const std::string* old_style = Annotation(volume_or_claim, "volume.beta.kubernetes.io/storage-class");
  return old_style != nullptr ? *old_style : StringAt(volume_or_claim, "spec.storageClassName");
}

Json StorageClassExpands(const Json& storage_class, Time) { return BoolAt(storage_class, "allowVolumeExpansion"); }

Json StorageClassName(const Json& storage_class, Time) {
  const bool is_default = IsTrue(Annotation(storage_class, "storageclass.kubernetes.io/is-default-class")) ||
                          IsTrue(Annotation(storage_class, "storageclass.beta.kubernetes.io/is-default-class"));
  return StringAt(storage_class, "metadata.name") + (is_default ? " (default)" : "");
}

Json VolumeAttributesClass(const Json& volume_or_claim, Time) {
  return StringAt(volume_or_claim, "spec.volumeAttributesClassName", kUnset);
}

Json VolumeMode(const Json& volume_or_claim, Time) { return StringAt(volume_or_claim, "spec.volumeMode", kUnset); }

Json VolumePhase(const Json& volume_or_claim, Time) {
  return Has(volume_or_claim, "metadata.deletionTimestamp") ? "Terminating" : StringAt(volume_or_claim, "status.phase");
}

}  // namespace printers
}  // namespace wherry
