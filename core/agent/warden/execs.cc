#include "core/agent/warden/execs.h"

#include <signal.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/agent/warden/cgroups.h"

namespace wherry::warden {

Execs::Execs(Poller& poller, Inheritance inheritance, Containers& containers, Exited exited)
    : poller_(poller), inheritance_(std::move(inheritance)), containers_(containers), exited_(std::move(exited)) {}

void Execs::Start(const ExecRequest& request, std::vector<Fd> stdio, uint64_t client, Started started) {
  const auto refuse = [&](const char* reason, std::string message) {
    ExecReply reply;
    reply.reason = reason;
    reply.message = std::move(message);
    started(reply);
  };
  const Record* container = containers_.FindRunning(request.container_id);
  if (container == nullptr) {
    return refuse("ContainerNotRunning", "container \"" + request.container_id + "\" is not running");
  }
  if (request.exec_id.empty()) return refuse("CreateContainerError", "an exec needs an id");
  if (request.argv.empty() || request.argv[0].empty()) {
    return refuse("CreateContainerError", "no command specified");
  }
  for (const std::string& arg : request.argv) {
    if (arg.find('\0') != std::string::npos) {
      return refuse("CreateContainerError", "the command may not contain a NUL");
    }
  }
  Joining joining;
  joining.tty = request.tty;
  joining.container = container->state.pid;
  size_t taken = 0;
  for (uint32_t i = 0; i < 3; ++i) {
    if ((request.attached & (1U << i)) == 0) continue;
    if (taken >= stdio.size() || !stdio[taken].valid()) {
      return refuse("RunContainerError", "its stdio was lost on the way: too many open files");
    }
    joining.stdio[i] = std::move(stdio[taken++]);
  }

  Exec exec;
  exec.client = client;
  exec.id = request.exec_id;
  exec.container_id = request.container_id;
  exec.request.id = request.container_id;
  exec.request.argv = request.argv;
  exec.request.env = container->env;
  exec.request.working_directory = container->working_directory;
  exec.request.bind_address = container->bind_address;
  exec.request.run_as_user = container->run_as_user;
  exec.request.run_as_group = container->run_as_group;
  exec.request.confinement = container->confinement;
  if (request.tty) {
    // As the tools of the trade do: what runs in a terminal wants to know which.
    bool has_term = false;
    for (const auto& [name, value] : exec.request.env) has_term = has_term || name == "TERM";
    if (!has_term) exec.request.env.emplace_back("TERM", "xterm");
  }
  const int error = ForkInto(exec.request, container->tag, inheritance_, joining, &exec.birth);
  if (error != 0) return refuse("RunContainerError", std::string("fork: ") + strerror(error));
  JoinCgroups(container->cgroups, exec.birth.pid);
  exec.started = std::move(started);
  const uint64_t serial = next_serial_++;
  poller_.Add(exec.birth.status.get(), Source::kExecBirth, serial);
  const Birth& birth = execs_.emplace(serial, std::move(exec)).first->second.birth;
  Go(birth);
}

void Execs::Close(Fd& watched) {
  if (watched.valid()) poller_.Remove(watched.get());
  watched.reset();
}

void Execs::Watch(Exec& exec, uint64_t serial, Fd listener) {
  exec.listener = std::move(listener);
  poller_.Add(exec.listener.get(), Source::kExecBinds, serial);
}

void Execs::ReadBirth(Exec& exec, uint64_t serial) {
  while (exec.started) {
    BirthNews news = ReadNews(exec.birth, exec.request);
    ExecReply reply;
    switch (news.kind) {
      case BirthNews::kNothingYet:
        return;
      case BirthNews::kListener:
        Watch(exec, serial, std::move(news.listener));
        continue;
      case BirthNews::kNotSteered:
        continue;  // as its container, which says so
      case BirthNews::kFailed:
        reply.reason = "RunContainerError";
        reply.message = news.message;
        break;
      case BirthNews::kRunning:
        reply.pid = exec.birth.pid;
        break;
    }
    Close(exec.birth.status);
    std::exchange(exec.started, nullptr)(reply);
    // One that failed is kept until it is reaped, and then says its end to nobody.
    if (!reply.reason.empty()) exec.client = 0;
  }
}

void Execs::Handle(const Poller::Event& event) {
  const auto it = execs_.find(event.serial);
  if (it == execs_.end()) return;
  Exec& exec = it->second;
  if (event.source == Source::kExecBirth) return ReadBirth(exec, it->first);
  if (!exec.listener.valid()) return;
  if ((event.events & EPOLLIN) == 0) {  // hung up: no process with the filter is left
    Close(exec.listener);
    if (exec.birth.pid <= 0) execs_.erase(it);
    return;
  }
  containers_.AnswerBind(exec.container_id, exec.listener.get());
}

void Execs::Ended(pid_t pid, int exit_code, int signal) {
  for (auto it = execs_.begin(); it != execs_.end(); ++it) {
    Exec& exec = it->second;
    if (exec.birth.pid != pid) continue;
    ReadBirth(exec, it->first);  // it may have said why
    Close(exec.birth.status);
    // What it left running in the container may still bind; with no holder of the listener that would fail. So the
    // listener lives until it is hung up, or its container ends.
    exec.birth.pid = -1;
    if (exec.client != 0) exited_(exec.client, ExecEnd{exec.id, exit_code, signal});
    exec.client = 0;
    if (!exec.listener.valid()) execs_.erase(it);
    return;
  }
}

// The number of an unreaped child cannot have become another's. One that has not come to its setsid has no group yet.
void Execs::Kill(const Exec& exec) {
  if (exec.birth.pid <= 0) return;
  if (kill(-exec.birth.pid, SIGKILL) != 0) kill(exec.birth.pid, SIGKILL);
}

void Execs::Stop(uint64_t client, const std::string& exec_id) {
  for (const auto& [serial, exec] : execs_) {
    if (exec.client == client && exec.id == exec_id) Kill(exec);
  }
}

void Execs::ClientGone(uint64_t client) {
  for (auto& [serial, exec] : execs_) {
    if (exec.client != client) continue;
    Kill(exec);
    exec.client = 0;
  }
}

void Execs::ContainerEnded(const std::string& container_id) {
  for (auto it = execs_.begin(); it != execs_.end();) {
    Exec& exec = it->second;
    if (exec.container_id == container_id) {
      Kill(exec);
      Close(exec.listener);
      if (exec.birth.pid <= 0) {
        it = execs_.erase(it);
        continue;
      }
    }
    ++it;
  }
}

}  // namespace wherry::warden
