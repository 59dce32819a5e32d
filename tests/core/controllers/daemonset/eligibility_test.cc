#include "core/controllers/daemonset/eligibility.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace wherry;

namespace {

NodeVerdict Judge(const char* pod_spec, const char* node) {
  const Json set = {{"spec", {{"template", {{"spec", Json::parse(pod_spec)}}}}}};
  Json document = Json::parse(node);
  document["metadata"]["name"] = "n1";
  return DaemonPlacement(set).Judge(NodeView(document));
}

const char* Answer(const NodeVerdict& verdict) {
  if (verdict.should_run) return "run";
  return verdict.should_continue ? "stay" : "no";
}

}  // namespace

TEST_CASE("Point 1: eligibility is affinity, selector and taints with the automatic tolerations") {
  const std::string labelled = R"({"metadata":{"labels":{"disk":"ssd","cores":"8"}}})";
  auto tainted = [](const char* key, const char* effect) {
    return R"({"spec":{"taints":[{"key":")" + std::string(key) + R"(","value":"v","effect":")" + effect + R"("}]}})";
  };
  auto affinity = [](const char* terms) {
    return R"({"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":)" +
           std::string(terms) + "}}}}";
  };
  struct Case {
    std::string what, spec, node;
    const char* answer;
  };
  const Case cases[] = {
      {"anything goes", "{}", "{}", "run"},
      {"selector", R"({"nodeSelector":{"disk":"ssd"}})", labelled, "run"},
      {"selector, other value", R"({"nodeSelector":{"disk":"hdd"}})", labelled, "no"},
      {"selector, no label", R"({"nodeSelector":{"gpu":"1"}})", labelled, "no"},
      {"In", affinity(R"([{"matchExpressions":[{"key":"disk","operator":"In","values":["hdd","ssd"]}]}])"), labelled,
       "run"},
      {"NotIn", affinity(R"([{"matchExpressions":[{"key":"disk","operator":"NotIn","values":["ssd"]}]}])"), labelled,
       "no"},
      {"NotIn without the label", affinity(R"([{"matchExpressions":[{"key":"x","operator":"NotIn","values":["y"]}]}])"),
       labelled, "run"},
      {"Exists", affinity(R"([{"matchExpressions":[{"key":"disk","operator":"Exists"}]}])"), labelled, "run"},
      {"DoesNotExist", affinity(R"([{"matchExpressions":[{"key":"disk","operator":"DoesNotExist"}]}])"), labelled,
       "no"},
      {"Gt", affinity(R"([{"matchExpressions":[{"key":"cores","operator":"Gt","values":["4"]}]}])"), labelled, "run"},
      {"Lt", affinity(R"([{"matchExpressions":[{"key":"cores","operator":"Lt","values":["8"]}]}])"), labelled, "no"},
      {"Gt of no number", affinity(R"([{"matchExpressions":[{"key":"disk","operator":"Gt","values":["4"]}]}])"),
       labelled, "no"},
      {"terms are alternatives",
       affinity(
           R"([{"matchExpressions":[{"key":"x","operator":"Exists"}]},{"matchExpressions":[{"key":"disk","operator":"Exists"}]}])"),
       labelled, "run"},
      {"expressions of a term are not",
       affinity(R"([{"matchExpressions":[{"key":"x","operator":"Exists"},{"key":"disk","operator":"Exists"}]}])"),
       labelled, "no"},
      {"an empty term matches nothing", affinity("[{}]"), labelled, "no"},
      {"no term matches nothing", affinity("[]"), labelled, "no"},
      {"matchFields", affinity(R"([{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}])"), "{}",
       "run"},
      {"matchFields of another",
       affinity(R"([{"matchFields":[{"key":"metadata.name","operator":"NotIn","values":["n1"]}]}])"), "{}", "no"},
      {"selector and affinity",
       R"({"nodeSelector":{"disk":"hdd"},"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"disk","operator":"Exists"}]}]}}}})",
       labelled, "no"},
      {"a node of its own", R"({"nodeName":"n1"})", "{}", "run"},
      {"another node", R"({"nodeName":"n2"})", "{}", "no"},
      {"NoSchedule", "{}", tainted("a", "NoSchedule"), "stay"},
      {"NoExecute", "{}", tainted("a", "NoExecute"), "no"},
      {"PreferNoSchedule", "{}", tainted("a", "PreferNoSchedule"), "run"},
      {"tolerated", R"({"tolerations":[{"key":"a","operator":"Equal","value":"v","effect":"NoSchedule"}]})",
       tainted("a", "NoSchedule"), "run"},
      {"Equal is the default", R"({"tolerations":[{"key":"a","value":"v"}]})", tainted("a", "NoExecute"), "run"},
      {"other value", R"({"tolerations":[{"key":"a","value":"w"}]})", tainted("a", "NoSchedule"), "stay"},
      {"other effect", R"({"tolerations":[{"key":"a","operator":"Exists","effect":"NoSchedule"}]})",
       tainted("a", "NoExecute"), "no"},
      {"everything tolerated", R"({"tolerations":[{"operator":"Exists"}]})", tainted("a", "NoExecute"), "run"},
      {"cordoned", "{}",
       R"({"spec":{"unschedulable":true,"taints":[{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"}]}})",
       "run"},
      {"disk pressure", "{}", tainted("node.kubernetes.io/disk-pressure", "NoSchedule"), "run"},
      {"memory pressure", "{}", tainted("node.kubernetes.io/memory-pressure", "NoSchedule"), "run"},
      {"pid pressure", "{}", tainted("node.kubernetes.io/pid-pressure", "NoSchedule"), "run"},
      {"not ready, NoExecute", "{}", tainted("node.kubernetes.io/not-ready", "NoExecute"), "run"},
      {"unreachable, NoExecute", "{}", tainted("node.kubernetes.io/unreachable", "NoExecute"), "run"},
      {"not ready, NoSchedule", "{}", tainted("node.kubernetes.io/not-ready", "NoSchedule"), "stay"},
      {"no network", "{}", tainted("node.kubernetes.io/network-unavailable", "NoSchedule"), "stay"},
      {"no network needed", R"({"hostNetwork":true})", tainted("node.kubernetes.io/network-unavailable", "NoSchedule"),
       "run"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    CHECK(std::string(Answer(Judge(c.spec.c_str(), c.node.c_str()))) == c.answer);
  }
  CHECK(Judge("{}", R"({"spec":{"taints":[{"key":"gpu","value":"x","effect":"NoSchedule"}]}})").why_not ==
        "it has the untolerated taint gpu=x:NoSchedule");
}

