#include "core/agent/warden/taps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/agent/warden/micros.h"

namespace wherry::warden {
namespace {

constexpr int64_t kPatienceUs = 10'000'000;

}  // namespace

Taps::Taps(Poller& poller, std::function<void(uint64_t)> resumed) : poller_(poller), resumed_(std::move(resumed)) {}

void Taps::Add(uint64_t container, Stream stream, Fd pipe) {
  fcntl(pipe.get(), F_SETFL, fcntl(pipe.get(), F_GETFL) | O_NONBLOCK);
  const uint64_t serial = next_++;
  poller_.Add(pipe.get(), Source::kTap, serial, 0);  // its reader's going shows as an error
  Tap& tap = taps_[serial];
  tap.container = container;
  tap.stream = stream;
  tap.pipe = std::move(pipe);
}

void Taps::Watch(uint64_t serial, Tap& tap, bool for_room) {
  poller_.Change(tap.pipe.get(), Source::kTap, serial, for_room ? uint32_t{EPOLLOUT} : 0U);
}

Taps::Map::iterator Taps::Close(Map::iterator it) {
  poller_.Remove(it->second.pipe.get());
  return taps_.erase(it);
}

bool Taps::Flush(Tap& tap) {
  while (!tap.held.empty()) {
    const ssize_t sent = write(tap.pipe.get(), tap.held.data(), tap.held.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    tap.held.erase(0, static_cast<size_t>(sent));
    tap.deadline_us = MonotonicMicros() + kPatienceUs;
  }
  return !tap.ending;
}

void Taps::Write(uint64_t container, Stream stream, std::string_view data) {
  for (auto it = taps_.begin(); it != taps_.end();) {
    Tap& tap = it->second;
    if (tap.container != container || tap.stream != stream) {
      ++it;
      continue;
    }
    const bool was_held = !tap.held.empty();
    tap.held += data;
    if (!was_held) tap.deadline_us = MonotonicMicros() + kPatienceUs;
    if (!was_held && !Flush(tap)) {
      it = Close(it);
      continue;
    }
    if (!was_held && !tap.held.empty()) Watch(it->first, tap, true);
    ++it;
  }
}

bool Taps::Blocks(uint64_t container, Stream stream) const {
  return std::any_of(taps_.begin(), taps_.end(), [&](const auto& entry) {
    const Tap& tap = entry.second;
    return tap.container == container && tap.stream == stream && !tap.held.empty();
  });
}

void Taps::ContainerEnded(uint64_t container) {
  for (auto it = taps_.begin(); it != taps_.end();) {
    Tap& tap = it->second;
    if (tap.container == container) {
      tap.ending = true;
      if (tap.held.empty()) {
        it = Close(it);
        continue;
      }
    }
    ++it;
  }
}

void Taps::Handle(uint64_t serial) {
  const auto it = taps_.find(serial);
  if (it == taps_.end()) return;
  const uint64_t container = it->second.container;
  // With nothing to write only an error wakes us: the reader has gone.
  const bool useful = !it->second.held.empty() && Flush(it->second);
  if (!useful) {
    Close(it);
  } else if (it->second.held.empty()) {
    Watch(serial, it->second, false);
  } else {
    return;
  }
  resumed_(container);
}

void Taps::Tick() {
  const int64_t now = MonotonicMicros();
  for (auto it = taps_.begin(); it != taps_.end();) {
    if (it->second.held.empty() || it->second.deadline_us > now) {
      ++it;
      continue;
    }
    const uint64_t container = it->second.container;
    it = Close(it);
    resumed_(container);
  }
}

int Taps::TimeoutMs() const {
  int64_t first = -1;
  for (const auto& [serial, tap] : taps_) {
    if (!tap.held.empty() && (first < 0 || tap.deadline_us < first)) first = tap.deadline_us;
  }
  if (first < 0) return -1;
  return static_cast<int>(std::max<int64_t>(0, (first - MonotonicMicros() + 999) / 1000));
}

}  // namespace wherry::warden
