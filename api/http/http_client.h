#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/http/message.h"
#include "api/http/tls.h"
#include "core/runtime/clock.h"
#include "core/runtime/task.h"

namespace wherry::http {

struct ClientOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  TlsContextPtr tls;         // null = plain HTTP
  std::string bearer_token;  // "" = none
  std::string user_agent = "wherry";
  size_t max_body = 256 * 1024 * 1024;          // of a whole answer, and of one line of a stream
  Duration connect = std::chrono::seconds(10);  // TCP and TLS each
  Duration answer = std::chrono::seconds(60);   // between two pieces of an answer; streams wait without limit
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  HeaderList headers;  // beside Host, User-Agent, Authorization and Content-Length
  std::string body;
};

struct ClientResponse {
  int status = 0;
  HeaderList headers;
  std::string body;
  std::string_view header(std::string_view name) const;  // the first, "" when absent
};

// An answer whose body is read piece by piece, on a connection of its own. One reader and one writer at a time.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  virtual const ClientResponse& head() const = 0;  // body empty
  // The next bytes of the body; "" at its end. After a 101: of the connection.
  virtual Task<Result<std::string>> ReadSome() = 0;
  // The next line without its end; nothing at the end of the body (an unfinished last line is given first).
  virtual Task<Result<std::optional<std::string>>> ReadLine() = 0;
  // REQUIRES: head().status is 101.
  virtual Task<Status> Write(std::vector<SharedBuffer> buffers) = 0;
  // Hangs up; a read under way fails.
  virtual void Close() = 0;
};

// A client of one server, for our own command line, remote agents, tests and benches. Do uses one kept connection, one
// request at a time; each Open makes its own. Refusals of the server are answers, not errors: a Status that is not ok
// means the exchange itself failed. Control thread only.
class HttpClient {
 public:
  HttpClient(asio::any_io_executor executor, Clock& clock, ClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Task<Result<ClientResponse>> Do(ClientRequest request);
  Task<Result<std::shared_ptr<ClientStream>>> Open(ClientRequest request);
  // Closes the kept connection.
  void Close();

 private:
  class Link;
  Task<Result<std::shared_ptr<Link>>> Connect();

  const asio::any_io_executor executor_;
  Clock& clock_;
  const ClientOptions options_;
  std::shared_ptr<Link> kept_;
};

}  // namespace wherry::http
