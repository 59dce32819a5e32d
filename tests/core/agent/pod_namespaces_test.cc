#include "core/agent/pod_namespaces.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

Json PodOf(const char* spec) {
  Json pod = Json::parse(R"({"metadata":{"name":"web","namespace":"ns","uid":"u"},"spec":{}})");
  pod["spec"] = Json::parse(spec);
  return pod;
}

}  // namespace

TEST_CASE("which pods have a pause, and what it is") {
  struct Row {
    const char* spec;
    bool wants;
    bool host_pid, host_ipc;
  };
  const Row rows[] = {
      {R"({"containers":[{"name":"a"}]})", false, true, false},
      {R"({"containers":[{"name":"a"}],"ephemeralContainers":[{"name":"e"}]})", false, true, false},
      {R"({"containers":[{"name":"a"},{"name":"b"}]})", true, true, false},
      {R"({"containers":[{"name":"a"}],"initContainers":[{"name":"b"}]})", true, true, false},
      {R"({"containers":[{"name":"a"}],"shareProcessNamespace":true})", true, false, false},
      {R"({"containers":[{"name":"a"},{"name":"b"}],"hostIPC":true,"hostPID":true})", true, true, true},
  };
  PodSite site;
  site.node_name = "node";
  for (const Row& row : rows) {
    INFO(row.spec);
    const Json pod = PodOf(row.spec);
    CHECK(WantsPause(pod) == row.wants);
    const ContainerSpec spec = PauseSpec(pod, site, 3);
    CHECK(spec.id == "u/.pause/3");
    CHECK(IsPause(spec.id));
    CHECK(spec.confinement.pause);
    CHECK(spec.confinement.sandbox);
    CHECK(spec.confinement.hostname == "web");
    CHECK(spec.confinement.host_pid == row.host_pid);
    CHECK(spec.confinement.host_ipc == row.host_ipc);
  }
  CHECK_FALSE(IsPause("u/pause/3"));
  CHECK_FALSE(IsPause("u"));
}

TEST_CASE("whom a container shares with") {
  struct Row {
    const char* what;
    const char* spec;
    size_t container;
    std::vector<int> runs;  // of each container: -1 = none yet, 0 = ended, 1 = running; all of attempt 2
    const char* pause;
    bool sandbox;
    const char* shares;
    const char* pids;
    const char* refused;  // reason and message
  };
  const char* one = R"({"containers":[{"name":"a"}],"ephemeralContainers":[{"name":"e"}]})";
  const char* two = R"({"containers":[{"name":"a"},{"name":"b"}],"ephemeralContainers":[{"name":"e"}]})";
  const char* together =
      R"({"shareProcessNamespace":true,"containers":[{"name":"a"}],"ephemeralContainers":[{"name":"e","targetContainerName":"a"}]})";
  const char* targets =
      R"({"containers":[{"name":"a"},{"name":"b"}],"ephemeralContainers":[{"name":"e","targetContainerName":"b"}]})";
  const char* alone = R"({"containers":[{"name":"a"}],"ephemeralContainers":[{"name":"e","targetContainerName":"a"}]})";
  const char* host_pid =
      R"({"hostPID":true,"containers":[{"name":"a"}],"ephemeralContainers":[{"name":"e","targetContainerName":"a"}]})";
  const Row rows[] = {
      {"a plain process", two, 0, {-1, -1, -1}, "", false, "", "", ""},
      {"the only container", one, 0, {-1, -1}, "", true, "", "", ""},
      {"one of two", two, 1, {1, -1, -1}, "u/.pause/0", true, "u/.pause/0", "", ""},
      {"one that shares processes", together, 0, {-1, -1}, "u/.pause/0", true, "u/.pause/0", "u/.pause/0", ""},
      {"ephemeral, with a pause", two, 2, {1, 1, -1}, "u/.pause/0", true, "u/.pause/0", "", ""},
      {"ephemeral, without one", one, 1, {1, -1}, "", true, "u/a/2", "", ""},
      {"ephemeral, and nothing runs", one, 1, {0, -1}, "", true, "", "", ""},
      {"with a target", targets, 2, {1, 1, -1}, "u/.pause/0", true, "u/.pause/0", "u/b/2", ""},
      {"with a target and no pause", alone, 1, {1, -1}, "", true, "u/a/2", "u/a/2", ""},
      {"with a target that shares with all", together, 1, {1, -1}, "u/.pause/0", true, "u/.pause/0", "u/.pause/0", ""},
      {"with a target among the machine's", host_pid, 1, {1, -1}, "", true, "u/a/2", "", ""},
      {"with a target that is between runs",
       targets,
       2,
       {1, 0, -1},
       "u/.pause/0",
       true,
       "",
       "",
       "CreateContainerError target container b is not running"},
      {"with a target that never ran",
       targets,
       2,
       {1, -1, -1},
       "u/.pause/0",
       true,
       "",
       "",
       "CreateContainerConfigError unable to find target container b"},
      {"a plain process with a target", targets, 2, {1, 0, -1}, "", false, "", "", ""},
      {"a plain process with one that never ran",
       targets,
       2,
       {1, -1, -1},
       "",
       false,
       "",
       "",
       "CreateContainerConfigError unable to find target container b"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const Json pod = PodOf(row.spec);
    const PodInfo info(pod);
    PodRecord record;
    record.containers.resize(info.containers.size());
    for (size_t i = 0; i < row.runs.size(); ++i) {
      if (row.runs[i] < 0) continue;
      Run run;
      run.attempt = 2;
      run.running = row.runs[i] == 1;
      record.containers[i].current = run;
    }
    warden::Confinement confinement;
    confinement.sandbox = row.sandbox;
    confinement.host_pid = pod["spec"].value("hostPID", false);
    confinement.hostname = "web";
    const Status status = ShareNamespaces(pod, info, record, row.container, row.pause, confinement);
    const std::string refused = status.ok() ? "" : WaitingReason(status, "") + " " + status.message();
    CHECK(refused == row.refused);
    if (!status.ok()) continue;
    CHECK(confinement.shares == row.shares);
    CHECK(confinement.shares_pids == row.pids);
    CHECK(confinement.hostname == (*row.shares != '\0' ? "" : "web"));
  }
}

}  // namespace wherry
