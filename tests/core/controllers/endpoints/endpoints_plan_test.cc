#include "core/controllers/endpoints/endpoints_plan.h"

#include <catch2/catch.hpp>
#include <deque>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

using namespace wherry;

namespace {

// Pods and a Service to plan with; "a 127.0.0.2 ready", told in JSON where it matters.
struct World {
  explicit World(Json spec) : service(Json{{"spec", std::move(spec)}}) {}

  World& Pod(const std::string& name, const std::string& ip, const std::string& state = "ready", Json more = Json()) {
    Json pod = {{"spec", {{"nodeName", "node-1"}}}, {"status", {{"podIP", ip}, {"phase", "Running"}}}};
    const bool ready = state.find("ready") == 0 || state == "going";
    pod["status"]["conditions"] = Json::array({{{"type", "Ready"}, {"status", ready ? "True" : "False"}}});
    if (state == "ended") pod["status"]["phase"] = "Succeeded";
    if (state.starts_with("going")) pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
    if (!more.is_null()) pod.merge_patch(more);
    views.emplace_back(pod);
    pods.push_back({"default", name, name + "-uid", &views.back(), ""});
    return *this;
  }

  // "127.0.0.2,127.0.0.3/not:127.0.0.4 http=80;…" of the Endpoints.
  std::string Subsets() const {
    bool truncated = false;
    const Json subsets = PlanSubsets({"web", &service}, pods, &truncated);
    std::string out;
    for (const Json& subset : subsets) {
      std::string line;
      for (const Json& address : ListAt(subset, "addresses")) {
        line += (line.empty() ? "" : ",") + StringAt(address, "ip");
        if (Has(address, "hostname")) line += "(" + StringAt(address, "hostname") + ")";
      }
      std::string others;
      for (const Json& address : ListAt(subset, "notReadyAddresses")) {
        others += (others.empty() ? "/not:" : ",") + StringAt(address, "ip");
      }
      line += others;
      for (const Json& port : ListAt(subset, "ports"))
        line += " " + StringAt(port, "name") + "=" + std::to_string(IntAt(port, "port"));
      out += (out.empty() ? "" : ";") + line;
    }
    return out + (truncated ? " truncated" : "");
  }

  // "127.0.0.2 rs-" per slice endpoint: ready, serving, terminating.
  std::string Conditions() const {
    std::string out;
    for (const PortGroup& group : GroupPods({"web", &service}, pods)) {
      for (const Json& endpoint : group.endpoints) {
        out += (out.empty() ? "" : ",") + endpoint["addresses"][0].get<std::string>() + " ";
        out += BoolAt(endpoint, "conditions.ready") ? 'r' : '-';
        out += BoolAt(endpoint, "conditions.serving") ? 's' : '-';
        out += BoolAt(endpoint, "conditions.terminating") ? 't' : '-';
      }
    }
    return out;
  }

  ServiceView service;
  std::deque<EndpointPodView> views;
  std::vector<EndpointPod> pods;
};

const Json kPlain = {{"clusterIP", "127.96.0.9"}, {"selector", {{"a", "b"}}}, {"ports", Json::array({{{"port", 80}}})}};

Json With(Json more) {
  Json spec = kPlain;
  spec.merge_patch(more);
  return spec;
}

Json NamedPort(const std::string& name, int port, const std::string& protocol = "TCP") {
  return {{"spec",
           {{"containers",
             Json::array(
                 {{{"name", "c"},
                   {"ports", Json::array({{{"name", name}, {"containerPort", port}, {"protocol", protocol}}})}}})}}}};
}

}  // namespace

TEST_CASE("Endpoints hold the pods by readiness, in the order of their addresses") {
  CHECK(World(kPlain).Subsets().empty());
  CHECK(World(kPlain).Pod("a", "127.0.0.10").Pod("b", "127.0.0.9").Pod("c", "127.0.0.2", "no").Subsets() ==
        "127.0.0.9,127.0.0.10/not:127.0.0.2 =80");
  // Without an address, ended, and on their way out: not there.
  CHECK(World(kPlain).Pod("a", "").Pod("b", "127.0.0.9", "ended").Pod("c", "127.0.0.2", "going").Subsets().empty());
  const Json publish = With({{"publishNotReadyAddresses", true}});
  CHECK(World(publish).Pod("a", "127.0.0.3", "no").Pod("b", "127.0.0.4", "going").Subsets() ==
        "127.0.0.3,127.0.0.4 =80");
}

