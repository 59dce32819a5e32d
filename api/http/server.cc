#include "api/http/server.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <unordered_map>
#include <utility>

#include "api/http/connection.h"

namespace wherry::http {

using asio::ip::tcp;

struct Server::State : std::enable_shared_from_this<Server::State> {
  State(std::shared_ptr<ConnectionContext> c, ServerOptions o)
      : context(std::move(c)),
        options(std::move(o)),
        acceptor(context->executor),
        retry(context->executor),
        drained(context->executor) {}

  Task<> Accept();
  Task<> RunConnection(std::shared_ptr<Connection> connection, uint64_t id);
  // Turns a connection away that is beyond the limit.
  void TurnAway(tcp::socket socket);
  template <typename Fn>
  void ForEachConnection(Fn fn);

  const std::shared_ptr<ConnectionContext> context;
  ServerOptions options;
  tcp::acceptor acceptor;
  Wakeup retry;    // of Accept after an error
  Wakeup drained;  // of Shutdown, when the last connection ends
  std::unordered_map<uint64_t, std::weak_ptr<Connection>> connections;
  uint64_t next_id = 1;
  Stats stats;
};

template <typename Fn>
void Server::State::ForEachConnection(Fn fn) {
  std::vector<std::shared_ptr<Connection>> all;  // `fn` may end connections
  for (const auto& [id, weak] : connections) {
    if (auto connection = weak.lock()) all.push_back(std::move(connection));
  }
  for (const auto& connection : all) fn(*connection);
}

Task<> Server::State::Accept() {
  const std::shared_ptr<State> self = shared_from_this();
  const auto token = asio::use_awaitable_t<asio::any_io_executor>();
  while (acceptor.is_open()) {
    asio::error_code error;
    tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(token, error));
    if (!acceptor.is_open()) break;
    if (error) {
      // The connection that failed may just have gone; out of descriptors or memory we would spin.
      ++stats.accept_errors;
      if (error == asio::error::connection_aborted) continue;
      if (stats.accept_errors == 1) spdlog::warn("accept failed error=\"{}\"", error.message());
      const Clock::TimerId timer = context->clock.After(context->limits.accept_retry, [weak = weak_from_this()] {
        if (auto state = weak.lock()) state->retry.Notify();
      });
      co_await retry.Wait();
      context->clock.Cancel(timer);
      continue;
    }
    ++stats.accepted;
    if (connections.size() >= context->limits.connections) {
      ++stats.refused;
      TurnAway(std::move(socket));
      continue;
    }
    auto connection = std::make_shared<Connection>(context, std::move(socket), options.tls);
    const uint64_t id = next_id++;
    connections.emplace(id, connection);
    Spawn(context->executor, "connection", RunConnection(std::move(connection), id));
  }
}

Task<> Server::State::RunConnection(std::shared_ptr<Connection> connection, uint64_t id) {
  const std::shared_ptr<State> self = shared_from_this();
  co_await connection->Run();
  connection.reset();
  connections.erase(id);
  if (connections.empty()) drained.Notify();
}

void Server::State::TurnAway(tcp::socket socket) {
  asio::error_code ignored;
  if (!options.tls) {
    static constexpr std::string_view kAnswer =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kAnswer.data(), kAnswer.size()), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }
  socket.close(ignored);
}

Server::Server(asio::any_io_executor executor, Clock& clock, ServerOptions options, Handler handler) {
  auto context = std::make_shared<ConnectionContext>(std::move(executor), clock, options.limits, std::move(handler));
  state_ = std::make_shared<State>(std::move(context), std::move(options));
}

Server::~Server() {
  asio::error_code ignored;
  state_->context->stopping = true;
  state_->acceptor.close(ignored);
  state_->retry.Notify();
  state_->ForEachConnection([](Connection& connection) { connection.Abort(); });
}

Status Server::Start() {
  asio::error_code error;
  const asio::ip::address address = asio::ip::make_address(state_->options.address, error);
  const std::string where = state_->options.address + ":" + std::to_string(state_->options.port);
  if (error) return Status::BadRequest("listen address " + where + ": " + error.message());
  const tcp::endpoint endpoint(address, state_->options.port);
  tcp::acceptor& acceptor = state_->acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    asio::error_code ignored;
    acceptor.close(ignored);
    return Status::Unavailable("cannot listen on " + where + ": " + error.message());
  }
  ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  Spawn(state_->context->executor, "accept", state_->Accept());
  return Status();
}

uint16_t Server::port() const {
  asio::error_code error;
  const tcp::endpoint endpoint = state_->acceptor.local_endpoint(error);
  return error ? uint16_t{0} : endpoint.port();
}

void Server::set_tls(TlsContextPtr tls) { state_->options.tls = std::move(tls); }

Task<> Server::Shutdown(Duration grace) {
  const std::shared_ptr<State> state = state_;
  asio::error_code ignored;
  state->context->stopping = true;
  state->acceptor.close(ignored);
  state->retry.Notify();
  state->ForEachConnection([](Connection& connection) { connection.Stop(); });
  bool over = false;
  const auto on_grace = [weak = std::weak_ptr<State>(state), &over] {
    over = true;
    if (auto s = weak.lock()) s->drained.Notify();
  };
  for (int round = 0; round < 2 && !state->connections.empty(); ++round) {
    over = false;
    const Clock::TimerId timer = state->context->clock.After(grace, on_grace);
    while (!over && !state->connections.empty()) co_await state->drained.Wait();
    state->context->clock.Cancel(timer);
    state->ForEachConnection([](Connection& connection) { connection.Abort(); });
  }
}

Server::Stats Server::stats() const {
  Stats stats = state_->stats;
  stats.connections = state_->connections.size();
  stats.requests = state_->context->requests;
  return stats;
}

}  // namespace wherry::http
