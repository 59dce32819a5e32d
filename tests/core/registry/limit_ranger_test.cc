#include "core/registry/limit_ranger.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

Json Range(const std::string& item) {
  return Json{{"metadata", {{"name", "r"}}}, {"spec", {{"limits", Json::array({Json::parse(item)})}}}};
}

// A pod of containers with these resources.
Json Pod(const std::vector<std::string>& resources, const char* init = nullptr) {
  Json pod = {{"metadata", {{"name", "p"}}}, {"spec", {{"containers", Json::array()}}}};
  for (size_t i = 0; i < resources.size(); ++i) {
    pod["spec"]["containers"].push_back({{"name", "c" + std::to_string(i)}, {"resources", Json::parse(resources[i])}});
  }
  if (init) pod["spec"]["initContainers"] = Json::array({{{"name", "i"}, {"resources", Json::parse(init)}}});
  return pod;
}

using Lines = std::vector<std::string>;

TEST_CASE("LimitRanger gives containers what they do not state") {
  const Json range =
      Range(R"({"type":"Container","default":{"cpu":"1","memory":"64Mi"},"defaultRequest":{"cpu":"100m"}})");
  Json pod = Pod({R"({})", R"({"limits":{"cpu":"2"},"requests":{"cpu":"2"}})"}, R"({})");
  ApplyLimitDefaults(range, pod);
  CHECK(pod["spec"]["containers"][0]["resources"] ==
        Json::parse(R"({"limits":{"cpu":"1","memory":"64Mi"},"requests":{"cpu":"100m"}})"));
  CHECK(pod["spec"]["containers"][1]["resources"] ==
        Json::parse(R"({"limits":{"cpu":"2","memory":"64Mi"},"requests":{"cpu":"2"}})"));
  CHECK(pod["spec"]["initContainers"][0]["resources"]["limits"]["cpu"] == "1");
  CHECK(pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] ==
        "LimitRanger plugin set: cpu request for container c0; cpu, memory limit for container c0; "
        "memory limit for container c1; cpu request for init container i; cpu, memory limit for init container i");

  Json untouched = Pod({R"({})"});
  ApplyLimitDefaults(Range(R"({"type":"Pod","max":{"cpu":"1"}})"), untouched);
  CHECK(untouched == Pod({R"({})"}));
}

TEST_CASE("LimitRanger refuses what is out of bounds, in upstream's words") {
  struct Case {
    const char* item;
    std::vector<std::string> containers;
    Lines broken;
  };
  const Case cases[] = {
      {R"({"type":"Container","max":{"cpu":"1"}})", {R"({"limits":{"cpu":"1"},"requests":{"cpu":"1"}})"}, {}},
      {R"({"type":"Container","max":{"cpu":"1"}})",
       {R"({"limits":{"cpu":"2"}})"},
       {"maximum cpu usage per Container is 1, but limit is 2"}},
      {R"({"type":"Container","max":{"cpu":"1"}})",
       {R"({})"},
       {"maximum cpu usage per Container is 1.  No limit is specified"}},
      {R"({"type":"Container","min":{"memory":"1Gi"}})",
       {R"({"requests":{"memory":"512Mi"}})"},
       {"minimum memory usage per Container is 1Gi, but request is 512Mi"}},
      {R"({"type":"Container","min":{"memory":"1Gi"}})",
       {R"({})"},
       {"minimum memory usage per Container is 1Gi.  No request is specified"}},
      {R"({"type":"Container","maxLimitRequestRatio":{"cpu":"2"}})",
       {R"({"limits":{"cpu":"1"},"requests":{"cpu":"250m"}})"},
       {"cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"}},
      {R"({"type":"Container","maxLimitRequestRatio":{"cpu":"2"}})",
       {R"({"limits":{"cpu":"1"}})"},
       {"cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"}},
      {R"({"type":"Pod","max":{"cpu":"1"}})",
       {R"({"limits":{"cpu":"600m"}})", R"({"limits":{"cpu":"600m"}})"},
       {"maximum cpu usage per Pod is 1, but limit is 1200m"}},
      {R"({"type":"Pod","max":{"cpu":"1"}})",
       {R"({"limits":{"cpu":"600m"}})", R"({})"},
       {"maximum cpu usage per Pod is 1.  No limit is specified"}},
      {R"({"type":"Container","max":{"cpu":"1"}})",
       {R"({"limits":{"cpu":"2"}})", R"({"limits":{"cpu":"3"}})"},
       {"maximum cpu usage per Container is 1, but limit is 2",
        "maximum cpu usage per Container is 1, but limit is 3"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.item, c.containers);
    CHECK(BrokenLimits(Range(c.item), "Pod", Pod(c.containers)) == c.broken);
  }
}

TEST_CASE("LimitRanger bounds the storage of claims") {
  const Json range = Range(R"({"type":"PersistentVolumeClaim","min":{"storage":"1Gi"},"max":{"storage":"2Gi"}})");
  auto claim = [](const char* size) { return Json{{"spec", {{"resources", {{"requests", {{"storage", size}}}}}}}}; };
  CHECK(BrokenLimits(range, "PersistentVolumeClaim", claim("1Gi")).empty());
  CHECK(BrokenLimits(range, "PersistentVolumeClaim", claim("512Mi")) ==
        Lines{"minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi"});
  CHECK(BrokenLimits(range, "PersistentVolumeClaim", claim("3Gi")) ==
        Lines{"maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"});
  CHECK(BrokenLimits(range, "Pod", Pod({R"({})"})).empty());
}

}  // namespace
}  // namespace wherry
