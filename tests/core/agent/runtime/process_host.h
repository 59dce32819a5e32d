#pragma once

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/agent/runtime/process_runtime.h"
#include "core/runtime/clock.h"

namespace wherry {

// A data directory of its own, a ProcessRuntime over it and an event loop. Ends the warden and whatever runs when it
// goes.
class ProcessHost {
 public:
  // `user` >= 0: the warden runs as that user (we are root).
  explicit ProcessHost(int user = -1);
  ~ProcessHost();

  ProcessRuntime& runtime() { return *runtime_; }
  const std::string& dir() const { return dir_; }
  const std::vector<std::string>& warden_command() const { return warden_command_; }

  // Lets go of the runtime as a crash of the server would, and makes a new one.
  void DropServer();
  void StartServer();

  // Runs the event loop until it holds; false after ten seconds.
  bool Until(const std::function<bool()>& holds);

  template <typename T>
  T Run(Task<T> task) {
    std::optional<T> result;
    Spawn(io_.get_executor(), "test", Store(std::move(task), &result));
    if (!Until([&] { return result.has_value(); })) throw std::runtime_error("no answer in time");
    return std::move(*result);
  }

  // Lets a coroutine run along.
  void Launch(Task<> task) { Spawn(io_.get_executor(), "test", std::move(task)); }

  // A container of /bin/sh -c `script`, logging to <dir>/<id>.log.
  ContainerSpec Shell(const std::string& id, const std::string& script) const;
  ContainerState Start(ContainerSpec spec);        // fails the test when it does not start
  std::string StartError(ContainerSpec spec);      // the message; fails the test when it starts
  ContainerState WaitExit(const std::string& id);  // fails the test when it does not end
  std::optional<ContainerState> Find(const std::string& id);
  Status Signal(const std::string& id, int signal) { return Run<Status>(runtime_->Signal(id, signal)); }
  Status Remove(const std::string& id) { return Run<Status>(runtime_->Remove(id)); }
  std::string Log(const std::string& id) const;  // the text of the lines, without stamp and tags
  std::string ReadFile(const std::string& path) const;

  std::map<std::string, ContainerState> exits;  // as told to on_exit
  std::vector<std::string> notes;
  int exit_calls = 0;

 private:
  template <typename T>
  static Task<> Store(Task<T> task, std::optional<T>* result) {
    T value = co_await std::move(task);
    result->emplace(std::move(value));
  }

  std::string dir_;
  std::vector<std::string> warden_command_;
  asio::io_context io_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<ProcessRuntime> runtime_;
};

// Whether the process runs (a zombie does not).
bool ProcessRuns(int pid);
int OpenDescriptors(int pid);
int Nobody();  // a user to drop to, or -1 when we are not root
// The answer to "GET / HTTP/1.0" at address:port, "" when nobody answers.
std::string HttpGet(const std::string& address, int port);

}  // namespace wherry
