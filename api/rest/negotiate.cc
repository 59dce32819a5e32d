// The media-type half of call.h: Accept and Content-Type.

#include <algorithm>
#include <cstdlib>

#include "api/rest/call.h"

namespace wherry {
namespace {

using http::EqualsIgnoreCase;
using http::Request;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The parts of `text` between `separator`s, trimmed.
std::vector<std::string_view> SplitList(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(Trim(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

struct AcceptClause {
  std::string_view media;
  std::string_view as, group, version;
  double q = 1;
  bool json() const {
    return EqualsIgnoreCase(media, "application/json") || EqualsIgnoreCase(media, "application/*") || media == "*/*";
  }
};

AcceptClause ReadClause(std::string_view text) {
  AcceptClause clause;
  bool first = true;
  for (std::string_view part : SplitList(text, ';')) {
    if (first) {
      clause.media = part;
      first = false;
      continue;
    }
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = Trim(part.substr(0, equals));
    const std::string_view value = Trim(part.substr(equals + 1));
    if (name == "as") clause.as = value;
    if (name == "g") clause.group = value;
    if (name == "v") clause.version = value;
    if (name == "q") clause.q = std::atof(std::string(value).c_str());
  }
  return clause;
}

// The clauses that speak of JSON, the most wanted first. `*any` tells whether there was an Accept header at all.
std::vector<AcceptClause> JsonClauses(const Request& request, bool* any) {
  std::vector<AcceptClause> clauses;
  *any = false;
  for (std::string_view value : request.header_values("Accept")) {
    for (std::string_view part : SplitList(value, ',')) {
      if (part.empty()) continue;
      *any = true;
      const AcceptClause clause = ReadClause(part);
      if (clause.json() && clause.q > 0) clauses.push_back(clause);
    }
  }
  std::stable_sort(clauses.begin(), clauses.end(), [](const auto& a, const auto& b) { return a.q > b.q; });
  return clauses;
}

struct PatchMedia {
  std::string_view media;
  PatchType type;
};
constexpr PatchMedia kPatchMedia[] = {
    {"application/json-patch+json", PatchType::kJson},
    {"application/merge-patch+json", PatchType::kMerge},
    {"application/strategic-merge-patch+json", PatchType::kStrategic},
};

Status UnknownFormat(std::string_view accepted) {
  return Status(
      Reason::kUnsupportedMediaType,
      "the body of the request was in an unknown format - accepted media types include: " + std::string(accepted));
}

std::string_view ContentType(const Request& request) {
  const std::string_view type = request.header("Content-Type");
  return Trim(type.substr(0, type.find(';')));
}

}  // namespace

Result<AnswerForm> Negotiate(const Request& request) {
  bool any = false;
  const auto clauses = JsonClauses(request, &any);
  if (!any) return AnswerForm::kObject;
  for (const AcceptClause& clause : clauses) {
    if (clause.as.empty()) return AnswerForm::kObject;
    if (clause.group != "meta.k8s.io" || (clause.version != "v1" && clause.version != "v1beta1")) continue;
    if (clause.as == "Table") return AnswerForm::kTable;
    if (clause.as == "PartialObjectMetadata" || clause.as == "PartialObjectMetadataList") return AnswerForm::kMetadata;
  }
  return Status(Reason::kNotAcceptable, "only the following media types are accepted: application/json");
}

bool WantsAggregatedDiscovery(const Request& request) {
  bool any = false;
  for (const AcceptClause& clause : JsonClauses(request, &any)) {
    if (clause.as.empty()) return false;
    if (clause.as == "APIGroupDiscoveryList" && clause.group == "apidiscovery.k8s.io" && clause.version == "v2")
      return true;
  }
  return false;
}

BodyFormat FormatOf(const Request& request) {
  const std::string_view type = ContentType(request);
  if (type.empty() || EqualsIgnoreCase(type, "application/json") || type == "*/*") return BodyFormat::kJson;
  if (EqualsIgnoreCase(type, "application/yaml")) return BodyFormat::kYaml;
  if (EqualsIgnoreCase(type, "application/vnd.kubernetes.protobuf")) return BodyFormat::kProtobuf;
  return BodyFormat::kUnknown;
}

Status UnknownFormat() {
  return UnknownFormat("application/json, application/yaml, application/vnd.kubernetes.protobuf");
}

Result<PatchType> ReadPatchType(const Request& request, const Kind& kind) {
  std::string accepted;
  for (const PatchMedia& row : kPatchMedia) {
    if (kind.is_custom && row.type == PatchType::kStrategic) continue;
    if (EqualsIgnoreCase(ContentType(request), row.media)) return row.type;
    accepted.append(accepted.empty() ? "" : ", ").append(row.media);
  }
  return UnknownFormat(accepted);
}

}  // namespace wherry
