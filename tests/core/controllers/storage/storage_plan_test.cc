#include "core/controllers/storage/storage_plan.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

// A document of the kind, with members merged over a plain one.
Json Claim(const char* changes = "{}") {
  Json claim = Json::parse(R"({"metadata":{"name":"c","namespace":"default","uid":"u1"},
    "spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"volumeMode":"Filesystem",
            "storageClassName":""},
    "status":{"phase":"Pending"}})");
  claim.merge_patch(Json::parse(changes));
  return claim;
}

Json Volume(const std::string& name, const char* changes = "{}") {
  Json volume = Json::parse(R"({"metadata":{},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],
    "hostPath":{"path":"/v"},"persistentVolumeReclaimPolicy":"Retain","volumeMode":"Filesystem"},
    "status":{"phase":"Available"}})");
  volume["metadata"]["name"] = name;
  volume.merge_patch(Json::parse(changes));
  return volume;
}

const char* const kOwn = R"({"spec":{"claimRef":{"namespace":"default","name":"c","uid":"u1"}}})";
const char* const kOther = R"({"spec":{"claimRef":{"namespace":"default","name":"other","uid":"u9"}}})";
const char* const kPast = R"({"spec":{"claimRef":{"namespace":"default","name":"c","uid":"u0"}}})";
const char* const kPrebound = R"({"spec":{"claimRef":{"namespace":"default","name":"c"}}})";

TEST_CASE("a claim is bound to the smallest volume that satisfies it") {
  const struct {
    const char* what;
    const char* claim;
    std::vector<std::pair<std::string, const char*>> volumes;
    std::string best;
  } cases[] = {
      {"fits exactly", "{}", {{"a", "{}"}}, "a"},
      {"too small", R"({"spec":{"resources":{"requests":{"storage":"2Gi"}}}})", {{"a", "{}"}}, ""},
      {"the smallest, not the first",
       "{}",
       {{"a", R"({"spec":{"capacity":{"storage":"5Gi"}}})"}, {"b", R"({"spec":{"capacity":{"storage":"2Gi"}}})"}},
       "b"},
      {"of equal ones the first by name", "{}", {{"b", "{}"}, {"a", "{}"}}, "a"},
      {"access mode missing", R"({"spec":{"accessModes":["ReadWriteOnce","ReadWriteMany"]}})", {{"a", "{}"}}, ""},
      {"access modes are a subset",
       "{}",
       {{"a", R"({"spec":{"accessModes":["ReadWriteMany","ReadWriteOnce"]}})"}},
       "a"},
      {"volumeMode differs", "{}", {{"a", R"({"spec":{"volumeMode":"Block"}})"}}, ""},
      {"another class", "{}", {{"a", R"({"spec":{"storageClassName":"x"}})"}}, ""},
      {"the same class", R"({"spec":{"storageClassName":"x"}})", {{"a", R"({"spec":{"storageClassName":"x"}})"}}, "a"},
      {"selector matches",
       R"({"spec":{"selector":{"matchLabels":{"tier":"db"}}}})",
       {{"a", "{}"}, {"b", R"({"metadata":{"labels":{"tier":"db"}},"spec":{"capacity":{"storage":"9Gi"}}})"}},
       "b"},
      {"not available yet", "{}", {{"a", R"({"status":{"phase":"Pending"}})"}}, ""},
      {"on its way out", "{}", {{"a", R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}})"}}, ""},
      {"of somebody else", "{}", {{"a", kOther}}, ""},
      {"of an earlier claim of this name", "{}", {{"a", kPast}}, ""},
      {"reserved for it comes first, whatever its size",
       "{}",
       {{"a", "{}"}, {"b", R"({"spec":{"capacity":{"storage":"9Gi"},"claimRef":{"namespace":"default","name":"c"}}})"}},
       "b"},
      {"reserved but too small",
       R"({"spec":{"resources":{"requests":{"storage":"2Gi"}}}})",
       {{"a", kPrebound}, {"b", R"({"spec":{"capacity":{"storage":"2Gi"}}})"}},
       "b"},
  };
  for (const auto& c : cases) {
    INFO(c.what);
    std::vector<VolumeView> views;
    for (const auto& [name, changes] : c.volumes) views.emplace_back(Volume(name, changes));
    std::vector<const VolumeView*> pointers;
    for (const VolumeView& view : views) pointers.push_back(&view);
    const VolumeView* best = BestMatch(ClaimView(Claim(c.claim)), pointers, nullptr, false);
    CHECK((best ? best->name : "") == c.best);
  }
}

