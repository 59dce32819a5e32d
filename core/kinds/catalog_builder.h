#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/kinds/kind.h"

namespace wherry {

// What a catalog owns beside its kinds. Constant after the build.
struct KindCatalog::Rep {
  std::deque<Type> types;                                                   // addresses are stable
  std::map<std::pair<std::string, std::string>, Type*, std::less<>> named;  // {"apps.v1", "DaemonSet"}
  std::unordered_map<std::string, const Kind*> by_plural, by_kind, by_resource, virtual_by_plural;
  std::unordered_map<std::string, const Type*> bodies;      // by "group/version/kind"
  std::unordered_map<std::string, const Type*> any_bodies;  // by kind: accepted under every group and version
};

// Reads schema files (docs/kinds.md) into a catalog. Used once, on one thread.
class CatalogBuilder {
 public:
  CatalogBuilder();

  // Reads one file. Throws std::invalid_argument that names the line of a mistake.
  void Add(std::string_view text);
  // Resolves what files refer to across each other. Throws likewise. REQUIRES: called once, last.
  std::shared_ptr<KindCatalog> Finish();

 private:
  struct Package {
    std::string name, group, version, full_prefix;
  };
  void Line(std::string_view line);
  void ReadKind(std::string_view line, bool is_virtual);
  void ReadKindPart(std::string_view line);
  void ReadField(std::string_view line);
  void ReadFlag(Field& field, std::string_view flag);
  GroupVersionKind ReadGvk(std::string_view text) const;
  const Type* ReadType(std::string_view text, Field* field);
  Type* Named(std::string_view package, std::string_view name);
  const Type* Derived(TypeKind kind, const Type* element);
  static std::unique_ptr<Kind> Alias(const Kind& of, const std::string& version);
  void SealAll();
  [[noreturn]] void Fail(std::string_view why) const;

  std::shared_ptr<KindCatalog> catalog_;
  KindCatalog::Rep& rep_;
  Package package_;
  std::map<std::string, Package, std::less<>> packages_;
  std::map<std::pair<std::string, std::string>, std::vector<std::string>, std::less<>> enums_;
  std::map<std::pair<TypeKind, const Type*>, const Type*> derived_;
  const Type* scalars_[16] = {};
  std::unordered_map<const Type*, bool> defined_;
  std::vector<std::pair<Kind*, std::string>> views_;    // kind and the package.Kind it is a view of
  std::vector<std::pair<Kind*, std::string>> aliases_;  // kind and a version it is served under as well
  std::vector<std::pair<Kind*, Type*>> kind_types_;
  Kind* kind_ = nullptr;  // being read
  Type* type_ = nullptr;
  std::string_view line_;
};

std::string GvkKey(std::string_view group, std::string_view version, std::string_view name);

}  // namespace wherry
