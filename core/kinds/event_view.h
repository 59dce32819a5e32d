#pragma once

#include "store/json.h"

namespace wherry {

// events.k8s.io/v1 Event is another view of the core/v1 Event that is stored: the same object under other field names
// (note ↔ message, regarding ↔ involvedObject, reportingController ↔ reportingComponent, deprecated* ↔ the old
// counters).
Json EventFromStorage(const Json& stored);
Json EventToStorage(const Json& view);

}  // namespace wherry
