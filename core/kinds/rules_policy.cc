#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/rules.h"

namespace wherry::rules {
namespace {

constexpr int64_t kHighestUserPriority = 1'000'000'000;

struct SystemClass {
  std::string_view name;
  int64_t value;
};
constexpr SystemClass kSystemClasses[] = {{"system-node-critical", 2'000'001'000},
                                          {"system-cluster-critical", 2'000'000'000}};

bool IsSystemClass(const Json& priority_class) {
  for (const SystemClass& known : kSystemClasses) {
    if (StringAt(priority_class, "metadata.name") == known.name) return IntAt(priority_class, "value") == known.value;
  }
  return false;
}

}  // namespace

void CreateWithEmptyStatus(Json& object) { object["status"] = Json::object(); }

void CreatePodDisruptionBudget(Json& budget) {
  budget["status"] = {{"disruptionsAllowed", 0}, {"currentHealthy", 0}, {"desiredHealthy", 0}, {"expectedPods", 0}};
}

void ValidatePodDisruptionBudget(const Json& budget, const Json* old, FieldErrors& errors) {
  if (Unchanged(budget, old, "spec")) return;
  Refusals out(errors);
  if (Has(budget, "spec.minAvailable") && Has(budget, "spec.maxUnavailable")) {
    out.Add(Invalid("spec", At(budget, "spec"), "minAvailable and maxUnavailable cannot be both set"));
  }
  for (const char* field : {"spec.minAvailable", "spec.maxUnavailable"}) {
    CheckIntOrPercent(At(budget, field), field, out);
    CheckAtMost100Percent(At(budget, field), field, out);
  }
  CheckLabelSelector(At(budget, "spec.selector"), "spec.selector", out);
}

void ValidatePriorityClass(const Json& priority_class, const Json* old, FieldErrors& errors) {
  Refusals out(errors);
  if (old != nullptr) {
    if (IntAt(priority_class, "value") != IntAt(*old, "value")) {
      out.Add(Forbidden("value", "may not be changed in an update."));
    }
    CheckImmutable(priority_class, *old, "preemptionPolicy", out);
    return;
  }
  const std::string& name = StringAt(priority_class, "metadata.name");
  if (name.starts_with("system-")) {
    if (!IsSystemClass(priority_class)) {
      out.Add(
          Forbidden("metadata.name", "priority class names with 'system-' prefix are reserved for system use only"));
    }
  } else if (IntAt(priority_class, "value") > kHighestUserPriority) {
    out.Add(Forbidden("value",
                      "maximum allowed value of a user defined priority is " + std::to_string(kHighestUserPriority)));
  }
}

void ValidateLease(const Json& lease, const Json*, FieldErrors& errors) {
  Refusals out(errors);
  if (Has(lease, "spec.leaseDurationSeconds") && IntAt(lease, "spec.leaseDurationSeconds") <= 0) {
    out.Add(Invalid("spec.leaseDurationSeconds", At(lease, "spec.leaseDurationSeconds"), "must be greater than 0"));
  }
  if (IntAt(lease, "spec.leaseTransitions") < 0) {
    out.Add(Invalid("spec.leaseTransitions", At(lease, "spec.leaseTransitions"), "must be greater than or equal to 0"));
  }
}

void ValidateImage(const Json& image, const Json*, FieldErrors& errors) {
  Refusals out(errors);
  const auto& references = ListAt(image, "spec.references");
  if (references.empty()) out.Add(Required("spec.references", "must name at least one image, e.g. \"nginx:*\""));
  for (size_t i = 0; i < references.size(); ++i) {
    if (references[i] == "") out.Add(Required(Item("spec.references", i), "must not be empty"));
  }
  const auto& command = ListAt(image, "spec.command");
  // As in an image's own configuration, arguments alone are a program that a container's args replace.
  if (command.empty() && ListAt(image, "spec.args").empty() && StringAt(image, "spec.rootDirectory").empty()) {
    out.Add(Required("spec.command", "the program to run, unless `args` or `rootDirectory` is given"));
  }
  if (!command.empty() && command[0] == "") out.Add(Required("spec.command[0]", "must name a program"));
  if (const std::string& root = StringAt(image, "spec.rootDirectory"); !root.empty() && root.front() != '/') {
    out.Add(Invalid("spec.rootDirectory", root, "must be an absolute path"));
  }
}

}  // namespace wherry::rules
