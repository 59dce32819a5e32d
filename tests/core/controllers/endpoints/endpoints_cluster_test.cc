#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;

namespace {

ObjectPtr AddService(ControllerCluster& cluster, const std::string& name, Json spec = Json::object()) {
  Json service = {{"apiVersion", "v1"},
                  {"kind", "Service"},
                  {"metadata", {{"name", name}, {"namespace", "default"}, {"labels", {{"tier", "front"}}}}},
                  {"spec", {{"selector", {{"app", name}}}, {"ports", Json::array({{{"port", 80}}})}}}};
  service["spec"].merge_patch(spec);
  ObjectPtr made = cluster.Create(std::move(service));
  cluster.Settle();
  return made;
}

void AddPod(ControllerCluster& cluster, const std::string& name, const std::string& app, const std::string& ip,
            bool ready = true) {
  cluster.Create({{"apiVersion", "v1"},
                  {"kind", "Pod"},
                  {"metadata", {{"name", name}, {"namespace", "default"}, {"labels", {{"app", app}}}}},
                  {"spec", {{"nodeName", "node-1"}, {"containers", Json::array({{{"name", "c"}, {"image", "i"}}})}}}});
  cluster.SetPodStatus(name, {{"phase", "Running"}, {"podIP", ip}});
  cluster.SetReady(name, ready);
  cluster.Settle();
}

// "127.0.0.2,127.0.0.3/not:…" of the one subset.
std::string Addresses(const ControllerCluster& cluster, const std::string& name) {
  const Json endpoints = cluster.Document(resources::kEndpoints, "default", name);
  if (endpoints.is_null()) return "absent";
  std::string out;
  for (const Json& subset : ListAt(endpoints, "subsets")) {
    for (const char* list : {"addresses", "notReadyAddresses"}) {
      if (list[0] == 'n' && Has(subset, list)) out += "/not:";
      for (const Json& address : ListAt(subset, list))
        out += (out.empty() || out.back() == ':' ? "" : ",") + StringAt(address, "ip");
    }
  }
  return out;
}

// "127.0.0.2 rs-" per endpoint of the Service's slices.
std::string Slices(const ControllerCluster& cluster, const std::string& name) {
  std::string out;
  for (const ObjectPtr& slice : cluster.List(resources::kEndpointSlices, "default")) {
    const std::string* service = slice->view<MetaView>().label("kubernetes.io/service-name");
    if (!service || *service != name) continue;
    const JsonPtr document = slice->json();
    for (const Json& endpoint : ListAt(*document, "endpoints")) {
      out += (out.empty() ? "" : ",") + endpoint["addresses"][0].get<std::string>() + " ";
      out += BoolAt(endpoint, "conditions.ready") ? 'r' : '-';
      out += BoolAt(endpoint, "conditions.serving") ? 's' : '-';
      out += BoolAt(endpoint, "conditions.terminating") ? 't' : '-';
    }
  }
  return out;
}

int Looked(const ControllerCluster& cluster) {
  return cluster.Reconciles("endpoint-controller") + cluster.Reconciles("endpointslice-controller") +
         cluster.Reconciles("endpointslicemirroring-controller");
}

}  // namespace

TEST_CASE("Endpoints and slices follow selector, readiness and deletion") {
  ControllerCluster cluster;
  cluster.AddNode("node-1");
  AddPod(cluster, "a", "web", "127.0.0.2");
  AddService(cluster, "web");
  CHECK(Addresses(cluster, "web") == "127.0.0.2");
  AddPod(cluster, "b", "web", "127.0.0.3", false);
  AddPod(cluster, "c", "other", "127.0.0.4");
  CHECK(Addresses(cluster, "web") == "127.0.0.2/not:127.0.0.3");
  CHECK(Slices(cluster, "web") == "127.0.0.2 rs-,127.0.0.3 ---");
  cluster.SetReady("b", true);
  cluster.Settle();
  CHECK(Addresses(cluster, "web") == "127.0.0.2,127.0.0.3");

  // On its way out it is no longer ready but still serves.
  cluster.Delete(resources::kPods, "default", "a");
  cluster.Settle();
  CHECK(Addresses(cluster, "web") == "127.0.0.3");
  CHECK(Slices(cluster, "web") == "127.0.0.2 -st,127.0.0.3 rs-");
  cluster.StepPods();
  CHECK(Slices(cluster, "web") == "127.0.0.3 rs-");

  // A label that leaves the selector leaves the Service.
  cluster.Update(cluster.Get(resources::kPods, "default", "b"),
                 [](Json& pod) { pod["metadata"]["labels"]["app"] = "x"; });
  cluster.Settle();
  CHECK(Addresses(cluster, "web").empty());
  CHECK(Slices(cluster, "web").empty());

  const Json slice = *cluster.List(resources::kEndpointSlices, "default")[0]->json();
  CHECK(slice["metadata"]["labels"] ==
        Json{{"kubernetes.io/service-name", "web"},
             {"endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"},
             {"tier", "front"}});
  CHECK(slice["metadata"]["ownerReferences"][0]["kind"] == "Service");

  cluster.Delete(resources::kServices, "default", "web");
  cluster.Settle();
  CHECK(Addresses(cluster, "web") == "absent");
  CHECK(cluster.List(resources::kEndpointSlices, "default").empty());
}