TEST_CASE("A named target port is each pod's own") {
  const Json spec = With({{"ports", Json::array({{{"name", "http"}, {"port", 80}, {"targetPort", "web"}}})}});
  CHECK(World(spec)
            .Pod("a", "127.0.0.2", "ready", NamedPort("web", 8080))
            .Pod("b", "127.0.0.3", "ready", NamedPort("web", 9090))
            .Pod("c", "127.0.0.4", "ready", NamedPort("web", 8080))
            .Pod("d", "127.0.0.5", "ready", NamedPort("other", 1))
            .Pod("e", "127.0.0.6", "ready", NamedPort("web", 53, "UDP"))
            .Subsets() == "127.0.0.2,127.0.0.4 http=8080;127.0.0.3 http=9090");
}

TEST_CASE("Headless: addresses without ports, and names of the pods' own") {
  const Json spec = {{"clusterIP", "None"}, {"selector", {{"a", "b"}}}};
  const Json named = {{"spec", {{"hostname", "web-0"}, {"subdomain", "web"}}}};
  const Json elsewhere = {{"spec", {{"hostname", "web-1"}, {"subdomain", "other"}}}};
  CHECK(World(spec).Pod("web-0", "127.0.0.2", "ready", named).Pod("web-1", "127.0.0.3", "ready", elsewhere).Subsets() ==
        "127.0.0.2(web-0),127.0.0.3");
}

