#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/json.h"
#include "store/status.h"

namespace wherry {

// One object of a file, and where it was found: "web.yaml, document 2".
struct Manifest {
  JsonPtr object;
  std::string where;
};

// What reading gave: objects in order, and a line for each document that could not be used.
struct Manifests {
  std::vector<Manifest> objects;
  std::vector<std::string> errors;
};

// Reads every document of a text: YAML documents between "---" lines, or JSON objects one after another. Lists (kind
// List or …List with items) are taken apart; empty documents are skipped. Line numbers in errors are those of the text.
void ReadManifests(std::string_view text, const std::string& name, Manifests* out);

// Reads files, directories (their *.yaml, *.yml and *.json by name, with `recursive` also below) and "-" (standard
// input).
Manifests LoadManifests(const std::vector<std::string>& paths, bool recursive);

}  // namespace wherry
