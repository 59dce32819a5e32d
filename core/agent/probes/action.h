#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/runtime/time.h"
#include "store/json.h"
#include "store/status.h"

namespace wherry {

// What a probe or a lifecycle hook does (core/v1 ProbeHandler and LifecycleHandler).
struct Action {
  enum class Kind : uint8_t { kNone, kExec, kHttpGet, kTcpSocket, kGrpc, kSleep };
  Kind kind = Kind::kNone;
  std::vector<std::string> command;                          // exec
  std::string host;                                          // "" = the pod's address
  int port = 0;                                              // httpGet, tcpSocket, grpc
  bool https = false;                                        // the certificate is not looked at
  std::string path;                                          // httpGet, begins with '/'
  std::vector<std::pair<std::string, std::string>> headers;  // httpGet
  bool any_status = false;                                   // httpGet: any answer will do
  std::string user_agent = "kube-probe/1.32";
  std::string service;  // grpc
  Duration sleep{0};
};

// Reads a handler; ports may be names of `container`'s. kInvalid: there is no such port.
Result<Action> ParseAction(const Json& handler, const Json& container);

// How it went.
struct CheckResult {
  enum class Outcome : uint8_t {
    kSuccess,
    kWarning,  // good, with something to tell
    kFailure,
    kError,  // could not be carried out; worth trying again at once
  };
  Outcome outcome = Outcome::kSuccess;
  std::string output;   // why, in upstream's words
  bool steady = false;  // would be the same again: need not be asked until something changes (simulated pods)
  bool good() const { return outcome == Outcome::kSuccess || outcome == Outcome::kWarning; }
};

inline CheckResult CheckFailed(std::string why) {
  return CheckResult{CheckResult::Outcome::kFailure, std::move(why), false};
}

}  // namespace wherry
