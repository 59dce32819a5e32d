#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "store/event_bus.h"
#include "store/revision_log.h"
#include "store/sqlite.h"
#include "store/status.h"

namespace wherry {

// How much one step of background work may do before writers get their turn: whichever ends first.
struct StepBudget {
  size_t rows = 500;
  std::chrono::microseconds time{5000};
};

// Reads the past events of one resource, a step at a time. Writer thread only.
class HistoryReader {
 public:
  // Events with after < revision <= upto. Refuses (kExpired) a range of more than `max_bytes`: a client that is so far
  // behind does better to list again.
  HistoryReader(RevisionLog& log, std::string resource, uint64_t after, uint64_t upto, uint64_t max_bytes);

  // True when the answer is complete; take it with Finish(). Throws sqlite::Error.
  bool Step(const StepBudget& budget);
  Result<std::vector<EventPtr>> Finish();

 private:
  ObjectPtr Previous(uint64_t revision);
  Status Expired() const;

  RevisionLog& log_;
  const std::string resource_;
  const uint64_t after_;
  const uint64_t upto_;
  const uint64_t max_bytes_;
  sqlite::Statement select_;
  sqlite::Statement select_previous_;

  uint64_t at_;  // everything up to here is read
  uint64_t bytes_ = 0;
  Status status_;
  std::vector<EventPtr> events_;
  // The states read so far that a later event may replace.
  std::map<std::string, ObjectPtr, std::less<>> latest_;
};

// Drops the history that nobody may ask for any more. It walks the log once, oldest first; passing revision s it
// deletes the state that s replaced, and s itself when s is a deletion. So the log always holds every current object,
// every event after the floor, and the state before each of those. Writer thread only.
class Compactor {
 public:
  explicit Compactor(RevisionLog& log);

  // Which revisions may be passed: those at least `age` old, and those that are not among the newest `events`.
  struct Limits {
    int64_t age_micros = 0;
    uint64_t events = 0;
  };
  // One transaction of bounded size. True when there is nothing left to drop. Throws sqlite::Error.
  bool Step(const Limits& limits, int64_t now, const StepBudget& budget);

 private:
  RevisionLog& log_;
  sqlite::Statement walk_;
  sqlite::Statement drop_;
  sqlite::Statement set_floor_;
};

}  // namespace wherry
