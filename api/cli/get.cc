// `wherry get`: tables as the server prints them, or documents.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/cli/commands.h"
#include "api/cli/common.h"
#include "api/cli/discovery.h"
#include "api/cli/printer.h"

namespace wherry {
namespace cli {
namespace {

constexpr const char* kTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
constexpr const char* kPage = "500";

struct GetFlags {
  CommonFlags common;
  std::vector<std::string> arguments;
  bool all_namespaces = false;
  std::string selector, field_selector, output;
  bool watch = false;
  bool no_headers = false;
};

class Get {
 public:
  Get(const GetFlags& flags, Session& session)
      : flags_(flags), session_(session), name_space_(flags.all_namespaces ? "" : flags.common.NamespaceIn(session)) {}

  int Run();

 private:
  bool documents() const { return flags_.output == "json" || flags_.output == "yaml" || flags_.output == "name"; }
  // The whole collection, page by page, into one document: the first page with the others' entries added.
  Result<Json> List(const ResourceType& type, const std::string& accept, const char* entries,
                    const std::string& field_selector);
  // What a selection names: a Table each, or objects.
  void ShowTables(const std::vector<Selection>& selections);
  void ShowTable(const Selection& selection, bool prefixed);
  void ShowDocuments(const std::vector<Selection>& selections);
  int Watch(const Selection& selection);
  void PrintTable(const ResourceType& type, const Json& table, bool prefixed);
  void PrintDocument(const ResourceType& type, const Json& object, bool separate);
  void Report(const Status& status) { exit_code_ = Fail(status); }

