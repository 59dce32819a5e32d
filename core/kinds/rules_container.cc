#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/pod_rules.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

enum class Role : uint8_t { kMain, kInit, kEphemeral };

// What the containers of one pod must not collide in.
struct PodWide {
  std::set<std::string> volumes;
  std::set<std::string> names;
  std::set<std::string> lasting;  // names of those that are not ephemeral
  std::set<std::string> host_ports;
  bool host_network = false;
};

size_t CountPresent(const Json& object, std::initializer_list<std::string_view> fields) {
  return static_cast<size_t>(std::count_if(fields.begin(), fields.end(), [&](auto f) { return Has(object, f); }));
}

// A port as number or name. The range of a number is the schema's to check where it can.
void CheckPortOrName(const Json& port, const std::string& path, Refusals& out) {
  if (port.is_number_integer()) out.AddIf(path, port, CheckPort(port.get<int64_t>()));
  if (port.is_string()) out.AddIf(path, port, CheckPortName(port.get_ref<const std::string&>()));
}

// The action of a probe or a lifecycle hook: exactly one of its kinds.
void CheckHandler(const Json& handler, const std::string& path, Refusals& out) {
  static constexpr std::array<std::string_view, 5> kActions = {"exec", "httpGet", "tcpSocket", "grpc", "sleep"};
  size_t found = 0;
  for (const std::string_view action : kActions) {
    if (!Has(handler, action)) continue;
    if (++found > 1) out.Add(Forbidden(Child(path, action), "may not specify more than 1 handler type"));
  }
  if (found == 0) out.Add(Required(path, "must specify a handler type"));
  if (Has(handler, "exec") && ListAt(handler, "exec.command").empty()) out.Add(Required(Child(path, "exec.command")));
  CheckPortOrName(At(handler, "httpGet.port"), Child(path, "httpGet.port"), out);
  CheckPortOrName(At(handler, "tcpSocket.port"), Child(path, "tcpSocket.port"), out);
}

void CheckProbe(const Json& container, std::string_view name, const std::string& path, Refusals& out) {
  const Json& probe = At(container, name);
  if (probe.is_null()) return;
  const std::string at = Child(path, name);
  CheckHandler(probe, at, out);
  if (name != "readinessProbe" && IntAt(probe, "successThreshold", 1) != 1) {
    out.Add(Invalid(Child(at, "successThreshold"), At(probe, "successThreshold"), "must be 1"));
  }
  if (name == "readinessProbe" && Has(probe, "terminationGracePeriodSeconds")) {
    out.Add(Invalid(Child(at, "terminationGracePeriodSeconds"), At(probe, "terminationGracePeriodSeconds"),
                    "must not be set for readinessProbes"));
  }
}

void CheckRunControl(const Json& container, const std::string& path, Role role, Refusals& out) {
  static constexpr std::array<std::string_view, 4> kControls = {"lifecycle", "livenessProbe", "readinessProbe",
                                                                "startupProbe"};
  const Json& restart = At(container, "restartPolicy");
  if (role == Role::kMain && !restart.is_null()) {
    out.Add(Forbidden(Child(path, "restartPolicy"), "may not be set for non-init containers"));
  }
  if (role == Role::kInit && !restart.is_null() && restart != "Always") {
    out.Add(NotSupported(Child(path, "restartPolicy"), restart, {"Always"}));
  }
  if (role == Role::kInit && restart != "Always") {
    for (const std::string_view control : kControls) {
      if (!Has(container, control)) continue;
      out.Add(Forbidden(Child(path, control), "may not be set for init containers without restartPolicy=Always"));
    }
    return;
  }
  for (size_t i = 1; i < kControls.size(); ++i) CheckProbe(container, kControls[i], path, out);
  for (const char* hook : {"lifecycle.postStart", "lifecycle.preStop"}) {
    if (Has(container, hook)) CheckHandler(At(container, hook), Child(path, hook), out);
  }
}

