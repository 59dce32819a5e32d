#pragma once

#include <asio/async_result.hpp>
#include <asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "core/runtime/task.h"

namespace wherry {

// Turns a callback API into something to co_await: `start` is given a copyable callback that takes a T, to be called once, on the
// control thread, not from inside `start`. When the callback is dropped uncalled, the coroutine is destroyed with it.
template <typename T, typename Start>
Task<T> AwaitCallback(Start start) {
  using Token = asio::use_awaitable_t<asio::any_io_executor>;
  Token token;
  T answer = co_await asio::async_initiate<Token, void(T)>(
      [start = std::move(start)](auto handler) mutable {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        start([shared](T value) { std::move (*shared)(std::move(value)); });
      },
      token);
  co_return answer;
}

}  // namespace wherry
