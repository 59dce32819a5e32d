// JSON and YAML bodies, and every patch type made of them.

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"
#include "core/kinds/patch.h"
#include "tests/fuzz/seeds.h"

namespace {

using namespace wherry;

constexpr const char* kPod =
    R"({"metadata":{"name":"p","namespace":"n","finalizers":["a/a"],"labels":{"k":"v"}},"spec":{"containers":
[{"name":"a","image":"ia","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1500m","memory":"1Gi"}}},{"name":"b","image":"ib"}],
"volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"x"}]}})";

}  // namespace

std::vector<std::string> FuzzSeeds() {
  return {
      kPod,
      R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"b","image":"x"},{"$patch":"delete","name":"a"}]}})",
      R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a/a"],"finalizers":["b/b"],"labels":{"$patch":"replace","q":"r"}}})",
      R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/"}}]}})",
      R"([{"op":"add","path":"/spec/containers/-","value":{"name":"c"}},{"op":"move","from":"/spec/volumes/0","path":"/x~1y"},)"
      R"({"op":"test","path":"/metadata/name","value":"p"},{"op":"copy","from":"/spec","path":"/spec/a"},{"op":"remove","path":"/spec"}])",
      "apiVersion: v1\nkind: Pod\nmetadata: &m\n  name: p\n  labels: {a: yes, 1: 0x1F}\nspec:\n  containers:\n  - "
      "name: c\n"
      "    image: nginx\n    command: [\"a\", 'b', !!str 3]\n    env: &e\n    - {name: A, value: \"1\"}\n  - <<: *m\n  "
      "  env: *e\n"
      "    args:\n    - |\n      text\n    - >-\n      folded\n      lines\n---\nsecond: 2\n",
  };
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto catalog = KindCatalog::BuiltIn();
  const Kind& pod = *catalog->FindGvk("", "v1", "Pod");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> duplicates;
  for (const bool yaml : {false, true}) {
    auto parsed = yaml ? ParseYaml(text, &duplicates) : ParseJson(text, &duplicates);
    if (!parsed.ok()) continue;
    const Json live = Json::parse(kPod);
    for (auto& patched : {ApplyStrategicMergePatch(*pod.type, live, *parsed), ApplyJsonPatch(live, *parsed),
                          Result<Json>(ApplyMergePatch(live, *parsed)), Result<Json>(*parsed)}) {
      if (!patched.ok()) continue;
      auto conformed = Conform(*pod.type, pod.gvk, *patched);
      if (!conformed.ok()) continue;
      // What conforms once is a fixed point.
      auto again = Conform(*pod.type, pod.gvk, conformed->document);
      if (!again.ok() || !again->problems.empty() || again->document != conformed->document) std::abort();
      ApplyDefaults(pod, conformed->document);
      (void)Validate(pod, conformed->document, &live);
    }
  }
  return 0;
}
