#include "core/agent/local_volumes.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

const std::string kClaims(resources::kPersistentVolumeClaims);
const std::string kVolumes(resources::kPersistentVolumes);
constexpr std::string_view kHostname = "kubernetes.io/hostname";

bool AwaitsUs(const ClaimView& claim) {
  return claim.provisioner == storage::kLocalProvisioner && !claim.selected_node.empty() && !claim.bind_completed &&
         claim.volume_name.empty() && !claim.deleting;
}

// "" or what a directory of one node cannot be.
std::string WhyNot(const ClaimView& claim) {
  for (const std::string& mode : claim.access_modes) {
    if (mode == "ReadWriteOnce" || mode == "ReadWriteOncePod") continue;
    return "access mode " + mode + " is not offered: these volumes are on one node each";
  }
  if (claim.volume_mode != "Filesystem") return "volumeMode " + claim.volume_mode + " is not offered";
  if (claim.selector) return "claim Selector is not supported";
  if (claim.from_source) return "dataSource is not supported";
  return "";
}

// The volume as a document.
Json VolumeFor(const Json& claim, const ClassView& storage_class, const std::string& name, const std::string& path,
               const Json& node) {
  const auto& labels = MapAt(node, "metadata.labels");
  const auto host = labels.find(kHostname);
  const Json requirement = {{"key", kHostname},
                            {"operator", "In"},
                            {"values", Json::array({host != labels.end() ? host->second : At(node, "metadata.name")})}};
  Json volume = {
      {"metadata",
       {{"name", name},
        {"annotations", {{std::string(storage::kProvisionedBy), storage::kLocalProvisioner}}},
        {"finalizers", Json::array({storage::kDirectoryFinalizer})}}},
      {"spec",
       {{"capacity", {{"storage", StringAt(claim, "spec.resources.requests.storage")}}},
        {"accessModes", At(claim, "spec.accessModes")},
        {"persistentVolumeReclaimPolicy", storage_class.reclaim_policy},
        {"storageClassName", storage_class.name},
        {"volumeMode", "Filesystem"},
        {"local", {{"path", path}}},
        {"nodeAffinity",
         {{"required", {{"nodeSelectorTerms", Json::array({{{"matchExpressions", Json::array({requirement})}}})}}}}}}}};
  volume = ReservedFor(std::move(volume), claim);
  // The provisioner made the match, not the binder.
  volume["metadata"]["annotations"].erase(std::string(storage::kBoundByController));
  return volume;
}

// What a removed directory is called until it is gone; no volume's name begins with a dot.
std::string TrashOf(const std::string& directory, const std::string& volume) {
  return (fs::path(directory) / (".removed-" + volume)).string();
}

// Out of sight at once, then piece by piece.
Status RemoveTree(const std::string& path, const std::string& trash) {
  std::error_code error;
  if (path != trash && fs::exists(fs::symlink_status(path))) {
    fs::remove_all(trash, error);
    fs::rename(path, trash, error);
    if (error) return Status(Reason::kInternalError, "rename " + path + ": " + error.message());
  }
  fs::remove_all(trash, error);
  return error ? Status(Reason::kInternalError, "remove " + trash + ": " + error.message()) : Status();
}

}  // namespace

LocalVolumes::LocalVolumes(RuntimeContext context, std::string data_dir,
                           std::function<Site(const std::string&)> site_of)
    : context_(context),
      directory_((fs::path(data_dir) / "volumes").string()),
      site_of_(std::move(site_of)),
      events_(context, std::string(storage::kLocalProvisioner)),
      remover_(context.executor) {}

LocalVolumes::~LocalVolumes() { Stop(); }

std::string LocalVolumes::PathOf(const std::string& volume) const { return (fs::path(directory_) / volume).string(); }

void LocalVolumes::Start() {
  SweepLeftovers();
  ControllerSpec spec;
  spec.name = "local-volumes";
  spec.watches = {{kClaims, [this](const Event& event, WorkQueue& queue) { OnClaim(event, queue); }},
                  {kVolumes, [](const Event& event, WorkQueue& queue) {
                     const VolumeView& volume = event.object->view<VolumeView>();
                     if (volume.provisioned_by == storage::kLocalProvisioner) queue.Add(volume.name);
                   }}};
  spec.reconcile = [this](std::string key) { return Reconcile(std::move(key)); };
  spec.workers = 32;
  controller_ = std::make_unique<Controller>(context_, std::move(spec));
  controller_->Start();
}

void LocalVolumes::Stop() {
  if (controller_) controller_->Stop();
}

void LocalVolumes::OnClaim(const Event& event, WorkQueue& queue) {
  if (event.type == EventType::kDeleted) {
    told_.erase(event.object->uid());
  } else if (AwaitsUs(event.object->view<ClaimView>())) {
    queue.Add(KeyOf(*event.object));
  }
}

void LocalVolumes::OnNodeHere(const std::string& node) {
  if (!controller_) return;
  context_.client.cache().ForEach(kClaims, {}, [&](const ObjectPtr& claim) {
    const ClaimView& view = claim->view<ClaimView>();
    if (view.selected_node == node && AwaitsUs(view)) controller_->queue().Add(KeyOf(*claim));
    return true;
  });
}

Task<ReconcileResult> LocalVolumes::Reconcile(std::string key) {
  ReconcileResult result;
  if (key.find('/') == std::string::npos) {
    result.status = co_await Reclaim(std::move(key));
  } else {
    result.status = co_await Provision(std::move(key));
  }
  co_return result;
}

