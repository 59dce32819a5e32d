#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "core/agent/warden/fd.h"
#include "core/agent/warden/protocol.h"

namespace wherry::warden {

// One end of the stream between server and warden: frames in, frames out, now and then with descriptors. Non-blocking;
// says what it wants to wait for. Used by both sides.
class Connection {
 public:
  explicit Connection(Fd socket) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }

  // Queues a frame and sends what the socket takes. `attached` goes along with it.
  void Send(MessageType type, uint32_t request, std::string_view payload, Fd attached = Fd());
  void Send(MessageType type, uint32_t request, std::string_view payload, std::vector<Fd> attached);
  // Sends more of the queue. Call when the socket is writable.
  void Flush();
  bool wants_write() const { return !out_.empty(); }

  // Takes what has arrived. False when the peer is gone or broke the rules; frames that came before can still be read.
  bool Receive();
  std::optional<Frame> Next() { return reader_.Next(); }
  // The descriptors that belong to the frame just read, of a kind that carries some; fewer when they got lost on the
  // way.
  std::vector<Fd> TakeAllAttached();
  // Of a frame that carries one; invalid when it got lost.
  Fd TakeAttached();

  // The peer does not read, or a write failed: to be closed.
  bool failed() const { return failed_; }

 private:
  struct Item {
    std::string bytes;
    size_t sent = 0;
    std::vector<Fd> attached;
    bool may_be_lost = false;  // what is attached
  };

  Fd socket_;
  FrameReader reader_;
  std::deque<std::vector<Fd>> attached_;
  std::deque<Item> out_;
  size_t queued_bytes_ = 0;
  bool failed_ = false;
};

}  // namespace wherry::warden
