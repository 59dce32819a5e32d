#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/event_bus.h"
#include "store/object_store.h"
#include "store/sqlite.h"
#include "store/status.h"

namespace wherry {

// One committed step of one object; the Event lacks only the state before, which the control thread has at hand.
struct Change {
  EventType type = EventType::kAdded;
  ObjectPtr object;
};

// The two tables behind ObjectStore: `log` holds every state of every object under its revision, `current` names the
// row that counts now. One thread at a time (start-up, then the writer). Throws sqlite::Error, whose kDamaged also
// covers a body that does not match its checksum.
class RevisionLog {
 public:
  explicit RevisionLog(std::unique_ptr<sqlite::Database> db);
  RevisionLog(const RevisionLog&) = delete;
  RevisionLog& operator=(const RevisionLog&) = delete;

  sqlite::Database& db() { return *db_; }
  sqlite::TransactionStatements& transactions() { return transactions_; }

  // The newest revision ever given away. It is the larger of the newest row and the compaction floor, so it needs no
  // write of its own: the floor passes a row before the row can go.
  uint64_t last_revision() const { return last_; }
  // Every event after this revision is in the log, with the state before it.
  uint64_t compacted() const { return compacted_; }
  void set_compacted(uint64_t revision) { compacted_ = revision; }  // the caller has stored it

  // Every current object in (resource, namespace, name) order.
  void LoadAll(const std::function<void(ObjectPtr)>& fn);

  // The number that stands for a resource's name in the tables; 0 when no object of it was ever stored.
  int64_t ResourceId(std::string_view resource) const;

  // One group commit. Without Commit() everything is undone, revisions included.
  class Batch {
   public:
    // `time`: of the changes, microseconds since the epoch.
    Batch(RevisionLog& log, int64_t time);
    ~Batch();
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

    // Checks and stores one change after those applied before. A refusal (kAlreadyExists, kNotFound, kConflict) leaves
    // the batch as it was; sqlite::Error means that the whole batch is lost.
    Result<Change> Apply(const Mutation& mutation);
    void Commit();

   private:
    RevisionLog& log_;
    const int64_t time_;
    const uint64_t last_before_;
    sqlite::Transaction transaction_;
    std::vector<std::string> new_resources_;
    bool committed_ = false;
  };

 private:
  struct Stored {
    std::string uid;
    std::string body;
  };
  Stored ReadRow(uint64_t revision);
  int64_t Intern(std::string_view resource, std::vector<std::string>& added);

  std::unique_ptr<sqlite::Database> db_;
  sqlite::TransactionStatements transactions_;
  sqlite::Statement find_current_;
  sqlite::Statement put_current_;
  sqlite::Statement remove_current_;
  sqlite::Statement append_;
  sqlite::Statement read_row_;
  sqlite::Statement add_resource_;

  std::map<std::string, int64_t, std::less<>> resources_;
  uint64_t last_ = 0;
  uint64_t compacted_ = 0;
};

// The `crc` column: CRC-32 of the body.
int64_t Checksum(std::string_view body);
// REQUIRES the body of a row to be as it was written. Throws sqlite::Error{kDamaged}.
void VerifyBody(uint64_t revision, int64_t crc, std::string_view body);

}  // namespace wherry
