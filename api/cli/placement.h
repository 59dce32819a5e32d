#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "api/cli/common.h"
#include "api/cli/discovery.h"
#include "store/json.h"

namespace wherry::cli {

// Where an object of a file belongs in the cluster.
struct Placement {
  ResourceType type;
  std::string name_space;  // "" for cluster-scoped types
  std::string name;
  Json object;  // with its namespace filled in
  // "daemonset.apps/web"
  std::string title() const { return type.qualified_singular() + "/" + name; }
};

// Finds types and namespaces for the objects of files.
class Placer {
 public:
  static Result<Placer> Make(Session& session, const CommonFlags& flags);
  // Errors name the object and what is wrong with it. Asks the server for its types again when it does not know one, in
  // case a definition of it has just been applied.
  Result<Placement> Place(const Json& object);

 private:
  Placer(Session& session, const CommonFlags& flags, Discovery discovery)
      : session_(&session), flags_(flags), discovery_(std::move(discovery)) {}

  Session* session_;
  CommonFlags flags_;
  Discovery discovery_;
};

}  // namespace wherry::cli
