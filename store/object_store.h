#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/event_bus.h"
#include "store/object.h"
#include "store/status.h"

namespace wherry {

// How hard a commit tries before it is acknowledged (SQLite `synchronous`).
enum class Durability {
  kFull,    // fsync of the WAL at every group commit: survives a power cut
  kNormal,  // fsync at checkpoints: survives a crash of the process; a power cut may lose the last moments
  kMemory,  // no fsync at all: for tests
};

struct StoreOptions {
  std::string path;  // the database file, or ":memory:"
  Durability durability = Durability::kFull;
  // History (for watches that resume) is kept at least this long, and no more than this many events.
  std::chrono::seconds history_age{600};
  uint64_t history_events = 200'000;
  // How long one group commit may grow: operations per transaction.
  size_t max_batch = 512;
  // The database file never grows beyond this many bytes: commits then fail as on a full disk. 0: no limit.
  uint64_t max_bytes = 0;
  // Commits run inside Commit() and their completions are posted, on the caller's thread: deterministic tests.
  bool inline_writes = false;
  // Wall clock for history age, microseconds since the epoch; the injected Clock. Called on the writer thread. Absent =
  // the system's.
  std::function<int64_t()> now;
  // Runs a function on the control thread, in order. Called on the writer thread. Functions that arrive after the store
  // is gone do nothing, so they may also be dropped.
  std::function<void(std::function<void()>)> post;
};

// One change asked of the store. The checks run inside the transaction, against what is then stored.
struct Mutation {
  enum class Op : uint8_t { kCreate, kUpdate, kDelete };
  Op op = Op::kCreate;
  ObjectKey key;
  std::string uid;             // of the object as it will be (create/update) or was (delete)
  std::optional<Draft> draft;  // the new document; for kDelete the last state to announce, or none = as stored
  // Preconditions: the stored object must have this revision / uid, else Reason::kConflict. Absent = any.
  std::optional<uint64_t> expected_revision;
  std::string expected_uid;
};

// SQLite behind one writer thread with group commit: current objects and revision history in the same transaction, one
// global revision that only grows, also across restarts.
//
// Flow: the control thread calls Commit; the writer thread drains its queue into one transaction; when it is durable,
// one completion for the whole batch is posted back, which first gives every event to `on_event` in revision order and
// then calls the callbacks: nobody is resumed before everybody can read what was written.
//
// Errors: kAlreadyExists (create of an existing key), kNotFound (update/delete of an absent key), kConflict
// (precondition), kInternalError (disk full, I/O error: nothing of the batch is stored; the message says what SQLite
// said). The details' `kind` and `group` are filled from the key's resource ("daemonsets.apps" → kind daemonsets, group
// apps).
class ObjectStore {
 public:
  using OnEvent = std::function<void(EventPtr)>;
  // The committed object: its new state, or for a delete the last state with the deletion's revision.
  using Callback = std::function<void(Result<ObjectPtr>)>;

  // Opens or creates the database: checks the application id and schema version, migrates, takes an exclusive lock.
  // Errors name the file and the remedy: locked by another server, not writable, not a wherry database, damaged.
  static Result<std::unique_ptr<ObjectStore>> Open(StoreOptions options);
  virtual ~ObjectStore() = default;  // waits for the writer; queued writes are completed, their callbacks dropped

  // REQUIRES: before the first Commit. Control thread.
  virtual void set_on_event(OnEvent on_event) = 0;

  // Every current object, in key order, and the store's revision. Start-up, before the first Commit.
  virtual Status LoadAll(const std::function<void(ObjectPtr)>& fn) = 0;
  // The newest revision that is stored. Never reused, even when the writes that had it were compacted. After start-up
  // use WatchCache::revision().
  virtual uint64_t start_revision() const = 0;

  // `previous` objects of the events come from this function (the WatchCache), on the control thread.
  virtual void set_lookup(std::function<ObjectPtr(const ObjectKey&)> lookup) = 0;

  // Queues one change. Control thread. `done` is called on the control thread, never from inside Commit.
  virtual void Commit(Mutation mutation, Callback done) = 0;

  // The events of a resource with after < revision <= upto, oldest first, with their previous states, read from the
  // history on the writer thread in small steps. kExpired when the history no longer reaches back to `after`, or when
  // the answer would take more than 64 MiB. Control thread; answers there.
  virtual void ReadHistory(std::string resource, uint64_t after, uint64_t upto,
                           std::function<void(Result<std::vector<EventPtr>>)> done) = 0;
  // The oldest revision a watch may resume from (as of the last compaction).
  virtual uint64_t compacted_revision() const = 0;

  // Drops history older than the limits in small steps and checkpoints the WAL. Called by the owner about every 10 s of
  // idle or busy time; cheap when there is nothing to do. Control thread.
  virtual void Compact() = 0;

  // Writes a consistent copy of the database to `path` (must not exist), while writes go on: the state of the moment at
  // which it is done. Any server can open the copy. kInternalError says why it failed; nothing is left at `path` then.
  virtual void Snapshot(std::string path, std::function<void(Status)> done) = 0;

  // Writes queued or in flight. Control thread.
  virtual size_t pending() const = 0;
};

}  // namespace wherry
