#include "core/agent/shipped_images.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/agent/images/embedded.h"
#include "core/kinds/codec.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {

std::vector<Json> ShippedImages() {
  constexpr std::string_view kSeparator = "\n---\n";
  std::vector<Json> out;
  for (std::string_view text : EmbeddedImages()) {
    while (!text.empty()) {
      const size_t end = text.find(kSeparator);
      Result<Json> image = ParseYaml(text.substr(0, end), nullptr);
      if (!image.ok()) throw std::logic_error("shipped image: " + image.status().message());
      (*image)["metadata"]["labels"][std::string(kShippedKey)] = "true";
      out.push_back(std::move(*image));
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + kSeparator.size());
    }
  }
  return out;
}

Task<Status> InstallShippedImages(Client& client) {
  std::vector<Json> images = ShippedImages();
  for (Json& image : images) {
    if (client.cache().Get(resources::kImages, "", StringAt(image, "metadata.name"))) continue;
    Result<ObjectPtr> made = co_await client.Create(std::string(resources::kImages), "", std::move(image));
    if (!made.ok() && made.status().reason() != Reason::kAlreadyExists) co_return made.status();
  }
  co_return Status();
}

}  // namespace wherry
