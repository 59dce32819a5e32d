#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/runtime/clock.h"
#include "core/runtime/task.h"
#include "core/runtime/time.h"
#include "store/object.h"
#include "store/status.h"

namespace wherry {

// The query of pods/log (core/v1 PodLogOptions).
struct LogOptions {
  LogOptions() = default;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<int64_t> tail_lines;
  std::optional<int64_t> since_seconds;
  std::optional<Time> since_time;
  std::optional<int64_t> limit_bytes;
  std::string stream = "All";  // or Stdout, Stderr
};

// Which run's log is asked for.
struct LogTarget {
  std::string container;
  int attempt = 0;
  bool running = false;
  bool empty = false;  // there is nothing yet: a pod that no node has
};

// The name of the container that is meant: `asked`, or the pod's only or default one. kBadRequest when there are
// several or it has none of that name.
Result<std::string> ChooseContainer(const Json& pod, const std::string& asked);

// Finds the run, from the pod's status, as the kubelet and the API server decide it. kBadRequest: no container named
// though there are several (`a container name must be specified for pod p, choose one of: [a b]`), no such container,
// one that has not started (`container "c" in pod "p" is waiting to start: ContainerCreating`), no previous run.
Result<LogTarget> FindLog(const Json& pod, const std::string& container, bool previous);

// The text of one container's log: CRI files (`path`, and rotated before it path.1, path.2 …) read in pieces, oldest
// line first, stdout and stderr in the order they were written. Control thread only. One reader; the clock outlives it.
class LogStream {
 public:
  // `ended` tells whether the container has stopped writing; only asked when following.
  LogStream(Clock& clock, std::string path, LogOptions options, std::function<bool()> ended);
  ~LogStream();
  LogStream(const LogStream&) = delete;
  LogStream& operator=(const LogStream&) = delete;

  // The next piece, never empty until the end; then "". While following waits for more, until the container has ended.
  // No call reads more than a piece of bounded size without letting others run.
  Task<std::string> Next();
  // Makes a Next that waits end soon, with "": nobody listens any more.
  void Cancel() { cancelled_ = true; }

 private:
  class Reader;
  Clock& clock_;
  const std::function<bool()> ended_;
  std::unique_ptr<Reader> reader_;
  bool cancelled_ = false;
};

}  // namespace wherry
