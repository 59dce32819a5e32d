#include "api/server/stream_handlers.h"

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "api/streams/port_forward.h"
#include "api/streams/remote_command.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

using streams::RemoteOptions;
using streams::RemoteProgram;

struct Services {
  ControlPlane& plane;
  asio::any_io_executor executor;
  Clock& clock;
  uint64_t execs = 0;  // names them
};
using ServicesPtr = std::shared_ptr<Services>;

Status Invalid(const std::string& kind, const std::string& message) {
  return Status(Reason::kInvalid, kind + " \"\" is invalid: " + message);
}

Result<RemoteOptions> ReadOptions(const http::Request& request, const std::string& kind) {
  RemoteOptions options;
  options.in = QueryBool(request, "stdin");
  options.out = QueryBool(request, "stdout");
  options.err = QueryBool(request, "stderr");
  options.tty = QueryBool(request, "tty");
  if (options.tty) options.err = false;  // a terminal has one output
  if (!options.in && !options.out && !options.err) {
    return Invalid(kind, "[stdin, stdout, stderr]: Required value: at least one of them must be asked for");
  }
  return options;
}

Status OutOfDescriptors() { return Status::Unavailable(std::string("no pipe for the program: ") + strerror(errno)); }

UniqueFd Copy(const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); }

Status MakePipe(UniqueFd& read_end, UniqueFd& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return OutOfDescriptors();
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  return {};
}

// The two ends of what connects us to a program.
Status Connect(const RemoteOptions& options, RemoteProgram& ours, ExecSpec& theirs) {
  if (!options.tty) {
    Status made;
    if (options.in) made = MakePipe(theirs.stdio[0], ours.in);
    if (made.ok() && options.out) made = MakePipe(ours.out, theirs.stdio[1]);
    if (made.ok() && options.err) made = MakePipe(ours.err, theirs.stdio[2]);
    return made;
  }
  UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  char name[64];
  if (!master.valid() || grantpt(master.get()) != 0 || unlockpt(master.get()) != 0 ||
      ptsname_r(master.get(), name, sizeof name) != 0) {
    return OutOfDescriptors();
  }
  UniqueFd terminal(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.valid()) return OutOfDescriptors();
  theirs.tty = true;
  for (UniqueFd& fd : theirs.stdio) fd = Copy(terminal);
  if (options.in) ours.in = Copy(master);
  ours.terminal = Copy(master);
  ours.out = std::move(master);  // also read when nobody asked: a full terminal would stop the program
  return {};
}

Task<Result<int>> RunExec(ContainerRuntime* runtime, std::shared_ptr<ExecSpec> spec) {
  ExecSpec moved = std::move(*spec);
  const Result<ExecResult> end = co_await runtime->Exec(std::move(moved));
  if (!end.ok()) co_return end.status();
  co_return end->exit_code;
}

Task<> StopExec(ContainerRuntime* runtime, std::string exec_id) {
  const Status ignored = co_await runtime->StopExec(std::move(exec_id));
  (void)ignored;
}

// Upgrades, and carries the program's input and output until it or the client has ended.
Task<> Converse(std::shared_ptr<Call> call, ServicesPtr services, RemoteOptions options, RemoteProgram program) {
  std::unique_ptr<streams::Channels> opened =
      co_await streams::OpenChannels(call->exchange, services->executor, services->clock, options);
  if (!opened) co_return;
  const std::shared_ptr<streams::Channels> channels = std::move(opened);
  call->exchange->set_on_close([weak = std::weak_ptr<streams::Channels>(channels)] {
    if (const auto open = weak.lock()) open->Close();
  });
  co_await streams::RunRemoteCommand(channels, services->executor, services->clock, std::move(program));
  call->exchange->set_on_close(nullptr);
}

Task<> ServeExec(std::shared_ptr<Call> call, ServicesPtr services) {
  http::Exchange& exchange = *call->exchange;
  const http::Request& request = call->request();
  const ObjectPtr pod = services->plane.cache().Get(resources::kPods, call->ns, call->name);
  if (!pod) co_return RespondStatus(exchange, Status::NotFound("pods", "", call->name));
  const Result<RemoteOptions> options = ReadOptions(request, "PodExecOptions");
  if (!options.ok()) co_return RespondStatus(exchange, options.status());
  auto spec = std::make_shared<ExecSpec>();
  for (const http::Request::Field& field : request.query()) {
    if (field.name == "command") spec->argv.emplace_back(field.value);
  }
  if (spec->argv.empty()) {
    co_return RespondStatus(exchange, Invalid("PodExecOptions", "command: Required value: must be specified"));
  }
  const Result<ContainerTarget> target =
      services->plane.agents().FindContainer(pod, QueryString(request, "container"), "exec into");
  if (!target.ok()) co_return RespondStatus(exchange, target.status());
  RemoteProgram program;
  const Status connected = Connect(*options, program, *spec);
  if (!connected.ok()) co_return RespondStatus(exchange, connected);

  ContainerRuntime* const runtime = target->runtime;
  spec->container_id = target->id;
  spec->exec_id = "exec-" + std::to_string(++services->execs);
  program.run = [runtime, spec] { return RunExec(runtime, spec); };
  program.abandon = [runtime, executor = services->executor, id = spec->exec_id] {
    Spawn(executor, "stop of an exec", StopExec(runtime, id));
  };
  co_await Converse(std::move(call), std::move(services), *options, std::move(program));
}

Task<> ServePortForward(std::shared_ptr<Call> call, ServicesPtr services) {
  http::Exchange& exchange = *call->exchange;
  const ObjectPtr pod = services->plane.cache().Get(resources::kPods, call->ns, call->name);
  if (!pod) co_return RespondStatus(exchange, Status::NotFound("pods", "", call->name));
  const Result<AddressTarget> address = services->plane.agents().FindAddress(pod);
  if (!address.ok()) co_return RespondStatus(exchange, address.status());
  streams::PortTarget target;
  target.addresses = address->addresses;
  target.privileged_port_offset = address->privileged_port_offset;
  target.name = call->ns + "/" + call->name;
  co_await streams::ServePortForward(call->exchange, services->executor, services->clock, std::move(target));
}

}  // namespace

void AddStreamHandlers(Api& api, ControlPlane& plane, asio::any_io_executor executor, Clock& clock) {
  const auto services = std::make_shared<Services>(Services{plane, std::move(executor), clock});
  const std::string pods(resources::kPods);
  for (const char* method : {"GET", "POST"}) {
    api.AddSubresource(pods, "exec", method,
                       [services](std::shared_ptr<Call> call) { return ServeExec(std::move(call), services); });
    api.AddSubresource(pods, "portforward", method,
                       [services](std::shared_ptr<Call> call) { return ServePortForward(std::move(call), services); });
  }
}

}  // namespace wherry
