#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/status.h"

namespace wherry::cli {

// How to reach a cluster and as whom: one context of a kubeconfig, with every file it names read. All PEM.
struct Access {
  std::string source;  // the kubeconfig's path, for messages
  std::string url;     // "https://127.0.0.1:6443", without a slash at its end
  bool tls = true;
  std::string host;
  uint16_t port = 0;
  std::string base_path;  // "" or "/prefix"
  std::string authority;  // "" = the system's
  std::string server_name;
  bool insecure = false;
  std::string certificate, key;
  std::string token;
  std::string name_space;  // "default" when the context names none
};

// The context `context` ("" = current-context) of a kubeconfig's text. Relative file names are relative to the
// directory of `source`. Errors name `source` and the field.
Result<Access> ParseKubeconfig(std::string_view text, const std::string& source, const std::string& context = {});

// Reads the kubeconfig at `explicit_path`; when that is "", the first existing file of $KUBECONFIG, unless
// `data_dir_given`; else <data_dir>/kubeconfig.
Result<Access> LoadAccess(const std::string& explicit_path, const std::string& data_dir, bool data_dir_given,
                          const std::string& context = {});

}  // namespace wherry::cli
