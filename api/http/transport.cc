#include "api/http/transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "api/http/openssl_ptr.h"

namespace wherry::http {
namespace {

// Plaintext gathered for one round of encryption, and the ciphertext made of it. Shared by the connections of a thread:
// used only between two suspensions.
constexpr size_t kGatherBytes = 64 * 1024;
thread_local std::string plain_scratch;
thread_local std::string cipher_scratch;

constexpr auto kAwait = asio::use_awaitable_t<asio::any_io_executor>();

std::vector<std::string> NameEntries(X509_NAME* name, int nid) {
  std::vector<std::string> out;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) {
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size >= 0) out.emplace_back(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
    OPENSSL_free(utf8);
  }
  return out;
}

}  // namespace

// How OpenSSL reaches the socket: it reads directly, and what it writes is collected, so that the records of one round
// leave in one write(2).
struct Transport::Bio {
  static Transport& Self(BIO* bio) { return *static_cast<Transport*>(BIO_get_data(bio)); }

  static int Read(BIO* bio, char* buffer, int size) {
    Transport& self = Self(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got = 0;
    do {
      got = ::recv(self.fd_, buffer, static_cast<size_t>(size), 0);
    } while (got < 0 && errno == EINTR);
    self.maybe_more_ = got == size || got == 0;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
    return static_cast<int>(got);
  }

  static int Write(BIO*, const char* bytes, int size) {
    cipher_scratch.append(bytes, static_cast<size_t>(size));
    return size;
  }

  static long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* Method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wherry socket");
      BIO_meth_set_read(m, Read);
      BIO_meth_set_write(m, Write);
      BIO_meth_set_ctrl(m, Control);
      return m;
    }();
    return method;
  }
};

Transport::Transport(asio::ip::tcp::socket socket, Clock& clock, TlsContextPtr tls)
    : socket_(std::move(socket)),
      fd_(socket_.native_handle()),
      tls_(std::move(tls)),
      read_deadline_(clock, [this] { OnExpired(); }),
      write_deadline_(clock, [this] { OnExpired(); }) {
  asio::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  if (!tls_) return;
  ssl_ = SSL_new(tls_->get());
  BIO* bio = BIO_new(Bio::Method());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_app_data(ssl_, &verify_error_);
  // Certificates are valid by our clock, like everything else.
  X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl_),
                             std::chrono::floor<std::chrono::seconds>(clock.Now().time_since_epoch()).count());
}

Transport::~Transport() {
  ++*notify_generation_;
  SSL_free(ssl_);
}

void Transport::OnExpired() {
  timed_out_ = true;
  Close();
}

Transport::Io Transport::Classify(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Io::kWouldBlock;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEof;
    case SSL_ERROR_SSL:
      // A peer that hangs up without close_notify; HTTP knows its own message ends.
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return Io::kEof;
      broken_ = true;
      return Io::kError;
    default:
      broken_ = true;
      return Io::kError;
  }
}

ssize_t Transport::SendSome(std::string_view bytes) {
  ssize_t sent = 0;
  do {
    sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

// What OpenSSL has just produced goes out after what is still unsent.
Transport::Io Transport::FlushCiphertext() {
  if (!unsent_.empty()) {
    unsent_ += cipher_scratch;
    cipher_scratch.clear();
  }
  const std::string& source = unsent_.empty() ? cipher_scratch : unsent_;
  size_t offset = unsent_.empty() ? 0 : unsent_offset_;
  while (offset < source.size()) {
    const ssize_t sent = SendSome(std::string_view(source).substr(offset));
    if (sent >= 0) {
      offset += static_cast<size_t>(sent);
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      broken_ = true;
      cipher_scratch.clear();
      return Io::kError;
    }
    if (unsent_.empty()) unsent_.assign(cipher_scratch, offset);
    unsent_offset_ = &source == &unsent_ ? offset : 0;
    cipher_scratch.clear();
    return Io::kWouldBlock;
  }
  cipher_scratch.clear();
  if (!unsent_.empty()) std::string().swap(unsent_);
  unsent_offset_ = 0;
  return Io::kOk;
}

Task<Status> Transport::Handshake(Duration limit, std::string host) {
  if (!tls_) co_return Status();
  if (tls_->is_server()) {
    SSL_set_accept_state(ssl_);
  } else {
    const std::string& name = tls_->server_name().empty() ? host : tls_->server_name();
    asio::error_code not_an_address;
    asio::ip::make_address(name, not_an_address);
    if (not_an_address) {
      SSL_set_tlsext_host_name(ssl_, name.c_str());
      if (!tls_->insecure()) SSL_set1_host(ssl_, name.c_str());
    } else if (!tls_->insecure()) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), name.c_str());
    }
    SSL_set_connect_state(ssl_);
  }
  read_deadline_.Set(limit);
  for (;;) {
    if (!open()) co_return Status::Unavailable("the TLS handshake timed out");
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    Io state = result == 1 ? Io::kOk : Classify(result);
    std::string why;
    if (state == Io::kError || state == Io::kEof) {
      const long verify = SSL_get_verify_result(ssl_);
      why = !tls_->is_server() && verify != X509_V_OK ? X509_verify_cert_error_string(verify) : OpensslError();
    }
    Io flushed = FlushCiphertext();
    while (flushed == Io::kWouldBlock) {
      const Io waited = co_await WaitWritable(limit);
      if (waited != Io::kOk) co_return Status::Unavailable("the TLS handshake was broken off");
      flushed = FlushCiphertext();
    }
    write_deadline_.Clear();
    if (state == Io::kOk && flushed == Io::kOk) break;
    if (state != Io::kWouldBlock || flushed != Io::kOk) {
      co_return Status::Unavailable("the TLS handshake failed: " + (why.empty() ? "connection closed" : why));
    }
    const Io waited = co_await WaitReadable();
    if (waited != Io::kOk) co_return Status::Unavailable("the TLS handshake was broken off");
  }
  read_deadline_.Clear();
  co_return Status();
}

