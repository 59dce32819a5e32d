#include "core/agent/warden/containers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/agent/warden/cgroups.h"
#include "core/agent/warden/confine.h"
#include "core/agent/warden/micros.h"
#include "core/agent/warden/process_tree.h"
#include "core/agent/warden/usage.h"

namespace wherry::warden {
namespace {

constexpr int kExitCodeLost = 255;
// After this long the end is reported although something still lives: it has its SIGKILL, but sits in the kernel.
constexpr int64_t kDrainLimitUs = 5'000'000;
constexpr int64_t kLookAgainUs = 2'000;
// Between looks whether the control groups of ended containers are empty.
constexpr int64_t kStaleLookUs = 1'000'000;

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

std::string Validate(const SpawnRequest& request) {
  if (request.id.empty()) return "a container needs an id";
  if (request.argv.empty() || request.argv[0].empty()) return "no command specified";
  bool nul = HasNul(request.working_directory) || HasNul(request.log_path);
  for (const std::string& arg : request.argv) nul = nul || HasNul(arg);
  for (const Mount& mount : request.confinement.mounts) {
    nul = nul || HasNul(mount.source) || HasNul(mount.target);
    if (mount.source.empty() || mount.source[0] != '/' || mount.target.empty() || mount.target[0] != '/')
      return "mount \"" + mount.target + "\" is not absolute";
  }
  for (const auto& [name, value] : request.env) {
    nul = nul || HasNul(name) || HasNul(value);
    if (name.empty() || name.find('=') != std::string::npos)
      return "environment variable name \"" + name + "\" is invalid";
  }
  if (nul) return "the command, its environment and its paths may not contain a NUL";
  in_addr address{};
  if (!request.bind_address.empty() && inet_pton(AF_INET, request.bind_address.c_str(), &address) != 1) {
    return "bind address \"" + request.bind_address + "\" is not an IPv4 address";
  }
  return {};
}

}  // namespace

struct Containers::Container {
  uint64_t serial = 0;
  Phase phase = Phase::kBirth;
  Record record;
  SpawnRequest request;  // only during birth
  Birth birth;           // only during birth, except that the log pipes move on
  SpawnDone spawn_done;
  uint64_t spawn_client = 0;
  std::vector<Done> remove_done;
  bool adopted = false;               // the first process is not our child
  Fd pidfd;                           // of an adopted one
  Fd logs[2];                         // [0] is the terminal when it has one
  bool log_held[2] = {false, false};  // not watched: a tap is full
  bool tty = false;
  Fd input;  // the other end of its stdin, or of its terminal
  LogWriter log;
  std::unique_ptr<BindSteering> steering;
  Fd listener;
  int64_t drain_deadline_us = 0;
  int empty_looks = 0;
};

Containers::Containers(Poller& poller, Inheritance inheritance, Events events)
    : poller_(poller),
      inheritance_(std::move(inheritance)),
      events_(std::move(events)),
      boot_id_(BootId()),
      taps_(poller, [this](uint64_t serial) { ResumeLogs(serial); }) {}

Containers::~Containers() = default;

int Containers::Open(int directory) {
  std::vector<Record> records;
  const int error = journal_.Open(directory, &records);
  if (error != 0) return error;
  for (Record& record : records) Adopt(std::move(record));
  CheckDraining();
  return 0;
}

// ---- Looking up and storing

Containers::Container* Containers::Find(uint64_t serial) {
  const auto it = by_serial_.find(serial);
  return it == by_serial_.end() ? nullptr : it->second;
}

Containers::Container* Containers::Find(const std::string& id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second.get();
}

Containers::Container& Containers::Insert(Record record) {
  auto owned = std::make_unique<Container>();
  Container& c = *owned;
  c.serial = next_serial_++;
  c.record = std::move(record);
  by_serial_[c.serial] = &c;
  by_id_[c.record.state.id] = std::move(owned);
  return c;
}

void Containers::Forget(Container& c) {
  if (c.phase != Phase::kEnded) --alive_;
  journal_.Remove(c.record.state.id);
  by_serial_.erase(c.serial);
  const auto it = by_id_.find(c.record.state.id);
  const auto keep = std::move(it->second);
  by_id_.erase(it);
  if (journal_.wants_compaction()) CompactJournal();
}

void Containers::Save(const Container& c) {
  // When the journal cannot be written (full disk) what we know lives on in memory; only a crash of ours would lose it.
  journal_.Put(c.record);
  if (journal_.wants_compaction()) CompactJournal();
}

void Containers::CompactJournal() {
  std::vector<const Record*> live;
  for (const auto& [id, c] : by_id_) live.push_back(&c->record);
  journal_.Compact(live);
}

// Takes it from the poller first: a copy in a child that has not come to its exec, or in the server, would be watched
// on.
void Containers::Close(Fd& watched) {
  if (watched.valid()) poller_.Remove(watched.get());
  watched.reset();
}

// ---- Start

void Containers::Spawn(SpawnRequest request, uint64_t client, SpawnDone done) {
  SpawnReply refusal;
  const auto refuse = [&](const char* reason, std::string message) {
    refusal.reason = reason;
    refusal.message = std::move(message);
    done(refusal);
  };
  const std::string invalid = Validate(request);
  if (!invalid.empty()) return refuse("CreateContainerError", invalid);
  if (Container* known = Find(request.id)) {
    if (known->phase == Phase::kBirth && known->spawn_client != client) {
      known->spawn_client = client;
      known->spawn_done = std::move(done);
      return;
    }
    return refuse("CreateContainerError", "container \"" + request.id + "\" was started before");
  }

  Neighbours neighbours;
  const std::string absent = FindNeighbours(request.confinement, &neighbours);
  if (!absent.empty()) return refuse("CreateContainerError", "container \"" + absent + "\" is not running");
  LogWriter log;
  int error = 0;
  if (!request.confinement.pause)
    error = log.Open(request.log_path, request.log_max_bytes, static_cast<int>(request.log_max_files));
  if (error != 0) return refuse("CreateContainerError", "log \"" + request.log_path + "\": " + strerror(error));

  Record record;
  record.tag = NewTag();
  Birth birth;
  error = Fork(request, record.tag, inheritance_, neighbours, &birth);
  if (error != 0 && request.confinement.sandbox)
    return refuse("CreateContainerError", std::string("sandbox: namespaces: ") + strerror(error));
  if (error != 0) return refuse("RunContainerError", std::string("fork: ") + strerror(error));
  record.state.id = request.id;
  record.state.running = true;
  record.state.pid = birth.pid;
  record.state.started_at = WallMicros();
  record.boot_id = boot_id_;
  record.start_time = StartTimeOf(birth.pid);
  std::copy(birth.log_pipe, birth.log_pipe + 2, record.log_pipe);
  record.log_path = request.log_path;
  record.log_max_bytes = request.log_max_bytes;
  record.log_max_files = request.log_max_files;
  record.bind_address = request.bind_address;
  record.privileged_port_offset = request.privileged_port_offset;
  record.env = request.env;
  record.working_directory = request.working_directory;
  record.run_as_user = request.run_as_user;
  record.run_as_group = request.run_as_group;
  record.confinement = request.confinement;
  record.confinement.mounts.clear();
  record.cgroups = MakeCgroups(request.confinement, record.tag, birth.pid);
  error = journal_.Put(record);
  if (error != 0) {
    // Closing the status socket ends the child: it must not run when nobody would know.
    stale_cgroups_.insert(stale_cgroups_.end(), record.cgroups.begin(), record.cgroups.end());
    return refuse("CreateContainerError", std::string("journal: ") + strerror(error));
  }

  Container& c = Insert(std::move(record));
  ++alive_;
  c.log = std::move(log);
  c.request = std::move(request);
  c.spawn_done = std::move(done);
  c.spawn_client = client;
  c.birth = std::move(birth);
  by_pid_[c.birth.pid] = &c;
  limits_watch_.Add(c.serial, c.record.tag, c.record.confinement, c.record.cgroups);
  SetUpSteering(c);
  for (int i = 0; i < 2; ++i) {
    if (c.birth.log[i].valid()) WatchLog(c, i, std::move(c.birth.log[i]));
  }
  c.tty = c.request.tty;
  c.input = std::move(c.birth.input);
  if (c.input.valid()) events_.input(c.record.state.id, c.input.get());
  poller_.Add(c.birth.status.get(), Source::kBirth, c.serial);
  Go(c.birth);
}

// The name of one that does not run, or "".
std::string Containers::FindNeighbours(const Confinement& confinement, Neighbours* neighbours) {
  // What it is in without sharing anything is that of whoever has the processes.
  const std::string& shared = confinement.shares.empty() ? confinement.shares_pids : confinement.shares;
  if (shared.empty()) return {};
  const auto alive = [&](const std::string& id) -> Container* {
    Container* c = Find(id);
    if (c == nullptr || c->phase != Phase::kRunning) return nullptr;
    return c->adopted && syscall(SYS_pidfd_send_signal, c->pidfd.get(), 0, nullptr, 0) != 0 ? nullptr : c;
  };
  const Container* with = alive(shared);
  if (with == nullptr) return shared;
  neighbours->process.reset(static_cast<int>(syscall(SYS_pidfd_open, with->record.state.pid, 0)));
  if (!neighbours->process.valid()) return shared;
  if (confinement.shares_pids.empty()) return {};
  const Container* pids = alive(confinement.shares_pids);
  if (pids == nullptr) return confinement.shares_pids;
  const std::string path = PidNamespaceOf(pids->record.state.pid, pids->record.confinement);
  neighbours->pids.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return neighbours->pids.valid() ? std::string() : confinement.shares_pids;
}

void Containers::SetUpSteering(Container& c) {
  in_addr address{};
  if (inet_pton(AF_INET, c.record.bind_address.c_str(), &address) != 1) return;
  c.steering = std::make_unique<BindSteering>(address, static_cast<int>(c.record.privileged_port_offset));
}

void Containers::ReadBirth(Container& c) {
  while (c.phase == Phase::kBirth) {
    BirthNews news = ReadNews(c.birth, c.request);
    switch (news.kind) {
      case BirthNews::kNothingYet:
        return;
      case BirthNews::kListener:
        events_.listener(c.record.state.id, news.listener.get());
        WatchListener(c, std::move(news.listener));
        break;
      case BirthNews::kNotSteered:
        AddNote(c, std::string("ports are not steered to the pod's address: seccomp: ") + strerror(news.error));
        break;
      case BirthNews::kFailed:
        return FailBirth(c, news);
      case BirthNews::kRunning: {
        c.phase = Phase::kRunning;
        Close(c.birth.status);
        c.request = SpawnRequest();
        SpawnReply reply;
        reply.state = c.record.state;
        std::exchange(c.spawn_done, nullptr)(reply);
        return;
      }
    }
  }
}

void Containers::FailBirth(Container& c, const BirthNews& news) {
  SpawnReply reply;
  reply.reason = news.not_made ? "CreateContainerError" : "RunContainerError";
  reply.message = news.message;
  const SpawnDone done = std::move(c.spawn_done);
  const std::vector<Done> removals = std::move(c.remove_done);
  by_pid_.erase(c.record.state.pid);  // its exit is nobody's
  for (Fd* watched : {&c.birth.status, &c.logs[0], &c.logs[1], &c.listener}) Close(*watched);
  LetGoOfLimits(c);
  taps_.ContainerEnded(c.serial);
  Forget(c);
  done(reply);
  for (const Done& removal : removals) removal("");
}

// ---- While it runs

void Containers::WatchListener(Container& c, Fd listener) {
  if (c.listener.valid() || !c.steering || !listener.valid()) return;
  c.listener = std::move(listener);
  poller_.Add(c.listener.get(), Source::kBinds, c.serial);
}

void Containers::AddNote(Container& c, const std::string& note) {
  std::string& all = c.record.state.note;
  all += (all.empty() ? "" : "; ") + note;
  Save(c);
  events_.note(c.record.state.id, all);
}

void Containers::WatchLog(Container& c, int stream, Fd pipe) {
  c.logs[stream] = std::move(pipe);
  poller_.Add(c.logs[stream].get(), stream == 0 ? Source::kStdout : Source::kStderr, c.serial);
}

void Containers::ResumeLogs(uint64_t serial) {
  Container* c = Find(serial);
  if (c == nullptr) return;
  for (int i = 0; i < 2; ++i) {
    if (!c->log_held[i] || taps_.Blocks(serial, static_cast<Stream>(i))) continue;
    c->log_held[i] = false;
    if (c->logs[i].valid()) poller_.Add(c->logs[i].get(), i == 0 ? Source::kStdout : Source::kStderr, serial);
  }
}

std::string Containers::Attach(const std::string& id, Fd out, Fd err, Fd* input) {
  Container* c = Find(id);
  if (c == nullptr || c->phase != Phase::kRunning) return "container \"" + id + "\" is not running";
  if (out.valid()) taps_.Add(c->serial, Stream::kStdout, std::move(out));
  if (err.valid() && !c->tty) taps_.Add(c->serial, Stream::kStderr, std::move(err));
  if (c->input.valid()) input->reset(fcntl(c->input.get(), F_DUPFD_CLOEXEC, 3));
  return {};
}

void Containers::CloseStdin(const std::string& id) {
  Container* c = Find(id);
  if (c != nullptr && !c->tty) c->input.reset();
}

void Containers::ReadLog(Container& c, Stream stream, bool to_the_end) {
  static char buffer[256 << 10];
  Fd& pipe = c.logs[static_cast<int>(stream)];
  // A flood from one container is cut here, so that others get their turn. At the end there is no more than a full
  // pipe, unless somebody outside the container still writes to it.
  for (int turns = to_the_end ? 64 : 4; turns > 0 && pipe.valid(); --turns) {
    const ssize_t n = read(pipe.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      Close(pipe);
      return;
    }
    const std::string_view data(buffer, static_cast<size_t>(n));
    c.log.Append(stream, data);
    taps_.Write(c.serial, stream, data);
    if (!to_the_end && taps_.Blocks(c.serial, stream)) {
      poller_.Remove(pipe.get());
      c.log_held[static_cast<int>(stream)] = true;
      return;
    }
    if (!to_the_end && n < 4096) return;  // most likely empty now
  }
}

const Record* Containers::FindRunning(const std::string& id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() || it->second->phase != Phase::kRunning ? nullptr : &it->second->record;
}

void Containers::AnswerBind(const std::string& id, int listener) {
  Container* c = Find(id);
  if (c == nullptr || !c->steering) return;
  const std::string note = c->steering->Answer(listener);
  if (!note.empty()) AddNote(*c, note);
}

void Containers::Handle(const Poller::Event& event) {
  if (event.source == Source::kTap) return taps_.Handle(event.serial);
  Container* c = Find(event.serial);
  if (c == nullptr) return;
  switch (event.source) {
    case Source::kBirth:
      return ReadBirth(*c);
    case Source::kStdout:
      return ReadLog(*c, Stream::kStdout, false);
    case Source::kStderr:
      return ReadLog(*c, Stream::kStderr, false);
    case Source::kBinds: {
      if (!c->listener.valid()) return;
      if ((event.events & EPOLLIN) == 0) {  // hung up: no process with the filter is left
        Close(c->listener);
        return;
      }
      const std::string note = c->steering->Answer(c->listener.get());
      if (!note.empty()) AddNote(*c, note);
      return;
    }
    case Source::kAdopted:
      poller_.Remove(c->pidfd.get());
      MainEnded(*c, kExitCodeLost, 0, true);
      return CheckDraining();
    default:
      return;
  }
}

std::string Containers::Signal(const std::string& id, int signal) {
  Container* c = Find(id);
  if (c == nullptr) return "container \"" + id + "\" not found";
  if (signal < 1 || signal > SIGRTMAX) return "invalid signal " + std::to_string(signal);
  if (c->phase != Phase::kBirth && c->phase != Phase::kRunning) return {};
  // The number of an unreaped child cannot have become another's; that of an adopted process could.
  if (c->adopted && syscall(SYS_pidfd_send_signal, c->pidfd.get(), 0, nullptr, 0) != 0) return {};
  // A child that has not come to its setsid yet has no group of its own. What descends from the first process beyond
  // its group follows it into a SIGKILL when it has ended, see CheckDraining.
  const pid_t pid = c->record.state.pid;
  if (kill(-pid, signal) != 0 && errno == ESRCH) kill(pid, signal);
  return {};
}

void Containers::Remove(const std::string& id, Done done) {
  Container* c = Find(id);
  if (c == nullptr) return done("");
  if (c->phase == Phase::kEnded) {
    Forget(*c);
    return done("");
  }
  c->remove_done.push_back(std::move(done));
  Signal(id, SIGKILL);
}

void Containers::KillAll() {
  for (const auto& [id, c] : by_id_) Signal(id, SIGKILL);
}

std::vector<ProcessState> Containers::List() const {
  std::vector<ProcessState> states;
  for (const auto& [id, c] : by_id_) {
    if (c->phase != Phase::kBirth) states.push_back(c->record.state);
  }
  return states;
}

void Containers::ForEachListener(const std::function<void(const std::string&, int)>& fn) const {
  for (const auto& [id, c] : by_id_) {
    if (c->listener.valid()) fn(id, c->listener.get());
  }
}

void Containers::ForEachInput(const std::function<void(const std::string&, int)>& fn) const {
  for (const auto& [id, c] : by_id_) {
    if (c->input.valid()) fn(id, c->input.get());
  }
}

// A terminal is its log as well, which nobody could open anew.
void Containers::ReturnInput(const std::string& id, Fd input) {
  Container* c = Find(id);
  if (c == nullptr || c->phase != Phase::kRunning || c->input.valid() || !input.valid()) return;
  if (isatty(input.get())) {
    c->tty = true;
    if (!c->logs[0].valid()) WatchLog(*c, 0, Fd(fcntl(input.get(), F_DUPFD_CLOEXEC, 3)));
  }
  c->input = std::move(input);
}

void Containers::ReturnListener(const std::string& id, Fd listener) {
  Container* c = Find(id);
  if (c != nullptr && c->phase == Phase::kRunning) WatchListener(*c, std::move(listener));
}

// ---- After a crash of the warden

void Containers::Adopt(Record record) {
  const bool was_running = record.state.running;
  const bool this_boot = record.boot_id == boot_id_;
  Container& c = Insert(std::move(record));
  c.adopted = true;
  if (!was_running) {
    c.phase = Phase::kEnded;
    return;
  }
  ++alive_;
  c.phase = Phase::kRunning;
  const pid_t pid = c.record.state.pid;
  c.pidfd.reset(this_boot ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1);
  // Looked at after the pidfd was opened: it cannot become another process any more.
  const bool alive = c.pidfd.valid() && StartTimeOf(pid) == c.record.start_time && TagOf(pid) == c.record.tag;
  if (this_boot && !c.record.confinement.pause) {
    c.log.Open(c.record.log_path, c.record.log_max_bytes, static_cast<int>(c.record.log_max_files));
    std::vector<pid_t> holders{pid};
    for (int i = 0; i < 2; ++i) {
      for (size_t at = 0; at < holders.size() && !c.logs[i].valid(); ++at) {
        if (c.record.log_pipe[i] == 0) break;  // a terminal
        if (alive || at > 0) c.logs[i] = ReopenPipe(holders[at], c.record.log_pipe[i]);
        if (at == 0 && !c.logs[i].valid() && holders.size() == 1) {
          for (pid_t member : FindMembers(c.record.tag)) holders.push_back(member);
        }
      }
      if (c.logs[i].valid()) poller_.Add(c.logs[i].get(), i == 0 ? Source::kStdout : Source::kStderr, c.serial);
    }
  }
  limits_watch_.Add(c.serial, c.record.tag, c.record.confinement, c.record.cgroups);
  if (!alive) return MainEnded(c, kExitCodeLost, 0, true);
  SetUpSteering(c);
  poller_.Add(c.pidfd.get(), Source::kAdopted, c.serial);
}

// ---- The end

void Containers::Reap() {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) break;
    const bool killed = info.si_code != CLD_EXITED;
    const int exit_code = killed ? 128 + info.si_status : info.si_status;
    const int signal = killed ? info.si_status : 0;
    const auto it = by_pid_.find(info.si_pid);
    if (it == by_pid_.end()) {  // of an exec, or an orphan that had come to us
      events_.other_child(info.si_pid, exit_code, signal);
      continue;
    }
    Container* c = it->second;
    if (c->phase == Phase::kBirth) {
      const uint64_t serial = c->serial;
      ReadBirth(*c);  // it may have said why
      c = Find(serial);
      if (c == nullptr) continue;
    }
    by_pid_.erase(info.si_pid);
    MainEnded(*c, exit_code, signal, false);
  }
  CheckDraining();
}

