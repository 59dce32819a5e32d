#include <nghttp2/nghttp2.h>

#include <array>
#include <charconv>
#include <memory>

#include "core/agent/pod_plan.h"
#include "core/agent/probes/network_checks.h"

namespace wherry {
namespace {

constexpr size_t kMaxMessage = 10 << 10;
enum RpcCode : int { kOk = 0, kUnknown = 2, kDeadlineExceeded = 4, kUnimplemented = 12 };

// One unary call as libnghttp2 tells of it.
struct Call {
  std::string request;  // with its prefix
  size_t sent = 0;
  std::string reply;
  std::string http_status, message;
  int code = -1;  // grpc-status
  bool closed = false;
};

using SessionPtr = std::unique_ptr<nghttp2_session, decltype(&nghttp2_session_del)>;

Call& CallOf(void* user) { return *static_cast<Call*>(user); }

ssize_t ReadRequest(nghttp2_session*, int32_t, uint8_t* out, size_t length, uint32_t* flags, nghttp2_data_source*,
                    void* user) {
  Call& call = CallOf(user);
  const size_t size = std::min(length, call.request.size() - call.sent);
  std::copy_n(call.request.data() + call.sent, size, out);
  call.sent += size;
  if (call.sent == call.request.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(size);
}

int OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_length, const uint8_t* value,
             size_t value_length, uint8_t, void* user) {
  Call& call = CallOf(user);
  const std::string_view key(reinterpret_cast<const char*>(name), name_length);
  const std::string text(reinterpret_cast<const char*>(value), value_length);
  if (key == ":status") call.http_status = text;
  if (key == "grpc-message") call.message = text;
  if (key == "grpc-status") call.code = std::atoi(text.c_str());
  return 0;
}

int OnData(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t length, void* user) {
  Call& call = CallOf(user);
  if (call.reply.size() < kMaxMessage) call.reply.append(reinterpret_cast<const char*>(data), length);
  return 0;
}

int OnClose(nghttp2_session*, int32_t, uint32_t, void* user) {
  CallOf(user).closed = true;
  return 0;
}

SessionPtr NewSession(Call* call) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, callbacks, call);
  nghttp2_session_callbacks_del(callbacks);
  return SessionPtr(session, nghttp2_session_del);
}

void Submit(nghttp2_session* session, const std::string& authority, Duration timeout) {
  const std::string limit =
      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count()) + "m";
  const std::array<std::pair<std::string_view, std::string_view>, 8> headers = {
      {{":method", "POST"},
       {":scheme", "http"},
       {":path", "/grpc.health.v1.Health/Check"},
       {":authority", authority},
       {"content-type", "application/grpc"},
       {"te", "trailers"},
       {"user-agent", "kube-probe/1.32"},
       {"grpc-timeout", limit}}};
  std::array<nghttp2_nv, headers.size()> fields{};
  const auto bytes = [](std::string_view text) {  // nghttp2 copies what it is given; its fields are just not const
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));  // NOLINT
  };
  for (size_t i = 0; i < headers.size(); ++i) {
    fields[i] = {bytes(headers[i].first), bytes(headers[i].second), headers[i].first.size(), headers[i].second.size(),
                 NGHTTP2_NV_FLAG_NONE};
  }
  nghttp2_data_provider body{};
  body.read_callback = ReadRequest;
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  nghttp2_submit_request(session, nullptr, fields.data(), fields.size(), &body, nullptr);
}

// HealthCheckRequest {string service = 1} behind gRPC's prefix: not compressed, and its length.
std::string HealthRequest(const std::string& service) {
  std::string message;
  if (!service.empty()) {
    message = "\x0a";
    size_t length = service.size();
    for (; length >= 0x80; length >>= 7) message += static_cast<char>(length | 0x80);
    message += static_cast<char>(length);
    message += service;
  }
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(message.size() >> shift);
  return out + message;
}

// HealthCheckResponse {ServingStatus status = 1}; absent = 0.
int ServingStatus(const std::string& reply) {
  return reply.size() >= 7 && reply[5] == 0x08 ? static_cast<unsigned char>(reply[6]) : 0;
}

// What the answer means; `limit` is for the message of one that came too late.
CheckResult Judge(const Call& call, const std::string& limit) {
  static constexpr const char* kStates[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  if (call.code == kUnimplemented) {
    return CheckFailed("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " +
                       call.message);
  }
  if (call.code == kDeadlineExceeded) return CheckFailed("timeout: health rpc did not complete within " + limit);
  if (call.code < 0) {
    return CheckFailed("error: health rpc probe failed: rpc error: code = Unknown desc = unexpected HTTP status " +
                       call.http_status);
  }
  if (call.code != kOk) {
    return CheckFailed("error: health rpc probe failed: rpc error: code = " + std::to_string(call.code) +
                       " desc = " + call.message);
  }
  const int status = ServingStatus(call.reply);
  if (status == 1) return {};
  return CheckFailed(std::string("service unhealthy (responded with \"") +
                     (status >= 0 && status < 4 ? kStates[status] : "UNKNOWN") + "\")");
}

}  // namespace

std::string ShowTimeout(Duration timeout) { return GoDuration(timeout); }

Task<CheckResult> CheckGrpc(asio::any_io_executor executor, Clock& clock, Action action, CheckTarget target,
                            Duration timeout) {
  const std::string address = target.address + ":" + std::to_string(action.port);
  const std::string limit = ShowTimeout(timeout);
  CheckResult result;
  ProbeSocket socket(executor, clock, timeout);
  std::error_code error = co_await socket.Connect(target, action.port);
  if (error) {
    result = CheckFailed(socket.timed_out()
                             ? "timeout: failed to connect service \"" + address + "\" within " + limit +
                                   ": context deadline exceeded"
                             : "error: failed to connect service at \"" + address + "\": connection error: dial tcp " +
                                   address + ": connect: " + GoError(error));
    socket.Close();
    co_return result;
  }
  Call call;
  call.request = HealthRequest(action.service);
  const SessionPtr session = NewSession(&call);
  Submit(session.get(), address, timeout);
  bool broken = false;
  while (!call.closed && !error && !broken) {
    const uint8_t* data = nullptr;
    std::string out;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session.get(), &data)) > 0;)
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    if (!out.empty()) error = co_await socket.Write(std::move(out));
    if (error) break;
    std::string in;
    error = co_await socket.ReadSome(&in);
    if (!in.empty()) {
      broken = nghttp2_session_mem_recv(session.get(), reinterpret_cast<const uint8_t*>(in.data()), in.size()) < 0;
    }
  }
  const bool late = socket.timed_out();
  socket.Close();
  if (call.closed) {
    result = Judge(call, limit);
  } else if (late) {
    result = CheckFailed("timeout: health rpc did not complete within " + limit);
  } else {
    result = CheckFailed("error: health rpc probe failed: rpc error: code = Unavailable desc = " +
                         (broken ? std::string("this is no HTTP/2") : GoError(error)));
  }
  co_return result;
}

}  // namespace wherry