TEST_CASE("Endpoints of more than a thousand pods are cut, ready ones first") {
  World world(kPlain);
  for (int i = 0; i < 10; ++i) world.Pod("n" + std::to_string(i), "127.0.1." + std::to_string(i), "no");
  for (int i = 0; i < 995; ++i)
    world.Pod("r" + std::to_string(i), "127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250));
  const std::string text = world.Subsets();
  CHECK(text.find("/not:127.0.1.0,127.0.1.1,127.0.1.2,127.0.1.3,127.0.1.4 =80 truncated") != std::string::npos);
}

TEST_CASE("Slice endpoints say ready, serving and terminating") {
  World world(kPlain);
  world.Pod("a", "127.0.0.2").Pod("b", "127.0.0.3", "no").Pod("c", "127.0.0.4", "going").Pod("d", "127.0.0.5", "ended");
  world.Pod("e", "127.0.0.6", "going away");
  CHECK(world.Conditions() == "127.0.0.2 rs-,127.0.0.3 ---,127.0.0.4 -st,127.0.0.6 --t");
  World published(With({{"publishNotReadyAddresses", true}}));
  published.Pod("b", "127.0.0.3", "no").Pod("c", "127.0.0.4", "going");
  CHECK(published.Conditions() == "127.0.0.3 r--,127.0.0.4 rst");
}

namespace {

// Slices in a store that does nothing but hold them.
struct Stored {
  Json metadata = {{"labels", {{"l", "1"}}}, {"ownerReferences", Json::array()}};
  std::map<std::string, Json> slices;
  int next = 0;

  // Plans for `count` endpoints of one port, applies the plan, and tells what it wrote: "+1 ~2 -3".
  std::string Plan(const std::vector<int>& numbers, int port = 80) {
    PortGroup group;
    group.ports = Json::array({{{"name", ""}, {"port", port}, {"protocol", "TCP"}}});
    for (int i : numbers) {
      group.endpoints.push_back(
          {{"addresses", Json::array({"127.0." + std::to_string(i / 250) + "." + std::to_string(i % 250)})},
           {"targetRef", {{"uid", std::to_string(i)}}}});
    }
    std::vector<PortGroup> groups;
    if (!numbers.empty()) groups.push_back(std::move(group));
    return Apply(std::move(groups));
  }
  std::string Apply(std::vector<PortGroup> groups, bool keep_one = true) {
    std::vector<ExistingSlice> existing;
    for (const auto& [name, document] : slices) existing.push_back({name, &document});
    SlicePlan plan = PlanSlices(std::move(groups), existing, metadata, keep_one);
    const std::string text = "+" + std::to_string(plan.creates.size()) + " ~" + std::to_string(plan.updates.size()) +
                             " -" + std::to_string(plan.deletes.size());
    for (Json& document : plan.updates) slices[document["metadata"]["name"]] = document;
    for (const std::string& name : plan.deletes) slices.erase(name);
    for (Json& document : plan.creates) {
      const std::string name = "s" + std::to_string(next++);
      document["metadata"] = metadata;
      document["metadata"]["name"] = name;
      slices[name] = document;
    }
    return text;
  }
  // Endpoints per slice, "100,50".
  std::string Sizes() const {
    std::string out;
    for (const auto& [name, document] : slices)
      out += (out.empty() ? "" : ",") + std::to_string(document["endpoints"].size());
    return out;
  }
};

std::vector<int> Range(int from, int to) {
  std::vector<int> out;
  for (int i = from; i < to; ++i) out.push_back(i);
  return out;
}

}  // namespace

TEST_CASE("Slices: a hundred endpoints each, and few writes") {
  Stored stored;
  CHECK(stored.Plan({}) == "+1 ~0 -0");  // the empty one
  CHECK(stored.Plan({}) == "+0 ~0 -0");
  CHECK(stored.Plan(Range(0, 250)) == "+3 ~0 -1");
  CHECK(stored.Sizes() == "100,100,50");
  CHECK(stored.Plan(Range(0, 250)) == "+0 ~0 -0");
  // One more fits into the one that has room.
  CHECK(stored.Plan(Range(0, 251)) == "+0 ~1 -0");
  // One goes and one comes: one write.
  CHECK(stored.Plan(Range(1, 252)) == "+0 ~1 -0");
  // More than fits anywhere: a new one.
  CHECK(stored.Plan(Range(1, 320)) == "+1 ~0 -0");
  CHECK(stored.Plan({1}) == "+0 ~1 -3");
  // Other ports are other slices.
  CHECK(stored.Plan({1, 2}, 81) == "+1 ~0 -1");
  CHECK(stored.Plan({}) == "+0 ~1 -0");
  CHECK(stored.Apply({}, false) == "+0 ~0 -1");
}

TEST_CASE("Slices: a change of an endpoint or of the labels is written, in place") {
  Stored stored;
  stored.Plan(Range(0, 3));
  PortGroup group;
  group.ports = Json::array({{{"name", ""}, {"port", 80}, {"protocol", "TCP"}}});
  for (int i = 0; i < 3; ++i) {
    group.endpoints.push_back({{"addresses", Json::array({"127.0.0." + std::to_string(i)})},
                               {"conditions", {{"ready", i != 1}}},
                               {"targetRef", {{"uid", std::to_string(i)}}}});
  }
  CHECK(stored.Apply({group}) == "+0 ~1 -0");
  CHECK(stored.slices["s0"]["endpoints"][1]["conditions"]["ready"] == false);
  stored.metadata["labels"]["l"] = "2";
  CHECK(stored.Apply({group}) == "+0 ~1 -0");
  CHECK(stored.slices["s0"]["metadata"]["labels"]["l"] == "2");
  CHECK(stored.Apply({group}) == "+0 ~0 -0");
}

TEST_CASE("People's own Endpoints become groups by their ports") {
  const Json endpoints = {
      {"subsets", Json::array({{{"addresses", Json::array({{{"ip", "10.0.0.1"}, {"hostname", "a"}}})},
                                {"notReadyAddresses", Json::array({{{"ip", "10.0.0.2"}}})},
                                {"ports", Json::array({{{"port", 5432}}})}},
                               {{"addresses", Json::array({{{"ip", "10.0.0.3"}}, {{"ip", "fd00::1"}}})},
                                {"ports", Json::array({{{"port", 5433}, {"name", "x"}}})}}})}};
  const auto groups = GroupSubsets(endpoints);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].endpoints.size() == 2);
  CHECK(groups[0].endpoints[0]["hostname"] == "a");
  CHECK(groups[0].endpoints[1]["conditions"]["ready"] == false);
  CHECK(groups[0].ports == Json::array({{{"name", ""}, {"port", 5432}, {"protocol", "TCP"}}}));
  CHECK(groups[1].endpoints.size() == 1);
}
