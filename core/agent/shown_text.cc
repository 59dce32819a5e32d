#include "core/agent/shown_text.h"

#include <nlohmann/json.hpp>

#include "store/json.h"

namespace wherry {

std::string ShownText(std::string text, size_t limit) {
  if (text.size() > limit) text.resize(limit);
  return Json::parse(Json(std::move(text)).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

}  // namespace wherry