TEST_CASE("a volume of one node is for pods of that node, and what is taken is passed over") {
  const Json node = Json::parse(R"({"metadata":{"name":"n1","labels":{"kubernetes.io/hostname":"n1"}}})");
  const char* const affinity = R"({"spec":{"nodeAffinity":{"required":{"nodeSelectorTerms":[
    {"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["%"]}]}]}}}})";
  auto on = [&](std::string host) { return std::string(affinity).replace(std::string(affinity).find('%'), 1, host); };
  const VolumeView here(Volume("b", on("n1").c_str())), there(Volume("a", on("n2").c_str()));
  const std::vector<const VolumeView*> all = {&here, &there};
  const ClaimView claim(Claim());
  CHECK(BestMatch(claim, all, &node, false) == &here);
  CHECK(BestMatch(claim, all, nullptr, false) == &there);
  CHECK(BestMatch(claim, all, nullptr, true) == nullptr);
  CHECK(BestMatch(claim, all, &node, false, [](const VolumeView& v) { return v.name == "b"; }) == nullptr);
}

struct Row {
  const char* what;
  const char* claim;
  const char* volume;         // the one it names; "" = none there
  const char* storage_class;  // "" = none
  std::string plan;
};

std::string Text(const ClaimPlan& plan) {
  std::string text;
  if (plan.bind != nullptr) text += "bind=" + plan.bind->name + " ";
  if (plan.grow != nullptr) text += "grow ";
  if (!plan.phase.empty()) text += plan.phase + " ";
  if (!plan.assign_class.empty()) text += "class=" + plan.assign_class + " ";
  if (!plan.announce.empty()) text += "by=" + plan.announce + " ";
  if (plan.select_node) text += "node=" + *plan.select_node + " ";
  text += plan.notice.reason;
  if (!plan.notice.empty()) text += (plan.notice.warning ? "! " : " ") + plan.notice.message;
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

const char* const kImmediate = R"({"metadata":{"name":"x"},"provisioner":"wherry.dev/local"})";
const char* const kWaits =
    R"({"metadata":{"name":"x"},"provisioner":"wherry.dev/local","volumeBindingMode":"WaitForFirstConsumer"})";
const char* const kForeign = R"({"metadata":{"name":"x"},"provisioner":"example.com/disks"})";
const char* const kNone = R"({"metadata":{"name":"x"},"provisioner":"kubernetes.io/no-provisioner"})";

TEST_CASE("what becomes of a claim") {
  const std::string bound =
      R"("annotations":{"pv.kubernetes.io/bind-completed":"yes"}},"spec":{"volumeName":"v"},"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}})";
  const std::string is_bound = R"({"metadata":{)" + bound;
  const std::string grows = R"({"spec":{"resources":{"requests":{"storage":"2Gi"}},"volumeName":"v"},
    "metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes"}},
    "status":{"phase":"Bound","capacity":{"storage":"1Gi"}}})";
  const std::string ours = R"({"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"wherry.dev/local"}},
    "spec":{"claimRef":{"namespace":"default","name":"c","uid":"u1"}}})";
  const char* const in_x = R"({"spec":{"storageClassName":"x"}})";
  const char* const in_x_on_n1 =
      R"({"spec":{"storageClassName":"x"},"metadata":{"annotations":{"volume.kubernetes.io/selected-node":"n1"}}})";
  const char* const in_x_on_gone =
      R"({"spec":{"storageClassName":"x"},"metadata":{"annotations":{"volume.kubernetes.io/selected-node":"gone"}}})";
  const char* const waiting =
      "ExternalProvisioning Waiting for a volume to be created either by the external provisioner 'example.com/disks' "
      "or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is "
      "running and correctly registered.";
  const Row rows[] = {
      {"nothing there, no class", "{}", "", "",
       "Pending FailedBinding no persistent volumes available for this claim and no storage class is set"},
      {"no class named, and the cluster has a default", R"({"spec":{"storageClassName":null}})", "", "",
       "class=standard"},
      {"unknown class", in_x, "", "", "Pending ProvisioningFailed! storageclass.storage.k8s.io \"x\" not found"},
      {"waits for its first consumer", in_x, "", kWaits,
       "Pending WaitForFirstConsumer waiting for first consumer to be created before binding"},
      {"its consumer has a node", in_x_on_n1, "", kWaits, "Pending by=wherry.dev/local"},
      {"the node is gone meanwhile", in_x_on_gone, "", kWaits, "Pending node="},
      {"immediate: a node is chosen", in_x, "", kImmediate, "Pending by=wherry.dev/local node=n2"},
      {"somebody else's provisioner", in_x, "", kForeign, std::string("Pending by=example.com/disks ") + waiting},
      {"nobody provisions", in_x, "", kNone,
       "Pending ProvisioningFailed! no volume plugin matched name: kubernetes.io/no-provisioner"},
      {"going before it was bound", R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}})", "", "", ""},
      {"names a volume", R"({"spec":{"volumeName":"v"}})", "{}", "", "bind=v"},
      {"names a volume that is not there", R"({"spec":{"volumeName":"v"}})", "", "", "Pending"},
      {"names one that is too small", R"({"spec":{"volumeName":"v","resources":{"requests":{"storage":"2Gi"}}}})", "{}",
       "", "Pending VolumeMismatch! Cannot bind to requested volume \"v\": requested PV is too small"},
      {"names one of another class", R"({"spec":{"volumeName":"v","storageClassName":"y"}})", "{}", "",
       "Pending VolumeMismatch! Cannot bind to requested volume \"v\": storageClassName does not match"},
      {"names one that is taken", R"({"spec":{"volumeName":"v"}})", kOther, "",
       "Pending FailedBinding! volume \"v\" already bound to a different claim."},
      {"names one that waits for it", R"({"spec":{"volumeName":"v"}})", kPrebound, "", "bind=v"},
      {"bound", is_bound.c_str(), kOwn, "", "bind=v"},
      {"bound, the volume is gone", is_bound.c_str(), "", "",
       "Lost ClaimLost! Bound claim has lost its PersistentVolume. Data on the volume is lost!"},
      {"bound, the volume is another's", is_bound.c_str(), kOther, "",
       "Lost ClaimMisbound! Two claims are bound to the same volume, this one is bound incorrectly"},
      {"bound, the volume forgot it", is_bound.c_str(), "{}", "", "bind=v"},
      {"bound and asks for more of ours", grows.c_str(), ours.c_str(), "", "bind=v grow"},
      {"bound and asks for more of a foreign one", grows.c_str(), kOwn, "",
       "bind=v ExternalExpanding waiting for an external controller to expand this PVC"},
  };
  const ClassView standard(Json::parse(R"({"metadata":{"name":"standard"},"provisioner":"p"})"));
  for (const Row& row : rows) {
    INFO(row.what);
    const ClaimView claim(Claim(row.claim));
    ClaimFacts facts{claim, nullptr, {}, nullptr, &standard, {}, {}, {}, {}};
    VolumeView volume;
    if (*row.volume != '\0') {
      volume = VolumeView(Volume("v", row.volume));
      facts.volume = &volume;
    }
    ClassView storage_class;
    if (*row.storage_class != '\0') {
      storage_class = ClassView(Json::parse(row.storage_class));
      facts.storage_class = &storage_class;
    }
    facts.node_exists = [](const std::string& node) { return node == "n1"; };
    facts.choose_node = [] { return std::string("n2"); };
    CHECK(Text(PlanClaim(facts)) == row.plan);
  }
}

