#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/network/proxy.h"

namespace wherry {

// A proxy on a thread of its own and a manual clock.
class ProxyThreadFixture {
 public:
  explicit ProxyThreadFixture(ProxyOptions options = {}) {
    proxy_ = std::make_unique<Proxy>(io_, clock_, options, [this](ListenReport report) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(std::move(report));
    });
    thread_ = std::thread([this] { io_.run(); });
  }
  ~ProxyThreadFixture() { Stop(); }

  void Stop() {
    if (!thread_.joinable()) return;
    Call([this] { proxy_->Close(); });
    guard_.reset();
    thread_.join();
  }

  // Runs on the proxy's thread and waits for it.
  void Call(std::function<void()> fn) {
    std::promise<void> done;
    asio::post(io_, [&] {
      fn();
      done.set_value();
    });
    done.get_future().wait();
  }
  void Advance(Duration duration) {
    Call([&] {
      const Time end = clock_.Now() + duration;
      while (clock_.FireNext(end - clock_.Now())) {
      }
      clock_.MoveTo(end);
    });
  }
  size_t connections() {
    size_t out = 0;
    Call([&] { out = proxy_->connections(); });
    return out;
  }
  size_t flows() {
    size_t out = 0;
    Call([&] { out = proxy_->flows(); });
    return out;
  }
  std::vector<ListenReport> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  // One port of one Service, "default/web".
  void Set(PortRule rule) {
    auto made = std::make_shared<ServiceRule>();
    made->ports.push_back(std::move(rule));
    Call([&] { proxy_->SetService("default/web", made); });
  }
  void Remove() {
    Call([&] { proxy_->SetService("default/web", nullptr); });
  }
  Proxy& proxy() { return *proxy_; }

 private:
  asio::io_context io_;
  ManualClock clock_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
  std::unique_ptr<Proxy> proxy_;
  std::mutex mutex_;
  std::vector<ListenReport> reports_;
  std::thread thread_;
};

}  // namespace wherry
