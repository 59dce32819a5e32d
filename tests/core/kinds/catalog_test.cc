#include <catch2/catch.hpp>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/kinds/kind.h"

namespace wherry {
namespace {

TEST_CASE("the built-in catalog loads and answers look-ups") {
  const auto catalog = KindCatalog::BuiltIn();
  const Kind* daemonset = catalog->Find("apps", "v1", "daemonsets");
  REQUIRE(daemonset);
  CHECK(daemonset->gvk == GroupVersionKind{"apps", "v1", "DaemonSet"});
  CHECK(daemonset->list_kind == "DaemonSetList");
  CHECK(daemonset->resource == "daemonsets.apps");
  CHECK(daemonset->short_names == std::vector<std::string>{"ds"});
  CHECK(daemonset->categories == std::vector<std::string>{"all"});
  CHECK(daemonset->namespaced);
  CHECK(daemonset->has_status);
  CHECK(daemonset->has_generation);
  CHECK(catalog->FindGvk("apps", "v1", "DaemonSet") == daemonset);
  CHECK(catalog->FindResource("daemonsets.apps") == daemonset);
  CHECK(catalog->FindGvk("apps", "v1beta1", "DaemonSet") == nullptr);

  const Type* container = catalog->FindType("core.v1", "Container");
  REQUIRE(container);
  const Field* ports = container->FindField("ports");
  REQUIRE(ports);
  CHECK(ports->number == 6);
  CHECK(ports->list_keys == std::vector<std::string>{"containerPort", "protocol"});
  CHECK(ports->patch_key == "containerPort");
  // Through an inlined type.
  CHECK(catalog->FindType("core.v1", "Volume")->FindField("emptyDir") != nullptr);
  CHECK(catalog->FindType("core.v1", "Volume")->FindField("nothing") == nullptr);
  CHECK(container->full_name == "io.k8s.api.core.v1.Container");
}

TEST_CASE("every kind is what API clients know it by") {
  const auto catalog = KindCatalog::BuiltIn();
  // plural.group, Kind, short name, flags: n(amespaced) s(tatus) g(eneration) c(reate on update) u(nconditional
  // update), subresources.
  const char* const expected[] = {
      "pods Pod po nsu status,binding,eviction,log,exec,attach,portforward,ephemeralcontainers",
      "namespaces Namespace ns su status,finalize",
      "nodes Node no su status,proxy",
      "configmaps ConfigMap cm nu ",
      "secrets Secret  nu ",
      "serviceaccounts ServiceAccount sa nu token",
      "services Service svc nscu status",
      "endpoints Endpoints ep ncu ",
      "events Event ev ncu ",
      "replicationcontrollers ReplicationController rc nsgu status,scale",
      "persistentvolumes PersistentVolume pv su status",
      "persistentvolumeclaims PersistentVolumeClaim pvc nsu status",
      "resourcequotas ResourceQuota quota nsu status",
      "limitranges LimitRange limits nu ",
      "daemonsets.apps DaemonSet ds nsgu status",
      "deployments.apps Deployment deploy nsgu status,scale",
      "replicasets.apps ReplicaSet rs nsgu status,scale",
      "statefulsets.apps StatefulSet sts nsgu status,scale",
      "controllerrevisions.apps ControllerRevision  nu ",
      "events.events.k8s.io Event ev ncu ",
      "horizontalpodautoscalers.autoscaling HorizontalPodAutoscaler hpa nsgu status",
      "horizontalpodautoscalers.autoscaling HorizontalPodAutoscaler hpa nsgu status",
      "jobs.batch Job  nsgu status",
      "cronjobs.batch CronJob cj nsgu status",
      "poddisruptionbudgets.policy PodDisruptionBudget pdb nsg status",
      "storageclasses.storage.k8s.io StorageClass sc u ",
      "priorityclasses.scheduling.k8s.io PriorityClass pc gu ",
      "runtimeclasses.node.k8s.io RuntimeClass  u ",
      "leases.coordination.k8s.io Lease  nc ",
      "endpointslices.discovery.k8s.io EndpointSlice  ngu ",
      "images.wherry.dev Image  sgu status",
      // Older versions of kinds above.
      "events.events.k8s.io Event ev ncu ",
      "cronjobs.batch CronJob cj nsgu status",
      "poddisruptionbudgets.policy PodDisruptionBudget pdb nsg status",
  };
  REQUIRE(catalog->kinds().size() == std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) {
    const Kind& kind = *catalog->kinds()[i];
    std::string line = kind.qualified_plural() + " " + kind.gvk.kind + " ";
    line += (kind.short_names.empty() ? "" : kind.short_names[0]) + " ";
    line += std::string(kind.namespaced ? "n" : "") + (kind.has_status ? "s" : "") + (kind.has_generation ? "g" : "") +
            (kind.create_on_update ? "c" : "") + (kind.unconditional_update ? "u" : "") + " ";
    for (const Subresource& sub : kind.subresources) line += (line.back() == ' ' ? "" : ",") + sub.name;
    CHECK(line == expected[i]);
    CHECK(kind.type->FindField("metadata") != nullptr);
    CHECK(kind.type->FindField("apiVersion") != nullptr);
    CHECK(kind.has_status == (kind.FindSubresource("status") != nullptr));
    CHECK(kind.columns.size() >= (kind.gvk.kind == "LimitRange" ? 2 : 3));  // which has a name and an age, as upstream
    CHECK((kind.columns[0].name == "Name" || kind.columns.back().name == "Name"));
  }
  CHECK(catalog->Find("", "v1", "pods")->FindSubresource("eviction")->gvk ==
        GroupVersionKind{"policy", "v1", "Eviction"});
  CHECK(catalog->Find("", "v1", "namespaces")->verbs ==
        std::vector<std::string>{"create", "delete", "get", "list", "patch", "update", "watch"});
  CHECK(catalog->Find("", "v1", "services")->name_format == "dns1035label");
  CHECK(catalog->Find("", "v1", "events")->selectable.find("source")->second == "source.component");
  CHECK(catalog->Find("", "v1", "pods")->selectable.contains("spec.nodeName"));
}

TEST_CASE("events.k8s.io events are a view of the core ones") {
  const auto catalog = KindCatalog::BuiltIn();
  const Kind* view = catalog->Find("events.k8s.io", "v1", "events");
  REQUIRE(view);
  CHECK(view->storage == catalog->Find("", "v1", "events"));
  CHECK(view->resource == "events");
  CHECK(catalog->FindResource("events") == view->storage);
  const Json stored =
      Json::parse(R"({"apiVersion":"v1","kind":"Event","metadata":{"name":"e"},"message":"m","type":"Normal",
    "involvedObject":{"kind":"Pod"},"source":{"component":"c"},"count":2,"reportingComponent":"r",
    "firstTimestamp":"2026-01-01T00:00:00Z","lastTimestamp":"2026-01-01T00:00:01Z"})");
  const Json shown = Json::parse(R"({"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"e"},"note":"m",
    "type":"Normal","regarding":{"kind":"Pod"},"deprecatedSource":{"component":"c"},"deprecatedCount":2,
    "reportingController":"r","deprecatedFirstTimestamp":"2026-01-01T00:00:00Z",
    "deprecatedLastTimestamp":"2026-01-01T00:00:01Z"})");
  CHECK(view->hooks.from_storage(stored) == shown);
  CHECK(view->hooks.to_storage(shown) == stored);
}

