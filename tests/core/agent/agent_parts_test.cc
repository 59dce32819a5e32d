// The small parts of the agent, each by table.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/agent/addresses.h"
#include "core/agent/container_builder.h"
#include "core/agent/heartbeats.h"
#include "core/agent/images.h"
#include "core/agent/pod_env.h"
#include "core/agent/pod_volumes.h"
#include "core/agent/service_env.h"
#include "core/agent/simulation.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct TempDir {
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "wherry-parts-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = fs::canonical(pattern);
  }
  ~TempDir() { fs::remove_all(path); }
  fs::path path;
};

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A cache filled by hand.
struct Cache {
  Cache() {
    Put("configmaps",
        R"json({"kind":"ConfigMap","metadata":{"name":"conf","namespace":"default"},"data":{"A":"1","b.txt":"two","bad=name":"x"},"binaryData":{"bin":"AAE="}})json");
    Put("secrets",
        R"json({"kind":"Secret","metadata":{"name":"sec","namespace":"default"},"data":{"password":"aHVudGVyMg=="}})json");
  }
  void Put(const std::string& resource, const char* text) {
    const Json document = Json::parse(text);
    const Json& metadata = document.at("metadata");
    const std::string ns = metadata.value("namespace", "");
    cache.Load(std::make_shared<const Object>(ObjectKey{resource, ns, metadata.at("name")}, "u", 1, text));
  }
  EventBus bus;
  WatchCache cache{bus};
};

const Json kPod = Json::parse(
    R"json({"metadata":{"name":"web","namespace":"default","uid":"u1","labels":{"app":"x","tier":"y"},"annotations":{"note":"say \"hi\""}},
  "spec":{"serviceAccountName":"robot","nodeName":"a","containers":[{"name":"app","image":"app:1","resources":{"limits":{"cpu":"1500m","memory":"64Mi"}}}]}})json");

EnvSources Sources(const Cache& cache, const Json& container) {
  return {cache.cache, kPod, container, "a", "127.64.0.1", "127.64.0.9", 4000, 8LL << 30, 1LL << 30};
}

}  // namespace

TEST_CASE("image references have one full form") {
  const std::pair<const char*, const char*> rows[] = {
      {"nginx", "docker.io/library/nginx:latest"},
      {"nginx:1.25", "docker.io/library/nginx:1.25"},
      {"docker.io/nginx", "docker.io/library/nginx:latest"},
      {"me/app", "docker.io/me/app:latest"},
      {"quay.io/x/y:v1", "quay.io/x/y:v1"},
      {"localhost:5000/app", "localhost:5000/app:latest"},
      {"localhost/app:2", "localhost/app:2"},
      {"index.docker.io/library/nginx", "docker.io/library/nginx:latest"},
      {"nginx@sha256:ab", "docker.io/library/nginx@sha256:ab"},
      {"nginx:1@sha256:ab", "docker.io/library/nginx:1"},
  };
  for (const auto& [given, full] : rows) CHECK(NormaliseImage(given) == full);
}

TEST_CASE("what is no image reference is refused as registries do") {
  const std::string digest = "@sha256:" + std::string(64, 'a');
  for (const std::string& good :
       {std::string("nginx"), std::string("nginx:1.25"), std::string("me/app_x/y--z:v1.2-3_4"),
        std::string("localhost/a"), std::string("Registry.example.com:5000/a/b"), "nginx" + digest, "nginx:1" + digest,
        std::string("a__b.c")}) {
    CAPTURE(good);
    std::string why;
    CHECK(IsImageReference(good, &why));
    CHECK(why.empty());
  }
  const std::pair<std::string, const char*> bad[] = {
      {"", "invalid reference format"},
      {":1", "invalid reference format"},
      {"nginx:", "invalid reference format"},
      {"nginx:-1", "invalid reference format"},
      {"nginx::1", "invalid reference format"},
      {"a b", "invalid reference format"},
      {"a..b", "invalid reference format"},
      {"a___b", "invalid reference format"},
      {"-a", "invalid reference format"},
      {"a/", "invalid reference format"},
      {"a//b", "invalid reference format"},
      {"host.:80/a", "invalid reference format"},
      {"host:x/a", "invalid reference format"},
      {"nginx@sha256:ab", "invalid reference format"},
      {"nginx@", "invalid reference format"},
      {"nginx:" + std::string(129, 'x'), "invalid reference format"},
      {"Nginx", "invalid reference format: repository name (library/Nginx) must be lowercase"},
      {"me/App:1", "invalid reference format: repository name (me/App) must be lowercase"},
  };
  for (const auto& [reference, expected] : bad) {
    CAPTURE(reference);
    std::string why;
    CHECK_FALSE(IsImageReference(reference, &why));
    CHECK(why == expected);
  }
}

