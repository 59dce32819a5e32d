#include "api/manifests/folder.h"

#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "api/manifests/merge.h"
#include "core/kinds/codec.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

constexpr Duration kSettle = std::chrono::milliseconds(50);  // several changes at once are one pass
constexpr Duration kRescan = std::chrono::seconds(60);
constexpr Duration kRetry = std::chrono::seconds(5);
constexpr size_t kMaxFile = 16 << 20;
constexpr const char* kFieldManager = "wherry-manifests";

bool IsManifest(const fs::path& path) {
  const std::string extension = path.extension();
  return !path.filename().string().starts_with('.') &&
         (extension == ".yaml" || extension == ".yml" || extension == ".json");
}

// Changes whenever the file does.
std::string StampOf(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return "";
  return std::to_string(info.st_ino) + "/" + std::to_string(info.st_size) + "/" + std::to_string(info.st_mtim.tv_sec) +
         "." + std::to_string(info.st_mtim.tv_nsec);
}

std::string FileOf(const Object& object) {
  if (object.bytes().find(kManifestKey) == std::string_view::npos) return "";
  const JsonPtr document = object.json();
  const Json& annotations = At(*document, "metadata.annotations");
  auto it = annotations.is_object() ? annotations.find(kManifestKey) : annotations.end();
  // What a controller has made bears its owner's annotations, and goes with it.
  if (it == annotations.end() || !it->is_string() || object.view<MetaView>().controller()) return "";
  return it->get<std::string>();
}

// What others lie in goes first.
int Rank(const Kind& kind) {
  if (kind.resource == resources::kNamespaces) return 0;
  return kind.gvk.kind == "CustomResourceDefinition" ? 1 : 2;
}

std::string Title(const Kind& kind, const std::string& ns, const std::string& name) {
  return kind.gvk.kind + " " + (ns.empty() ? "" : ns + "/") + name;
}

}  // namespace

ManifestFolder::ManifestFolder(RuntimeContext context, const KindCatalog& catalog, fs::path directory)
    : context_(context), catalog_(catalog), directory_(std::move(directory)) {}

ManifestFolder::~ManifestFolder() {
  *alive_ = false;
  Stop();
}

Task<> ManifestFolder::Start() {
  Watch();
  FindOwned();
  // One of ours that somebody deletes comes back.
  handler_ = context_.client.events().AddHandler("", [this](const Event& event) {
    if (event.type != EventType::kDeleted || stopped_) return;
    if (owned_.contains(Key(event.object->key().resource, KeyOf(*event.object)))) Plan(kSettle);
  });
  co_await Sync();
}

void ManifestFolder::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (handler_ != 0) context_.client.events().RemoveHandler(handler_);
  context_.clock.Cancel(std::exchange(timer_, 0));
  notify_.reset();
}

void ManifestFolder::Watch() {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0 || inotify_add_watch(fd, directory_.c_str(),
                                  IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE) < 0) {
    spdlog::warn("manifests are looked at once a minute only directory={} error=\"{}\"", directory_.string(),
                 std::strerror(errno));
    if (fd >= 0) close(fd);
    return;
  }
  notify_ = std::make_unique<asio::posix::stream_descriptor>(context_.executor, fd);
  WaitForChange();
}

void ManifestFolder::WaitForChange() {
  notify_->async_wait(asio::posix::stream_descriptor::wait_read, [this, alive = alive_](const std::error_code& error) {
    if (error || !*alive || stopped_) return;
    char buffer[4096];
    while (read(notify_->native_handle(), buffer, sizeof buffer) > 0) {
    }
    Plan(kSettle);
    WaitForChange();
  });
}

void ManifestFolder::Plan(Duration delay) {
  if (stopped_) return;
  context_.clock.Cancel(timer_);
  timer_ = context_.clock.After(delay, [this] {
    timer_ = 0;
    Spawn(context_.executor, "manifests", Sync());
  });
}

// What bears our mark from before.
void ManifestFolder::FindOwned() {
  const WatchCache& cache = context_.client.cache();
  for (const std::string& resource : cache.Resources()) {
    cache.ForEach(resource, {}, [&](const ObjectPtr& object) {
      if (std::string file = FileOf(*object); !file.empty()) owned_[Key(resource, KeyOf(*object))] = std::move(file);
      return true;
    });
  }
}

