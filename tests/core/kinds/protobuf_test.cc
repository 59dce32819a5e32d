#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"
#include "tests/core/kinds/wire_encoder.h"

namespace wherry {
namespace {

using testing::WireEncoder;

const Type& TypeOf(const char* package, const char* name) {
  static const auto catalog = KindCatalog::BuiltIn();
  const Type* type = catalog->FindType(package, name);
  REQUIRE(type);
  return *type;
}

struct RoundTrip {
  const char* what;
  const char* package;
  const char* type;
  const char* sent;  // the client's document
  const char* got;   // what is made of it; "" = the same
};

const RoundTrip kRoundTrips[] = {
    {"a pod with most of what pods have", "core.v1", "Pod", R"({
      "metadata":{"name":"p","namespace":"d","uid":"u-1","labels":{"a":"b","c":""},"annotations":{"x":"y"},"generation":3,
        "creationTimestamp":"2026-01-02T03:04:05Z","finalizers":["a/b","c/d"],
        "ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"ds","uid":"u","controller":true,"blockOwnerDeletion":false}],
        "managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","time":"2026-01-02T03:04:05Z",
          "fieldsType":"FieldsV1","fieldsV1":{"f:spec":{".":{}}}}]},
      "spec":{"containers":[{"name":"c","image":"nginx","command":["a","b"],"args":["-x"],"ports":[{"containerPort":80,"protocol":"TCP"}],
          "env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
            {"name":"C","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}}],
          "envFrom":[{"configMapRef":{"name":"cm","optional":false}}],
          "resources":{"limits":{"cpu":"500m","memory":"1Gi"},"requests":{"cpu":"100m"}},
          "volumeMounts":[{"name":"v","mountPath":"/v","readOnly":true}],
          "livenessProbe":{"httpGet":{"path":"/","port":"web","scheme":"HTTP"},"initialDelaySeconds":3,"terminationGracePeriodSeconds":0},
          "readinessProbe":{"tcpSocket":{"port":80}},"startupProbe":{"grpc":{"port":9,"service":""}},
          "lifecycle":{"preStop":{"exec":{"command":["x"]}}},
          "securityContext":{"runAsUser":0,"privileged":false,"capabilities":{"add":["NET_ADMIN"]}},"stdin":true}],
        "volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Gi"}},{"name":"w","hostPath":{"path":"/","type":""}},
          {"name":"p","projected":{"sources":[{"serviceAccountToken":{"path":"t","expirationSeconds":3607}}],"defaultMode":420}}],
        "restartPolicy":"Always","terminationGracePeriodSeconds":0,"nodeSelector":{"k":"v"},"hostNetwork":true,
        "securityContext":{"fsGroup":1,"sysctls":[{"name":"a","value":"b"}]},"enableServiceLinks":false,"priority":-5,
        "affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[
          {"key":"metadata.name","operator":"In","values":["n"]}]}]}}},
        "tolerations":[{"key":"k","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],
        "hostAliases":[{"ip":"1.2.3.4","hostnames":["h"]}],
        "ephemeralContainers":[{"name":"e","image":"i","resources":{},"targetContainerName":"c"}]},
      "status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastProbeTime":"2026-01-02T03:04:05Z"}],
        "podIPs":[{"ip":"127.0.0.1"}],"containerStatuses":[{"name":"c","ready":true,"restartCount":2,"image":"i","imageID":"",
          "state":{"terminated":{"exitCode":-9,"startedAt":"1970-01-01T00:00:00Z"}},"lastState":{},"started":true}]}})",
     ""},
    {"replicas 0 is not absent", "apps.v1", "Deployment", R"({"metadata":{"name":"d"},
       "spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{},"spec":{"containers":[]}},
         "strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":0}},"paused":false},"status":{}})",
     R"({"metadata":{"name":"d"},"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},
         "template":{"metadata":{},"spec":{}},"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":0}}},"status":{}})"},
    {"absent pointers stay absent; non-pointers without omitempty appear", "apps.v1", "DaemonSet",
     R"({"metadata":{"name":"d"}})",
     R"({"metadata":{"name":"d"},"spec":{"template":{"metadata":{},"spec":{}},"updateStrategy":{}},
         "status":{"currentNumberScheduled":0,"desiredNumberScheduled":0,"numberMisscheduled":0,"numberReady":0}})"},
    {"microseconds of a lease", "coordination.v1", "Lease",
     R"({"metadata":{"name":"l"},"spec":{"holderIdentity":"h","leaseDurationSeconds":15,"leaseTransitions":0,
         "acquireTime":"2026-01-02T03:04:05.000006Z","renewTime":"2026-01-02T03:04:05.999999Z"}})",
     ""},
    {"bytes of a secret", "core.v1", "Secret",
     R"({"metadata":{"name":"s"},"data":{"a":"AAECAw==","empty":""},"type":"Opaque","immutable":false})", ""},
    {"int-or-string of a budget", "policy.v1", "PodDisruptionBudget",
     R"({"metadata":{"name":"b"},"spec":{"minAvailable":0,"maxUnavailable":"50%","selector":{}},
         "status":{"disruptionsAllowed":0,"currentHealthy":0,"desiredHealthy":0,"expectedPods":-1,
           "disruptedPods":{"p":"2026-01-02T03:04:05Z"}}})",
     ""},
    {"options of a delete", "meta.v1", "DeleteOptions",
     R"({"gracePeriodSeconds":0,"preconditions":{"uid":"u"},"propagationPolicy":"Foreground","dryRun":["All"]})", ""},
    {"data of a revision", "apps.v1", "ControllerRevision",
     R"({"metadata":{"name":"r"},"data":{"spec":{"template":{"$patch":"replace","n":[1,2.5,null]}}},"revision":3})",
     ""},
    {"a map of lists", "authentication.v1", "TokenReview",
     R"({"metadata":{},"spec":{"token":"t"},"status":{"authenticated":true,"user":{"username":"u","extra":{"k":["a","b"]}}}})",
     ""},
    {"negative and large integers", "scheduling.v1", "PriorityClass",
     R"({"metadata":{"name":"p","generation":9223372036854775807},"value":-2147483648,"globalDefault":true})", ""},
};