bool Transport::resumed() const { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }

std::shared_ptr<const PeerIdentity> Transport::ReadPeer(std::string* error) const {
  if (ssl_ == nullptr) return nullptr;
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return nullptr;
  long verify = verify_error_ != X509_V_OK ? verify_error_ : SSL_get_verify_result(ssl_);
  // A resumed session brings its certificate along, unchecked this time: it may have run out.
  const time_t now = X509_VERIFY_PARAM_get_time(SSL_get0_param(ssl_));
  time_t at = now;
  if (verify == X509_V_OK && X509_cmp_time(X509_get0_notAfter(certificate), &at) < 0)
    verify = X509_V_ERR_CERT_HAS_EXPIRED;
  if (verify != X509_V_OK) {
    *error = X509_verify_cert_error_string(verify);
    return nullptr;
  }
  X509_NAME* subject = X509_get_subject_name(certificate);
  auto peer = std::make_shared<PeerIdentity>();
  std::vector<std::string> names = NameEntries(subject, NID_commonName);
  if (names.empty() || names.front().empty()) {
    *error = "the client certificate has no common name";
    return nullptr;
  }
  peer->user = std::move(names.front());
  peer->groups = NameEntries(subject, NID_organizationName);
  return peer;
}

Transport::Io Transport::TryRead(char* buffer, size_t size, size_t* got) {
  *got = 0;
  if (broken_ || !open()) return Io::kError;
  if (ssl_ == nullptr) {
    if (!maybe_more_) return Io::kWouldBlock;
    ssize_t read = 0;
    do {
      read = ::recv(fd_, buffer, size, 0);
    } while (read < 0 && errno == EINTR);
    if (read > 0) {
      maybe_more_ = static_cast<size_t>(read) == size;
      *got = static_cast<size_t>(read);
      return Io::kOk;
    }
    if (read == 0) return Io::kEof;
    maybe_more_ = false;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kWouldBlock;
    broken_ = true;
    return Io::kError;
  }
  if (!maybe_more_ && SSL_has_pending(ssl_) == 0) return Io::kWouldBlock;
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_, buffer, size, got);
  const Io state = result == 1 ? Io::kOk : Classify(result);
  if (!cipher_scratch.empty()) FlushCiphertext();  // an answer to a key update; leftovers go with the next write
  return state;
}

Task<Transport::Io> Transport::WaitReadable(Duration limit) {
  if (limit > Duration::zero()) read_deadline_.Set(limit);
  if (!open()) co_return Io::kError;
  maybe_more_ = true;
  asio::error_code error;
  co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, asio::redirect_error(kAwait, error));
  co_return error || !open() ? Io::kError : Io::kOk;
}

void Transport::NotifyReadable(std::function<void()> fn) {
  if (!open()) return;
  socket_.async_wait(asio::ip::tcp::socket::wait_read, [this, fn = std::move(fn), generation = notify_generation_,
                                                        mine = *notify_generation_](const asio::error_code& error) {
    if (*generation != mine || error) return;
    maybe_more_ = true;
    fn();
  });
}

