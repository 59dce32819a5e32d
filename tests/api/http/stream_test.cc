#include <string>

#include "api/http/wakeup.h"
#include "tests/api/http/http_fixture.h"

namespace wherry::http {
namespace {

using namespace std::chrono_literals;

// A handler that streams what the test tells it to, and what it saw.
struct Feed {
  explicit Feed(asio::any_io_executor executor) : wakeup(std::move(executor)) {}
  Wakeup wakeup;
  std::vector<std::string> next;
  bool end = false;
  bool fail = false;
  int running = 0;
  int closes = 0;
  bool saw_closed = false;
  size_t written = 0;
  bool in_write = false;
};

Task<> Stream(std::shared_ptr<Feed> feed, ExchangePtr exchange) {
  if (exchange->request().path() != "/stream") {
    exchange->Respond(Response::Text(200, "plain"));
    co_return;
  }
  ++feed->running;
  Response head;
  Result<ResponseStream*> started = co_await exchange->StartStream(std::move(head));
  REQUIRE(started.ok());
  ResponseStream* stream = *started;
  exchange->set_on_close([feed] {
    ++feed->closes;
    feed->wakeup.Notify();
  });
  while (!feed->end && !stream->closed()) {
    std::vector<SharedBuffer> buffers;
    for (std::string& text : feed->next) buffers.emplace_back(std::move(text));
    feed->next.clear();
    if (buffers.empty()) {
      co_await feed->wakeup.Wait();
      continue;
    }
    feed->in_write = true;
    const Status status = co_await stream->Write(std::move(buffers));
    feed->in_write = false;
    if (!status.ok()) break;
    ++feed->written;
  }
  feed->saw_closed = stream->closed();
  --feed->running;
  if (feed->fail) throw std::runtime_error("broken off");
}

class StreamFixture : public HttpFixture {
 public:
  StreamFixture() : feed(std::make_shared<Feed>(io.get_executor())) {
    Start([f = feed](ExchangePtr exchange) { return Stream(f, std::move(exchange)); });
  }
  ~StreamFixture() {
    feed->end = true;
    feed->wakeup.Notify();
    Settle();
  }
  void Open(RawClient& client, std::string_view head = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n") {
    REQUIRE(client.Send(head));
    RunUntil([&] {
      client.Poll();
      return client.received().ends_with("\r\n\r\n");
    });
  }
  void Push(std::vector<std::string> texts) {
    feed->next = std::move(texts);
    feed->wakeup.Notify();
    Settle();
  }
  void End() {
    feed->end = true;
    feed->wakeup.Notify();
    Settle();
  }

