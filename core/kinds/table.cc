#include "core/kinds/table.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/printers.h"

namespace wherry {
namespace {

// A step further into a document: "name" or "name[2]" or "[0]".
const Json* Step(const Json* at, std::string_view step) {
  const size_t bracket = step.find('[');
  if (const std::string_view name = step.substr(0, bracket); !name.empty()) {
    if (!at->is_object()) return nullptr;
    const auto it = at->find(name);
    if (it == at->end()) return nullptr;
    at = &*it;
  }
  if (bracket == std::string_view::npos) return at;
  size_t index = 0;
  const std::string_view digits = step.substr(bracket + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool closed = error == std::errc() && end == digits.data() + digits.size() - 1 && *end == ']';
  if (!closed || !at->is_array() || index >= at->size()) return nullptr;
  return &(*at)[index];
}

// The value at a column's path: dots between steps, "\." for a dot inside one, a leading dot is allowed (JSONPath).
const Json* Find(const Json& object, std::string_view path) {
  const Json* at = &object;
  if (path.starts_with('.')) path.remove_prefix(1);
  while (at != nullptr && !path.empty()) {
    std::string step;
    for (; !path.empty() && path.front() != '.'; path.remove_prefix(1)) {
      if (path.front() == '\\' && path.size() > 1) path.remove_prefix(1);
      step += path.front();
    }
    if (!path.empty()) path.remove_prefix(1);
    at = Step(at, step);
  }
  return at == nullptr || at->is_null() ? nullptr : at;
}

Json PlainCell(const Kind& kind, const Column& column, const Json& object, Time now) {
  const Json* value = Find(object, column.path);
  if (column.type == "date") {
    Time then;
    const bool known = value != nullptr && value->is_string() && ParseTime(value->get_ref<const std::string&>(), &then);
    return known ? Json(HumanDuration(now - then)) : Json(kind.is_custom ? Json() : Json("<unknown>"));
  }
  if (value == nullptr) {
    if (kind.is_custom) return nullptr;
    return column.type == "integer" ? Json(0) : Json("<none>");
  }
  if (value->is_string() || value->is_number()) return *value;
  if (value->is_boolean()) return kind.is_custom ? *value : Json(value->get<bool>() ? "True" : "False");
  return value->dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json Cell(const Kind& kind, const Column& column, const Json& object, Time now) {
  if (column.printer.empty()) return PlainCell(kind, column, object, now);
  const Printer print = FindPrinter(column.printer);
  return print == nullptr ? Json("<unknown>") : print(object, now);
}

Json IncludedObject(const Json& object, IncludeObject include) {
  switch (include) {
    case IncludeObject::kNone:
      return nullptr;
    case IncludeObject::kObject:
      return object;
    case IncludeObject::kMetadata:
      break;
  }
  return {{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", At(object, "metadata")}};
}

// Conditions of rows, by the printer that marks a kind as having them.
struct RowConditions {
  std::string_view printer;
  Json (*conditions)(const Json& object);
};
constexpr RowConditions kRowConditions[] = {{"podStatus", PodRowConditions}};

Json ConditionsOf(const Kind& kind, const Json& object) {
  for (const RowConditions& rule : kRowConditions) {
    for (const Column& column : kind.columns) {
      if (column.printer == rule.printer) return rule.conditions(object);
    }
  }
  return Json::array();
}

}  // namespace

Json TableColumns(const Kind& kind) {
  Json columns = Json::array();
  for (const Column& c : kind.columns) {
    columns.push_back({{"name", c.name},
                       {"type", c.type},
                       {"format", c.format},
                       {"description", c.description},
                       {"priority", c.priority}});
  }
  return columns;
}

Json TableRow(const Kind& kind, const Json& object, IncludeObject include, Time now) {
  Json cells = Json::array();
  for (const Column& column : kind.columns) cells.push_back(Cell(kind, column, object, now));
  Json row = {{"cells", std::move(cells)}, {"object", IncludedObject(object, include)}};
  if (Json conditions = ConditionsOf(kind, object); !conditions.empty()) row["conditions"] = std::move(conditions);
  return row;
}

std::string HumanDuration(Duration age) {
  using std::chrono::duration_cast;
  const int64_t seconds = duration_cast<std::chrono::seconds>(age).count();
  // Clocks of two machines differ a little; only a clearly future time is worth a remark.
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  const int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  const auto two = [](int64_t a, char unit, int64_t b, char small) {
    std::string text = std::to_string(a) + unit;
    return b == 0 ? text : text + std::to_string(b) + small;
  };
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (hours < 3) return std::to_string(minutes) + "m";
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return std::to_string(hours) + "h";
  if (days < 8) return two(days, 'd', hours % 24, 'h');
  if (days < 730) return std::to_string(days) + "d";
  if (days < 365 * 8) return two(days / 365, 'y', days % 365, 'd');
  return std::to_string(days / 365) + "y";
}

}  // namespace wherry
