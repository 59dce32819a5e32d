#include "store/writer.h"

#include <algorithm>

namespace wherry {
namespace {

// A batch also ends at this size, so that a burst of large objects does not make one enormous transaction.
constexpr size_t kMaxBatchBytes = 8 << 20;

}  // namespace

Writer::Writer(size_t max_batch, bool inline_writes, CommitBatch commit, Afterwards afterwards)
    : max_batch_(std::max<size_t>(1, max_batch)),
      inline_(inline_writes),
      commit_(std::move(commit)),
      afterwards_(std::move(afterwards)) {}

Writer::~Writer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Writer::Submit(Write write) {
  if (inline_) {
    std::vector<Write> batch;
    batch.push_back(std::move(write));
    commit_(std::move(batch));
    afterwards_(true);
    return;
  }
  EnsureThread();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(write));
  }
  wake_.notify_one();
}

void Writer::Start(Task task) {
  if (inline_) {
    while (!task()) {
    }
    afterwards_(true);
    return;
  }
  EnsureThread();
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void Writer::EnsureThread() {
  if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
}

std::vector<Writer::Write> Writer::TakeBatch() {
  std::vector<Write> batch;
  size_t bytes = 0;
  while (!queue_.empty() && batch.size() < max_batch_ && bytes < kMaxBatchBytes) {
    const Mutation& mutation = queue_.front().mutation;
    bytes += mutation.draft ? mutation.draft->size() : 0;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

void Writer::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty() || !tasks_.empty(); });
    if (stop_ && queue_.empty()) return;

    if (std::vector<Write> batch = TakeBatch(); !batch.empty()) {
      lock.unlock();
      commit_(std::move(batch));
      lock.lock();
    }
    if (!tasks_.empty() && !stop_) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      const bool finished = task();
      lock.lock();
      // To the back: several tasks take turns. A task that is finished has handed its callback over and holds nothing
      // of the control thread's.
      if (!finished) tasks_.push_back(std::move(task));
    }
    const bool idle = queue_.empty();
    lock.unlock();
    afterwards_(idle);
    lock.lock();
  }
}

}  // namespace wherry
