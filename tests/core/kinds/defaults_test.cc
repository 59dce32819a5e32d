#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry {
namespace {

// The schema's defaults alone; what hooks add is tested beside them.
TEST_CASE("defaults clients see") {
  const auto catalog = KindCatalog::BuiltIn();
  const struct {
    const char* package;
    const char* type;
    const char* given;
    const char* made;
  } cases[] = {
      {"core.v1", "Pod", R"({"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],
          "livenessProbe":{"httpGet":{"port":80}},"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"x"}}},
          {"name":"B","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}}]}]}})",
       R"({"spec":{"restartPolicy":"Always","dnsPolicy":"ClusterFirst","schedulerName":"default-scheduler",
          "terminationGracePeriodSeconds":30,"securityContext":{},"containers":[{"name":"c","image":"i","resources":{},
          "terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",
          "ports":[{"containerPort":80,"protocol":"TCP"}],"livenessProbe":{"timeoutSeconds":1,"periodSeconds":10,
          "successThreshold":1,"failureThreshold":3,"httpGet":{"port":80,"path":"/","scheme":"HTTP"}},
          "env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"x","apiVersion":"v1"}}},
          {"name":"B","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"0"}}}]}]},
          "status":{"phase":"Pending"}})"},
      {"core.v1", "PodSpec",
       R"({"terminationGracePeriodSeconds":0,"restartPolicy":"","schedulerName":"mine","dnsPolicy":null,
          "volumes":[{"name":"a","secret":{}},{"name":"b","configMap":{}},{"name":"c","downwardAPI":{}},
          {"name":"d","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}},{"name":"e","hostPath":{"path":"/"}},
          {"name":"f","secret":{"defaultMode":0}},{"name":"g","emptyDir":{}}]})",
       R"({"restartPolicy":"Always","dnsPolicy":"ClusterFirst","schedulerName":"mine","terminationGracePeriodSeconds":0,
          "securityContext":{},"volumes":[{"name":"a","secret":{"defaultMode":420}},{"name":"b","configMap":{"defaultMode":420,"name":""}},
          {"name":"c","downwardAPI":{"defaultMode":420}},{"name":"d","projected":{"defaultMode":420,
          "sources":[{"serviceAccountToken":{"path":"t","expirationSeconds":3600}}]}},
          {"name":"e","hostPath":{"path":"/","type":""}},{"name":"f","secret":{"defaultMode":0}},{"name":"g","emptyDir":{}}]})"},
      {"apps.v1", "DaemonSet", R"({"spec":{}})",
       R"({"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1,"maxSurge":0}},
          "revisionHistoryLimit":10},"status":{"currentNumberScheduled":0,"numberMisscheduled":0,"desiredNumberScheduled":0,
          "numberReady":0}})"},
      {"apps.v1", "DaemonSet",
       R"({"spec":{"updateStrategy":{"type":"OnDelete"},"revisionHistoryLimit":0},"status":{"numberReady":2}})",
       R"({"spec":{"updateStrategy":{"type":"OnDelete"},"revisionHistoryLimit":0},"status":{"currentNumberScheduled":0,
          "numberMisscheduled":0,"desiredNumberScheduled":0,"numberReady":2}})"},
      {"apps.v1", "Deployment", R"({"spec":{}})",
       R"({"spec":{"replicas":1,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},
          "revisionHistoryLimit":10,"progressDeadlineSeconds":600},"status":{}})"},
      {"apps.v1", "Deployment", R"({"spec":{"replicas":0,"strategy":{"type":"Recreate"}}})",
       R"({"spec":{"replicas":0,"strategy":{"type":"Recreate"},"revisionHistoryLimit":10,"progressDeadlineSeconds":600},
          "status":{}})"},
      {"apps.v1", "ReplicaSet", R"({"spec":{}})", R"({"spec":{"replicas":1},"status":{"replicas":0}})"},
      {"apps.v1", "StatefulSet", R"({"spec":{}})",
       R"({"spec":{"replicas":1,"podManagementPolicy":"OrderedReady","revisionHistoryLimit":10,
          "updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}},
          "persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Retain","whenScaled":"Retain"}},
          "status":{"replicas":0,"availableReplicas":0}})"},
      {"batch.v1", "Job", R"({"spec":{}})", R"({"spec":{},"status":{}})"},
      {"batch.v1", "CronJob", R"({"spec":{"successfulJobsHistoryLimit":0}})",
       R"({"spec":{"concurrencyPolicy":"Allow","suspend":false,"successfulJobsHistoryLimit":0,"failedJobsHistoryLimit":1},
          "status":{}})"},
      {"autoscaling.v2", "HorizontalPodAutoscaler", R"({"spec":{"maxReplicas":3}})",
       R"({"spec":{"minReplicas":1,"maxReplicas":3},"status":{"desiredReplicas":0}})"},
      {"core.v1", "Service", R"({"spec":{"ports":[{"port":80}]}})",
       R"({"spec":{"type":"ClusterIP","sessionAffinity":"None","internalTrafficPolicy":"Cluster","ipFamilyPolicy":"SingleStack",
          "ports":[{"port":80,"protocol":"TCP"}]},"status":{"loadBalancer":{}}})"},
      {"core.v1", "Service", R"({"spec":{"type":"NodePort","sessionAffinity":"ClientIP"}})",
       R"({"spec":{"type":"NodePort","sessionAffinity":"ClientIP","internalTrafficPolicy":"Cluster","externalTrafficPolicy":"Cluster",
          "ipFamilyPolicy":"SingleStack","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":10800}}},
          "status":{"loadBalancer":{}}})"},
      {"core.v1", "Service", R"({"spec":{"type":"ExternalName"}})",
       R"({"spec":{"type":"ExternalName","sessionAffinity":"None"},"status":{"loadBalancer":{}}})"},
      {"core.v1", "Namespace", R"({})", R"({"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}})"},
      {"core.v1", "PersistentVolume", R"({"spec":{"hostPath":{"path":"/v"}}})",
       R"({"spec":{"hostPath":{"path":"/v","type":""},"persistentVolumeReclaimPolicy":"Retain","volumeMode":"Filesystem"},
          "status":{"phase":"Pending"}})"},
      {"core.v1", "PersistentVolumeSpec", R"({"iscsi":{"targetPortal":"p","iqn":"q","lun":0},"volumeMode":"Block",
          "rbd":{"monitors":["m"],"image":"i"},"scaleIO":{"gateway":"g","system":"s","secretRef":{}},
          "persistentVolumeReclaimPolicy":"Delete"})",
       R"({"iscsi":{"targetPortal":"p","iqn":"q","lun":0,"iscsiInterface":"default"},"volumeMode":"Block",
          "rbd":{"monitors":["m"],"image":"i","pool":"rbd","user":"admin","keyring":"/etc/ceph/keyring"},
          "scaleIO":{"gateway":"g","system":"s","secretRef":{},"storageMode":"ThinProvisioned","fsType":"xfs"},
          "persistentVolumeReclaimPolicy":"Delete"})"},
      {"core.v1", "PersistentVolumeClaim", R"({"spec":{"storageClassName":""}})",
       R"({"spec":{"storageClassName":"","volumeMode":"Filesystem"},"status":{"phase":"Pending"}})"},
      {"storage.v1", "StorageClass", R"({"provisioner":"p"})",
       R"({"provisioner":"p","reclaimPolicy":"Delete","volumeBindingMode":"Immediate"})"},
      {"core.v1", "Secret", R"({})", R"({"type":"Opaque"})"},
      {"core.v1", "ConfigMap", R"({"data":{}})", R"({"data":{}})"},
      {"core.v1", "ServiceAccount", R"({})", R"({})"},
      {"coordination.v1", "Lease", R"({"spec":{}})", R"({"spec":{}})"},
      {"discovery.v1", "EndpointSlice", R"({"addressType":"IPv4","ports":[{"port":1}]})",
       R"({"addressType":"IPv4","endpoints":[],"ports":[{"port":1,"protocol":"TCP","name":""}]})"},
      {"scheduling.v1", "PriorityClass", R"({})", R"({"value":0,"preemptionPolicy":"PreemptLowerPriority"})"},
      {"policy.v1", "PodDisruptionBudget", R"({"spec":{}})",
       R"({"spec":{},"status":{"disruptionsAllowed":0,"currentHealthy":0,"desiredHealthy":0,"expectedPods":0}})"},
      {"core.v1", "Node", R"({})",
       R"({"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":0}},"nodeInfo":{"machineID":"","systemUUID":"","bootID":"",
          "kernelVersion":"","osImage":"","containerRuntimeVersion":"","kubeletVersion":"","kubeProxyVersion":"",
          "operatingSystem":"","architecture":""}}})"},
      {"core.v1", "ContainerStatus", R"({"name":"c"})",
       R"({"name":"c","state":{},"lastState":{},"ready":false,"restartCount":0,"image":"","imageID":""})"},
      {"autoscaling.v1", "Scale", R"({"spec":{}})", R"({"spec":{"replicas":0}})"},
      {"wherry.v1", "Image", R"({"spec":{"references":["nginx:*"]}})",
       R"({"spec":{"references":["nginx:*"]},"status":{}})"},
  };
  for (const auto& c : cases) {
    INFO(c.type << " " << c.given);
    const Type* type = catalog->FindType(c.package, c.type);
    REQUIRE(type);
    Json made = Json::parse(c.given);
    ApplyDefaults(*type, made);
    CHECK(Json::diff(Json::parse(c.made), made).dump() == "[]");
    Json again = made;
    ApplyDefaults(*type, again);
    CHECK(again == made);
  }
}

TEST_CASE("the kind's hook runs after the schema's defaults") {
  Kind kind = *KindCatalog::BuiltIn()->FindGvk("", "v1", "Secret");
  static const auto keep = KindCatalog::BuiltIn();
  kind.type = keep->FindType("core.v1", "Secret");
  kind.hooks.set_defaults = [](Json& object) { object["seen"] = object["type"]; };
  Json object = Json::object();
  ApplyDefaults(kind, object);
  CHECK(object == Json::parse(R"({"type":"Opaque","seen":"Opaque"})"));
}

}  // namespace
}  // namespace wherry