TEST_CASE("patterns of images") {
  struct Row {
    const char* pattern;
    const char* reference;
    bool matches;
  };
  const Row rows[] = {
      {"nginx", "nginx", true},
      {"nginx", "nginx:1.25", true},
      {"nginx", "docker.io/library/nginx@sha256:ab", true},
      {"nginx", "nginx-extra", false},
      {"nginx", "me/nginx", false},
      {"nginx", "quay.io/library/nginx", false},
      {"nginx:*", "nginx:1.25", true},
      {"nginx:*", "nginx@sha256:ab", true},
      {"nginx:1.25", "nginx:1.25", true},
      {"nginx:1.25", "nginx", false},
      {"nginx:1.*", "nginx:1.9", true},
      {"nginx*", "nginx-extra:2", true},
      {"*/nginx", "quay.io/me/nginx:3", true},
      {"quay.io/*", "quay.io/a/b/c:1", true},
      {"*", "whatever:1", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pattern, row.reference);
    CHECK(NormalisePattern(row.pattern).Matches(NormaliseImage(row.reference)) == row.matches);
  }
}

TEST_CASE("of several images the most specific answers, always the same") {
  Cache c;
  c.Put("images.wherry.dev", R"json({"metadata":{"name":"all"},"spec":{"references":["*"]}})json");
  c.Put("images.wherry.dev", R"json({"metadata":{"name":"nginx"},"spec":{"references":["nginx"]}})json");
  c.Put("images.wherry.dev", R"json({"metadata":{"name":"nginx-b"},"spec":{"references":["nginx"]}})json");
  c.Put("images.wherry.dev", R"json({"metadata":{"name":"old"},"spec":{"references":["nginx:1.*"]}})json");
  CHECK(FindImage(c.cache, "nginx")->name() == "nginx");
  CHECK(FindImage(c.cache, "nginx:1.25")->name() == "old");
  CHECK(FindImage(c.cache, "else")->name() == "all");
}

TEST_CASE("command and args combine as Kubernetes says") {
  const ImageView image(Json::parse(
      R"json({"metadata":{"name":"i"},"spec":{"references":["i"],"command":["entry"],"args":["a","b"]}})json"));
  using Words = std::vector<std::string>;
  CHECK(CombineCommand(Json::parse(R"json({})json"), &image) == Words{"entry", "a", "b"});
  CHECK(CombineCommand(Json::parse(R"json({"args":["c"]})json"), &image) == Words{"entry", "c"});
  CHECK(CombineCommand(Json::parse(R"json({"command":["x"]})json"), &image) == Words{"x"});
  CHECK(CombineCommand(Json::parse(R"json({"command":["x"],"args":["y"]})json"), &image) == Words{"x", "y"});
  CHECK(CombineCommand(Json::parse(R"json({})json"), nullptr).empty());
  CHECK(CombineCommand(Json::parse(R"json({"args":["c"]})json"), nullptr).empty());
  CHECK(CombineCommand(Json::parse(R"json({"command":["x"],"args":["y"]})json"), nullptr) == Words{"x", "y"});
}

TEST_CASE("variables expand") {
  const Environment env = {{"A", "1"}, {"B_C", "two"}};
  const std::pair<const char*, const char*> rows[] = {
      {"$(A)", "1"},
      {"x$(A)y$(B_C)", "x1ytwo"},
      {"$(NONE)", "$(NONE)"},
      {"$$(A)", "$(A)"},
      {"$A", "$A"},
      {"$(A", "$(A"},
      {"a$", "a$"},
      {"$$", "$"},
      {"", ""},
  };
  for (const auto& [given, expected] : rows) CHECK(ExpandVariables(given, env) == expected);
}

TEST_CASE("a container's environment") {
  Cache c;
  const Json container = Json::parse(R"json({"name":"app","resources":{"limits":{"cpu":"1500m","memory":"64Mi"}},
    "envFrom":[{"prefix":"P_","configMapRef":{"name":"conf"}},{"secretRef":{"name":"sec"}},{"configMapRef":{"name":"no","optional":true}}],
    "env":[{"name":"PLAIN","value":"x"},{"name":"REF","value":"$(PLAIN)-$(P_A)-$(LATER)"},{"name":"LATER","value":"l"},
      {"name":"BASE","value":"new"},
      {"name":"KEY","valueFrom":{"configMapKeyRef":{"name":"conf","key":"b.txt"}}},
      {"name":"SECRET","valueFrom":{"secretKeyRef":{"name":"sec","key":"password"}}},
      {"name":"MAYBE","valueFrom":{"secretKeyRef":{"name":"sec","key":"none","optional":true}}},
      {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
      {"name":"HOST","valueFrom":{"fieldRef":{"fieldPath":"status.hostIP"}}},
      {"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}},
      {"name":"SA","valueFrom":{"fieldRef":{"fieldPath":"spec.serviceAccountName"}}},
      {"name":"APP","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['app']"}}},
      {"name":"NOTE","valueFrom":{"fieldRef":{"fieldPath":"metadata.annotations['note']"}}},
      {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}},
      {"name":"MILLI","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}},
      {"name":"MEM","valueFrom":{"resourceFieldRef":{"resource":"limits.memory","divisor":"1Mi"}}},
      {"name":"DISK","valueFrom":{"resourceFieldRef":{"resource":"limits.ephemeral-storage","divisor":"1Gi"}}}]})json");
  Result<Environment> env = ResolveEnv(Sources(c, container), {{"BASE", "old"}});
  REQUIRE(env.ok());
  const std::pair<const char*, const char*> rows[] = {
      {"P_A", "1"},           {"P_b.txt", "two"},      {"password", "hunter2"},
      {"PLAIN", "x"},         {"REF", "x-1-$(LATER)"}, {"BASE", "new"},
      {"KEY", "two"},         {"SECRET", "hunter2"},   {"IP", "127.64.0.9"},
      {"HOST", "127.64.0.1"}, {"NODE", "a"},           {"SA", "robot"},
      {"APP", "x"},           {"NOTE", "say \"hi\""},  {"CPU", "2"},
      {"MILLI", "1500"},      {"MEM", "64"},           {"DISK", "1"},
  };
  for (const auto& [name, value] : rows) {
    CAPTURE(name);
    const std::string* found = FindVariable(*env, name);
    REQUIRE(found != nullptr);
    CHECK(*found == value);
  }
  CHECK(FindVariable(*env, "MAYBE") == nullptr);
  CHECK(FindVariable(*env, "P_bad=name") == nullptr);
}