TEST_CASE("protobuf bodies become the client's own JSON") {
  for (const RoundTrip& c : kRoundTrips) {
    INFO(c.what);
    const Type& type = TypeOf(c.package, c.type);
    const Json sent = Json::parse(c.sent);
    const auto got = DecodeProtobuf(type, WireEncoder::Message(type, sent));
    REQUIRE(got.ok());
    const Json expected = *c.got ? Json::parse(c.got) : sent;
    CHECK(Json::diff(expected, *got).dump() == "[]");
  }
}

TEST_CASE("a message sent in pieces merges, the last scalar wins, unknown fields are skipped") {
  const Type& type = TypeOf("core.v1", "ConfigMap");
  std::string meta_a, meta_b, body;
  WireEncoder::Bytes(meta_a, 1, "first");
  WireEncoder::Bytes(meta_a, 3, "ns");
  WireEncoder::Bytes(meta_b, 1, "second");
  WireEncoder::Bytes(body, 1, meta_a);
  WireEncoder::Bytes(body, 1, meta_b);
  WireEncoder::Number(body, 900, 7);
  WireEncoder::Tag(body, 901, 3);  // a group with a member
  WireEncoder::Number(body, 1, 1);
  WireEncoder::Tag(body, 901, 4);
  WireEncoder::Tag(body, 902, 5);
  body.append("\1\2\3\4");
  const auto got = DecodeProtobuf(type, body);
  REQUIRE(got.ok());
  CHECK(*got == Json::parse(R"({"metadata":{"name":"second","namespace":"ns"}})"));
}

TEST_CASE("repeated integers come packed or not") {
  const Type& type = TypeOf("core.v1", "PodSecurityContext");
  std::string body, packed;
  WireEncoder::Number(body, 4, 1);
  WireEncoder::Varint(packed, 2);
  WireEncoder::Varint(packed, static_cast<uint64_t>(-3));
  WireEncoder::Bytes(body, 4, packed);
  const auto got = DecodeProtobuf(type, body);
  REQUIRE(got.ok());
  CHECK(*got == Json::parse(R"({"supplementalGroups":[1,2,-3]})"));
}

TEST_CASE("malformed protobuf is a bad request") {
  const Type& type = TypeOf("core.v1", "Pod");
  const auto with = [](auto&&... write) {
    std::string out;
    (write(out), ...);
    return out;
  };
  const std::string cases[] = {
      std::string("\x0a"),                                                         // no length
      std::string("\x0a\x7f"),                                                     // length past the end
      std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),                 // huge length
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),                 // overlong varint
      std::string("\x00", 1),                                                      // field number 0
      std::string("\x0f"),                                                         // wire type 7
      with([](std::string& o) { WireEncoder::Number(o, 1, 5); }),                  // wrong wire type
      with([](std::string& o) { WireEncoder::Tag(o, 900, 3); }),                   // unclosed group
      with([](std::string& o) { WireEncoder::Tag(o, 900, 4); }),                   // closed, never opened
      with([](std::string& o) { WireEncoder::Bytes(o, 1, "\x0a\x02\xff\xfe"); }),  // not UTF-8
      with([](std::string& o) {
        WireEncoder::Bytes(o, 1, "\x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\x00");
      }),  // year
  };
  for (const std::string& body : cases) {
    INFO(Json(EncodeBase64(body)).dump());
    const auto got = DecodeProtobuf(type, body);
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().reason() == Reason::kBadRequest);
  }
}

TEST_CASE("the depth and the number of protobuf values are bounded") {
  // Only recursive types can go deep; none of ours is, so use one made for it.
  Type node;
  node.kind = TypeKind::kObject;
  node.name = "Node";
  Field child;
  child.name = "child";
  child.type = &node;
  child.number = 2;
  child.pointer = true;
  node.fields.push_back(child);
  node.Seal();
  std::string deep;
  for (int i = 0; i < 300; ++i) {
    std::string outer;
    WireEncoder::Bytes(outer, 2, deep);
    deep = std::move(outer);
  }
  CHECK_FALSE(DecodeProtobuf(node, deep).ok());

  std::string wide;
  for (int i = 0; i < 1'100'000; ++i) wide.append("\x72\x00", 2);  // metadata.finalizers: ""
  CHECK_FALSE(DecodeProtobuf(TypeOf("meta.v1", "ObjectMeta"), wide).ok());
}

TEST_CASE("the envelope gives type and message") {
  const std::string body = WireEncoder::Envelope("apps/v1", "DaemonSet", "raw");  // what the envelope points into
  const auto envelope = OpenEnvelope(body);
  REQUIRE(envelope.ok());
  CHECK(envelope->api_version == "apps/v1");
  CHECK(envelope->kind == "DaemonSet");
  CHECK(envelope->raw == "raw");
  for (std::string_view bad : {std::string_view(""), std::string_view("k8s"), std::string_view("{}"),
                               std::string_view("k8s\0\x0a\x05", 6), std::string_view("k8s\0\x0a\x02\x0a\x09", 8)}) {
    CHECK_FALSE(OpenEnvelope(bad).ok());
  }
}

}  // namespace
}  // namespace wherry