void Containers::MainEnded(Container& c, int exit_code, int signal, bool lost) {
  c.record.state.finished_at = WallMicros();
  c.record.state.exit_code = exit_code;
  c.record.state.signal = signal;
  c.record.state.lost = lost;
  // As the kernel's own: the program was killed, and not by us or somebody else.
  if (exit_code == 128 + SIGKILL && OomKills(c.record.cgroups) > 0) c.record.state.oom_killed = true;
  c.phase = Phase::kDraining;
  c.drain_deadline_us = MonotonicMicros() + kDrainLimitUs;
  draining_.push_back(c.serial);
}

// Orphans of a container become our children (we are their sub-reaper), so when no child of ours but the first
// processes carries its tag, nothing of it lives: one small file tells. What was adopted lost us as an ancestor; there
// we look at every process of the machine, and believe an empty result only the second time.
void Containers::CheckDraining() {
  if (draining_.empty()) return;
  std::vector<pid_t> children;
  const bool complete = OwnChildren(&children);
  std::unordered_map<uint64_t, std::vector<pid_t>> orphans;
  for (pid_t pid : children) {
    if (by_pid_.count(pid) == 0) orphans[TagOf(pid)].push_back(pid);
  }
  const int64_t now = MonotonicMicros();
  std::vector<uint64_t> left;
  for (uint64_t serial : std::exchange(draining_, {})) {
    Container* c = Find(serial);
    if (c == nullptr) continue;
    std::vector<pid_t> roots = std::move(orphans[c->record.tag]);
    // Orphans in another's PID namespace are its first process's.
    const bool elsewhere = !c->record.confinement.shares_pids.empty();
    const bool search = ((c->adopted || elsewhere) && c->record.boot_id == boot_id_) || !complete;
    if (search) roots = FindMembers(c->record.tag);
    if (!roots.empty()) {
      KillMembers(roots);
      c->empty_looks = 0;
    } else {
      ++c->empty_looks;
    }
    if (c->empty_looks >= (search ? 2 : 1) || now >= c->drain_deadline_us) {
      Finish(*c);
    } else {
      left.push_back(serial);
    }
  }
  draining_.insert(draining_.end(), left.begin(), left.end());
  next_look_us_ = now + kLookAgainUs;
}

