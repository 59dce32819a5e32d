// Volumes of running pods follow their sources; on the manual clock, with real files.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/agent/pod_volumes.h"
#include "core/agent/termination_message.h"
#include "core/kinds/base64.h"
#include "core/runtime/object_view.h"
#include "tests/core/agent/agent_fixture.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "absent";
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Json Config(const std::string& name, const std::string& value) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"namespace", "default"}}},
          {"data", {{"a", value}}}};
}

struct Agents : AgentCluster {
  explicit Agents(std::function<void(AgentOptions&)> adjust = {}) : AgentCluster(std::move(adjust)) {
    AddNode("a", false);
  }
  fs::path Volume(const std::string& pod, const std::string& volume) {
    return data_dir / "pods" / cluster.Get("pods", "default", pod)->uid() / "volumes" / volume;
  }
  ObjectPtr PodWith(const std::string& name, const char* volumes, const char* mounts = "[]") {
    Json spec = {{"volumes", Json::parse(volumes)}};
    spec["containers"] = Json::parse(R"([{"name":"app","image":"app:1","command":["app"]}])");
    spec["containers"][0]["volumeMounts"] = Json::parse(mounts);
    return AddPod(name, "a", spec);
  }
  void Set(const std::string& name, const std::string& value) {
    cluster.Update(cluster.Get("configmaps", "default", name), [&](Json& body) { body["data"]["a"] = value; });
  }
};

}  // namespace

TEST_CASE("a ConfigMap volume follows at once; others are left alone") {
  Agents c;
  c.cluster.Create(Config("conf", "1"));
  c.cluster.Create(Config("other", "1"));
  c.PodWith("web", R"([{"name":"v","configMap":{"name":"conf"}},{"name":"w","configMap":{"name":"other"}},
                      {"name":"p","projected":{"sources":[{"configMap":{"name":"conf"}}]}}])");
  const fs::path volume = c.Volume("web", "v"), other = c.Volume("web", "w");
  const fs::path before = fs::read_symlink(volume / "..data"), other_before = fs::read_symlink(other / "..data");
  REQUIRE(Read(volume / "a") == "1");
  const uint64_t writes = c.pool->counters().pod_status_writes;
  c.Set("conf", "2");
  CHECK(Read(volume / "a") == "2");
  CHECK(Read(c.Volume("web", "p") / "a") == "2");
  CHECK(fs::read_symlink(volume / "..data") != before);
  CHECK(fs::read_symlink(other / "..data") == other_before);
  CHECK(c.pool->counters().pod_status_writes == writes);
  CHECK(c.processes.starts() == 1);
  // A change that changes no file touches nothing.
  const fs::path now = fs::read_symlink(volume / "..data");
  c.cluster.Update(c.cluster.Get("configmaps", "default", "conf"),
                   [](Json& body) { body["metadata"]["labels"]["x"] = "y"; });
  CHECK(fs::read_symlink(volume / "..data") == now);
}

TEST_CASE("a Secret volume follows") {
  Agents c;
  c.cluster.Create(Json::parse(
      R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"default"},"data":{"k":"MQ=="}})"));
  c.PodWith("web", R"([{"name":"v","secret":{"secretName":"s","defaultMode":256}}])");
  c.cluster.Update(c.cluster.Get("secrets", "default", "s"), [](Json& body) { body["data"]["k"] = "Mg=="; });
  CHECK(Read(c.Volume("web", "v") / "k") == "2");
  struct stat info {};
  REQUIRE(stat((c.Volume("web", "v") / "k").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0400);
}

TEST_CASE("labels and annotations are shown as they are now") {
  Agents c;
  c.PodWith("web", R"([{"name":"v","downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}},
                      {"path":"note","fieldRef":{"fieldPath":"metadata.annotations['note']"}}]}}])");
  CHECK(Read(c.Volume("web", "v") / "note") == "");
  c.cluster.Update(c.cluster.Get("pods", "default", "web"), [](Json& body) {
    body["metadata"]["labels"]["tier"] = "front";
    body["metadata"]["annotations"]["note"] = "hello";
  });
  CHECK(Read(c.Volume("web", "v") / "labels") == "tier=\"front\"");
  CHECK(Read(c.Volume("web", "v") / "note") == "hello");
}

TEST_CASE("optional sources may come and go; what is needed stays as it was, with a word") {
  Agents c;
  c.cluster.Create(Config("needed", "1"));
  c.PodWith(
      "web",
      R"([{"name":"v","configMap":{"name":"maybe","optional":true}},{"name":"w","configMap":{"name":"needed"}}])");
  CHECK(Read(c.Volume("web", "v") / "a") == "absent");
  c.cluster.Create(Config("maybe", "1"));
  CHECK(Read(c.Volume("web", "v") / "a") == "1");
  c.cluster.Delete("configmaps", "default", "maybe");
  CHECK(Read(c.Volume("web", "v") / "a") == "absent");
  c.cluster.Delete("configmaps", "default", "needed");
  CHECK(Read(c.Volume("web", "w") / "a") == "1");
  CHECK(c.Events("web").back() == "FailedMount");
  c.cluster.Create(Config("needed", "2"));
  CHECK(Read(c.Volume("web", "w") / "a") == "2");
}

