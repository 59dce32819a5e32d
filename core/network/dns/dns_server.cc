#include "core/network/dns/dns_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <utility>

#include "core/network/socket.h"

namespace wherry {
namespace {

constexpr int kDatagramsAtOnce = 64;
constexpr size_t kMostUdp = 4096;
constexpr int kAliases = 8;  // how far names may point to names
constexpr uint16_t kFirstUnprivileged = 1024;

}  // namespace

// One TCP client: requests one after another, each with its length before it (RFC 1035 §4.2.2).
class DnsServer::Stream : public std::enable_shared_from_this<DnsServer::Stream> {
 public:
  Stream(DnsServer& server, int fd) : server_(server), socket_(server.io_) {
    std::error_code error;
    socket_.assign(asio::ip::tcp::v4(), fd, error);
    if (error) ::close(fd);
  }

  void Read() {
    Rewind();
    auto self = shared_from_this();
    asio::async_read(socket_, asio::buffer(head_), [self](const std::error_code& error, size_t) {
      if (error || self->closed_) return self->End();
      const size_t size = static_cast<size_t>(self->head_[0]) << 8 | self->head_[1];
      self->bytes_.assign(size, '\0');
      asio::async_read(self->socket_, asio::buffer(self->bytes_), [self](const std::error_code& broken, size_t) {
        if (broken || self->closed_) return self->End();
        self->server_.Handle(std::move(self->bytes_), true, [self](std::string answer) { self->Write(answer); });
      });
    });
  }

  void Close() {
    closed_ = true;
    server_.clock_.Cancel(std::exchange(timer_, 0));
    std::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void Write(const std::string& answer) {
    if (closed_) return;
    if (answer.empty()) return End();
    bytes_.clear();
    bytes_ += static_cast<char>(answer.size() >> 8);
    bytes_ += static_cast<char>(answer.size());
    bytes_ += answer;
    asio::async_write(socket_, asio::buffer(bytes_), [self = shared_from_this()](const std::error_code& error, size_t) {
      if (error || self->closed_) return self->End();
      self->Read();
    });
  }

  void Rewind() {
    server_.clock_.Cancel(timer_);
    timer_ = server_.clock_.After(server_.options_.stream_idle, [self = shared_from_this()] {
      self->timer_ = 0;
      self->End();
    });
  }

  void End() {
    if (closed_) return;
    Close();
    server_.streams_.erase(shared_from_this());
  }

  DnsServer& server_;
  asio::ip::tcp::socket socket_;
  std::array<uint8_t, 2> head_{};
  std::string bytes_;
  Clock::TimerId timer_ = 0;
  bool closed_ = false;
};

DnsServer::DnsServer(asio::io_context& io, Clock& clock, DnsOptions options, std::function<void(ListenReport)> report)
    : io_(io),
      clock_(clock),
      options_(std::move(options)),
      report_(std::move(report)),
      zone_(options_.domain),
      forwarder_(io, clock, options_.forwarder, options_.address),
      datagrams_(io),
      acceptor_(io) {
  zone_.SetOwnAddress(options_.address);
}

DnsServer::~DnsServer() { Close(); }

void DnsServer::Start() { Listen(); }

std::error_code DnsServer::BindAt(uint16_t port) {
  std::error_code error, ignored;
  datagrams_.close(ignored);
  acceptor_.close(ignored);
  const int datagrams = BindUdp(options_.address, port);
  if (datagrams < 0) return {errno, std::system_category()};
  datagrams_.assign(asio::ip::udp::v4(), datagrams, error);
  const int streams = BindTcp(options_.address, port);
  if (streams < 0 || ::listen(streams, 128) != 0) {
    error = {errno, std::system_category()};
    if (streams >= 0) ::close(streams);
    datagrams_.close(ignored);
    return error;
  }
  acceptor_.assign(asio::ip::tcp::v4(), streams, error);
  return error;
}

void DnsServer::Listen() {
  uint16_t port = options_.port;
  std::error_code error = BindAt(port);
  if (error.value() == EACCES && options_.privileged_port_offset > 0 && port < kFirstUnprivileged) {
    port = static_cast<uint16_t>(port + options_.privileged_port_offset);
    error = BindAt(port);
  }
  if (!error) {
    served_at_ = port;
    if (port != options_.port)
      report_({ListenReport::What::kShifted, options_.service, options_.address, options_.port, port, ""});
    AwaitDatagrams();
    AwaitStreams();
    return;
  }
  if (!std::exchange(told_, true)) {
    const auto what = error.value() == EADDRINUSE ? ListenReport::What::kTaken : ListenReport::What::kRefused;
    report_({what, options_.service, options_.address, options_.port, 0, error.message()});
  }
  timer_ = clock_.After(options_.retry, [this] {
    timer_ = 0;
    Listen();
  });
}

void DnsServer::Close() {
  clock_.Cancel(std::exchange(timer_, 0));
  *alive_ = false;
  served_at_ = 0;
  forwarder_.Close();
  std::error_code ignored;
  datagrams_.close(ignored);
  acceptor_.close(ignored);
  for (const auto& stream : std::exchange(streams_, {})) stream->Close();
}

void DnsServer::AwaitDatagrams() {
  datagrams_.async_wait(asio::ip::udp::socket::wait_read, [this, alive = alive_](const std::error_code& error) {
    if (!error && *alive) OnDatagrams();
  });
}

void DnsServer::OnDatagrams() {
  thread_local std::array<char, 65536> buffer;
  for (int i = 0; i < kDatagramsAtOnce; ++i) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(datagrams_.native_handle(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) break;
    std::string request(buffer.data(), static_cast<size_t>(got));
    Handle(std::move(request), false, [this, alive = alive_, from](const std::string& answer) {
      if (!*alive || answer.empty()) return;
      ::sendto(datagrams_.native_handle(), answer.data(), answer.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&from), sizeof from);
    });
  }
  AwaitDatagrams();
}

void DnsServer::AwaitStreams() {
  acceptor_.async_wait(asio::ip::tcp::acceptor::wait_read, [this, alive = alive_](const std::error_code& error) {
    if (!error && *alive) OnStreams();
  });
}

void DnsServer::OnStreams() {
  for (;;) {
    const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      // Without a descriptor the client waits in the kernel's queue for a better moment.
      if (errno == EMFILE || errno == ENFILE) {
        timer_ = clock_.After(std::chrono::seconds(1), [this] {
          timer_ = 0;
          AwaitStreams();
        });
        return;
      }
      break;
    }
    if (streams_.size() >= options_.max_streams) {
      ::close(fd);
      continue;
    }
    auto stream = std::make_shared<Stream>(*this, fd);
    streams_.insert(stream);
    stream->Read();
  }
  AwaitStreams();
}

