#pragma once

// The one JSON document type, forward-declared: sources that look inside include <nlohmann/json.hpp> themselves.

#include <memory>
#include <nlohmann/json_fwd.hpp>

namespace wherry {

using Json = nlohmann::json;
using JsonPtr = std::shared_ptr<const Json>;

}  // namespace wherry
