#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "store/object_store.h"

namespace wherry {

// The writer thread: drains its queue into group commits, and between two of them does one bounded step of background
// work (compaction, history, snapshot), so that such work never holds up a writer for longer than a step. Sleeps when
// there is neither. With `inline_writes` there is no thread and everything is done within the call.
class Writer {
 public:
  struct Write {
    Mutation mutation;
    ObjectStore::Callback done;
  };
  // Does everything for a batch: transaction and completion. Must not throw.
  using CommitBatch = std::function<void(std::vector<Write> batch)>;
  // One step; true when the task is finished. Must not throw.
  using Task = std::function<bool()>;
  // Called after every commit and step; `idle`: nobody waits.
  using Afterwards = std::function<void(bool idle)>;

  Writer(size_t max_batch, bool inline_writes, CommitBatch commit, Afterwards afterwards);
  // Commits what is queued, drops tasks that are not finished, and waits for the thread.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Control thread.
  void Submit(Write write);
  void Start(Task task);

 private:
  void EnsureThread();
  void Loop();
  std::vector<Write> TakeBatch();  // REQUIRES: mutex_ held

  // Constant after construction.
  const size_t max_batch_;
  const bool inline_;
  const CommitBatch commit_;
  const Afterwards afterwards_;

  std::mutex mutex_;
  std::condition_variable wake_;
  // Protected by mutex_.
  std::deque<Write> queue_;
  std::deque<Task> tasks_;
  bool stop_ = false;

  // Control thread only. Started by the first piece of work, so that start-up may read the database without a lock.
  std::thread thread_;
};

}  // namespace wherry