  const GetFlags& flags_;
  Session& session_;
  const std::string name_space_;
  int exit_code_ = 0;
  bool printed_ = false;
  // Of a watch: what the first table said, for the rows that follow.
  Json columns_;
  std::vector<size_t> widths_;
};

Result<Json> Get::List(const ResourceType& type, const std::string& accept, const char* entries,
                       const std::string& field_selector) {
  Json out;
  std::string next;
  do {
    Result<Json> page = session_.Get(Target(type.Path(name_space_), {{"labelSelector", flags_.selector},
                                                                     {"fieldSelector", field_selector},
                                                                     {"limit", kPage},
                                                                     {"continue", next}}),
                                     accept);
    if (!page.ok()) return page.status();
    next = page->value("metadata", Json::object()).value("continue", "");
    if (out.is_null()) {
      out = std::move(*page);
      continue;
    }
    Json& more = (*page)[entries];
    if (!more.is_array()) continue;
    for (Json& entry : more) out[entries].push_back(std::move(entry));
  } while (!next.empty());
  return out;
}

void Get::PrintTable(const ResourceType& type, const Json& table, bool prefixed) {
  TableStyle style;
  style.wide = flags_.output == "wide";
  style.with_namespace = flags_.all_namespaces && type.namespaced;
  if (prefixed) style.prefix = type.qualified_singular() + "/";
  const auto columns = table.find("columnDefinitions");
  const bool first = columns_.is_null();
  if (columns != table.end() && columns->is_array() && !columns->empty()) columns_ = *columns;
  const auto cells = TableCells(table, columns_, style, first && !flags_.no_headers);
  std::fputs(AlignColumns(cells, &widths_).c_str(), stdout);
  std::fflush(stdout);
}

void Get::ShowTable(const Selection& selection, bool prefixed) {
  Json table;
  if (selection.names.empty()) {
    Result<Json> list = List(selection.type, kTable, "rows", flags_.field_selector);
    if (!list.ok()) return Report(list.status());
    table = std::move(*list);
  }
  for (const std::string& name : selection.names) {
    Result<Json> one = session_.Get(selection.type.Path(name_space_, name), kTable);
    if (!one.ok()) {
      Report(one.status());
    } else if (table.is_null()) {
      table = std::move(*one);
    } else {
      for (const Json& row : one->value("rows", Json::array())) table["rows"].push_back(row);
    }
  }
  if (table.is_null() || table.value("rows", Json::array()).empty()) return;
  if (printed_) std::fputs("\n", stdout);
  printed_ = true;
  columns_ = nullptr;
  widths_.clear();
  PrintTable(selection.type, table, prefixed);
}

void Get::ShowTables(const std::vector<Selection>& selections) {
  for (const Selection& selection : selections) ShowTable(selection, selections.size() > 1);
  if (printed_ || exit_code_ != 0) return;
  const bool scoped = selections.size() > 1 || selections[0].type.namespaced;
  if (scoped && !name_space_.empty()) {
    std::fprintf(stderr, "No resources found in %s namespace.\n", name_space_.c_str());
  } else {
    std::fputs("No resources found\n", stderr);
  }
}

void Get::PrintDocument(const ResourceType& type, const Json& object, bool separate) {
  std::string text;
  if (flags_.output == "name") {
    const std::string name = object.value("metadata", Json::object()).value("name", "");
    text = type.qualified_singular() + "/" + name + "\n";
  } else if (flags_.output == "yaml") {
    text = (separate && printed_ ? "---\n" : "") + YamlText(object);
  } else {
    text = JsonText(object);
  }
  printed_ = true;
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void Get::ShowDocuments(const std::vector<Selection>& selections) {
  std::vector<std::pair<const ResourceType*, Json>> objects;
  for (const Selection& selection : selections) {
    if (selection.names.empty()) {
      Result<Json> list = List(selection.type, "application/json", "items", flags_.field_selector);
      if (!list.ok()) {
        Report(list.status());
        continue;
      }
      for (Json& item : (*list)["items"]) {
        // The items of a typed list do not say what they are.
        item["apiVersion"] = selection.type.api_version();
        item["kind"] = selection.type.kind;
        objects.emplace_back(&selection.type, std::move(item));
      }
    }
    for (const std::string& name : selection.names) {
      Result<Json> one = session_.Get(selection.type.Path(name_space_, name));
      if (one.ok()) {
        objects.emplace_back(&selection.type, std::move(*one));
      } else {
        Report(one.status());
      }
    }
  }
  if (flags_.output == "name") {
    for (const auto& [type, object] : objects) PrintDocument(*type, object, false);
    return;
  }
  const bool single = selections.size() == 1 && selections[0].names.size() == 1;
  if (single) {
    if (!objects.empty()) PrintDocument(*objects[0].first, objects[0].second, false);
    return;
  }
  Json list = {
      {"apiVersion", "v1"}, {"kind", "List"}, {"items", Json::array()}, {"metadata", {{"resourceVersion", ""}}}};
  for (auto& [type, object] : objects) list["items"].push_back(std::move(object));
  PrintDocument(selections[0].type, list, false);
}

// The list, then each change. A stream that ends is taken up where it ended; when the server no longer knows that
// place, from a new list.
int Get::Watch(const Selection& selection) {
  const ResourceType& type = selection.type;
  std::string field_selector = flags_.field_selector;
  if (selection.names.size() == 1) {
    if (!field_selector.empty()) field_selector += ",";
    field_selector += "metadata.name=" + selection.names[0];
  }
  const std::string accept = documents() ? "application/json" : kTable;
  std::string version;
  for (;;) {
    if (version.empty()) {
      Result<Json> list = List(type, accept, documents() ? "items" : "rows", field_selector);
      if (!list.ok()) return Fail(list.status());
      version = list->value("metadata", Json::object()).value("resourceVersion", "");
      if (!documents()) {
        if (!list->value("rows", Json::array()).empty()) PrintTable(type, *list, false);
      } else {
        for (Json& item : (*list)["items"]) {
          item["apiVersion"] = type.api_version();
          item["kind"] = type.kind;
          PrintDocument(type, item, true);
        }
      }
    }
    Status refused;
    const std::string target = Target(type.Path(name_space_), {{"watch", "true"},
                                                               {"resourceVersion", version},
                                                               {"allowWatchBookmarks", "true"},
                                                               {"labelSelector", flags_.selector},
                                                               {"fieldSelector", field_selector}});
    const Status status =
        session_.StreamLines(target, accept, std::chrono::milliseconds(0), [&](const std::string& line) {
          const Json event = Json::parse(line, nullptr, false);
          const std::string what = event.is_object() ? event.value("type", "") : "";
          const Json object = event.is_object() ? event.value("object", Json::object()) : Json::object();
          if (what == "ERROR" || what.empty()) {
            refused = Status(object.value("code", 0) == 410 ? Reason::kExpired : Reason::kInternalError,
                             object.value("message", "the watch broke off"));
            return Session::Next::kStop;
          }
          const std::string seen = object.value("metadata", Json::object()).value("resourceVersion", "");
          if (!seen.empty()) version = seen;
          if (what == "BOOKMARK") return Session::Next::kMore;
          if (documents()) {
            PrintDocument(type, object, true);
          } else {
            PrintTable(type, object, false);
          }
          return Session::Next::kMore;
        });
    if (!status.ok()) return Fail(status);
    if (refused.reason() == Reason::kExpired) {
      version.clear();
    } else if (!refused.ok()) {
      return Fail(refused);
    }
  }
}

int Get::Run() {
  Result<Discovery> discovery = Discovery::Load(session_);
  if (!discovery.ok()) return Fail(discovery.status());
  Result<std::vector<Selection>> selections = ResolveArguments(*discovery, flags_.arguments);
  if (!selections.ok()) return Fail(selections.status());
  std::erase_if(*selections, [](const Selection& selection) { return !selection.type.Can("get"); });
  if (selections->empty()) return Fail("the server cannot show objects of that type");
  bool named = false;
  for (const Selection& selection : *selections) named = named || !selection.names.empty();
  if (named && (!flags_.selector.empty() || !flags_.field_selector.empty())) {
    return Fail("names and selectors cannot be used together");
  }
  for (const Selection& selection : *selections) {
    if (flags_.all_namespaces && selection.type.namespaced && !selection.names.empty()) {
      return Fail("an object cannot be got by name across all namespaces: name its namespace with -n");
    }
  }
  if (flags_.watch) {
    if (selections->size() != 1 || (*selections)[0].names.size() > 1) {
      return Fail("only one type, or one object, can be watched at a time");
    }
    return Watch((*selections)[0]);
  }
  if (documents()) {
    ShowDocuments(*selections);
  } else {
    ShowTables(*selections);
  }
  return exit_code_;
}

int RunGet(const GetFlags& flags) {
  Result<std::unique_ptr<Session>> session = flags.common.Connect();
  if (!session.ok()) return Fail(session.status());
  return Get(flags, **session).Run();
}

}  // namespace
}  // namespace cli

void AddGetCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<cli::GetFlags>();
  CLI::App* get = app.add_subcommand("get", "Show objects of the cluster");
  get->add_option("TYPE", flags->arguments, "TYPE[,TYPE…] [NAME…], or TYPE/NAME…; `all` for the usual ones")
      ->required();
  cli::AddCommonFlags(*get, &flags->common);
  get->add_flag("-A,--all-namespaces", flags->all_namespaces, "look in every namespace");
  get->add_option("-l,--selector", flags->selector, "labels that objects must have, such as app=web");
  get->add_option("--field-selector", flags->field_selector,
                  "fields that objects must have, such as status.phase=Running");
  get->add_option("-o,--output", flags->output, "wide, json, yaml or name")
      ->check(CLI::IsMember({"wide", "json", "yaml", "name"}));
  get->add_flag("-w,--watch", flags->watch, "go on with each change, until interrupted");
  get->add_flag("--no-headers", flags->no_headers, "leave out the line of column names");
  get->callback([flags, exit_code] { *exit_code = cli::RunGet(*flags); });
}

}  // namespace wherry
