#include "core/agent/warden/protocol.h"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "core/agent/warden/connection.h"
#include "core/agent/warden/wire.h"

namespace wherry::warden {
namespace {

SpawnRequest Sample() {
  SpawnRequest request;
  request.id = "uid/web/0";
  request.argv = {"nginx", "-g", ""};
  request.env = {{"A", "1"}, {"B", ""}};
  request.working_directory = "/srv";
  request.log_path = "/var/log/x";
  request.log_max_bytes = int64_t{1} << 40;
  request.log_max_files = 5;
  request.bind_address = "127.1.2.3";
  request.privileged_port_offset = 8000;
  request.run_as_user = -1;
  request.run_as_group = 7;
  request.confinement.mounts = {{"/data/v", "/etc/app", true}};
  request.confinement.sandbox = true;
  request.confinement.hostname = "web-0";
  request.confinement.hidden = {"/data"};
  request.confinement.groups = {5, 6};
  request.confinement.limit_capabilities = true;
  request.confinement.capabilities = 1ULL << 40;
  request.confinement.memory_limit = int64_t{1} << 33;
  request.confinement.cpu_limit = 250;
  request.confinement.pids_limit = 64;
  request.confinement.pause = true;
  request.confinement.shares = "u/.pause/0";
  request.confinement.shares_pids = "u/app/1";
  request.tty = true;
  return request;
}

}  // namespace

TEST_CASE("a spawn request comes out as it went in") {
  SpawnRequest request;
  REQUIRE(Decode(Encode(Sample()), &request));
  CHECK(request.id == "uid/web/0");
  CHECK(request.argv == std::vector<std::string>{"nginx", "-g", ""});
  CHECK(request.env == std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"B", ""}});
  CHECK(request.working_directory == "/srv");
  CHECK(request.log_path == "/var/log/x");
  CHECK(request.log_max_bytes == int64_t{1} << 40);
  CHECK(request.log_max_files == 5);
  CHECK(request.bind_address == "127.1.2.3");
  CHECK(request.privileged_port_offset == 8000);
  CHECK(request.run_as_user == -1);
  CHECK(request.run_as_group == 7);
  const Confinement& confinement = request.confinement;
  REQUIRE(confinement.mounts.size() == 1);
  CHECK(confinement.mounts[0].source == "/data/v");
  CHECK(confinement.mounts[0].target == "/etc/app");
  CHECK(confinement.mounts[0].read_only);
  CHECK(confinement.sandbox);
  CHECK(confinement.hostname == "web-0");
  CHECK(confinement.hidden == std::vector<std::string>{"/data"});
  CHECK(confinement.groups == std::vector<int64_t>{5, 6});
  CHECK(confinement.limit_capabilities);
  CHECK(confinement.capabilities == 1ULL << 40);
  CHECK(confinement.memory_limit == int64_t{1} << 33);
  CHECK(confinement.cpu_limit == 250);
  CHECK(confinement.pids_limit == 64);
  CHECK(confinement.pause);
  CHECK(confinement.shares == "u/.pause/0");
  CHECK(confinement.shares_pids == "u/app/1");
  CHECK_FALSE(confinement.plain());
  CHECK(request.tty);
  CHECK_FALSE(request.open_stdin);
}

