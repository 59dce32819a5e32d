#include "api/rest/call.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/schema.h"
#include "core/runtime/object_view.h"

namespace wherry {

using http::EqualsIgnoreCase;
using http::Request;

RequestContext Call::context() const {
  RequestContext context;
  context.user = identity.user;
  context.groups = identity.groups;
  context.field_manager = QueryString(request(), "fieldManager");
  if (context.field_manager.empty()) {
    const std::string_view agent = request().header("User-Agent");
    context.field_manager = agent.substr(0, agent.find('/'));
  }
  context.dry_run = request().query("dryRun").has_value();
  return context;
}

bool QueryBool(const Request& request, std::string_view name) {
  const auto value = request.query(name);
  return value && *value != "0" && !EqualsIgnoreCase(*value, "false");
}

Result<std::optional<int64_t>> QueryInt(const Request& request, std::string_view name) {
  const auto value = request.query(name);
  if (!value || value->empty()) return std::optional<int64_t>();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error != std::errc() || end != value->data() + value->size()) {
    return Status::BadRequest("strconv.ParseInt: parsing \"" + std::string(*value) + "\": invalid syntax");
  }
  return std::optional<int64_t>(number);
}

std::string QueryString(const Request& request, std::string_view name) {
  return std::string(request.query(name).value_or(""));
}

