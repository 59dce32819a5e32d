#include "store/revision_log.h"

#include <zlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

// ObjectKey::resource as Status speaks of it: "daemonsets.apps" is plural daemonsets of group apps.
struct PluralAndGroup {
  explicit PluralAndGroup(std::string_view resource)
      : plural(resource.substr(0, resource.find('.'))),
        group(plural.size() == resource.size() ? std::string_view() : resource.substr(plural.size() + 1)) {}
  std::string_view plural;
  std::string_view group;
};

Status NotFound(const ObjectKey& key) {
  const PluralAndGroup r(key.resource);
  return Status::NotFound(r.plural, r.group, key.name);
}

Status AlreadyExists(const ObjectKey& key) {
  const PluralAndGroup r(key.resource);
  return Status::AlreadyExists(r.plural, r.group, key.name);
}

Status Conflict(const ObjectKey& key, std::string_view why) {
  const PluralAndGroup r(key.resource);
  return Status::Conflict(r.plural, r.group, key.name, why);
}

[[noreturn]] void Damaged(const std::string& what) { throw sqlite::Error(sqlite::Fault::kDamaged, what); }

constexpr EventType kEventOf[] = {EventType::kAdded, EventType::kModified, EventType::kDeleted};

}  // namespace

int64_t Checksum(std::string_view body) {
  return static_cast<int64_t>(crc32_z(0, reinterpret_cast<const unsigned char*>(body.data()), body.size()));
}

void VerifyBody(uint64_t revision, int64_t crc, std::string_view body) {
  if (Checksum(body) != crc)
    Damaged("the object of revision " + std::to_string(revision) + " does not match its checksum");
}

