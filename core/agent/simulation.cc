#include "core/agent/simulation.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/quantity.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

Status ReadDuration(const Json& behaviour, const char* field, Duration* out) {
  auto it = behaviour.find(field);
  if (it == behaviour.end()) return {};
  if (it->is_string() && ParseGoDuration(it->get<std::string>(), out)) return {};
  return Status::BadRequest(std::string(kSimulateKey) + ": " + field + ": want a duration such as \"50ms\"");
}

Result<Json> Parsed(const SimulationAsked& asked) {
  if (!asked.text) return Json::object();
  Json parsed = Json::parse(*asked.text, nullptr, false);
  if (!parsed.is_object()) return Status::BadRequest(std::string(kSimulateKey) + ": want a JSON object");
  return parsed;
}

}  // namespace

bool ParseGoDuration(std::string_view text, Duration* out) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {{"ms", 1e3}, {"us", 1},   {"ns", 1e-3},
                                                                   {"s", 1e6},  {"m", 60e6}, {"h", 3600e6}};
  if (text == "0") {
    *out = Duration::zero();
    return true;
  }
  double total = 0;
  if (text.empty()) return false;
  while (!text.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || number < 0) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    bool known = false;
    for (const auto& [unit, micros] : kUnits) {
      if (!text.starts_with(unit)) continue;
      total += number * micros;
      text.remove_prefix(unit.size());
      known = true;
      break;
    }
    if (!known || total > 1e15) return false;
  }
  *out = Duration(static_cast<int64_t>(total));
  return true;
}

Result<ContainerSimulation> ParseSimulation(const Json& behaviour) {
  ContainerSimulation out;
  for (const auto& [field, target] :
       {std::pair{"startLatency", &out.start_latency}, std::pair{"exitAfter", &out.exit_after}}) {
    const Status read = ReadDuration(behaviour, field, target);
    if (!read.ok()) return read;
  }
  out.ignores_term = StringAt(behaviour, "stopLatency") == "never";
  if (!out.ignores_term) {
    const Status read = ReadDuration(behaviour, "stopLatency", &out.stop_latency);
    if (!read.ok()) return read;
  }
  out.start_error = StringAt(behaviour, "startError");
  out.start_error_reason = StringAt(behaviour, "startErrorReason", "RunContainerError");
  if (FindPath(behaviour, "exitCode")) out.exit_code = static_cast<int>(IntAt(behaviour, "exitCode"));
  if (FindPath(behaviour, "exitAfter") && !out.exit_code) out.exit_code = 0;
  out.stop_exit_code = static_cast<int>(IntAt(behaviour, "stopExitCode", 0));
  for (const char* field : {"cpu", "memory", "storage"}) {
    if (!FindPath(behaviour, field)) continue;
    const Result<Quantity> quantity = Quantity::Parse(StringAt(behaviour, field));
    if (!quantity.ok())
      return Status::BadRequest(std::string(kSimulateKey) + ": " + field +
                                ": want a quantity such as \"250m\" or \"64Mi\"");
    if (*field == 'c') out.cpu_milli = quantity->milli();
    if (*field == 's') out.storage_bytes = quantity->value();
    if (*field == 'm') out.memory_bytes = static_cast<uint64_t>(quantity->value());
  }
  out.processes = static_cast<int>(IntAt(behaviour, "processes", 1));
  out.times = static_cast<int>(IntAt(behaviour, "times", -1));
  return out;
}

Result<ActionSimulation> ParseActionSimulation(const Json& behaviour, const std::string& what) {
  ActionSimulation out;
  const Json* asked = FindPath(behaviour, "probes." + what);
  if (!asked) asked = FindPath(behaviour, "hooks." + what);
  if (!asked || !asked->is_object()) return out;
  for (const auto& [field, target] : {std::pair{"latency", &out.latency}, std::pair{"failAfter", &out.fail_after},
                                      std::pair{"failFor", &out.fail_for}}) {
    const Status read = ReadDuration(*asked, field, target);
    if (!read.ok()) return read;
  }
  out.fails = BoolAt(*asked, "fails", asked->contains("failAfter") || asked->contains("failFor"));
  out.times = static_cast<int>(IntAt(*asked, "times", -1));
  out.message = StringAt(*asked, "message", "simulated failure");
  return out;
}

SimulationAsked::SimulationAsked(const Json& object) {
  const auto& annotations = MapAt(object, "metadata.annotations");
  const auto it = annotations.find(kSimulateKey);
  if (it != annotations.end() && it->second.is_string()) text = it->second.get_ref<const std::string&>();
}

Result<Json> SimulationFor(const SimulationAsked& node, const SimulationAsked& pod, std::string_view container) {
  Json merged = Json::object();
  for (const SimulationAsked* object : {&node, &pod}) {
    Result<Json> asked = Parsed(*object);
    if (!asked.ok()) return asked;
    Json own = Json::object();
    if (auto containers = asked->find("containers"); containers != asked->end()) {
      if (auto it = containers->find(container); it != containers->end() && it->is_object()) own = *it;
      asked->erase("containers");
    }
    merged.update(*asked);
    merged.update(own);
  }
  if (merged.empty()) return Json();
  return merged;
}

}  // namespace wherry