TEST_CASE("Point 1: the automatic tolerations are written into the pod, without limits of time") {
  Json spec = Json::parse(R"({"tolerations":[{"key":"mine","operator":"Exists"},
    {"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":5}]})");
  AddDaemonTolerations(spec);
  AddDaemonTolerations(spec);
  CHECK(spec["tolerations"] == Json::parse(R"([
    {"key":"mine","operator":"Exists"},
    {"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute"},
    {"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute"},
    {"key":"node.kubernetes.io/disk-pressure","operator":"Exists","effect":"NoSchedule"},
    {"key":"node.kubernetes.io/memory-pressure","operator":"Exists","effect":"NoSchedule"},
    {"key":"node.kubernetes.io/pid-pressure","operator":"Exists","effect":"NoSchedule"},
    {"key":"node.kubernetes.io/unschedulable","operator":"Exists","effect":"NoSchedule"}])"));
}

TEST_CASE("Point 3: pinning replaces required affinity and keeps preferences") {
  Json spec = Json::parse(R"({"affinity":{"podAffinity":{},"nodeAffinity":{
    "requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Exists"}]}]},
    "preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1}]}}})");
  PinToNode(spec, "n1");
  CHECK(spec == Json::parse(R"({"affinity":{"podAffinity":{},"nodeAffinity":{
    "requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
      {"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]},
    "preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1}]}}})"));
}
