#pragma once

#include <asio/async_result.hpp>
#include <asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "core/runtime/task.h"

namespace wherry {

// Turns a callback API into something to co_await: `start` is given a copyable callback that takes a T, to be called
// once, on the control thread, not from inside `start`. Pass a named, moved lambda: GCC 12 miscompiles capturing
// temporaries of a co_await. When the callback is dropped uncalled, the coroutine is destroyed with it.
template <typename T, typename Start>
Task<T> AwaitCallback(Start start) {
  using Token = asio::use_awaitable_t<asio::any_io_executor>;
  Token token;
  // Named, not a temporary of the co_await expression: GCC 12 copies the captures of those bit by bit.
  auto initiation = [start = std::move(start)](auto handler) mutable {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    start([shared](T value) { std::move (*shared)(std::move(value)); });
  };
  T answer = co_await asio::async_initiate<Token, void(T)>(std::move(initiation), token);
  co_return answer;
}

}  // namespace wherry
