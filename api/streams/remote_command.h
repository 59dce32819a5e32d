#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/http/exchange.h"
#include "api/streams/channels.h"
#include "core/agent/warden/fd.h"
#include "core/runtime/clock.h"

namespace wherry::streams {

// exec and attach: a client's channels at one end, a program's pipes or terminal at the other.

struct RemoteOptions {
  bool in = false, out = false, err = false, tty = false;
};

// The server's ends of what the program is connected to, and the program itself.
struct RemoteProgram {
  warden::Fd in, out, err;  // invalid = not connected
  warden::Fd terminal;      // another descriptor of the terminal, to resize it
  // Runs it: resolves with its exit code when it has ended, or with why it could not run. Absent (attach): the program
  // runs already, and the end is when its output ends.
  std::function<Task<Result<int>>()> run;
  // The client has gone before the program ended.
  std::function<void()> abandon;
  // The client has no more input; called when all of it was delivered.
  std::function<void()> input_ended;
};

// Turns the request into channels: answers it, and for SPDY waits until the client has opened its streams. Null: it was
// refused or went away, which has been answered. The channels must not outlive the exchange.
Task<std::unique_ptr<Channels>> OpenChannels(http::ExchangePtr exchange, asio::any_io_executor executor, Clock& clock,
                                             RemoteOptions options);

// Carries bytes until the program has ended or the client has gone; then tells the outcome and waits for the client to
// close. Everything is bounded: output is read from the program only as fast as the client takes it.
Task<> RunRemoteCommand(std::shared_ptr<Channels> channels, asio::any_io_executor executor, Clock& clock,
                        RemoteProgram program);

// The metav1.Status that tells a remote command's outcome, and the text for protocols before v4 ("" = success).
struct RemoteOutcome {
  std::string status, text;
};
RemoteOutcome OutcomeOf(const Result<int>& end);

}  // namespace wherry::streams
