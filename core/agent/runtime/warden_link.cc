#include "core/agent/runtime/warden_link.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/agent/warden/local_socket.h"
#include "core/agent/warden/warden_main.h"

namespace wherry {

using warden::MessageType;

namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(1);
constexpr Duration kLastRetry = std::chrono::milliseconds(250);
// A warden that was started listens within milliseconds. When it does not, another one is started every so many
// attempts, which harms nothing while one is alive.
constexpr int kAttemptsForStart = 16;
// After so many attempts (some 20 s) callers are told instead of kept waiting; attempts go on.
constexpr int kAttemptsUntilRefusal = 80;
// A warden that has ended is replaced at once, unless it is the fourth in a row that did not live so long: then it is
// what it is told to do that ends it, and the next one waits longer and longer.
constexpr Duration kSteadyLife = std::chrono::seconds(5);
constexpr int kReplacedAtOnce = 3;
constexpr Duration kFirstReplacement = std::chrono::milliseconds(250);
constexpr Duration kLastReplacement = std::chrono::seconds(30);

}  // namespace

ContainerState ToContainerState(const warden::ProcessState& state) {
  ContainerState result;
  result.id = state.id;
  result.running = state.running;
  result.pid = state.pid;
  result.started_at = Time(Duration(state.started_at));
  result.finished_at = Time(Duration(state.finished_at));
  result.exit_code = state.exit_code;
  result.signal = state.signal;
  result.lost = state.lost;
  result.oom_killed = state.oom_killed;
  result.killed_for = state.killed_for;
  result.steered_note = state.note;
  return result;
}

ProcessRuntime::Link::Link(asio::io_context& io, Clock& clock, ProcessRuntimeOptions options)
    : io_(io), clock_(clock), options_(std::move(options)) {}

void ProcessRuntime::Link::Open() { Connect(); }

void ProcessRuntime::Link::Close() {
  closed_ = true;
  on_exit = nullptr;
  on_note = nullptr;
  clock_.Cancel(retry_);
  ++generation_;
  waiter_.reset();
  connection_.reset();
  ready_ = false;
  FailAll(Status::Unavailable("the process runtime is closed"));
  EndExecs(Status::Unavailable("the process runtime is closed"), true);
}

void ProcessRuntime::Link::FailAll(const Status& why) {
  for (auto& [request, pending] : std::exchange(pending_, {})) {
    if (pending.type == MessageType::kList && !closed_) {
      pending_.emplace(request, std::move(pending));
    } else {
      pending.answer(why);
    }
  }
}

// ---- Connecting

void ProcessRuntime::Link::Connect() {
  retry_ = 0;
  if (closed_) return;
  warden::Fd socket = warden::ConnectToWarden(options_.data_dir);
  if (!socket.valid()) {
    if (attempts_++ % kAttemptsForStart == 0) {
      if (!StartWarden(options_.data_dir, options_.warden_command)) {
        spdlog::error("warden not started command={} error=\"{}\"",
                      options_.warden_command.empty() ? "(carried)" : options_.warden_command[0], strerror(errno));
      }
    }
    if (attempts_ >= kAttemptsUntilRefusal) {
      if (attempts_ == kAttemptsUntilRefusal) spdlog::error("warden unreachable dir={}", options_.data_dir);
      FailAll(Status::Unavailable("the warden of " + options_.data_dir + " cannot be reached"));
      EndExecs(Status::Unavailable("the warden of " + options_.data_dir + " cannot be reached"), true);
    }
    return ConnectLater();
  }
  waiter_ = std::make_unique<asio::posix::stream_descriptor>(io_, fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
  connection_ = std::make_unique<warden::Connection>(std::move(socket));
  ++generation_;
  waiting_writable_ = false;
  Send(MessageType::kHello, 0,
       warden::Encode(
           warden::Hello{warden::kProtocolVersion, warden::kOldestProtocolVersion, static_cast<uint32_t>(getpid())}));
  WaitReadable();
}

void ProcessRuntime::Link::ConnectLater() {
  ConnectAfter(std::min(kLastRetry, kFirstRetry * (1 << std::min(attempts_ / 4, 10))));
}

void ProcessRuntime::Link::ConnectAfter(Duration delay) {
  retry_ = clock_.After(delay, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Connect();
  });
}

