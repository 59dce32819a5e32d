#include <catch2/catch.hpp>
#include <chrono>
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
