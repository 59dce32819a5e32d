#include "api/cli/pod_choice.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

namespace wherry::cli {
namespace {

void Append(std::string* out, const std::string& requirement) {
  if (!out->empty()) *out += ',';
  *out += requirement;
}

std::string Expression(const Json& expression) {
  const std::string key = expression.value("key", "");
  const std::string op = expression.value("operator", "");
  if (op == "Exists") return key;
  if (op == "DoesNotExist") return "!" + key;
  std::string values;
  for (const Json& value : expression.value("values", Json::array())) Append(&values, value.get<std::string>());
  return key + (op == "NotIn" ? " notin (" : " in (") + values + ")";
}

bool IsReady(const Json& pod) {
  for (const Json& condition : pod.value("status", Json::object()).value("conditions", Json::array())) {
    if (condition.value("type", "") == "Ready") return condition.value("status", "") == "True";
  }
  return false;
}

}  // namespace

std::string PodSelector(const Json& object) {
  const Json selector = object.value("spec", Json::object()).value("selector", Json::object());
  std::string out;
  if (!selector.is_object()) return out;
  const bool plain = !selector.contains("matchLabels") && !selector.contains("matchExpressions");
  const Json labels = plain ? selector : selector.value("matchLabels", Json::object());
  for (const auto& [key, value] : labels.items()) {
    if (value.is_string()) Append(&out, key + "=" + value.get<std::string>());
  }
  if (plain) return out;
  for (const Json& expression : selector.value("matchExpressions", Json::array())) Append(&out, Expression(expression));
  return out;
}

Json ChoosePod(const Json& pods) {
  const auto rank = [](const Json& pod) {
    const Json metadata = pod.value("metadata", Json::object());
    return std::make_tuple(IsReady(pod), metadata.value("creationTimestamp", ""));
  };
  return *std::max_element(pods.begin(), pods.end(), [&](const Json& a, const Json& b) { return rank(a) < rank(b); });
}

std::vector<std::string> ContainerNames(const Json& pod) {
  std::vector<std::string> out;
  const Json spec = pod.value("spec", Json::object());
  for (const char* list : {"containers", "initContainers"}) {
    for (const Json& container : spec.value(list, Json::array())) out.push_back(container.value("name", ""));
  }
  return out;
}

std::string DefaultContainer(const Json& pod) {
  const std::vector<std::string> names = ContainerNames(pod);
  const Json annotations = pod.value("metadata", Json::object()).value("annotations", Json::object());
  const std::string named = annotations.value("kubectl.kubernetes.io/default-container", "");
  if (std::find(names.begin(), names.end(), named) != names.end()) return named;
  return names.empty() ? "" : names[0];
}

}  // namespace wherry::cli