TEST_CASE("an older version of a kind is a view of the newer one's storage") {
  const auto catalog = KindCatalog::BuiltIn();
  const Kind* job = catalog->Find("batch", "v1", "cronjobs");
  const Kind* beta = catalog->Find("batch", "v1beta1", "cronjobs");
  REQUIRE(beta);
  CHECK(beta->storage == job);
  CHECK(beta->type == job->type);
  CHECK(catalog->FindGvk("batch", "v1beta1", "CronJob") == beta);
  CHECK(catalog->FindResource("cronjobs.batch") == job);
  CHECK(beta->FindSubresource("status")->gvk == GroupVersionKind{"batch", "v1beta1", "CronJob"});
  CHECK(catalog->Find("batch", "v1beta1", "jobs") == nullptr);
  const Json stored = {{"apiVersion", "batch/v1"}, {"kind", "CronJob"}, {"spec", {{"schedule", "@daily"}}}};
  const Json shown = {{"apiVersion", "batch/v1beta1"}, {"kind", "CronJob"}, {"spec", {{"schedule", "@daily"}}}};
  CHECK(beta->hooks.from_storage(stored) == shown);
  CHECK(beta->hooks.to_storage(shown) == stored);
  // A view of a view.
  const Kind* event = catalog->Find("events.k8s.io", "v1beta1", "events");
  REQUIRE(event);
  CHECK(event->storage == catalog->Find("", "v1", "events"));
  CHECK(event->hooks.from_storage({{"apiVersion", "v1"}, {"kind", "Event"}, {"message", "m"}}) ==
        Json{{"apiVersion", "events.k8s.io/v1beta1"}, {"kind", "Event"}, {"note", "m"}});
  CHECK(event->hooks.to_storage({{"apiVersion", "events.k8s.io/v1beta1"}, {"kind", "Event"}, {"note", "m"}}) ==
        Json{{"apiVersion", "v1"}, {"kind", "Event"}, {"message", "m"}});
}

