#include "core/controllers/slow_start.h"

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

using namespace wherry;

namespace {

struct Run {
  Status status;
  std::vector<size_t> asked;
};

Task<Status> Step(size_t index, size_t failing, std::vector<size_t>* asked) {
  asked->push_back(index);
  if (index == failing + 1000) throw std::runtime_error("broken");
  co_return index == failing ? Status(Reason::kForbidden, "no") : Status();
}

Task<> Store(Task<Status> task, Status* out) {
  Status status = co_await std::move(task);
  *out = status;
}

Run Play(size_t count, size_t initial, size_t failing) {
  asio::io_context io;
  Run run;
  auto* asked = &run.asked;
  BatchStep step = [failing, asked](size_t i) { return Step(i, failing, asked); };
  asio::co_spawn(io, Store(SlowStart(count, initial, step), &run.status), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
  return run;
}

}  // namespace

TEST_CASE("Slow start: batches double, and one with a failure is the last") {
  struct Case {
    size_t count, initial, failing, asked;
    bool ok;
  };
  const Case cases[] = {
      {0, 1, 99, 0, true},  {1, 1, 99, 1, true},   {20, 1, 99, 20, true},  {20, 1, 0, 1, false}, {20, 1, 1, 3, false},
      {20, 1, 6, 7, false}, {20, 1, 7, 15, false}, {20, 1, 19, 20, false}, {20, 8, 3, 8, false}, {20, 50, 0, 20, false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.count, c.initial, c.failing);
    const Run run = Play(c.count, c.initial, c.failing);
    CHECK(run.asked.size() == c.asked);
    CHECK(run.status.ok() == c.ok);
  }
}

TEST_CASE("An exception in one of many calls is that call's failure") {
  asio::io_context io;
  std::vector<size_t> asked;
  BatchStep step = [&asked](size_t i) { return Step(i + 1000, 2, &asked); };
  Status status;
  asio::co_spawn(io, Store(RunInGroups(5, 2, step), &status), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
  CHECK(asked.size() == 5);
  CHECK(status.reason() == Reason::kInternalError);
  CHECK(status.message() == "broken");
}
