#include "core/agent/warden/warden.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/agent/warden/local_socket.h"

namespace wherry::warden {
namespace {

using std::chrono::steady_clock;

constexpr auto kStopLimit = std::chrono::seconds(8);

bool Complain(const char* what) {
  fprintf(stderr, "wherry warden: %s: %s\n", what, strerror(errno));
  return false;
}

// Three pipes' ends for every container: as many as we are allowed. Programs get the old limit back.
uint64_t RaiseOpenFiles() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const uint64_t soft = files.rlim_cur;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return soft;
}

// Where allowed (root), the warden is not the one to go when memory runs out: it would take the exit codes with it.
bool ProtectFromOom(std::string* before) {
  const Fd file(open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
  char text[16] = {};
  if (read(file.get(), text, sizeof(text) - 1) <= 0) return false;
  *before = text;
  constexpr char kProtected[] = "-900";
  return pwrite(file.get(), kProtected, sizeof(kProtected) - 1, 0) > 0;
}

}  // namespace

Warden::Warden(WardenOptions options) : options_(std::move(options)) {}

int Warden::Run() {
  if (!Start()) return 1;
  if (!lock_.valid()) return 0;
  Loop();
  return 0;
}

// The lock is the truth about who owns the directory. Held by one that answers: there is a warden, nothing to do. Held
// by one that does not: it is about to end (or to listen), wait for that.
bool Warden::TakeLock() {
  Fd lock(openat(directory_.get(), "warden.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return Complain("warden.lock");
  for (int attempt = 0; attempt < 1000; ++attempt) {
    if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
      lock_ = std::move(lock);
      return true;
    }
    if (ConnectToWarden(options_.data_dir).valid()) return true;
    usleep(5000);
  }
  errno = EBUSY;
  return Complain("warden.lock");
}

bool Warden::Start() {
  mkdir(options_.data_dir.c_str(), 0700);
  directory_.reset(open(options_.data_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory_.valid()) return Complain(options_.data_dir.c_str());
  if (!TakeLock()) return false;
  if (!lock_.valid()) return true;
  if (chdir("/") != 0) return Complain("chdir /");

  prctl(PR_SET_NAME, "wherry-warden", 0, 0, 0);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return Complain("PR_SET_CHILD_SUBREAPER");
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  for (int number : {SIGPIPE, SIGHUP, SIGINT}) signal(number, SIG_IGN);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_SETMASK, &child, nullptr);
  signals_.reset(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid() || !poller_.Add(signals_.get(), Source::kSignals, 0)) return Complain("signalfd");

  Inheritance inheritance;
  inheritance.nofile_soft = RaiseOpenFiles();
  inheritance.restore_oom_score = ProtectFromOom(&inheritance.oom_score);
  const int filter = PrepareBindFilter();
  if (filter != 0) {
    errno = filter;
    Complain("bind steering");  // containers say so themselves, in their note
  }
  Containers::Events events;
  events.exited = [this](const ProcessState& state) {
    execs_->ContainerEnded(state.id);
    Broadcast(MessageType::kExited, Encode(state));
  };
  events.other_child = [this](pid_t pid, int exit_code, int signal) { execs_->Ended(pid, exit_code, signal); };
  events.note = [this](const std::string& id, const std::string& note) {
    Broadcast(MessageType::kNote, Encode(IdAndNote{id, note}));
  };
  events.listener = [this](const std::string& id, int fd) {
    Broadcast(MessageType::kKeepFd, Encode(KeptFd{id, kBindListener}), fd);
  };
  events.input = [this](const std::string& id, int fd) {
    Broadcast(MessageType::kKeepFd, Encode(KeptFd{id, kInput}), fd, kAttachVersion);
  };
  containers_ = std::make_unique<Containers>(poller_, inheritance, std::move(events));
  execs_ = std::make_unique<Execs>(poller_, inheritance, *containers_, [this](uint64_t client, const ExecEnd& end) {
    Reply(client, MessageType::kExecExited, 0, Encode(end));
  });
  const int error = containers_->Open(directory_.get());
  if (error != 0) {
    errno = error;
    return Complain("warden.journal");
  }
  listener_ = ListenIn(directory_.get(), "warden.sock");
  if (!listener_.valid() || !poller_.Add(listener_.get(), Source::kListen, 0)) return Complain("warden.sock");
  return true;
}

int Warden::TimeoutMs() const {
  int timeout = containers_->TimeoutMs();
  const auto until = [&](steady_clock::time_point moment) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(moment - steady_clock::now()).count();
    const int ms = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
    timeout = timeout < 0 ? ms : std::min(timeout, ms);
  };
  if (clients_.empty() && containers_->alive() == 0) until(idle_since_ + options_.idle_limit);
  if (stopping_) until(stop_deadline_);
  return timeout;
}

void Warden::Loop() {
  std::vector<Poller::Event> events;
  idle_since_ = steady_clock::now();
  for (;;) {
    poller_.Wait(TimeoutMs(), &events);
    bool children = false;
    for (const Poller::Event& event : events) {
      switch (event.source) {
        case Source::kListen:
          Accept();
          break;
        case Source::kSignals:
          children = true;
          break;
        case Source::kConnection:
          HandleConnection(event.serial, event.events);
          break;
        case Source::kExecBirth:
        case Source::kExecBinds:
          execs_->Handle(event);
          break;
        default:
          containers_->Handle(event);
      }
    }
    if (children) {
      signalfd_siginfo info[16];
      while (read(signals_.get(), info, sizeof(info)) > 0) {
      }
      containers_->Reap();
    }
    containers_->Tick();
    const auto now = steady_clock::now();
    if (stopping_ && (containers_->alive() == 0 || now >= stop_deadline_)) {
      unlinkat(directory_.get(), "warden.sock", 0);  // first, so that after our answer the directory is still
      for (const auto& [serial, request] : stop_requests_) Reply(serial, MessageType::kDone, request, EncodeString(""));
      return;
    }
    Settle();
    if (!clients_.empty() || containers_->alive() != 0) {
      idle_since_ = now;
    } else if (now - idle_since_ >= options_.idle_limit) {
      unlinkat(directory_.get(), "warden.sock", 0);
      return;
    }
  }
}

void Warden::Accept() {
  Fd socket_fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket_fd.valid()) return;
  const int64_t user = PeerUser(socket_fd.get());
  if (user != 0 && user != geteuid()) return;
  const uint64_t serial = next_serial_++;
  if (!poller_.Add(socket_fd.get(), Source::kConnection, serial)) return;
  clients_.emplace(serial, Client{Connection(std::move(socket_fd))});
}

