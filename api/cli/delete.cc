// `wherry delete`: takes objects away, and waits until they are gone.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/cli/commands.h"
#include "api/cli/common.h"
#include "api/cli/discovery.h"
#include "api/cli/placement.h"
#include "api/manifests/manifest.h"

namespace wherry {
namespace cli {
namespace {

constexpr std::chrono::milliseconds kPoll(100);

struct DeleteFlags {
  CommonFlags common;
  std::vector<std::string> arguments, files;
  bool recursive = false;
  std::string selector;
  bool all = false, all_namespaces = false, now = false, wait = true, ignore_not_found = false;
  int64_t grace_period = -1;
  std::string cascade = "background";
  std::string timeout = "0";
};

// An object to delete; afterwards its uid, by which it is told from a successor of the same name.
struct Doomed {
  ResourceType type;
  std::string name_space, name;
  std::string uid;
  std::string title() const { return type.qualified_singular() + " \"" + name + "\""; }
};

class Delete {
 public:
  Delete(const DeleteFlags& flags, Session& session) : flags_(flags), session_(session) {}
  int Run(std::chrono::milliseconds timeout);

 private:
  void FromFiles(std::vector<Doomed>* out);
  Status FromArguments(std::vector<Doomed>* out);
  Status Request(Doomed* doomed);
  int Wait(const std::vector<Doomed>& doomed, std::chrono::milliseconds timeout);