namespace {

Status InvalidListOptions(std::string field, std::string reason, std::string message) {
  return InvalidStatus({"meta.k8s.io", "v1", "ListOptions"}, "",
                       {{std::move(field), std::move(reason), std::move(message)}});
}

// KEP-3157 and the list semantics of resourceVersionMatch.
Status CheckVersionMatch(const ListQuery& query, bool watch) {
  const std::string& match = query.resource_version_match;
  if (query.send_initial_events) {
    if (!watch) {
      return InvalidListOptions("sendInitialEvents", "FieldValueForbidden",
                                "Forbidden: sendInitialEvents is forbidden for list");
    }
    if (match != "NotOlderThan") {
      return InvalidListOptions("resourceVersionMatch", "FieldValueForbidden",
                                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    return {};
  }
  if (match.empty()) return {};
  if (watch) {
    return InvalidListOptions(
        "resourceVersionMatch", "FieldValueForbidden",
        "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  }
  if (match != "NotOlderThan" && match != "Exact") {
    return InvalidListOptions("resourceVersionMatch", "FieldValueNotSupported",
                              "Unsupported value: \"" + match + "\": supported values: \"Exact\", \"NotOlderThan\"");
  }
  if (query.resource_version.empty()) {
    return InvalidListOptions("resourceVersionMatch", "FieldValueForbidden",
                              "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
  }
  if (!query.continue_token.empty()) {
    return InvalidListOptions("resourceVersionMatch", "FieldValueForbidden",
                              "Forbidden: resourceVersionMatch is forbidden when continue is provided");
  }
  if (match == "Exact" && query.resource_version == "0") {
    return InvalidListOptions("resourceVersionMatch", "FieldValueForbidden",
                              "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  }
  return {};
}

}  // namespace

Result<ListQuery> ReadListQuery(const Request& request, bool watch) {
  ListQuery query;
  auto labels = LabelSelector::Parse(request.query("labelSelector").value_or(""));
  if (!labels.ok()) return labels.status();
  query.labels = std::move(*labels);
  auto fields = FieldSelector::Parse(request.query("fieldSelector").value_or(""));
  if (!fields.ok()) return fields.status();
  query.fields = std::move(*fields);
  query.resource_version = QueryString(request, "resourceVersion");
  if (!std::all_of(query.resource_version.begin(), query.resource_version.end(),
                   [](char c) { return c >= '0' && c <= '9'; }) ||
      query.resource_version.size() > 19) {
    return Status::BadRequest("resourceVersion: Invalid value: \"" + query.resource_version +
                              "\": strconv.ParseUint: parsing \"" + query.resource_version + "\": invalid syntax");
  }
  query.resource_version_match = QueryString(request, "resourceVersionMatch");
  if (request.query("sendInitialEvents")) query.send_initial_events = QueryBool(request, "sendInitialEvents");
  query.allow_bookmarks = QueryBool(request, "allowWatchBookmarks");
  auto timeout = QueryInt(request, "timeoutSeconds");
  if (!timeout.ok()) return timeout.status();
  query.timeout_seconds = *timeout;
  auto limit = QueryInt(request, "limit");
  if (!limit.ok()) return limit.status();
  query.limit = std::max<int64_t>(0, limit->value_or(0));
  query.continue_token = QueryString(request, "continue");
  if (!query.continue_token.empty() && !query.resource_version.empty() && query.resource_version != "0" &&
      query.resource_version_match.empty()) {
    return Status::BadRequest("specifying resource version is not allowed when using continue");
  }
  Status status = CheckVersionMatch(query, watch);
  if (!status.ok()) return status;
  return query;
}

Result<FieldValidation> ReadFieldValidation(const Request& request) {
  const std::string value = QueryString(request, "fieldValidation");
  if (value.empty() || value == "Warn") return FieldValidation::kWarn;
  if (value == "Strict") return FieldValidation::kStrict;
  if (value == "Ignore") return FieldValidation::kIgnore;
  const char* options = request.method() == "PATCH" ? "PatchOptions"
                        : request.method() == "PUT" ? "UpdateOptions"
                                                    : "CreateOptions";
  return InvalidStatus(
      {"meta.k8s.io", "v1", options}, "",
      {{"fieldValidation", "FieldValueNotSupported",
        "Unsupported value: \"" + value + "\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""}});
}

Status CheckDryRun(const Request& request) {
  const auto value = request.query("dryRun");
  if (!value || *value == "All") return {};
  const char* options = request.method() == "PATCH"    ? "PatchOptions"
                        : request.method() == "PUT"    ? "UpdateOptions"
                        : request.method() == "DELETE" ? "DeleteOptions"
                                                       : "CreateOptions";
  return InvalidStatus(
      {"meta.k8s.io", "v1", options}, "",
      {{"dryRun", "FieldValueNotSupported",
        "Unsupported value: " + Json::array({std::string(*value)}).dump() + ": supported values: \"All\""}});
}

namespace {

Status CheckType(const GroupVersionKind& gvk, const std::string& api_version, const std::string& kind) {
  if (!kind.empty() && kind != gvk.kind) {
    const std::string version = api_version.empty() ? gvk.version : api_version.substr(api_version.find('/') + 1);
    return Status::BadRequest(kind + " in version \"" + version + "\" cannot be handled as a " + gvk.kind +
                              ": the kind in the data (" + kind + ") does not match the expected kind (" + gvk.kind +
                              ")");
  }
  if (!api_version.empty() && api_version != gvk.api_version()) {
    return Status::BadRequest("the API version in the data (" + api_version +
                              ") does not match the expected API version (" + gvk.api_version() + ")");
  }
  return {};
}

}  // namespace

Result<Decoded> DecodeBody(const Request& request, const Type& type, const GroupVersionKind& gvk) {
  const BodyFormat format = FormatOf(request);
  if (format == BodyFormat::kUnknown) return UnknownFormat();
  if (format == BodyFormat::kProtobuf) {
    auto envelope = OpenEnvelope(request.body());
    if (!envelope.ok()) return envelope.status();
    Status status = CheckType(gvk, envelope->api_version, envelope->kind);
    if (!status.ok()) return status;
    auto document = DecodeProtobuf(type, envelope->raw);
    if (!document.ok()) return document.status();
    (*document)["apiVersion"] = gvk.api_version();
    (*document)["kind"] = gvk.kind;
    return Conform(type, gvk, std::move(*document));
  }
  std::vector<std::string> duplicates;
  auto document =
      format == BodyFormat::kYaml ? ParseYaml(request.body(), &duplicates) : ParseJson(request.body(), &duplicates);
  if (!document.ok()) return document.status();
  if (!document->is_object()) {
    return Status::BadRequest("the object provided is unrecognized (must be of type " + gvk.kind +
                              "): it is no JSON object");
  }
  for (const char* key : {"apiVersion", "kind"}) {
    const Json* value = FindPath(*document, key);
    if (value && !value->is_string())
      return Status::BadRequest(std::string(key) + " is no string, but " + JsonTypeName(*value));
  }
  Status status = CheckType(gvk, StringAt(*document, "apiVersion"), StringAt(*document, "kind"));
  if (!status.ok()) return status;
  (*document)["apiVersion"] = gvk.api_version();
  (*document)["kind"] = gvk.kind;
  auto conformed = Conform(type, gvk, std::move(*document));
  if (!conformed.ok()) return conformed;
  std::vector<std::string> problems;
  for (const std::string& path : duplicates) problems.push_back("duplicate field \"" + path + "\"");
  std::move(conformed->problems.begin(), conformed->problems.end(), std::back_inserter(problems));
  conformed->problems = std::move(problems);
  return conformed;
}

Result<Json> DecodePatch(const Request& request, std::vector<std::string>* problems) {
  const std::string_view type = request.header("Content-Type");
  // Apply patches and some hand-written merge patches are YAML; JSON is YAML too, but cheaper to read as what it is.
  const std::string& body = request.body();
  const size_t start = body.find_first_not_of(" \t\r\n");
  const bool json = start != std::string::npos && (body[start] == '{' || body[start] == '[');
  std::vector<std::string> duplicates;
  Result<Json> patch = !json && type.find("yaml") != std::string_view::npos ? ParseYaml(body, &duplicates)
                                                                            : ParseJson(body, &duplicates);
  for (const std::string& path : duplicates) problems->push_back("duplicate field \"" + path + "\"");
  return patch;
}

Result<DeleteOptions> ReadDeleteOptions(const Request& request, const KindCatalog& catalog) {
  DeleteOptions options;
  Json body = Json::object();
  if (!request.body().empty()) {
    const Type* type = catalog.FindType("meta.v1", "DeleteOptions");
    const BodyFormat format = FormatOf(request);
    if (format == BodyFormat::kUnknown) return UnknownFormat();
    Result<Json> document = Json();
    if (format == BodyFormat::kProtobuf) {
      auto envelope = OpenEnvelope(request.body());
      if (!envelope.ok()) return envelope.status();
      document = DecodeProtobuf(*type, envelope->raw);
      if (document.ok()) (*document)["kind"] = envelope->kind;
    } else {
      document = format == BodyFormat::kYaml ? ParseYaml(request.body(), nullptr) : ParseJson(request.body(), nullptr);
    }
    if (!document.ok()) return document.status();
    if (document->is_null()) *document = Json::object();
    // Every group has a DeleteOptions of its own, so the apiVersion says nothing.
    if (const std::string kind = document->is_object() ? StringAt(*document, "kind") : "";
        !kind.empty() && kind != "DeleteOptions") {
      return Status::BadRequest(kind + " cannot be handled as a DeleteOptions");
    }
    auto conformed = Conform(*type, {"meta.k8s.io", "v1", "DeleteOptions"}, std::move(*document));
    if (!conformed.ok()) return conformed.status();
    body = std::move(conformed->document);
  }
  if (const Json* grace = FindPath(body, "gracePeriodSeconds")) options.grace_period_seconds = grace->get<int64_t>();
  auto grace = QueryInt(request, "gracePeriodSeconds");
  if (!grace.ok()) return grace.status();
  if (*grace) options.grace_period_seconds = **grace;

  std::string policy = StringAt(body, "propagationPolicy");
  if (policy.empty()) policy = QueryString(request, "propagationPolicy");
  std::optional<bool> orphan;
  if (const Json* value = FindPath(body, "orphanDependents")) orphan = value->get<bool>();
  if (request.query("orphanDependents")) orphan = QueryBool(request, "orphanDependents");
  if (orphan && !policy.empty()) {
    return InvalidStatus(
        {"meta.k8s.io", "v1", "DeleteOptions"}, "",
        {{"propagationPolicy", "FieldValueInvalid",
          "Invalid value: \"" + policy + "\": orphanDependents and deletionPropagation cannot be both set"}});
  }
  if (policy == "Background") {
    options.propagation = Propagation::kBackground;
  } else if (policy == "Foreground") {
    options.propagation = Propagation::kForeground;
  } else if (policy == "Orphan") {
    options.propagation = Propagation::kOrphan;
  } else if (!policy.empty()) {
    return InvalidStatus({"meta.k8s.io", "v1", "DeleteOptions"}, "",
                         {{"propagationPolicy", "FieldValueNotSupported",
                           "Unsupported value: \"" + policy +
                               "\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""}});
  } else if (orphan) {
    options.propagation = *orphan ? Propagation::kOrphan : Propagation::kBackground;
  }
  options.uid_precondition = StringAt(body, "preconditions.uid");
  if (const std::string revision = StringAt(body, "preconditions.resourceVersion"); !revision.empty()) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(revision.data(), revision.data() + revision.size(), number);
    if (error != std::errc() || end != revision.data() + revision.size()) {
      return Status::BadRequest("preconditions.resourceVersion: Invalid value: \"" + revision +
                                "\": must be a decimal number");
    }
    options.revision_precondition = number;
  }
  if (const Json* dry = FindPath(body, "dryRun"); dry && dry->is_array() && !dry->empty()) {
    if (*dry != Json::array({"All"})) {
      return InvalidStatus(
          {"meta.k8s.io", "v1", "DeleteOptions"}, "",
          {{"dryRun", "FieldValueNotSupported", "Unsupported value: " + dry->dump() + ": supported values: \"All\""}});
    }
    options.dry_run = true;
  }
  Status status = CheckDryRun(request);
  if (!status.ok()) return status;
  if (request.query("dryRun")) options.dry_run = true;
  return options;
}

Status JudgeProblems(Call& call, const GroupVersionKind& gvk, FieldValidation validation,
                     const std::vector<std::string>& problems) {
  if (problems.empty() || validation == FieldValidation::kIgnore) return {};
  if (validation == FieldValidation::kStrict) return StrictStatus(gvk, problems);
  call.warnings.insert(call.warnings.end(), problems.begin(), problems.end());
  return {};
}

}  // namespace wherry
