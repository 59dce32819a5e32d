#include <catch2/catch.hpp>
#include <vector>

#include "core/scheduler/placement.h"
#include "core/scheduler/snapshot.h"
#include "tests/core/scheduler/fixtures.h"

namespace wherry::testing {
namespace {

// One pod, one node with the pods it has, and what the filters say: "" when the pod fits, else the reasons,
// comma-separated, with "!" in front when evicting pods could not help.
struct Row {
  std::string what;
  Json pod;
  Json node;
  std::vector<Json> there;
  std::string refusal;
};

std::string Verdict(const Row& row) {
  Snapshot snapshot;
  snapshot.PutNode(*Stored(NodeJson("n1", row.node)));
  int number = 0;
  for (const Json& patch : row.there) {
    snapshot.PutPod(Stored(BoundTo(PodJson("there-" + std::to_string(number++), patch), "n1")));
  }
  const Profile profile = DefaultProfile();
  const ObjectPtr pod = Stored(PodJson("p", row.pod));
  PreparedPod prepared(profile, pod->view<PodDemand>(), ClusterView{snapshot});
  if (!prepared.refusal().empty()) return "all: " + prepared.refusal();
  Refusal refusal;
  FilterMask refused_by = 0;
  if (prepared.Fits(pod->view<PodDemand>(), *snapshot.Find("n1"), refusal, refused_by)) return "";
  std::string text = refusal.resolvable() ? "" : "!";
  for (const std::string_view reason : refusal.reasons()) text.append(text.size() > 1 ? ", " : "").append(reason);
  return text;
}

void Check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(Verdict(row) == row.refusal);
  }
}

Json Asking(Json requests) {
  return {{"spec", {{"containers", {{{"name", "c"}, {"image", "i"}, {"resources", {{"requests", requests}}}}}}}}};
}

// Init containers in this order, with what they ask of the cpu; "sidecar" restarts always.
Json Initialising(const std::vector<std::pair<std::string, std::string>>& containers) {
  Json list = Json::array();
  for (const auto& [name, cpu] : containers) {
    list.push_back({{"name", name}, {"image", "i"}, {"resources", {{"requests", {{"cpu", cpu}}}}}});
    if (name == "sidecar") list.back()["restartPolicy"] = "Always";
  }
  return {{"spec", {{"initContainers", list}}}};
}

Json Tolerating(Json tolerations) { return {{"spec", {{"tolerations", tolerations}}}}; }
Json Tainted(Json taints) { return {{"spec", {{"taints", taints}}}}; }
Json Labelled(Json labels) { return {{"metadata", {{"labels", labels}}}}; }
Json Selecting(Json selector) { return {{"spec", {{"nodeSelector", selector}}}}; }

Json Requiring(Json terms) {
  return {
      {"spec",
       {{"affinity",
         {{"nodeAffinity", {{"requiredDuringSchedulingIgnoredDuringExecution", {{"nodeSelectorTerms", terms}}}}}}}}}};
}

Json Expression(Json requirement) { return Requiring(Json::array({{{"matchExpressions", {requirement}}}})); }

Json Port(int number, const std::string& ip = "", const std::string& protocol = "TCP", bool host_network = false) {
  Json port = {{"containerPort", number}, {"protocol", protocol}};
  if (!host_network) port["hostPort"] = number;
  if (!ip.empty()) port["hostIP"] = ip;
  return {
      {"spec", {{"hostNetwork", host_network}, {"containers", {{{"name", "c"}, {"image", "i"}, {"ports", {port}}}}}}}};
}

const Json kNone = Json::object();
const std::string kNoMatch = "!node(s) didn't match Pod's node affinity/selector";

}  // namespace

TEST_CASE("Filter: node name") {
  Check({
      {"its own node", {{"spec", {{"nodeName", "n1"}}}}, kNone, {}, ""},
      {"another node", {{"spec", {{"nodeName", "n2"}}}}, kNone, {}, "!node(s) didn't match the requested node name"},
  });
}

