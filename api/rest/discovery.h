#pragma once

#include <string>

#include "core/kinds/kind.h"

namespace wherry {

// The discovery documents, all derived from the catalog (API-CONTRACT §2). Pure.
Json ApiVersions(const std::string& server_address);                // GET /api
Json ApiGroupList(const KindCatalog& catalog);                      // GET /apis
Json ApiGroup(const KindCatalog& catalog, std::string_view group);  // GET /apis/<group>; null when unknown
Json ApiResourceList(const KindCatalog& catalog, std::string_view group,
                     std::string_view version);  // null when unknown
// apidiscovery.k8s.io/v2 APIGroupDiscoveryList: of the core group (`core`) or of all others.
Json AggregatedDiscovery(const KindCatalog& catalog, bool core);
inline constexpr std::string_view kAggregatedType =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

// The OpenAPI documents in the form that kubectl needs: one PATCH operation per kind with its GVK and the parameters
// dryRun and fieldValidation (API-CONTRACT §9).
Json OpenApiV3Root(const KindCatalog& catalog);
Json OpenApiV3(const KindCatalog& catalog, std::string_view group, std::string_view version);  // null when unknown
Json OpenApiV2(const KindCatalog& catalog);
std::string OpenApiV2Protobuf(const KindCatalog& catalog);  // gnostic openapi.v2.Document

}  // namespace wherry