TEST_CASE("What does not concern a Service costs no look at it, and nothing is written twice") {
  ControllerCluster cluster;
  cluster.AddNode("node-1");
  AddPod(cluster, "a", "web", "127.0.0.2");
  AddService(cluster, "web");
  AddService(cluster, "db");
  AddPod(cluster, "x", "elsewhere", "127.0.0.9");
  cluster.Settle();
  const int looked = Looked(cluster);
  const uint64_t revision = cluster.Get(resources::kEndpoints, "default", "web")->revision();

  // A node's heartbeat, a pod's status that says nothing new, and a pod that nobody selects.
  cluster.Update(
      cluster.Get(resources::kNodes, "", "node-1"),
      [](Json& node) { node["status"]["conditions"][0]["lastHeartbeatTime"] = "2100-01-02T00:00:00Z"; }, "status");
  cluster.SetPodStatus("a", {{"message", "well"}});
  cluster.SetReady("x", false);
  cluster.Settle();
  CHECK(Looked(cluster) == looked);

  // A change wakes the one Service, in each controller that keeps something of it, and those look at their own write.
  cluster.SetReady("a", false);
  cluster.Settle();
  CHECK(Looked(cluster) - looked <= 4);
  CHECK(Addresses(cluster, "db").empty());
  CHECK(Addresses(cluster, "web") == "/not:127.0.0.2");

  // Somebody's change of ours is put right.
  CHECK(cluster.Get(resources::kEndpoints, "default", "web")->revision() > revision);
  cluster.Update(cluster.Get(resources::kEndpoints, "default", "web"), [](Json& object) { object.erase("subsets"); });
  cluster.Settle();
  CHECK(Addresses(cluster, "web") == "/not:127.0.0.2");
  cluster.Delete(resources::kEndpoints, "default", "web");
  cluster.Settle();
  CHECK(Addresses(cluster, "web") == "/not:127.0.0.2");
}

TEST_CASE("A zone is told, and followed") {
  ControllerCluster cluster;
  cluster.AddNode("node-1", {{"topology.kubernetes.io/zone", "east"}});
  AddPod(cluster, "a", "web", "127.0.0.2");
  AddService(cluster, "web");
  auto zone = [&] {
    const Json slice = *cluster.List(resources::kEndpointSlices, "default").at(0)->json();
    return StringAt(slice["endpoints"][0], "zone");
  };
  CHECK(zone() == "east");
  cluster.Update(cluster.Get(resources::kNodes, "", "node-1"),
                 [](Json& node) { node["metadata"]["labels"]["topology.kubernetes.io/zone"] = "west"; });
  cluster.Settle();
  CHECK(zone() == "west");
}

TEST_CASE("Endpoints that people keep are mirrored, and theirs") {
  ControllerCluster cluster;
  AddService(cluster, "db", {{"selector", nullptr}});
  CHECK(Addresses(cluster, "db") == "absent");
  cluster.Create({{"apiVersion", "v1"},
                  {"kind", "Endpoints"},
                  {"metadata", {{"name", "db"}, {"namespace", "default"}}},
                  {"subsets", Json::array({{{"addresses", Json::array({{{"ip", "10.1.2.3"}}})},
                                            {"ports", Json::array({{{"port", 5432}}})}}})}});
  cluster.Settle();
  CHECK(Slices(cluster, "db") == "10.1.2.3 r--");
  cluster.Update(cluster.Get(resources::kEndpoints, "default", "db"),
                 [](Json& object) { object["subsets"][0]["addresses"][0]["ip"] = "10.1.2.4"; });
  cluster.Settle();
  CHECK(Slices(cluster, "db") == "10.1.2.4 r--");
  CHECK(Addresses(cluster, "db") == "10.1.2.4");
  cluster.Update(cluster.Get(resources::kEndpoints, "default", "db"), [](Json& object) {
    object["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"] = "true";
  });
  cluster.Settle();
  CHECK(Slices(cluster, "db").empty());
}

TEST_CASE("Headless and external Services") {
  ControllerCluster cluster;
  cluster.AddNode("node-1");
  AddPod(cluster, "a", "web", "127.0.0.2");
  AddService(cluster, "web", {{"clusterIP", "None"}, {"ports", nullptr}});
  CHECK(Addresses(cluster, "web") == "127.0.0.2");
  CHECK(cluster.Document(resources::kEndpoints, "default", "web")["metadata"]["labels"].contains(
      "service.kubernetes.io/headless"));
  AddService(cluster, "out", {{"type", "ExternalName"}, {"externalName", "example.com"}, {"ports", nullptr}});
  CHECK(Addresses(cluster, "out") == "absent");
  CHECK(Slices(cluster, "out").empty());
}

TEST_CASE("Many endpoints: slices of a hundred, and one write for one change") {
  ControllerCluster cluster;
  cluster.AddNode("node-1");
  AddService(cluster, "web");
  for (int i = 0; i < 250; ++i) AddPod(cluster, "p" + std::to_string(i), "web", "127.0.1." + std::to_string(i + 1));
  cluster.Advance(std::chrono::seconds(1));
  std::vector<size_t> sizes;
  for (const ObjectPtr& slice : cluster.List(resources::kEndpointSlices, "default"))
    sizes.push_back((*slice->json())["endpoints"].size());
  std::sort(sizes.begin(), sizes.end());
  CHECK(sizes == std::vector<size_t>{50, 100, 100});
  const uint64_t before = cluster.cache().revision();
  cluster.SetReady("p7", false);
  cluster.Advance(std::chrono::seconds(1));
  // The pod's status, the Endpoints, and one slice.
  CHECK(cluster.cache().revision() - before == 3);
}
