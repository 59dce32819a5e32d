#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace wherry {

// Plain blocking sockets for tests, with a time limit on every wait so that nothing hangs. Errors fail the test.

constexpr uint32_t kTestAddress = 0x7f0a0001;  // 127.10.0.1

class TestSocket {
 public:
  TestSocket() = default;
  explicit TestSocket(int fd) : fd_(fd) {}
  ~TestSocket();
  TestSocket(TestSocket&& other) noexcept : fd_(other.Release()) {}
  TestSocket& operator=(TestSocket&& other) noexcept;

  // errno of a refusal goes to `*error` (then the socket is not valid), or fails the test when it is null.
  static TestSocket ConnectTcp(uint32_t address, uint16_t port, int* error = nullptr);
  static TestSocket ConnectUdp(uint32_t address, uint16_t port);
  static TestSocket ListenTcp(uint32_t address, uint16_t port = 0);
  static TestSocket BindUdp(uint32_t address, uint16_t port = 0);

  bool valid() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  uint16_t port() const;
  int Release();
  void Send(const std::string& bytes) const;
  // Up to `size` bytes as they come; "" at the end. A reset reads as "reset".
  std::string Receive(size_t size = 65536) const;
  std::string ReceiveAll() const;
  void EndSending() const;
  void Reset();
  void Close();

 private:
  int fd_ = -1;
};

// Accepts connections and gives each to `serve` on a thread of its own, until destroyed.
class TestServer {
 public:
  TestServer(uint32_t address, std::function<void(TestSocket&)> serve, uint16_t port = 0);
  ~TestServer();
  uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }

 private:
  TestSocket listener_;
  uint16_t port_;
  std::atomic<int> accepted_{0};
  std::function<void(TestSocket&)> serve_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::thread accepts_;
};

// Open descriptors of this process.
int CountDescriptors();

}  // namespace wherry
