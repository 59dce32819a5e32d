#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {

int OpenSqlite(const char* path) {
  sqlite3* db = nullptr;
  if (sqlite3_open(path, &db) != SQLITE_OK) return 1;
  sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(x)", nullptr, nullptr, nullptr);
  return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

void BenchStart(const std::string& program) {
  std::vector<double> ready, bare;
  double rss = 0, warden = 0, cpu = 0;
  for (int i = 0; i < 5; ++i) {
    // A bare process that opens an SQLite database.
    char directory[] = "/tmp/wherry-bench-XXXXXX";
    if (!::mkdtemp(directory)) Die("mkdtemp");
    const auto start = Steady::now();
    const std::string path = std::string(directory) + "/x.db";
    ::waitpid(StartProgram({"/proc/self/exe", "--open-sqlite", path}), nullptr, 0);
    bare.push_back(Since(start));
    std::filesystem::remove_all(directory);

    Server server(program, 3);
    ready.push_back(server.ready_after());
    if (i < 4) continue;
    ::usleep(1'500'000);
    const double before = CpuOf(server.pid());
    ::usleep(10'000'000);
    cpu = (CpuOf(server.pid()) - before) / 10;
    rss = ResidentMib(server.pid());
    warden = ResidentMib(server.warden());
  }
  std::printf("start: 3 Ready nodes after %.1f ms (median of 5); bare process opening SQLite %.1f ms; ratio %.1f\n",
              Quantile(ready, 0.5) * 1e3, Quantile(bare, 0.5) * 1e3, Quantile(ready, 0.5) / Quantile(bare, 0.5));
  std::printf("idle: %.1f MiB server + %.1f MiB warden resident; %.2f %% CPU over 10 s\n", rss, warden, cpu * 100);
}
}  // namespace wherry::bench