TEST_CASE("a claim that waits says for which pod") {
  const ClaimView claim(Claim(R"({"spec":{"storageClassName":"x"}})"));
  const ClassView storage_class(Json::parse(kWaits));
  const ClaimFacts facts{claim, nullptr, {}, &storage_class, nullptr, "web-0", {}, {}, {}};
  CHECK(Text(PlanClaim(facts)) == "Pending WaitForPodScheduled waiting for pod web-0 to be scheduled");
}

TEST_CASE("a claim whose pod was put on a node past the scheduler goes there") {
  const ClaimView claim(Claim(R"({"spec":{"storageClassName":"x"}})"));
  const ClassView waits(Json::parse(kWaits)), immediate(Json::parse(kImmediate));
  for (const ClassView* storage_class : {&waits, &immediate}) {
    const ClaimFacts facts{claim, nullptr, {}, storage_class, nullptr, {}, "n7", {}, [] { return std::string("n2"); }};
    CHECK(Text(PlanClaim(facts)) == "Pending by=wherry.dev/local node=n7");
  }
}

TEST_CASE("what becomes of a volume") {
  const struct {
    const char* what;
    const char* volume;
    const char* claim;  // default/c; "" = there is none
    std::string plan;
  } rows[] = {
      {"nobody claims it", "{}", "", "Available"},
      {"reserved, nobody came", kPrebound, "", "Available"},
      {"bound", kOwn, R"({"spec":{"volumeName":"v"}})", "Bound"},
      {"being bound", kOwn, "{}", ""},
      {"its claim is gone", kOwn, "", "Released"},
      {"a new claim has the name", kPast, "{}", "Released"},
      {"to be deleted, by its provisioner",
       R"({"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"wherry.dev/local"}},
           "spec":{"persistentVolumeReclaimPolicy":"Delete","claimRef":{"namespace":"default","name":"c","uid":"u1"}}})",
       "", "Released"},
      {"to be deleted, by nobody",
       R"({"spec":{"persistentVolumeReclaimPolicy":"Delete","claimRef":{"namespace":"default","name":"c","uid":"u1"}}})",
       "", "Failed VolumeFailedDelete error getting deleter volume plugin for volume \"v\": no volume plugin matched"},
      {"to be recycled",
       R"({"spec":{"persistentVolumeReclaimPolicy":"Recycle","claimRef":{"namespace":"default","name":"c","uid":"u1"}}})",
       "", "Failed VolumeFailedRecycle No recycler plugin found for the volume!"},
      {"failed before", R"({"spec":{"persistentVolumeReclaimPolicy":"Recycle",
           "claimRef":{"namespace":"default","name":"c","uid":"u1"}},"status":{"phase":"Failed"}})",
       "", ""},
      {"its claim took another: the binder's match is undone",
       R"({"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":"yes"}},
           "spec":{"claimRef":{"namespace":"default","name":"c","uid":"u1"}}})",
       R"({"spec":{"volumeName":"w"}})", "Available forget-claim"},
      {"its claim took another: the user's wish stays", kOwn, R"({"spec":{"volumeName":"w"}})", "Available forget-uid"},
      {"its claim took another: what was made for it goes",
       R"({"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"wherry.dev/local"}},
           "spec":{"persistentVolumeReclaimPolicy":"Delete","claimRef":{"namespace":"default","name":"c","uid":"u1"}}})",
       R"({"spec":{"volumeName":"w"}})", "Released"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    const VolumeView volume(Volume("v", row.volume));
    ClaimView claim;
    const bool there = *row.claim != '\0';
    if (there) claim = ClaimView(Claim(row.claim));
    const VolumePlan plan = PlanVolume(volume, there ? &claim : nullptr);
    std::string text = plan.phase;
    if (plan.unbind == VolumePlan::Unbind::kForgetClaim) text += " forget-claim";
    if (plan.unbind == VolumePlan::Unbind::kForgetUid) text += " forget-uid";
    if (!plan.notice.empty()) text += " " + plan.notice.reason + " " + plan.notice.message;
    CHECK(text == row.plan);
  }
}

