#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/kinds/selector.h"
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

// What pods carry in their label controller-revision-hash: the revision's hash (DaemonSet) or its name (StatefulSet).
enum class RevisionLabel : uint8_t { kHash, kName };
std::string LabelOf(const Object& revision, RevisionLabel label);

// Those of `old` (oldest first) that a limit has no room for; never one whose label is alive.
std::vector<ObjectPtr> SurplusRevisions(const std::vector<ObjectPtr>& old, int64_t limit,
                                        const std::set<std::string>& live_labels,
                                        RevisionLabel label = RevisionLabel::kHash);

// The history brought up to date.
struct History {
  ObjectPtr current;
  std::string label;  // of the current revision: what its pods carry
  std::vector<ObjectPtr> old;
};

// Claims the revisions that `selector` and ownership give to `owner` (whose template is at spec.template), then makes,
// renumbers and folds them until one matches the template; `pods` are relabelled when their revision is folded. When
// other content has taken the short name, status.collisionCount is raised.
Task<Result<History>> BringHistoryUpToDate(Client& client, ObjectPtr owner, LabelSelector selector,
                                           std::vector<ObjectPtr> pods, RevisionLabel label);

// Deletes surplus revisions.
Task<Status> TrimHistory(Client& client, std::vector<ObjectPtr> old, int64_t limit, std::set<std::string> live_labels,
                         RevisionLabel label = RevisionLabel::kHash);

}  // namespace wherry