Task<Status> LocalVolumes::Provision(std::string key) {
  const auto [ns, name] = SplitKey(key);
  const WatchCache& cache = context_.client.cache();
  const ObjectPtr claim = cache.Get(kClaims, ns, name);
  if (!claim || !AwaitsUs(claim->view<ClaimView>())) co_return Status();
  const ClaimView& view = claim->view<ClaimView>();
  const Site site = site_of_(view.selected_node);
  const ObjectPtr node = cache.Get(resources::kNodes, "", view.selected_node);
  const ObjectPtr storage_class = cache.Get(resources::kStorageClasses, "", view.class_name());
  if (site == Site::kElsewhere || !node || !storage_class) co_return Status();
  const ClassView& wanted = storage_class->view<ClassView>();
  const std::string volume = "pvc-" + view.uid;
  if (wanted.provisioner != storage::kLocalProvisioner || cache.Get(kVolumes, "", volume)) co_return Status();
  if (const std::string why = WhyNot(view); !why.empty()) {
    Fail(*claim, wanted.name, why);
    co_return Status();
  }
  if (site == Site::kProcesses) {
    const Status made = MakeDirectory(volume);
    if (!made.ok()) {
      Fail(*claim, wanted.name, made.message());
      co_return made;
    }
  }
  Json document = VolumeFor(*claim->json(), wanted, volume, PathOf(volume), *node->json());
  Result<ObjectPtr> created = co_await context_.client.Create(kVolumes, "", std::move(document));
  if (!created.ok()) {
    if (created.status().reason() == Reason::kAlreadyExists) co_return Status();
    Fail(*claim, wanted.name, created.status().message());
    co_return created.status();
  }
  told_.erase(claim->uid());
  spdlog::info("volume made volume={} claim={} node={}", volume, key, view.selected_node);
  events_.Normal(*claim, "ProvisioningSucceeded", "Successfully provisioned volume " + volume);
  co_return Status();
}

// Small file operations: as with the directories of pods they are done at once.
Status LocalVolumes::MakeDirectory(const std::string& volume) const {
  std::error_code error;
  fs::create_directories(directory_, error);
  const std::string path = PathOf(volume);
  // As root, pods may run as any user (runAsUser): they may pass through the parent but not look around in it.
  const bool root = ::geteuid() == 0;
  ::chmod(directory_.c_str(), root ? 0711 : 0700);
  const mode_t mode = root ? 0777 : 0700;
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return Status(Reason::kInternalError, "mkdir " + path + ": " + std::strerror(errno));
  }
  if (::chmod(path.c_str(), mode) != 0) {
    return Status(Reason::kInternalError, "chmod " + path + ": " + std::strerror(errno));
  }
  return {};
}

Task<Status> LocalVolumes::Reclaim(std::string name) {
  ObjectPtr volume = context_.client.cache().Get(kVolumes, "", name);
  if (!volume) co_return Status();
  const VolumeView& view = volume->view<VolumeView>();
  if (view.provisioned_by != storage::kLocalProvisioner || view.path != PathOf(name)) co_return Status();
  if (!view.deleting) {
    if (view.phase != "Released" || view.reclaim_policy != "Delete") co_return Status();
    DeleteOptions options;
    options.uid_precondition = view.uid;
    Result<ObjectPtr> deleted = co_await context_.client.Delete(kVolumes, "", name, options);
    co_return deleted.status();
  }
  if (view.protected_in_use || !view.has_directory) co_return Status();
  if (view.reclaim_policy == "Delete" && fs::exists(fs::symlink_status(view.path))) {
    std::function<Status()> work = std::bind_front(RemoveTree, view.path, TrashOf(directory_, name));
    const Status removed = co_await remover_.Run(std::move(work));
    if (!removed.ok()) {
      events_.Warning(*volume, "VolumeFailedDelete", removed.message());
      co_return removed;
    }
    spdlog::info("volume removed volume={}", name);
    volume = context_.client.cache().Get(kVolumes, "", name);
    if (!volume) co_return Status();
  }
  Json document = *volume->json();
  Json kept = Json::array();
  for (const Json& finalizer : ListAt(document, "metadata.finalizers")) {
    if (finalizer != storage::kDirectoryFinalizer) kept.push_back(finalizer);
  }
  document["metadata"]["finalizers"] = std::move(kept);
  Result<ObjectPtr> written = co_await context_.client.Update(kVolumes, std::move(document));
  co_return written.status();
}

// What a crash may have left: directories on their way out, and empty ones whose volume was never told of. A directory
// with files in it and no volume is a retained one, which is its owner's to clear.
void LocalVolumes::SweepLeftovers() {
  std::error_code error;
  std::vector<std::string> trash;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".removed-")) {
      trash.push_back(entry.path().string());
    } else if (!context_.client.cache().Get(kVolumes, "", name)) {
      ::rmdir(entry.path().c_str());  // refused unless empty
    }
  }
  if (!trash.empty()) Spawn(context_.executor, "removal of old volumes", RemoveLeftovers(std::move(trash)));
}

Task<> LocalVolumes::RemoveLeftovers(std::vector<std::string> paths) {
  for (const std::string& path : paths) {
    std::function<Status()> work = std::bind_front(RemoveTree, path, path);
    const Status removed = co_await remover_.Run(std::move(work));
    if (!removed.ok()) spdlog::warn("old volume not removed path={} error=\"{}\"", path, removed.message());
  }
}

void LocalVolumes::Fail(const Object& claim, const std::string& storage_class, const std::string& why) {
  std::string& told = told_[claim.uid()];
  if (told == why) return;
  told = why;
  events_.Warning(claim, "ProvisioningFailed",
                  "failed to provision volume with StorageClass \"" + storage_class + "\": " + why);
}

}  // namespace wherry
