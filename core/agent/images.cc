#include "core/agent/images.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// Whether the part before the first '/' names a registry, by docker's rule.
bool NamesRegistry(std::string_view first) {
  return first.find_first_of(".:*") != std::string_view::npos || first == "localhost";
}

// "nginx:1" → "docker.io/library/nginx:1".
std::string Qualify(std::string_view reference) {
  const size_t slash = reference.find('/');
  if (slash == std::string_view::npos) {
    if (reference.starts_with('*')) return std::string(reference);
    return "docker.io/library/" + std::string(reference);
  }
  const std::string_view registry = reference.substr(0, slash), rest = reference.substr(slash + 1);
  if (registry == "docker.io" || registry == "index.docker.io") {
    const bool official = rest.find('/') == std::string_view::npos && !rest.starts_with('*');
    return (official ? "docker.io/library/" : "docker.io/") + std::string(rest);
  }
  if (NamesRegistry(registry)) return std::string(reference);
  return "docker.io/" + std::string(reference);
}

// Where the tag's ':' is; npos = no tag.
size_t TagAt(std::string_view reference) {
  const size_t slash = reference.rfind('/');
  return reference.find(':', slash == std::string_view::npos ? 0 : slash);
}

bool IsLower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsWord(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Words of lower case and digits, joined by one '.', one or two '_', or any number of '-'.
bool IsPathPart(std::string_view part) {
  size_t at = 0;
  while (true) {
    const size_t begin = at;
    while (at < part.size() && IsLower(part[at])) ++at;
    if (at == begin) return false;
    if (at == part.size()) return true;
    const char joint = part[at];
    size_t joints = 0;
    while (at < part.size() && part[at] == joint) ++at, ++joints;
    const size_t most = joint == '.' ? 1 : joint == '_' ? 2 : joint == '-' ? part.size() : 0;
    if (joints > most) return false;
  }
}

bool IsRegistry(std::string_view host) {
  const size_t colon = host.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view port = host.substr(colon + 1);
    if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos) return false;
    host = host.substr(0, colon);
  }
  while (true) {
    const size_t dot = host.find('.');
    const std::string_view label = host.substr(0, dot);
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return (IsWord(c) && c != '_') || c == '-'; }))
      return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

bool IsDigest(std::string_view digest) {
  constexpr size_t kLeastHex = 32;
  const size_t colon = digest.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view hex = digest.substr(colon + 1);
  return hex.size() >= kLeastHex && std::all_of(hex.begin(), hex.end(), IsHex) &&
         std::all_of(digest.begin(), digest.begin() + static_cast<std::ptrdiff_t>(colon),
                     [](char c) { return IsWord(c) || c == '+' || c == '.' || c == '-'; });
}

std::vector<std::string> Strings(const Json& object, const char* field) {
  std::vector<std::string> out;
  const Json* list = FindPath(object, field);
  if (!list || !list->is_array()) return out;
  for (const Json& item : *list) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

}  // namespace