void ProcessRuntime::Link::Broken() {
  ++generation_;
  waiter_.reset();
  connection_.reset();
  ready_ = false;
  if (closed_) return;
  EndExecs(Status::Unavailable("the connection to the warden broke, which ended the program"), expect_end_);
  if (closed_) return;
  if (expect_end_) {
    closed_ = true;
    return FailAll(Status::Unavailable("the warden has ended"));
  }
  attempts_ = 0;
  early_ends_ = clock_.Monotonic() - ready_since_ < kSteadyLife ? early_ends_ + 1 : 0;
  if (early_ends_ <= kReplacedAtOnce) {
    spdlog::warn("warden connection lost pid={}", warden_pid_);
    return Connect();
  }
  const int doublings = std::min(early_ends_ - kReplacedAtOnce - 1, 10);
  const Duration delay = std::min(kLastReplacement, kFirstReplacement * (1 << doublings));
  spdlog::error("warden ends again and again pid={} times={} next_in_ms={}", warden_pid_, early_ends_,
                std::chrono::duration_cast<std::chrono::milliseconds>(delay).count());
  ConnectAfter(delay);
}

void ProcessRuntime::Link::WaitReadable() {
  waiter_->async_wait(asio::posix::stream_descriptor::wait_read,
                      [weak = weak_from_this(), generation = generation_](std::error_code error) {
                        const auto self = weak.lock();
                        if (!self || error || self->generation_ != generation) return;
                        const bool open = self->connection_->Receive();
                        while (const std::optional<warden::Frame> frame = self->connection_->Next()) {
                          self->Handle(*frame);
                          // A handler's caller may have closed us.
                          if (self->generation_ != generation) return;
                        }
                        if (!open || self->connection_->failed()) return self->Broken();
                        self->WaitReadable();
                      });
}

void ProcessRuntime::Link::WaitWritable() {
  if (waiting_writable_ || !connection_ || !connection_->wants_write()) return;
  waiting_writable_ = true;
  waiter_->async_wait(asio::posix::stream_descriptor::wait_write,
                      [weak = weak_from_this(), generation = generation_](std::error_code error) {
                        const auto self = weak.lock();
                        if (!self || error || self->generation_ != generation) return;
                        self->waiting_writable_ = false;
                        self->connection_->Flush();
                        self->WaitWritable();
                      });
}

void ProcessRuntime::Link::Send(MessageType type, uint32_t request, std::string_view payload, warden::Fd attached) {
  // A failed send shows as a closed connection to the reader; what was asked is then asked again.
  connection_->Send(type, request, payload, std::move(attached));
  WaitWritable();
}

// ---- Calls

void ProcessRuntime::Link::Call(MessageType type, std::string payload, std::string spawn_id, Answer answer) {
  if (closed_) return answer(Status::Unavailable("the process runtime is closed"));
  if (payload.size() + warden::kFrameHeaderBytes > warden::kMaxFrameBytes) {
    return answer(Status::BadRequest("the command and its environment are too long"));
  }
  const uint32_t request = next_request_++;
  const auto it =
      pending_.emplace(request, Pending{type, std::move(payload), std::move(spawn_id), std::move(answer)}).first;
  if (ready_) Send(type, request, it->second.payload);
}

void ProcessRuntime::Link::Handle(const warden::Frame& frame) {
  switch (frame.type) {
    case MessageType::kHelloReply:
      return HandleHello(frame.payload);
    case MessageType::kExecReply:
      return HandleExecReply(frame);
    case MessageType::kAttachReply:
      return HandleAttachReply(frame);
    case MessageType::kExecExited:
      return HandleExecEnd(frame.payload);
    case MessageType::kExited:
    case MessageType::kNote:
    case MessageType::kKeepFd:
      return HandleEvent(frame);
    case MessageType::kUsageReply:
    case MessageType::kListReply:
      if (frame.request == 0) return HandleList(frame.payload);
      return HandleReply(frame);
    case MessageType::kSpawnReply:
    case MessageType::kDone:
      return HandleReply(frame);
    default:
      return;
  }
}

void ProcessRuntime::Link::HandleHello(std::string_view payload) {
  warden::Hello hello;
  const bool understood = warden::Decode(payload, &hello);
  if (!understood || hello.version < warden::kOldestProtocolVersion || hello.oldest > warden::kProtocolVersion) {
    spdlog::error("warden speaks another protocol pid={} version={} ours={}", hello.pid, hello.version,
                  warden::kProtocolVersion);
    FailAll(Status::Unavailable("the running warden (pid " + std::to_string(hello.pid) +
                                ") speaks another protocol version; end it to go on"));
    ++generation_;
    waiter_.reset();
    connection_.reset();
    attempts_ = kAttemptsUntilRefusal + 1;
    return ConnectLater();
  }
  warden_pid_ = static_cast<int>(hello.pid);
  warden_version_ = hello.version;
  for (const auto& [id, roles] : kept_) {
    for (const auto& [role, fd] : roles) {
      if (role != warden::kBindListener && warden_version_ < warden::kAttachVersion) continue;
      warden::Fd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
      if (copy.valid()) Send(MessageType::kReturnFd, 0, warden::Encode(warden::KeptFd{id, role}), std::move(copy));
    }
  }
  Send(MessageType::kList, 0, {});
}