  const DeleteFlags& flags_;
  Session& session_;
  int exit_code_ = 0;
};

void Delete::FromFiles(std::vector<Doomed>* out) {
  const Manifests manifests = LoadManifests(flags_.files, flags_.recursive);
  for (const std::string& error : manifests.errors) exit_code_ = Fail(error);
  Result<Placer> placer = Placer::Make(session_, flags_.common);
  if (!placer.ok()) {
    exit_code_ = Fail(placer.status());
    return;
  }
  for (const Manifest& manifest : manifests.objects) {
    Result<Placement> place = placer->Place(*manifest.object);
    if (!place.ok()) {
      exit_code_ = Fail(manifest.where + ": " + place.status().message());
      continue;
    }
    out->push_back({place->type, place->name_space, place->name, ""});
  }
}

Status Delete::FromArguments(std::vector<Doomed>* out) {
  Result<Discovery> discovery = Discovery::Load(session_);
  if (!discovery.ok()) return discovery.status();
  Result<std::vector<Selection>> selections = ResolveArguments(*discovery, flags_.arguments);
  if (!selections.ok()) return selections.status();
  const std::string name_space = flags_.all_namespaces ? "" : flags_.common.NamespaceIn(session_);
  const bool many = flags_.all || !flags_.selector.empty();
  for (const Selection& selection : *selections) {
    if (many && !selection.names.empty()) return Status::BadRequest("names cannot be given with --all or -l");
    if (!many && selection.names.empty()) {
      return Status::BadRequest("name the " + selection.type.plural + " to delete, or choose them with -l or --all");
    }
    if (flags_.all_namespaces && !many) return Status::BadRequest("-A goes with --all or -l only");
    for (const std::string& name : selection.names) {
      out->push_back({selection.type, selection.type.namespaced ? name_space : "", name, ""});
    }
    if (!many || !selection.type.Can("delete") || !selection.type.Can("list")) continue;
    Result<Json> list = session_.Get(Target(selection.type.Path(name_space), {{"labelSelector", flags_.selector}}));
    if (!list.ok()) return list.status();
    for (const Json& item : list->value("items", Json::array())) {
      const Json metadata = item.value("metadata", Json::object());
      out->push_back({selection.type, metadata.value("namespace", ""), metadata.value("name", ""), ""});
    }
  }
  return {};
}

Status Delete::Request(Doomed* doomed) {
  static const std::map<std::string, std::string> kPolicies = {
      {"background", "Background"}, {"foreground", "Foreground"}, {"orphan", "Orphan"}};
  Json options = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", kPolicies.at(flags_.cascade)}};
  if (flags_.now) options["gracePeriodSeconds"] = 1;
  if (flags_.grace_period >= 0) options["gracePeriodSeconds"] = flags_.grace_period;
  const Result<Json> answer =
      session_.Send("DELETE", doomed->type.Path(doomed->name_space, doomed->name), "application/json", options);
  if (!answer.ok()) return answer.status();
  // Either a Status with details, or the object, which is still there or was.
  doomed->uid = answer->value("kind", "") == "Status" ? answer->value("details", Json::object()).value("uid", "")
                                                      : answer->value("metadata", Json::object()).value("uid", "");
  return {};
}

int Delete::Wait(const std::vector<Doomed>& doomed, std::chrono::milliseconds timeout) {
  ProgressLine progress;
  for (size_t i = 0; i < doomed.size();) {
    const Doomed& one = doomed[i];
    const Result<Json> object = session_.Get(one.type.Path(one.name_space, one.name));
    if (!object.ok() && object.status().reason() != Reason::kNotFound) {
      progress.Clear();
      return Fail("waiting for " + one.title() + " to go: " + object.status().message());
    }
    const Json metadata = object.ok() ? object->value("metadata", Json::object()) : Json();
    if (metadata.is_null() || (!one.uid.empty() && metadata.value("uid", "") != one.uid)) {
      ++i;
      continue;
    }
    if (timeout.count() > 0 && progress.elapsed() >= timeout) {
      progress.Clear();
      return Fail(one.title() + " is still there (" + std::to_string(doomed.size() - i) + " of " +
                  std::to_string(doomed.size()) + " objects to go)");
    }
    std::string text = "waiting for " + one.title() + " to go";
    if (doomed.size() > 1) text += ", " + std::to_string(i) + " of " + std::to_string(doomed.size()) + " gone";
    if (const Json finalizers = metadata.value("finalizers", Json::array()); !finalizers.empty()) {
      text += "; held by " + finalizers[0].dump();
    }
    progress.Show(text);
    session_.Sleep(kPoll);
  }
  return 0;
}

int Delete::Run(std::chrono::milliseconds timeout) {
  std::vector<Doomed> doomed;
  if (!flags_.files.empty()) {
    FromFiles(&doomed);
  } else {
    const Status status = FromArguments(&doomed);
    if (!status.ok()) return Fail(status);
  }
  if (doomed.empty() && exit_code_ == 0) {
    std::fputs("No resources found\n", stderr);
    return 0;
  }
  std::vector<Doomed> going;
  for (Doomed& one : doomed) {
    const Status status = Request(&one);
    if (status.reason() == Reason::kNotFound && flags_.ignore_not_found) continue;
    if (!status.ok()) {
      exit_code_ = Fail(status);
      if (status.reason() == Reason::kServiceUnavailable) return exit_code_;
      continue;
    }
    std::printf("%s deleted\n", one.title().c_str());
    std::fflush(stdout);
    going.push_back(std::move(one));
  }
  if (flags_.wait) {
    const int waited = Wait(going, timeout);
    if (exit_code_ == 0) exit_code_ = waited;
  }
  return exit_code_;
}

int RunDelete(const DeleteFlags& flags) {
  std::chrono::milliseconds timeout;
  if (!ParseDuration(flags.timeout, &timeout))
    return Fail("--timeout: \"" + flags.timeout + "\" is not a duration such as 30s");
  if (flags.files.empty() == flags.arguments.empty()) return Fail("say what to delete: either -f FILE, or TYPE NAME…");
  Result<std::unique_ptr<Session>> session = flags.common.Connect();
  if (!session.ok()) return Fail(session.status());
  return Delete(flags, **session).Run(timeout);
}

}  // namespace
}  // namespace cli

void AddDeleteCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<cli::DeleteFlags>();
  CLI::App* command = app.add_subcommand("delete", "Delete objects, by file or by type and name");
  command->add_option("TYPE", flags->arguments, "TYPE NAME…, or TYPE/NAME…");
  command->add_option("-f,--filename", flags->files, "the objects of a file, a directory, or - for standard input")
      ->allow_extra_args(false);
  command->add_flag("-R,--recursive", flags->recursive, "also the directories in a directory");
  cli::AddCommonFlags(*command, &flags->common);
  command->add_option("-l,--selector", flags->selector, "the objects with these labels");
  command->add_flag("--all", flags->all, "every object of the type in the namespace");
  command->add_flag("-A,--all-namespaces", flags->all_namespaces, "with -l or --all: in every namespace");
  CLI::Option* grace =
      command->add_option("--grace-period", flags->grace_period, "seconds that pods are given to end; 0 = none");
  command->add_flag("--now", flags->now, "end pods within a second")->excludes(grace);
  command->add_flag("--wait,!--no-wait", flags->wait, "wait until the objects are gone (the default)");
  command->add_option("--timeout", flags->timeout, "how long to wait; 0 = without limit")->capture_default_str();
  command->add_flag("--ignore-not-found", flags->ignore_not_found, "objects that are not there are no error");
  command
      ->add_option("--cascade", flags->cascade, "what becomes of what the objects own: background, foreground, orphan")
      ->capture_default_str()
      ->check(CLI::IsMember({"background", "foreground", "orphan"}));
  command->callback([flags, exit_code] { *exit_code = cli::RunDelete(*flags); });
}

}  // namespace wherry