TEST_CASE("Filter: unschedulable") {
  const Json cordoned = {{"spec", {{"unschedulable", true}}}};
  const std::string refusal = "!node(s) were unschedulable";
  Check({
      {"cordoned", kNone, cordoned, {}, refusal},
      {"tolerated",
       Tolerating({{{"key", "node.kubernetes.io/unschedulable"}, {"operator", "Exists"}, {"effect", "NoSchedule"}}}),
       cordoned,
       {},
       ""},
      {"everything tolerated", Tolerating({{{"operator", "Exists"}}}), cordoned, {}, ""},
      {"tolerated with another effect",
       Tolerating({{{"key", "node.kubernetes.io/unschedulable"}, {"operator", "Exists"}, {"effect", "NoExecute"}}}),
       cordoned,
       {},
       refusal},
      {"uncordoned", kNone, {{"spec", {{"unschedulable", false}}}}, {}, ""},
  });
}

TEST_CASE("Filter: taints") {
  const Json gpu = Tainted({{{"key", "gpu"}, {"value", "true"}, {"effect", "NoSchedule"}}});
  const std::string refusal = "!node(s) had untolerated taint {gpu: true}";
  Check({
      {"not tolerated", kNone, gpu, {}, refusal},
      {"equal",
       Tolerating({{{"key", "gpu"}, {"operator", "Equal"}, {"value", "true"}, {"effect", "NoSchedule"}}}),
       gpu,
       {},
       ""},
      {"equal is the default", Tolerating({{{"key", "gpu"}, {"value", "true"}}}), gpu, {}, ""},
      {"another value", Tolerating({{{"key", "gpu"}, {"value", "false"}}}), gpu, {}, refusal},
      {"exists", Tolerating({{{"key", "gpu"}, {"operator", "Exists"}}}), gpu, {}, ""},
      {"another key", Tolerating({{{"key", "cpu"}, {"operator", "Exists"}}}), gpu, {}, refusal},
      {"another effect",
       Tolerating({{{"key", "gpu"}, {"operator", "Exists"}, {"effect", "NoExecute"}}}),
       gpu,
       {},
       refusal},
      {"all tolerated", Tolerating({{{"operator", "Exists"}}}), gpu, {}, ""},
      {"only preferred", kNone, Tainted({{{"key", "a"}, {"effect", "PreferNoSchedule"}}}), {}, ""},
      {"no value",
       kNone,
       Tainted({{{"key", "node-role.kubernetes.io/control-plane"}, {"effect", "NoSchedule"}}}),
       {},
       "!node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"},
      {"the first that is not tolerated",
       Tolerating({{{"key", "a"}, {"operator", "Exists"}}}),
       Tainted({{{"key", "a"}, {"value", "1"}, {"effect", "NoSchedule"}},
                {{"key", "b"}, {"value", "2"}, {"effect", "NoExecute"}}}),
       {},
       "!node(s) had untolerated taint {b: 2}"},
  });
}

TEST_CASE("Filter: node selector") {
  Check({
      {"matches", Selecting({{"disk", "ssd"}}), Labelled({{"disk", "ssd"}}), {}, ""},
      {"another value", Selecting({{"disk", "ssd"}}), Labelled({{"disk", "hdd"}}), {}, kNoMatch},
      {"absent", Selecting({{"disk", "ssd"}}), kNone, {}, kNoMatch},
      {"all must match",
       Selecting({{"disk", "ssd"}, {"zone", "a"}}),
       Labelled({{"disk", "ssd"}, {"zone", "b"}}),
       {},
       kNoMatch},
      {"value of another key", Selecting({{"disk", "a"}}), Labelled({{"disk", "ssd"}, {"zone", "a"}}), {}, kNoMatch},
      {"empty value", Selecting({{"role", ""}}), Labelled({{"role", ""}}), {}, ""},
  });
}

