#include "api/cli/printer.h"

#include <yaml-cpp/emitter.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry::cli {
namespace {

size_t Characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

// One line, whatever a cell holds.
std::string CellText(const Json& cell) {
  if (cell.is_null()) return "<none>";
  std::string text = cell.is_string() ? cell.get<std::string>() : cell.dump();
  if (const size_t end = text.find_first_of("\r\n"); end != std::string::npos) text = text.substr(0, end) + "...";
  // Nothing a stored object holds may steer the terminal.
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return text;
}

// Plain text is kept plain only when a YAML 1.1 reader would give the same string back.
bool IsPlain(const std::string& text) {
  if (text.empty() || text == "=" || text == "<<") return false;
  const char first = text[0];
  const bool number_like =
      std::isdigit(static_cast<unsigned char>(first)) || first == '.' || first == '+' || first == '-';
  // Dates and base-60 numbers are values too for some readers.
  if (number_like && text.find_first_not_of("0123456789-:.+_TtZz ") == std::string::npos) return false;
  if (text.size() <= 5 || number_like) {
    const Result<Json> read = ParseYaml(text, nullptr);
    return read.ok() && read->is_string() && read->get_ref<const std::string&>() == text;
  }
  return true;
}

// A block keeps text readable; YAML lets it stand for any printable text that ends in exactly one newline and does not
// begin with white space.
bool FitsBlock(const std::string& text) {
  if (text.size() < 2 || text.back() != '\n' || text[text.size() - 2] == '\n') return false;
  if (text.find('\n') + 1 == text.size()) return false;  // a single line reads better quoted
  if (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || text.find(" \n") != std::string::npos) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\n' || (byte >= 0x20 && byte < 0x7f);
  });
}

void EmitString(YAML::Emitter& out, const std::string& text, bool key) {
  if (!key && FitsBlock(text)) {
    out << YAML::Literal << text.substr(0, text.size() - 1);
  } else if (IsPlain(text)) {
    out << text;
  } else {
    out << YAML::DoubleQuoted << text;
  }
}

void Emit(YAML::Emitter& out, const Json& value) {
  if (value.is_structured() && value.empty()) out << YAML::Flow;  // else it would get a line of its own
  switch (value.type()) {
    case Json::value_t::object:
      out << YAML::BeginMap;
      for (const auto& [key, member] : value.items()) {
        out << YAML::Key;
        EmitString(out, key, true);
        out << YAML::Value;
        Emit(out, member);
      }
      out << YAML::EndMap;
      break;
    case Json::value_t::array:
      out << YAML::BeginSeq;
      for (const Json& element : value) Emit(out, element);
      out << YAML::EndSeq;
      break;
    case Json::value_t::string:
      EmitString(out, value.get_ref<const std::string&>(), false);
      break;
    case Json::value_t::null:
      out << YAML::Null;
      break;
    default:
      out << value.dump();
  }
}

}  // namespace

std::string AlignColumns(const std::vector<std::vector<std::string>>& rows, std::vector<size_t>* widths) {
  std::vector<size_t> own;
  if (widths == nullptr) widths = &own;
  for (const auto& row : rows) {
    if (widths->size() < row.size()) widths->resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) (*widths)[i] = std::max((*widths)[i], Characters(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append((*widths)[i] - Characters(row[i]) + 3, ' ');
    }
    out += '\n';
  }
  return out;
}

std::vector<std::vector<std::string>> TableCells(const Json& table, const Json& columns, const TableStyle& style,
                                                 bool with_header) {
  std::vector<std::vector<std::string>> out;
  std::vector<size_t> shown;
  size_t name_column = std::string::npos;
  std::vector<std::string> header;
  if (style.with_namespace) header.push_back("NAMESPACE");
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].value("format", "") == "name") name_column = i;
    if (!style.wide && columns[i].value("priority", 0) != 0) continue;
    shown.push_back(i);
    header.push_back(Upper(columns[i].value("name", "")));
  }
  if (with_header) out.push_back(std::move(header));
  for (const Json& row : table.value("rows", Json::array())) {
    std::vector<std::string> cells;
    if (style.with_namespace) {
      const Json object = row.value("object", Json::object());
      cells.push_back(object.value("metadata", Json::object()).value("namespace", ""));
    }
    const Json values = row.value("cells", Json::array());
    for (size_t i : shown) {
      std::string text = i < values.size() ? CellText(values[i]) : "";
      if (i == name_column) text = style.prefix + text;
      cells.push_back(std::move(text));
    }
    out.push_back(std::move(cells));
  }
  return out;
}

std::string YamlText(const Json& document) {
  YAML::Emitter out;
  out.SetNullFormat(YAML::LowerNull);
  Emit(out, document);
  return std::string(out.c_str(), out.size()) + "\n";
}

std::string JsonText(const Json& document) { return document.dump(4) + "\n"; }

}  // namespace wherry::cli
