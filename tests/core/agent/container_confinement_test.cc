#include "core/agent/container_confinement.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/agent/container_files.h"
#include "core/agent/pod_env.h"

namespace wherry {
namespace {

constexpr uint64_t kUsual = 0xa80425fb;  // CapEff of a container that asks for nothing, as everywhere else

Json PodOf(const std::string& pod_context, const std::string& context) {
  Json pod = {{"metadata", {{"name", "web"}, {"namespace", "ns"}, {"uid", "u"}}},
              {"spec", {{"containers", Json::array({{{"name", "app"}}})}}}};
  if (!pod_context.empty()) pod["spec"]["securityContext"] = Json::parse(pod_context);
  if (!context.empty()) pod["spec"]["containers"][0]["securityContext"] = Json::parse(context);
  return pod;
}

}  // namespace

TEST_CASE("users, groups, capabilities and system calls of a container") {
  struct Case {
    const char* what;
    const char* pod_context;
    const char* context;
    int64_t agent;
    bool sandbox;
    // Literal expectations
    const char* error;  // reason, or ""
    int64_t user, group;
    std::vector<int64_t> groups;
    bool limited;
    uint64_t capabilities;
    size_t notes;
  };
  const Case cases[] = {
      {"nothing, root", "", "", 0, false, "", -1, -1, {}, false, 0, 0},
      {"nothing, root, sandbox", "", "", 0, true, "", -1, -1, {}, true, kUsual, 0},
      {"nothing, user", "", "", 1000, false, "", -1, -1, {}, false, 0, 0},
      {"nothing, user, sandbox", "", "", 1000, true, "", -1, -1, {}, true, kUsual, 0},
      {"user",
       R"({"runAsUser":5,"runAsGroup":6,"supplementalGroups":[7],"fsGroup":8})",
       "",
       0,
       false,
       "",
       5,
       6,
       {7, 8},
       false,
       0,
       0},
      {"the container's own", R"({"runAsUser":5})", R"({"runAsUser":9})", 0, true, "", 9, 9, {}, true, kUsual, 0},
      {"another, user", R"({"runAsUser":5})", "", 1000, false, "", -1, -1, {}, false, 0, 1},
      {"itself, user", R"({"runAsUser":1000})", "", 1000, false, "", -1, -1, {}, false, 0, 0},
      {"another, user, sandbox", R"({"runAsUser":5,"runAsGroup":6})", "", 1000, true, "", 5, 6, {}, true, kUsual, 0},
      {"groups, user, sandbox",
       R"({"supplementalGroups":[7]})",
       "",
       1000,
       true,
       "CreateContainerError",
       0,
       0,
       {},
       false,
       0,
       0},
      {"fsGroup, user, sandbox", R"({"fsGroup":7})", "", 1000, true, "", -1, -1, {}, true, kUsual, 0},
      {"non-root as root",
       R"({"runAsNonRoot":true})",
       "",
       0,
       false,
       "CreateContainerConfigError",
       0,
       0,
       {},
       false,
       0,
       0},
      {"non-root and 0",
       R"({"runAsNonRoot":true,"runAsUser":0})",
       "",
       1000,
       true,
       "CreateContainerConfigError",
       0,
       0,
       {},
       false,
       0,
       0},
      {"non-root, user", R"({"runAsNonRoot":true})", "", 1000, false, "", -1, -1, {}, false, 0, 0},
      {"non-root, user, sandbox", R"({"runAsNonRoot":true})", "", 1000, true, "", 1000, -1, {}, true, kUsual, 0},
      {"drop all, root", "", R"({"capabilities":{"drop":["ALL"]}})", 0, false, "", -1, -1, {}, true, 0, 0},
      {"drop all, add one",
       "",
       R"({"capabilities":{"drop":["ALL"],"add":["NET_BIND_SERVICE"]}})",
       0,
       true,
       "",
       -1,
       -1,
       {},
       true,
       1 << 10,
       0},
      {"drop one", "", R"({"capabilities":{"drop":["CHOWN"]}})", 0, true, "", -1, -1, {}, true, kUsual - 1, 0},
      {"add, root", "", R"({"capabilities":{"add":["SYS_TIME"]}})", 0, true, "", -1, -1, {}, true, kUsual | 1 << 25, 0},
      {"add, user, sandbox",
       "",
       R"({"capabilities":{"add":["SYS_TIME"]}})",
       1000,
       true,
       "CreateContainerError",
       0,
       0,
       {},
       false,
       0,
       0},
      {"to look at its own, user, sandbox",
       "",
       R"({"capabilities":{"add":["SYS_PTRACE"]}})",
       1000,
       true,
       "",
       -1,
       -1,
       {},
       true,
       kUsual | 1 << 19,
       0},
      {"add, user", "", R"({"capabilities":{"add":["SYS_TIME"]}})", 1000, false, "", -1, -1, {}, false, 0, 1},
      {"unknown", "", R"({"capabilities":{"add":["FLY"]}})", 0, true, "CreateContainerError", 0, 0, {}, false, 0, 0},
      {"privileged, root", "", R"({"privileged":true})", 0, true, "", -1, -1, {}, false, 0, 0},
      {"read-only root, host", "", R"({"readOnlyRootFilesystem":true})", 0, false, "", -1, -1, {}, false, 0, 1},
      {"profile of a file",
       R"({"seccompProfile":{"type":"Localhost","localhostProfile":"x"}})",
       "",
       0,
       true,
       "CreateContainerError",
       0,
       0,
       {},
       false,
       0,
       0},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const Json pod = PodOf(c.pod_context, c.context);
    ContainerSpec spec;
    spec.confinement.sandbox = c.sandbox;
    std::vector<std::string> notes;
    const Status status = PlanSecurity(pod, pod["spec"]["containers"][0], {c.agent, c.agent}, -1, -1, spec, notes);
    INFO(status.message());
    REQUIRE((status.ok() ? "" : WaitingReason(status, "")) == c.error);
    if (!status.ok()) continue;
    CHECK(spec.run_as_user == c.user);
    CHECK(spec.run_as_group == c.group);
    CHECK(spec.confinement.groups == c.groups);
    CHECK(spec.confinement.limit_capabilities == c.limited);
    CHECK(spec.confinement.capabilities == c.capabilities);
    CHECK(notes.size() == c.notes);
  }
  const Json pod = PodOf(R"({"seccompProfile":{"type":"RuntimeDefault"}})", "");
  ContainerSpec spec;
  std::vector<std::string> notes;
  REQUIRE(PlanSecurity(pod, pod["spec"]["containers"][0], {0, 0}, -1, -1, spec, notes).ok());
  CHECK(spec.confinement.default_system_calls);
}

TEST_CASE("whom a container asks for names") {
  const ResolverConfig machine =
      ParseResolver("# comment\nnameserver 9.9.9.9\nsearch a b\nsearch corp\noptions ndots:2 rotate\n");
  CHECK(ResolverFile(machine) == "nameserver 9.9.9.9\nsearch corp\noptions ndots:2 rotate\n");
  struct Case {
    const char* spec;
    const char* dns;
    const char* file;
  };
  const Case cases[] = {
      {R"({})", "127.1.0.10",
       "nameserver 127.1.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local corp\noptions ndots:5\n"},
      {R"({})", "", "nameserver 9.9.9.9\nsearch corp\noptions ndots:2 rotate\n"},
      {R"({"dnsPolicy":"Default"})", "127.1.0.10", "nameserver 9.9.9.9\nsearch corp\noptions ndots:2 rotate\n"},
      {R"({"hostNetwork":true})", "127.1.0.10", "nameserver 9.9.9.9\nsearch corp\noptions ndots:2 rotate\n"},
      {R"({"hostNetwork":true,"dnsPolicy":"ClusterFirstWithHostNet"})", "127.1.0.10",
       "nameserver 127.1.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local corp\noptions ndots:5\n"},
      {R"({"dnsPolicy":"None","dnsConfig":{"nameservers":["1.1.1.1"],"searches":["x"],"options":[{"name":"debug"}]}})",
       "127.1.0.10", "nameserver 1.1.1.1\nsearch x\noptions debug\n"},
      {R"({"dnsConfig":{"searches":["x","corp"],"options":[{"name":"ndots","value":"1"}]}})", "127.1.0.10",
       "nameserver 127.1.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local corp x\noptions ndots:1\n"},
  };
  for (const Case& c : cases) {
    INFO(c.spec);
    Json pod = PodOf("", "");
    pod["spec"].update(Json::parse(c.spec));
    CHECK(ResolverFile(PlanResolver(pod, machine, c.dns)) == c.file);
  }
}

TEST_CASE("limits, and whose number of processes counts") {
  struct Case {
    const char* annotation;  // of the pod; null = none
    int64_t server;
    int64_t limit;  // -1 = refused
  };
  const Case cases[] = {{nullptr, 4096, 4096}, {nullptr, 0, 0}, {"64", 4096, 64}, {"64", 0, 64},  {"-1", 4096, 0},
                        {"0", 4096, 0},        {"many", 9, -1}, {"-2", 9, -1},    {"64 ", 9, -1}, {"", 9, -1}};
  for (const Case& c : cases) {
    INFO((c.annotation ? c.annotation : "none"));
    Json pod = PodOf("", "");
    pod["spec"]["containers"][0]["resources"]["limits"] = {{"cpu", "250m"}, {"memory", "1Mi"}};
    if (c.annotation) pod["metadata"]["annotations"][std::string(kMaxPidsKey)] = c.annotation;
    warden::Confinement confinement;
    const Status planned = PlanLimits(pod, pod["spec"]["containers"][0], c.server, confinement);
    CHECK(planned.ok() == (c.limit >= 0));
    if (c.limit >= 0) CHECK(confinement.pids_limit == c.limit);
    CHECK(confinement.cpu_limit == 250);
    CHECK(confinement.memory_limit == 1 << 20);
  }
}

TEST_CASE("mounts come in order, and projections are read-only") {
  Json pod = PodOf("", "");
  pod["spec"]["volumes"] = Json::parse(R"json([{"name":"c","configMap":{"name":"x"}},{"name":"e","emptyDir":{}},
    {"name":"p","persistentVolumeClaim":{"claimName":"y","readOnly":true}}])json");
  pod["spec"]["containers"][0]["volumeMounts"] = Json::parse(R"json([{"name":"e","mountPath":"/a/b"},
    {"name":"c","mountPath":"/a"},{"name":"p","mountPath":"/p"},{"name":"e","mountPath":"data//x/"}])json");
  const MountMap places = {{"/a/b", "/v/e"}, {"/a", "/v/c"}, {"/p", "/v/p"}, {"data//x", "/v/e"}};
  const auto mounts = PlanMounts(pod, pod["spec"]["containers"][0], places);
  std::string text;
  for (const auto& mount : mounts) text += mount.source + ">" + mount.target + (mount.read_only ? " ro\n" : "\n");
  CHECK(text == "/v/c>/a ro\n/v/e>/a/b\n/v/e>/data/x\n/v/p>/p ro\n");
}

}  // namespace wherry
