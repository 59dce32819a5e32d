#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {

void BenchDaemonSet(const std::string& program) {
  for (int nodes : {1000, 5000}) {
    Server server(program, 0);
    CreateMany(server, "/api/v1/nodes", nodes, [](int i) {
      return Json{{"apiVersion", "v1"},
                  {"kind", "Node"},
                  {"metadata", {{"name", "n" + std::to_string(i)}, {"labels", {{"wherry.dev/runtime", "simulated"}}}}}};
    });
    Await(server, "/api/v1/nodes", 60, [nodes](const Json& list) {
      int ready = 0;
      for (const Json& node : ListAt(list, "items")) {
        for (const Json& c : ListAt(node, "status.conditions"))
          ready += StringAt(c, "type") == "Ready" && StringAt(c, "status") == "True";
      }
      return ready == nodes;
    });
    ::usleep(1'000'000);
    const Json set = Json::parse(
        R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":
      {"app":"d"}},"template":{"metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"c","image":"x","command":["x"]}]}}}})");
    const double cpu_before = CpuOf(server.pid());
    const auto start = Steady::now();
    CreateMany(server, "/apis/apps/v1/namespaces/default/daemonsets", 1, [&](int) { return set; });
    const bool all = Await(server, "/apis/apps/v1/namespaces/default/daemonsets/d", 120,
                           [nodes](const Json& d) { return IntAt(d, "status.numberAvailable") == nodes; });
    std::printf(
        "daemonset over %d simulated nodes: all available after %.2f s%s; %.2f s server CPU; %.0f MiB resident\n",
        nodes, Since(start), all ? "" : " (GAVE UP)", CpuOf(server.pid()) - cpu_before, ResidentMib(server.pid()));
  }
}

void BenchMemory(const std::string& program) {
  constexpr int kPods = 5000;
  Server server(program, 0);
  ::usleep(500'000);
  const double before = ResidentMib(server.pid());
  CreateMany(server, kPodsPath, kPods, [](int i) { return Pod("p" + std::to_string(i)); });
  Loop loop;
  const double body = static_cast<double>(loop.Call(server, "GET", std::string(kPodsPath) + "/p0").dump().size());
  ::usleep(500'000);
  const double after = ResidentMib(server.pid());
  std::printf("memory: %.0f bytes resident per stored pod (%d pods of %.0f bytes as JSON): ratio %.1f\n",
              (after - before) * 1048576 / kPods, kPods, body, (after - before) * 1048576 / kPods / body);
}
}  // namespace wherry::bench
