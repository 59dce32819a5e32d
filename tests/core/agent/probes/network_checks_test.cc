// Real connections on loopback, with servers in the same loop.
#include "core/agent/probes/network_checks.h"

#include <nghttp2/nghttp2.h>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <catch2/catch.hpp>
#include <map>
#include <optional>

namespace wherry {
namespace {

using asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr auto kAwait = asio::use_awaitable_t<asio::any_io_executor>();

// Serves connections one after the other: what a handler makes of everything that came so far is sent; "" waits for
// more. `last`: the connection is closed after an answer. Nothing is answered without a handler.
class Server {
 public:
  using Handler = std::function<std::string(const std::string& so_far)>;
  Server(asio::io_context& io, Handler handler, bool last = true)
      : acceptor_(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    asio::co_spawn(io, Serve(&acceptor_, std::move(handler), last), [](std::exception_ptr) {});
  }
  int port() const { return acceptor_.local_endpoint().port(); }

 private:
  static Task<> Serve(tcp::acceptor* acceptor, Handler handler, bool last) {
    for (;;) {
      std::error_code error;
      tcp::socket socket = co_await acceptor->async_accept(asio::redirect_error(kAwait, error));
      if (error) co_return;
      std::string text;
      while (!error) {
        char piece[4096];
        const asio::mutable_buffer buffer = asio::buffer(piece);
        const size_t got = co_await socket.async_read_some(buffer, asio::redirect_error(kAwait, error));
        text.append(piece, got);
        if (error || !handler) continue;
        const std::string answer = handler(text);
        if (answer.empty()) continue;
        const asio::const_buffer out = asio::buffer(answer);
        co_await asio::async_write(socket, out, asio::redirect_error(kAwait, error));
        if (last) break;
      }
    }
  }
  tcp::acceptor acceptor_;
};

struct World {
  asio::io_context io;
  std::unique_ptr<Clock> clock = NewSystemClock(io);

  CheckResult Wait(Task<CheckResult> task) {
    std::optional<CheckResult> out;
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, CheckResult result) {
      REQUIRE(!error);
      out = std::move(result);
    });
    while (!out) io.run_one();
    return *out;
  }
  CheckResult Http(int port, std::string path = "/", Duration timeout = seconds(5)) {
    Action action;
    action.kind = Action::Kind::kHttpGet;
    action.port = port;
    action.path = std::move(path);
    action.headers = {{"X-Probe", "yes"}};
    return Wait(CheckHttp(io.get_executor(), *clock, action, {"127.0.0.1", 0}, timeout));
  }
};

std::string Show(const CheckResult& result) {
  static constexpr const char* kNames[] = {"success", "warning", "failure", "error"};
  return kNames[static_cast<int>(result.outcome)] + (result.output.empty() ? "" : ": " + result.output);
}

int FreePort(asio::io_context& io) {
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  return acceptor.local_endpoint().port();
}

}  // namespace

