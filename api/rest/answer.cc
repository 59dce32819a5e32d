// The answering half of call.h: how objects, Statuses and errors leave.

#include <nlohmann/json.hpp>

#include "api/rest/call.h"
#include "core/kinds/schema.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// RFC 7234 warn-text: a quoted string on one line.
std::string QuoteWarning(std::string_view text) {
  std::string out = "299 - \"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  return out.append("\"");
}

void AddWarnings(const Call& call, http::Response& response) {
  constexpr size_t kMaxWarnings = 50;
  for (size_t i = 0; i < call.warnings.size() && i < kMaxWarnings; ++i) {
    response.headers.emplace_back("Warning", QuoteWarning(call.warnings[i]));
  }
}

std::string Dump(const Json& document) { return document.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

Json StatusDocument(const Status& status) {
  Json out = {{"kind", "Status"},    {"apiVersion", "v1"},          {"metadata", Json::object()},
              {"status", "Failure"}, {"message", status.message()}, {"code", status.http_code()}};
  if (!status.reason_string().empty()) out["reason"] = status.reason_string();
  const StatusDetails& given = status.details();
  Json details = Json::object();
  const std::pair<const char*, const std::string&> texts[] = {
      {"name", given.name}, {"group", given.group}, {"kind", given.kind}, {"uid", given.uid}};
  for (const auto& [key, text] : texts) {
    if (!text.empty()) details[key] = text;
  }
  for (const StatusCause& cause : given.causes) {
    Json entry = {{"reason", cause.reason}, {"message", cause.message}};
    if (!cause.field.empty()) entry["field"] = cause.field;
    details["causes"].push_back(std::move(entry));
  }
  if (given.retry_after_seconds > 0) details["retryAfterSeconds"] = given.retry_after_seconds;
  if (!details.empty() || status.reason() == Reason::kInvalid) out["details"] = std::move(details);
  return out;
}

void RespondStatus(http::Exchange& exchange, const Status& status) {
  http::Response response;
  response.status = status.http_code();
  response.body = Dump(StatusDocument(status));
  // Clients repeat a request by themselves only when told when to (client-go, rest.Request).
  if (const int seconds = status.details().retry_after_seconds; seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(seconds));
  }
  exchange.Respond(std::move(response));
}

void RespondJson(http::Exchange& exchange, const Json& document, int code) {
  http::Response response;
  response.status = code;
  response.body = Dump(document);
  exchange.Respond(std::move(response));
}

void RespondDone(http::Exchange& exchange) {
  RespondJson(
      exchange,
      {{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Json::object()}, {"status", "Success"}, {"code", 201}},
      201);
}

void RespondSuccess(Call& call, const Kind& kind, const Object& object, int code) {
  Json details = {{"name", object.name()}, {"kind", kind.plural}, {"uid", object.uid()}};
  if (!kind.gvk.group.empty()) details["group"] = kind.gvk.group;
  http::Response response;
  response.status = code;
  response.body = Dump({{"kind", "Status"},
                        {"apiVersion", "v1"},
                        {"metadata", Json::object()},
                        {"status", "Success"},
                        {"details", std::move(details)}});
  AddWarnings(call, response);
  call.exchange->Respond(std::move(response));
}

Json DocumentOf(const Kind& kind, const Object& object) {
  const JsonPtr stored = object.json();
  return kind.storage ? kind.hooks.from_storage(*stored) : *stored;
}

Json PartialMetadata(const Json& object) {
  return {{"kind", "PartialObjectMetadata"},
          {"apiVersion", "meta.k8s.io/v1"},
          {"metadata", object.value("metadata", Json::object())}};
}

Result<IncludeObject> ReadIncludeObject(const http::Request& request) {
  const std::string value = QueryString(request, "includeObject");
  if (value.empty() || value == "Metadata") return IncludeObject::kMetadata;
  if (value == "Object") return IncludeObject::kObject;
  if (value == "None") return IncludeObject::kNone;
  return Status::BadRequest("includeObject: Unsupported value: \"" + value +
                            "\": supported values: \"Metadata\", \"None\", \"Object\"");
}

void RespondObject(Call& call, const ObjectPtr& object, int code, Time now) {
  http::Response response;
  response.status = code;
  const Kind& kind = *call.kind;
  switch (call.form) {
    case AnswerForm::kObject:
      if (kind.storage) {
        response.body = Dump(DocumentOf(kind, *object));
      } else {
        response.buffers.emplace_back(object->bytes(), object);
      }
      break;
    case AnswerForm::kMetadata:
      response.body = Dump(PartialMetadata(*object->json()));
      break;
    case AnswerForm::kTable: {
      auto include = ReadIncludeObject(call.request());
      if (!include.ok()) return RespondStatus(*call.exchange, include.status());
      response.body = Dump({{"kind", "Table"},
                            {"apiVersion", "meta.k8s.io/v1"},
                            {"metadata", {{"resourceVersion", std::to_string(object->revision())}}},
                            {"columnDefinitions", TableColumns(kind)},
                            {"rows", Json::array({TableRow(kind, DocumentOf(kind, *object), *include, now)})}});
      break;
    }
  }
  AddWarnings(call, response);
  call.exchange->Respond(std::move(response));
}

Status CheckFields(const Kind& kind, const FieldSelector& fields) {
  for (const auto& requirement : fields.requirements()) {
    if (requirement.field == "metadata.name") continue;
    if (requirement.field == "metadata.namespace" && kind.namespaced) continue;
    if (!kind.selectable.contains(requirement.field))
      return Status::BadRequest("field label not supported: " + requirement.field);
  }
  return {};
}

namespace {

std::string FieldText(const Json* value) {
  if (!value || value->is_null()) return "";
  return value->is_string() ? value->get<std::string>() : value->dump();
}

// The text of an absent field: Go compares the zero of its type, "false" or "0".
std::string ZeroText(const Type* type, std::string_view path) {
  while (type && !path.empty()) {
    const size_t dot = path.find('.');
    const Field* field = type->kind == TypeKind::kObject ? type->FindField(path.substr(0, dot)) : nullptr;
    const bool last = dot == std::string_view::npos;
    if (!field || (last && field->pointer)) return "";
    type = field->type;
    path.remove_prefix(last ? path.size() : dot + 1);
  }
  if (!type) return "";
  if (type->kind == TypeKind::kBool) return "false";
  return type->kind == TypeKind::kInt32 || type->kind == TypeKind::kInt64 ? "0" : "";
}

}  // namespace

bool Selects(const Kind& kind, const ListQuery& query, const std::string& name, const Object& object) {
  if (!name.empty() && object.name() != name) return false;
  if (!query.labels.empty() && !query.labels.Matches(*object.view<MetaView>().labels)) return false;
  if (query.fields.empty()) return true;
  JsonPtr document;
  return query.fields.Matches([&](const std::string& field) -> std::string {
    if (field == "metadata.name") return object.name();
    if (field == "metadata.namespace") return object.ns();
    if (!document) document = kind.storage ? std::make_shared<const Json>(DocumentOf(kind, object)) : object.json();
    auto path = kind.selectable.find(field);
    if (path == kind.selectable.end()) return "";
    const Json* value = FindPath(*document, path->second);
    return value ? FieldText(value) : ZeroText(kind.type, path->second);
  });
}

}  // namespace wherry