  std::shared_ptr<Feed> feed;
};

}  // namespace

TEST_CASE_METHOD(StreamFixture, "a stream is chunked and its end leaves the connection usable") {
  RawClient client(server->port());
  Open(client);
  CHECK(client.Take().find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  Push({"hello ", "", "world\n"});
  client.Poll();
  CHECK(client.Take() == "c\r\nhello world\n\r\n");
  Push({""});
  client.Poll();
  CHECK(client.Take().empty());                                    // an empty chunk would be the end
  REQUIRE(client.Send("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"));  // sent ahead
  Settle();
  CHECK_FALSE(feed->saw_closed);
  End();
  CHECK(Exchange(client, "", "plain").starts_with("0\r\n\r\nHTTP/1.1 200 OK\r\n"));
  CHECK(Exchange(client, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", "plain").starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(feed->closes == 0);
}

TEST_CASE_METHOD(StreamFixture, "a vanished client ends an idle stream") {
  const bool reset = GENERATE(true, false);
  auto client = std::make_unique<RawClient>(server->port());
  Open(*client);
  CHECK(feed->running == 1);
  if (reset) {
    client->Reset();
  } else {
    client->HalfClose();
  }
  RunUntil([&] { return feed->running == 0; });
  CHECK(feed->closes == 1);
  CHECK(feed->saw_closed);
  RunUntil([&] { return server->stats().connections == 0; });
}

TEST_CASE_METHOD(StreamFixture, "HTTP/1.0 streams until the connection closes") {
  RawClient client(server->port());
  Open(client, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(client.Take().find("chunked") == std::string::npos);
  Push({"abc"});
  End();
  RunUntil([&] {
    client.Poll();
    return client.ended();
  });
  CHECK(client.received() == "abc");
}

TEST_CASE_METHOD(StreamFixture, "HEAD of a stream has no body") {
  RawClient client(server->port());
  Open(client, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  client.Take();
  Push({"abc"});
  End();
  CHECK(Exchange(client, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", "plain").starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE_METHOD(StreamFixture, "a stream that fails is broken off without its end") {
  RawClient client(server->port());
  Open(client);
  client.Take();
  feed->fail = true;
  End();
  RunUntil([&] {
    client.Poll();
    return client.ended();
  });
  CHECK(client.received().empty());
}

TEST_CASE_METHOD(StreamFixture, "a stream waits for its reader, but not for ever") {
  RawClient client(server->port());
  Open(client);
  Push({std::string(32 * 1024 * 1024, 'x')});
  CHECK(feed->in_write);
  Advance(29s);
  CHECK(feed->in_write);
  Advance(2s);
  CHECK_FALSE(feed->in_write);
  CHECK(feed->running == 0);
  CHECK(server->stats().connections == 0);
}

TEST_CASE_METHOD(StreamFixture, "a stop ends a stream cleanly") {
  RawClient client(server->port());
  Open(client);
  client.Take();
  bool over = false;
  Spawn(io.get_executor(), "shutdown", [](Server* s, bool* done) -> Task<> {
    co_await s->Shutdown(10s);
    *done = true;
  }(server.get(), &over));
  Settle();
  CHECK(feed->running == 0);
  RunUntil([&] {
    client.Poll();
    return client.ended();
  });
  CHECK(client.received() == "0\r\n\r\n");
  client.HalfClose();
  RunUntil([&] { return over; });
}

TEST_CASE_METHOD(HttpFixture, "an upgraded connection carries raw bytes both ways") {
  bool ended = false;
  Start([&ended](ExchangePtr exchange) -> Task<> {
    CHECK(exchange->request().wants_upgrade());
    Response head;
    head.status = 101;
    head.headers = {{"Upgrade", "echo"}, {"Connection", "Upgrade"}};
    Result<ByteStream*> upgraded = co_await exchange->Upgrade(std::move(head));
    REQUIRE(upgraded.ok());
    ByteStream* stream = *upgraded;
    for (;;) {
      char buffer[4];
      const Result<size_t> got = co_await stream->Read(buffer, sizeof buffer);
      if (!got.ok() || *got == 0) break;
      std::vector<SharedBuffer> buffers;
      buffers.emplace_back("<" + std::string(buffer, *got) + ">");
      const Status status = co_await stream->Write(std::move(buffers));
      if (!status.ok()) break;
    }
    ended = true;
  });
  RawClient client(server->port());
  CHECK(Exchange(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead", "<d>") ==
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n<ahea><d>");
  CHECK(Exchange(client, "abc", ">") == "<abc>");
  client.HalfClose();
  RunUntil([&] {
    client.Poll();
    return ended && client.ended();
  });
}

TEST_CASE("a wakeup remembers one notification") {
  asio::io_context io;
  Wakeup wakeup(io.get_executor());
  int woken = 0;
  Spawn(io.get_executor(), "waiter", [](Wakeup* w, int* count) -> Task<> {
    for (int i = 0; i < 2; ++i) {
      co_await w->Wait();
      ++*count;
    }
  }(&wakeup, &woken));
  wakeup.Notify();
  wakeup.Notify();
  io.poll();
  CHECK(woken == 1);
  CHECK(wakeup.waiting());
  wakeup.Notify();
  CHECK(woken == 1);  // never from inside Notify
  io.restart();
  io.poll();
  CHECK(woken == 2);
}

}  // namespace wherry::http