TEST_CASE("HTTP answers") {
  World world;
  std::string request;
  std::map<std::string, std::string> pages = {
      {"/", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
      {"/open", "HTTP/1.0 204 No Content\r\n\r\n"},
      {"/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"},
      {"/until-closed", "HTTP/1.0 200 OK\r\n\r\nhello"},
      {"/continue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"/bad", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"},
      {"/not-there", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
      {"/moved", "HTTP/1.1 302 Found\r\nLocation: /bad\r\nContent-Length: 0\r\n\r\n"},
      {"/near/by", "HTTP/1.1 301 Moved\r\nLocation: there\r\nContent-Length: 0\r\n\r\n"},
      {"/near/there", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"/away", "HTTP/1.1 302 Found\r\nLocation: http://example.com/x\r\nContent-Length: 4\r\n\r\nbody"},
      {"/round", "HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n"},
      {"/unchanged", "HTTP/1.1 304 Not Modified\r\n\r\n"},
      {"/nonsense", "hello\r\n\r\n"},
      {"/big", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(100'000, 'x')},
  };
  Server server(world.io, [&](const std::string& text) {
    if (!text.ends_with("\r\n\r\n")) return std::string();
    request = text;
    return pages[text.substr(4, text.find(' ', 4) - 4)];
  });
  struct Row {
    const char* path;
    const char* outcome;  // prefix
  };
  const std::string here = "127.0.0.1:" + std::to_string(server.port());
  const Row rows[] = {
      {"/", "success"},
      {"/open", "success"},
      {"/chunked", "success"},
      {"/until-closed", "success"},
      {"/continue", "success"},
      {"/bad", "failure: HTTP probe failed with statuscode: 503"},
      {"/not-there", "failure: HTTP probe failed with statuscode: 404"},
      {"/moved", "failure: HTTP probe failed with statuscode: 503"},
      {"/near/by", "success"},
      {"/away", "warning: Probe terminated redirects, Response body: body"},
      {"/round", "failure: Get \"/round\": stopped after 10 redirects"},
      {"/unchanged", "success"},
      {"/nonsense", "failure: Get \"http://"},
      {"/big", "success"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path);
    CHECK_THAT(Show(world.Http(server.port(), row.path)), Catch::StartsWith(row.outcome));
  }
  world.Http(server.port());
  CHECK(request == "GET / HTTP/1.1\r\nHost: " + here +
                       "\r\nUser-Agent: kube-probe/1.32\r\nAccept: */*\r\nX-Probe: yes\r\nConnection: close\r\n\r\n");
}

TEST_CASE("who does not answer") {
  World world;
  Server silent(world.io, {});
  const std::string here = "127.0.0.1:" + std::to_string(silent.port());
  CHECK(Show(world.Http(silent.port(), "/", milliseconds(50))) ==
        "failure: Get \"http://" + here +
            "/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
  const int nobody = FreePort(world.io);
  CHECK(Show(world.Http(nobody)) == "failure: Get \"http://127.0.0.1:" + std::to_string(nobody) +
                                        "/\": dial tcp 127.0.0.1:" + std::to_string(nobody) +
                                        ": connect: connection refused");
  Action action;
  action.kind = Action::Kind::kTcpSocket;
  action.port = silent.port();
  const CheckTarget target{"127.0.0.1", 0};
  CHECK(Show(world.Wait(CheckTcp(world.io.get_executor(), *world.clock, action, target, seconds(5)))) == "success");
  action.port = nobody;
  CHECK(Show(world.Wait(CheckTcp(world.io.get_executor(), *world.clock, action, target, seconds(5)))) ==
        "failure: dial tcp 127.0.0.1:" + std::to_string(nobody) + ": connect: connection refused");
}

TEST_CASE("privileged ports may be served higher") {
  World world;
  Server server(world.io, {});
  Action action;
  action.kind = Action::Kind::kTcpSocket;
  action.port = 81;
  const CheckTarget target{"127.0.0.1", server.port() - 81};
  CHECK(world.Wait(CheckTcp(world.io.get_executor(), *world.clock, action, target, seconds(5))).good());
}

TEST_CASE("HTTPS to somebody who speaks none") {
  World world;
  Server server(world.io, [](const std::string&) { return std::string("HTTP/1.0 400 no\r\n\r\n"); });
  Action action;
  action.kind = Action::Kind::kHttpGet;
  action.port = server.port();
  action.path = "/";
  action.https = true;
  const CheckTarget target{"127.0.0.1", 0};
  CHECK_THAT(Show(world.Wait(CheckHttp(world.io.get_executor(), *world.clock, action, target, seconds(5)))),
             Catch::Contains("tls: "));
}

namespace {

// The server's side of one connection, by libnghttp2: answers a request with `body` and this status.
struct GrpcServer {
  std::string body, status = "0";
  std::string asked;  // the body of the request
  nghttp2_session* session = nullptr;
  size_t taken = 0;

  ~GrpcServer() { nghttp2_session_del(session); }

  static nghttp2_nv Field(const std::string& name, const std::string& value) {
    const auto bytes = [](const std::string& text) {
      return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
  }
  static ssize_t Read(nghttp2_session* session, int32_t stream, uint8_t* out, size_t, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto* self = static_cast<GrpcServer*>(source->ptr);
    std::copy(self->body.begin(), self->body.end(), out);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const std::string name = "grpc-status";
    const nghttp2_nv trailer = Field(name, self->status);
    nghttp2_submit_trailer(session, stream, &trailer, 1);
    return static_cast<ssize_t>(self->body.size());
  }
  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    const std::string status = ":status", ok = "200", type = "content-type", grpc = "application/grpc";
    const nghttp2_nv fields[] = {Field(status, ok), Field(type, grpc)};
    nghttp2_data_provider provider{};
    provider.source.ptr = user;
    provider.read_callback = Read;
    nghttp2_submit_response(session, frame->hd.stream_id, fields, 2, &provider);
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size, void* user) {
    static_cast<GrpcServer*>(user)->asked.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  std::string Handle(const std::string& so_far) {
    if (!session) {
      nghttp2_session_callbacks* callbacks = nullptr;
      nghttp2_session_callbacks_new(&callbacks);
      nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
      nghttp2_session_server_new(&session, callbacks, this);
      nghttp2_session_callbacks_del(callbacks);
      nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
    }
    REQUIRE(nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(so_far.data()) + taken,
                                     so_far.size() - taken) >= 0);
    taken = so_far.size();
    std::string out;
    const uint8_t* data = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session, &data)) > 0;)
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    return out;
  }
};

}  // namespace

TEST_CASE("gRPC health answers") {
  struct Row {
    std::string body;
    const char* status;
    const char* outcome;
  };
  const auto reply = [](const std::string& message) {
    return std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message;
  };
  const Row rows[] = {
      {reply("\x08\x01"), "0", "success"},
      {reply("\x08\x02"), "0", "failure: service unhealthy (responded with \"NOT_SERVING\")"},
      {reply(""), "0", "failure: service unhealthy (responded with \"UNKNOWN\")"},
      {"", "12", "failure: error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "},
      {"", "5", "failure: error: health rpc probe failed: rpc error: code = 5 desc = "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.outcome);
    World world;
    GrpcServer grpc;
    grpc.body = row.body;
    grpc.status = row.status;
    Server server(
        world.io, [&](const std::string& text) { return grpc.Handle(text); }, false);
    Action action;
    action.kind = Action::Kind::kGrpc;
    action.port = server.port();
    action.service = "shop";
    const CheckTarget target{"127.0.0.1", 0};
    CHECK(Show(world.Wait(CheckGrpc(world.io.get_executor(), *world.clock, action, target, seconds(5)))) ==
          row.outcome);
    CHECK(grpc.asked == std::string("\0\0\0\0\x06\x0a\x04", 7) + "shop");
  }
}

TEST_CASE("gRPC that does not answer, or is none") {
  World world;
  Action action;
  action.kind = Action::Kind::kGrpc;
  const CheckTarget target{"127.0.0.1", 0};
  Server silent(world.io, {});
  action.port = silent.port();
  CHECK(Show(world.Wait(CheckGrpc(world.io.get_executor(), *world.clock, action, target, milliseconds(50)))) ==
        "failure: timeout: health rpc did not complete within 0s");
  Server web(world.io, [](const std::string&) { return std::string("HTTP/1.0 400 Bad Request\r\n\r\nwhat?"); });
  action.port = web.port();
  CHECK_THAT(Show(world.Wait(CheckGrpc(world.io.get_executor(), *world.clock, action, target, seconds(5)))),
             Catch::StartsWith("failure: error: health rpc probe failed: rpc error: code = Unavailable"));
}

}  // namespace wherry
