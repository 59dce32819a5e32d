#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/http/exchange.h"
#include "api/http/request_parser.h"
#include "api/http/transport.h"
#include "api/http/wakeup.h"

namespace wherry::http {

// What the connections of a server share. Constant after construction, except the counters.
struct ConnectionContext {
  ConnectionContext(asio::any_io_executor e, Clock& c, Limits l, Handler h)
      : executor(std::move(e)), clock(c), limits(l), handler(std::move(h)) {}

  // The value of the Date header, made once a second.
  std::string_view Date();

  const asio::any_io_executor executor;
  Clock& clock;
  const Limits limits;
  const Handler handler;
  uint64_t requests = 0;
  bool stopping = false;

 private:
  int64_t date_second_ = -1;
  std::string date_;
};

class ExchangeImpl;

// One accepted connection: shakes hands, then reads a request, runs its handler, sends the answer, again. Its coroutine
// owns it; the server holds it weakly to stop it. Control thread only.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ConnectionContext> context, asio::ip::tcp::socket socket, TlsContextPtr tls);
  ~Connection();

  Task<> Run();
  // The server stops: closes now when idle, else after the answer under way, whose exchange becomes closed().
  void Stop();
  void Abort();

 private:
  friend class ExchangeImpl;
  enum class Next { kGo, kEnd };

  Task<> Serve();
  // Reads until the parser has a whole request in exchange_. kEnd: the connection is to be closed.
  Task<Next> ReadRequest();
  Task<Next> Handle();
  Task<bool> SendResponse(Response response, bool keep_alive);
  // Lets the peer read our last words: closing at once would reset the connection under unread input.
  Task<> CloseGently();

  // Appends status line and fields to out_. `body_size`: of Content-Length; kChunked and kNone are the other framings.
  void WriteHead(const Response& response, int64_t body_size, bool keep_alive);
  void Watch();  // for the peer's vanishing
  void OnReadable();

  static constexpr int64_t kChunked = -1;
  static constexpr int64_t kNone = -2;
  static constexpr int64_t kUntilClose = -3;

  const std::shared_ptr<ConnectionContext> context_;
  Transport transport_;
  RequestParser parser_;
  std::shared_ptr<ExchangeImpl> exchange_;
  std::string peer_address_;
  std::shared_ptr<const PeerIdentity> peer_;
  std::string peer_error_;
  std::string unread_;  // input after the current request
  std::string out_;     // head of the answer being written
  bool idle_ = true;    // between two requests
  bool watching_ = false;
  bool peer_gone_ = false;
  bool stopping_ = false;
};

}  // namespace wherry::http
