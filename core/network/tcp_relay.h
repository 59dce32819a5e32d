#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "core/network/service_rule.h"
#include "core/runtime/clock.h"

namespace wherry {

// One client's connection and the one to its backend, and the bytes between them, both ways. The backends are tried in
// order until one accepts. Reads only what it could pass on (back-pressure), passes on the end of either half by
// itself (half-close) and a reset as a reset. Small exchanges are copied through one buffer; once a way carries much
// it goes through a pipe, which costs no copy (splice(2)).
//
// A backend that resets the connection before it has answered anything has not taken it in: it stopped listening while
// the connection waited to be accepted, or left unread what it was sent. If it is on its way out, another one is given
// what the client has said so far.
//
// When all refuse and one of them is only just starting, the client waits a moment for it.
//
// Proxy thread only. Keeps itself alive while it waits; `on_end` is called once, when everything is closed.
class TcpRelay : public std::enable_shared_from_this<TcpRelay> {
 public:
  // Where its backends come from.
  struct Source {
    // Whom to try, in order.
    std::function<std::vector<Backend>()> order;
    // Who took it.
    std::function<void(const Backend&)> connected;
    // Who else may have the client after `failed` reset it unanswered; nobody = the client is reset too. May be empty.
    std::function<std::vector<Backend>(const Backend& failed)> again;
    // After all refused: whether to ask again in a moment. May be empty.
    std::function<bool()> patient;
  };
  // Takes ownership of the accepted `client`.
  TcpRelay(asio::io_context& io, Clock& clock, int client, std::function<void(TcpRelay*)> on_end);
  ~TcpRelay();

  void Start(Source source);
  // Ends at once, both sides with a reset.
  void Abort();

 private:
  using Socket = asio::ip::tcp::socket;
  // One of the two directions.
  struct Way {
    Socket& from;
    Socket& to;
    int pipe_out = -1, pipe_in = -1;  // once it carries much
    size_t in_pipe = 0;
    std::vector<char> left{};  // read but not yet passed on, when there is no pipe
    bool ended = false;        // the reader's side has sent everything
    bool done = false;         // and it was passed on
  };
  enum class Fill { kSome, kLittle, kNothing, kEnd, kBroken };

  void TryNext();
  void AllRefused();
  void Begin();
  void Pump(Way& way);
  Fill Read(Way& way);
  Fill Copy(Way& way);
  bool Flush(Way& way, bool* blocked);
  void OpenPipe(Way& way);
  void AwaitRead(Way& way);
  void AwaitWrite(Way& way);
  void OnRefused(const Way& way);
  void BackendLost();
  void End(bool reset);

  asio::io_context& io_;
  Clock& clock_;
  Socket client_, backend_;
  Way up_, down_;  // from the client, to the client
  std::function<void(TcpRelay*)> on_end_;
  std::vector<Backend> backends_;
  size_t next_ = 0;
  Source source_;
  Duration pause_{0};      // before all are tried once more
  Backend taken_;          // who has it
  std::string told_;       // what the client has said, until the backend answers or it becomes too much
  bool answered_ = false;  // it can no longer be given to another
  bool backend_refused_ = false;
  int turn_ = 0;  // handlers of an earlier backend's time are void
  Clock::TimerId timer_ = 0;
  bool over_ = false;
};

}  // namespace wherry
