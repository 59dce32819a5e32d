#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "api/rest/call.h"

namespace wherry {

// Chunked lists (limit and continue): every page after the first comes from the same moment as the first, because the
// rest of the first page's objects is kept, as shared pointers, until it was read, for at most five minutes. Too old a
// token is 410. Control thread only.
class ListPages {
 public:
  ListPages(Registry& registry) : registry_(registry) {}

  struct Page {
    std::vector<ObjectPtr> objects;
    uint64_t revision = 0;
    std::string next;  // the continue token, "" at the end
    int64_t remaining = 0;
  };
  // What a list request asks for, in order. REQUIRES: the query's fields were checked.
  Result<Page> Read(const Kind& kind, const std::string& ns, const ListQuery& query);

 private:
  struct Snapshot {
    std::string id;
    std::string resource, ns;
    uint64_t revision = 0;
    Duration made{};
    std::shared_ptr<const std::vector<ObjectPtr>> objects;
  };
  Result<Page> Continue(const Kind& kind, const std::string& ns, const ListQuery& query);
  static Page Cut(const Snapshot& snapshot, size_t offset, int64_t limit);

  Registry& registry_;
  std::deque<Snapshot> snapshots_;  // oldest first
};

// Everything that matches, in order, by the cheapest way: one name, an index, or a walk.
std::vector<ObjectPtr> Matching(const WatchCache& cache, const Kind& kind, const std::string& ns,
                                const std::string& name, const ListQuery& query);

// Answers a list in the form the call asks for.
void RespondList(Call& call, const ListPages::Page& page, bool selective, Time now);

// 504 with cause ResourceVersionTooLarge when a list or get asks for a revision that is not there yet.
Status CheckMinimumRevision(const std::string& asked, uint64_t current);

}  // namespace wherry
