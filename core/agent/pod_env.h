#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/json.h"
#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

using Environment = std::vector<std::pair<std::string, std::string>>;

// Where a container's values come from.
struct EnvSources {
  const WatchCache& cache;  // ConfigMaps and Secrets
  const Json& pod;          // metadata and spec; status fields come from the members below
  const Json& container;
  std::string node_name, host_ip, pod_ip;
  int64_t node_milli_cpu = 0, node_memory = 0, node_ephemeral = 0;  // allocatable: limits that are not set
};

// Adds the container's envFrom and env to `base`, in order, with $(VAR) expansion; later wins. Errors are
// CreateContainerConfigError (in details().causes[0].reason): a missing ConfigMap, Secret or key that is not optional.
Result<Environment> ResolveEnv(const EnvSources& sources, Environment base);

// A field of the downward API ("metadata.labels['app']", "status.podIP"); kInvalid when there is no such field.
Result<std::string> FieldValue(const EnvSources& sources, const std::string& path);
// resourceFieldRef: {containerName, resource, divisor}.
Result<std::string> ResourceValue(const EnvSources& sources, const Json& reference);

// $(NAME) → value; $$ → $; references to unknown names stay as they are (API: Container.command).
std::string ExpandVariables(std::string_view text, const std::function<const std::string*(std::string_view)>& lookup);
std::string ExpandVariables(std::string_view text, const Environment& env);

const std::string* FindVariable(const Environment& env, std::string_view name);
// Sets a variable, replacing an earlier value in place.
void SetVariable(Environment& env, std::string name, std::string value);

// A refusal whose waiting reason is `reason`.
Status ContainerRefusal(std::string reason, std::string message);
// The waiting reason of such a refusal, or `otherwise`.
std::string WaitingReason(const Status& status, std::string_view otherwise);

// The data of a ConfigMap or Secret (`resource` pods' namespace): null when absent.
JsonPtr FindConfig(const WatchCache& cache, std::string_view resource, std::string_view ns, std::string_view name);
// One key's bytes: ConfigMap data and binaryData, Secret data (base64 decoded). False when absent.
bool ConfigValue(const Json& object, const std::string& key, std::string* out);
// All keys and bytes.
std::map<std::string, std::string> ConfigValues(const Json& object);

}  // namespace wherry
