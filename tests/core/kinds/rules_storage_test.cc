#include "core/kinds/printers.h"
#include "tests/core/kinds/rules_support.h"

namespace wherry {
namespace {

const char* const kVolume = R"({"metadata":{"name":"x"},"spec":{"capacity":{"storage":"1Gi"},
  "accessModes":["ReadWriteOnce"],"hostPath":{"path":"/v","type":""},"persistentVolumeReclaimPolicy":"Retain",
  "volumeMode":"Filesystem"},"status":{"phase":"Available"}})";
const char* const kClaim = R"({"metadata":{"name":"x","namespace":"default"},"spec":{"accessModes":["ReadWriteOnce"],
  "resources":{"requests":{"storage":"1Gi"}},"volumeMode":"Filesystem","storageClassName":"c","volumeName":"v"},
  "status":{"phase":"Bound","capacity":{"storage":"1Gi"}}})";
const char* const kClass = R"({"metadata":{"name":"x"},"provisioner":"wherry.dev/local","reclaimPolicy":"Delete",
  "volumeBindingMode":"Immediate"})";

Json Good(std::string_view kind) {
  return Json::parse(kind == "PersistentVolume" ? kVolume : kind == "StorageClass" ? kClass : kClaim);
}

struct Case {
  std::string_view kind;
  std::vector<Edit> edits;
  Lines refused;
};

TEST_CASE("storage: good objects are accepted, on create and unchanged") {
  for (const char* kind : {"PersistentVolume", "PersistentVolumeClaim", "StorageClass"}) {
    INFO(kind);
    const Json good = Good(kind);
    CHECK(Refused(kind, good).empty());
    CHECK(Refused(kind, good, &good).empty());
  }
}

TEST_CASE("storage: bad objects are refused on create") {
  const Case cases[] = {
      {"PersistentVolume", {{"/spec/accessModes", "[]"}}, {"spec.accessModes: Required value"}},
      {"PersistentVolume",
       {{"/spec/accessModes", R"(["ReadWriteOnce","ReadWriteOncePod"])"}},
       {"spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"}},
      {"PersistentVolume", {{"/spec/accessModes", R"(["ReadWriteOncePod"])"}}, {}},
      {"PersistentVolume", {{"/spec/capacity", ""}}, {"spec.capacity: Required value"}},
      {"PersistentVolume",
       {{"/spec/capacity", R"({"cpu":"1"})"}},
       {R"(spec.capacity: Unsupported value: {"cpu":"1"}: supported values: "storage")"}},
      {"PersistentVolume",
       {{"/spec/capacity/storage", "\"0\""}},
       {"spec.capacity[storage]: Invalid value: \"0\": must be greater than zero"}},
      {"PersistentVolume", {{"/spec/hostPath", ""}}, {"spec: Required value: must specify a volume type"}},
      {"PersistentVolume",
       {{"/spec/nfs", R"({"server":"s","path":"p"})"}},
       {"spec.nfs: Forbidden: may not specify more than 1 volume type",
        "spec.nfs.path: Invalid value: \"p\": must be an absolute path"}},
      {"PersistentVolume",
       {{"/spec/hostPath/path", "\"/a/../b\""}},
       {"spec.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"}},
      {"PersistentVolume",
       {{"/spec/hostPath/path", "\"/./\""}, {"/spec/persistentVolumeReclaimPolicy", "\"Recycle\""}},
       {"spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"}},
      {"PersistentVolume", {{"/spec/persistentVolumeReclaimPolicy", "\"Recycle\""}}, {}},
      {"PersistentVolume",
       {{"/spec/hostPath", ""}, {"/spec/local", R"({"path":"/d"})"}},
       {"spec.nodeAffinity: Required value: Local volume requires node affinity"}},
      {"PersistentVolume",
       {{"/spec/nodeAffinity", R"({"required":{"nodeSelectorTerms":[]}})"}},
       {"spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term"}},
      {"PersistentVolume",
       {{"/spec/nodeAffinity", "{}"}},
       {"spec.nodeAffinity.required: Required value: must specify required node constraints"}},
      {"PersistentVolumeClaim",
       {{"/spec/accessModes", ""}},
       {"spec.accessModes: Required value: at least 1 access mode is required"}},
      {"PersistentVolumeClaim",
       {{"/spec/resources/requests", R"({"cpu":"1"})"}},
       {"spec.resources[storage]: Required value"}},
      {"PersistentVolumeClaim",
       {{"/spec/resources/requests/storage", "\"-1\""}},
       {"spec.resources[storage]: Invalid value: \"-1\": must be greater than zero"}},
      {"PersistentVolumeClaim",
       {{"/spec/selector", R"({"matchExpressions":[{"key":"a","operator":"In"}]})"}},
       {"spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or "
        "'NotIn'"}},
      {"PersistentVolumeClaim", {{"/spec/storageClassName", "\"\""}}, {}},
      {"StorageClass", {{"/provisioner", "\"Example.com/local\""}}, {}},
      {"StorageClass", {{"/parameters", R"({"":"x"})"}}, {"parameters: Invalid value: \"\": field can not be empty."}},
      {"StorageClass",
       {{"/allowedTopologies",
         R"([{"matchLabelExpressions":[{"key":"a","values":["x","x"]},{"key":"a","values":[]}]}])"}},
       {"allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"x\"",
        "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"\"",
        "allowedTopologies[0].matchLabelExpressions[1].values: Required value"}},
  };
  for (const Case& c : cases) {
    INFO(c.kind << " " << c.edits[0].pointer << " " << c.edits[0].json);
    CHECK(Refused(c.kind, Edited(Good(c.kind), c.edits)) == c.refused);
  }
}

