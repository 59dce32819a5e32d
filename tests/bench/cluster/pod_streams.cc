// What runs through an upgraded connection to a pod, over WebSocket: short execs, and bytes of a forwarded port.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {
namespace {

constexpr int kPort = 7000;
constexpr size_t kPoured = size_t{512} << 20;
constexpr size_t kPortBytes = 2;  // each channel begins with the number of its port
constexpr int kExecs = 300;

// Cuts a server's WebSocket frames, which are unmasked and final, out of its stream.
class Frames {
 public:
  void Feed(const std::string& bytes) { buffer_ += bytes; }
  // The next frame's first byte (which tells its kind) and payload; false when more bytes are needed.
  bool Next(unsigned char* kind, std::string* payload) {
    const auto at = [this](size_t i) { return static_cast<unsigned char>(buffer_[taken_ + i]); };
    const size_t left = buffer_.size() - taken_;
    if (left < 2) return Wait();
    const size_t extended = at(1) == 126 ? 2 : at(1) == 127 ? 8 : 0;
    if (left < 2 + extended) return Wait();
    size_t length = extended == 0 ? at(1) : 0;
    for (size_t i = 0; i < extended; ++i) length = length << 8 | at(2 + i);
    if (left < 2 + extended + length) return Wait();
    *kind = at(0);
    payload->assign(buffer_, taken_ + 2 + extended, length);
    taken_ += 2 + extended + length;
    return true;
  }

 private:
  bool Wait() {
    buffer_.erase(0, taken_);
    taken_ = 0;
    return false;
  }
  std::string buffer_;
  size_t taken_ = 0;
};

constexpr unsigned char kBinaryFrame = 0x82, kCloseFrame = 0x88;

// Opens a stream of a pod and hands on what comes (first byte: the channel) until the server closes it.
Task<> Converse(http::HttpClient* client, std::string target, std::string protocol,
                std::function<void(const std::string&)> on_message) {
  http::ClientRequest request;
  request.target = std::move(target);
  request.headers = {{"Connection", "Upgrade"},
                     {"Upgrade", "websocket"},
                     {"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Key", "d2hlcnJ5IGJlbmNoIGtleQ=="},
                     {"Sec-WebSocket-Protocol", std::move(protocol)}};
  Result<std::shared_ptr<http::ClientStream>> stream = co_await client->Open(std::move(request));
  if (!stream.ok()) Die(stream.status().message());
  if ((*stream)->head().status != 101) Die("no upgrade, but " + std::to_string((*stream)->head().status));
  Frames frames;
  bool closed = false;
  while (!closed) {
    Result<std::string> bytes = co_await (*stream)->ReadSome();
    if (!bytes.ok() || bytes->empty()) break;
    frames.Feed(*bytes);
    unsigned char kind = 0;
    std::string payload;
    while (frames.Next(&kind, &payload)) {
      if (kind == kBinaryFrame && !payload.empty()) on_message(payload);
      closed = closed || kind == kCloseFrame;
    }
  }
  (*stream)->Close();
}

void AwaitRunning(const Server& server, const std::string& name) {
  const bool runs = Await(server, std::string(kPodsPath) + "/" + name, 30,
                          [](const Json& pod) { return StringAt(pod, "status.phase") == "Running"; });
  if (!runs) Die("the pod " + name + " does not become Running");
}

Json LongPod(const std::string& name, std::vector<std::string> command) {
  Json pod = Pod(name);
  pod["spec"]["terminationGracePeriodSeconds"] = 0;
  pod["spec"]["containers"][0]["command"] = std::move(command);
  return pod;
}

Task<> ExecMany(http::HttpClient* client, std::vector<double>* times) {
  for (int i = 0; i < kExecs; ++i) {
    const auto start = Steady::now();
    bool good = false;
    std::function<void(const std::string&)> on_message = [&good](const std::string& message) {
      good = good || (message[0] == 3 && message.find("\"Success\"") != std::string::npos);
    };
    std::string target = std::string(kPodsPath) + "/p/exec?command=/bin/true&stdout=true&stderr=true";
    std::string protocol = "v5.channel.k8s.io";
    co_await Converse(client, std::move(target), std::move(protocol), std::move(on_message));
    if (!good) Die("an exec did not succeed");
    times->push_back(Since(start));
  }
}

Task<> Forward(http::HttpClient* client, size_t* bytes) {
  std::function<void(const std::string&)> on_message = [bytes](const std::string& message) {
    if (message[0] == 0) *bytes += message.size() - 1;
  };
  std::string target = std::string(kPodsPath) + "/p/portforward?ports=" + std::to_string(kPort);
  std::string protocol = "v4.channel.k8s.io";
  co_await Converse(client, std::move(target), std::move(protocol), std::move(on_message));
}

// Bytes read from a connection to `address` until its end.
size_t ReadDirectly(const std::string& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kPort);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) Die("no connection to the pod");
  std::vector<char> buffer(256 << 10);
  size_t bytes = 0;
  for (ssize_t n; (n = ::read(fd, buffer.data(), buffer.size())) > 0;) bytes += static_cast<size_t>(n);
  ::close(fd);
  return bytes;
}

}  // namespace

