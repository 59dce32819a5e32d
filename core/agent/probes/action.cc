#include "core/agent/probes/action.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"

namespace wherry {
namespace {

Status ReadPort(const Json& holder, const Json& container, int* out) {
  const Json& port = At(holder, "port");
  if (port.is_string()) {
    const std::string& name = port.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), *out);
    if (error != std::errc() || end != name.data() + name.size()) {
      *out = 0;
      for (const Json& named : ListAt(container, "ports")) {
        if (StringAt(named, "name") == name) *out = static_cast<int>(IntAt(named, "containerPort"));
      }
      if (*out == 0) return Status(Reason::kInvalid, "couldn't find port: port " + name + " not found");
    }
  } else {
    *out = static_cast<int>(IntAt(holder, "port"));
  }
  if (*out < 1 || *out > 65535) return Status(Reason::kInvalid, "invalid port number: " + std::to_string(*out));
  return {};
}

}  // namespace

Result<Action> ParseAction(const Json& handler, const Json& container) {
  Action action;
  Status port;
  if (Has(handler, "exec")) {
    action.kind = Action::Kind::kExec;
    for (const Json& word : ListAt(handler, "exec.command")) action.command.push_back(word.get<std::string>());
  } else if (const Json* http = FindPath(handler, "httpGet")) {
    action.kind = Action::Kind::kHttpGet;
    action.host = StringAt(*http, "host");
    action.https = StringAt(*http, "scheme") == "HTTPS";
    action.path = StringAt(*http, "path");
    if (!action.path.starts_with('/')) action.path.insert(0, "/");
    for (const Json& header : ListAt(*http, "httpHeaders"))
      action.headers.emplace_back(StringAt(header, "name"), StringAt(header, "value"));
    port = ReadPort(*http, container, &action.port);
  } else if (const Json* tcp = FindPath(handler, "tcpSocket")) {
    action.kind = Action::Kind::kTcpSocket;
    action.host = StringAt(*tcp, "host");
    port = ReadPort(*tcp, container, &action.port);
  } else if (const Json* grpc = FindPath(handler, "grpc")) {
    action.kind = Action::Kind::kGrpc;
    action.service = StringAt(*grpc, "service");
    port = ReadPort(*grpc, container, &action.port);
  } else if (Has(handler, "sleep")) {
    action.kind = Action::Kind::kSleep;
    action.sleep = std::chrono::seconds(IntAt(handler, "sleep.seconds"));
  }
  if (!port.ok()) return port;
  return action;
}

}  // namespace wherry
