#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/agent/runtime/process_runtime.h"
#include "core/agent/warden/connection.h"
#include "core/agent/warden/protocol.h"
#include "core/runtime/clock.h"

namespace wherry {

// The server's end of the warden's socket. Connecting, restarting the warden, asking again after a break; calls are
// callbacks here, ProcessRuntime makes coroutines of them.
//
// Order after a (re)connect: Hello ▸ give back the descriptors we keep ▸ List ▸ report missed exits ▸ send again what
// had no answer, except starts of containers that the list shows: those did start.
class ProcessRuntime::Link : public std::enable_shared_from_this<Link> {
 public:
  // The payload of the answer, or why there is none.
  using Answer = std::function<void(Result<std::string>)>;

  Link(asio::io_context& io, Clock& clock, ProcessRuntimeOptions options);

  void Open();
  void Close();
  // Queues a call. `spawn_id` names the container that it starts, "" for other calls.
  void Call(warden::MessageType type, std::string payload, std::string spawn_id, Answer answer);

  // Runs a program in a container. `ended` is called once: with its end, or why it did not run or was given up.
  using ExecEnded = std::function<void(Result<ExecResult>)>;
  void Exec(warden::ExecRequest request, std::vector<warden::Fd> stdio, ExecEnded ended);

  // Attaches; `answer` gets the end of the container's stdin, invalid when it has none.
  using Attached = std::function<void(Result<std::shared_ptr<warden::Fd>>)>;
  void Attach(warden::AttachRequest request, std::vector<warden::Fd> pipes, Attached answer);
  // Forgets our copy of its stdin too.
  void ForgetInput(const std::string& id);

  asio::io_context& io() { return io_; }
  int warden_pid() const { return ready_ ? warden_pid_ : 0; }
  // The protocol version of the warden last greeted; 0 = none yet.
  uint32_t warden_version() const { return warden_version_; }
  // The warden is meant to go: its end of the connection is no accident.
  void ExpectEnd() { expect_end_ = true; }

  std::function<void(const ContainerState&)> on_exit, on_note;

 private:
  struct Pending {
    warden::MessageType type;
    std::string payload;
    std::string spawn_id;
    Answer answer;
  };

  struct ExecCall {
    warden::ExecRequest request;
    std::vector<warden::Fd> stdio;  // until it is sent
    bool sent = false;
    ExecEnded ended;
  };

  struct AttachCall {
    warden::AttachRequest request;
    std::vector<warden::Fd> pipes;  // until it is sent
    bool sent = false;
    Attached answer;
  };

  void Connect();
  void ConnectLater();
  void ConnectAfter(Duration delay);
  void Broken();
  void WaitReadable();
  void WaitWritable();
  void Handle(const warden::Frame& frame);
  void HandleHello(std::string_view payload);
  void HandleList(std::string_view payload);
  void HandleEvent(const warden::Frame& frame);
  void HandleReply(const warden::Frame& frame);
  void SendExec(uint32_t request, ExecCall& call);
  void HandleExecReply(const warden::Frame& frame);
  void SendAttach(uint32_t request, AttachCall& call);
  void HandleAttachReply(const warden::Frame& frame);
  void HandleExecEnd(std::string_view payload);
  void EndExecs(const Status& why, bool also_unsent);
  void ReportExit(const warden::ProcessState& state);
  void ReportNote(warden::ProcessState& state, const std::string& note);
  void Send(warden::MessageType type, uint32_t request, std::string_view payload, warden::Fd attached = warden::Fd());
  // Lists stay, unless we are closing: an empty list would say that nothing runs.
  void FailAll(const Status& why);

  // Constant after construction.
  asio::io_context& io_;
  Clock& clock_;
  const ProcessRuntimeOptions options_;

  // Control thread only.
  std::unique_ptr<warden::Connection> connection_;
  std::unique_ptr<asio::posix::stream_descriptor> waiter_;  // watches a copy of the connection's descriptor
  uint64_t generation_ = 0;                                 // of connection_: waits of an older one are void
  bool waiting_writable_ = false;
  bool ready_ = false;  // greeted and relisted
  bool closed_ = false;
  bool expect_end_ = false;
  int warden_pid_ = 0;
  uint32_t warden_version_ = 0;
  int attempts_ = 0;        // to connect, since the last success
  int early_ends_ = 0;      // of connections, in a row
  Duration ready_since_{};  // by the monotonic clock
  Clock::TimerId retry_ = 0;
  uint32_t next_request_ = 1;
  std::map<uint32_t, Pending> pending_;
  std::map<uint32_t, AttachCall> attaches_;
  std::map<uint32_t, ExecCall> execs_;  // not ended
  // By container and role.
  std::unordered_map<std::string, std::map<std::string, warden::Fd>> kept_;
  std::unordered_set<std::string> reported_;  // exits told to on_exit
  std::unordered_map<std::string, warden::ProcessState> running_;
};

ContainerState ToContainerState(const warden::ProcessState& state);

}  // namespace wherry
