#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <vector>

#include "core/agent/warden/fd.h"

namespace wherry::warden {

// What a descriptor in the poller is.
enum class Source : uint8_t {
  kListen,
  kSignals,
  kConnection,
  kBirth,
  kStdout,
  kStderr,
  kBinds,
  kAdopted,
  kExecBirth,
  kExecBinds,
  kTap
};

// epoll, level-triggered. Events name their descriptor by source and the serial number of its owner, never by pointer:
// an event for an owner that an earlier event of the same batch ended is simply not found any more.
class Poller {
 public:
  struct Event {
    Source source;
    uint64_t serial;
    uint32_t events;
  };

  Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  bool Add(int fd, Source source, uint64_t serial, uint32_t events = EPOLLIN) {
    return Control(EPOLL_CTL_ADD, fd, source, serial, events);
  }
  bool Change(int fd, Source source, uint64_t serial, uint32_t events) {
    return Control(EPOLL_CTL_MOD, fd, source, serial, events);
  }
  // Before closing a descriptor that others (the server) hold a copy of: epoll would go on watching the copy.
  void Remove(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  // Waits at most `timeout_ms` (-1 = for ever).
  void Wait(int timeout_ms, std::vector<Event>* events) {
    epoll_event raw[256];
    const int n = epoll_wait(epoll_.get(), raw, 256, timeout_ms);
    events->clear();
    for (int i = 0; i < n; ++i) {
      events->push_back({static_cast<Source>(raw[i].data.u64 >> 56), raw[i].data.u64 & kSerialMask, raw[i].events});
    }
  }

 private:
  static constexpr uint64_t kSerialMask = (uint64_t{1} << 56) - 1;

  bool Control(int operation, int fd, Source source, uint64_t serial, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (static_cast<uint64_t>(source) << 56) | serial;
    return epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
  }

  Fd epoll_;
};

}  // namespace wherry::warden