TEST_CASE("what asks a container to end") {
  Cache c;
  c.Put(
      "images.wherry.dev",
      R"json({"metadata":{"name":"web"},"spec":{"references":["web"],"command":["web"],"stopSignal":"SIGQUIT"}})json");
  c.Put("images.wherry.dev", R"json({"metadata":{"name":"db"},"spec":{"references":["db"],"command":["db"]}})json");
  const auto of = [&](const char* container) { return StopSignal(c.cache, Json::parse(container)); };
  CHECK(of(R"json({"image":"web:1"})json") == SIGQUIT);
  CHECK(of(R"json({"image":"web:1","args":["x"]})json") == SIGQUIT);
  CHECK(of(R"json({"image":"web:1","command":["other"]})json") == SIGTERM);
  CHECK(of(R"json({"image":"db"})json") == SIGTERM);
  CHECK(of(R"json({"image":"unknown"})json") == SIGTERM);
}

TEST_CASE("the variables of Services") {
  Cache c;
  const auto put = [&](const char* spec, const char* name, const char* ns) {
    const std::string text = std::string(R"json({"kind":"Service","metadata":{"name":")json") + name +
                             R"json(","namespace":")json" + ns + R"json("},"spec":)json" + spec + "}";
    c.Put("services", text.c_str());
  };
  put(R"json({"clusterIP":"127.128.0.1","ports":[{"name":"https","port":443,"protocol":"TCP"}]})json", "kubernetes",
      "default");
  put(R"json({"clusterIP":"127.128.0.2","ports":[{"name":"main","port":6379,"protocol":"TCP"},
      {"name":"by-side","port":53,"protocol":"UDP"}]})json",
      "redis-primary", "default");
  put(R"json({"clusterIP":"None","ports":[{"port":1}]})json", "headless", "default");
  put(R"json({"type":"ExternalName","externalName":"a.b"})json", "outside", "default");
  put(R"json({"clusterIP":"127.128.0.3","ports":[{"port":80,"protocol":"TCP"}]})json", "web", "elsewhere");
  const auto text = [](const Environment& env) {
    std::string out;
    for (const auto& [name, value] : env) out += name + "=" + value + "\n";
    return out;
  };
  const std::string api =
      "KUBERNETES_SERVICE_HOST=127.0.0.1\nKUBERNETES_SERVICE_PORT=6443\nKUBERNETES_SERVICE_PORT_HTTPS=6443\n"
      "KUBERNETES_PORT=tcp://127.0.0.1:6443\nKUBERNETES_PORT_6443_TCP=tcp://127.0.0.1:6443\n"
      "KUBERNETES_PORT_6443_TCP_PROTO=tcp\nKUBERNETES_PORT_6443_TCP_PORT=6443\n"
      "KUBERNETES_PORT_6443_TCP_ADDR=127.0.0.1\n";
  const std::string redis =
      "REDIS_PRIMARY_SERVICE_HOST=127.128.0.2\nREDIS_PRIMARY_SERVICE_PORT=6379\n"
      "REDIS_PRIMARY_SERVICE_PORT_MAIN=6379\nREDIS_PRIMARY_SERVICE_PORT_BY_SIDE=53\n"
      "REDIS_PRIMARY_PORT=tcp://127.128.0.2:6379\nREDIS_PRIMARY_PORT_6379_TCP=tcp://127.128.0.2:6379\n"
      "REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp\nREDIS_PRIMARY_PORT_6379_TCP_PORT=6379\n"
      "REDIS_PRIMARY_PORT_6379_TCP_ADDR=127.128.0.2\nREDIS_PRIMARY_PORT_53_UDP=udp://127.128.0.2:53\n"
      "REDIS_PRIMARY_PORT_53_UDP_PROTO=udp\nREDIS_PRIMARY_PORT_53_UDP_PORT=53\n"
      "REDIS_PRIMARY_PORT_53_UDP_ADDR=127.128.0.2\n";
  Json pod = kPod;
  CHECK(text(ServiceVariables(c.cache, pod, "127.0.0.1", "6443")) == api + redis);
  pod["spec"]["enableServiceLinks"] = false;
  CHECK(text(ServiceVariables(c.cache, pod, "127.0.0.1", "6443")) == api);
  pod["metadata"]["namespace"] = "elsewhere";
  pod["spec"].erase("enableServiceLinks");
  CHECK(ServiceVariables(c.cache, pod, "", "").front().second == "127.128.0.3");
}