void Containers::LetGoOfLimits(Container& c) {
  limits_watch_.Remove(c.serial);
  stale_cgroups_.insert(stale_cgroups_.end(), c.record.cgroups.begin(), c.record.cgroups.end());
  c.record.cgroups.clear();
  DropStaleCgroups();
}

void Containers::DropStaleCgroups() {
  stale_cgroups_.erase(std::remove_if(stale_cgroups_.begin(), stale_cgroups_.end(),
                                      [](const std::string& path) { return RemoveCgroups({path}); }),
                       stale_cgroups_.end());
}

void Containers::CheckLimits() {
  for (LimitsWatch::Excess& excess : limits_watch_.Look()) {
    Container* c = Find(excess.serial);
    if (c == nullptr || c->phase != Phase::kRunning) continue;
    if (excess.out_of_memory) c->record.state.oom_killed = true;
    if (!excess.pids.empty()) c->record.state.killed_for = std::move(excess.pids);
    Signal(c->record.state.id, SIGKILL);
  }
}

std::vector<ProcessUsage> Containers::Usage() const {
  auto used = LookAtTags();
  std::vector<ProcessUsage> usages;
  for (const auto& [id, c] : by_id_) {
    if (c->phase != Phase::kRunning) continue;
    const TaggedUsage& usage = used[c->record.tag];
    const int64_t in_group = MemoryInUse(c->record.cgroups);
    usages.push_back({id, c->record.state.started_at, usage.cpu_us,
                      in_group >= 0 ? static_cast<uint64_t>(in_group) : usage.memory_bytes, usage.processes});
  }
  return usages;
}

