#pragma once

#include <asio/ip/tcp.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/deadline.h"
#include "api/http/message.h"
#include "api/http/tls.h"
#include "core/runtime/task.h"

struct bio_method_st;
struct bio_st;
struct ssl_st;

namespace wherry::http {

// A position in a list of pieces that are being sent.
struct Gather {
  std::span<const std::string_view> pieces;
  size_t index = 0;
  size_t offset = 0;  // into pieces[index]
};

// One TCP connection, with TLS or without: non-blocking reads and writes, waits with deadlines. It holds no buffer of
// its own while idle: plaintext and ciphertext pass through buffers shared by all connections of the thread, and only
// what the socket did not take is kept. One reader and one writer at a time. Control thread only. Must be owned by a
// shared_ptr whose holder outlives every wait.
class Transport {
 public:
  enum class Io { kOk, kWouldBlock, kEof, kError };

  // `tls` null = plain.
  Transport(asio::ip::tcp::socket socket, Clock& clock, TlsContextPtr tls);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // TLS only: shakes hands as the context's side. `host`: whom a client expects.
  Task<Status> Handshake(Duration limit, std::string host);
  // Server side, after the handshake: what the client certificate says; null without a valid one (then *error is not
  // empty if one was shown).
  std::shared_ptr<const PeerIdentity> ReadPeer(std::string* error) const;
  bool resumed() const;

  // Reads what is there.
  Io TryRead(char* buffer, size_t size, size_t* got);
  // Makes the next TryRead ask the socket even if it had nothing before.
  void AssumeReadable() { maybe_more_ = true; }
  // Waits until TryRead may give more than kWouldBlock; kOk then, kError when the connection was closed meanwhile.
  // `limit` zero keeps the read deadline as it stands (none, unless SetReadDeadline).
  Task<Io> WaitReadable(Duration limit = Duration::zero());
  void SetReadDeadline(Duration from_now) { read_deadline_.Set(from_now); }
  void ClearReadDeadline() { read_deadline_.Clear(); }
  // Calls `fn` once when the connection may be readable. CancelWaits drops it.
  void NotifyReadable(std::function<void()> fn);
  void CancelNotify();

  // Sends as much as the socket takes at once. kWouldBlock: call again with the same gather after WaitWritable.
  Io Send(Gather& gather);
  // Sends the rest after a Send that gave kWouldBlock; as Write. `*gather` and its pieces live until then.
  Task<bool> FinishSend(Gather* gather, Duration stall);
  // Sends everything; closes the connection when it makes no progress for `stall`. False when it is broken.
  Task<bool> Write(std::vector<std::string_view> pieces, Duration stall);
  Task<Io> WaitWritable(Duration limit);

  // Says that no more will be sent (close_notify, FIN).
  void ShutdownSend();
  // Closes at once; waits under way end with kError.
  void Close();
  bool open() const { return socket_.is_open(); }
  bool timed_out() const { return timed_out_; }
  asio::ip::tcp::socket& socket() { return socket_; }

 private:
  struct Bio;
  void OnExpired();
  Io Classify(int result);
  // Writes pending ciphertext; kOk when none is left.
  Io FlushCiphertext();
  Io SendPlain(Gather& gather);
  ssize_t SendSome(std::string_view bytes);

  asio::ip::tcp::socket socket_;
  int fd_;
  TlsContextPtr tls_;
  ssl_st* ssl_ = nullptr;
  int verify_error_ = 0;  // the first error of the client's chain
  // False when the last recv took all there was: then reading again before the socket is readable is futile.
  bool maybe_more_ = true;
  bool broken_ = false;
  bool timed_out_ = false;
  bool send_shut_ = false;
  std::string unsent_;  // ciphertext the socket has not taken
  size_t unsent_offset_ = 0;
  Deadline read_deadline_;
  Deadline write_deadline_;
  std::shared_ptr<uint64_t> notify_generation_ = std::make_shared<uint64_t>(0);
};

}  // namespace wherry::http