TEST_CASE("references that lead nowhere hold the container") {
  Cache c;
  const std::pair<const char*, const char*> rows[] = {
      {R"json({"envFrom":[{"configMapRef":{"name":"no"}}]})json", "configmap \"no\" not found"},
      {R"json({"envFrom":[{"secretRef":{"name":"no"}}]})json", "secret \"no\" not found"},
      {R"json({"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"conf","key":"zz"}}}]})json",
       "couldn't find key zz in ConfigMap default/conf"},
      {R"json({"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"sec","key":"zz"}}}]})json",
       "couldn't find key zz in Secret default/sec"},
      {R"json({"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"no","key":"zz"}}}]})json",
       "secret \"no\" not found"},
      {R"json({"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.bogus"}}}]})json",
       "unsupported fieldPath: spec.bogus"},
  };
  for (const auto& [container, message] : rows) {
    const Json parsed = Json::parse(container);
    Result<Environment> env = ResolveEnv(Sources(c, parsed), {});
    REQUIRE_FALSE(env.ok());
    CHECK(env.status().message() == message);
    CHECK(WaitingReason(env.status(), "") == "CreateContainerConfigError");
  }
}

TEST_CASE("volumes are put in place") {
  Cache c;
  TempDir dir;
  Json pod = kPod;
  pod["metadata"]["resourceVersion"] = "7";
  pod["spec"]["volumes"] = Json::parse(
      R"json([{"name":"scratch","emptyDir":{}},{"name":"conf","configMap":{"name":"conf","defaultMode":256}},
    {"name":"picked","configMap":{"name":"conf","items":[{"key":"A","path":"sub/a","mode":384}]}},
    {"name":"sec","secret":{"secretName":"sec"}},
    {"name":"info","downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}}]}},
    {"name":"mix","projected":{"sources":[{"secret":{"name":"sec"}},{"configMap":{"name":"conf","items":[{"key":"A","path":"a"}]}}]}},
    {"name":"none","configMap":{"name":"no","optional":true}}])json");
  pod["spec"]["volumes"].push_back(
      {{"name", "host"}, {"hostPath", {{"path", (dir.path / "made").string()}, {"type", "DirectoryOrCreate"}}}});
  const Json none = Json::object();
  const EnvSources sources{c.cache, pod, none, "a", "127.64.0.1", "127.64.0.9", 0, 0, 0};
  PodVolumes volumes(dir.path / "v", {}, {});
  auto places = volumes.Prepare(sources);
  INFO(places.status().message());
  REQUIRE(places.ok());
  CHECK(ReadAll(fs::path(places->at("conf")) / "A") == "1");
  CHECK(ReadAll(fs::path(places->at("conf")) / "bin") == std::string("\0\1", 2));
  CHECK(fs::is_symlink(fs::path(places->at("conf")) / "..data"));
  CHECK(fs::read_symlink(fs::path(places->at("conf")) / "A") == "..data/A");
  struct stat info {};
  REQUIRE(stat((fs::path(places->at("conf")) / "A").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0400);
  REQUIRE(stat((fs::path(places->at("picked")) / "sub/a").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK_FALSE(fs::exists(fs::path(places->at("picked")) / "b.txt"));
  CHECK(ReadAll(fs::path(places->at("sec")) / "password") == "hunter2");
  CHECK(ReadAll(fs::path(places->at("info")) / "labels") == "app=\"x\"\ntier=\"y\"");
  CHECK(ReadAll(fs::path(places->at("mix")) / "password") == "hunter2");
  CHECK(ReadAll(fs::path(places->at("mix")) / "a") == "1");
  CHECK(fs::is_directory(dir.path / "made"));
  CHECK(places->at("host") == (dir.path / "made").string());
  CHECK(volumes.Places(sources) == *places);
}

TEST_CASE("volumes that cannot be are refused as the kubelet says it") {
  Cache c;
  TempDir dir;
  const std::pair<const char*, const char*> rows[] = {
      {R"json({"name":"v","configMap":{"name":"no"}})json", "configmap \"no\" not found"},
      {R"json({"name":"v","secret":{"secretName":"no"}})json", "secret \"no\" not found"},
      {R"json({"name":"v","configMap":{"name":"conf","items":[{"key":"zz","path":"z"}]}})json",
       "references non-existent config key: zz"},
      {R"json({"name":"v","configMap":{"name":"conf","items":[{"key":"A","path":"../z"}]}})json", "invalid path: ../z"},
      {R"json({"name":"v","hostPath":{"path":"/nowhere/at/all","type":"Directory"}})json",
       "hostPath type check failed: /nowhere/at/all is not a directory"},
      {R"json({"name":"v","hostPath":{"path":"/etc","type":"File"}})json",
       "hostPath type check failed: /etc is not a file"},
      {R"json({"name":"v","nfs":{"server":"x","path":"/"}})json", "volumes of type nfs are not offered on this node"},
  };
  for (const auto& [volume, why] : rows) {
    Json pod = kPod;
    pod["spec"]["volumes"] = Json::array({Json::parse(volume)});
    const Json none = Json::object();
    auto places = PodVolumes(dir.path / "v", {}, {}).Prepare(EnvSources{c.cache, pod, none, "", "", "", 0, 0, 0});
    REQUIRE_FALSE(places.ok());
    CHECK(places.status().message() == "MountVolume.SetUp failed for volume \"v\" : " + std::string(why));
  }
}

TEST_CASE("a projection is switched, never mixed") {
  TempDir dir;
  REQUIRE(WriteProjection(dir.path, {{"a", {"1", 0644}}, {"b", {"1", 0644}}}, {"1"}).ok());
  const fs::path first = fs::read_symlink(dir.path / "..data");
  REQUIRE(WriteProjection(dir.path, {{"a", {"2", 0644}}, {"c", {"2", 0644}}}, {"2"}).ok());
  CHECK(fs::read_symlink(dir.path / "..data") != first);
  CHECK_FALSE(fs::exists(dir.path / first));
  CHECK(ReadAll(dir.path / "a") == "2");
  CHECK_FALSE(fs::exists(fs::symlink_status(dir.path / "b")));
  CHECK(ReadAll(dir.path / "c") == "2");
  REQUIRE(WriteProjection(dir.path, {{"a", {"3", 0644}}}, {"2"}).ok());
  CHECK(ReadAll(dir.path / "a") == "3");
}

TEST_CASE("sub-paths stay inside their volume") {
  TempDir dir;
  fs::create_directories(dir.path / "volume/in");
  fs::create_directories(dir.path / "secret");
  fs::create_symlink("../secret", dir.path / "volume/out");
  fs::create_symlink("in", dir.path / "volume/alias");
  const std::string volume = (dir.path / "volume").string();
  const std::pair<const char*, const char*> good[] = {
      {"", ""}, {"in", "/in"}, {"alias", "/in"}, {"fresh/deep", "/fresh/deep"}};
  for (const auto& [sub, place] : good) {
    CAPTURE(sub);
    Result<std::string> resolved = ResolveSubPath(volume, sub);
    REQUIRE(resolved.ok());
    CHECK(*resolved == volume + place);
  }
  for (const char* bad : {"../secret", "in/../../secret", "/etc", "out", "out/new"}) {
    CAPTURE(bad);
    CHECK_FALSE(ResolveSubPath(volume, bad).ok());
  }
  CHECK_FALSE(fs::exists(dir.path / "secret/new"));
}

TEST_CASE("mount paths in arguments become the places of the volumes") {
  const MountMap mounts = {
      {"/etc/app/deep", "/v/deep"}, {"/etc/app", "/v/conf"}, {"/host/root", "/"}, {"/var/log", "/var/log"}};
  const std::pair<const char*, const char*> rows[] = {
      {"--config=/etc/app/x.yaml", "--config=/v/conf/x.yaml"},
      {"/etc/app", "/v/conf"},
      {"/etc/app/deep/y", "/v/deep/y"},
      {"/etc/apple", "/etc/apple"},
      {"/my/etc/app", "/my/etc/app"},
      {"cat /etc/app/a '/etc/app/b'", "cat /v/conf/a '/v/conf/b'"},
      {"/a:/etc/app:/b", "/a:/v/conf:/b"},
      {"--path.rootfs=/host/root", "--path.rootfs=/"},
      {"/var/log/x", "/var/log/x"},
  };
  for (const auto& [given, expected] : rows) CHECK(TranslatePaths(given, mounts) == expected);
}

TEST_CASE("a container is built from pod, image and site") {
  Cache c;
  TempDir dir;
  c.Put(
      "images.wherry.dev",
      R"json({"metadata":{"name":"tool"},"spec":{"references":["tool"],"command":["/bin/sh","$(WHERRY_CONTAINER_DIR)/run.sh"],
    "args":["default"],"env":[{"name":"FROM_IMAGE","value":"$(WHERRY_POD_IP)"}],
    "files":[{"path":"run.sh","content":"echo $(WHERRY_POD_NAME) $(id) $$\n","mode":493}]}})json");
  c.Put(
      "images.wherry.dev",
      R"json({"metadata":{"name":"lost"},"spec":{"references":["lost"],"command":["no-such-program-here"],"package":"lost-tools"}})json");
  AgentOptions options;
  options.data_dir = dir.path.string();
  options.service_host = "127.0.0.1";
  options.service_port = "6443";
  PodSite site;
  site.node_name = "a";
  site.node_address = "127.64.0.1";
  site.pod_ip = "127.64.0.9";
  site.directory = dir.path / "pods/u1";
  site.log_directory = dir.path / "logs/default_web_u1";
  site.volumes = {{"my-data", (dir.path / "vol").string()}};
  fs::create_directories(dir.path / "vol");
  Json pod = kPod;

  SECTION("volumes at their mountPath, where the kernel lets us") {
    pod["spec"]["containers"][0] = Json::parse(
        R"json({"name":"app","image":"tool:3","args":["--x=/data/f"],"workingDir":"/data/sub",
    "volumeMounts":[{"name":"my-data","mountPath":"/data/"},{"name":"my-data","mountPath":"/b","readOnly":true}]})json");
    Result<BuiltContainer> built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 2, site);
    REQUIRE(built.ok());
    CHECK(built->notes.empty());
    CHECK(built->spec.argv.back() == "--x=/data/f");
    CHECK(built->spec.working_directory == "/data/sub");
    CHECK(*FindVariable(built->spec.env, "WHERRY_VOLUME_MY_DATA") == "/b");
    const auto& mounts = built->spec.confinement.mounts;
    REQUIRE(mounts.size() == 3);
    CHECK(mounts[0].target == "/b");
    CHECK(mounts[0].read_only);
    CHECK(mounts[1].target == "/data");
    CHECK(mounts[1].source == (dir.path / "vol").string());
    CHECK_FALSE(mounts[1].read_only);
    CHECK(mounts[2].target == "/dev/termination-log");
    CHECK(mounts[2].source == (site.directory / "app/termination-log").string());
    CHECK_FALSE(built->spec.confinement.sandbox);
  }
  SECTION("without volumes that need a place a process is plain, and last words have another path") {
    site.volumes["my-data"] = "/tmp";
    pod["spec"]["containers"][0] = Json::parse(
        R"json({"name":"app","image":"tool:3","args":["bye > /dev/termination-log"],
    "volumeMounts":[{"name":"my-data","mountPath":"/tmp"}]})json");
    const Result<BuiltContainer> built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 2, site);
    REQUIRE(built.ok());
    CHECK(built->spec.confinement.mounts.empty());
    CHECK(built->spec.argv.back() == "bye > " + (site.directory / "app/termination-log").string());
  }
  SECTION("in the sandbox") {
    c.Put("runtimeclasses.node.k8s.io", R"json({"metadata":{"name":"sandbox"},"handler":"sandbox"})json");
    c.Put("runtimeclasses.node.k8s.io", R"json({"metadata":{"name":"odd"},"handler":"kata"})json");
    pod["spec"]["runtimeClassName"] = "sandbox";
    pod["spec"]["subdomain"] = "db";
    pod["spec"]["hostAliases"] = Json::parse(R"json([{"ip":"10.0.0.1","hostnames":["one","two"]}])json");
    pod["spec"]["containers"][0]["command"] = {"true"};
    Result<BuiltContainer> built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site);
    REQUIRE(built.ok());
    const warden::Confinement& confinement = built->spec.confinement;
    CHECK(confinement.sandbox);
    CHECK(confinement.hostname == "web");
    CHECK(confinement.hidden == std::vector<std::string>{dir.path.string()});
    std::vector<std::string> targets;
    std::string shm;
    for (const warden::Mount& mount : confinement.mounts) {
      targets.push_back(mount.target);
      if (mount.target == "/dev/shm") shm = mount.source;
    }
    std::vector<std::string> wanted = {"/dev/shm",   "/dev/termination-log", "/etc/hostname",
                                       "/etc/hosts", "/etc/resolv.conf",     site.directory / "app"};
    std::sort(wanted.begin(), wanted.end());
    CHECK(targets == wanted);
    // The pod's own, whichever container asks.
    const fs::path memory = MemoryVolumes(dir.path);
    CHECK(shm == ((memory.empty() ? site.directory : memory / "u1") / ".shm/all").string());
    CHECK((fs::status(shm).permissions() & fs::perms::mask) == static_cast<fs::perms>(01777));
    CHECK(fs::status(fs::path(shm).parent_path()).permissions() == fs::perms::owner_all);
    pod["spec"]["hostIPC"] = true;
    built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site);
    REQUIRE(built.ok());
    for (const warden::Mount& mount : built->spec.confinement.mounts) {
      if (mount.target == "/dev/shm") CHECK(mount.source == "/dev/shm");
    }
    if (!memory.empty()) fs::remove_all(memory);
    CHECK(ReadAll(site.directory / "etc/hosts") ==
          "# Written by wherry for this pod.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
          "127.64.0.9\tweb.db.default.svc.cluster.local\tweb\n10.0.0.1\tone\ttwo\n");
    pod["spec"]["runtimeClassName"] = "odd";
    const Status odd = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site).status();
    CHECK(WaitingReason(odd, "") == "CreateContainerError");
    CHECK(odd.message().find("no runtime for handler \"kata\"") != std::string::npos);
    pod["spec"]["runtimeClassName"] = "gone";
    CHECK(BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site).status().message() ==
          "RuntimeClass \"gone\" not found");
  }
  SECTION("by its image, where volumes cannot be mounted") {
    options.no_mounts = "user namespace: operation not permitted";
    pod["spec"]["containers"][0] = Json::parse(
        R"json({"name":"app","image":"tool:3","args":["--x=/data/f"],"volumeMounts":[{"name":"my-data","mountPath":"/data"}]})json");
    Result<BuiltContainer> built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 2, site);
    REQUIRE(built.ok());
    REQUIRE(built->notes.size() == 1);
    CHECK(built->notes[0] ==
          "volumes of container app are not at their mountPath, WHERRY_VOLUME_... say where: user namespace: operation "
          "not permitted");
    const ContainerSpec& spec = built->spec;
    CHECK(spec.confinement.mounts.empty());
    CHECK(spec.id == "u1/app/2");
    CHECK(spec.argv == std::vector<std::string>{"/bin/sh", (dir.path / "pods/u1/app/run.sh").string(),
                                                "--x=" + (dir.path / "vol/f").string()});
    CHECK(spec.working_directory == (dir.path / "pods/u1/app").string());
    CHECK(spec.log_path == (dir.path / "logs/default_web_u1/app/2.log").string());
    CHECK(spec.bind_address == "127.64.0.9");
    CHECK(*FindVariable(spec.env, "FROM_IMAGE") == "127.64.0.9");
    CHECK(*FindVariable(spec.env, "HOSTNAME") == "web");
    CHECK(*FindVariable(spec.env, "WHERRY_VOLUME_MY_DATA") == (dir.path / "vol").string());
    CHECK(*FindVariable(spec.env, "WHERRY_MOUNTS") == "/data=" + (dir.path / "vol").string());
    CHECK(*FindVariable(spec.env, "KUBERNETES_SERVICE_HOST") == "127.0.0.1");
    CHECK(*FindVariable(spec.env, "KUBERNETES_SERVICE_PORT") == "6443");
    CHECK(ReadAll(dir.path / "pods/u1/app/run.sh") == "echo web $(id) $$\n");
    CHECK(access((dir.path / "pods/u1/app/run.sh").c_str(), X_OK) == 0);
    CHECK(built->image_id == "wherry://images/tool");
  }
  SECTION("on the host, when it brings a command and nobody knows the image") {
    pod["spec"]["containers"][0] =
        Json::parse(R"json({"name":"app","image":"what:1","command":["echo","$(HOSTNAME)"],"workingDir":"/tmp"})json");
    Result<BuiltContainer> built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site);
    REQUIRE(built.ok());
    CHECK(built->spec.argv == std::vector<std::string>{"echo", "web"});
    CHECK(built->spec.working_directory == "/tmp");
    CHECK(built->image_id == "wherry://host");
  }
  SECTION("refused when neither is there") {
    Result<BuiltContainer> built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site);
    REQUIRE_FALSE(built.ok());
    CHECK(WaitingReason(built.status(), "") == "ErrImagePull");
    CHECK(built.status().message().find("no Image object matches \"docker.io/library/app:1\"") == 0);
  }
  SECTION("refused when the image's program is missing") {
    pod["spec"]["containers"][0] = Json::parse(R"json({"name":"app","image":"lost"})json");
    Result<BuiltContainer> built = BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site);
    REQUIRE_FALSE(built.ok());
    CHECK(WaitingReason(built.status(), "") == "ErrImagePull");
    CHECK(built.status().message() ==
          "Image lost needs the program \"no-such-program-here\", which this machine does not have: apt-get install "
          "lost-tools");
  }
  SECTION("host network: the node's address, or the machine when asked") {
    pod["spec"]["containers"][0]["command"] = {"true"};
    pod["spec"]["hostNetwork"] = true;
    site.pod_ip = site.node_address;
    CHECK(BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site)->spec.bind_address ==
          "127.64.0.1");
    pod["metadata"]["annotations"]["wherry.dev/host-network"] = "machine";
    CHECK(BuildContainer(options, c.cache, pod, pod["spec"]["containers"][0], 0, site)->spec.bind_address == "");
  }
}

