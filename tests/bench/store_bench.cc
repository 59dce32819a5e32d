// Durable creates per second through ObjectStore, against the bare SQLite transactions underneath, in the same run on
// the same disk: the figure that counts is the ratio, which other machines reproduce.
//
//   store_bench [seconds-per-measurement] [directory]

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "store/object_store.h"
#include "store/schema.h"
#include "store/watch_cache.h"
#include "tests/bench/arguments.h"

namespace wherry {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct Figure {
  double per_second = 0;
  double cpu_micros = 0;  // per create, all threads
};

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Measurement {
 public:
  explicit Measurement(double seconds)
      : end_(start_ + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(seconds))) {}
  bool over() const { return SteadyClock::now() >= end_; }
  Figure Of(uint64_t creates) const {
    const double took = std::chrono::duration<double>(SteadyClock::now() - start_).count();
    const auto n = static_cast<double>(creates);
    return {n / took, (CpuSeconds() - cpu_) * 1e6 / n};
  }

 private:
  const SteadyClock::time_point start_ = SteadyClock::now();
  const SteadyClock::time_point end_;
  const double cpu_ = CpuSeconds();
};

Json Document(uint64_t i) {
  Json doc = {{"apiVersion", "v1"},
              {"kind", "ConfigMap"},
              {"metadata",
               {{"name", "object-" + std::to_string(i)},
                {"namespace", "default"},
                {"uid", "00000000-0000-4000-8000-000000000000"}}},
              {"data", {{"value", ""}}}};
  doc["data"]["value"] = std::string(1024 - doc.dump().size(), 'x');
  return doc;
}

// The least that SQLite can do: the row, and nothing else, `group` of them per transaction.
Figure Bare(const std::string& path, Durability durability, size_t group, double seconds) {
  auto db = OpenDatabase(path, durability);
  if (!db.ok()) throw std::runtime_error(db.status().message());
  (*db)->Exec("CREATE TABLE bare (id INTEGER PRIMARY KEY, body BLOB)");
  sqlite::TransactionStatements statements(**db);
  sqlite::Statement insert(**db, "INSERT INTO bare VALUES (?1, ?2)");
  const std::string body = Document(0).dump();
  Measurement measurement(seconds);
  uint64_t count = 0;
  while (!measurement.over()) {
    sqlite::Transaction transaction(statements);
    for (size_t i = 0; i < group; ++i) insert.Run(++count, sqlite::Statement::AsBlob(body));
    transaction.Commit();
    if ((*db)->wal_pages() >= 1024) (*db)->Checkpoint();
  }
  return measurement.Of(count);
}

// Everything a create costs below the API: serialise, queue, check, commit, cache, publish, answer.
Figure Through(const std::string& path, Durability durability, size_t in_flight, double seconds) {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> posted;

  StoreOptions options;
  options.path = path;
  options.durability = durability;
  options.post = [&](std::function<void()> fn) {
    const std::lock_guard lock(mutex);
    posted.push_back(std::move(fn));
    wake.notify_one();
  };
  auto opened = ObjectStore::Open(options);
  if (!opened.ok()) throw std::runtime_error(opened.status().message());
  std::unique_ptr<ObjectStore> store = std::move(opened).value();
  EventBus bus;
  WatchCache cache(bus);
  cache.SetRevision(store->start_revision());
  store->set_on_event([&](EventPtr event) { cache.Apply(std::move(event)); });
  store->set_lookup([&](const ObjectKey& key) { return cache.Get(key); });

  Measurement measurement(seconds);
  uint64_t asked = 0;
  uint64_t done = 0;
  Json document = Document(0);
  std::function<void()> create = [&] {
    Mutation m;
    m.key = {"configmaps", "default", "object-" + std::to_string(++asked)};
    document["metadata"]["name"] = m.key.name;
    m.uid = "00000000-0000-4000-8000-000000000000";
    m.draft = Draft(document);
    store->Commit(std::move(m), [&](Result<ObjectPtr> result) {
      if (!result.ok()) throw std::runtime_error(result.status().message());
      ++done;
      if (!measurement.over()) create();
    });
  };
  for (size_t i = 0; i < in_flight; ++i) create();
  while (done < asked) {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return !posted.empty(); });
    auto fn = std::move(posted.front());
    posted.pop_front();
    lock.unlock();
    fn();
  }
  return measurement.Of(done);
}

int Main(int argc, char** argv) {
  const char* usage = "store_bench [seconds-per-measurement] [directory]";
  bench::CheckArgumentCount(argc, argv, 2, usage);
  const double seconds = bench::NumberArgument(argc, argv, 1, 2, 1, 3600, usage);
  std::string directory = (argc > 2 ? std::string(argv[2]) : std::string(".")) + "/store-bench-XXXXXX";
  if (!::mkdtemp(directory.data())) {
    std::perror(directory.c_str());
    return 1;
  }
  std::printf("%-10s %9s %14s %14s %7s %12s %12s\n", "durability", "in flight", "store/s", "bare/s", "ratio",
              "store cpu", "bare cpu");
  int file = 0;
  for (const auto& [name, durability] :
       {std::pair{"full", Durability::kFull}, std::pair{"normal", Durability::kNormal}}) {
    for (const size_t writers : {size_t{1}, size_t{64}}) {
      const Figure bare = Bare(directory + "/" + std::to_string(++file), durability, writers, seconds);
      const Figure store = Through(directory + "/" + std::to_string(++file), durability, writers, seconds);
      std::printf("%-10s %9zu %14.0f %14.0f %7.2f %9.1f us %9.1f us\n", name, writers, store.per_second,
                  bare.per_second, store.per_second / bare.per_second, store.cpu_micros, bare.cpu_micros);
      std::fflush(stdout);
    }
  }
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) { return wherry::Main(argc, argv); }
