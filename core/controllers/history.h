#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/registry/client.h"
#include "store/object.h"

namespace wherry {

// The history of a workload's template, kept as ControllerRevisions named `<owner>-<hash>` (DaemonSet, StatefulSet).

// What is looked at in a ControllerRevision: `object->view<RevisionView>()`.
struct RevisionView {
  explicit RevisionView(const Json& revision);
  int64_t revision = 0;
  std::string hash;  // label controller-revision-hash, "" = none
  JsonPtr data;
};

// The content of a revision: {"spec":{"template":{…,"$patch":"replace"}}}, which is also the strategic merge patch that
// restores it.
Json TemplatePatch(const Json& pod_template);

// The short name of a template: stable, safe in names and labels; another one for each collision count.
std::string TemplateHash(const Json& pod_template, std::optional<int64_t> collision_count);

// How the owned revisions stand to a template's content. Pure.
struct HistoryPlan {
  ObjectPtr current;                  // the one with that content; null = to be made
  int64_t revision = 1;               // the number the current one shall have
  std::vector<ObjectPtr> duplicates;  // others with the same content, to be folded into the current one
  std::vector<ObjectPtr> old;         // all else, oldest first
};
HistoryPlan PlanHistory(const Json& patch, const std::vector<ObjectPtr>& owned);

// Those of `old` (oldest first) that a limit has no room for; never one whose hash is alive.
std::vector<ObjectPtr> SurplusRevisions(const std::vector<ObjectPtr>& old, int64_t limit,
                                        const std::set<std::string>& live_hashes);

// The history brought up to date.
struct History {
  ObjectPtr current;
  std::string hash;  // of the current revision: what its pods carry
  std::vector<ObjectPtr> old;
};

// Makes, renumbers and folds revisions of `owner` (whose template is at spec.template) until one matches its template;
// `pods` are relabelled when their revision is folded. kAlreadyExists: a revision of that name has other content; raise
// the collision count.
Task<Result<History>> SyncHistory(Client& client, ObjectPtr owner, std::optional<int64_t> collision_count,
                                  std::vector<ObjectPtr> owned, std::vector<ObjectPtr> pods);

// Deletes surplus revisions.
Task<Status> TrimHistory(Client& client, std::vector<ObjectPtr> old, int64_t limit, std::set<std::string> live_hashes);

}  // namespace wherry