TEST_CASE("states come out as they went in") {
  ProcessState state;
  state.id = "a";
  state.running = true;
  state.pid = 77;
  state.started_at = 1'700'000'000'000'001;
  state.finished_at = -5;
  state.exit_code = 137;
  state.signal = 9;
  state.lost = true;
  state.note = "n";
  state.oom_killed = true;
  state.killed_for = "k";
  std::vector<ProcessState> states;
  REQUIRE(Decode(Encode(std::vector<ProcessState>{state, state}), &states));
  REQUIRE(states.size() == 2);
  CHECK(states[1].id == "a");
  CHECK(states[1].running);
  CHECK(states[1].pid == 77);
  CHECK(states[1].started_at == 1'700'000'000'000'001);
  CHECK(states[1].finished_at == -5);
  CHECK(states[1].exit_code == 137);
  CHECK(states[1].signal == 9);
  CHECK(states[1].lost);
  CHECK(states[1].note == "n");
  CHECK(states[1].oom_killed);
  CHECK(states[1].killed_for == "k");
  const std::string before = Encode(state).substr(0, Encode(state).size() - 5);  // of a version without the last field
  ProcessState old;
  REQUIRE(Decode(before, &old));
  CHECK(old.oom_killed);
  CHECK(old.killed_for.empty());
}

TEST_CASE("usages come out as they went in") {
  std::vector<ProcessUsage> usages;
  REQUIRE(Decode(Encode(std::vector<ProcessUsage>{{"a", 5, 6, 7, 8}, {"b", -1, 1, 2, 3}}), &usages));
  REQUIRE(usages.size() == 2);
  CHECK(usages[0].id == "a");
  CHECK(usages[0].started_at == 5);
  CHECK(usages[0].cpu_us == 6);
  CHECK(usages[0].memory_bytes == 7);
  CHECK(usages[0].processes == 8);
  CHECK(usages[1].started_at == -1);
}

TEST_CASE("every truncation is refused, more at the end is not") {
  const std::string spawn = Encode(Sample());
  SpawnRequest request;
  // What earlier versions wrote ends where the confinement begins, or before the last two fields.
  const size_t second_version = spawn.size() - Encode(Sample().confinement).size() - 4 - 2;
  for (size_t size = 0; size < spawn.size(); ++size) {
    CHECK(Decode(std::string_view(spawn).substr(0, size), &request) ==
          (size == second_version || size == spawn.size() - 2));
  }
  REQUIRE(Decode(std::string_view(spawn).substr(0, second_version), &request));
  CHECK(request.confinement.plain());
  CHECK(Decode(spawn + "a field of the future", &request));
  // A confinement of before kPodVersion shares nothing.
  const std::string whole = Encode(Sample().confinement);
  const size_t older = whole.size() - 1 - (4 + sizeof("u/.pause/0") - 1) - (4 + sizeof("u/app/1") - 1);
  for (size_t size = 0; size < whole.size(); ++size) {
    Confinement confinement;
    CHECK(Decode(std::string_view(whole).substr(0, size), &confinement) == (size == older));
    if (size == older) CHECK_FALSE(confinement.with_others());
  }
  const std::string states = Encode(std::vector<ProcessState>(3));
  std::vector<ProcessState> list;
  for (size_t size = 0; size < states.size(); ++size)
    CHECK_FALSE(Decode(std::string_view(states).substr(0, size), &list));
  CHECK(Decode(states, &list));
}

TEST_CASE("counts and lengths that cannot be true reserve no memory") {
  Encoder out;
  out.Str("id");
  out.U32(0xFFFFFFFF);  // arguments
  SpawnRequest request;
  CHECK_FALSE(Decode(out.bytes(), &request));
  CHECK(request.argv.empty());
  Encoder text;
  text.U32(0xFFFFFFF0);
  std::string id;
  CHECK_FALSE(DecodeString(text.bytes(), &id));
}

TEST_CASE("every changed byte is survived") {
  const std::string bytes = Encode(Sample());
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int value : {0, 1, 0x7F, 0xFF}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(value);
      SpawnRequest request;
      (void)Decode(changed, &request);
    }
  }
}

