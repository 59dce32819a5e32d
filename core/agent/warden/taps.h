#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/agent/warden/fd.h"
#include "core/agent/warden/log_writer.h"
#include "core/agent/warden/poller.h"

namespace wherry::warden {

// Copies of what containers write, for who is attached: a tap is the write end of a pipe that the server reads. A tap
// that is full holds its container's stream up, as a slow terminal would, but not for long: one that takes nothing for
// ten seconds is closed, and the program goes on. So memory holds at most one read of the stream for each tap.
class Taps {
 public:
  // `resumed` is told of containers whose stream is held up no more; never from within Write.
  Taps(Poller& poller, std::function<void(uint64_t container)> resumed);

  void Add(uint64_t container, Stream stream, Fd pipe);
  void Write(uint64_t container, Stream stream, std::string_view data);
  // Nothing of the stream should be read now.
  bool Blocks(uint64_t container, Stream stream) const;
  // Nothing more will be written: each tap is closed once it has taken what it holds.
  void ContainerEnded(uint64_t container);

  void Handle(uint64_t tap);  // it takes more, or its reader has gone
  void Tick();
  int TimeoutMs() const;  // -1 = nothing to do

 private:
  struct Tap {
    uint64_t container = 0;
    Stream stream = Stream::kStdout;
    Fd pipe;
    std::string held;  // not taken yet
    int64_t deadline_us = 0;
    bool ending = false;
  };
  using Map = std::map<uint64_t, Tap>;

  // False when it is to be closed.
  bool Flush(Tap& tap);
  void Watch(uint64_t serial, Tap& tap, bool for_room);
  Map::iterator Close(Map::iterator it);

  Poller& poller_;
  const std::function<void(uint64_t)> resumed_;
  uint64_t next_ = 1;
  Map taps_;
};

}  // namespace wherry::warden
