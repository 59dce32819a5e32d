#include "core/agent/runtime/process_runtime.h"

#include <asio/async_result.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <filesystem>
#include <utility>

#include "core/agent/runtime/warden_link.h"
#include "core/runtime/await.h"

namespace wherry {
namespace {

using warden::MessageType;
using Payload = Result<std::string>;

// Starts a callback operation and resumes from the event loop, never from inside the callback: what follows may destroy
// whoever called back.
Task<std::shared_ptr<Payload>> Await(asio::any_io_executor executor,
                                     std::function<void(std::function<void(Payload)>)> start) {
  using Token = asio::use_awaitable_t<asio::any_io_executor>;
  return asio::async_initiate<const Token, void(std::shared_ptr<Payload>)>(
      [executor, start = std::move(start)](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        start([executor, shared](Payload payload) {
          auto result = std::make_shared<Payload>(std::move(payload));
          asio::post(executor, [shared, result]() mutable { std::move (*shared)(std::move(result)); });
        });
      },
      asio::use_awaitable);
}

Status Refusal(Reason code, const std::string& reason, std::string message) {
  StatusDetails details;
  details.causes.push_back(StatusCause{reason, message, ""});
  return Status(code, std::move(message), std::move(details));
}

std::string Absolute(const std::string& path) {
  return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
}

warden::SpawnRequest ToRequest(ContainerSpec spec) {
  warden::SpawnRequest request;
  request.id = std::move(spec.id);
  request.argv = std::move(spec.argv);
  request.env = std::move(spec.env);
  request.working_directory = Absolute(spec.working_directory);
  request.log_path = Absolute(spec.log_path);
  request.log_max_bytes = spec.log_max_bytes;
  request.log_max_files = static_cast<uint32_t>(spec.log_max_files < 1 ? 1 : spec.log_max_files);
  request.bind_address = std::move(spec.bind_address);
  request.privileged_port_offset =
      static_cast<uint32_t>(spec.privileged_port_offset < 0 ? 0 : spec.privileged_port_offset);
  request.run_as_user = spec.run_as_user;
  request.run_as_group = spec.run_as_group;
  request.confinement = std::move(spec.confinement);
  request.open_stdin = spec.open_stdin;
  request.tty = spec.tty;
  return request;
}

Status ToStatus(const Payload& payload) {
  if (!payload.ok()) return payload.status();
  std::string error;
  if (!warden::DecodeString(payload.value(), &error)) return Status::Internal("malformed answer of the warden");
  return error.empty() ? Status() : Status::Internal(error);
}

}  // namespace

ProcessRuntime::ProcessRuntime(asio::io_context& io, Clock& clock, ProcessRuntimeOptions options) {
  options.data_dir = Absolute(options.data_dir);
  link_ = std::make_shared<Link>(io, clock, std::move(options));
  link_->Open();
}

ProcessRuntime::~ProcessRuntime() { link_->Close(); }

void ProcessRuntime::set_on_exit(std::function<void(const ContainerState&)> on_exit) {
  link_->on_exit = std::move(on_exit);
}

void ProcessRuntime::set_on_note(std::function<void(const ContainerState&)> on_note) {
  link_->on_note = std::move(on_note);
}

int ProcessRuntime::warden_pid() const { return link_->warden_pid(); }

Task<Result<ContainerState>> ProcessRuntime::Start(ContainerSpec spec) {
  const auto link = link_;
  std::string id = spec.id;
  if (!spec.confinement.plain() && link->warden_version() != 0 &&
      link->warden_version() < warden::kConfinementVersion) {
    co_return Refusal(
        Reason::kInternalError, "CreateContainerError",
        "the warden of an older release still runs, and knows neither mounts nor sandboxes nor limits; it "
        "ends when its last container does");
  }
  if (spec.confinement.with_others() && link->warden_version() != 0 && link->warden_version() < warden::kPodVersion) {
    co_return Refusal(Reason::kInternalError, "CreateContainerError",
                      "the warden of an older release still runs, and knows no namespaces that containers share; it "
                      "ends when its last container does");
  }
  const std::string payload = warden::Encode(ToRequest(std::move(spec)));
  std::function<void(Link::Answer)> start = [link, payload, id](Link::Answer answer) {
    link->Call(MessageType::kSpawn, payload, id, std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  if (!got->ok()) co_return Refusal(got->status().reason(), "RunContainerError", got->status().message());
  warden::SpawnReply reply;
  if (!warden::Decode(got->value(), &reply)) {
    co_return Refusal(Reason::kInternalError, "RunContainerError", "malformed answer of the warden");
  }
  if (!reply.reason.empty()) co_return Refusal(Reason::kInternalError, reply.reason, reply.message);
  co_return ToContainerState(reply.state);
}

Task<Status> ProcessRuntime::Signal(std::string id, int signal) {
  const auto link = link_;
  const std::string payload = warden::Encode(warden::SignalRequest{std::move(id), signal});
  std::function<void(Link::Answer)> start = [link, payload](Link::Answer answer) {
    link->Call(MessageType::kSignal, payload, "", std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  co_return ToStatus(*got);
}

Task<Status> ProcessRuntime::Remove(std::string id) {
  const auto link = link_;
  const std::string payload = warden::EncodeString(id);
  std::function<void(Link::Answer)> start = [link, payload](Link::Answer answer) {
    link->Call(MessageType::kRemove, payload, "", std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  co_return ToStatus(*got);
}

Task<Result<ExecResult>> ProcessRuntime::Exec(ExecSpec spec) {
  const auto link = link_;
  warden::ExecRequest request;
  request.container_id = std::move(spec.container_id);
  request.exec_id = std::move(spec.exec_id);
  request.argv = std::move(spec.argv);
  request.tty = spec.tty;
  std::vector<warden::Fd> stdio;
  for (size_t i = 0; i < spec.stdio.size(); ++i) {
    if (!spec.stdio[i].valid()) continue;
    request.attached |= 1U << i;
    stdio.push_back(std::move(spec.stdio[i]));
  }
  using Ended = std::shared_ptr<Result<ExecResult>>;
  auto start = [link, request = std::move(request), stdio = std::move(stdio)](std::function<void(Ended)> done) mutable {
    link->Exec(std::move(request), std::move(stdio), [link, done = std::move(done)](Result<ExecResult> result) {
      auto shared = std::make_shared<Result<ExecResult>>(std::move(result));
      asio::post(link->io(), [done, shared] { done(shared); });
    });
  };
  const Ended ended = co_await AwaitCallback<Ended>(std::move(start));
  co_return std::move(*ended);
}

Task<Status> ProcessRuntime::StopExec(std::string exec_id) {
  const auto link = link_;
  const std::string payload = warden::EncodeString(exec_id);
  std::function<void(Link::Answer)> start = [link, payload](Link::Answer answer) {
    link->Call(MessageType::kStopExec, payload, "", std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  co_return ToStatus(*got);
}

Task<Result<UniqueFd>> ProcessRuntime::Attach(AttachSpec spec) {
  const auto link = link_;
  warden::AttachRequest request;
  request.container_id = std::move(spec.container_id);
  std::vector<warden::Fd> pipes;
  if (spec.out.valid()) {
    request.attached |= 2;
    pipes.push_back(std::move(spec.out));
  }
  if (spec.err.valid()) {
    request.attached |= 4;
    pipes.push_back(std::move(spec.err));
  }
  using Answer = std::shared_ptr<Result<std::shared_ptr<warden::Fd>>>;
  auto start = [link, request, pipes = std::move(pipes)](std::function<void(Answer)> done) mutable {
    link->Attach(std::move(request), std::move(pipes),
                 [link, done = std::move(done)](Result<std::shared_ptr<warden::Fd>> result) {
                   auto shared = std::make_shared<Result<std::shared_ptr<warden::Fd>>>(std::move(result));
                   asio::post(link->io(), [done, shared] { done(shared); });
                 });
  };
  const Answer answer = co_await AwaitCallback<Answer>(std::move(start));
  if (!answer->ok()) co_return answer->status();
  co_return std::move(*answer->value());
}

Task<Status> ProcessRuntime::CloseStdin(std::string container_id) {
  const auto link = link_;
  link->ForgetInput(container_id);
  const std::string payload = warden::EncodeString(container_id);
  std::function<void(Link::Answer)> start = [link, payload](Link::Answer answer) {
    link->Call(MessageType::kCloseStdin, payload, "", std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  co_return ToStatus(*got);
}

Task<std::vector<ContainerState>> ProcessRuntime::List() {
  const auto link = link_;
  std::function<void(Link::Answer)> start = [link](Link::Answer answer) {
    link->Call(MessageType::kList, "", "", std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  std::vector<ContainerState> result;
  std::vector<warden::ProcessState> states;
  if (got->ok() && warden::Decode(got->value(), &states)) {
    for (const warden::ProcessState& state : states) result.push_back(ToContainerState(state));
  }
  co_return result;
}

Task<std::vector<ContainerReading>> ProcessRuntime::Usage() {
  const auto link = link_;
  std::vector<ContainerReading> result;
  if (link->warden_version() != 0 && link->warden_version() < warden::kConfinementVersion) co_return result;
  std::function<void(Link::Answer)> start = [link](Link::Answer answer) {
    link->Call(MessageType::kUsage, "", "", std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  std::vector<warden::ProcessUsage> usages;
  if (got->ok() && warden::Decode(got->value(), &usages)) {
    for (warden::ProcessUsage& usage : usages) {
      result.push_back({std::move(usage.id), Time(std::chrono::microseconds(usage.started_at)),
                        std::chrono::microseconds(usage.cpu_us), usage.memory_bytes, usage.processes});
    }
  }
  co_return result;
}

Task<Status> ProcessRuntime::StopWarden() {
  const auto link = link_;
  link->ExpectEnd();
  std::function<void(Link::Answer)> start = [link](Link::Answer answer) {
    link->Call(MessageType::kStop, "", "", std::move(answer));
  };
  const std::shared_ptr<Payload> got = co_await Await(link->io().get_executor(), std::move(start));
  co_return ToStatus(*got);
}

}  // namespace wherry
