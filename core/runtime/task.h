#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <string>

namespace wherry {

// A coroutine of the control thread. Parameters by value; after a co_await, what you read before may be old.
template <typename T = void>
using Task = asio::awaitable<T, asio::any_io_executor>;

// Starts a root coroutine. An exception that reaches it is a bug: logged with `what`, never thrown into the loop,
// unless the task was cancelled by the stop of its executor.
void Spawn(const asio::any_io_executor& executor, std::string what, Task<> task);

}  // namespace wherry
