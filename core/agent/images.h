#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/json.h"
#include "store/object.h"
#include "store/status.h"
#include "store/watch_cache.h"

namespace wherry {

// The full form of an image reference: "nginx" → "docker.io/library/nginx:latest", "me/app:1" → "docker.io/me/app:1",
// "nginx@sha256:…" → "docker.io/library/nginx@sha256:…"; a tag beside a digest is kept and the digest dropped.
std::string NormaliseImage(std::string_view reference);
// Whether it is a reference by the grammar of registries: [host[:port]/]path[/path…][:tag][@algorithm:hex], paths in
// lower case. Says why not in `*why`, as they do.
bool IsImageReference(std::string_view reference, std::string* why);

// What an Image object says (wherry.dev/v1): `object->view<ImageView>()`.
struct ImageView {
  explicit ImageView(const Json& image);

  struct File {
    std::string path, content;
    int mode;
  };
  struct Pattern {
    std::string glob;          // normalised
    bool any_version = false;  // matches the name alone, whatever the tag or digest
    size_t literals = 0;       // characters that are no wildcards: how specific it is
    bool Matches(std::string_view normalised) const;
  };
  std::string name;
  std::vector<Pattern> patterns;
  std::vector<std::string> command, args;
  std::vector<std::string> programs;  // that must be installed, besides the command's first word
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_dir, root_directory, user, package, stop_signal;
  std::vector<File> files;
};

// `*` matches any text (also '/'), `?` one character. A pattern without a tag matches every tag and digest.
ImageView::Pattern NormalisePattern(std::string_view pattern);
bool GlobMatches(std::string_view glob, std::string_view text);

// The Image object for a reference: the match with the most literal characters; of equals the first by name. Null =
// none.
ObjectPtr FindImage(const WatchCache& cache, std::string_view reference);

// What a container runs: its own command and args over the image's, as Kubernetes combines them. Empty = nothing to
// run.
std::vector<std::string> CombineCommand(const Json& container, const ImageView* image);

// The number of "SIGUSR1", "SIGRTMIN+3" …; 0 = there is no such signal.
int SignalNumber(const std::string& name);

// What asks a container to end: its lifecycle.stopSignal; its image's stopSignal while it runs the image's own program;
// else SIGTERM.
int StopSignal(const WatchCache& cache, const Json& container);

// The refusal for a container without a command whose image nobody knows: says how to add it. ErrImagePull, or
// ErrImageNeverPull when the pull policy is Never.
Status UnknownImage(const std::string& reference, const std::string& pull_policy);

// Where `program` would be run from, looking through `path` like execvp; "" = nowhere.
std::string FindProgram(const std::string& program, std::string_view path);

}  // namespace wherry
