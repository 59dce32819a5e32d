#include "api/manifests/manifest.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

struct Piece {
  std::string text;  // begins with as many newlines as there are lines before it, so that a parser counts right
  size_t line = 1;
};

bool Blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

std::vector<Piece> SplitYaml(std::string_view text) {
  std::vector<Piece> out(1);
  size_t line_number = 1;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    text.remove_prefix(line.size());
    const bool marker = line.starts_with("---") &&
                        (line.size() == 3 || std::string_view(" \t\r\n").find(line[3]) != std::string_view::npos);
    if (marker) {
      out.push_back({std::string(line_number - 1, '\n'), line_number});
      line.remove_prefix(3);
    }
    out.back().text += line;
    ++line_number;
  }
  return out;
}

// Cuts after the closing brace of each top-level value.
std::vector<Piece> SplitJson(std::string_view text) {
  std::vector<Piece> out;
  size_t depth = 0, start = 0, line = 1, start_line = 1;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && depth > 0 && --depth == 0) {
      out.push_back({std::string(start_line - 1, '\n') + std::string(text.substr(start, i + 1 - start)), start_line});
      start = i + 1;
      start_line = line;
    }
  }
  if (!Blank(text.substr(std::min(start, text.size())))) {
    out.push_back({std::string(start_line - 1, '\n') + std::string(text.substr(start)), start_line});
  }
  return out;
}

std::string TextAt(const Json& object, const char* field) {
  const auto it = object.find(field);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

void Add(const Json& object, const std::string& where, Manifests* out) {
  if (!object.is_object()) {
    out->errors.push_back(where + ": not an object but " + std::string(object.type_name()));
    return;
  }
  const std::string kind = TextAt(object, "kind");
  const auto items = object.find("items");
  if (kind.ends_with("List") && items != object.end() && items->is_array()) {
    for (size_t i = 0; i < items->size(); ++i) Add((*items)[i], where + ", items[" + std::to_string(i) + "]", out);
    return;
  }
  for (const char* field : {"apiVersion", "kind"}) {
    if (TextAt(object, field).empty()) {
      out->errors.push_back(where + ": " + field + ": Required value");
      return;
    }
  }
  out->objects.push_back({std::make_shared<const Json>(object), where});
}

void LoadFile(const std::string& path, Manifests* out) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    out->errors.push_back(path + ": cannot be read");
    return;
  }
  ReadManifests(std::string(std::istreambuf_iterator<char>(file), {}), path, out);
}

void LoadDirectory(const std::string& path, bool recursive, Manifests* out) {
  std::vector<std::string> files;
  const auto take = [&files](const fs::directory_entry& entry) {
    const std::string extension = entry.path().extension();
    std::error_code ignored;
    if (entry.is_regular_file(ignored) && (extension == ".yaml" || extension == ".yml" || extension == ".json")) {
      files.push_back(entry.path());
    }
  };
  std::error_code error;
  if (recursive) {
    for (auto it = fs::recursive_directory_iterator(path, error); !error && it != fs::recursive_directory_iterator();
         it.increment(error)) {
      take(*it);
    }
  } else {
    for (auto it = fs::directory_iterator(path, error); !error && it != fs::directory_iterator(); it.increment(error)) {
      take(*it);
    }
  }
  if (error) {
    out->errors.push_back(path + ": " + error.message());
    return;
  }
  if (files.empty()) out->errors.push_back(path + ": holds no *.yaml, *.yml or *.json file");
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) LoadFile(file, out);
}

}  // namespace

void ReadManifests(std::string_view text, const std::string& name, Manifests* out) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string_view::npos && text[first] == '{';
  // A YAML file may begin with a brace too, and may go on after it.
  std::vector<Piece> pieces = json ? SplitJson(text) : SplitYaml(text);
  const auto read = [](const Piece& piece, bool as_json) {
    return as_json ? ParseJson(piece.text, nullptr) : ParseYaml(piece.text, nullptr);
  };
  bool as_json = json;
  if (json && !read(pieces[0], true).ok()) {
    as_json = false;
    pieces = SplitYaml(text);
  }
  size_t number = 0;
  std::erase_if(pieces, [](const Piece& piece) { return Blank(piece.text); });
  for (const Piece& piece : pieces) {
    ++number;
    std::string where = name;
    if (pieces.size() > 1)
      where += ", document " + std::to_string(number) + " (line " + std::to_string(piece.line) + ")";
    Result<Json> document = read(piece, as_json);
    if (!document.ok()) {
      out->errors.push_back(where + ": " + document.status().message());
    } else if (!document->is_null()) {  // only comments
      Add(*document, where, out);
    }
  }
}

Manifests LoadManifests(const std::vector<std::string>& paths, bool recursive) {
  Manifests out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path == "-") {
      ReadManifests(std::string(std::istreambuf_iterator<char>(std::cin), {}), "standard input", &out);
    } else if (fs::is_directory(path, error)) {
      LoadDirectory(path, recursive, &out);
    } else if (!fs::exists(path, error)) {
      out.errors.push_back(path + ": there is no such file");
    } else {
      LoadFile(path, &out);
    }
  }
  return out;
}

}  // namespace wherry