void ManifestFolder::ReadFiles() {
  std::set<std::string> seen;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error)) {
    const fs::path path = it->path();
    const std::string name = path.filename();
    const std::string stamp = IsManifest(path) ? StampOf(path) : "";
    if (stamp.empty() || !fs::is_regular_file(path, error)) continue;
    seen.insert(name);
    File& file = files_[name];
    if (file.stamp == stamp) continue;
    file = File();
    file.stamp = stamp;
    std::ifstream in(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    if (!in.is_open()) {
      file.manifests.errors.push_back(name + ": cannot be read");
    } else if (text.size() > kMaxFile) {
      file.manifests.errors.push_back(name + ": is larger than 16 MiB");
    } else {
      ReadManifests(text, name, &file.manifests);
    }
    file.readable = file.manifests.errors.empty();
  }
  if (error) {  // a directory that is gone for a moment takes nothing with it
    Fault(directory_.string(), error.message());
    return;
  }
  std::erase_if(files_, [&](const auto& entry) { return !seen.contains(entry.first); });
}

void ManifestFolder::Fault(const std::string& file, const std::string& why) {
  std::string& all = faults_[file];
  all += (all.empty() ? "" : "; ") + why;
}

Result<ManifestFolder::Wanted> ManifestFolder::Resolve(const std::string& file, const Manifest& manifest) const {
  Wanted out;
  out.file = file;
  out.where = manifest.where;
  const std::string api_version = StringAt(*manifest.object, "apiVersion"), kind = StringAt(*manifest.object, "kind");
  const size_t slash = api_version.find('/');
  out.kind = catalog_.FindGvk(slash == std::string::npos ? "" : api_version.substr(0, slash),
                              slash == std::string::npos ? api_version : api_version.substr(slash + 1), kind);
  if (!out.kind) return Status::BadRequest("no kind \"" + kind + "\" is known in \"" + api_version + "\"");
  out.name = StringAt(*manifest.object, "metadata.name");
  if (out.name.empty()) return Status::BadRequest("metadata.name: Required value");
  if (out.kind->namespaced) out.ns = StringAt(*manifest.object, "metadata.namespace", "default");
  Result<Decoded> decoded = Conform(*out.kind->type, out.kind->gvk, *manifest.object);
  if (!decoded.ok()) return decoded.status();
  if (!decoded->problems.empty()) return Status::BadRequest(decoded->problems.front());
  out.document = std::move(decoded->document);
  if (out.kind->storage) {  // another version's view of what is stored
    out.document = out.kind->hooks.to_storage(out.document);
    out.kind = out.kind->storage;
  }
  if (out.kind->namespaced) out.document["metadata"]["namespace"] = out.ns;
  out.document["metadata"]["annotations"][std::string(kManifestKey)] = file;
  return out;
}

// The objects of all files; of one that two files describe, the first file's.
std::vector<ManifestFolder::Wanted> ManifestFolder::Collect() {
  std::vector<Wanted> out;
  std::map<Key, std::string> taken;
  for (const auto& [name, file] : files_) {
    for (const std::string& error : file.manifests.errors) Fault(name, error);
    if (!file.readable) continue;
    for (const Manifest& manifest : file.manifests.objects) {
      Result<Wanted> wanted = Resolve(name, manifest);
      if (!wanted.ok()) {
        Fault(name, manifest.where + ": " + wanted.status().message());
        continue;
      }
      const auto [it, fresh] = taken.emplace(Key(wanted->kind->resource, KeyOf(wanted->ns, wanted->name)), name);
      if (fresh) {
        out.push_back(std::move(*wanted));
      } else {
        Fault(name, manifest.where + ": " + Title(*wanted->kind, wanted->ns, wanted->name) + " is in " + it->second +
                        " already");
      }
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Wanted& a, const Wanted& b) { return Rank(*a.kind) < Rank(*b.kind); });
  return out;
}