TEST_CASE("files that were mounted by subPath do not follow, nor vanish") {
  Agents c;
  c.cluster.Create(Config("conf", "1"));
  c.PodWith("web", R"([{"name":"v","configMap":{"name":"conf"}}])",
            R"([{"name":"v","mountPath":"/etc/a","subPath":"a"}])");
  const fs::path place = ResolveSubPath(c.Volume("web", "v").string(), "a").value();
  c.Set("conf", "2");
  CHECK(Read(place) == "1");
  CHECK(Read(c.Volume("web", "v") / "a") == "2");
}

TEST_CASE("what changed while no server ran is caught up with") {
  Agents c;
  c.cluster.Create(Config("conf", "1"));
  c.PodWith("web", R"([{"name":"v","configMap":{"name":"conf"}}])");
  c.StopAgents();
  c.Set("conf", "2");
  CHECK(Read(c.Volume("web", "v") / "a") == "1");
  c.StartAgents();
  CHECK(Read(c.Volume("web", "v") / "a") == "2");
  c.Set("conf", "3");
  CHECK(Read(c.Volume("web", "v") / "a") == "3");
}

TEST_CASE("tokens are renewed before they end") {
  int issued = 0;
  Clock* clock = nullptr;
  Agents c([&](AgentOptions& with) {
    with.tokens = [&](const std::string& ns, const std::string& account, const std::string& audience, int64_t life,
                      const Json&) -> Result<std::string> {
      const int64_t now = std::chrono::duration_cast<seconds>(clock->Now().time_since_epoch()).count();
      const Json claims = {{"iat", now}, {"exp", now + life}, {"n", ++issued}};
      return ns + "-" + account + "-" + audience + "." + EncodeBase64(claims.dump()) + ".sig";
    };
  });
  clock = &c.cluster.clock();
  c.PodWith("web", R"([{"name":"t","projected":{"sources":[{"serviceAccountToken":
      {"path":"token","audience":"vault","expirationSeconds":1000}}]}}])");
  const fs::path file = c.Volume("web", "t") / "token";
  const std::string first = Read(file);
  CHECK_THAT(first, Catch::StartsWith("default-default-vault."));
  c.cluster.Advance(seconds(799));
  CHECK(Read(file) == first);
  c.cluster.Advance(seconds(1));
  const std::string second = Read(file);
  CHECK(second != first);
  CHECK(issued == 2);
  c.StopAgents();
  c.StartAgents();
  CHECK(Read(file) == second);  // good for a while yet
  c.cluster.Advance(seconds(800));
  CHECK(issued == 3);
}

