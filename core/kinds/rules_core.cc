#include <nlohmann/json.hpp>
#include <set>

#include "core/kinds/base64.h"
#include "core/kinds/fields.h"
#include "core/kinds/names.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

constexpr size_t kMaxData = 1024 * 1024;
constexpr const char* kNameLabel = "kubernetes.io/metadata.name";

// Bytes that a base64 text stands for, without decoding it.
size_t DecodedSize(std::string_view base64) {
  while (base64.ends_with('=')) base64.remove_suffix(1);
  return base64.size() * 3 / 4;
}

void CheckFrozen(const Json& object, const Json* old, std::initializer_list<const char*> fields, Refusals& out) {
  if (old == nullptr || !BoolAt(*old, "immutable")) return;
  for (const char* field : fields) {
    const bool thawed = std::string_view(field) == "immutable" && !BoolAt(object, field);
    const bool changed = std::string_view(field) != "immutable" && At(object, field) != At(*old, field);
    if (thawed || changed) out.Add(Forbidden(field, "field is immutable when `immutable` is set"));
  }
}

// What the well-known types of secrets must hold.
struct SecretType {
  std::string_view type;
  std::vector<std::string_view> keys;
  bool all = true;    // every key, not just one of them
  bool json = false;  // the value is a JSON document
};

const std::vector<SecretType>& SecretTypes() {
  static const std::vector<SecretType> types = {
      {"kubernetes.io/dockercfg", {".dockercfg"}, true, true},
      {"kubernetes.io/dockerconfigjson", {".dockerconfigjson"}, true, true},
      {"kubernetes.io/basic-auth", {"username", "password"}, false},
      {"kubernetes.io/ssh-auth", {"ssh-privatekey"}},
      {"kubernetes.io/tls", {"tls.crt", "tls.key"}},
  };
  return types;
}

void CheckSecretType(const Json& secret, Refusals& out) {
  const std::string& type = StringAt(secret, "type");
  const auto& data = MapAt(secret, "data");
  if (type == "kubernetes.io/service-account-token") {
    const auto& annotations = MapAt(secret, "metadata.annotations");
    const auto name = annotations.find("kubernetes.io/service-account.name");
    if (name == annotations.end() || name->second == "") {
      out.Add(Required("metadata.annotations[kubernetes.io/service-account.name]"));
    }
  }
  for (const SecretType& known : SecretTypes()) {
    if (known.type != type) continue;
    size_t missing = 0;
    for (const std::string_view key : known.keys) missing += data.contains(key) ? 0 : 1;
    for (const std::string_view key : known.keys) {
      const auto it = data.find(key);
      if (it == data.end()) {
        if (known.all || missing == known.keys.size()) out.Add(Required(Key("data", key)));
        continue;
      }
      std::string bytes;
      if (!known.json || !it->second.is_string() || !DecodeBase64(it->second.get_ref<const std::string&>(), &bytes))
        continue;
      if (!Json::accept(bytes)) out.Add(Invalid(Key("data", key), "<secret contents redacted>", "must be valid JSON"));
    }
  }
}

bool SameTaint(const Json& a, const Json& b) {
  return StringAt(a, "key") == StringAt(b, "key") && StringAt(a, "effect") == StringAt(b, "effect");
}

