#include "api/http/wakeup.h"

#include <asio/async_result.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <cassert>
#include <utility>

namespace wherry::http {

struct Wakeup::Waiter {
  virtual ~Waiter() = default;
  virtual void Resume(const asio::any_io_executor& executor) = 0;
};

template <typename CompletionHandler>
struct Wakeup::WaiterOf : Wakeup::Waiter {
  explicit WaiterOf(CompletionHandler h) : handler(std::move(h)) {}
  void Resume(const asio::any_io_executor& executor) override { asio::post(executor, std::move(handler)); }
  CompletionHandler handler;
};

Wakeup::Wakeup(asio::any_io_executor executor) : executor_(std::move(executor)) {}
Wakeup::~Wakeup() = default;

void Wakeup::Notify() {
  if (!waiter_) {
    notified_ = true;
    return;
  }
  std::unique_ptr<Waiter> waiter = std::move(waiter_);
  waiter->Resume(executor_);
}

Task<> Wakeup::Wait() {
  assert(!waiter_);
  if (std::exchange(notified_, false)) co_return;
  using Token = asio::use_awaitable_t<asio::any_io_executor>;
  Token token;
  auto keep = [this](auto handler) { waiter_ = std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler)); };
  co_await asio::async_initiate<Token, void()>(std::move(keep), token);
}

}  // namespace wherry::http
