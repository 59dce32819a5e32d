#pragma once

#include "api/rest/call.h"

namespace wherry {

// Serves one watch until it times out, its client goes or falls too far behind, or the server stops (API-CONTRACT §5):
// initial state or resumption from any revision still kept, selector transitions, bookmarks, watch-list (KEP-3157),
// Tables.
Task<> ServeWatch(std::shared_ptr<Call> call, ListQuery query, Registry& registry, asio::any_io_executor executor);

}  // namespace wherry