int Pour() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(kPort);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 || ::listen(listener, 8) != 0)
    return 1;
  const std::vector<char> buffer(256 << 10, 'x');
  for (;;) {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) return 1;
    for (size_t left = kPoured; left > 0;) {
      const ssize_t n = ::send(fd, buffer.data(), std::min(left, buffer.size()), MSG_NOSIGNAL);
      if (n <= 0) break;
      left -= static_cast<size_t>(n);
    }
    ::close(fd);
  }
}

void BenchExec(const std::string& program) {
  Server server(program, 1);
  CreateMany(server, kPodsPath, 1, [](int) { return LongPod("p", {"/bin/sleep", "1000"}); });
  AwaitRunning(server, "p");
  Loop loop;
  std::vector<double> times, bare;
  http::HttpClient client(loop.io.get_executor(), *loop.clock, server.client());
  const double cpu = CpuOf(server.pid()), warden_cpu = CpuOf(server.warden());
  Spawn(loop.io.get_executor(), "exec", ExecMany(&client, &times));
  loop.io.run();
  const double each = (CpuOf(server.pid()) - cpu) / kExecs * 1e6;
  const double warden_each = (CpuOf(server.warden()) - warden_cpu) / kExecs * 1e6;
  for (int i = 0; i < kExecs; ++i) {
    const auto start = Steady::now();
    ::waitpid(StartProgram({"/bin/true"}), nullptr, 0);
    bare.push_back(Since(start));
  }
  const double median = Quantile(times, 0.5), bare_median = Quantile(bare, 0.5);
  std::printf(
      "exec: a connection with TLS, an upgrade, /bin/true and its status: p50 %.2f ms, p99 %.2f ms; posix_spawn + wait "
      "%.2f ms; ratio %.1f; %.0f us CPU of the server and %.0f us of the warden each\n",
      median * 1e3, Quantile(times, 0.99) * 1e3, bare_median * 1e3, median / bare_median, each, warden_each);
}

void BenchForward(const std::string& program) {
  char self[PATH_MAX] = {};
  if (::readlink("/proc/self/exe", self, sizeof self - 1) <= 0) Die("readlink");
  Server server(program, 1);
  CreateMany(server, kPodsPath, 1, [&](int) { return LongPod("p", {self, "--pour"}); });
  AwaitRunning(server, "p");
  Loop loop;
  const std::string address = StringAt(loop.Call(server, "GET", std::string(kPodsPath) + "/p"), "status.podIP");
  ::usleep(300'000);  // until it listens
  const auto direct_start = Steady::now();
  if (ReadDirectly(address) != kPoured) Die("the direct connection broke");
  const double direct = Since(direct_start);

  size_t bytes = 0;
  http::HttpClient client(loop.io.get_executor(), *loop.clock, server.client());
  const double cpu = CpuOf(server.pid());
  const auto start = Steady::now();
  Spawn(loop.io.get_executor(), "forward", Forward(&client, &bytes));
  loop.io.restart();
  loop.io.run();
  const double took = Since(start), mebibytes = static_cast<double>(kPoured) / 1048576;
  if (bytes != kPoured + kPortBytes) Die("the forwarded connection broke after " + std::to_string(bytes) + " bytes");
  std::printf(
      "port-forward: %.0f MiB out of a pod through TLS and WebSocket: %.0f MiB/s; straight from the pod's address %.0f "
      "MiB/s; ratio %.2f; %.2f ms CPU of the server for each MiB (the client shares the machine)\n",
      mebibytes, mebibytes / took, mebibytes / direct, direct / took, (CpuOf(server.pid()) - cpu) / mebibytes * 1e3);
}

}  // namespace wherry::bench
