#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/network/proxy.h"
#include "tests/core/network/loop_thread.h"

namespace wherry {

// A proxy on a thread of its own and a manual clock.
class ProxyThreadFixture {
 public:
  explicit ProxyThreadFixture(ProxyOptions options = {}) {
    proxy_ = std::make_unique<Proxy>(loop_.io(), loop_.clock(), options, [this](ListenReport report) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(std::move(report));
    });
    loop_.Start();
  }
  ~ProxyThreadFixture() { Stop(); }

  void Stop() {
    if (!loop_.running()) return;
    Call([this] { proxy_->Close(); });
    loop_.Stop();
  }

  void Call(const std::function<void()>& fn) { loop_.Call(fn); }
  void Advance(Duration duration) { loop_.Advance(duration); }
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
  LoopThread loop_;
  std::unique_ptr<Proxy> proxy_;
  std::mutex mutex_;
  std::vector<ListenReport> reports_;
};

}  // namespace wherry
