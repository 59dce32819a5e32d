#include "core/agent/pod_env.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/kinds/base64.h"
#include "core/kinds/quantity.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr std::string_view kConfigError = "CreateContainerConfigError";

// The two kinds of configuration that a reference may name.
struct ConfigKind {
  const char* env_from;  // field of an envFrom entry
  const char* key_ref;   // field of an env entry's valueFrom
  std::string_view resource;
  const char* lower;  // in "… not found"
  const char* title;  // in "couldn't find key …"
};
constexpr ConfigKind kConfigKinds[] = {
    {"configMapRef", "configMapKeyRef", resources::kConfigMaps, "configmap", "ConfigMap"},
    {"secretRef", "secretKeyRef", resources::kSecrets, "secret", "Secret"},
};

// metadata.labels['key'] and metadata.annotations['key'].
bool SplitSubscript(const std::string& path, std::string* map, std::string* key) {
  const size_t open = path.find("['");
  if (open == std::string::npos || !path.ends_with("']")) return false;
  *map = path.substr(0, open);
  *key = path.substr(open + 2, path.size() - open - 4);
  return true;
}

// A map as the downward API's files show it: key="escaped value" per line.
std::string MapLines(const Json* map) {
  std::string out;
  if (!map || !map->is_object()) return out;
  for (auto it = map->begin(); it != map->end(); ++it) {
    if (!out.empty()) out += '\n';
    out += it.key() + "=" + it->dump();
  }
  return out;
}

const Json* FindContainer(const Json& pod, const std::string& name) {
  for (const char* field : {"spec.containers", "spec.initContainers"}) {
    const Json* list = FindPath(pod, field);
    if (!list || !list->is_array()) continue;
    for (const Json& container : *list) {
      if (StringAt(container, "name") == name) return &container;
    }
  }
  return nullptr;
}

Status AddEnvFrom(const EnvSources& sources, const Json& entry, Environment& env) {
  const std::string ns = StringAt(sources.pod, "metadata.namespace");
  for (const ConfigKind& kind : kConfigKinds) {
    const Json* reference = FindPath(entry, kind.env_from);
    if (!reference) continue;
    const std::string name = StringAt(*reference, "name");
    const JsonPtr config = FindConfig(sources.cache, kind.resource, ns, name);
    if (!config) {
      if (BoolAt(*reference, "optional")) continue;
      return ContainerRefusal(std::string(kConfigError), std::string(kind.lower) + " \"" + name + "\" not found");
    }
    for (const auto& [key, value] : ConfigValues(*config)) {
      // Names a process cannot carry are left out, as upstream does.
      if (key.empty() || key.find('=') != std::string::npos || value.find('\0') != std::string::npos) continue;
      SetVariable(env, StringAt(entry, "prefix") + key, value);
    }
  }
  return {};
}

// The value of an env entry; `*absent` when an optional reference leads nowhere.
Result<std::string> EntryValue(const EnvSources& sources, const Json& entry, const Environment& env, bool* absent) {
  const Json* from = FindPath(entry, "valueFrom");
  if (!from) return ExpandVariables(StringAt(entry, "value"), env);
  if (const Json* field = FindPath(*from, "fieldRef")) return FieldValue(sources, StringAt(*field, "fieldPath"));
  if (const Json* resource = FindPath(*from, "resourceFieldRef")) return ResourceValue(sources, *resource);
  const std::string ns = StringAt(sources.pod, "metadata.namespace");
  for (const ConfigKind& kind : kConfigKinds) {
    const Json* reference = FindPath(*from, kind.key_ref);
    if (!reference) continue;
    const std::string name = StringAt(*reference, "name"), key = StringAt(*reference, "key");
    const bool optional = BoolAt(*reference, "optional");
    const JsonPtr config = FindConfig(sources.cache, kind.resource, ns, name);
    std::string value;
    if (config && ConfigValue(*config, key, &value)) return value;
    if (optional) {
      *absent = true;
      return std::string();
    }
    if (!config)
      return ContainerRefusal(std::string(kConfigError), std::string(kind.lower) + " \"" + name + "\" not found");
    return ContainerRefusal(std::string(kConfigError),
                            "couldn't find key " + key + " in " + kind.title + " " + ns + "/" + name);
  }
  return std::string();
}

}  // namespace

Result<Environment> ResolveEnv(const EnvSources& sources, Environment env) {
  if (const Json* list = FindPath(sources.container, "envFrom"); list && list->is_array()) {
    for (const Json& entry : *list) {
      const Status added = AddEnvFrom(sources, entry, env);
      if (!added.ok()) return added;
    }
  }
  if (const Json* list = FindPath(sources.container, "env"); list && list->is_array()) {
    for (const Json& entry : *list) {
      bool absent = false;
      Result<std::string> value = EntryValue(sources, entry, env, &absent);
      if (!value.ok()) return ContainerRefusal(std::string(kConfigError), value.status().message());
      if (!absent) SetVariable(env, StringAt(entry, "name"), std::move(*value));
    }
  }
  return env;
}