void ProcessRuntime::Link::HandleList(std::string_view payload) {
  std::vector<warden::ProcessState> states;
  if (!warden::Decode(payload, &states)) return;
  attempts_ = 0;
  ready_ = true;
  ready_since_ = clock_.Monotonic();
  spdlog::info("warden connected pid={} containers={}", warden_pid_, states.size());
  std::unordered_map<std::string, const warden::ProcessState*> listed;
  for (const warden::ProcessState& state : states) listed[state.id] = &state;

  // A warden that lost even its journal knows nothing of what ran: then it is lost.
  std::vector<warden::ProcessState> gone;
  for (const auto& [id, state] : running_) {
    if (listed.count(id) == 0) gone.push_back(state);
  }
  for (warden::ProcessState& state : gone) {
    state.running = false;
    state.lost = true;
    state.exit_code = 255;
    state.finished_at = clock_.Now().time_since_epoch().count();
  }

  std::vector<std::pair<Answer, warden::SpawnReply>> started;
  for (auto it = pending_.begin(); it != pending_.end();) {
    const auto found = listed.find(it->second.spawn_id);
    if (!it->second.spawn_id.empty() && found != listed.end()) {
      warden::SpawnReply reply;
      reply.state = *found->second;
      started.emplace_back(std::move(it->second.answer), std::move(reply));
      it = pending_.erase(it);
    } else {
      Send(it->second.type, it->first, it->second.payload);
      ++it;
    }
  }
  for (auto& [request, call] : execs_) SendExec(request, call);
  for (auto& [request, call] : attaches_) SendAttach(request, call);
  for (const auto& [answer, reply] : started) answer(warden::Encode(reply));
  for (const warden::ProcessState& state : states) {
    if (state.running) {
      const auto [it, added] = running_.try_emplace(state.id, state);
      if (!added) ReportNote(it->second, state.note);
    } else {
      ReportExit(state);
    }
  }
  for (const warden::ProcessState& state : gone) ReportExit(state);
}

void ProcessRuntime::Link::ReportExit(const warden::ProcessState& state) {
  running_.erase(state.id);
  kept_.erase(state.id);
  if (!reported_.insert(state.id).second || !on_exit) return;
  const auto call = on_exit;  // the callee may take itself away
  call(ToContainerState(state));
}

void ProcessRuntime::Link::HandleEvent(const warden::Frame& frame) {
  if (frame.type == MessageType::kKeepFd) {
    warden::KeptFd kept;
    warden::Fd fd = connection_->TakeAttached();
    if (warden::Decode(frame.payload, &kept) && fd.valid()) kept_[kept.id][kept.role] = std::move(fd);
  } else if (frame.type == MessageType::kExited) {
    warden::ProcessState state;
    if (warden::Decode(frame.payload, &state)) ReportExit(state);
  } else {
    warden::IdAndNote note;
    if (!warden::Decode(frame.payload, &note)) return;
    const auto it = running_.find(note.id);
    if (it != running_.end()) ReportNote(it->second, note.note);  // else the answer to its start will carry it
  }
}

void ProcessRuntime::Link::ReportNote(warden::ProcessState& state, const std::string& note) {
  if (state.note == note) return;
  state.note = note;
  if (!on_note) return;
  const auto call = on_note;
  call(ToContainerState(state));
}

void ProcessRuntime::Link::HandleReply(const warden::Frame& frame) {
  const auto it = pending_.find(frame.request);
  if (it == pending_.end()) return;
  const Pending pending = std::move(it->second);
  pending_.erase(it);
  if (pending.type == MessageType::kSpawn) {
    warden::SpawnReply reply;
    if (warden::Decode(frame.payload, &reply) && reply.reason.empty()) {
      running_[reply.state.id] = reply.state;
    } else {
      kept_.erase(pending.spawn_id);
    }
  } else if (pending.type == MessageType::kRemove) {
    std::string id;
    if (warden::DecodeString(pending.payload, &id)) reported_.erase(id);
  }
  pending.answer(std::string(frame.payload));
}

// ---- Execs

void ProcessRuntime::Link::Exec(warden::ExecRequest request, std::vector<warden::Fd> stdio, ExecEnded ended) {
  if (closed_) return ended(Status::Unavailable("the process runtime is closed"));
  const uint32_t number = next_request_++;
  ExecCall& call = execs_[number];
  call.request = std::move(request);
  call.stdio = std::move(stdio);
  call.ended = std::move(ended);
  if (ready_) SendExec(number, call);
}

