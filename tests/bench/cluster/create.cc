#include <sqlite3.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {
namespace {

// 1 KiB rows, `group` to a durable transaction, for a while: what SQLite itself does. Gives rows per second, and the
// CPU seconds of one.
std::pair<double, double> BareSqlite(const std::string& directory, int group, double seconds) {
  const std::string path = directory + "/bare.db";
  sqlite3* db = nullptr;
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK) Die("sqlite3_open");
  sqlite3_exec(
      db,
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, b BLOB)",
      nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(db, "INSERT INTO t(b) VALUES(?)", -1, &insert, nullptr);
  const std::string row(1024, 'x');
  uint64_t rows = 0;
  const auto start = Steady::now();
  const double cpu_before = CpuOf(::getpid());
  while (Since(start) < seconds) {
    sqlite3_exec(db, "BEGIN", nullptr, nullptr, nullptr);
    for (int i = 0; i < group; ++i, ++rows) {
      sqlite3_bind_blob(insert, 1, row.data(), static_cast<int>(row.size()), SQLITE_STATIC);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr);
  }
  const double took = Since(start);
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return {static_cast<double>(rows) / took, (CpuOf(::getpid()) - cpu_before) / static_cast<double>(rows)};
}

}  // namespace

void BenchCreate(const std::string& program) {
  for (int clients : {1, 64}) {
    Server server(program, 0);
    Load load = TimedLoad(3, [](http::ClientRequest& request, uint64_t n) {
      request.method = "POST";
      request.target = "/api/v1/namespaces/default/configmaps";
      request.headers = {{"Content-Type", "application/json"}};
      request.body = ConfigMap("c" + std::to_string(n));
    });
    const double before = CpuOf(server.pid());
    const double took = RunLoad(server.client(), clients, load);
    const double cpu = CpuOf(server.pid()) - before;
    const double rate = static_cast<double>(load.done) / took;
    const auto [bare, bare_cpu] = BareSqlite(server.directory(), clients, 1.5);
    std::printf(
        "create 1 KiB, durable, %2d client%s: %.0f/s; bare SQLite in groups of %d: %.0f/s; ratio %.2f; %.0f us server "
        "CPU each (SQLite alone %.0f us); %llu failed\n",
        clients, clients == 1 ? " " : "s", rate, clients, bare, rate / bare, cpu / static_cast<double>(load.done) * 1e6,
        bare_cpu * 1e6, static_cast<unsigned long long>(load.failed));
  }
}
}  // namespace wherry::bench
