#include "core/runtime/side_thread.h"

#include <asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "core/runtime/await.h"

namespace wherry {
namespace {

struct Job {
  std::function<Status()> work;
  std::function<void(Status)> done;
};

}  // namespace

struct SideThread::Rep {
  explicit Rep(asio::any_io_executor to) : executor(std::move(to)), thread([this] { Loop(); }) {}
  ~Rep() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_one();
    thread.join();
  }

  void Loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return stopping || !jobs.empty(); });
      if (stopping) return;
      Job job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      Status status = job.work();
      // The callback moves along: it belongs to the control thread and must not end its life on this one.
      asio::post(executor,
                 [done = std::move(job.done), status = std::move(status)]() mutable { done(std::move(status)); });
      lock.lock();
    }
  }

  const asio::any_io_executor executor;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;   // guarded by mutex
  bool stopping = false;  // guarded by mutex
  std::thread thread;     // last: it reads the others
};

SideThread::SideThread(asio::any_io_executor executor) : executor_(std::move(executor)) {}
SideThread::~SideThread() = default;

Task<Status> SideThread::Run(std::function<Status()> work) {
  if (!rep_) rep_ = std::make_unique<Rep>(executor_);
  auto start = [rep = rep_.get(), work = std::move(work)](auto callback) mutable {
    {
      const std::lock_guard lock(rep->mutex);
      rep->jobs.push_back({std::move(work), std::move(callback)});
    }
    rep->wake.notify_one();
  };
  Status status = co_await AwaitCallback<Status>(std::move(start));
  co_return status;
}

}  // namespace wherry