TEST_CASE("Filter: required node affinity") {
  const Json a4 = Labelled({{"zone", "a"}, {"cores", "4"}});
  Check({
      {"In", Expression({{"key", "zone"}, {"operator", "In"}, {"values", {"b", "a"}}}), a4, {}, ""},
      {"In, not listed", Expression({{"key", "zone"}, {"operator", "In"}, {"values", {"b"}}}), a4, {}, kNoMatch},
      {"In, absent", Expression({{"key", "rack"}, {"operator", "In"}, {"values", {"b"}}}), a4, {}, kNoMatch},
      {"NotIn", Expression({{"key", "zone"}, {"operator", "NotIn"}, {"values", {"b"}}}), a4, {}, ""},
      {"NotIn, listed", Expression({{"key", "zone"}, {"operator", "NotIn"}, {"values", {"a"}}}), a4, {}, kNoMatch},
      {"NotIn, absent", Expression({{"key", "rack"}, {"operator", "NotIn"}, {"values", {"a"}}}), a4, {}, ""},
      {"Exists", Expression({{"key", "zone"}, {"operator", "Exists"}}), a4, {}, ""},
      {"Exists, absent", Expression({{"key", "rack"}, {"operator", "Exists"}}), a4, {}, kNoMatch},
      {"DoesNotExist", Expression({{"key", "rack"}, {"operator", "DoesNotExist"}}), a4, {}, ""},
      {"DoesNotExist, there", Expression({{"key", "zone"}, {"operator", "DoesNotExist"}}), a4, {}, kNoMatch},
      {"Gt", Expression({{"key", "cores"}, {"operator", "Gt"}, {"values", {"3"}}}), a4, {}, ""},
      {"Gt, equal", Expression({{"key", "cores"}, {"operator", "Gt"}, {"values", {"4"}}}), a4, {}, kNoMatch},
      {"Lt", Expression({{"key", "cores"}, {"operator", "Lt"}, {"values", {"10"}}}), a4, {}, ""},
      {"Lt, equal", Expression({{"key", "cores"}, {"operator", "Lt"}, {"values", {"4"}}}), a4, {}, kNoMatch},
      {"Gt of no number", Expression({{"key", "zone"}, {"operator", "Gt"}, {"values", {"3"}}}), a4, {}, kNoMatch},
      {"terms are alternatives",
       Requiring({{{"matchExpressions", {{{"key", "zone"}, {"operator", "In"}, {"values", {"b"}}}}}},
                  {{"matchExpressions", {{{"key", "cores"}, {"operator", "Exists"}}}}}}),
       a4,
       {},
       ""},
      {"requirements of a term are not",
       Requiring(
           Json::array({{{"matchExpressions",
                          {{{"key", "zone"}, {"operator", "Exists"}}, {{"key", "rack"}, {"operator", "Exists"}}}}}})),
       a4,
       {},
       kNoMatch},
      {"an empty term matches nothing", Requiring(Json::array({Json::object()})), a4, {}, kNoMatch},
      {"matchFields",
       Requiring(
           Json::array({{{"matchFields", {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {"n1"}}}}}}})),
       a4,
       {},
       ""},
      {"matchFields NotIn",
       Requiring(
           Json::array({{{"matchFields", {{{"key", "metadata.name"}, {"operator", "NotIn"}, {"values", {"n1"}}}}}}})),
       a4,
       {},
       kNoMatch},
      {"selector and affinity must both match",
       [] {
         Json pod = Expression({{"key", "zone"}, {"operator", "Exists"}});
         pod["spec"]["nodeSelector"] = {{"zone", "b"}};
         return pod;
       }(),
       a4,
       {},
       kNoMatch},
      {"matchFields that exclude each other",
       Requiring(Json::array({{{"matchFields",
                                {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {"n1"}}},
                                 {{"key", "metadata.name"}, {"operator", "In"}, {"values", {"n2"}}}}}}})),
       a4,
       {},
       "all: pod affinity terms conflict"},
  });
}