TEST_CASE("blocks of nodes and addresses of pods") {
  NodeBlocks blocks(Cidr::Parse("127.64.0.0/22").value());
  CHECK(*blocks.Allocate("a") == "127.64.0.0/24");
  CHECK(*blocks.Allocate("a") == "127.64.0.0/24");
  CHECK(blocks.Reserve("b", "127.64.2.0/24", true));
  CHECK_FALSE(blocks.Reserve("c", "127.64.2.0/24", true));
  CHECK_FALSE(blocks.Reserve("c", "10.0.0.0/24", true));
  CHECK(blocks.Reserve("c", "10.0.0.0/24", false));
  CHECK_FALSE(blocks.Reserve("d", "nonsense", false));
  CHECK_FALSE(blocks.Reserve("d", "127.0.0.0/8", true));
  CHECK(*blocks.Allocate("e") == "127.64.3.0/24");
  CHECK(*blocks.Allocate("f") == "127.64.1.0/24");
  CHECK_FALSE(blocks.Allocate("g").ok());
  blocks.Release("a");
  CHECK(*blocks.Allocate("g") == "127.64.0.0/24");

  PodAddressPool pool(Cidr::Parse("127.64.0.0/29").value());  // .2 to .6
  CHECK(pool.node_address() == "127.64.0.1");
  CHECK(pool.Reserve("old", "127.64.0.3"));
  CHECK_FALSE(pool.Reserve("other", "127.64.0.3"));
  CHECK_FALSE(pool.Reserve("other", "127.64.0.1"));
  CHECK_FALSE(pool.Reserve("other", "127.64.1.3"));
  CHECK(pool.Allocate("p1") == "127.64.0.4");
  CHECK(pool.Allocate("p1") == "127.64.0.4");
  pool.Release("p1");
  CHECK(pool.Allocate("p2") == "127.64.0.5");  // a released one rests
  CHECK(pool.Allocate("p3") == "127.64.0.6");
  CHECK(pool.Allocate("p4") == "127.64.0.2");
  CHECK(pool.Allocate("p5") == "127.64.0.4");
  CHECK(pool.Allocate("p6") == "");
  pool.MarkFinished("old");
  CHECK(pool.Allocate("p6") == "127.64.0.3");
}