void ProcessRuntime::Link::SendExec(uint32_t request, ExecCall& call) {
  if (warden_version_ < warden::kExecVersion) {
    // From the event loop: the callee may start another.
    asio::post(io_, [weak = weak_from_this(), request] {
      const auto self = weak.lock();
      if (!self) return;
      const auto it = self->execs_.find(request);
      if (it == self->execs_.end()) return;
      const ExecEnded ended = std::move(it->second.ended);
      self->execs_.erase(it);
      ended(Status::Unavailable("the running warden (pid " + std::to_string(self->warden_pid_) +
                                ") is of an older version and cannot run programs in containers"));
    });
    return;
  }
  const std::string payload = warden::Encode(call.request);
  connection_->Send(MessageType::kExec, request, payload, std::exchange(call.stdio, {}));
  call.sent = true;
  WaitWritable();
}

void ProcessRuntime::Link::HandleExecReply(const warden::Frame& frame) {
  const auto it = execs_.find(frame.request);
  warden::ExecReply reply;
  if (it == execs_.end()) return;
  if (!warden::Decode(frame.payload, &reply)) reply.reason = reply.message = "malformed answer of the warden";
  if (reply.reason.empty()) return;
  const ExecEnded ended = std::move(it->second.ended);
  execs_.erase(it);
  StatusDetails details;
  details.causes.push_back(StatusCause{reply.reason, reply.message, ""});
  ended(Status(Reason::kInternalError, reply.message, std::move(details)));
}

void ProcessRuntime::Link::HandleExecEnd(std::string_view payload) {
  warden::ExecEnd end;
  if (!warden::Decode(payload, &end)) return;
  const auto it = std::find_if(execs_.begin(), execs_.end(), [&](const auto& entry) {
    return entry.second.sent && entry.second.request.exec_id == end.exec_id;
  });
  if (it == execs_.end()) return;
  const ExecEnded ended = std::move(it->second.ended);
  execs_.erase(it);
  ended(ExecResult{end.exit_code, end.signal});
}

void ProcessRuntime::Link::EndExecs(const Status& why, bool also_unsent) {
  std::vector<ExecEnded> ended;
  for (auto it = execs_.begin(); it != execs_.end();) {
    if (it->second.sent || also_unsent) {
      ended.push_back(std::move(it->second.ended));
      it = execs_.erase(it);
    } else {
      ++it;
    }
  }
  for (const ExecEnded& tell : ended) tell(why);
  std::vector<Attached> refused;
  for (auto it = attaches_.begin(); it != attaches_.end();) {
    if (it->second.sent || also_unsent) {
      refused.push_back(std::move(it->second.answer));
      it = attaches_.erase(it);
    } else {
      ++it;
    }
  }
  for (const Attached& tell : refused) tell(why);
}

// ---- Attach

void ProcessRuntime::Link::Attach(warden::AttachRequest request, std::vector<warden::Fd> pipes, Attached answer) {
  if (closed_) return answer(Status::Unavailable("the process runtime is closed"));
  const uint32_t number = next_request_++;
  AttachCall& call = attaches_[number];
  call.request = std::move(request);
  call.pipes = std::move(pipes);
  call.answer = std::move(answer);
  if (ready_) SendAttach(number, call);
}

void ProcessRuntime::Link::SendAttach(uint32_t request, AttachCall& call) {
  call.sent = true;
  if (warden_version_ < warden::kAttachVersion) {
    // From the event loop: the callee may ask for another.
    asio::post(io_, [weak = weak_from_this(), request] {
      const auto self = weak.lock();
      if (!self || self->attaches_.count(request) == 0) return;
      const Attached answer = std::move(self->attaches_[request].answer);
      self->attaches_.erase(request);
      answer(Status::Unavailable("the running warden (pid " + std::to_string(self->warden_pid_) +
                                 ") is of an older version and cannot attach to containers"));
    });
    return;
  }
  connection_->Send(MessageType::kAttach, request, warden::Encode(call.request), std::exchange(call.pipes, {}));
  WaitWritable();
}

void ProcessRuntime::Link::HandleAttachReply(const warden::Frame& frame) {
  warden::AttachReply reply;
  if (!warden::Decode(frame.payload, &reply)) reply.error = "malformed answer of the warden";
  warden::Fd input = reply.has_input ? connection_->TakeAttached() : warden::Fd();
  const auto it = attaches_.find(frame.request);
  if (it == attaches_.end()) return;
  const Attached answer = std::move(it->second.answer);
  attaches_.erase(it);
  if (!reply.error.empty()) return answer(Status::Internal(reply.error));
  answer(std::make_shared<warden::Fd>(std::move(input)));
}

void ProcessRuntime::Link::ForgetInput(const std::string& id) {
  const auto it = kept_.find(id);
  if (it != kept_.end()) it->second.erase(warden::kInput);
}

}  // namespace wherry
