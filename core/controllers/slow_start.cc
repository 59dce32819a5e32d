#include "core/controllers/slow_start.h"

#include <algorithm>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <exception>
#include <memory>
#include <utility>

#include "core/runtime/await.h"

namespace wherry {
namespace {

struct Batch {
  asio::any_io_executor executor;
  BatchStep step;
  std::vector<Status> outcomes;
  size_t left = 0;
  std::function<void(bool)> done;
};

Task<> RunOne(std::shared_ptr<Batch> batch, size_t first, size_t at) {
  try {
    Status status = co_await batch->step(first + at);
    batch->outcomes[at] = std::move(status);
  } catch (const std::exception& e) {
    batch->outcomes[at] = Status::Internal(e.what());
  }
  if (--batch->left > 0) co_return;
  // Never from inside the call that waits.
  asio::post(batch->executor, [done = std::move(batch->done)] { done(true); });
}

}  // namespace

Task<std::vector<Status>> RunSideBySide(size_t first, size_t count, BatchStep step) {
  auto batch = std::make_shared<Batch>();
  if (count == 0) co_return std::vector<Status>();
  batch->executor = co_await asio::this_coro::executor;
  batch->step = std::move(step);
  batch->outcomes.resize(count);
  batch->left = count;
  if (count == 1) {
    Status status = co_await batch->step(first);
    batch->outcomes[0] = std::move(status);
    co_return std::move(batch->outcomes);
  }
  auto start = [batch, first, count](std::function<void(bool)> done) {
    batch->done = std::move(done);
    for (size_t at = 0; at < count; ++at) Spawn(batch->executor, "batch", RunOne(batch, first, at));
  };
  co_await AwaitCallback<bool>(std::move(start));
  co_return std::move(batch->outcomes);
}

Task<Status> RunInGroups(size_t count, size_t at_once, BatchStep step) {
  Status failed;
  for (size_t first = 0; first < count; first += at_once) {
    const std::vector<Status> outcomes = co_await RunSideBySide(first, std::min(at_once, count - first), step);
    for (const Status& status : outcomes) {
      if (!status.ok() && failed.ok()) failed = status;
    }
  }
  co_return failed;
}

Task<Status> SlowStart(size_t count, size_t initial, BatchStep step) {
  size_t batch = initial;
  for (size_t first = 0; first < count;) {
    batch = std::min(batch, count - first);
    const std::vector<Status> outcomes = co_await RunSideBySide(first, batch, step);
    for (const Status& status : outcomes) {
      if (!status.ok()) co_return status;
    }
    first += batch;
    batch *= 2;
  }
  co_return Status();
}

}  // namespace wherry
