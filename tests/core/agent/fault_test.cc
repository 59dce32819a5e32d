// Faults that an agent lives through: what it keeps stays bounded, and it goes on when the fault is over.
#include <catch2/catch.hpp>
#include <fstream>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"
#include "tests/support/small_disk.h"

using namespace wherry;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

TEST_CASE("a container that restarts three thousand times leaves no trail") {
  AgentCluster c;
  c.AddNode("a");
  c.AddPod("web", "a", Json::object(), {{std::string(kSimulateKey), R"({"exitCode":1,"exitAfter":"1s"})"}});
  c.cluster.Advance(1h);
  const size_t status = c.Pod("web").dump().size();
  const size_t events = c.cluster.List("events").size();
  REQUIRE(c.Restarts("web") > 5);
  while (c.Restarts("web") < 3000) c.cluster.Advance(12h);
  CHECK(c.Pod("web").dump().size() <= status + 20);  // the count has more digits
  CHECK(c.cluster.List("events").size() <= events + 2);
  CHECK(c.cluster.Run(c.simulated.List()).size() <= 2);
  CHECK(c.pool->pod_count() == 1);
}

TEST_CASE("the logs of hundreds of runs are those of the last two") {
  AgentCluster c;
  c.AddNode("a", false);
  c.AddPod("web", "a",
           {{"containers", Json::array({{{"name", "app"},
                                         {"image", "app:1"},
                                         {"command", {"app"}},
                                         {"env", Json::array({{{"name", std::string(kSimulateVariable)},
                                                               {"value", R"({"exitCode":1})"}}})}}})}});
  c.cluster.Settle();
  const std::string uid = c.Pod("web")["metadata"]["uid"];
  const fs::path logs = c.data_dir / "logs" / ("default_web_" + uid) / "app";
  for (int i = 0; i < 200; ++i) {
    std::ofstream(logs / (std::to_string(c.Restarts("web")) + ".log")) << "a line\n";
    c.cluster.Advance(5min);
  }
  CHECK(c.Restarts("web") > 190);
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(logs)) count += entry.path().extension() == ".log" ? 1 : 0;
  CHECK(count <= 2);
  CHECK(c.cluster.Run(c.processes.List()).size() <= 2);
}

TEST_CASE("a full disk holds a pod whose volumes do not fit, until there is room") {
  SmallDisk disk("2m");
  if (!disk.ok()) return;
  AgentCluster c;
  c.cluster.Create({{"apiVersion", "v1"},
                    {"kind", "ConfigMap"},
                    {"metadata", {{"name", "big"}, {"namespace", "default"}}},
                    {"data", {{"file", std::string(300'000, 'x')}}}});
  c.AddNode("a", false);
  disk.Fill();
  const Json volumes = Json::array({{{"name", "big"}, {"configMap", {{"name", "big"}}}}});
  c.AddPod("web", "a", {{"volumes", volumes}});
  c.cluster.Advance(1min);
  CHECK(c.Phase("web") == "Pending");
  CHECK(c.State("web") == "waiting ContainerCreating");
  CHECK(c.Events("web").at(0) == "FailedMount");
  CHECK(c.processes.starts() == 0);
  disk.MakeRoom();
  c.cluster.Advance(5min);
  CHECK(c.Phase("web") == "Running");
  const std::string uid = c.Pod("web")["metadata"]["uid"];
  CHECK(fs::file_size(c.data_dir / "pods" / uid / "volumes" / "big" / "file") == 300'000);

  // An update that does not fit leaves the files as they were, whole.
  disk.Fill();
  c.cluster.Update(c.cluster.Get(resources::kConfigMaps, "default", "big"),
                   [](Json& map) { map["data"]["file"] = std::string(400'000, 'y'); });
  c.cluster.Settle();
  CHECK(fs::file_size(c.data_dir / "pods" / uid / "volumes" / "big" / "file") == 300'000);
  CHECK(c.State("web") == "running");
  const auto entries = [&] {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(c.data_dir / "pods" / uid / "volumes" / "big"))
      ++count;
    return count;
  };
  const size_t before = entries();
  c.cluster.Advance(5min);
  CHECK(entries() == before);  // no halves
  disk.MakeRoom();
  c.cluster.Advance(5min);
  CHECK(fs::file_size(c.data_dir / "pods" / uid / "volumes" / "big" / "file") == 400'000);
}