void CheckPorts(const Json& container, const std::string& path, Role role, PodWide& pod, Refusals& out) {
  std::set<std::string> names;
  const auto& ports = ListAt(container, "ports");
  for (size_t i = 0; i < ports.size(); ++i) {
    const Json& port = ports[i];
    const std::string at = Item(Child(path, "ports"), i);
    if (const std::string& name = StringAt(port, "name"); !name.empty()) {
      out.AddIf(Child(at, "name"), name, CheckPortName(name));
      if (!names.insert(name).second) out.Add(Duplicate(Child(at, "name"), name));
    }
    if (const int64_t number = IntAt(port, "containerPort"); number == 0) {
      out.Add(Required(Child(at, "containerPort")));
    } else {
      out.AddIf(Child(at, "containerPort"), number, CheckPort(number));
    }
    const int64_t host_port = IntAt(port, "hostPort");
    if (host_port != 0) out.AddIf(Child(at, "hostPort"), host_port, CheckPort(host_port));
    if (pod.host_network && host_port != IntAt(port, "containerPort")) {
      out.Add(Invalid(Child(at, "containerPort"), IntAt(port, "containerPort"),
                      "must match `hostPort` when `hostNetwork` is true"));
    }
    if (host_port == 0 || role != Role::kMain) continue;  // init containers have ended when the others start
    const std::string claim =
        StringAt(port, "protocol") + "/" + StringAt(port, "hostIP") + "/" + std::to_string(host_port);
    if (!pod.host_ports.insert(claim).second) out.Add(Duplicate(Child(at, "hostPort"), claim));
  }
}