TEST_CASE("classes: who is the default, and where volumes may be") {
  CHECK(ClassView(Json::parse(R"({"metadata":{"annotations":{"storageclass.kubernetes.io/is-default-class":"true"}}})"))
            .is_default);
  CHECK_FALSE(ClassView(Json::parse(R"({"metadata":{"name":"x"}})")).is_default);
  const ClassView zoned(Json::parse(
      R"({"allowedTopologies":[{"matchLabelExpressions":[{"key":"zone","values":["a","b"]},{"key":"disk","values":["ssd"]}]},
          {"matchLabelExpressions":[{"key":"zone","values":["c"]}]}]})"));
  CHECK(zoned.AllowsNode(Json::parse(R"({"metadata":{"labels":{"zone":"b","disk":"ssd"}}})")));
  CHECK_FALSE(zoned.AllowsNode(Json::parse(R"({"metadata":{"labels":{"zone":"b"}}})")));
  CHECK(zoned.AllowsNode(Json::parse(R"({"metadata":{"labels":{"zone":"c"}}})")));
  CHECK(ClassView(Json::parse(kWaits)).AllowsNode(Json::object()));
}

TEST_CASE("the claims of a pod") {
  const Json pod = Json::parse(R"({"metadata":{"name":"p"},"spec":{"volumes":[{"name":"a","emptyDir":{}},
    {"name":"b","persistentVolumeClaim":{"claimName":"data"}},{"name":"c","ephemeral":{}},
    {"name":"d","persistentVolumeClaim":{"claimName":"data"}}]}})");
  CHECK(ClaimsOfPod(pod) == std::vector<std::string>{"data", "p-c"});
}

}  // namespace
}  // namespace wherry