TEST_CASE("frames are cut out of any stream of bytes") {
  const std::string stream = EncodeFrame(MessageType::kList, 1, "") +
                             EncodeFrame(MessageType::kSpawn, 0xFFFFFFFF, "payload") +
                             EncodeFrame(static_cast<MessageType>(200), 3, std::string(100'000, 'x'));
  for (size_t step : {size_t{1}, size_t{7}, size_t{65536}, stream.size()}) {
    FrameReader reader;
    std::vector<std::pair<uint32_t, size_t>> seen;
    for (size_t at = 0; at < stream.size(); at += step) {
      reader.Append(stream.data() + at, std::min(step, stream.size() - at));
      while (const auto frame = reader.Next()) seen.emplace_back(frame->request, frame->payload.size());
    }
    CHECK(seen == std::vector<std::pair<uint32_t, size_t>>{{1, 0}, {0xFFFFFFFF, 7}, {3, 100'000}});
    CHECK_FALSE(reader.broken());
  }
}

TEST_CASE("a frame of impossible length breaks the stream") {
  for (uint32_t length : {0U, 4U, static_cast<uint32_t>(kMaxFrameBytes) + 1, 0xFFFFFFFFU}) {
    Encoder out;
    out.U32(length);
    out.bytes().append(20, 'x');
    FrameReader reader;
    reader.Append(out.bytes().data(), out.bytes().size());
    CHECK_FALSE(reader.Next().has_value());
    CHECK(reader.broken());
  }
}

TEST_CASE("descriptors arrive with their frames") {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  Connection from{Fd(ends[0])}, to{Fd(ends[1])};
  int pipes[3][2];
  for (auto& p : pipes) REQUIRE(pipe(p) == 0);
  from.Send(MessageType::kNote, 0, "first");
  for (auto& p : pipes) {
    from.Send(MessageType::kKeepFd, 0, "x", Fd(p[1]));
    from.Send(MessageType::kNote, 0, std::string(3000, 'y'));
  }
  REQUIRE(to.Receive());
  int number = 0;
  while (const auto frame = to.Next()) {
    if (frame->type != MessageType::kKeepFd) continue;
    const Fd fd = to.TakeAttached();
    REQUIRE(fd.valid());
    const char text = static_cast<char>('0' + number);
    REQUIRE(write(fd.get(), &text, 1) == 1);
    char got = 0;
    CHECK(read(pipes[number][0], &got, 1) == 1);
    CHECK(got == text);
    close(pipes[number][0]);
    ++number;
  }
  CHECK(number == 3);
  CHECK_FALSE(to.TakeAttached().valid());
}

TEST_CASE("an exec and its three descriptors arrive together") {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  Connection from{Fd(ends[0])}, to{Fd(ends[1])};
  ExecRequest request;
  request.container_id = "uid/c/0";
  request.exec_id = "e1";
  request.argv = {"sh", "", "-c"};
  request.tty = true;
  request.attached = 5;
  int pipes[2][2];
  std::vector<Fd> ours;
  for (auto& p : pipes) {
    REQUIRE(pipe(p) == 0);
    ours.emplace_back(p[1]);
  }
  from.Send(MessageType::kExec, 3, Encode(request), std::move(ours));
  from.Send(MessageType::kExec, 4, Encode(ExecRequest{}), std::vector<Fd>{});
  REQUIRE(to.Receive());
  const auto frame = to.Next();
  REQUIRE(frame);
  ExecRequest got;
  REQUIRE(Decode(frame->payload, &got));
  CHECK(got.container_id == "uid/c/0");
  CHECK(got.exec_id == "e1");
  CHECK(got.argv == request.argv);
  CHECK(got.tty);
  CHECK(got.attached == 5);
  const std::vector<Fd> fds = to.TakeAllAttached();
  REQUIRE(fds.size() == 2);
  for (int i = 0; i < 2; ++i) {
    CHECK(write(fds[static_cast<size_t>(i)].get(), "x", 1) == 1);
    char byte = 0;
    CHECK(read(pipes[i][0], &byte, 1) == 1);
    close(pipes[i][0]);
  }
  CHECK(to.TakeAllAttached().empty());

  ExecEnd end;
  REQUIRE(Decode(Encode(ExecEnd{"e", 137, 9}), &end));
  CHECK(end.exec_id == "e");
  CHECK(end.exit_code == 137);
  CHECK(end.signal == 9);
  ExecReply reply;
  REQUIRE(Decode(Encode(ExecReply{"why", "because", -3}), &reply));
  CHECK(reply.reason == "why");
  CHECK(reply.message == "because");
  CHECK(reply.pid == -3);
}

TEST_CASE("a peer that does not read is given up, not buffered without end") {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  Connection from{Fd(ends[0])};
  const Fd other(ends[1]);
  const std::string megabyte(1 << 20, 'x');
  for (int i = 0; i < 62; ++i) from.Send(MessageType::kNote, 0, megabyte);
  CHECK_FALSE(from.failed());
  for (int i = 0; i < 4; ++i) from.Send(MessageType::kNote, 0, megabyte);
  CHECK(from.failed());
}

}  // namespace wherry::warden