void CheckEnv(const Json& container, const std::string& path, Refusals& out) {
  const auto& env = ListAt(container, "env");
  for (size_t i = 0; i < env.size(); ++i) {
    const std::string at = Item(Child(path, "env"), i);
    const std::string& name = StringAt(env[i], "name");
    if (name.empty()) {
      out.Add(Required(Child(at, "name")));
    } else {
      out.AddIf(Child(at, "name"), name, CheckEnvName(name));
    }
    const Json& from = At(env[i], "valueFrom");
    if (from.is_null()) continue;
    const size_t sources =
        CountPresent(from, {"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"});
    const std::string from_path = Child(at, "valueFrom");
    if (sources == 0) {
      out.Add(Invalid(from_path, "",
                      "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"));
    } else if (!StringAt(env[i], "value").empty()) {
      out.Add(Invalid(from_path, "", "may not be specified when `value` is not empty"));
    } else if (sources > 1) {
      out.Add(Invalid(from_path, "", "may not have more than one field specified at a time"));
    }
    for (const char* ref : {"configMapKeyRef", "secretKeyRef"}) {
      if (Has(from, ref) && StringAt(At(from, ref), "name").empty())
        out.Add(Required(Child(Child(from_path, ref), "name")));
    }
  }
  const auto& env_from = ListAt(container, "envFrom");
  for (size_t i = 0; i < env_from.size(); ++i) {
    const std::string at = Item(Child(path, "envFrom"), i);
    if (const std::string& prefix = StringAt(env_from[i], "prefix"); !prefix.empty()) {
      out.AddIf(Child(at, "prefix"), prefix, CheckEnvName(prefix));
    }
    const size_t sources = CountPresent(env_from[i], {"configMapRef", "secretRef"});
    if (sources == 0) out.Add(Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"));
    if (sources > 1) out.Add(Invalid(at, "", "may not have more than one field specified at a time"));
    for (const char* ref : {"configMapRef", "secretRef"}) {
      if (Has(env_from[i], ref) && StringAt(At(env_from[i], ref), "name").empty()) {
        out.Add(Required(Child(Child(at, ref), "name")));
      }
    }
  }
}

void CheckMounts(const Json& container, const std::string& path, const PodWide& pod, Refusals& out) {
  std::set<std::string> places;
  const bool privileged = BoolAt(container, "securityContext.privileged");
  const auto& mounts = ListAt(container, "volumeMounts");
  for (size_t i = 0; i < mounts.size(); ++i) {
    const Json& mount = mounts[i];
    const std::string at = Item(Child(path, "volumeMounts"), i);
    const std::string& name = StringAt(mount, "name");
    if (name.empty()) {
      out.Add(Required(Child(at, "name")));
    } else if (!pod.volumes.contains(name)) {
      out.Add(NotFoundValue(Child(at, "name"), name));
    }
    const std::string& place = StringAt(mount, "mountPath");
    if (place.empty()) out.Add(Required(Child(at, "mountPath")));
    if (!place.empty() && !places.insert(place).second) {
      out.Add(Invalid(Child(at, "mountPath"), place, "must be unique"));
    }
    for (const char* sub : {"subPath", "subPathExpr"}) {
      if (const std::string& sub_path = StringAt(mount, sub); !sub_path.empty()) {
        out.AddIf(Child(at, sub), sub_path, CheckLocalPath(sub_path));
      }
    }
    if (!StringAt(mount, "subPath").empty() && !StringAt(mount, "subPathExpr").empty()) {
      out.Add(Invalid(Child(at, "subPathExpr"), StringAt(mount, "subPathExpr"),
                      "subPathExpr and subPath are mutually exclusive"));
    }
    if (StringAt(mount, "mountPropagation") == "Bidirectional" && !privileged) {
      out.Add(Forbidden(Child(at, "mountPropagation"),
                        "Bidirectional mount propagation is available only to privileged containers"));
    }
  }
}

bool IsHugePages(std::string_view name) { return name.starts_with("hugepages-"); }

// Extended resources ("example.com/gpu") and huge pages cannot be overcommitted.
bool IsExtended(std::string_view name) {
  return name.find('/') != std::string_view::npos && name.find("kubernetes.io/") == std::string_view::npos;
}

void CheckResourceName(const std::string& name, const std::string& path, Refusals& out) {
  static constexpr std::array<std::string_view, 3> kStandard = {"cpu", "memory", "ephemeral-storage"};
  out.AddIf(path, name, CheckQualifiedName(name));
  if (name.find('/') != std::string::npos || IsHugePages(name)) return;
  if (std::find(kStandard.begin(), kStandard.end(), name) == kStandard.end()) {
    out.Add(Invalid(path, name, "must be a standard resource for containers"));
  }
}

void CheckResources(const Json& container, const std::string& path, Refusals& out) {
  for (const char* list : {"limits", "requests"}) {
    const std::string at = Child(path, std::string("resources.") + list);
    for (const auto& [name, value] : MapAt(container, std::string("resources.") + list)) {
      const std::string key = Key(at, name);
      CheckResourceName(name, key, out);
      CheckQuantityNotNegative(value, key, out);
      if (!IsExtended(name) || !value.is_string()) continue;
      const Result<Quantity> quantity = Quantity::Parse(value.get_ref<const std::string&>());
      if (quantity.ok() && quantity->milli() % 1000 != 0) out.Add(Invalid(key, value, "must be an integer"));
    }
  }
  const ResourceList limits = ParseResources(At(container, "resources.limits"));
  const ResourceList requests = ParseResources(At(container, "resources.requests"));
  const std::string at = Child(path, "resources.requests");
  for (const auto& [name, request] : requests) {
    const auto limit = limits.find(name);
    const bool rationed = IsExtended(name) || IsHugePages(name);
    if (limit == limits.end()) {
      if (rationed)
        out.Add(Required(Child(path, "resources.limits"), "Limit must be set for non overcommitable resources"));
      continue;
    }
    const int order = request.Compare(limit->second);
    if (rationed && order != 0) {
      out.Add(Invalid(at, request.ToString(), "must be equal to " + name + " limit of " + limit->second.ToString()));
    } else if (order > 0) {
      out.Add(Invalid(at, request.ToString(),
                      "must be less than or equal to " + name + " limit of " + limit->second.ToString()));
    }
  }
}

void CheckSecurity(const Json& container, const std::string& path, Refusals& out) {
  const Json& security = At(container, "securityContext");
  if (security.is_null()) return;
  for (const char* id : {"runAsUser", "runAsGroup"}) {
    const int64_t value = IntAt(security, id);
    if (value < 0 || value > INT32_MAX) {
      out.Add(Invalid(Child(path, std::string("securityContext.") + id), value,
                      "must be between 0 and 2147483647, inclusive"));
    }
  }
  if (Has(security, "allowPrivilegeEscalation") && !BoolAt(security, "allowPrivilegeEscalation") &&
      BoolAt(security, "privileged")) {
    out.Add(Invalid(Child(path, "securityContext"), security,
                    "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"));
  }
}

// Nothing may come to rely on an ephemeral container: it can look and be talked to, no more (KEP-277).
void CheckEphemeral(const Json& container, const std::string& path, const PodWide& pod, Refusals& out) {
  static constexpr const char* kNotAllowed = "cannot be set for an Ephemeral Container";
  static constexpr std::array<std::string_view, 10> kFields = {
      "ports",         "resources",     "resizePolicy",   "restartPolicy", "restartPolicyRules",
      "volumeDevices", "livenessProbe", "readinessProbe", "startupProbe",  "lifecycle"};
  if (const std::string& target = StringAt(container, "targetContainerName");
      !target.empty() && !pod.lasting.contains(target)) {
    out.Add(NotFoundValue(Child(path, "targetContainerName"), target));
  }
  for (const std::string_view field : kFields) {
    const Json& value = At(container, field);
    if (!value.is_null() && !value.empty()) out.Add(Forbidden(Child(path, field), kNotAllowed));
  }
  const auto& mounts = ListAt(container, "volumeMounts");
  for (size_t i = 0; i < mounts.size(); ++i) {
    for (const char* field : {"subPath", "subPathExpr"}) {
      if (StringAt(mounts[i], field).empty()) continue;
      out.Add(Forbidden(Child(Item(Child(path, "volumeMounts"), i), field), kNotAllowed));
    }
  }
}

void CheckContainer(const Json& container, const std::string& path, Role role, PodWide& pod, Refusals& out) {
  const std::string& name = StringAt(container, "name");
  if (name.empty()) {
    out.Add(Required(Child(path, "name")));
  } else {
    out.AddIf(Child(path, "name"), name, CheckDns1123Label(name));
    if (!pod.names.insert(name).second) out.Add(Duplicate(Child(path, "name"), name));
  }
  const std::string& image = StringAt(container, "image");
  if (image.empty()) {
    out.Add(Required(Child(path, "image")));
  } else if (std::isspace(static_cast<unsigned char>(image.front())) != 0 ||
             std::isspace(static_cast<unsigned char>(image.back())) != 0) {
    out.Add(Invalid(Child(path, "image"), image, "must not have leading or trailing whitespace"));
  }
  CheckPorts(container, path, role, pod, out);
  CheckEnv(container, path, out);
  CheckMounts(container, path, pod, out);
  CheckResources(container, path, out);
  CheckSecurity(container, path, out);
  if (role == Role::kEphemeral) {
    CheckEphemeral(container, path, pod, out);
  } else {
    CheckRunControl(container, path, role, out);
    pod.lasting.insert(name);
  }
}

}  // namespace

void CheckContainers(const Json& spec, const std::string& path, Refusals& out) {
  PodWide pod;
  pod.host_network = BoolAt(spec, "hostNetwork");
  for (const Json& volume : ListAt(spec, "volumes")) pod.volumes.insert(StringAt(volume, "name"));
  const struct {
    const char* list;
    Role role;
  } kinds[] = {{"containers", Role::kMain}, {"initContainers", Role::kInit}, {"ephemeralContainers", Role::kEphemeral}};
  for (const auto& [list, role] : kinds) {
    const auto& containers = ListAt(spec, list);
    if (role == Role::kMain && containers.empty()) out.Add(Required(Child(path, list)));
    for (size_t i = 0; i < containers.size(); ++i) {
      CheckContainer(containers[i], Item(Child(path, list), i), role, pod, out);
    }
  }
}

}  // namespace wherry::rules
