#include "api/cli/kubeconfig.h"

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/kinds/base64.h"
#include "core/kinds/codec.h"

namespace wherry::cli {
namespace {

namespace fs = std::filesystem;

Status Refuse(const std::string& source, const std::string& why) {
  return Status::BadRequest("the kubeconfig " + source + ": " + why);
}

std::string Text(const Json& object, const char* field) {
  const auto it = object.find(field);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// The entry named `name` of a list such as "clusters", and there the object `what`; null when there is none.
const Json* Entry(const Json& config, const char* list, const std::string& name, const char* what) {
  const auto entries = config.find(list);
  if (entries == config.end() || !entries->is_array()) return nullptr;
  for (const Json& entry : *entries) {
    if (!entry.is_object() || Text(entry, "name") != name) continue;
    const auto body = entry.find(what);
    return body != entry.end() && body->is_object() ? &*body : nullptr;
  }
  return nullptr;
}

bool ReadFile(const std::string& path, std::string* out) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  if (!file || !(bytes << file.rdbuf())) return false;
  *out = bytes.str();
  return true;
}

// `field`-data holds base64, `field` the name of a file; the data wins, as in every client.
Status ReadPem(const Json& object, const std::string& field, const std::string& source, std::string* out) {
  if (const std::string data = Text(object, (field + "-data").c_str()); !data.empty()) {
    if (!DecodeBase64(data, out)) return Refuse(source, field + "-data is not base64");
    return {};
  }
  const std::string name = Text(object, field.c_str());
  if (name.empty()) return {};
  const std::string path = (fs::path(source).parent_path() / name).string();
  if (!ReadFile(path, out)) return Refuse(source, "cannot read " + path + " (" + field + ")");
  return {};
}

Status ParseUrl(Access& access) {
  while (access.url.ends_with('/')) access.url.pop_back();
  std::string_view rest = access.url;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    access.tls = false;
  } else {
    return Refuse(access.source, "server \"" + access.url + "\" is not an http(s) URL");
  }
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    access.base_path = std::string(rest.substr(slash));
    rest = rest.substr(0, slash);
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return Refuse(access.source, "server \"" + access.url + "\" has no host");
    access.host = std::string(rest.substr(1, end - 1));
    port = rest.substr(end + 1);
    if (!port.empty() && port.front() == ':') port.remove_prefix(1);
  } else {
    const size_t colon = rest.rfind(':');
    access.host = std::string(rest.substr(0, colon));
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
  }
  access.port = access.tls ? 443 : 80;
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), access.port);
    if (error != std::errc() || end != port.data() + port.size()) {
      return Refuse(access.source, "server \"" + access.url + "\" has a bad port");
    }
  }
  if (access.host.empty()) return Refuse(access.source, "server \"" + access.url + "\" has no host");
  return {};
}

Status ReadUser(const Json& user, Access& access) {
  for (const char* field : {"exec", "auth-provider"}) {
    if (user.contains(field)) {
      return Refuse(access.source, std::string("credentials from \"") + field +
                                       "\" are not supported here: use certificates or a token, or kubectl");
    }
  }
  Status status = ReadPem(user, "client-certificate", access.source, &access.certificate);
  if (status.ok()) status = ReadPem(user, "client-key", access.source, &access.key);
  if (!status.ok()) return status;
  access.token = Text(user, "token");
  if (const std::string file = Text(user, "tokenFile"); access.token.empty() && !file.empty()) {
    const std::string path = (fs::path(access.source).parent_path() / file).string();
    if (!ReadFile(path, &access.token)) return Refuse(access.source, "cannot read " + path + " (tokenFile)");
    while (!access.token.empty() && (access.token.back() == '\n' || access.token.back() == '\r')) {
      access.token.pop_back();
    }
  }
  return {};
}

}  // namespace

Result<Access> ParseKubeconfig(std::string_view text, const std::string& source, const std::string& context) {
  Result<Json> parsed = ParseYaml(text, nullptr);
  if (!parsed.ok()) return Refuse(source, parsed.status().message());
  const Json& config = *parsed;
  if (!config.is_object()) return Refuse(source, "it holds no configuration");
  Access access;
  access.source = source;
  const std::string name = context.empty() ? Text(config, "current-context") : context;
  if (name.empty()) return Refuse(source, "current-context is not set");
  const Json* chosen = Entry(config, "contexts", name, "context");
  if (chosen == nullptr) return Refuse(source, "there is no context \"" + name + "\"");
  access.name_space = Text(*chosen, "namespace");
  if (access.name_space.empty()) access.name_space = "default";

  const std::string cluster_name = Text(*chosen, "cluster");
  const Json* cluster = Entry(config, "clusters", cluster_name, "cluster");
  if (cluster == nullptr) return Refuse(source, "there is no cluster \"" + cluster_name + "\"");
  access.url = Text(*cluster, "server");
  if (access.url.empty()) return Refuse(source, "the cluster \"" + cluster_name + "\" has no server");
  Status status = ParseUrl(access);
  if (!status.ok()) return status;
  status = ReadPem(*cluster, "certificate-authority", source, &access.authority);
  if (!status.ok()) return status;
  access.server_name = Text(*cluster, "tls-server-name");
  const auto insecure = cluster->find("insecure-skip-tls-verify");
  access.insecure = insecure != cluster->end() && insecure->is_boolean() && insecure->get<bool>();

  const std::string user_name = Text(*chosen, "user");
  if (user_name.empty()) return access;
  const Json* user = Entry(config, "users", user_name, "user");
  if (user == nullptr) return Refuse(source, "there is no user \"" + user_name + "\"");
  status = ReadUser(*user, access);
  if (!status.ok()) return status;
  return access;
}

Result<Access> LoadAccess(const std::string& explicit_path, const std::string& data_dir, bool data_dir_given,
                          const std::string& context) {
  std::string path = explicit_path;
  std::string text;
  if (const char* list = std::getenv("KUBECONFIG"); path.empty() && !data_dir_given && list != nullptr && *list) {
    std::istringstream paths(list);
    for (std::string one; std::getline(paths, one, ':');) {
      if (one.empty()) continue;
      if (path.empty()) path = one;
      std::error_code error;
      if (!fs::exists(one, error)) continue;
      path = one;
      break;
    }
  }
  if (path.empty()) {
    path = data_dir + "/kubeconfig";
    if (!ReadFile(path, &text)) {
      return Status::Unavailable("no cluster in " + data_dir + ": cannot read " + path +
                                 " (start one with `wherry up`, or point --data-dir or $KUBECONFIG at one)");
    }
  } else if (!ReadFile(path, &text)) {
    return Status::Unavailable("cannot read the kubeconfig " + path);
  }
  return ParseKubeconfig(text, path, context);
}

}  // namespace wherry::cli
