#pragma once

#include <cstdint>
#include <string>

#include "core/runtime/task.h"
#include "store/status.h"

namespace wherry::streams {

// The channels of one exec or attach, by their numbers in the channel.k8s.io protocols.
enum class Channel : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };

// One exec or attach as seen from the server, whichever transport carries it: input comes out of Next, output goes into
// Write, Finish tells the outcome. Control thread only.
class Channels {
 public:
  struct Input {
    enum class Kind : uint8_t {
      kStdin,
      kStdinEnd,
      kResize,
      kGone,  // the peer has closed or broken the connection: nothing more will come
    };
    Kind kind = Kind::kGone;
    std::string data;
    int width = 0, height = 0;
  };

  virtual ~Channels() = default;
  // Waits for the next input; one reader. It must go on being called until kGone, as the connection's own traffic
  // (pings, ends) is answered here.
  virtual Task<Input> Next() = 0;
  // Sends output; returns when the socket has taken it. Any number of writers. Fails when the peer is gone.
  virtual Task<Status> Write(Channel channel, std::string data) = 0;
  // Tells the end: a metav1.Status, as bytes of JSON, or as plain text to protocols that know no better (`text`, "" =
  // success). Nothing may be written after it.
  virtual Task<> Finish(std::string status, std::string text) = 0;
  // Closes at once.
  virtual void Close() = 0;
};

// The size that a resize message names; false when it names none.
bool ParseResize(const std::string& message, int* width, int* height);

}  // namespace wherry::streams