void Warden::HandleConnection(uint64_t serial, uint32_t events) {
  auto it = clients_.find(serial);
  if (it == clients_.end()) return;
  if ((events & EPOLLOUT) != 0) it->second.connection.Flush();
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  const bool open = it->second.connection.Receive();
  // A frame's handler may only queue, never drop: the connection stays where it is.
  while (const std::optional<Frame> frame = it->second.connection.Next()) HandleFrame(serial, *frame);
  if (!open) Drop(serial);
}

void Warden::Reply(uint64_t serial, MessageType type, uint32_t request, std::string_view payload) {
  const auto it = clients_.find(serial);
  if (it != clients_.end()) it->second.connection.Send(type, request, payload);
}

void Warden::Broadcast(MessageType type, std::string_view payload, int attached, uint32_t since) {
  for (auto& [serial, client] : clients_) {
    if (!client.greeted || client.version < since) continue;
    Fd copy(attached < 0 ? -1 : fcntl(attached, F_DUPFD_CLOEXEC, 3));
    if (attached >= 0 && !copy.valid()) continue;
    client.connection.Send(type, 0, payload, std::move(copy));
  }
}

void Warden::Drop(uint64_t serial) {
  const auto it = clients_.find(serial);
  if (it == clients_.end()) return;
  execs_->ClientGone(serial);
  poller_.Remove(it->second.connection.fd());
  clients_.erase(it);
}