TEST_CASE("a pod whose emptyDir grows too big is evicted") {
  Agents c;
  c.PodWith("web", R"([{"name":"cache","emptyDir":{"sizeLimit":"64Ki"}},{"name":"free","emptyDir":{}}])");
  std::ofstream(c.Volume("web", "cache") / "small") << std::string(10'000, 'x');
  std::ofstream(c.Volume("web", "free") / "big") << std::string(1'000'000, 'x');
  c.cluster.Advance(seconds(30));
  CHECK(c.Phase("web") == "Running");
  fs::create_directory(c.Volume("web", "cache") / "below");
  std::ofstream(c.Volume("web", "cache") / "below" / "big") << std::string(100'000, 'x');
  c.cluster.Advance(seconds(11));
  const Json pod = c.Pod("web");
  CHECK(StringAt(pod, "status.phase") == "Failed");
  CHECK(StringAt(pod, "status.reason") == "Evicted");
  CHECK(StringAt(pod, "status.message") == "Usage of EmptyDir volume \"cache\" exceeds the limit \"64Ki\". ");
  CHECK(c.processes.running() == 0);
  const std::vector<std::string> events = c.Events("web");
  CHECK(std::find(events.begin(), events.end(), "Evicted") != events.end());
  bool disrupted = false;
  for (const Json& condition : ListAt(pod, "status.conditions"))
    disrupted |= condition.at("type") == "DisruptionTarget" && condition.at("reason") == "TerminationByKubelet";
  CHECK(disrupted);
}

TEST_CASE("emptyDirs in memory are there for the pod's life") {
  if (MemoryVolumes("/x").empty()) {
    WARN("skipped: this machine has no /dev/shm");
    return;
  }
  Agents c;
  const ObjectPtr pod = c.PodWith("web", R"([{"name":"m","emptyDir":{"medium":"Memory"}}])");
  const fs::path place = MemoryVolumes(c.data_dir) / pod->uid() / "m";
  REQUIRE(fs::is_directory(place));
  std::ofstream(place / "x") << "1";
  c.StopAgents();
  c.StartAgents();
  CHECK(Read(place / "x") == "1");
  c.StopAgents();
  fs::remove_all(place);  // as a reboot does
  c.StartAgents();
  CHECK(fs::is_directory(place));
  c.cluster.Delete("pods", "default", "web");
  CHECK(!fs::exists(MemoryVolumes(c.data_dir)));
}

TEST_CASE("fsGroup owns what the pod is given") {
  if (geteuid() != 0) {
    WARN("skipped: only root can give files to a group");
    return;
  }
  Agents c;
  c.cluster.Create(Config("conf", "1"));
  Json spec = {
      {"securityContext", {{"fsGroup", 4321}}},
      {"volumes",
       Json::parse(R"([{"name":"e","emptyDir":{}},{"name":"v","configMap":{"name":"conf","defaultMode":256}}])")}};
  c.AddPod("web", "a", spec);
  struct stat info {};
  REQUIRE(stat(c.Volume("web", "e").c_str(), &info) == 0);
  CHECK(info.st_gid == 4321);
  CHECK((info.st_mode & 02070) == 02070);
  REQUIRE(stat((c.Volume("web", "v") / "a").c_str(), &info) == 0);
  CHECK(info.st_gid == 4321);
  CHECK((info.st_mode & 0777) == 0440);
  c.Set("conf", "2");
  REQUIRE(stat((c.Volume("web", "v") / "a").c_str(), &info) == 0);
  CHECK(info.st_gid == 4321);
}

TEST_CASE("the last words of a container") {
  Agents c;
  const auto end = [&](const std::string& policy, const std::string& message, const std::string& log, int code) {
    static int n = 0;
    const std::string name = "p" + std::to_string(n++);
    Json spec = {{"restartPolicy", "Never"}};
    spec["containers"] = Json::array(
        {{{"name", "app"}, {"image", "app:1"}, {"command", {"app"}}, {"terminationMessagePolicy", policy}}});
    const ObjectPtr pod = c.AddPod(name, "a", spec);
    const fs::path directory = c.data_dir / "pods" / pod->uid() / "app";
    REQUIRE(fs::exists(TerminationFile(directory)));
    std::ofstream(TerminationFile(directory)) << message;
    std::ofstream(c.data_dir / "logs" / ("default_" + name + "_" + pod->uid()) / "app" / "0.log") << log;
    REQUIRE(c.processes.Exit(pod->uid() + "/app/0", code));
    c.cluster.Settle();
    return StringAt(c.Pod(name).at("status").at("containerStatuses").at(0), "state.terminated.message");
  };
  const std::string log =
      "2023-11-14T22:13:20.000000000Z stdout F one\n2023-11-14T22:13:20.000000001Z stderr P two \n"
      "2023-11-14T22:13:20.000000002Z stderr F and a half\n";
  struct Row {
    const char* policy;
    std::string message, log;
    int code;
    std::string shown;
  };
  std::string many, tail;
  for (int i = 0; i < 100; ++i) many += "2023-11-14T22:13:20.000000000Z stdout F l" + std::to_string(i) + "\n";
  for (int i = 20; i < 100; ++i) tail += "l" + std::to_string(i) + "\n";
  const Row rows[] = {
      {"File", "all is well", log, 0, "all is well"},
      {"File", "", log, 1, ""},
      {"FallbackToLogsOnError", "it was me", log, 1, "it was me"},
      {"FallbackToLogsOnError", "", log, 0, ""},
      {"FallbackToLogsOnError", "", log, 1, "one\ntwo and a half\n"},
      {"FallbackToLogsOnError", "", many, 1, tail},
      {"FallbackToLogsOnError", "", "", 1, ""},
      {"File", std::string(5000, 'x'), "", 0, std::string(4096, 'x')},
      {"File", "bad \xff byte", "", 0, "bad \xef\xbf\xbd byte"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.policy, row.message, row.code);
    CHECK(end(row.policy, row.message, row.log, row.code) == row.shown);
  }
}

TEST_CASE("a wake-up is not lost between an obstacle and its removal") {
  Agents c;
  // All within one turn of the loop: the pod has not been told of as obstructed when the ConfigMap comes.
  c.PodWith("web", R"([{"name":"v","configMap":{"name":"conf"}}])");
  CHECK(c.State("web") == "waiting ContainerCreating");
  c.cluster.Create(Config("conf", "1"));
  CHECK(c.State("web") == "running");
}

}  // namespace wherry
