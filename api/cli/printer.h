#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/json.h"

namespace wherry::cli {

// Rows of text in aligned columns, three blanks apart, headers in upper case, nothing after the last cell of a row: the
// format of every Kubernetes command line. Widths count characters, not bytes.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows, std::vector<size_t>* widths = nullptr);

struct TableStyle {
  bool wide = false;            // show the columns of priority 1 too
  bool with_namespace = false;  // a first column NAMESPACE
  std::string prefix;           // put before names: "pod/"
};

// A server-side Table (meta.k8s.io/v1) as cells, the header first. `columns` is the table's own columnDefinitions, or,
// for later events of a watch that carry none, those of the first.
std::vector<std::vector<std::string>> TableCells(const Json& table, const Json& columns, const TableStyle& style,
                                                 bool with_header = true);

// The document as YAML 1.1 that every reader resolves back to the same values: strings that look like numbers,
// booleans, null or times are quoted.
std::string YamlText(const Json& document);
// Indented JSON with a newline at its end.
std::string JsonText(const Json& document);

}  // namespace wherry::cli