void DnsServer::Handle(std::string request, bool tcp, std::function<void(std::string)> done) {
  DnsCode code = DnsCode::kOk;
  const std::optional<DnsQuery> query = ParseDnsQuery(request, &code);
  if (!query) return done("");
  const size_t limit = tcp ? 65535 : std::min<size_t>(query->udp_size, kMostUdp);
  if (code == DnsCode::kBadVersion) {
    DnsReply reply;
    reply.code = code;
    return done(WriteDnsReply(*query, reply, limit));
  }
  if (code != DnsCode::kOk) return done(WriteDnsError(request, code));

  std::optional<DnsReply> reply = zone_.Answer(*query);
  if (reply) {
    const bool alias = reply->answers.size() == 1 && reply->answers[0].type == DnsType::kCname;
    if (!alias || query->type == DnsType::kCname) return done(WriteDnsReply(*query, *reply, limit));
    std::string target = reply->answers[0].target;
    return Follow(*query, std::move(*reply), std::move(target), limit, std::move(done));
  }
  if (!forwarder_.available()) {
    DnsReply refused;
    refused.code = DnsCode::kRefused;
    refused.authoritative = false;
    return done(WriteDnsReply(*query, refused, limit));
  }
  auto forwarded = [query = *query, limit, done = std::move(done)](std::string answer) {
    if (!answer.empty() && answer.size() <= limit) return done(std::move(answer));
    DnsReply failed;
    failed.code = DnsCode::kFailure;
    failed.authoritative = false;
    done(WriteDnsReply(query, failed, limit));
  };
  forwarder_.Ask(std::move(request), tcp, std::move(forwarded));
}

// Stub resolvers do not follow an alias themselves: the answer carries where it leads.
void DnsServer::Follow(DnsQuery query, DnsReply reply, std::string target, size_t limit,
                       std::function<void(std::string)> done) {
  for (int steps = 0; steps < kAliases; ++steps) {
    DnsQuery next = query;
    next.name = target;
    std::optional<DnsReply> more = zone_.Answer(next);
    if (!more) break;
    reply.answers.insert(reply.answers.end(), more->answers.begin(), more->answers.end());
    reply.code = more->code;  // of where it leads in the end (RFC 6604)
    if (more->answers.size() != 1 || more->answers[0].type != DnsType::kCname)
      return done(WriteDnsReply(query, reply, limit));
    target = more->answers[0].target;
  }
  if (!forwarder_.available()) return done(WriteDnsReply(query, reply, limit));
  auto forwarded = [query, reply = std::move(reply), limit, done = std::move(done)](const std::string& answer) mutable {
    DnsCode code = DnsCode::kFailure;
    std::vector<DnsRecord> records;
    if (ParseDnsAnswer(answer, &code, &records)) {
      reply.answers.insert(reply.answers.end(), records.begin(), records.end());
      reply.recursion_available = true;
    }
    done(WriteDnsReply(query, reply, limit));
  };
  forwarder_.Ask(WriteDnsQuestion(query.id, target, query.type), false, std::move(forwarded));
}

}  // namespace wherry
