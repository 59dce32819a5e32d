#include "core/agent/probes/probe_socket.h"

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <cctype>
#include <optional>
#include <utility>

namespace wherry {
namespace {

using asio::ip::tcp;
constexpr auto kAwait = asio::use_awaitable_t<asio::any_io_executor>();
constexpr size_t kPiece = 4096;

}  // namespace

struct ProbeSocket::State {
  State(asio::any_io_executor on, Clock& c) : executor(std::move(on)), clock(c), socket(executor) {}
  void Shut() {
    std::error_code ignored;
    socket.close(ignored);
  }
  asio::any_io_executor executor;
  Clock& clock;
  tcp::socket socket;
  std::optional<asio::ssl::context> context;
  std::optional<asio::ssl::stream<tcp::socket&>> tls;
  std::string piece;
  Clock::TimerId timer = 0;
  bool timed_out = false;
};

ProbeSocket::ProbeSocket(asio::any_io_executor executor, Clock& clock, Duration timeout)
    : state_(std::make_shared<State>(std::move(executor), clock)) {
  // The timer may outlive us, as the clock may not: nothing is cancelled from the destructor.
  std::weak_ptr<State> weak = state_;
  state_->timer = clock.After(timeout, [weak] {
    const std::shared_ptr<State> state = weak.lock();
    if (!state) return;
    state->timer = 0;
    state->timed_out = true;
    state->Shut();
  });
}

ProbeSocket::~ProbeSocket() { state_->Shut(); }

void ProbeSocket::Close() {
  state_->clock.Cancel(std::exchange(state_->timer, 0));
  state_->Shut();
}

bool ProbeSocket::timed_out() const { return state_->timed_out; }

Task<std::error_code> ProbeSocket::Connect(CheckTarget target, int port) {
  if (port < 1024 && target.privileged_port_offset > 0) {
    const std::error_code steered = co_await ConnectOnce(target.address, port + target.privileged_port_offset);
    if (!steered || timed_out()) co_return steered;
  }
  co_return co_await ConnectOnce(target.address, port);
}

Task<std::error_code> ProbeSocket::ConnectOnce(std::string address, int port) {
  State& state = *state_;
  std::error_code error;
  if (address == "localhost") address = "127.0.0.1";
  asio::ip::address parsed = asio::ip::make_address(address, error);
  if (error) {
    tcp::resolver resolver(state.executor);
    error.clear();
    const auto found = co_await resolver.async_resolve(address, std::string(), asio::redirect_error(kAwait, error));
    if (error || found.empty()) co_return error ? error : std::make_error_code(std::errc::host_unreachable);
    parsed = found.begin()->endpoint().address();
  }
  if (state.timed_out) co_return std::make_error_code(std::errc::timed_out);
  const tcp::endpoint endpoint(parsed, static_cast<uint16_t>(port));
  state.Shut();
  state.socket.open(endpoint.protocol(), error);
  if (error) co_return error;
  co_await state.socket.async_connect(endpoint, asio::redirect_error(kAwait, error));
  co_return error;
}

Task<std::error_code> ProbeSocket::StartTls(std::string server_name) {
  State& state = *state_;
  std::error_code error;
  state.context.emplace(asio::ssl::context::tls_client);
  state.context->set_verify_mode(asio::ssl::verify_none, error);
  state.tls.emplace(state.socket, *state.context);
  if (!server_name.empty()) SSL_set_tlsext_host_name(state.tls->native_handle(), server_name.c_str());
  co_await state.tls->async_handshake(asio::ssl::stream_base::client, asio::redirect_error(kAwait, error));
  co_return error;
}

Task<std::error_code> ProbeSocket::Write(std::string data) {
  State& state = *state_;
  std::error_code error;
  const asio::const_buffer buffer = asio::buffer(data);
  if (state.tls) {
    co_await asio::async_write(*state.tls, buffer, asio::redirect_error(kAwait, error));
  } else {
    co_await asio::async_write(state.socket, buffer, asio::redirect_error(kAwait, error));
  }
  co_return error;
}

Task<std::error_code> ProbeSocket::ReadSome(std::string* out) {
  State& state = *state_;
  std::error_code error;
  size_t got = 0;
  state.piece.resize(kPiece);
  const asio::mutable_buffer buffer = asio::buffer(state.piece);
  if (state.tls) {
    got = co_await state.tls->async_read_some(buffer, asio::redirect_error(kAwait, error));
  } else {
    got = co_await state.socket.async_read_some(buffer, asio::redirect_error(kAwait, error));
  }
  out->append(state.piece, 0, got);
  co_return error;
}

std::string GoError(const std::error_code& error) {
  std::string text = error.message();
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace wherry
