#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/support/test_cluster.h"

// Documents and look-ups that the tests of storage share.
namespace wherry::storage_tests {

namespace fs = std::filesystem;
using namespace resources;  // NOLINT(google-build-using-namespace): the names of what the tests are about

inline Json Claim(const std::string& name, const char* spec = "{}") {
  Json claim = Json::parse(R"({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{},
    "spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}})");
  claim["metadata"]["name"] = name;
  claim["spec"].merge_patch(Json::parse(spec));
  return claim;
}

inline Json Volume(const std::string& name, const char* spec = "{}") {
  Json volume = Json::parse(R"({"apiVersion":"v1","kind":"PersistentVolume","metadata":{},
    "spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/srv/v"}}})");
  volume["metadata"]["name"] = name;
  volume["spec"].merge_patch(Json::parse(spec));
  return volume;
}

inline Json Class(const std::string& name, const char* members = "{}") {
  Json made = Json::parse(R"({"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{},
    "provisioner":"wherry.dev/local"})");
  made["metadata"]["name"] = name;
  made.merge_patch(Json::parse(members));
  return made;
}

inline Json Pod(const std::string& name, const std::string& claim, const std::string& node = "") {
  Json pod = Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[
    {"name":"c","image":"x","volumeMounts":[{"name":"data","mountPath":"/data"}]}],
    "volumes":[{"name":"data","persistentVolumeClaim":{}}]}})");
  pod["metadata"]["name"] = name;
  pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = claim;
  if (!node.empty()) pod["spec"]["nodeName"] = node;
  return pod;
}

struct Storage : TestCluster {
  Json TheClaim(const std::string& name) const { return Document(kPersistentVolumeClaims, "default", name); }
  Json TheVolume(const std::string& name) const { return Document(kPersistentVolumes, "", name); }
  std::string ClaimPhase(const std::string& name) const { return StringAt(TheClaim(name), "status.phase"); }
  std::string VolumePhase(const std::string& name) const { return StringAt(TheVolume(name), "status.phase"); }
  std::string PodPhase(const std::string& name) const {
    return StringAt(Document(kPods, "default", name), "status.phase");
  }
  std::string VolumeOf(const std::string& claim) const { return StringAt(TheClaim(claim), "spec.volumeName"); }

  // "reason: message" of each event about an object of this name.
  std::vector<std::string> Told(const std::string& name) const {
    std::vector<std::string> out;
    for (const ObjectPtr& event : List(kEvents)) {
      const JsonPtr document = event->json();
      if (StringAt(*document, "involvedObject.name") != name) continue;
      out.push_back(StringAt(*document, "reason") + ": " + StringAt(*document, "message"));
    }
    return out;
  }
  bool WasTold(const std::string& name, const std::string& what) const {
    const auto told = Told(name);
    return std::any_of(told.begin(), told.end(), [&](const std::string& t) { return t.starts_with(what); });
  }

  fs::path Directory(const std::string& volume) {
    return fs::path(plane().agents().options().data_dir) / "volumes" / volume;
  }
};

}  // namespace wherry::storage_tests
