#include <cstdio>
#include <cstdlib>
#include <exception>

#include "core/kinds/catalog_builder.h"
#include "core/kinds/embedded.h"

namespace wherry {
namespace {

template <typename Map>
auto Lookup(const Map& map, const std::string& key) -> typename Map::mapped_type {
  auto it = map.find(key);
  return it == map.end() ? nullptr : it->second;
}

}  // namespace

std::string GvkKey(std::string_view group, std::string_view version, std::string_view name) {
  std::string key;
  key.reserve(group.size() + version.size() + name.size() + 2);
  key.append(group).append(1, '/').append(version).append(1, '/').append(name);
  return key;
}

const Subresource* Kind::FindSubresource(std::string_view wanted) const {
  for (const Subresource& subresource : subresources) {
    if (subresource.name == wanted) return &subresource;
  }
  return nullptr;
}

const PartRules* Kind::FindPart(std::string_view subresource) const {
  const auto it = hooks.parts.find(subresource);
  return it == hooks.parts.end() ? nullptr : &it->second;
}

std::shared_ptr<KindCatalog> KindCatalog::BuiltIn() {
  try {
    CatalogBuilder builder;
    for (std::string_view text : EmbeddedSchemas()) builder.Add(text);
    return builder.Finish();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "core/kinds/schemas: %s\n", error.what());
    std::abort();
  }
}

const Kind* KindCatalog::Find(std::string_view group, std::string_view version, std::string_view plural) const {
  return Lookup(rep_->by_plural, GvkKey(group, version, plural));
}

const Kind* KindCatalog::FindVirtual(std::string_view group, std::string_view version, std::string_view plural) const {
  return Lookup(rep_->virtual_by_plural, GvkKey(group, version, plural));
}

const Kind* KindCatalog::FindGvk(std::string_view group, std::string_view version, std::string_view kind) const {
  return Lookup(rep_->by_kind, GvkKey(group, version, kind));
}

const Kind* KindCatalog::FindResource(std::string_view resource) const {
  return Lookup(rep_->by_resource, std::string(resource));
}

const Type* KindCatalog::FindType(std::string_view package, std::string_view name) const {
  auto it = rep_->named.find(std::pair(std::string(package), std::string(name)));
  return it == rep_->named.end() ? nullptr : it->second;
}

const Type* KindCatalog::FindBodyType(const GroupVersionKind& gvk) const {
  if (const Type* type = Lookup(rep_->bodies, GvkKey(gvk.group, gvk.version, gvk.kind))) return type;
  return Lookup(rep_->any_bodies, gvk.kind);
}

}  // namespace wherry
