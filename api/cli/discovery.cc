#include "api/cli/discovery.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <sstream>

#include "api/http/message.h"

namespace wherry::cli {
namespace {

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::vector<std::string> Strings(const Json& object, const char* field) {
  std::vector<std::string> out;
  const auto it = object.find(field);
  if (it == object.end() || !it->is_array()) return out;
  for (const Json& one : *it) {
    if (one.is_string()) out.push_back(one.get<std::string>());
  }
  return out;
}

bool Holds(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// How many single-letter edits apart two words are.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// True when "apps" or "v1.apps" is the type's group, or begins it as in "networking" for networking.k8s.io.
bool InGroup(const ResourceType& type, std::string_view suffix) {
  if (suffix.empty()) return true;
  if (type.group == suffix || type.group.starts_with(std::string(suffix) + ".")) return true;
  return suffix == type.version + "." + type.group || (type.group.empty() && suffix == type.version);
}

}  // namespace

bool ResourceType::Can(std::string_view verb) const { return Holds(verbs, verb); }

std::string ResourceType::Path(std::string_view name_space) const {
  std::string path = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (namespaced && !name_space.empty()) path += "/namespaces/" + http::PercentEncode(name_space);
  return path + "/" + plural;
}

std::string ResourceType::Path(std::string_view name_space, std::string_view name) const {
  return Path(name_space) + "/" + http::PercentEncode(name);
}

std::vector<ResourceType> ReadResourceList(const Json& list) {
  std::vector<ResourceType> out;
  const std::string group_version = list.value("groupVersion", "");
  const size_t slash = group_version.find('/');
  const auto resources = list.find("resources");
  if (resources == list.end() || !resources->is_array()) return out;
  for (const Json& one : *resources) {
    ResourceType type;
    type.plural = one.value("name", "");
    if (type.plural.empty() || type.plural.find('/') != std::string::npos) continue;
    type.group = slash == std::string::npos ? "" : group_version.substr(0, slash);
    type.version = slash == std::string::npos ? group_version : group_version.substr(slash + 1);
    type.kind = one.value("kind", "");
    type.singular = one.value("singularName", "");
    if (type.singular.empty()) type.singular = Lower(type.kind);
    type.namespaced = one.value("namespaced", false);
    type.short_names = Strings(one, "shortNames");
    type.categories = Strings(one, "categories");
    type.verbs = Strings(one, "verbs");
    out.push_back(std::move(type));
  }
  return out;
}

Result<Discovery> Discovery::Load(Session& session) {
  std::vector<std::string> paths;
  Result<Json> core = session.Get("/api");
  if (!core.ok()) return core.status();
  for (const std::string& version : Strings(*core, "versions")) paths.push_back("/api/" + version);
  Result<Json> groups = session.Get("/apis");
  if (!groups.ok()) return groups.status();
  for (const Json& group : groups->value("groups", Json::array())) {
    // The preferred version comes first, so that it wins.
    const std::string preferred = group.value("preferredVersion", Json::object()).value("groupVersion", "");
    if (!preferred.empty()) paths.push_back("/apis/" + preferred);
    for (const Json& version : group.value("versions", Json::array())) {
      const std::string name = version.value("groupVersion", "");
      if (name != preferred) paths.push_back("/apis/" + name);
    }
  }
  std::vector<ResourceType> types;
  for (const std::string& path : paths) {
    Result<Json> list = session.Get(path);
    if (!list.ok()) return list.status();
    std::vector<ResourceType> some = ReadResourceList(*list);
    types.insert(types.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
  return Discovery(std::move(types));
}

Result<ResourceType> Discovery::Resolve(std::string_view word) const {
  const std::string asked = Lower(word);
  const size_t dot = asked.find('.');
  const std::string name = asked.substr(0, dot);
  const std::string suffix = dot == std::string::npos ? "" : asked.substr(dot + 1);
  using Match = bool (*)(const ResourceType&, const std::string&);
  static constexpr Match kMatches[] = {
      [](const ResourceType& type, const std::string& n) { return type.plural == n; },
      [](const ResourceType& type, const std::string& n) { return type.singular == n; },
      [](const ResourceType& type, const std::string& n) { return Holds(type.short_names, n); },
      [](const ResourceType& type, const std::string& n) { return Lower(type.kind) == n; },
  };
  for (Match match : kMatches) {
    for (const ResourceType& type : types_) {
      if (InGroup(type, suffix) && match(type, name)) return type;
    }
  }
  std::string message = "the server doesn't have a resource type \"" + std::string(word) + "\"";
  size_t nearest = std::max<size_t>(1, name.size() / 3) + 1;
  std::string suggestion;
  for (const ResourceType& type : types_) {
    for (const std::string& candidate : {type.plural, type.singular}) {
      if (const size_t distance = Distance(name, candidate); distance < nearest) {
        nearest = distance;
        suggestion = candidate;
      }
    }
  }
  if (!suggestion.empty()) message += "; did you mean \"" + suggestion + "\"?";
  return Status(Reason::kNotFound, std::move(message));
}

std::vector<ResourceType> Discovery::Category(std::string_view name) const {
  std::vector<ResourceType> out;
  for (const ResourceType& type : types_) {
    if (Holds(type.categories, name)) out.push_back(type);
  }
  return out;
}

const ResourceType* Discovery::FindKind(std::string_view api_version, std::string_view kind) const {
  for (const ResourceType& type : types_) {
    if (type.kind == kind && type.api_version() == api_version) return &type;
  }
  return nullptr;
}

Result<std::vector<Selection>> ResolveArguments(const Discovery& discovery, const std::vector<std::string>& arguments) {
  std::vector<Selection> out;
  if (arguments.empty()) return Status::BadRequest("name a type of objects, such as `pods`");
  const bool slashed = arguments[0].find('/') != std::string::npos;
  if (slashed) {
    for (const std::string& argument : arguments) {
      const size_t slash = argument.find('/');
      if (slash == std::string::npos || slash == 0 || slash + 1 == argument.size()) {
        return Status::BadRequest("\"" + argument + "\" is not TYPE/NAME: that form and TYPE NAME… cannot be mixed");
      }
      Result<ResourceType> type = discovery.Resolve(argument.substr(0, slash));
      if (!type.ok()) return type.status();
      // Neighbours of one type are shown as one table.
      if (!out.empty() && out.back().type.Path("") == type->Path("")) {
        out.back().names.push_back(argument.substr(slash + 1));
      } else {
        out.push_back({std::move(*type), {argument.substr(slash + 1)}});
      }
    }
    return out;
  }
  const std::vector<std::string> names(arguments.begin() + 1, arguments.end());
  for (const std::string& name : names) {
    if (name.find('/') != std::string::npos) {
      return Status::BadRequest("\"" + name + "\" is not a name: TYPE/NAME and TYPE NAME… cannot be mixed");
    }
  }
  std::istringstream words(arguments[0]);
  for (std::string word; std::getline(words, word, ',');) {
    if (word.empty()) continue;
    std::vector<ResourceType> members = discovery.Category(word);
    if (!members.empty()) {
      if (!names.empty()) return Status::BadRequest("names cannot be given with the category \"" + word + "\"");
      for (ResourceType& type : members) out.push_back({std::move(type), {}});
      continue;
    }
    Result<ResourceType> type = discovery.Resolve(word);
    if (!type.ok()) return type.status();
    out.push_back({std::move(*type), names});
  }
  if (out.empty()) return Status::BadRequest("name a type of objects, such as `pods`");
  return out;
}

}  // namespace wherry::cli