TEST_CASE("storage: what may change, and what may not") {
  const std::string frozen =
      "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for "
      "bound claims";
  const struct {
    std::string_view kind;
    std::vector<Edit> before, after;
    Lines refused;
  } cases[] = {
      {"PersistentVolume", {}, {{"/spec/capacity/storage", "\"2Gi\""}, {"/spec/claimRef", R"({"name":"c"})"}}, {}},
      {"PersistentVolume",
       {},
       {{"/spec/hostPath/path", "\"/w\""}},
       {"spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"}},
      {"PersistentVolume",
       {},
       {{"/spec/volumeMode", "\"Block\""}},
       {"volumeMode: Invalid value: \"Block\": field is immutable"}},
      {"PersistentVolumeClaim", {}, {{"/spec/resources/requests/storage", "\"2Gi\""}}, {}},
      {"PersistentVolumeClaim", {{"/spec/volumeName", ""}}, {{"/spec/volumeName", "\"w\""}}, {}},
      {"PersistentVolumeClaim", {}, {{"/spec/volumeName", "\"w\""}}, {frozen}},
      {"PersistentVolumeClaim", {{"/spec/storageClassName", ""}}, {{"/spec/storageClassName", "\"d\""}}, {}},
      {"PersistentVolumeClaim", {{"/spec/storageClassName", "\"\""}}, {{"/spec/storageClassName", "\"d\""}}, {frozen}},
      {"PersistentVolumeClaim", {}, {{"/spec/accessModes", R"(["ReadWriteMany"])"}}, {frozen}},
      {"PersistentVolumeClaim",
       {{"/status/phase", "\"Pending\""}},
       {{"/spec/resources/requests/storage", "\"2Gi\""}, {"/status/phase", "\"Pending\""}},
       {frozen}},
      {"PersistentVolumeClaim",
       {},
       {{"/spec/resources/requests/storage", "\"1Mi\""}},
       {"spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"}},
      {"PersistentVolumeClaim",
       {{"/spec/resources/requests/storage", "\"3Gi\""}},  // grew too far; the volume is still 1Gi
       {{"/spec/resources/requests/storage", "\"2Gi\""}},
       {}},
      {"StorageClass", {}, {{"/allowVolumeExpansion", "true"}, {"/mountOptions", R"(["ro"])"}}, {}},
      {"StorageClass",
       {},
       {{"/provisioner", "\"p\""}},
       {"provisioner: Forbidden: updates to provisioner are forbidden."}},
      {"StorageClass",
       {},
       {{"/parameters", R"({"a":"b"})"}, {"/reclaimPolicy", "\"Retain\""}},
       {"parameters: Forbidden: updates to parameters are forbidden.",
        "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden."}},
      {"StorageClass",
       {},
       {{"/volumeBindingMode", "\"WaitForFirstConsumer\""}},
       {"volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable"}},
  };
  for (const auto& c : cases) {
    INFO(c.kind << " " << c.after[0].pointer << " " << c.after[0].json);
    const Json before = Edited(Good(c.kind), c.before);
    CHECK(Refused(c.kind, Edited(Good(c.kind), c.after), &before) == c.refused);
  }
}