void Transport::CancelNotify() {
  ++*notify_generation_;
  asio::error_code ignored;
  if (open()) socket_.cancel(ignored);
}

Transport::Io Transport::SendPlain(Gather& gather) {
  while (gather.index < gather.pieces.size()) {
    iovec vectors[64];
    size_t count = 0;
    for (size_t i = gather.index; i < gather.pieces.size() && count < std::size(vectors); ++i) {
      const std::string_view piece = gather.pieces[i].substr(i == gather.index ? gather.offset : 0);
      if (piece.empty()) continue;
      vectors[count].iov_base = const_cast<char*>(piece.data());  // sendmsg only reads
      vectors[count++].iov_len = piece.size();
    }
    if (count == 0) {
      gather.index = gather.pieces.size();
      break;
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kWouldBlock;
      broken_ = true;
      return Io::kError;
    }
    auto left = static_cast<size_t>(sent);
    while (left > 0) {
      const size_t here = gather.pieces[gather.index].size() - gather.offset;
      const size_t step = std::min(here, left);
      gather.offset += step;
      left -= step;
      if (gather.offset == gather.pieces[gather.index].size()) {
        ++gather.index;
        gather.offset = 0;
      }
    }
  }
  return Io::kOk;
}

Transport::Io Transport::Send(Gather& gather) {
  if (broken_ || !open()) return Io::kError;
  if (ssl_ == nullptr) return SendPlain(gather);
  for (;;) {
    if (!unsent_.empty()) {
      const Io flushed = FlushCiphertext();
      if (flushed != Io::kOk) return flushed;
    }
    // Small pieces are gathered into full records; a large one is encrypted from where it lies.
    plain_scratch.clear();
    std::string_view round;
    while (gather.index < gather.pieces.size() && plain_scratch.size() < kGatherBytes) {
      const std::string_view piece = gather.pieces[gather.index].substr(gather.offset);
      if (plain_scratch.empty() && piece.size() >= kGatherBytes) {
        round = piece.substr(0, kGatherBytes);
        gather.offset += round.size();
        break;
      }
      const std::string_view part = piece.substr(0, kGatherBytes - plain_scratch.size());
      plain_scratch += part;
      gather.offset += part.size();
      if (part.size() == piece.size()) {
        ++gather.index;
        gather.offset = 0;
      }
    }
    if (round.empty()) round = plain_scratch;
    if (round.empty()) return Io::kOk;
    ERR_clear_error();
    size_t written = 0;
    const int result = SSL_write_ex(ssl_, round.data(), round.size(), &written);
    if (result != 1) {  // our own BIO takes everything: anything else is fatal
      cipher_scratch.clear();
      broken_ = true;
      return Io::kError;
    }
    const Io flushed = FlushCiphertext();
    if (flushed != Io::kOk) return flushed;
  }
}

Task<Transport::Io> Transport::WaitWritable(Duration limit) {
  write_deadline_.Set(limit);
  if (!open()) co_return Io::kError;
  asio::error_code error;
  co_await socket_.async_wait(asio::ip::tcp::socket::wait_write, asio::redirect_error(kAwait, error));
  co_return error || !open() ? Io::kError : Io::kOk;
}

Task<bool> Transport::FinishSend(Gather* gather, Duration stall) {
  for (;;) {
    const Io waited = co_await WaitWritable(stall);
    if (waited != Io::kOk) co_return false;
    const Io state = Send(*gather);
    if (state == Io::kError) co_return false;
    if (state == Io::kOk) break;
  }
  write_deadline_.Clear();
  co_return true;
}

Task<bool> Transport::Write(std::vector<std::string_view> pieces, Duration stall) {
  Gather gather{pieces};
  const Io state = Send(gather);
  if (state != Io::kWouldBlock) co_return state == Io::kOk;
  const bool sent = co_await FinishSend(&gather, stall);
  co_return sent;
}

void Transport::ShutdownSend() {
  if (!open() || send_shut_) return;
  send_shut_ = true;
  if (ssl_ != nullptr && !broken_ && SSL_is_init_finished(ssl_)) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    FlushCiphertext();
  }
  asio::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void Transport::Close() {
  if (!open()) return;
  read_deadline_.Clear();
  write_deadline_.Clear();
  ++*notify_generation_;
  asio::error_code ignored;
  socket_.close(ignored);
}

}  // namespace wherry::http