TEST_CASE("simulated behaviour") {
  Duration duration{};
  const std::pair<const char*, int64_t> durations[] = {
      {"50ms", 50'000}, {"1m30s", 90'000'000}, {"1.5s", 1'500'000}, {"0", 0}, {"2h", 7'200'000'000}};
  for (const auto& [text, micros] : durations) {
    REQUIRE(ParseGoDuration(text, &duration));
    CHECK(duration.count() == micros);
  }
  for (const char* text : {"", "5", "ms", "-1s", "1x"}) CHECK_FALSE(ParseGoDuration(text, &duration));

  const Json node = {
      {"metadata", {{"annotations", {{"wherry.dev/simulate", R"json({"startLatency":"1s","exitCode":1})json"}}}}}};
  const Json pod = {
      {"metadata",
       {{"annotations",
         {{"wherry.dev/simulate", R"json({"startLatency":"2s","containers":{"b":{"exitCode":5}}})json"}}}}}};
  CHECK(*SimulationFor(SimulationAsked(node), SimulationAsked(pod), "a") ==
        Json::parse(R"json({"startLatency":"2s","exitCode":1})json"));
  CHECK(*SimulationFor(SimulationAsked(node), SimulationAsked(pod), "b") ==
        Json::parse(R"json({"startLatency":"2s","exitCode":5})json"));
  CHECK(SimulationFor(SimulationAsked(), SimulationAsked(Json::object()), "a")->is_null());
  const Json broken = {{"metadata", {{"annotations", {{"wherry.dev/simulate", "nonsense"}}}}}};
  CHECK_FALSE(SimulationFor(SimulationAsked(node), SimulationAsked(broken), "a").ok());
  CHECK_FALSE(ParseSimulation(Json::parse(R"json({"exitAfter":"soon"})json")).ok());
  const ContainerSimulation takes =
      *ParseSimulation(Json::parse(R"json({"cpu":"250m","memory":"1Mi","storage":"2Mi","processes":3})json"));
  CHECK(takes.cpu_milli == 250);
  CHECK(takes.memory_bytes == 1 << 20);
  CHECK(takes.storage_bytes == 2 << 20);
  CHECK(takes.processes == 3);
  CHECK(ParseSimulation(Json::object())->processes == 1);
  CHECK_FALSE(ParseSimulation(Json::parse(R"json({"storage":"much"})json")).ok());
}

TEST_CASE("heartbeats share one timer") {
  ManualClock clock;
  std::vector<std::string> beats;
  Heartbeats heartbeats(clock, [&](const std::string& name) { beats.push_back(name); });
  heartbeats.Schedule("b", seconds(2));
  heartbeats.Schedule("a", milliseconds(500));
  heartbeats.Schedule("c", milliseconds(900));
  heartbeats.Schedule("gone", seconds(1));
  heartbeats.Forget("gone");
  CHECK(clock.FireNext(seconds(10)));
  CHECK(beats == std::vector<std::string>{"a", "c"});
  heartbeats.Schedule("b", seconds(1));  // replaces
  CHECK(clock.FireNext(seconds(10)));
  CHECK(beats == std::vector<std::string>{"a", "c", "b"});
  CHECK_FALSE(clock.FireNext(seconds(10)));
}

}  // namespace wherry
