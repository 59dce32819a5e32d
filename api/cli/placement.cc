#include "api/cli/placement.h"

namespace wherry::cli {
namespace {

std::string Text(const Json& object, const char* field) {
  const auto it = object.find(field);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

Result<Placer> Placer::Make(Session& session, const CommonFlags& flags) {
  Result<Discovery> discovery = Discovery::Load(session);
  if (!discovery.ok()) return discovery.status();
  return Placer(session, flags, std::move(*discovery));
}

Result<Placement> Placer::Place(const Json& object) {
  const std::string api_version = Text(object, "apiVersion");
  const std::string kind = Text(object, "kind");
  const Json metadata = object.value("metadata", Json::object());
  Placement out;
  out.name = metadata.is_object() ? Text(metadata, "name") : "";
  if (out.name.empty()) return Status::BadRequest(kind + ": metadata.name: Required value");

  const ResourceType* type = discovery_.FindKind(api_version, kind);
  if (type == nullptr) {
    Result<Discovery> again = Discovery::Load(*session_);
    if (!again.ok()) return again.status();
    discovery_ = std::move(*again);
    type = discovery_.FindKind(api_version, kind);
  }
  if (type == nullptr) {
    std::string message = kind + " \"" + out.name + "\": the server does not know " + api_version + " " + kind;
    for (const ResourceType& other : discovery_.types()) {
      if (other.kind != kind) continue;
      message += "; did you mean apiVersion: " + other.api_version() + "?";
      break;
    }
    return Status(Reason::kNotFound, std::move(message));
  }
  out.type = *type;
  out.object = object;
  if (type->namespaced) {
    out.name_space = Text(metadata, "namespace");
    if (out.name_space.empty()) {
      out.name_space = flags_.NamespaceIn(*session_);
    } else if (!flags_.name_space.empty() && out.name_space != flags_.name_space) {
      return Status::BadRequest(out.title() + ": metadata.namespace is \"" + out.name_space + "\", but -n says \"" +
                                flags_.name_space + "\"");
    }
    out.object["metadata"]["namespace"] = out.name_space;
  }
  return out;
}

}  // namespace wherry::cli
