#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/cli/session.h"
#include "store/status.h"

namespace wherry::cli {

// One type that the server serves, as discovery tells it.
struct ResourceType {
  std::string group, version, plural, singular, kind;
  bool namespaced = true;
  std::vector<std::string> short_names, categories, verbs;

  bool Can(std::string_view verb) const;
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  std::string qualified_plural() const { return group.empty() ? plural : plural + "." + group; }
  // "daemonset.apps", as objects are named in output.
  std::string qualified_singular() const { return group.empty() ? singular : singular + "." + group; }
  // The path of the collection; `name_space` is ignored for cluster-scoped types, "" = all namespaces.
  std::string Path(std::string_view name_space) const;
  std::string Path(std::string_view name_space, std::string_view name) const;
};

// Every type of a server, in its order of preference.
class Discovery {
 public:
  explicit Discovery(std::vector<ResourceType> types) : types_(std::move(types)) {}
  // Reads the legacy documents: /api, /apis and one per group and version.
  static Result<Discovery> Load(Session& session);

  // By plural, singular, short name or kind (any case), each optionally with ".group" or ".version.group". Plurals win
  // over singulars and those over short names; among equals the first type. The error suggests the nearest name.
  Result<ResourceType> Resolve(std::string_view word) const;
  // The types of a category such as "all"; empty when there is no such category.
  std::vector<ResourceType> Category(std::string_view name) const;
  // Null when the server does not serve it.
  const ResourceType* FindKind(std::string_view api_version, std::string_view kind) const;

  const std::vector<ResourceType>& types() const { return types_; }

 private:
  std::vector<ResourceType> types_;
};

// The types of one APIResourceList, without subresources.
std::vector<ResourceType> ReadResourceList(const Json& list);

// What a command line asks for: a type and the names of its objects (none = all of them).
struct Selection {
  ResourceType type;
  std::vector<std::string> names;
};

// Understands `TYPE[,TYPE…] [NAME…]` and `TYPE/NAME…`.
Result<std::vector<Selection>> ResolveArguments(const Discovery& discovery, const std::vector<std::string>& arguments);

}  // namespace wherry::cli
