#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/kinds/schema.h"
#include "store/json.h"
#include "store/object.h"
#include "store/status.h"

namespace wherry {

struct GroupVersionKind {
  std::string group, version, kind;
  bool operator==(const GroupVersionKind&) const = default;
  // "apps/v1", or "v1" for the core group.
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
};

// One refused field: becomes a cause of a 422. `reason` is FieldValueRequired, FieldValueInvalid,
// FieldValueNotSupported, FieldValueForbidden, FieldValueDuplicate, FieldValueNotFound, FieldValueTooLong or
// FieldValueTypeInvalid; `message` the text after the path ("Required value", `Invalid value: "x": must be …`).
struct FieldError {
  std::string field;
  std::string reason;
  std::string message;
};
using FieldErrors = std::vector<FieldError>;

// A printer column of the server-side Table. `priority` 1 = only with -o wide.
struct Column {
  std::string name, type, format, description;
  int priority = 0;
  std::string path;     // where the cell is found, "spec.replicas"; or
  std::string printer;  // the name of a cell function in core/kinds/printers.cc
};

struct Subresource {
  std::string name;      // "status", "scale", "log"
  GroupVersionKind gvk;  // of what is exchanged there
  std::vector<std::string> verbs;
};

struct Kind;

// The rules of a subresource that exchanges the whole object and lets only a part of it change
// (pods/ephemeralcontainers). Pure functions of the documents.
struct PartRules {
  // `old` with that part of what was sent; whatever else was sent is passed over.
  std::function<Json(const Json& sent, const Json& old)> take;
  // After the schema's checks, in place of the kind's own.
  std::function<void(const Json& object, const Json& old, FieldErrors& errors)> validate;
};

// Cross-field rules of one kind, beside its data. Any may be empty. Pure functions of the documents.
struct KindHooks {
  // After the schema's own defaults (e.g. imagePullPolicy by tag).
  std::function<void(Json& object)> set_defaults;
  // Server-side preparation on create and on update: drops or resets what clients may not set (status, generation …).
  std::function<void(Json& object)> prepare_create;
  std::function<void(Json& object, const Json& old)> prepare_update;
  // After defaults and admission, on create: what follows from what they made of the object.
  std::function<void(Json& object)> conclude_create;
  // After the schema's own checks. `old` is null on create.
  std::function<void(const Json& object, const Json* old, FieldErrors& errors)> validate;
  // Conversions of a kind that is a view of another version's storage (`storage` set).
  std::function<Json(const Json& stored)> from_storage;
  std::function<Json(const Json& view)> to_storage;
  std::map<std::string, PartRules, std::less<>> parts;  // by subresource
};

// A kind as data (DESIGN, decision 1): what the registry, discovery, OpenAPI, tables, patches and protobuf derive from.
// Constant after the catalog is built (later: until its CRD changes).
struct Kind {
  GroupVersionKind gvk;
  std::string plural, singular, list_kind;
  std::string resource;  // the store's name: plural, "." group when not core
  std::vector<std::string> short_names, categories;
  bool namespaced = true;
  bool has_status = false;                       // status is a subresource: main writes drop it
  bool has_generation = false;                   // metadata.generation counts spec changes
  bool create_on_update = false;                 // PUT of an absent object creates it
  bool unconditional_update = true;              // PUT without resourceVersion is allowed
  bool returns_deleted_object = false;           // DELETE answers with the object also when it went at once (pods)
  bool is_custom = false;                        // from a CRD: no strategic merge, list items carry kind and apiVersion
  std::string name_format = "dns1123subdomain";  // or dns1123label, dns1035label, path
  std::vector<std::string> verbs;
  std::vector<Subresource> subresources;
  std::vector<Column> columns;
  // Field selectors: label → path in the document ("status.phase"). metadata.name and metadata.namespace always work.
  std::map<std::string, std::string, std::less<>> selectable;
  const Type* type = nullptr;
  const Kind* storage = nullptr;  // null = this version is the stored one
  KindHooks hooks;

  const Subresource* FindSubresource(std::string_view name) const;
  const PartRules* FindPart(std::string_view subresource) const;
  // "deployments.apps", as errors name it.
  std::string qualified_plural() const { return gvk.group.empty() ? plural : plural + "." + gvk.group; }
};

// Every kind that is served. Built once from the embedded schema files; control thread afterwards.
class KindCatalog {
 public:
  // The built-in kinds. Aborts with a message on a mistake in the embedded data (a bug, found by any test).
  static std::shared_ptr<KindCatalog> BuiltIn();

  const Kind* Find(std::string_view group, std::string_view version, std::string_view plural) const;
  const Kind* FindGvk(std::string_view group, std::string_view version, std::string_view kind) const;
  // The stored version of a store resource ("daemonsets.apps").
  const Kind* FindResource(std::string_view resource) const;
  // In discovery order: groups as upstream lists them, versions newest first.
  std::span<const std::unique_ptr<Kind>> kinds() const { return kinds_; }
  // Resources that answer a POST and store nothing (reviews, bindings): in discovery, not in the Find functions above.
  std::span<const std::unique_ptr<Kind>> virtual_kinds() const { return virtual_kinds_; }
  const Kind* FindVirtual(std::string_view group, std::string_view version, std::string_view plural) const;
  // A type by its upstream name, e.g. ("meta.v1", "DeleteOptions"); null when unknown.
  const Type* FindType(std::string_view package, std::string_view name) const;
  // Types of request and answer bodies that are no stored kinds (DeleteOptions, Scale, Binding, Eviction, reviews …).
  const Type* FindBodyType(const GroupVersionKind& gvk) const;

 private:
  friend class CatalogBuilder;
  struct Rep;
  std::vector<std::unique_ptr<Kind>> kinds_;
  std::vector<std::unique_ptr<Kind>> virtual_kinds_;
  std::shared_ptr<Rep> rep_;
};

}  // namespace wherry
