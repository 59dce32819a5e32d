#include "core/agent/warden/connection.h"

#include <cerrno>
#include <utility>

#include "core/agent/warden/local_socket.h"

namespace wherry::warden {
namespace {

constexpr size_t kMaxQueuedBytes = 2 * kMaxFrameBytes;

}  // namespace

void Connection::Send(MessageType type, uint32_t request, std::string_view payload, Fd attached) {
  std::vector<Fd> all;
  if (attached.valid()) all.push_back(std::move(attached));
  Send(type, request, payload, std::move(all));
}

void Connection::Send(MessageType type, uint32_t request, std::string_view payload, std::vector<Fd> attached) {
  if (failed_) return;
  Item item;
  item.bytes = EncodeFrame(type, request, payload);
  item.attached = std::move(attached);
  item.may_be_lost = type == MessageType::kKeepFd || type == MessageType::kReturnFd;
  queued_bytes_ += item.bytes.size();
  if (queued_bytes_ > kMaxQueuedBytes) {
    failed_ = true;
    return;
  }
  out_.push_back(std::move(item));
  if (out_.size() == 1) Flush();
}

void Connection::Flush() {
  while (!failed_ && !out_.empty()) {
    Item& item = out_.front();
    static const std::vector<Fd> none;
    const ssize_t n = SendWithFds(socket_.get(), item.bytes.data() + item.sent, item.bytes.size() - item.sent,
                                  item.sent == 0 ? item.attached : none);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0 && errno == ETOOMANYREFS && item.may_be_lost) {
      // Too many descriptors under way for this user: this one is not kept. Only a crash of the warden would miss it.
      item.sent = item.bytes.size();
    } else if (n < 0) {
      failed_ = true;
      return;
    } else {
      item.sent += static_cast<size_t>(n);
    }
    if (item.sent == item.bytes.size()) {
      queued_bytes_ -= item.bytes.size();
      out_.pop_front();
    }
  }
}

bool Connection::Receive() {
  static thread_local char buffer[64 << 10];
  for (;;) {
    std::vector<Fd> attached;
    bool lost = false;
    const ssize_t n = ReceiveWithFds(socket_.get(), buffer, sizeof(buffer), &attached, &lost);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    // Descriptors come in the order of the frames that announce them; a lost one keeps its place.
    if (!attached.empty() || lost) attached_.push_back(std::move(attached));
    reader_.Append(buffer, static_cast<size_t>(n));
    if (static_cast<size_t>(n) < sizeof(buffer) && attached_.empty()) return true;
  }
}

std::vector<Fd> Connection::TakeAllAttached() {
  if (attached_.empty()) return {};
  std::vector<Fd> attached = std::move(attached_.front());
  attached_.pop_front();
  return attached;
}

Fd Connection::TakeAttached() {
  std::vector<Fd> all = TakeAllAttached();
  return all.empty() ? Fd() : std::move(all[0]);
}

}  // namespace wherry::warden