bool IsImageReference(std::string_view reference, std::string* why) {
  constexpr size_t kMaxTag = 128, kMaxName = 255;
  *why = "invalid reference format";
  if (const size_t at = reference.find('@'); at != std::string_view::npos) {
    if (!IsDigest(reference.substr(at + 1))) return false;
    reference = reference.substr(0, at);
  }
  if (const size_t colon = TagAt(reference); colon != std::string_view::npos) {
    const std::string_view tag = reference.substr(colon + 1);
    if (tag.empty() || tag.size() > kMaxTag || !IsWord(tag.front())) return false;
    if (!std::all_of(tag.begin(), tag.end(), [](char c) { return IsWord(c) || c == '.' || c == '-'; })) return false;
    reference = reference.substr(0, colon);
  }
  const std::string_view name = reference;
  if (const size_t slash = reference.find('/');
      slash != std::string_view::npos && NamesRegistry(reference.substr(0, slash))) {
    if (!IsRegistry(reference.substr(0, slash))) return false;
    reference.remove_prefix(slash + 1);
  }
  std::string lower(reference);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  bool parts = true;
  for (std::string_view rest = lower; parts;) {
    const size_t slash = rest.find('/');
    parts = IsPathPart(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (parts && lower != reference) {
    const bool official = name.find('/') == std::string_view::npos;
    *why += ": repository name (" + std::string(official ? "library/" : "") + std::string(reference) +
            ") must be lowercase";
  }
  if (!parts || lower != reference || name.size() > kMaxName) return false;
  why->clear();
  return true;
}

std::string NormaliseImage(std::string_view reference) {
  const size_t at = reference.find('@');
  const std::string name = Qualify(reference.substr(0, at));
  if (TagAt(name) != std::string::npos) return name;
  return at == std::string_view::npos ? name + ":latest" : name + std::string(reference.substr(at));
}

ImageView::Pattern NormalisePattern(std::string_view pattern) {
  ImageView::Pattern out;
  out.glob = Qualify(pattern);
  const bool open = out.glob.ends_with('*') || out.glob.find('@') != std::string::npos;
  if (out.glob.ends_with(":*")) {
    out.glob.resize(out.glob.size() - 2);
    out.any_version = true;
  } else {
    out.any_version = !open && TagAt(out.glob) == std::string::npos;
  }
  out.literals =
      static_cast<size_t>(std::count_if(out.glob.begin(), out.glob.end(), [](char c) { return c != '*' && c != '?'; }));
  return out;
}

bool GlobMatches(std::string_view glob, std::string_view text) {
  size_t g = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g, ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

bool ImageView::Pattern::Matches(std::string_view normalised) const {
  if (any_version) {
    const size_t at = normalised.find('@');
    normalised = normalised.substr(0, at != std::string_view::npos ? at : TagAt(normalised));
  }
  return GlobMatches(glob, normalised);
}

ImageView::ImageView(const Json& image) : name(StringAt(image, "metadata.name")) {
  const Json* found = FindPath(image, "spec");
  if (!found || !found->is_object()) return;
  const Json& spec = *found;
  for (const std::string& reference : Strings(spec, "references")) patterns.push_back(NormalisePattern(reference));
  command = Strings(spec, "command");
  args = Strings(spec, "args");
  programs = Strings(spec, "programs");
  if (const Json* list = FindPath(spec, "env"); list && list->is_array()) {
    for (const Json& entry : *list) env.emplace_back(StringAt(entry, "name"), StringAt(entry, "value"));
  }
  if (const Json* list = FindPath(spec, "files"); list && list->is_array()) {
    for (const Json& file : *list) {
      files.push_back({StringAt(file, "path"), StringAt(file, "content"), static_cast<int>(IntAt(file, "mode", 0644))});
    }
  }
  working_dir = StringAt(spec, "workingDir");
  root_directory = StringAt(spec, "rootDirectory");
  user = StringAt(spec, "user");
  package = StringAt(spec, "package");
  stop_signal = StringAt(spec, "stopSignal");
}

int SignalNumber(const std::string& name) {
  static constexpr std::pair<std::string_view, int> kSignals[] = {
      {"SIGABRT", SIGABRT}, {"SIGALRM", SIGALRM}, {"SIGBUS", SIGBUS},    {"SIGCHLD", SIGCHLD}, {"SIGCLD", SIGCHLD},
      {"SIGCONT", SIGCONT}, {"SIGFPE", SIGFPE},   {"SIGHUP", SIGHUP},    {"SIGILL", SIGILL},   {"SIGINT", SIGINT},
      {"SIGIO", SIGIO},     {"SIGIOT", SIGABRT},  {"SIGKILL", SIGKILL},  {"SIGPIPE", SIGPIPE}, {"SIGPOLL", SIGIO},
      {"SIGPROF", SIGPROF}, {"SIGPWR", SIGPWR},   {"SIGQUIT", SIGQUIT},  {"SIGSEGV", SIGSEGV}, {"SIGSTOP", SIGSTOP},
      {"SIGSYS", SIGSYS},   {"SIGTERM", SIGTERM}, {"SIGTRAP", SIGTRAP},  {"SIGTSTP", SIGTSTP}, {"SIGTTIN", SIGTTIN},
      {"SIGTTOU", SIGTTOU}, {"SIGURG", SIGURG},   {"SIGUSR1", SIGUSR1},  {"SIGUSR2", SIGUSR2}, {"SIGVTALRM", SIGVTALRM},
      {"SIGXCPU", SIGXCPU}, {"SIGXFSZ", SIGXFSZ}, {"SIGWINCH", SIGWINCH}};
  for (const auto& [known, number] : kSignals) {
    if (name == known) return number;
  }
  for (const auto& [base, number, sign] :
       {std::tuple("SIGRTMIN", SIGRTMIN, '+'), std::tuple("SIGRTMAX", SIGRTMAX, '-')}) {
    if (name == base) return number;
    if (name.starts_with(std::string(base) + sign)) {
      const int off = std::atoi(name.c_str() + 9);
      const int wanted = sign == '+' ? number + off : number - off;
      return off > 0 && wanted >= SIGRTMIN && wanted <= SIGRTMAX ? wanted : 0;
    }
  }
  return 0;
}

int StopSignal(const WatchCache& cache, const Json& container) {
  if (const int asked = SignalNumber(StringAt(container, "lifecycle.stopSignal")); asked != 0) return asked;
  if (!Strings(container, "command").empty()) return SIGTERM;
  const ObjectPtr image = FindImage(cache, StringAt(container, "image"));
  if (!image) return SIGTERM;
  const int own = SignalNumber(image->view<ImageView>().stop_signal);
  return own != 0 ? own : SIGTERM;
}

ObjectPtr FindImage(const WatchCache& cache, std::string_view reference) {
  const std::string wanted = NormaliseImage(reference);
  ObjectPtr best;
  size_t best_literals = 0;
  cache.ForEach(resources::kImages, {}, [&](const ObjectPtr& object) {
    for (const ImageView::Pattern& pattern : object->view<ImageView>().patterns) {
      if ((best && pattern.literals <= best_literals) || !pattern.Matches(wanted)) continue;
      best = object;
      best_literals = pattern.literals;
    }
    return true;
  });
  return best;
}

std::vector<std::string> CombineCommand(const Json& container, const ImageView* image) {
  std::vector<std::string> command = Strings(container, "command");
  std::vector<std::string> args = Strings(container, "args");
  if (command.empty()) {
    if (!image) return {};  // arguments of a program that only the image names
    command = image->command;
    if (args.empty()) args = image->args;
  }
  command.insert(command.end(), args.begin(), args.end());
  return command;
}

Status UnknownImage(const std::string& reference, const std::string& pull_policy) {
  std::string name(reference.substr(0, reference.find_first_of(":@", reference.rfind('/') + 1)));
  name = name.substr(name.rfind('/') + 1);
  std::string message = "no Image object matches \"" + NormaliseImage(reference) +
                        "\" and the container has no command; images are names for local programs here. Add one: "
                        "echo '{\"apiVersion\":\"wherry.dev/v1\","
                        "\"kind\":\"Image\",\"metadata\":{\"name\":\"" +
                        name + "\"},\"spec\":{\"references\":[\"" + reference + "\"],\"command\":[\"/path/to/" + name +
                        "\"]}}' | kubectl apply -f -";
  const bool never = pull_policy == "Never";
  if (never) message = "Container image \"" + reference + "\" is not present with pull policy of Never: " + message;
  StatusDetails details;
  details.causes.push_back({never ? "ErrImageNeverPull" : "ErrImagePull", message, ""});
  return Status(Reason::kInvalid, message, std::move(details));
}

std::string FindProgram(const std::string& program, std::string_view path) {
  if (program.find('/') != std::string::npos) return access(program.c_str(), X_OK) == 0 ? program : "";
  while (!path.empty()) {
    const size_t colon = path.find(':');
    const std::string candidate = std::string(path.substr(0, colon)) + "/" + program;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    if (colon == std::string_view::npos) break;
    path.remove_prefix(colon + 1);
  }
  return "";
}

}  // namespace wherry