Task<> ManifestFolder::Sync() {
  if (running_) {
    again_ = true;
    co_return;
  }
  const std::shared_ptr<bool> alive = alive_;
  running_ = true;
  faults_.clear();
  ReadFiles();
  const std::vector<Wanted> wanted = Collect();
  std::set<Key> keys;
  bool refused = false;
  for (const Wanted& one : wanted) {
    keys.emplace(one.kind->resource, KeyOf(one.ns, one.name));
    const Status applied = co_await Apply(one);
    if (!*alive || stopped_) co_return;
    if (applied.ok()) continue;
    refused = true;
    Fault(one.file, one.where + ": " + Title(*one.kind, one.ns, one.name) + ": " + applied.message());
  }
  co_await RemoveOthers(std::move(keys));
  if (!*alive || stopped_) co_return;
  for (const auto& [file, why] : faults_) {
    if (auto it = told_.find(file); it == told_.end() || it->second != why)
      spdlog::warn("manifest not applied file={} reason=\"{}\"", (directory_ / file).string(), why);
  }
  told_ = faults_;
  running_ = false;
  Plan(std::exchange(again_, false) ? kSettle : refused ? kRetry : kRescan);
}

Task<Status> ManifestFolder::Apply(Wanted wanted) {
  const std::string resource = wanted.kind->resource;
  const Key key(resource, KeyOf(wanted.ns, wanted.name));
  const ObjectPtr live = context_.client.cache().Get(resource, wanted.ns, wanted.name);
  Json document = WithLastApplied(std::move(wanted.document));
  WriteOptions options;
  options.field_manager = kFieldManager;
  if (!live) {
    const Result<ObjectPtr> made =
        co_await context_.client.Create(resource, wanted.ns, std::move(document), std::move(options));
    if (made.ok()) {
      owned_[key] = wanted.file;
      spdlog::info("manifest applied file={} object=\"{}\"", wanted.file, Title(*wanted.kind, wanted.ns, wanted.name));
    }
    co_return made.status();
  }
  if (live->view<MetaView>().deleting()) co_return Status();  // it comes back when it is gone
  owned_[key] = wanted.file;
  // Only what the file says now and did not say before is put in: what others have edited since is theirs.
  const JsonPtr now = live->json();
  const Json& annotations = At(*now, "metadata.annotations");
  if (annotations.is_object() &&
      annotations.value(kLastApplied, Json()) == document["metadata"]["annotations"][kLastApplied]) {
    co_return Status();
  }
  Json patch = ThreeWayMergePatch(document, *now);
  if (patch.empty()) co_return Status();
  const Result<ObjectPtr> changed = co_await context_.client.Patch(resource, wanted.ns, wanted.name, PatchType::kMerge,
                                                                   std::move(patch), std::move(options));
  if (changed.ok()) {
    spdlog::info("manifest applied file={} object=\"{}\"", wanted.file, Title(*wanted.kind, wanted.ns, wanted.name));
    co_return Status();
  }
  if (changed.status().reason() != Reason::kInvalid || resource != resources::kPods) co_return changed.status();
  // Most of a pod cannot be changed: it is made anew.
  DeleteOptions deletion;
  deletion.uid_precondition = live->uid();
  const Result<ObjectPtr> deleted =
      co_await context_.client.Delete(resource, wanted.ns, wanted.name, std::move(deletion));
  co_return deleted.status();
}

// Takes away what no file describes any more. While a file cannot be read, its objects stay.
Task<> ManifestFolder::RemoveOthers(std::set<Key> wanted) {
  const std::map<Key, std::string> owned = owned_;
  const std::shared_ptr<bool> alive = alive_;
  for (const auto& [key, file] : owned) {
    auto it = files_.find(file);
    if (wanted.contains(key) || (it != files_.end() && (!it->second.readable || faults_.contains(file)))) continue;
    const auto [ns, name] = SplitKey(key.second);
    const ObjectPtr live = context_.client.cache().Get(key.first, ns, name);
    owned_.erase(key);
    if (!live || FileOf(*live).empty()) continue;  // gone, or somebody has taken it over
    DeleteOptions options;
    options.uid_precondition = live->uid();
    options.propagation = Propagation::kBackground;
    const Result<ObjectPtr> deleted = co_await context_.client.Delete(key.first, ns, name, std::move(options));
    if (!*alive) co_return;
    if (deleted.ok() || deleted.status().reason() == Reason::kNotFound) {
      spdlog::info("manifest withdrawn file={} object=\"{} {}\"", file, key.first, key.second);
    } else {
      owned_[key] = file;
      Fault(file, key.first + " " + key.second + " cannot be removed: " + deleted.status().message());
    }
  }
}

}  // namespace wherry
