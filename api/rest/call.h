#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/http/exchange.h"
#include "core/kinds/codec.h"
#include "core/kinds/selector.h"
#include "core/kinds/table.h"
#include "core/registry/registry.h"

namespace wherry {

// Who asks: from the client certificate or the bearer token.
struct Identity {
  std::string user;
  std::vector<std::string> groups;
  std::string uid = {};                                        // of a service account
  std::map<std::string, std::vector<std::string>> extra = {};  // what else is known: the pod that speaks …
};

// What form the answer is to have (content negotiation, API-CONTRACT §5).
enum class AnswerForm : uint8_t { kObject, kTable, kMetadata };

// The query parameters of list, watch and deletecollection, read and checked.
struct ListQuery {
  LabelSelector labels;
  FieldSelector fields;
  std::string resource_version;        // "" = most recent
  std::string resource_version_match;  // "", "NotOlderThan", "Exact"
  std::optional<bool> send_initial_events;
  bool allow_bookmarks = false;
  std::optional<int64_t> timeout_seconds;
  int64_t limit = 0;
  std::string continue_token;
};

// One request to a resource, understood: what the path names, who asks, what form the answer takes. Lives as long as
// the request.
struct Call {
  http::ExchangePtr exchange;
  const Kind* kind = nullptr;
  std::string ns, name, subresource;
  Identity identity;
  AnswerForm form = AnswerForm::kObject;
  std::vector<std::string> warnings;  // become Warning headers

  const http::Request& request() const { return exchange->request(); }
  RequestContext context() const;  // user, fieldManager, dryRun
};

// A boolean of the query: absent, "0" and "false" are false, all else is true (API-CONTRACT §1).
bool QueryBool(const http::Request& request, std::string_view name);
// 400 with strconv's text when it is no integer.
Result<std::optional<int64_t>> QueryInt(const http::Request& request, std::string_view name);
std::string QueryString(const http::Request& request, std::string_view name);

Result<ListQuery> ReadListQuery(const http::Request& request, bool watch);

// Walks the Accept header; kNotAcceptable when nothing of it is ours.
Result<AnswerForm> Negotiate(const http::Request& request);
// True when the Accept header prefers aggregated discovery (apidiscovery.k8s.io/v2) to the plain documents.
bool WantsAggregatedDiscovery(const http::Request& request);
// What the Content-Type says of the body. Absent is JSON.
enum class BodyFormat : uint8_t { kJson, kYaml, kProtobuf, kUnknown };
BodyFormat FormatOf(const http::Request& request);
Status UnknownFormat();  // 415
// The kind of patch that the Content-Type names; 415 when it is none that this kind takes.
Result<PatchType> ReadPatchType(const http::Request& request, const Kind& kind);

// The fieldValidation parameter; 422 when it is none of Strict, Warn, Ignore.
Result<FieldValidation> ReadFieldValidation(const http::Request& request);
// The dryRun parameter; 422 when it is not All.
Status CheckDryRun(const http::Request& request);

// The request's body as a document of `type`: JSON, YAML or protobuf by its Content-Type, unknown fields dropped and
// told. An apiVersion and kind in it must be `gvk`'s; absent ones are taken from it.
Result<Decoded> DecodeBody(const http::Request& request, const Type& type, const GroupVersionKind& gvk);
// The same for a patch: any JSON value, from JSON or YAML. Repeated fields are told in `*problems`.
Result<Json> DecodePatch(const http::Request& request, std::vector<std::string>* problems);

// DeleteOptions from the body (when there is one) and the query.
Result<DeleteOptions> ReadDeleteOptions(const http::Request& request, const KindCatalog& catalog);

// Applies the fieldValidation of the request to what decoding found: an error, or warnings on the call.
Status JudgeProblems(Call& call, const GroupVersionKind& gvk, FieldValidation validation,
                     const std::vector<std::string>& problems);

// Answers.
Json StatusDocument(const Status& status);  // the Status object of a refusal
Status WrongMethod();                       // 405
void RespondStatus(http::Exchange& exchange, const Status& status);
void RespondDone(http::Exchange& exchange);  // 201 and a Status Success: a binding, an eviction
void RespondSuccess(Call& call, const Kind& kind, const Object& object, int code = 200);
void RespondJson(http::Exchange& exchange, const Json& document, int code = 200);
// The object in the form the call asks for.
void RespondObject(Call& call, const ObjectPtr& object, int code, Time now);

// The document of an object in the version of `kind` (views are converted).
Json DocumentOf(const Kind& kind, const Object& object);
// {"kind":"PartialObjectMetadata",…}
Json PartialMetadata(const Json& object);
// Object, Metadata or None, by the includeObject parameter.
Result<IncludeObject> ReadIncludeObject(const http::Request& request);

// True when the selectors match. `object` is of `kind`'s resource.
bool Selects(const Kind& kind, const ListQuery& query, const std::string& name, const Object& object);
// 400 `field label not supported: x` when a field is not selectable.
Status CheckFields(const Kind& kind, const FieldSelector& fields);

}  // namespace wherry
