#include "core/agent/probes/exec_check.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <asio/posix/stream_descriptor.hpp>
#include <memory>
#include <utility>

#include "core/agent/probes/network_checks.h"

namespace wherry {
namespace {

constexpr size_t kMaxOutput = 10 << 10;  // as upstream

uint64_t next_exec = 1;  // control thread only

// Gathers what comes through a pipe, and throws away what is too much. Lives as long as its read is pending.
class Output : public std::enable_shared_from_this<Output> {
 public:
  Output(const asio::any_io_executor& executor, int fd) : pipe_(executor, fd) {}

  void Read() {
    auto self = shared_from_this();
    pipe_.async_wait(asio::posix::stream_descriptor::wait_read, [self](const std::error_code& error) {
      if (!error && self->Drain()) self->Read();
    });
  }
  // Takes what is there now. False at the end.
  bool Drain() {
    char piece[4096];
    for (;;) {
      const ssize_t got = read(pipe_.native_handle(), piece, sizeof piece);
      if (got > 0) {
        text_.append(piece, std::min(static_cast<size_t>(got), kMaxOutput - text_.size()));
        continue;
      }
      return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }
  void Close() {
    std::error_code ignored;
    pipe_.close(ignored);
  }
  const std::string& text() const { return text_; }

 private:
  asio::posix::stream_descriptor pipe_;
  std::string text_;
};

// How an exec that is waited for may be cut short.
struct Limit {
  bool over = false, late = false;
};

Task<> StopLate(ContainerRuntime* runtime, std::string exec_id) {
  const Status stopped = co_await runtime->StopExec(std::move(exec_id));
  if (!stopped.ok()) spdlog::warn("exec not stopped error=\"{}\"", stopped.message());
}

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

}  // namespace

Task<CheckResult> CheckExec(asio::any_io_executor executor, Clock& clock, ContainerRuntime& runtime, Action action,
                            std::string container_id, Duration timeout) {
  CheckResult result;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    result.outcome = CheckResult::Outcome::kError;
    result.output = "no pipe for the output of the command";
    co_return result;
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  auto output = std::make_shared<Output>(executor, ends[0]);
  output->Read();
  ExecSpec spec;
  spec.container_id = container_id;
  spec.exec_id = "check/" + std::to_string(getpid()) + "/" + std::to_string(next_exec++);
  spec.argv = action.command;
  spec.stdio[2] = UniqueFd(fcntl(ends[1], F_DUPFD_CLOEXEC, 3));
  spec.stdio[1] = UniqueFd(ends[1]);

  auto limit = std::make_shared<Limit>();
  Clock::TimerId timer = 0;
  if (timeout != Duration::max()) {
    timer = clock.After(timeout, [limit, executor, runtime = &runtime, id = spec.exec_id] {
      if (limit->over) return;
      limit->late = true;
      Spawn(executor, "end of a late exec", StopLate(runtime, id));
    });
  }
  const Result<ExecResult> ended = co_await runtime.Exec(std::move(spec));
  limit->over = true;
  clock.Cancel(timer);
  output->Drain();
  output->Close();
  if (limit->late) {
    result =
        CheckFailed("command timed out: \"" + Joined(action.command) + "\" timed out after " + ShowTimeout(timeout));
  } else if (!ended.ok()) {
    result = CheckFailed(ended.status().message());
  } else if (ended->exit_code != 0) {
    result = CheckFailed(output->text().empty() ? "command \"" + Joined(action.command) + "\" exited with " +
                                                      std::to_string(ended->exit_code)
                                                : output->text());
  } else {
    result.output = output->text();
  }
  co_return result;
}

}  // namespace wherry