Result<std::string> FieldValue(const EnvSources& sources, const std::string& path) {
  std::string map, key;
  if (SplitSubscript(path, &map, &key) && (map == "metadata.labels" || map == "metadata.annotations")) {
    const Json* values = FindPath(sources.pod, map);
    if (!values || !values->is_object()) return std::string();
    auto it = values->find(key);
    return it != values->end() && it->is_string() ? it->get<std::string>() : std::string();
  }
  if (path == "metadata.labels" || path == "metadata.annotations") return MapLines(FindPath(sources.pod, path));
  for (const char* plain : {"metadata.name", "metadata.namespace", "metadata.uid", "spec.serviceAccountName"}) {
    if (path == plain) return StringAt(sources.pod, plain);
  }
  const std::pair<const char*, const std::string*> known[] = {
      {"spec.nodeName", &sources.node_name}, {"status.hostIP", &sources.host_ip}, {"status.hostIPs", &sources.host_ip},
      {"status.podIP", &sources.pod_ip},     {"status.podIPs", &sources.pod_ip},
  };
  for (const auto& [name, value] : known) {
    if (path == name) return *value;
  }
  return Status(Reason::kInvalid, "unsupported fieldPath: " + path);
}

Result<std::string> ResourceValue(const EnvSources& sources, const Json& reference) {
  const std::string name = StringAt(reference, "containerName"), resource = StringAt(reference, "resource");
  const Json* container = name.empty() ? &sources.container : FindContainer(sources.pod, name);
  if (!container) return Status(Reason::kInvalid, "container " + name + " not found");
  const size_t dot = resource.find('.');
  const std::string kind = resource.substr(dot == std::string::npos ? resource.size() : dot + 1);
  const std::tuple<const char*, int64_t, bool> known[] = {
      {"cpu", sources.node_milli_cpu, true},
      {"memory", sources.node_memory, false},
      {"ephemeral-storage", sources.node_ephemeral, false},
  };
  for (const auto& [known_kind, node_value, milli] : known) {
    if (kind != known_kind) continue;
    int64_t value = resource.starts_with("limits.") ? node_value : 0;
    if (const std::string text = StringAt(*container, "resources." + resource); !text.empty()) {
      Result<Quantity> quantity = Quantity::Parse(text);
      if (!quantity.ok()) return quantity.status();
      value = milli ? quantity->milli() : quantity->value();
    }
    int64_t divisor = milli ? 1000 : 1;
    if (const std::string text = StringAt(reference, "divisor"); !text.empty() && text != "0") {
      Result<Quantity> quantity = Quantity::Parse(text);
      if (!quantity.ok()) return quantity.status();
      divisor = std::max<int64_t>(1, milli ? quantity->milli() : quantity->value());
    }
    return std::to_string((value + divisor - 1) / divisor);
  }
  return Status(Reason::kInvalid, "unsupported container resource: " + resource);
}

std::string ExpandVariables(std::string_view text, const std::function<const std::string*(std::string_view)>& lookup) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[i + 1] == '$') {
      out += '$';
      ++i;
    } else if (const size_t close = text.find(')', i); text[i + 1] == '(' && close != std::string_view::npos) {
      const std::string* value = lookup(text.substr(i + 2, close - i - 2));
      out += value ? std::string_view(*value) : text.substr(i, close + 1 - i);
      i = close;
    } else {
      out += '$';
    }
  }
  return out;
}

std::string ExpandVariables(std::string_view text, const Environment& env) {
  return ExpandVariables(text, [&](std::string_view name) { return FindVariable(env, name); });
}

const std::string* FindVariable(const Environment& env, std::string_view name) {
  for (const auto& [known, value] : env) {
    if (known == name) return &value;
  }
  return nullptr;
}

void SetVariable(Environment& env, std::string name, std::string value) {
  for (auto& [known, current] : env) {
    if (known != name) continue;
    current = std::move(value);
    return;
  }
  env.emplace_back(std::move(name), std::move(value));
}

Status ContainerRefusal(std::string reason, std::string message) {
  StatusDetails details;
  details.causes.push_back({std::move(reason), message, ""});
  return Status(Reason::kInvalid, std::move(message), std::move(details));
}

std::string WaitingReason(const Status& status, std::string_view otherwise) {
  const auto& causes = status.details().causes;
  return causes.empty() || causes.front().reason.empty() ? std::string(otherwise) : causes.front().reason;
}

JsonPtr FindConfig(const WatchCache& cache, std::string_view resource, std::string_view ns, std::string_view name) {
  const ObjectPtr object = cache.Get(resource, ns, name);
  return object ? object->json() : nullptr;
}

bool ConfigValue(const Json& object, const std::string& key, std::string* out) {
  const bool secret = StringAt(object, "kind") == "Secret";
  for (const char* field : {"data", "binaryData"}) {
    auto map = object.find(field);
    if (map == object.end() || !map->is_object()) continue;
    auto it = map->find(key);
    if (it == map->end() || !it->is_string()) continue;
    const std::string text = it->get<std::string>();
    const bool encoded = secret || field[0] == 'b';
    if (!encoded) *out = text;
    return encoded ? DecodeBase64(text, out) : true;
  }
  return false;
}

std::map<std::string, std::string> ConfigValues(const Json& object) {
  std::map<std::string, std::string> out;
  for (const char* field : {"data", "binaryData"}) {
    auto map = object.find(field);
    if (map == object.end() || !map->is_object()) continue;
    for (auto it = map->begin(); it != map->end(); ++it) {
      std::string value;
      if (ConfigValue(object, it.key(), &value)) out.emplace(it.key(), std::move(value));
    }
  }
  return out;
}

}  // namespace wherry