TEST_CASE("storage: finalizers are there from the start, and status is the server's") {
  Json claim = Good("PersistentVolumeClaim");
  claim["metadata"]["finalizers"] = {"example.com/mine"};
  Hooks("PersistentVolumeClaim").prepare_create(claim);
  CHECK(claim["metadata"]["finalizers"] == Json{"example.com/mine", "kubernetes.io/pvc-protection"});
  CHECK(claim["status"] == Json{{"phase", "Pending"}});
  Hooks("PersistentVolumeClaim").prepare_create(claim);
  CHECK(claim["metadata"]["finalizers"].size() == 2);
  Json volume = Good("PersistentVolume");
  Hooks("PersistentVolume").prepare_create(volume);
  CHECK(volume["metadata"]["finalizers"] == Json{"kubernetes.io/pv-protection"});
  CHECK(volume["status"] == Json{{"phase", "Pending"}});
}

TEST_CASE("storage: cells of kubectl's tables") {
  const struct {
    std::string_view printer;
    const char* object;
    const char* cell;
  } cases[] = {
      {"pvAccessModes", R"({"spec":{"accessModes":["ReadWriteMany","ReadWriteOnce","ReadWriteMany"]}})",
       R"("RWO,RWX")"},
      {"pvAccessModes", R"({"spec":{"accessModes":["ReadWriteOncePod"]}})", R"("RWOP")"},
      {"pvClaim", R"({"spec":{}})", R"("")"},
      {"pvClaim", R"({"spec":{"claimRef":{"namespace":"n","name":"c"}}})", R"("n/c")"},
      {"pvcCapacity", R"({"spec":{},"status":{"capacity":{"storage":"1Gi"}}})", R"("")"},
      {"pvcCapacity", R"({"spec":{"volumeName":"v"},"status":{"capacity":{"storage":"1Gi"}}})", R"("1Gi")"},
      {"pvcCapacity", R"({"spec":{"volumeName":"v"},"status":{}})", R"("0")"},
      {"pvcAccessModes", R"({"spec":{"volumeName":"v"},"status":{"accessModes":["ReadOnlyMany"]}})", R"("ROX")"},
      {"storageClass", R"({"spec":{"storageClassName":"c"}})", R"("c")"},
      {"storageClass",
       R"({"metadata":{"annotations":{"volume.beta.kubernetes.io/storage-class":"old"}},"spec":{"storageClassName":"c"}})",
       R"("old")"},
      {"storageClassName", R"({"metadata":{"name":"c"}})", R"("c")"},
      {"storageClassName",
       R"({"metadata":{"name":"c","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}})",
       "\"c (default)\""},
      {"storageClassName",
       R"({"metadata":{"name":"c","annotations":{"storageclass.kubernetes.io/is-default-class":"false"}}})", R"("c")"},
      {"storageClassExpands", R"({})", "false"},
      {"storageClassExpands", R"({"allowVolumeExpansion":true})", "true"},
      {"volumePhase", R"({"status":{"phase":"Bound"}})", R"("Bound")"},
      {"volumePhase", R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Bound"}})",
       R"("Terminating")"},
      {"volumeMode", R"({"spec":{}})", R"("<unset>")"},
      {"volumeAttributesClass", R"({"spec":{"volumeAttributesClassName":"gold"}})", R"("gold")"},
  };
  for (const auto& c : cases) {
    INFO(c.printer << " " << c.object);
    const Printer print = FindPrinter(c.printer);
    REQUIRE(print != nullptr);
    CHECK(print(Json::parse(c.object), Time()) == Json::parse(c.cell));
  }
}

}  // namespace
}  // namespace wherry