void CheckTaints(const Json& node, Refusals& out) {
  const auto& taints = ListAt(node, "spec.taints");
  for (size_t i = 0; i < taints.size(); ++i) {
    const std::string at = Item("spec.taints", i);
    const std::string& key = StringAt(taints[i], "key");
    const std::string& effect = StringAt(taints[i], "effect");
    out.AddIf(Child(at, "key"), key, CheckQualifiedName(key));
    out.AddIf(Child(at, "value"), StringAt(taints[i], "value"), CheckLabelValue(StringAt(taints[i], "value")));
    if (effect.empty()) {
      out.Add(Required(Child(at, "effect")));
    } else if (effect != "NoSchedule" && effect != "PreferNoSchedule" && effect != "NoExecute") {
      out.Add(NotSupported(Child(at, "effect"), effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"}));
    }
    for (size_t j = 0; j < i; ++j) {
      if (!SameTaint(taints[i], taints[j])) continue;
      FieldError error = Duplicate(at, taints[i]);
      error.message += ": taints must be unique by key and effect pair";
      out.Add(std::move(error));
      break;
    }
  }
}

}  // namespace

void ValidateConfigMap(const Json& map, const Json* old, FieldErrors& errors) {
  Refusals out(errors);
  size_t size = 0;
  const auto& data = MapAt(map, "data");
  for (const auto& [key, value] : data) {
    out.AddIf(Key("data", key), key, CheckConfigKey(key));
    if (value.is_string()) size += value.get_ref<const std::string&>().size();
  }
  for (const auto& [key, value] : MapAt(map, "binaryData")) {
    out.AddIf(Key("binaryData", key), key, CheckConfigKey(key));
    if (data.contains(key)) out.Add(Invalid(Key("data", key), key, "duplicate of key present in binaryData"));
    if (value.is_string()) size += DecodedSize(value.get_ref<const std::string&>());
  }
  if (size > kMaxData) out.Add(TooLong("[]", kMaxData));
  CheckFrozen(map, old, {"immutable", "data", "binaryData"}, out);
}

void DefaultSecret(Json& secret) {
  if (secret.contains("stringData")) {
    for (const auto& [key, value] : MapAt(secret, "stringData")) {
      if (value.is_string()) secret["data"][key] = EncodeBase64(value.get_ref<const std::string&>());
    }
    secret.erase("stringData");
  }
  if (StringAt(secret, "type").empty()) secret["type"] = "Opaque";
}

void ValidateSecret(const Json& secret, const Json* old, FieldErrors& errors) {
  Refusals out(errors);
  size_t size = 0;
  for (const auto& [key, value] : MapAt(secret, "data")) {
    out.AddIf(Key("data", key), key, CheckConfigKey(key));
    if (value.is_string()) size += DecodedSize(value.get_ref<const std::string&>());
  }
  if (size > kMaxData) out.Add(TooLong("data", kMaxData));
  CheckSecretType(secret, out);
  if (old != nullptr) CheckImmutable(secret, *old, "type", out);
  CheckFrozen(secret, old, {"immutable", "data"}, out);
}

void DefaultNamespace(Json& ns) {
  if (const std::string name = StringAt(ns, "metadata.name"); !name.empty())
    ns["metadata"]["labels"][kNameLabel] = name;
}

void CreateNamespace(Json& ns) {
  DefaultNamespace(ns);  // the name may have been generated since
  ns["status"] = {{"phase", "Active"}};
  Json& finalizers = ns["spec"]["finalizers"];
  if (!finalizers.is_array()) finalizers = Json::array();
  for (const Json& finalizer : finalizers) {
    if (finalizer == "kubernetes") return;
  }
  finalizers.push_back("kubernetes");
}

void UpdateNamespace(Json& ns, const Json& old) {
  // spec.finalizers change through the finalize subresource alone.
  if (const Json& before = At(old, "spec.finalizers"); before.is_null()) {
    if (At(ns, "spec").is_object()) ns["spec"].erase("finalizers");
  } else {
    ns["spec"]["finalizers"] = Json(before);
  }
}

void ValidateNamespace(const Json& ns, const Json*, FieldErrors& errors) {
  Refusals out(errors);
  const auto& finalizers = ListAt(ns, "spec.finalizers");
  for (size_t i = 0; i < finalizers.size(); ++i) {
    if (!finalizers[i].is_string()) continue;
    out.AddIf(Item("spec.finalizers", i), finalizers[i],
              CheckQualifiedName(finalizers[i].get_ref<const std::string&>()));
  }
}

void DefaultNode(Json& node) {
  const Json& capacity = At(node, "status.capacity");
  if (capacity.is_object() && !Has(node, "status.allocatable")) node["status"]["allocatable"] = Json(capacity);
}

void ValidateNode(const Json& node, const Json* old, FieldErrors& errors) {
  Refusals out(errors);
  if (!Unchanged(node, old, "spec")) CheckTaints(node, out);
  for (const char* list : {"status.capacity", "status.allocatable"}) {
    for (const auto& [name, quantity] : MapAt(node, list)) CheckQuantityNotNegative(quantity, Key(list, name), out);
  }
  if (old == nullptr) return;
  if (Has(*old, "spec.podCIDR") && At(node, "spec.podCIDR") != At(*old, "spec.podCIDR")) {
    out.Add(Forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid"));
  }
  const std::string& provider = StringAt(*old, "spec.providerID");
  if (!provider.empty() && provider != StringAt(node, "spec.providerID")) {
    out.Add(Forbidden("spec.providerID", "node updates may not change providerID except from \"\" to valid"));
  }
}

void ValidateEvent(const Json& event, const Json* old, FieldErrors& errors) {
  if (old != nullptr) return;
  Refusals out(errors);
  const std::string& about = StringAt(event, "involvedObject.namespace");
  const std::string& own = StringAt(event, "metadata.namespace");
  if (!about.empty() && about != own) {
    out.Add(Invalid("involvedObject.namespace", about, "does not match event.namespace"));
  } else if (about.empty() && own != "default" && own != "kube-system" && !own.empty()) {
    out.Add(Invalid("involvedObject.namespace", about, "does not match event.namespace"));
  }
}

}  // namespace wherry::rules