void Warden::Settle() {
  std::vector<uint64_t> failed;
  for (auto& [serial, client] : clients_) {
    if (client.connection.failed()) failed.push_back(serial);
    if (client.watching_writes != client.connection.wants_write()) {
      client.watching_writes = !client.watching_writes;
      poller_.Change(client.connection.fd(), Source::kConnection, serial,
                     client.watching_writes ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
  }
  for (uint64_t serial : failed) Drop(serial);
}

void Warden::HandleFrame(uint64_t serial, const Frame& frame) {
  Client& client = clients_.at(serial);
  const uint32_t request = frame.request;
  const auto done = [this, serial, request](const std::string& error) {
    Reply(serial, MessageType::kDone, request, EncodeString(error));
  };
  if (frame.type == MessageType::kHello) {
    Hello theirs, hello;
    if (!Decode(frame.payload, &theirs)) theirs.version = 1;
    hello.pid = static_cast<uint32_t>(getpid());
    client.greeted = true;
    client.version = theirs.version;
    client.connection.Send(MessageType::kHelloReply, request, Encode(hello));
    const auto keep = [&](const KeptFd& kept, int fd) {
      Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
      if (copy.valid()) client.connection.Send(MessageType::kKeepFd, 0, Encode(kept), std::move(copy));
    };
    containers_->ForEachListener([&](const std::string& id, int fd) { keep({id, kBindListener}, fd); });
    if (client.version >= kAttachVersion)
      containers_->ForEachInput([&](const std::string& id, int fd) { keep({id, kInput}, fd); });
    return;
  }
  if (!client.greeted) return;
  switch (frame.type) {
    case MessageType::kSpawn: {
      SpawnRequest spawn;
      SpawnReply refusal;
      if (!Decode(frame.payload, &spawn)) refusal.message = "malformed spawn request";
      if (stopping_) refusal.message = "the warden is stopping";
      if (!refusal.message.empty()) {
        refusal.reason = "CreateContainerError";
        client.connection.Send(MessageType::kSpawnReply, request, Encode(refusal));
        return;
      }
      containers_->Spawn(std::move(spawn), serial, [this, serial, request](const SpawnReply& reply) {
        Reply(serial, MessageType::kSpawnReply, request, Encode(reply));
      });
      return;
    }
    case MessageType::kSignal: {
      SignalRequest signal_request;
      if (!Decode(frame.payload, &signal_request)) return done("malformed signal request");
      return done(containers_->Signal(signal_request.id, signal_request.signal));
    }
    case MessageType::kRemove: {
      std::string id;
      if (!DecodeString(frame.payload, &id)) return done("malformed remove request");
      return containers_->Remove(id, done);
    }
    case MessageType::kList:
      return client.connection.Send(MessageType::kListReply, request, Encode(containers_->List()));
    case MessageType::kExec:
      return HandleExec(serial, frame);
    case MessageType::kAttach:
      return HandleAttach(serial, frame);
    case MessageType::kCloseStdin: {
      std::string id;
      if (!DecodeString(frame.payload, &id)) return done("malformed request");
      containers_->CloseStdin(id);
      return done("");
    }
    case MessageType::kStopExec: {
      std::string exec_id;
      if (!DecodeString(frame.payload, &exec_id)) return done("malformed stop request");
      execs_->Stop(serial, exec_id);
      return done("");
    }
    case MessageType::kUsage:
      return client.connection.Send(MessageType::kUsageReply, request, Encode(containers_->Usage()));
    case MessageType::kReturnFd: {
      KeptFd kept;
      Fd attached = client.connection.TakeAttached();
      if (!Decode(frame.payload, &kept)) return;
      if (kept.role == kInput) return containers_->ReturnInput(kept.id, std::move(attached));
      return containers_->ReturnListener(kept.id, std::move(attached));
    }
    case MessageType::kStop:
      if (!stopping_) stop_deadline_ = steady_clock::now() + kStopLimit;
      stopping_ = true;
      stop_requests_.emplace(serial, request);
      return containers_->KillAll();
    default:
      return;
  }
}

void Warden::HandleExec(uint64_t serial, const Frame& frame) {
  const uint32_t request = frame.request;
  std::vector<Fd> attached;
  ExecRequest exec;
  ExecReply refusal;
  if (!Decode(frame.payload, &exec)) refusal.message = "malformed exec request";
  // Not when it has none: those of the next frame may have come already.
  if (exec.attached != 0) attached = clients_.at(serial).connection.TakeAllAttached();
  if (stopping_) refusal.message = "the warden is stopping";
  if (!refusal.message.empty()) {
    refusal.reason = "CreateContainerError";
    return Reply(serial, MessageType::kExecReply, request, Encode(refusal));
  }
  execs_->Start(exec, std::move(attached), serial, [this, serial, request](const ExecReply& reply) {
    Reply(serial, MessageType::kExecReply, request, Encode(reply));
  });
}

void Warden::HandleAttach(uint64_t serial, const Frame& frame) {
  Connection& connection = clients_.at(serial).connection;
  std::vector<Fd> attached;
  AttachRequest request;
  AttachReply reply;
  Fd ends[3], input;
  if (!Decode(frame.payload, &request)) reply.error = "malformed attach request";
  if (request.attached != 0) attached = connection.TakeAllAttached();
  size_t taken = 0;
  for (uint32_t i = 0; i < 3; ++i) {
    if ((request.attached & (1U << i)) == 0) continue;
    if (taken < attached.size()) ends[i] = std::move(attached[taken++]);
    if (!ends[i].valid()) reply.error = "a pipe was lost on the way: too many open files";
  }
  if (reply.error.empty()) {
    reply.error = containers_->Attach(request.container_id, std::move(ends[1]), std::move(ends[2]), &input);
  }
  reply.has_input = input.valid();
  connection.Send(MessageType::kAttachReply, frame.request, Encode(reply), std::move(input));
}

int RunWarden(const WardenOptions& options) { return Warden(options).Run(); }

}  // namespace wherry::warden