TEST_CASE("Filter: resources, with the init and sidecar rule, overhead, pods capacity and extended ones") {
  const Json three_cpus = Asking({{"cpu", "3"}});
  const Json gpus = {{"status", {{"allocatable", {{"nvidia.com/gpu", "2"}}}}}};
  Check({
      {"fits exactly", Asking({{"cpu", "4"}, {"memory", "8Gi"}}), kNone, {}, ""},
      {"cpu is taken", Asking({{"cpu", "1001m"}}), kNone, {three_cpus}, "Insufficient cpu"},
      {"the last cpu", Asking({{"cpu", "1"}}), kNone, {three_cpus}, ""},
      {"more cpu than there is", Asking({{"cpu", "5"}}), kNone, {}, "!Insufficient cpu"},
      {"memory", Asking({{"memory", "9Gi"}}), kNone, {}, "!Insufficient memory"},
      {"both",
       Asking({{"cpu", "2"}, {"memory", "2Gi"}}),
       kNone,
       {Asking({{"cpu", "3"}, {"memory", "7Gi"}})},
       "Insufficient cpu, Insufficient memory"},
      {"ephemeral storage", Asking({{"ephemeral-storage", "101Gi"}}), kNone, {}, "!Insufficient ephemeral-storage"},
      {"extended", Asking({{"nvidia.com/gpu", "2"}}), gpus, {}, ""},
      {"extended, taken",
       Asking({{"nvidia.com/gpu", "2"}}),
       gpus,
       {Asking({{"nvidia.com/gpu", "1"}})},
       "Insufficient nvidia.com/gpu"},
      {"extended, unknown to the node", Asking({{"nvidia.com/gpu", "1"}}), kNone, {}, "!Insufficient nvidia.com/gpu"},
      {"asks for nothing on a full node", kNone, kNone, {Asking({{"cpu", "4"}})}, ""},
      {"room for one pod", kNone, {{"status", {{"allocatable", {{"pods", "1"}}}}}}, {kNone}, "Too many pods"},
      {"no room said", kNone, {{"status", {{"allocatable", nullptr}}}}, {}, "Too many pods"},
      {"a finished pod uses nothing",
       Asking({{"cpu", "4"}}),
       kNone,
       {{{"spec", three_cpus["spec"]}, {"status", {{"phase", "Succeeded"}}}}},
       ""},
      {"overhead counts", {{"spec", {{"overhead", {{"cpu", "4001m"}}}}}}, kNone, {}, "!Insufficient cpu"},
      {"the largest init container counts",
       {{"spec",
         {{"initContainers", {{{"name", "i"}, {"image", "i"}, {"resources", {{"requests", {{"cpu", "5"}}}}}}}}}}},
       kNone,
       {},
       "!Insufficient cpu"},
      {"an init container counts beside the sidecars that were started before it",
       Initialising({{"sidecar", "2"}, {"init", "3"}}),
       kNone,
       {},
       "!Insufficient cpu"},
      {"not beside those that come after it", Initialising({{"init", "3"}, {"sidecar", "2"}}), kNone, {}, ""},
      {"a sidecar adds up",
       {{"spec",
         {{"initContainers",
           {{{"name", "s"},
             {"image", "i"},
             {"restartPolicy", "Always"},
             {"resources", {{"requests", {{"cpu", "2"}}}}}}}},
          {"containers", {{{"name", "c"}, {"image", "i"}, {"resources", {{"requests", {{"cpu", "3"}}}}}}}}}}},
       kNone,
       {},
       "!Insufficient cpu"},
  });
}

TEST_CASE("Filter: host ports") {
  const std::string taken = "node(s) didn't have free ports for the requested pod ports";
  Check({
      {"free", Port(80), kNone, {Port(81)}, ""},
      {"taken", Port(80), kNone, {Port(80)}, taken},
      {"another protocol", Port(80), kNone, {Port(80, "", "UDP")}, ""},
      {"another address", Port(80, "127.0.0.1"), kNone, {Port(80, "127.0.0.2")}, ""},
      {"every address meets each", Port(80, "127.0.0.1"), kNone, {Port(80)}, taken},
      {"each meets every address", Port(80, "0.0.0.0"), kNone, {Port(80, "127.0.0.1")}, taken},
      {"host network claims its container ports", Port(80, "", "TCP", true), kNone, {Port(80, "", "TCP", true)}, taken},
  });
}

}  // namespace wherry::testing
