#include "core/agent/container_builder.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/agent/container_confinement.h"
#include "core/agent/container_files.h"
#include "core/agent/images.h"
#include "core/agent/pod_env.h"
#include "core/agent/pod_volumes.h"
#include "core/agent/service_env.h"
#include "core/agent/termination_message.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// "data-dir" → "DATA_DIR".
std::string VariableName(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::toupper(c)) : '_';
  return out;
}

std::string UserName() {
  const passwd* entry = getpwuid(geteuid());
  return entry ? entry->pw_name : std::to_string(geteuid());
}

// $(NAME) of known variables only; everything else, also "$$", is the file's own.
std::string ExpandFile(const std::string& text, const Environment& env) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t close = text.compare(i, 2, "$(") == 0 ? text.find(')', i) : std::string::npos;
    const std::string* value =
        close == std::string::npos ? nullptr : FindVariable(env, std::string_view(text).substr(i + 2, close - i - 2));
    if (value) {
      out += *value;
      i = close;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Not what is the host's at its own place.
bool NeedsView(const warden::Mount& mount) { return mount.source != mount.target || mount.read_only; }

class Builder {
 public:
  Builder(const AgentOptions& options, const WatchCache& cache, const Json& pod, const Json& container, int attempt,
          const PodSite& site)
      : options_(options),
        cache_(cache),
        pod_(pod),
        container_(container),
        attempt_(attempt),
        site_(site),
        name_(StringAt(container_, "name")),
        directory_(site.directory / name_) {}

  Result<BuiltContainer> Build() {
    Status step = ChooseLevel();
    if (step.ok()) step = FindItsImage();
    if (step.ok()) step = MakeDirectories();
    if (step.ok()) step = MakeEnvironment();
    if (step.ok()) step = MakeCommand();
    if (step.ok()) step = WriteImageFiles();
    if (step.ok()) step = ChooseUser();
    if (step.ok()) step = Mount();
    if (!step.ok()) return step;
    ContainerSpec& spec = built_.spec;
    spec.id = StringAt(pod_, "metadata.uid") + "/" + name_ + "/" + std::to_string(attempt_);
    spec.env = env_;
    const bool has_term =
        std::any_of(env_.begin(), env_.end(), [](const auto& entry) { return entry.first == "TERM"; });
    if (BoolAt(container_, "tty") && !has_term) spec.env.emplace_back("TERM", "xterm");
    spec.log_path = (site_.log_directory / name_ / (std::to_string(attempt_) + ".log")).string();
    spec.open_stdin = BoolAt(container_, "stdin");
    spec.tty = BoolAt(container_, "tty");
    spec.privileged_port_offset = options_.privileged_port_offset;
    spec.bind_address = site_.pod_ip;
    if (BoolAt(pod_, "spec.hostNetwork") && Annotation(kHostNetworkKey) == "machine") spec.bind_address.clear();
    return std::move(built_);
  }

 private:
  std::string Annotation(std::string_view key) const {
    const Json* annotations = FindPath(pod_, "metadata.annotations");
    if (!annotations || !annotations->is_object()) return "";
    auto it = annotations->find(key);
    return it != annotations->end() && it->is_string() ? it->get<std::string>() : "";
  }

  Status ChooseLevel() {
    const Result<bool> sandbox = WantsSandbox(cache_, pod_);
    if (!sandbox.ok()) return sandbox.status();
    sandbox_ = *sandbox;
    mounted_ = sandbox_ || options_.no_mounts.empty();
    built_.spec.confinement.sandbox = sandbox_;
    return PlanLimits(pod_, container_, options_.max_pids, built_.spec.confinement);
  }

  // Whether the path is a volume's, which only the container will see.
  bool InVolume(const std::string& path) const {
    if (!mounted_) return false;
    for (const Json& mount : ListAt(container_, "volumeMounts")) {
      const std::string target = StringAt(mount, "mountPath");
      if (path == target || path.starts_with(target.ends_with('/') ? target : target + "/")) return true;
    }
    return false;
  }

  Status FindItsImage() {
    const std::string reference = StringAt(container_, "image");
    std::string why;
    if (!IsImageReference(reference, &why)) {
      return ContainerRefusal("InvalidImageName", "Failed to apply default image tag \"" + reference +
                                                      "\": couldn't parse image name \"" + reference + "\": " + why);
    }
    image_object_ = FindImage(cache_, reference);
    if (image_object_) image_ = &image_object_->view<ImageView>();
    command_ = CombineCommand(container_, image_);
    if (command_.empty()) return UnknownImage(reference, StringAt(container_, "imagePullPolicy"));
    built_.image_id = image_ ? "wherry://images/" + image_->name : "wherry://host";
    if (image_ && !image_->root_directory.empty()) {
      return ContainerRefusal(
          "CreateContainerError",
          "Image " + image_->name + " has a rootDirectory, which this node's runtime cannot give a program");
    }
    return {};
  }

  Status MakeDirectories() {
    std::error_code error;
    fs::create_directories(directory_, error);
    if (!error) fs::create_directories(site_.log_directory / name_, error);
    std::string wanted = StringAt(container_, "workingDir");
    if (wanted.empty() && image_) wanted = image_->working_dir;
    fs::path working = wanted.empty() ? directory_ : fs::path(wanted);
    const bool its_own = !wanted.empty() && (sandbox_ || InVolume(wanted));
    if (!error && !its_own && !fs::is_directory(working, error)) {
      // A directory of the image's that this machine does not have: the container gets its own.
      working = directory_ / working.relative_path();
      error.clear();
      fs::create_directories(working, error);
    }
    if (error)
      return ContainerRefusal("CreateContainerError", "cannot make " + directory_.string() + ": " + error.message());
    built_.spec.working_directory = working.string();
    return {};
  }

  Status MakeEnvironment() {
    const bool host_network = BoolAt(pod_, "spec.hostNetwork");
    env_ = {
        {"PATH", kPath},
        {"HOME", directory_.string()},
        {"HOSTNAME", host_network ? site_.node_name : StringAt(pod_, "spec.hostname", StringAt(pod_, "metadata.name"))},
        {"WHERRY_POD_IP", site_.pod_ip},
        {"WHERRY_POD_NAME", StringAt(pod_, "metadata.name")},
        {"WHERRY_POD_NAMESPACE", StringAt(pod_, "metadata.namespace")},
        {"WHERRY_POD_UID", StringAt(pod_, "metadata.uid")},
        {"WHERRY_NODE_NAME", site_.node_name},
        {"WHERRY_NODE_IP", site_.node_address},
        {"WHERRY_NODE_LOGS", (fs::path(options_.data_dir) / "nodes" / site_.node_name / "containers").string()},
        {"WHERRY_CONTAINER_DIR", directory_.string()},
        {"WHERRY_IMAGE", StringAt(container_, "image")},
        {"WHERRY_USER", UserName()}};
    for (auto& [name, value] : ServiceVariables(cache_, pod_, options_.service_host, options_.service_port))
      SetVariable(env_, std::move(name), std::move(value));
    if (image_) {
      for (const auto& [name, value] : image_->env) SetVariable(env_, name, ExpandVariables(value, env_));
    }
    const EnvSources sources{cache_,
                             pod_,
                             container_,
                             site_.node_name,
                             site_.node_address,
                             site_.pod_ip,
                             site_.node_milli_cpu,
                             site_.node_memory,
                             site_.node_ephemeral};
    Result<Environment> resolved = ResolveEnv(sources, env_);
    if (!resolved.ok()) return resolved.status();
    env_ = std::move(*resolved);
    return AddMounts();
  }

  // Variables tell where volumes are. Where they cannot be mounted that is below the pod's directory, and mount paths
  // in what the pod itself wrote are replaced by the place.
  Status AddMounts() {
    if (!sandbox_) {
      for (const auto& [volume, path] : site_.volumes) env_.emplace_back("WHERRY_VOLUME_" + VariableName(volume), path);
    }
    Result<MountMap> mounts = ContainerMounts(container_, site_.volumes, env_);
    if (!mounts.ok()) return mounts.status();
    mounts_ = std::move(*mounts);
    if (mounted_) {
      built_.spec.confinement.mounts = PlanMounts(pod_, container_, mounts_);
      for (auto& [path, place] : mounts_) place = path;
    }
    std::string listing;
    for (const auto& [path, place] : mounts_) listing += (listing.empty() ? "" : "\n") + path + "=" + place;
    if (!listing.empty()) env_.emplace_back("WHERRY_MOUNTS", listing);
    if (const Json* list = FindPath(container_, "volumeMounts"); list && list->is_array()) {
      for (const Json& mount : *list) {  // with its subPath, where it has one
        const std::string path = StringAt(mount, "mountPath");
        for (const auto& [mounted, place] : mounts_) {
          if (mounted == path) SetVariable(env_, "WHERRY_VOLUME_" + VariableName(StringAt(mount, "name")), place);
        }
      }
    }
    if (!mounted_ && !mounts_.empty()) {
      built_.notes.push_back("volumes of container " + name_ +
                             " are not at their mountPath, WHERRY_VOLUME_... say where: " + options_.no_mounts);
    }
    if (!mounted_) NoteReadOnlyClaims();
    AddTerminationFile();
    translate_ = Annotation(kTranslateKey) != "false" && !mounts_.empty();
    if (!translate_) return {};
    const Json* list = FindPath(container_, "env");
    if (!list || !list->is_array()) return {};
    for (const Json& entry : *list) {
      const std::string name = StringAt(entry, "name");
      const std::string* value = FindVariable(env_, name);
      if (value && entry.contains("value")) SetVariable(env_, name, TranslatePaths(*value, mounts_));
    }
    return {};
  }

  // What the container leaves there is read when it has ended. The file is at its place in the sandbox, outside of
  // /dev, and where there are volumes; a namespace and a view of /dev for this alone would cost every plain container a
  // fifth to a half of its start, so there the path is replaced instead.
  void AddTerminationFile() {
    MakeTerminationFile(directory_);
    const std::string file = TerminationFile(directory_).string();
    SetVariable(env_, "WHERRY_TERMINATION_LOG", file);
    const std::string path = StringAt(container_, "terminationMessagePath", "/dev/termination-log");
    const auto shorter = std::find_if(mounts_.begin(), mounts_.end(),
                                      [&](const auto& mount) { return mount.first.size() < path.size(); });
    std::vector<warden::Mount>& mounts = built_.spec.confinement.mounts;
    const bool has_view = std::any_of(mounts.begin(), mounts.end(), NeedsView);
    const bool at_its_place = sandbox_ || (mounted_ && (has_view || !path.starts_with("/dev/")));
    if (at_its_place) mounts.push_back({file, path, false});
    mounts_.emplace(shorter, path, at_its_place ? path : file);
  }

  // Nothing is mounted, so nothing keeps a process from writing where it should only read.
  void NoteReadOnlyClaims() {
    for (const Json& volume : ListAt(pod_, "spec.volumes")) {
      if (!Has(volume, "persistentVolumeClaim")) continue;
      const std::string& name = StringAt(volume, "name");
      for (const Json& mount : ListAt(container_, "volumeMounts")) {
        if (StringAt(mount, "name") != name) continue;
        if (!BoolAt(mount, "readOnly") && !BoolAt(volume, "persistentVolumeClaim.readOnly")) continue;
        built_.notes.push_back("volume " + name + " is to be read only, which is not enforced in this release");
        break;
      }
    }
  }

  Status MakeCommand() {
    for (std::string& word : command_) {
      word = ExpandVariables(word, env_);
      if (translate_) word = TranslatePaths(std::move(word), mounts_);
    }
    built_.spec.argv = command_;
    const Json* own = FindPath(container_, "command");
    if (!image_ || (own && own->is_array() && !own->empty())) return {};
    const std::string* variable = FindVariable(env_, "PATH");
    const std::string path = variable ? *variable : kPath;
    std::string missing;
    for (const std::string& program : image_->programs) {
      if (missing.empty() && FindProgram(program, path).empty()) missing = program;
    }
    std::string program = command_.front();
    if (program.find('/') != std::string::npos && program.front() != '/')
      program = built_.spec.working_directory + "/" + program;
    const bool own_file = program.starts_with(directory_.string() + "/");
    if (missing.empty() && !own_file && FindProgram(program, path).empty()) missing = command_.front();
    if (missing.empty()) return {};
    std::string message =
        "Image " + image_->name + " needs the program \"" + missing + "\", which this machine does not have";
    if (!image_->package.empty()) message += ": apt-get install " + image_->package;
    return ContainerRefusal("ErrImagePull", message);
  }

  Status WriteImageFiles() {
    if (!image_) return {};
    for (const ImageView::File& file : image_->files) {
      const fs::path relative = fs::path(file.path).lexically_normal();
      if (relative.is_absolute() || relative.empty() || *relative.begin() == "..") {
        return ContainerRefusal("CreateContainerError", "Image " + image_->name + ": file path \"" + file.path +
                                                            "\" leads out of the container's directory");
      }
      const fs::path path = directory_ / relative;
      std::error_code error;
      fs::create_directories(path.parent_path(), error);
      fs::remove(path, error);  // never write through a link that the last run left there
      std::ofstream out(path, std::ios::binary);
      out << ExpandFile(file.content, env_);
      out.close();
      fs::permissions(path, static_cast<fs::perms>(file.mode), error);
      if (!out || error) return ContainerRefusal("CreateContainerError", "cannot write " + path.string());
    }
    return {};
  }

  // securityContext, then the image's user. Only root can become somebody else; others run everything as themselves.
  Status ChooseUser() {
    int64_t user = -1, group = -1;
    if (image_ && !image_->user.empty() && geteuid() == 0) {
      const std::string& text = image_->user;
      if (std::from_chars(text.data(), text.data() + text.size(), user).ptr != text.data() + text.size()) {
        const passwd* entry = getpwnam(text.c_str());
        if (!entry)
          return ContainerRefusal("CreateContainerError",
                                  "unable to find user " + text + ": no matching entries in passwd file");
        user = entry->pw_uid;
        group = entry->pw_gid;
      }
    }
    const AgentUser agent{geteuid(), getegid()};
    const Status planned = PlanSecurity(pod_, container_, agent, user, group, built_.spec, built_.notes);
    if (!planned.ok()) return planned;
    const int64_t runs_as = built_.spec.run_as_user;
    if (agent.root() && runs_as > 0 &&
        chown(directory_.c_str(), static_cast<uid_t>(runs_as), static_cast<gid_t>(built_.spec.run_as_group)) != 0) {
      return ContainerRefusal("CreateContainerError",
                              "cannot give " + directory_.string() + " to user " + std::to_string(runs_as));
    }
    return {};
  }

  // What is mounted besides the volumes. A volume that is the host's at its own place needs nothing.
  Status Mount() {
    warden::Confinement& confinement = built_.spec.confinement;
    if (!mounted_) return {};
    for (warden::Mount& mount : confinement.mounts) {
      std::error_code error;
      if (fs::exists(mount.source, error)) continue;
      // A hostPath whose type asks for no check.
      built_.notes.push_back(mount.source + " does not exist on this machine: container " + name_ +
                             " sees an empty directory at " + mount.target);
      mount.source = (site_.directory / "absent").string();
      fs::create_directories(mount.source, error);
    }
    const Status added = AddHostFiles(cache_, pod_, site_, options_.privileged_port_offset, built_);
    if (!added.ok()) return added;
    if (sandbox_) {
      confinement.hostname = PodHostname(pod_, site_);
      confinement.hidden = {fs::absolute(options_.data_dir).lexically_normal().string()};
      confinement.mounts.push_back({directory_.string(), directory_.string(), false});
      const Status shared = ShareMemory();
      if (!shared.ok()) return shared;
    } else {
      std::erase_if(confinement.mounts, [](const auto& mount) { return !NeedsView(mount); });
    }
    std::sort(confinement.mounts.begin(), confinement.mounts.end(),
              [](const auto& a, const auto& b) { return a.target < b.target; });
    return {};
  }

  // /dev/shm is the pod's: it outlives each container, and all have the same. With hostIPC it is the machine's.
  Status ShareMemory() {
    std::vector<warden::Mount>& mounts = built_.spec.confinement.mounts;
    const std::string target = "/dev/shm";
    std::error_code error;
    const bool taken =
        std::any_of(mounts.begin(), mounts.end(), [&](const auto& mount) { return mount.target == target; });
    if (taken) return {};
    if (built_.spec.confinement.host_ipc) {
      if (fs::is_directory(target, error)) mounts.push_back({target, target, false});
      return {};
    }
    const fs::path memory = MemoryVolumes(options_.data_dir);
    const fs::path closed = (memory.empty() ? site_.directory : memory / StringAt(pod_, "metadata.uid")) / ".shm";
    const fs::path place = closed / "all";  // everybody's within the pod, and behind a door that is shut for others
    fs::create_directories(place, error);
    if (!error) fs::permissions(closed, fs::perms::owner_all, error);
    if (!error) fs::permissions(place, static_cast<fs::perms>(01777), error);
    if (error)
      return ContainerRefusal("CreateContainerError", "cannot make " + place.string() + ": " + error.message());
    mounts.push_back({place.string(), target, false});
    return {};
  }

  const AgentOptions& options_;
  const WatchCache& cache_;
  const Json& pod_;
  const Json& container_;
  const int attempt_;
  const PodSite& site_;
  const std::string name_;
  const fs::path directory_;

  ObjectPtr image_object_;
  const ImageView* image_ = nullptr;
  std::vector<std::string> command_;
  Environment env_;
  MountMap mounts_;
  bool sandbox_ = false;
  bool mounted_ = false;  // volumes will be at their mountPath
  bool translate_ = false;
  BuiltContainer built_;
};

}  // namespace

const Json* ContainerNamed(const Json& pod, const std::string& name) {
  for (const char* list : {"spec.containers", "spec.initContainers", "spec.ephemeralContainers"}) {
    const Json* containers = FindPath(pod, list);
    if (!containers || !containers->is_array()) continue;
    for (const Json& container : *containers) {
      if (StringAt(container, "name") == name) return &container;
    }
  }
  return nullptr;
}

Result<BuiltContainer> BuildContainer(const AgentOptions& options, const WatchCache& cache, const Json& pod,
                                      const Json& container, int attempt, const PodSite& site) {
  return Builder(options, cache, pod, container, attempt, site).Build();
}

}  // namespace wherry