RevisionLog::RevisionLog(std::unique_ptr<sqlite::Database> db)
    : db_(std::move(db)),
      transactions_(*db_),
      find_current_(*db_, "SELECT revision FROM current WHERE resource=?1 AND ns=?2 AND name=?3"),
      put_current_(*db_,
                   "INSERT INTO current (resource, ns, name, revision) VALUES (?1, ?2, ?3, ?4) "
                   "ON CONFLICT DO UPDATE SET revision=?4"),
      remove_current_(*db_, "DELETE FROM current WHERE resource=?1 AND ns=?2 AND name=?3"),
      append_(*db_,
              "INSERT INTO log (revision, resource, op, time, prev, crc, uid, ns, name, body) "
              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
      read_row_(*db_, "SELECT crc, uid, body FROM log WHERE revision=?1"),
      add_resource_(*db_, "INSERT INTO resource (id, name) VALUES (?1, ?2)") {
  compacted_ = static_cast<uint64_t>(db_->Int("SELECT value FROM meta WHERE key='compacted'"));
  last_ = std::max(compacted_, static_cast<uint64_t>(db_->Int("SELECT max(revision) FROM log")));
  sqlite::Statement names(*db_, "SELECT id, name FROM resource");
  for (sqlite::Rows rows = names.Query(); rows.Next();) resources_.emplace(rows.Text(1), rows.Int(0));
}

void RevisionLog::LoadAll(const std::function<void(ObjectPtr)>& fn) {
  sqlite::Statement select(
      *db_,
      "SELECT c.ns, c.name, c.revision, l.resource, l.ns, l.name, l.crc, l.uid, l.body FROM current c "
      "LEFT JOIN log l ON l.revision=c.revision WHERE c.resource=?1 ORDER BY c.ns, c.name");
  for (const auto& [resource, id] : resources_) {
    for (sqlite::Rows rows = select.Query(id); rows.Next();) {
      const auto revision = static_cast<uint64_t>(rows.Int(2));
      if (rows.Int(3) != id || rows.Text(0) != rows.Text(4) || rows.Text(1) != rows.Text(5)) {
        Damaged("revision " + std::to_string(revision) + " is not the object that the index says");
      }
      VerifyBody(revision, rows.Int(6), rows.Blob(8));
      fn(std::make_shared<const Object>(ObjectKey{resource, std::string(rows.Text(0)), std::string(rows.Text(1))},
                                        std::string(rows.Text(7)), revision, std::string(rows.Blob(8))));
    }
  }
}

int64_t RevisionLog::ResourceId(std::string_view resource) const {
  const auto it = resources_.find(resource);
  return it == resources_.end() ? 0 : it->second;
}

int64_t RevisionLog::Intern(std::string_view resource, std::vector<std::string>& added) {
  if (const int64_t id = ResourceId(resource)) return id;
  int64_t id = 1;
  for (const auto& [name, used] : resources_) id = std::max(id, used + 1);
  add_resource_.Run(id, resource);
  resources_.emplace(resource, id);
  added.emplace_back(resource);
  return id;
}

RevisionLog::Stored RevisionLog::ReadRow(uint64_t revision) {
  sqlite::Rows row = read_row_.Query(revision);
  if (!row.Next()) Damaged("revision " + std::to_string(revision) + " is missing");
  VerifyBody(revision, row.Int(0), row.Blob(2));
  return Stored{std::string(row.Text(1)), std::string(row.Blob(2))};
}

RevisionLog::Batch::Batch(RevisionLog& log, int64_t time)
    : log_(log), time_(time), last_before_(log.last_), transaction_(log.transactions_) {}

RevisionLog::Batch::~Batch() {
  if (committed_) return;
  log_.last_ = last_before_;
  for (const std::string& resource : new_resources_) log_.resources_.erase(resource);
}

void RevisionLog::Batch::Commit() {
  transaction_.Commit();
  committed_ = true;
}

Result<Change> RevisionLog::Batch::Apply(const Mutation& mutation) {
  const ObjectKey& key = mutation.key;
  const bool create = mutation.op == Mutation::Op::kCreate;
  const bool remove = mutation.op == Mutation::Op::kDelete;
  if (!mutation.draft && !remove)
    return Status::Internal("a create or update of " + key.ToString() + " came without a document");

  int64_t resource = log_.ResourceId(key.resource);
  uint64_t stored = 0;
  if (resource != 0) {
    sqlite::Rows row = log_.find_current_.Query(resource, key.ns, key.name);
    if (row.Next()) stored = static_cast<uint64_t>(row.Int(0));
  }
  if (create && stored != 0) return AlreadyExists(key);
  if (!create && stored == 0) return NotFound(key);

  // What is stored is only read when the mutation does not say enough by itself.
  Stored before;
  if (!create && (!mutation.expected_uid.empty() || mutation.uid.empty() || !mutation.draft))
    before = log_.ReadRow(stored);
  if (!create && !mutation.expected_uid.empty() && mutation.expected_uid != before.uid) {
    return Conflict(key, "Precondition failed: UID in precondition: " + mutation.expected_uid +
                             ", UID in object meta: " + before.uid);
  }
  if (!create && mutation.expected_revision && *mutation.expected_revision != stored) {
    return Conflict(key, "the object has been modified; please apply your changes to the latest version and try again");
  }

  if (resource == 0) resource = log_.Intern(key.resource, new_resources_);
  const uint64_t revision = log_.last_ + 1;
  std::string body;
  if (mutation.draft) {
    body = mutation.draft->Finish(revision);
  } else {
    const Json document = Json::parse(before.body, nullptr, false);
    if (!document.is_object() || !document.contains("metadata") || !document.at("metadata").is_object())
      Damaged("the object of revision " + std::to_string(stored) + " is not JSON");
    body = Draft(document).Finish(revision);
  }
  auto object = std::make_shared<const Object>(key, mutation.uid.empty() ? before.uid : mutation.uid, revision,
                                               std::move(body), mutation.draft ? mutation.draft->document() : nullptr);
  log_.append_.Run(revision, resource, static_cast<int>(mutation.op), time_, stored, Checksum(object->bytes()),
                   object->uid(), key.ns, key.name, sqlite::Statement::AsBlob(object->bytes()));
  if (remove) {
    log_.remove_current_.Run(resource, key.ns, key.name);
  } else {
    log_.put_current_.Run(resource, key.ns, key.name, revision);
  }
  log_.last_ = revision;
  return Change{kEventOf[static_cast<size_t>(mutation.op)], std::move(object)};
}

}  // namespace wherry
