#pragma once

#include <optional>
#include <string>

#include "core/kinds/kind.h"
#include "core/runtime/time.h"

namespace wherry {

// The server's own part of metadata (API conventions, "Metadata"). Pure functions of the documents.

// Makes sure object.metadata is there and returns it.
Json& MetadataOf(Json& object);

// Create: drops what the server sets, stamps uid, creationTimestamp and generation. kInternalError when resourceVersion
// is set, as upstream answers; kBadRequest when the body's namespace differs from `ns`.
Status StampCreate(const Kind& kind, const std::string& ns, const std::string& uid, Time now, Json& object);

// Update: carries over from `old` what clients cannot change and checks that name, namespace and uid agree. `name` and
// `ns` are the URL's.
Status StampUpdate(const Kind& kind, const std::string& ns, const std::string& name, const Json& old, Json& object);

// Raises metadata.generation when anything but metadata and status changed.
void BumpGeneration(const Kind& kind, const Json& old, Json& object);

// metadata.resourceVersion of a body as a precondition: absent, "" and "0" are none. kBadRequest when it is no number.
Result<std::optional<uint64_t>> RevisionPrecondition(const Json& object);

// True when the documents are the same but for resourceVersion and managedFields' times.
bool SameButRevision(const Json& a, const Json& b);

}  // namespace wherry