void Containers::Tick() {
  if (MonotonicMicros() >= limits_watch_.due_us()) CheckLimits();
  if (!stale_cgroups_.empty()) DropStaleCgroups();
  taps_.Tick();
  if (!draining_.empty() && MonotonicMicros() >= next_look_us_) CheckDraining();
}

int Containers::TimeoutMs() const {
  int64_t next = limits_watch_.due_us();
  if (!draining_.empty()) next = std::min(next, next_look_us_);
  const int64_t now = MonotonicMicros();
  if (!stale_cgroups_.empty()) next = std::min(next, now + kStaleLookUs);
  const int taps = taps_.TimeoutMs();
  if (next == INT64_MAX) return taps;
  const int look = static_cast<int>(std::max<int64_t>(0, (next - now + 999) / 1000));
  return taps < 0 ? look : std::min(taps, look);
}

void Containers::Finish(Container& c) {
  for (Stream stream : {Stream::kStdout, Stream::kStderr}) {
    ReadLog(c, stream, true);
    Close(c.logs[static_cast<int>(stream)]);
  }
  taps_.ContainerEnded(c.serial);
  c.input.reset();
  c.log.Finish();
  c.log = LogWriter();
  Close(c.listener);
  c.steering.reset();
  c.pidfd.reset();
  c.phase = Phase::kEnded;
  c.record.state.running = false;
  --alive_;
  LetGoOfLimits(c);
  Save(c);
  const ProcessState state = c.record.state;
  const std::vector<Done> removals = std::move(c.remove_done);
  if (!removals.empty()) Forget(c);
  events_.exited(state);
  for (const Done& removal : removals) removal("");
}

}  // namespace wherry::warden
