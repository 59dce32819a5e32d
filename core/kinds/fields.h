#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/json.h"

namespace wherry {

// Readers of documents whose fields may be absent. `path` is dotted ("spec.template.spec"); keys that hold dots
// themselves (labels, annotations) are looked up in their MapAt. References live as long as the document, or for ever
// when they are the empty value. A value of the wrong type reads as absent: the schema has refused it before.

const Json& At(const Json& object, std::string_view path);        // null when absent
const Json* FindPath(const Json& object, std::string_view path);  // null when absent
const std::string& StringAt(const Json& object, std::string_view path);
std::string StringAt(const Json& object, std::string_view path, std::string_view absent);
int64_t IntAt(const Json& object, std::string_view path, int64_t absent = 0);
bool BoolAt(const Json& object, std::string_view path, bool absent = false);
const std::vector<Json>& ListAt(const Json& object, std::string_view path);
const std::map<std::string, Json, std::less<>>& MapAt(const Json& object, std::string_view path);
bool Has(const Json& object, std::string_view path);  // present and not null

}  // namespace wherry
