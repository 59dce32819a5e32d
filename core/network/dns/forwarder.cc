#include "core/network/dns/forwarder.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

namespace wherry {

std::vector<Resolver> ParseResolvConf(std::string_view text, uint32_t own) {
  std::vector<Resolver> out;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword, address;
    words >> keyword >> address;
    in_addr parsed{};
    if (keyword != "nameserver" || inet_pton(AF_INET, address.c_str(), &parsed) != 1) continue;
    if (ntohl(parsed.s_addr) != own && out.size() < 3) out.push_back({ntohl(parsed.s_addr), 53});
  }
  return out;
}

// One request on its way, from resolver to resolver.
class Forwarder::Question : public std::enable_shared_from_this<Forwarder::Question> {
 public:
  Question(Forwarder& owner, std::string request, bool tcp, std::function<void(std::string)> done)
      : owner_(owner),
        request_(std::move(request)),
        own_id_(request_.substr(0, 2)),
        tcp_(tcp),
        done_(std::move(done)),
        socket_(owner.io_),
        stream_(owner.io_) {}

  void Next() {
    Rest();
    if (attempt_ == owner_.options_.attempts) return End("");
    const Resolver& to = owner_.resolvers_[static_cast<size_t>(attempt_++) % owner_.resolvers_.size()];
    const uint64_t id = owner_.random_();
    request_[0] = static_cast<char>(id);
    request_[1] = static_cast<char>(id >> 8);
    timer_ = owner_.clock_.After(owner_.options_.timeout, [self = shared_from_this()] {
      self->timer_ = 0;
      self->Next();
    });
    if (tcp_) {
      AskStream(to);
    } else {
      AskDatagram(to);
    }
  }

  void End(std::string answer) {
    Rest();
    if (!done_) return;
    auto done = std::exchange(done_, nullptr);
    owner_.pending_.erase(shared_from_this());
    done(std::move(answer));
  }

  // Nobody is told.
  void Drop() {
    Rest();
    done_ = nullptr;
  }

 private:
  void Rest() {
    owner_.clock_.Cancel(std::exchange(timer_, 0));
    std::error_code ignored;
    socket_.close(ignored);
    stream_.close(ignored);
    ++turn_;
  }

  void AskDatagram(const Resolver& to) {
    std::error_code error;
    const asio::ip::udp::endpoint at(asio::ip::address_v4(to.address), to.port);
    // A socket of its own: a random port that only this resolver may answer to.
    socket_.open(asio::ip::udp::v4(), error);
    if (!error) socket_.connect(at, error);
    if (!error) socket_.send(asio::buffer(request_), 0, error);
    AwaitDatagram(error);
  }

  void AwaitDatagram(std::error_code error) {
    if (error) return;  // the timer goes on to the next
    socket_.async_receive(asio::buffer(buffer_),
                          [self = shared_from_this(), turn = turn_](const std::error_code& failed, size_t size) {
                            if (turn != self->turn_) return;
                            if (failed) return self->Next();
                            const std::string answer(self->buffer_.data(), size);
                            if (!self->Accept(answer)) self->AwaitDatagram({});
                          });
  }

  void AskStream(const Resolver& to) {
    const asio::ip::tcp::endpoint at(asio::ip::address_v4(to.address), to.port);
    framed_.clear();
    framed_ += static_cast<char>(request_.size() >> 8);
    framed_ += static_cast<char>(request_.size());
    framed_ += request_;
    auto self = shared_from_this();
    stream_.async_connect(at, [self, turn = turn_](const std::error_code& refused) {
      if (turn != self->turn_) return;
      if (refused) return self->Next();
      asio::async_write(self->stream_, asio::buffer(self->framed_),
                        [self, turn](const std::error_code& failed, size_t) {
                          if (turn != self->turn_) return;
                          if (failed) return self->Next();
                          self->ReadStream();
                        });
    });
  }

  void ReadStream() {
    auto self = shared_from_this();
    asio::async_read(stream_, asio::buffer(buffer_, 2), [self, turn = turn_](const std::error_code& failed, size_t) {
      if (turn != self->turn_) return;
      if (failed) return self->Next();
      const size_t size =
          static_cast<size_t>(static_cast<uint8_t>(self->buffer_[0])) << 8 | static_cast<uint8_t>(self->buffer_[1]);
      asio::async_read(self->stream_, asio::buffer(self->buffer_, size),
                       [self, turn, size](const std::error_code& broken, size_t) {
                         if (turn != self->turn_) return;
                         if (broken || !self->Accept(std::string(self->buffer_.data(), size))) self->Next();
                       });
    });
  }

  // An answer to another question is no answer.
  bool Accept(std::string answer) {
    if (answer.size() < 12 || answer.compare(0, 2, request_, 0, 2) != 0 || (answer[2] & 0x80) == 0) return false;
    answer.replace(0, 2, own_id_);
    End(std::move(answer));
    return true;
  }

  Forwarder& owner_;
  std::string request_;
  const std::string own_id_;
  const bool tcp_;
  std::function<void(std::string)> done_;
  asio::ip::udp::socket socket_;
  asio::ip::tcp::socket stream_;
  std::string framed_;
  std::array<char, 65536> buffer_;
  Clock::TimerId timer_ = 0;
  int attempt_ = 0;
  int turn_ = 0;  // handlers of earlier attempts are void
};

Forwarder::Forwarder(asio::io_context& io, Clock& clock, ForwarderOptions options, uint32_t own_address)
    : io_(io),
      clock_(clock),
      options_(std::move(options)),
      own_address_(own_address),
      random_(std::random_device()()),
      resolvers_(options_.resolvers) {}

Forwarder::~Forwarder() { Close(); }

void Forwarder::Refresh() {
  if (!options_.resolvers.empty()) return;
  struct stat info {};
  if (::stat(options_.resolv_conf.c_str(), &info) != 0) {
    resolvers_.clear();
    return;
  }
  const int64_t changed = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (changed == read_at_) return;
  read_at_ = changed;
  std::ifstream file(options_.resolv_conf);
  std::string text(size_t{64} << 10, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  resolvers_ = ParseResolvConf(text, own_address_);
}

bool Forwarder::available() {
  Refresh();
  return !resolvers_.empty();
}

void Forwarder::Ask(std::string request, bool tcp, std::function<void(std::string)> done) {
  if (!available() || pending_.size() >= options_.max_pending || request.size() < 12) return done("");
  auto question = std::make_shared<Question>(*this, std::move(request), tcp, std::move(done));
  pending_.insert(question);
  question->Next();
}

void Forwarder::Close() {
  for (const auto& question : std::exchange(pending_, {})) question->Drop();
}

}  // namespace wherry
