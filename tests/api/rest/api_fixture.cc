#include "tests/api/rest/api_fixture.h"

#include <asio/co_spawn.hpp>

#include "api/http/pki.h"

namespace wherry {

// An exchange whose connection is the test: what the handler sends is kept.
class FakeExchange : public http::Exchange,
                     public http::ResponseStream,
                     public std::enable_shared_from_this<FakeExchange> {
 public:
  const http::Request& request() const override { return request_; }
  http::Request& mutable_request() override { return request_; }
  void Respond(http::Response response) override { Keep(std::move(response)); }

  Task<Result<http::ResponseStream*>> StartStream(http::Response head) override {
    Keep(std::move(head));
    streamed_ = true;
    co_return static_cast<http::ResponseStream*>(this);
  }
  Task<Result<http::ByteStream*>> Upgrade(http::Response) override { co_return Status::Internal("no upgrade here"); }

  Task<Status> Write(std::vector<http::SharedBuffer> buffers) override {
    if (closed_) co_return Status::Unavailable("gone");
    for (const auto& buffer : buffers) text_.append(buffer.data);
    co_return Status();
  }

  bool closed() const override { return closed_; }
  void set_on_close(std::function<void()> on_close) override { on_close_ = std::move(on_close); }

  void Close() {
    closed_ = true;
    if (auto on_close = std::move(on_close_)) on_close();
  }

  http::Request request_;
  Answer answer_;
  std::string text_;  // what was streamed and not yet taken
  bool answered_ = false, streamed_ = false, finished_ = false;

 private:
  void Keep(http::Response response) {
    answered_ = true;
    answer_ = Answer();
    answer_.code = response.status;
    answer_.type = std::string(response.content_type);
    answer_.headers = std::move(response.headers);
    answer_.body = std::move(response.body);
    for (const auto& buffer : response.buffers) answer_.body.append(buffer.data);
    answer_.json = Json::parse(answer_.body, nullptr, false);
  }

  bool closed_ = false;
  std::function<void()> on_close_;
};

std::string Answer::header(std::string_view name) const {
  const auto values = header_values(name);
  return values.empty() ? "" : values[0];
}

std::vector<std::string> Answer::header_values(std::string_view name) const {
  std::vector<std::string> out;
  for (const auto& [key, value] : headers) {
    if (http::EqualsIgnoreCase(key, name)) out.push_back(value);
  }
  return out;
}

std::string Answer::reason() const { return json.is_object() ? json.value("reason", "") : ""; }
std::string Answer::message() const { return json.is_object() ? json.value("message", "") : ""; }

Json Answer::at(const std::string& pointer) const {
  const Json::json_pointer where(pointer);
  return json.contains(where) ? json.at(where) : Json();
}

WatchStream::WatchStream(std::shared_ptr<FakeExchange> exchange, TestCluster& cluster)
    : exchange_(std::move(exchange)), cluster_(cluster) {}

WatchStream::~WatchStream() {
  exchange_->Close();
  cluster_.Settle();
}

std::vector<Json> WatchStream::Take() {
  cluster_.Settle();
  std::vector<Json> out;
  std::string text;
  text.swap(exchange_->text_);
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = text.find('\n', at);
    REQUIRE(end != std::string::npos);  // every frame is a whole line
    out.push_back(Json::parse(text.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

std::vector<std::string> WatchStream::TakeNames() {
  std::vector<std::string> out;
  for (const Json& frame : Take()) {
    std::string line = frame.at("type").get<std::string>();
    const Json& object = frame.at("object");
    if (line == "BOOKMARK") {
      const Json metadata = object.value("metadata", Json::object());
      if (metadata.contains("annotations") && metadata["annotations"].contains("k8s.io/initial-events-end"))
        line += " end";
    } else if (line == "ERROR") {
      line += " " + std::to_string(object.value("code", 0));
    } else {
      line += " " + object.at("metadata").value("name", "?");
    }
    out.push_back(std::move(line));
  }
  return out;
}

bool WatchStream::ended() const { return exchange_->finished_; }
bool WatchStream::streamed() const { return exchange_->streamed_; }
Answer WatchStream::refusal() const { return exchange_->answer_; }

ApiCluster::ApiCluster() {
  const Result<std::string> pem = http::MakeSigningKey();
  REQUIRE(pem.ok());
  Result<std::shared_ptr<const http::JwtKey>> key = http::JwtKey::FromPem(*pem);
  REQUIRE(key.ok());
  tokens_ = std::make_unique<ServiceAccountTokens>(cluster_.registry(), std::move(*key));
  ApiOptions options;
  options.service_accounts = tokens_.get();
  options.server_address = "127.0.0.1:6443";
  options.tokens["secret"] = Identity{"alice", {"system:masters", "system:authenticated"}};
  api_ = std::make_unique<Api>(cluster_.registry(), cluster_.io().get_executor(), std::move(options));
  AddBuiltInSubresources(*api_, cluster_.registry());
  AddTokenRequests(*api_, cluster_.registry(), *tokens_);
  api_->AddReadyCheck("ping", [] { return true; });
}

ApiCluster::~ApiCluster() {
  for (const auto& weak : exchanges_) {
    if (auto exchange = weak.lock()) exchange->Close();
  }
  cluster_.Settle();
}

std::shared_ptr<FakeExchange> ApiCluster::Start(std::string_view method, std::string_view target,
                                                const http::HeaderList& headers, std::string body, bool authenticated) {
  auto exchange = std::make_shared<FakeExchange>();
  http::HeaderList all = headers;
  if (authenticated) all.emplace_back("Authorization", "Bearer secret");
  const Status status = exchange->request_.Assign(method, target, all, std::move(body));
  REQUIRE(status.ok());
  std::erase_if(exchanges_, [](const auto& weak) { return weak.expired(); });
  exchanges_.push_back(exchange);
  Task<> task = api_->Handle(exchange);
  asio::co_spawn(cluster_.io(), std::move(task), [exchange](std::exception_ptr e) {
    exchange->finished_ = true;
    if (e) std::rethrow_exception(e);
  });
  cluster_.Settle();
  return exchange;
}

Answer ApiCluster::Send(std::string_view method, std::string_view target, std::string body,
                        const http::HeaderList& headers) {
  auto exchange = Start(method, target, headers, std::move(body), true);
  INFO(method << " " << target);
  REQUIRE(exchange->answered_);
  REQUIRE(exchange->finished_);
  return exchange->answer_;
}

Answer ApiCluster::Send(std::string_view method, std::string_view target, const Json& body,
                        const http::HeaderList& headers) {
  return Send(method, target, body.dump(), headers);
}

Answer ApiCluster::SendAnonymous(std::string_view method, std::string_view target, const http::HeaderList& headers) {
  auto exchange = Start(method, target, headers, {}, false);
  REQUIRE(exchange->answered_);
  return exchange->answer_;
}

Answer ApiCluster::SendAs(const std::string& token, std::string_view method, std::string_view target,
                          std::string body) {
  auto exchange = Start(method, target, {{"Authorization", "Bearer " + token}}, std::move(body), false);
  REQUIRE(exchange->answered_);
  return exchange->answer_;
}

std::unique_ptr<WatchStream> ApiCluster::Watch(std::string_view target, const http::HeaderList& headers) {
  return std::make_unique<WatchStream>(Start("GET", target, headers, {}, true), cluster_);
}

uint64_t ApiCluster::Put(const std::string& name, const Json& labels, const std::string& value) {
  const Json body = {{"metadata", {{"name", name}, {"labels", labels}}}, {"data", {{"k", value}}}};
  Answer answer = Send("PUT", kCore + "configmaps/" + name, body);
  if (answer.code == 404) answer = Send("POST", kCore + "configmaps", body);
  INFO(answer.body);
  REQUIRE(answer.code < 300);
  return std::stoull(answer.at("/metadata/resourceVersion").get<std::string>());
}

std::string Number(uint32_t number, uint64_t value) {
  std::string out;
  auto put = [&out](uint64_t v) {
    for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
    out.push_back(static_cast<char>(v));
  };
  put(number << 3);
  put(value);
  return out;
}

std::string Bytes(uint32_t number, std::string_view bytes) {
  std::string out = Number(number, bytes.size());
  out[0] = static_cast<char>(out[0] | 2);  // REQUIRES: number < 16
  return out.append(bytes);
}

std::string EnvelopeOf(const std::string& api_version, const std::string& kind, const std::string& raw) {
  return std::string("k8s\0", 4) + Bytes(1, Bytes(1, api_version) + Bytes(2, kind)) + Bytes(2, raw);
}

}  // namespace wherry
