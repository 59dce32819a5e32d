#pragma once

#include <stdlib.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "store/object_store.h"
#include "store/watch_cache.h"

namespace wherry {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "wherry-store-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The control thread's event loop, reduced to what the store needs of it: functions posted from any thread, run in
// order by whoever waits.
class ControlLoop {
 public:
  std::function<void(std::function<void()>)> poster() {
    return [this](std::function<void()> fn) {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(fn));
      wake_.notify_one();
    };
  }
  // Runs posted functions until `done` says so; fails loudly rather than hang.
  void RunUntil(const std::function<bool()>& done) {
    while (!done()) {
      std::unique_lock lock(mutex_);
      if (!wake_.wait_for(lock, std::chrono::seconds(60), [this] { return !queue_.empty(); })) {
        throw std::runtime_error("nothing was posted for 60 s");
      }
      RunFront(lock);
    }
  }
  // Runs what has been posted so far.
  size_t Drain() {
    size_t count = 0;
    std::unique_lock lock(mutex_);
    while (!queue_.empty()) {
      RunFront(lock);
      ++count;
      lock.lock();
    }
    return count;
  }

 private:
  void RunFront(std::unique_lock<std::mutex>& lock) {
    auto fn = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    fn();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
};

inline Json Doc(const std::string& name, const std::string& uid, const std::string& value, size_t padding = 0) {
  Json doc = {{"apiVersion", "v1"},
              {"kind", "ConfigMap"},
              {"metadata", {{"name", name}, {"uid", uid}}},
              {"data", {{"v", value}}}};
  if (padding > 0) doc["data"]["padding"] = std::string(padding, 'x');
  return doc;
}

inline Mutation Create(ObjectKey key, const std::string& uid, const std::string& value, size_t padding = 0) {
  Mutation m;
  m.op = Mutation::Op::kCreate;
  m.draft = Draft(Doc(key.name, uid, value, padding));
  m.uid = uid;
  m.key = std::move(key);
  return m;
}

inline Mutation Update(ObjectKey key, const std::string& uid, const std::string& value, size_t padding = 0) {
  Mutation m = Create(std::move(key), uid, value, padding);
  m.op = Mutation::Op::kUpdate;
  return m;
}

inline Mutation Delete(ObjectKey key) {
  Mutation m;
  m.op = Mutation::Op::kDelete;
  m.key = std::move(key);
  return m;
}

// A store with its cache and bus, wired as the server wires them.
class StoreFixture {
 public:
  explicit StoreFixture(StoreOptions options, size_t ring_capacity = 4096)
      : options_(std::move(options)), ring_(ring_capacity) {
    options_.post = loop.poster();
    options_.now = [this] { return now.load(); };
    const Status status = TryOpen();
    if (!status.ok()) throw std::runtime_error(status.message());
  }
  ~StoreFixture() { Close(); }

  static StoreOptions Inline(std::string path = ":memory:") {
    StoreOptions options;
    options.path = std::move(path);
    options.durability = Durability::kMemory;
    options.inline_writes = true;
    return options;
  }
  static StoreOptions Threaded(std::string path, Durability durability = Durability::kMemory) {
    StoreOptions options;
    options.path = std::move(path);
    options.durability = durability;
    return options;
  }

  Status TryOpen() {
    bus = std::make_unique<EventBus>();
    cache = std::make_unique<WatchCache>(*bus, ring_);
    auto opened = ObjectStore::Open(options_);
    if (!opened.ok()) return opened.status();
    store = std::move(opened).value();
    store->set_on_event([this](EventPtr event) {
      log.push_back(event);
      cache->Apply(std::move(event));
    });
    store->set_lookup([this](const ObjectKey& key) { return cache->Get(key); });
    Status status = store->LoadAll([this](ObjectPtr object) { cache->Load(std::move(object)); });
    cache->SetRevision(store->start_revision());
    return status;
  }
  void Close() {
    store.reset();
    loop.Drain();
  }
  void Restart() {
    Close();
    log.clear();
    const Status status = TryOpen();
    if (!status.ok()) throw std::runtime_error(status.message());
  }

  // Commits and waits for the answer.
  Result<ObjectPtr> Do(Mutation mutation) {
    std::optional<Result<ObjectPtr>> answer;
    store->Commit(std::move(mutation), [&](Result<ObjectPtr> result) { answer.emplace(std::move(result)); });
    loop.RunUntil([&] { return answer.has_value(); });
    return *std::move(answer);
  }
  Result<std::vector<EventPtr>> History(const std::string& resource, uint64_t after, uint64_t upto = UINT64_MAX >> 1) {
    std::optional<Result<std::vector<EventPtr>>> answer;
    store->ReadHistory(resource, after, upto, [&](auto result) { answer.emplace(std::move(result)); });
    loop.RunUntil([&] { return answer.has_value(); });
    return *std::move(answer);
  }
  Status Snapshot(const std::string& path) {
    std::optional<Status> answer;
    store->Snapshot(path, [&](Status status) { answer = std::move(status); });
    loop.RunUntil([&] { return answer.has_value(); });
    return *std::move(answer);
  }

  ControlLoop loop;
  std::atomic<int64_t> now = 1'700'000'000'000'000;
  std::unique_ptr<EventBus> bus;
  std::unique_ptr<WatchCache> cache;
  std::vector<EventPtr> log;  // every event since the (re)start
  std::unique_ptr<ObjectStore> store;

 private:
  StoreOptions options_;
  const size_t ring_;
};

}  // namespace wherry
