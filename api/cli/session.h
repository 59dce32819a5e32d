#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/cli/kubeconfig.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry::cli {

// A query string under construction: `Target("/api/v1/pods", {{"limit", "5"}})`; empty values are left out.
std::string Target(std::string path, const std::vector<std::pair<std::string, std::string>>& query);

// The command line's connection to a server. Calls block: each runs the event loop until its answer is there. One
// thread. A refusal of the server comes back as the Status it sent; when there is no server, or it does not know us,
// the message says so and what to do.
class Session {
 public:
  static Result<std::unique_ptr<Session>> Open(Access access);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The answer's JSON.
  Result<Json> Get(const std::string& target, const std::string& accept = "application/json");
  Result<Json> Send(const std::string& method, const std::string& target, const std::string& content_type,
                    const Json& body);

  enum class Next : uint8_t { kMore, kStop };
  // Hands over the body as it comes, until its end, kStop or `limit` (zero = none). Ends ok in all three cases.
  Status StreamLines(const std::string& target, const std::string& accept, std::chrono::milliseconds limit,
                     const std::function<Next(const std::string& line)>& on_line);
  Status StreamBytes(const std::string& target, const std::function<void(const std::string& bytes)>& on_bytes);

  // Returns after `pause`.
  void Sleep(std::chrono::milliseconds pause);
  const Access& access() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace wherry::cli
