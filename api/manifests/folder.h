#pragma once

#include <asio/posix/stream_descriptor.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "api/manifests/manifest.h"
#include "core/kinds/kind.h"
#include "core/runtime/controller.h"

namespace wherry {

// On an object: the file of a manifest folder that it comes from, and goes with.
inline constexpr std::string_view kManifestKey = "wherry.dev/manifest";

// Keeps a cluster in step with a directory of manifests (`wherry up --manifests DIR`): what its *.yaml, *.yml and
// *.json files describe is made and changed as `apply` would, what they no longer describe is removed. Told of changes
// by inotify, and looks again every minute in case that misses some. A file that cannot be read is one warning and
// changes nothing: neither its own objects nor those of others. Edits of others to the objects are left alone, until
// the file changes; deleted ones come back.
//
// Control thread only. The client, clock and catalog outlive it.
class ManifestFolder {
 public:
  ManifestFolder(RuntimeContext context, const KindCatalog& catalog, std::filesystem::path directory);
  ~ManifestFolder();
  ManifestFolder(const ManifestFolder&) = delete;
  ManifestFolder& operator=(const ManifestFolder&) = delete;

  // Brings the cluster in step for the first time, and follows the directory from then on.
  Task<> Start();
  void Stop();
  // One pass: reads what changed, applies, removes. Never twice at once.
  Task<> Sync();

  // What is wrong at present, by file; for tests.
  const std::map<std::string, std::string>& faults() const { return faults_; }

 private:
  struct File {
    std::string stamp;  // of the text that was read
    Manifests manifests;
    bool readable = false;
  };
  struct Wanted {
    std::string file, where;
    const Kind* kind = nullptr;
    std::string ns, name;
    Json document;
  };
  using Key = std::pair<std::string, std::string>;  // resource, "namespace/name"

  void Watch();
  void WaitForChange();
  void Plan(Duration delay);
  void ReadFiles();
  std::vector<Wanted> Collect();
  Result<Wanted> Resolve(const std::string& file, const Manifest& manifest) const;
  Task<Status> Apply(Wanted wanted);
  Task<> RemoveOthers(std::set<Key> wanted);
  void FindOwned();
  void Fault(const std::string& file, const std::string& why);

  const RuntimeContext context_;
  const KindCatalog& catalog_;
  const std::filesystem::path directory_;
  std::unique_ptr<asio::posix::stream_descriptor> notify_;
  std::map<std::string, File> files_;  // by name
  std::map<Key, std::string> owned_;   // objects that are ours → file
  std::map<std::string, std::string> faults_, told_;
  EventBus::HandlerId handler_ = 0;
  Clock::TimerId timer_ = 0;
  bool running_ = false, again_ = false, stopped_ = false;
  // Coroutines and timers that outlive us find out so.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace wherry
