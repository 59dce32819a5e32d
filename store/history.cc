#include "store/history.h"

#include <algorithm>

namespace wherry {
namespace {

class Stopwatch {
 public:
  explicit Stopwatch(std::chrono::microseconds limit) : end_(std::chrono::steady_clock::now() + limit) {}
  bool over() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  const std::chrono::steady_clock::time_point end_;
};

constexpr EventType kEventOf[] = {EventType::kAdded, EventType::kModified, EventType::kDeleted};
constexpr auto kDelete = static_cast<int64_t>(Mutation::Op::kDelete);

EventType EventOf(int64_t op) {
  if (op < 0 || op > kDelete) throw sqlite::Error(sqlite::Fault::kDamaged, "unknown operation in the log");
  return kEventOf[op];
}

}  // namespace

HistoryReader::HistoryReader(RevisionLog& log, std::string resource, uint64_t after, uint64_t upto, uint64_t max_bytes)
    : log_(log),
      resource_(std::move(resource)),
      after_(after),
      upto_(upto),
      max_bytes_(max_bytes),
      select_(log.db(),
              "SELECT revision, op, prev, crc, uid, ns, name, body FROM log "
              "WHERE resource=?1 AND revision>?2 AND revision<=?3 ORDER BY revision"),
      select_previous_(log.db(), "SELECT crc, uid, ns, name, body FROM log WHERE revision=?1"),
      at_(after) {}

bool HistoryReader::Step(const StepBudget& budget) {
  // Looked at in every step: compaction works between them.
  if (after_ < log_.compacted()) {
    status_ = Expired();
    return true;
  }
  const int64_t resource = log_.ResourceId(resource_);
  if (resource == 0) return true;
  const Stopwatch watch(budget.time);
  size_t rows_read = 0;
  for (sqlite::Rows rows = select_.Query(resource, at_, upto_); rows.Next();) {
    const auto revision = static_cast<uint64_t>(rows.Int(0));
    ObjectKey key{resource_, std::string(rows.Text(5)), std::string(rows.Text(6))};
    VerifyBody(revision, rows.Int(3), rows.Blob(7));
    const std::string path = key.ns + "/" + key.name;
    auto event = std::make_shared<Event>();
    event->type = EventOf(rows.Int(1));
    if (const auto prev = static_cast<uint64_t>(rows.Int(2)); prev != 0) {
      const auto known = latest_.find(path);
      event->previous = known != latest_.end() ? known->second : Previous(prev);
    }
    event->object =
        std::make_shared<const Object>(std::move(key), std::string(rows.Text(4)), revision, std::string(rows.Blob(7)));
    bytes_ += event->object->bytes().size();
    if (event->type == EventType::kDeleted) {
      latest_.erase(path);
    } else {
      latest_[path] = event->object;
    }
    events_.push_back(std::move(event));
    at_ = revision;
    if (bytes_ > max_bytes_) {
      status_ = Expired();
      return true;
    }
    if (++rows_read >= budget.rows || watch.over()) return false;
  }
  return true;
}

ObjectPtr HistoryReader::Previous(uint64_t revision) {
  sqlite::Rows row = select_previous_.Query(revision);
  if (!row.Next()) return nullptr;
  VerifyBody(revision, row.Int(0), row.Blob(4));
  bytes_ += row.Blob(4).size();
  return std::make_shared<const Object>(ObjectKey{resource_, std::string(row.Text(2)), std::string(row.Text(3))},
                                        std::string(row.Text(1)), revision, std::string(row.Blob(4)));
}

Status HistoryReader::Expired() const {
  return Status(Reason::kExpired,
                "too old resource version: " + std::to_string(after_) + " (" + std::to_string(log_.compacted()) + ")");
}

Result<std::vector<EventPtr>> HistoryReader::Finish() {
  if (!status_.ok()) return status_;
  return std::move(events_);
}

Compactor::Compactor(RevisionLog& log)
    : log_(log),
      walk_(log.db(), "SELECT revision, op, time, prev FROM log WHERE revision>?1 ORDER BY revision LIMIT ?2"),
      drop_(log.db(), "DELETE FROM log WHERE revision=?1"),
      set_floor_(log.db(), "UPDATE meta SET value=?1 WHERE key='compacted'") {}

bool Compactor::Step(const Limits& limits, int64_t now, const StepBudget& budget) {
  const uint64_t last = log_.last_revision();
  const uint64_t beyond = last > limits.events ? last - limits.events : 0;
  const Stopwatch watch(budget.time);
  // The rows to drop are collected first: deleting from a table under a cursor over it is asking for surprises.
  uint64_t floor = log_.compacted();
  std::vector<uint64_t> doomed;
  bool done = true;
  {
    size_t walked = 0;
    for (sqlite::Rows rows = walk_.Query(floor, budget.rows); rows.Next();) {
      const auto revision = static_cast<uint64_t>(rows.Int(0));
      if (revision > beyond && rows.Int(2) > now - limits.age_micros) {
        done = true;
        break;
      }
      if (const auto prev = static_cast<uint64_t>(rows.Int(3)); prev != 0) doomed.push_back(prev);
      if (rows.Int(1) == kDelete) doomed.push_back(revision);
      floor = revision;
      done = false;  // more may follow, which the next step will see
      if (++walked % 16 == 0 && watch.over()) break;
    }
  }
  if (floor == log_.compacted()) return true;
  sqlite::Transaction transaction(log_.transactions());
  for (const uint64_t revision : doomed) drop_.Run(revision);
  set_floor_.Run(floor);
  transaction.Commit();
  log_.set_compacted(floor);
  return done;
}

}  // namespace wherry
