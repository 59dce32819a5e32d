#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/kinds/kind.h"

namespace wherry {

// How a body's unknown and repeated fields are treated (the fieldValidation parameter).
enum class FieldValidation : uint8_t { kIgnore, kWarn, kStrict };

// A request body made a document: `problems` holds `unknown field "spec.bogus"` and `duplicate field "spec.replicas"`
// in document order; unknown fields are already dropped.
struct Decoded {
  Json document;
  std::vector<std::string> problems;
};

// Bodies deeper than this are refused; so are JSON and YAML with more than this many nodes (billion laughs).
inline constexpr int kMaxDepth = 200;
inline constexpr size_t kMaxNodes = 1'000'000;

// Parses JSON text. `duplicates` (may be null) receives the paths of repeated keys; the last one wins.
Result<Json> ParseJson(std::string_view text, std::vector<std::string>* duplicates);
// Parses the first document of YAML text by the rules kubectl's YAML→JSON conversion follows (YAML 1.1 booleans for
// plain scalars true/false/yes/no/on/off, numbers, null; keys made strings).
Result<Json> ParseYaml(std::string_view text, std::vector<std::string>* duplicates);

// Checks the JSON types of `document` against `type`, drops unknown fields into `decoded.problems`, and makes the
// values canonical as the upstream round trip does: nulls and the zeros of optional non-pointer fields go, quantities
// are shortened, times become UTC. A wrong type is kBadRequest: `DaemonSet in version "v1" cannot be handled as a
// DaemonSet: json: cannot unmarshal string into Go struct field DaemonSetSpec.spec.minReadySeconds of type int32`.
Result<Decoded> Conform(const Type& type, const GroupVersionKind& gvk, Json document);

// Decodes a protobuf message of `type` (no envelope) to the JSON document its own client would have written: see
// docs/kinds.md for zero values. kBadRequest on malformed input. Messages carry no apiVersion
// and kind: the caller stamps the envelope's.
Result<Json> DecodeProtobuf(const Type& type, std::string_view bytes);

// The "k8s\0" envelope: type and raw message. kBadRequest when it is none.
struct Envelope {
  std::string api_version, kind;
  std::string_view raw;
};
Result<Envelope> OpenEnvelope(std::string_view body);

// Fills in the schema's defaults, then the kind's hook. Idempotent.
void ApplyDefaults(const Kind& kind, Json& object);
// The schema's defaults of a bare type (patch bodies, templates).
void ApplyDefaults(const Type& type, Json& value);

// All refusals of a document: metadata rules, the schema's (required, enum, ranges, formats, immutability), then the
// kind's hook. `old` is null on create.
FieldErrors Validate(const Kind& kind, const Json& object, const Json* old, const PartRules* part = nullptr);
// The 422 of these errors: `DaemonSet.apps "x" is invalid: …`.
Status InvalidStatus(const GroupVersionKind& gvk, std::string_view name, const FieldErrors& errors);

}  // namespace wherry