TEST_CASE("autoscaling/v1 autoscalers are a view of the v2 ones that loses nothing") {
  const auto catalog = KindCatalog::BuiltIn();
  const Kind* first = catalog->Find("autoscaling", "v1", "horizontalpodautoscalers");
  REQUIRE(first);
  CHECK(first->storage == catalog->Find("autoscaling", "v2", "horizontalpodautoscalers"));
  const Json stored =
      Json::parse(R"({"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},
    "spec":{"maxReplicas":5,"behavior":{"scaleDown":{"selectPolicy":"Min"}},"metrics":[
      {"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"1Gi"}}},
      {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":70}}},
      {"type":"Object","object":{"describedObject":{"kind":"Service","name":"s"},"metric":{"name":"rps"},
        "target":{"type":"Value","value":"10"}}}]},
    "status":{"desiredReplicas":2,"conditions":[{"type":"AbleToScale","status":"True"}],"currentMetrics":[
      {"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":12,"averageValue":"12m"}}}]}})");
  const Json shown = first->hooks.from_storage(stored);
  CHECK(shown["apiVersion"] == "autoscaling/v1");
  CHECK(shown["spec"] == Json({{"maxReplicas", 5}, {"targetCPUUtilizationPercentage", 70}}));
  CHECK(shown["status"] == Json({{"desiredReplicas", 2}, {"currentCPUUtilizationPercentage", 12}}));
  CHECK(Json::parse(shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].get<std::string>()) ==
        Json::parse(R"([{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},
          {"type":"Object","object":{"target":{"kind":"Service","name":"s"},"metricName":"rps","targetValue":"10"}}])"));
  Json back = stored;  // the CPU metric comes first
  std::swap(back["spec"]["metrics"][0], back["spec"]["metrics"][1]);
  CHECK(first->hooks.to_storage(shown) == back);
  // What `kubectl autoscale` of older versions sends.
  CHECK(first->hooks.to_storage(Json::parse(R"({"metadata":{"name":"h"},"spec":{"maxReplicas":3}})"))["spec"] ==
        Json({{"maxReplicas", 3}}));
}

TEST_CASE("an empty selector of a policy/v1beta1 budget selects nothing, of a policy/v1 one everything") {
  const auto catalog = KindCatalog::BuiltIn();
  const Kind* beta = catalog->Find("policy", "v1beta1", "poddisruptionbudgets");
  REQUIRE(beta);
  const auto selector = [&](const std::function<Json(const Json&)>& convert, const char* text) {
    return convert({{"spec", {{"selector", Json::parse(text)}}}})["spec"]["selector"].dump();
  };
  const std::string key = R"("key":"pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match")";
  const std::string none = R"({"matchExpressions":[{)" + key + R"(,"operator":"Exists"}]})";
  const std::string all = R"({"matchExpressions":[{)" + key + R"(,"operator":"DoesNotExist"}]})";
  CHECK(selector(beta->hooks.to_storage, "{}") == none);
  CHECK(selector(beta->hooks.from_storage, none.c_str()) == "{}");
  CHECK(selector(beta->hooks.from_storage, "{}") == all);
  CHECK(selector(beta->hooks.to_storage, all.c_str()) == "{}");
  const char* plain = R"({"matchLabels":{"a":"b"}})";
  CHECK(selector(beta->hooks.to_storage, plain) == plain);
  CHECK(selector(beta->hooks.from_storage, plain) == plain);
  CHECK(beta->hooks.to_storage(Json::object()) == Json{{"apiVersion", "policy/v1"}});
}

TEST_CASE("bodies that are no stored kinds") {
  const auto catalog = KindCatalog::BuiltIn();
  const GroupVersionKind known[] = {{"", "v1", "DeleteOptions"},
                                    {"policy", "v1", "DeleteOptions"},
                                    {"autoscaling", "v1", "Scale"},
                                    {"", "v1", "Binding"},
                                    {"policy", "v1", "Eviction"},
                                    {"policy", "v1beta1", "Eviction"},
                                    {"authorization.k8s.io", "v1", "SelfSubjectAccessReview"},
                                    {"authentication.k8s.io", "v1", "TokenRequest"}};
  for (const auto& gvk : known) {
    INFO(gvk.group << "/" << gvk.kind);
    const Type* type = catalog->FindBodyType(gvk);
    REQUIRE(type);
    CHECK(type->name == gvk.kind);
  }
  CHECK(catalog->FindBodyType({"", "v1", "Bogus"}) == nullptr);
  CHECK(catalog->FindVirtual("authorization.k8s.io", "v1", "selfsubjectaccessreviews")->verbs ==
        std::vector<std::string>{"create"});
}

}  // namespace
}  // namespace wherry
