// Protobuf bodies: the first byte picks a type, the rest is the message. What decodes must conform and take defaults
// and validation without complaint from the machine.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"
#include "tests/core/kinds/wire_encoder.h"
#include "tests/fuzz/seeds.h"

namespace {

using namespace wherry;

struct Target {
  const char* group;
  const char* kind;
  const char* seed;
};
constexpr Target kTargets[] = {
    {"", "Pod", R"({"metadata":{"name":"p","labels":{"a":"b"},"creationTimestamp":"2026-01-02T03:04:05Z"},
      "spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"500m"}},
      "livenessProbe":{"httpGet":{"port":"web"}}}],"volumes":[{"name":"v","emptyDir":{}}],"securityContext":
      {"supplementalGroups":[1,2]}},"status":{"conditions":[{"type":"Ready","status":"True"}]}})"},
    {"apps", "Deployment", R"({"metadata":{"name":"d"},"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},
      "strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}}}})"},
    {"apps", "ControllerRevision", R"({"metadata":{"name":"r"},"data":{"a":[1,{"b":null}]},"revision":3})"},
    {"coordination.k8s.io", "Lease", R"({"metadata":{"name":"l"},"spec":{"renewTime":"2026-01-02T03:04:05.000006Z"}})"},
    {"", "Secret", R"({"metadata":{"name":"s"},"data":{"a":"AAECAw=="}})"},
    {"policy", "PodDisruptionBudget",
     R"({"metadata":{"name":"b"},"spec":{"minAvailable":"50%"},"status":{"disruptedPods":
      {"p":"2026-01-02T03:04:05Z"}}})"},
};

const KindCatalog& Catalog() {
  static const auto catalog = KindCatalog::BuiltIn();
  return *catalog;
}

const Kind& KindOf(const Target& target) { return *Catalog().FindGvk(target.group, "v1", target.kind); }

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (size_t i = 0; i < std::size(kTargets); ++i) {
    const Json document = Json::parse(kTargets[i].seed);
    seeds.push_back(std::string(1, static_cast<char>(i)) +
                    testing::WireEncoder::Message(*KindOf(kTargets[i]).type, document));
  }
  return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Kind& kind = KindOf(kTargets[data[0] % std::size(kTargets)]);
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  (void)OpenEnvelope(bytes);
  auto decoded = DecodeProtobuf(*kind.type, bytes);
  if (!decoded.ok()) return 0;
  (void)decoded->dump();  // throws on what is not UTF-8
  auto conformed = Conform(*kind.type, kind.gvk, std::move(*decoded));
  if (!conformed.ok() || !conformed->problems.empty()) {  // the decoder makes only what the schema knows
    std::fprintf(stderr, "%s\n",
                 conformed.ok() ? conformed->problems[0].c_str() : conformed.status().message().c_str());
    std::abort();
  }
  ApplyDefaults(kind, conformed->document);
  (void)Validate(kind, conformed->document, nullptr);
  return 0;
}
