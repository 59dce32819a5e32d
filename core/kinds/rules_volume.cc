#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

bool StepsUp(std::string_view path) {
  while (true) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

void CheckItems(const Json& source, const std::string& path, Refusals& out) {
  const auto& items = ListAt(source, "items");
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string at = Item(Child(path, "items"), i);
    if (StringAt(items[i], "key").empty()) out.Add(Required(Child(at, "key")));
    const std::string& target = StringAt(items[i], "path");
    if (target.empty()) {
      out.Add(Required(Child(at, "path")));
    } else {
      out.AddIf(Child(at, "path"), target, CheckLocalPath(target));
    }
  }
}

void CheckDownward(const Json& source, const std::string& path, Refusals& out) {
  const auto& items = ListAt(source, "items");
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string at = Item(Child(path, "items"), i);
    const std::string& target = StringAt(items[i], "path");
    if (target.empty()) {
      out.Add(Required(Child(at, "path")));
    } else {
      out.AddIf(Child(at, "path"), target, CheckLocalPath(target));
    }
    const bool field = Has(items[i], "fieldRef"), resource = Has(items[i], "resourceFieldRef");
    if (field && resource) {
      out.Add(Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"));
    }
    if (!field && !resource) out.Add(Required(at, "one of fieldRef and resourceFieldRef is required"));
  }
}

void CheckProjected(const Json& projected, const std::string& path, Refusals& out) {
  const auto& sources = ListAt(projected, "sources");
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string at = Item(Child(path, "sources"), i);
    size_t found = 0;
    for (const char* type :
         {"secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"}) {
      const Json& source = At(sources[i], type);
      if (source.is_null()) continue;
      const std::string source_path = Child(at, type);
      if (++found > 1) out.Add(Forbidden(source_path, "may not specify more than 1 volume type per source"));
      const bool named = std::string_view(type) == "secret" || std::string_view(type) == "configMap";
      if (named && StringAt(source, "name").empty()) out.Add(Required(Child(source_path, "name")));
      if (named) CheckItems(source, source_path, out);
      if (std::string_view(type) == "downwardAPI") CheckDownward(source, source_path, out);
    }
    if (found == 0) out.Add(Required(at, "must specify a source type"));
  }
}

void CheckSource(const Json& volume, const std::string& path, Refusals& out) {
  if (Has(volume, "hostPath")) CheckHostPath(At(volume, "hostPath"), Child(path, "hostPath"), out);
  if (Has(volume, "emptyDir")) {
    CheckQuantityNotNegative(At(volume, "emptyDir.sizeLimit"), Child(path, "emptyDir.sizeLimit"), out);
  }
  if (Has(volume, "secret")) {
    if (StringAt(volume, "secret.secretName").empty()) out.Add(Required(Child(path, "secret.secretName")));
    CheckItems(At(volume, "secret"), Child(path, "secret"), out);
  }
  if (Has(volume, "configMap")) {
    if (StringAt(volume, "configMap.name").empty()) out.Add(Required(Child(path, "configMap.name")));
    CheckItems(At(volume, "configMap"), Child(path, "configMap"), out);
  }
  if (Has(volume, "downwardAPI")) CheckDownward(At(volume, "downwardAPI"), Child(path, "downwardAPI"), out);
  if (Has(volume, "projected")) CheckProjected(At(volume, "projected"), Child(path, "projected"), out);
  if (Has(volume, "persistentVolumeClaim") && StringAt(volume, "persistentVolumeClaim.claimName").empty()) {
    out.Add(Required(Child(path, "persistentVolumeClaim.claimName")));
  }
  if (Has(volume, "ephemeral")) {
    const std::string at = Child(path, "ephemeral.volumeClaimTemplate");
    if (Has(volume, "ephemeral.volumeClaimTemplate")) {
      CheckClaimSpec(At(volume, "ephemeral.volumeClaimTemplate.spec"), Child(at, "spec"), out);
    } else {
      out.Add(Required(at));
    }
  }
  if (Has(volume, "nfs") && !StringAt(volume, "nfs.path").starts_with('/')) {
    out.Add(Invalid(Child(path, "nfs.path"), StringAt(volume, "nfs.path"), "must be an absolute path"));
  }
}

}  // namespace

void CheckHostPath(const Json& source, const std::string& path, Refusals& out) {
  const std::string& target = StringAt(source, "path");
  if (target.empty()) {
    out.Add(Required(Child(path, "path")));
  } else if (StepsUp(target)) {
    out.Add(Invalid(Child(path, "path"), target, "must not contain '..'"));
  }
}

std::string CheckLocalPath(std::string_view path) {
  if (path.starts_with('/')) return "must be a relative path";
  return StepsUp(path) ? "must not contain '..'" : "";
}

void CheckVolumes(const Json& spec, const std::string& path, Refusals& out) {
  std::set<std::string> names;
  const auto& volumes = ListAt(spec, "volumes");
  for (size_t i = 0; i < volumes.size(); ++i) {
    const std::string at = Item(Child(path, "volumes"), i);
    const std::string& name = StringAt(volumes[i], "name");
    if (name.empty()) {
      out.Add(Required(Child(at, "name")));
    } else {
      out.AddIf(Child(at, "name"), name, CheckDns1123Label(name));
      if (!names.insert(name).second) out.Add(Duplicate(Child(at, "name"), name));
    }
    // Every field but the name is a source.
    size_t sources = 0;
    for (const auto& [field, value] : volumes[i].items()) {
      if (field == "name" || value.is_null()) continue;
      if (++sources > 1) out.Add(Forbidden(Child(at, field), "may not specify more than 1 volume type"));
    }
    if (sources == 0) out.Add(Required(at, "must specify a volume type"));
    CheckSource(volumes[i], at, out);
  }
}

}  // namespace wherry::rules
