#include "store/object_store.h"

#include <algorithm>
#include <atomic>
#include <cassert>

#include "store/history.h"
#include "store/revision_log.h"
#include "store/schema.h"
#include "store/snapshot.h"
#include "store/writer.h"

namespace wherry {
namespace {

// The WAL is folded into the database file when it has this many pages (4 KiB each) and nobody waits, or at the latest
// when it has kWalPagesAtMost.
constexpr int kWalPages = 1024;
constexpr int kWalPagesAtMost = 4096;
// Called for from Compact(), in a quiet moment, already this many are worth it: a restart has less to recover.
constexpr int kWalPagesAtRest = 128;

// A resume that would need more history than this is told to list again.
constexpr uint64_t kHistoryReadBytes = 64 << 20;

struct Outcome {
  ObjectStore::Callback done;
  Status status;
  Change change;  // when the status is ok
};

// What completions use on the control thread. They hold it by shared_ptr: one that arrives when the store is gone finds
// it closed and does nothing. Control thread only.
struct Control {
  bool open = true;
  ObjectStore::OnEvent on_event;
  std::function<ObjectPtr(const ObjectKey&)> lookup;
  size_t pending = 0;

  // Everybody can read what was written before anybody is resumed.
  void Deliver(std::vector<Outcome>& outcomes) {
    if (!open) return;
    pending -= outcomes.size();
    for (const Outcome& outcome : outcomes) {
      if (!outcome.status.ok()) continue;
      auto event = std::make_shared<Event>();
      event->type = outcome.change.type;
      event->object = outcome.change.object;
      if (event->type != EventType::kAdded && lookup) event->previous = lookup(event->object->key());
      if (on_event) on_event(std::move(event));
    }
    for (Outcome& outcome : outcomes) {
      if (!open) return;  // a callback may end the store
      if (!outcome.done) continue;
      if (outcome.status.ok()) {
        outcome.done(std::move(outcome.change.object));
      } else {
        outcome.done(std::move(outcome.status));
      }
    }
  }
};

int64_t SystemMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class SqliteObjectStore final : public ObjectStore {
 public:
  SqliteObjectStore(StoreOptions options, std::unique_ptr<sqlite::Database> db)
      : options_(std::move(options)),
        log_(std::move(db)),
        start_revision_(log_.last_revision()),
        compactor_(log_),
        compacted_(log_.compacted()),
        writer_(
            options_.max_batch, options_.inline_writes,
            [this](std::vector<Writer::Write> batch) { CommitBatch(std::move(batch)); },
            [this](bool idle) { CheckpointIf(idle ? kWalPages : kWalPagesAtMost); }) {}

  ~SqliteObjectStore() override { control_->open = false; }

  void set_on_event(OnEvent on_event) override { control_->on_event = std::move(on_event); }
  void set_lookup(std::function<ObjectPtr(const ObjectKey&)> lookup) override { control_->lookup = std::move(lookup); }
  uint64_t start_revision() const override { return start_revision_; }
  uint64_t compacted_revision() const override { return compacted_; }
  size_t pending() const override { return control_->pending; }

  Status LoadAll(const std::function<void(ObjectPtr)>& fn) override {
    try {
      log_.LoadAll(fn);
      return Status();
    } catch (const sqlite::Error& error) {
      return ExplainError(options_.path, error);
    }
  }

  void Commit(Mutation mutation, Callback done) override {
    ++control_->pending;
    writer_.Submit(Writer::Write{std::move(mutation), std::move(done)});
  }

  void ReadHistory(std::string resource, uint64_t after, uint64_t upto,
                   std::function<void(Result<std::vector<EventPtr>>)> done) override;
  void Compact() override;
  void Snapshot(std::string path, std::function<void(Status)> done) override;

 private:
  // Writer thread (or within the call, when inline).
  void CommitBatch(std::vector<Writer::Write> batch);
  bool CompactStep();
  void CheckpointIf(int pages);

  // Hands an answer to the control thread. `done` moves along, so that it is also destroyed there.
  template <typename Done, typename Answer>
  void Reply(Done& done, Answer answer) {
    auto shared_answer = std::make_shared<Answer>(std::move(answer));
    options_.post([control = control_, done = std::move(done), shared_answer] {
      if (control->open) done(std::move(*shared_answer));
    });
  }

  // Constant after construction.
  const StoreOptions options_;
  const std::shared_ptr<Control> control_ = std::make_shared<Control>();
  // Start-up, then writer thread only.
  RevisionLog log_;
  const uint64_t start_revision_;
  Compactor compactor_;
  // Any thread.
  std::atomic<uint64_t> compacted_;
  std::atomic<bool> compacting_ = false;
  // Last: its end waits for the thread, which uses all of the above.
  Writer writer_;
};

void SqliteObjectStore::CommitBatch(std::vector<Writer::Write> batch) {
  auto outcomes = std::make_shared<std::vector<Outcome>>(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) (*outcomes)[i].done = std::move(batch[i].done);
  try {
    RevisionLog::Batch transaction(log_, options_.now());
    bool changed = false;
    for (size_t i = 0; i < batch.size(); ++i) {
      Outcome& outcome = (*outcomes)[i];
      Result<Change> change = transaction.Apply(batch[i].mutation);
      if (change.ok()) {
        outcome.change = std::move(change).value();
        changed = true;
      } else {
        outcome.status = change.status();
      }
    }
    if (changed) transaction.Commit();
  } catch (const sqlite::Error& error) {
    for (Outcome& outcome : *outcomes) outcome.status = ExplainError(options_.path, error);
  } catch (const std::exception& error) {
    for (Outcome& outcome : *outcomes)
      outcome.status = Status::Internal(std::string("the write failed: ") + error.what());
  }
  // The callbacks move along: they belong to the control thread and must also be destroyed there.
  options_.post([control = control_, outcomes = std::move(outcomes)] {
    control->Deliver(*outcomes);
    outcomes->clear();
  });
}

void SqliteObjectStore::CheckpointIf(int pages) {
  if (log_.db().wal_pages() < pages) return;
  try {
    log_.db().Checkpoint();
  } catch (const sqlite::Error&) {
    // Nothing is lost: the WAL holds it all, and the next commit tries again. A disk that stays full or broken is
    // reported to the writers as soon as the WAL cannot grow.
  }
}

void SqliteObjectStore::ReadHistory(std::string resource, uint64_t after, uint64_t upto,
                                    std::function<void(Result<std::vector<EventPtr>>)> done) {
  struct Reading {
    std::unique_ptr<HistoryReader> reader;
    std::function<void(Result<std::vector<EventPtr>>)> done;
  };
  auto reading = std::make_shared<Reading>();
  reading->done = std::move(done);
  writer_.Start([this, reading, resource = std::move(resource), after, upto]() -> bool {
    try {
      if (!reading->reader) {
        reading->reader = std::make_unique<HistoryReader>(log_, resource, after, upto, kHistoryReadBytes);
      }
      if (!reading->reader->Step(StepBudget{})) return false;
      Reply(reading->done, reading->reader->Finish());
    } catch (const sqlite::Error& error) {
      Reply(reading->done, Result<std::vector<EventPtr>>(ExplainError(options_.path, error)));
    }
    return true;
  });
}

void SqliteObjectStore::Compact() {
  if (compacting_.exchange(true)) return;
  writer_.Start([this] { return CompactStep(); });
}

bool SqliteObjectStore::CompactStep() {
  bool finished = true;
  try {
    const Compactor::Limits limits{std::chrono::microseconds(options_.history_age).count(), options_.history_events};
    // What compaction does need not survive a power cut, so it does not wait for the disk: the next group commit's
    // fsync covers it, since the WAL is written in order.
    const bool wait = options_.durability == Durability::kFull;
    if (wait) log_.db().Exec(SynchronousPragma(Durability::kNormal));
    finished = compactor_.Step(limits, options_.now(), StepBudget{});
  } catch (const sqlite::Error&) {
    // The history stays as long as it is; the next round tries again, and writers are told what is wrong by their own
    // commits.
  }
  try {
    log_.db().Exec(SynchronousPragma(options_.durability));
  } catch (const sqlite::Error&) {
  }
  compacted_ = log_.compacted();
  if (finished) {
    CheckpointIf(kWalPagesAtRest);
    compacting_ = false;
  }
  return finished;
}

void SqliteObjectStore::Snapshot(std::string path, std::function<void(Status)> done) {
  struct Copying {
    std::unique_ptr<SnapshotWriter> copy;
    std::function<void(Status)> done;
  };
  auto copying = std::make_shared<Copying>();
  copying->done = std::move(done);
  writer_.Start([this, copying, path = std::move(path)]() -> bool {
    try {
      if (!copying->copy) copying->copy = std::make_unique<SnapshotWriter>(log_.db(), path);
      if (!copying->copy->Step()) return false;
      Reply(copying->done, Status());
    } catch (const sqlite::Error& error) {
      Reply(copying->done, Status::Internal("cannot write the snapshot " + path + ": " + error.what()));
    }
    return true;
  });
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> ObjectStore::Open(StoreOptions options) {
  assert(options.post);
  if (!options.now) options.now = SystemMicros;
  Result<std::unique_ptr<sqlite::Database>> db = OpenDatabase(options.path, options.durability);
  if (!db.ok()) return db.status();
  const std::string path = options.path;
  try {
    if (options.max_bytes != 0) {
      const auto page = static_cast<uint64_t>((*db)->Int("PRAGMA page_size"));
      (*db)->Int("PRAGMA max_page_count=" + std::to_string(std::max<uint64_t>(1, options.max_bytes / page)));
    }
    std::unique_ptr<ObjectStore> store = std::make_unique<SqliteObjectStore>(std::move(options), std::move(db).value());
    return store;
  } catch (const sqlite::Error& error) {
    return ExplainError(path, error);
  }
}

}  // namespace wherry
