// What the whole cluster costs, against the physical limit of the same machine in the same run. Starts `wherry up` as a
// process of its own, talks to it over TLS like any client, and reads its CPU time and memory from /proc. Bounded in
// time; stops what it starts.
//   cluster_bench WHERRY [section …]      sections: those of the table below; none = all
#include <signal.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/cluster/machine.h"
#include "tests/bench/cluster/sections.h"

namespace {

struct Section {
  const char* name;
  void (*run)(const std::string& program);
};

constexpr Section kSections[] = {
    {"start", wherry::bench::BenchStart},
    {"create", wherry::bench::BenchCreate},
    {"get", wherry::bench::BenchGet},
    {"list", wherry::bench::BenchList},
    {"watch", wherry::bench::BenchWatch},
    {"pods", wherry::bench::BenchPods},
    {"deployment", wherry::bench::BenchDeployment},
    {"daemonset", wherry::bench::BenchDaemonSet},
    {"memory", wherry::bench::BenchMemory},
    {"podstart", wherry::bench::BenchPodStart},
    {"exec", wherry::bench::BenchExec},
    {"forward", wherry::bench::BenchForward},
    {"podmemory", wherry::bench::BenchPodMemory},
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "--open-sqlite") return wherry::bench::OpenSqlite(argv[2]);
  if (arguments.size() == 1 && arguments[0] == "--pour") return wherry::bench::Pour();
  if (arguments.empty()) wherry::bench::Die("usage: cluster_bench WHERRY [section …]");
  std::vector<const Section*> wanted;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const size_t before = wanted.size();
    for (const Section& section : kSections) {
      if (section.name == arguments[i]) wanted.push_back(&section);
    }
    if (wanted.size() == before) wherry::bench::Die("there is no section " + arguments[i]);
  }
  if (arguments.size() == 1) {
    for (const Section& section : kSections) wanted.push_back(&section);
  }
  ::signal(SIGPIPE, SIG_IGN);
  for (const Section* section : wanted) {
    section->run(arguments[0]);
    std::fflush(stdout);
  }
  return 0;
}
