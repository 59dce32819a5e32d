#include "store/schema.h"

#include <array>

namespace wherry {
namespace {

// Every body is written once, to `log`, whose revision is the rowid: appending is writing at the end of the file's
// tree. `current` says which row of the log is the state of a key now. `prev` is the revision of the state before (0:
// none), so that the states an event replaces can be found, and dropped, without an index. docs/store.md explains the
// rest.
void CreateSchema(sqlite::Database& db) {
  db.Exec(R"sql(
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('compacted', 0);
    CREATE TABLE resource (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE log (
      revision INTEGER PRIMARY KEY,
      resource INTEGER NOT NULL,
      op       INTEGER NOT NULL,
      time     INTEGER NOT NULL,
      prev     INTEGER NOT NULL,
      crc      INTEGER NOT NULL,
      uid      TEXT NOT NULL,
      ns       TEXT NOT NULL,
      name     TEXT NOT NULL,
      body     BLOB NOT NULL) STRICT;
    CREATE INDEX log_resource ON log (resource);
    CREATE TABLE current (
      resource INTEGER NOT NULL,
      ns       TEXT NOT NULL,
      name     TEXT NOT NULL,
      revision INTEGER NOT NULL,
      PRIMARY KEY (resource, ns, name)) STRICT, WITHOUT ROWID;
  )sql");
}

constexpr std::array<Migration, 1> kMigrations = {CreateSchema};

// Settings of the connection that must stand before the file is first read.
void Prepare(sqlite::Database& db) {
  // Held from the first access until close, in the file itself, so that the kernel drops it with the process. WAL then
  // also needs no shared memory.
  db.Text("PRAGMA locking_mode=EXCLUSIVE");
  // Lets one of two servers that create the same file at the same moment win.
  db.Exec("PRAGMA busy_timeout=200");
  db.Exec("PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON");
}

Status NotOurs(const std::string& path, const std::string& why) {
  return Status::Internal(path + " is not a wherry database (" + why +
                          "): choose another data directory, or move the file away");
}

// Checks whose file it is and brings it to the newest format, in one transaction.
Status Migrate(const std::string& path, sqlite::Database& db, std::span<const Migration> migrations) {
  sqlite::TransactionStatements statements(db);
  sqlite::Transaction transaction(statements);
  const int64_t application = db.Int("PRAGMA application_id");
  const int64_t version = db.Int("PRAGMA user_version");
  const bool empty = db.Int("SELECT count(*) FROM sqlite_master") == 0;
  if (application != kApplicationId && !(application == 0 && version == 0 && empty)) {
    return NotOurs(path, "it belongs to another program");
  }
  const auto newest = static_cast<int64_t>(migrations.size());
  if (version < 0 || version > newest) {
    return Status::Internal(path + " was written by a newer wherry (schema version " + std::to_string(version) +
                            ", this program knows " + std::to_string(newest) +
                            "): start the newer program, or restore a snapshot taken with this one");
  }
  if (version == newest) return Status();
  for (int64_t v = version; v < newest; ++v) migrations[static_cast<size_t>(v)](db);
  db.Exec("PRAGMA application_id=" + std::to_string(kApplicationId));
  db.Exec("PRAGMA user_version=" + std::to_string(newest));
  transaction.Commit();
  return Status();
}

Status ExplainOpenError(const std::string& path, const sqlite::Error& error) {
  switch (error.fault()) {
    case sqlite::Fault::kNotDatabase:
      return NotOurs(path, error.what());
    case sqlite::Fault::kLocked:
      return Status::Internal(
          path + " is in use by another wherry server: stop that server first, or choose another data directory");
    case sqlite::Fault::kReadOnly:
      return Status::Internal(path + " is not writable (" + error.what() +
                              "): give this user write permission, or choose another data directory");
    case sqlite::Fault::kCannotOpen:
      return Status::Internal("cannot open the database " + path + " (" + error.what() +
                              "): the data directory must exist and be writable by this user");
    default:
      return ExplainError(path, error);
  }
}

}  // namespace

std::span<const Migration> Migrations() { return kMigrations; }

std::string SynchronousPragma(Durability durability) {
  switch (durability) {
    case Durability::kFull:
      return "PRAGMA synchronous=FULL";
    case Durability::kNormal:
      return "PRAGMA synchronous=NORMAL";
    case Durability::kMemory:
      break;
  }
  return "PRAGMA synchronous=OFF";
}

Status ExplainError(const std::string& path, const sqlite::Error& error) {
  switch (error.fault()) {
    case sqlite::Fault::kDamaged:
    case sqlite::Fault::kNotDatabase:
      return Status::Internal("the database " + path + " is damaged (" + error.what() +
                              "): restore a snapshot, or move the file away to start empty");
    case sqlite::Fault::kFull:
      return Status::Internal("cannot write the database " + path + " (" + error.what() + "): make room on the disk");
    default:
      return Status::Internal("the database " + path + " failed: " + error.what());
  }
}

Result<std::unique_ptr<sqlite::Database>> OpenDatabase(const std::string& path, Durability durability,
                                                       std::span<const Migration> migrations) {
  if (path.empty()) return Status::Internal("the store needs a path for its database");
  try {
    auto db = std::make_unique<sqlite::Database>(path);
    if (db->read_only()) throw sqlite::Error(sqlite::Fault::kReadOnly, "it can only be opened for reading");
    db->LeaveWalOnClose(true);
    Prepare(*db);
    // A new file gets its format in rollback mode, so that a crash leaves either nothing or a file that is clearly
    // ours.
    if (Status status = Migrate(path, *db, migrations); !status.ok()) return status;
    db->LeaveWalOnClose(false);
    const std::string mode = db->Text("PRAGMA journal_mode=WAL");
    if (path != ":memory:" && mode != "wal") {
      return Status::Internal("the database " + path + " cannot use a write-ahead log (journal mode is " + mode +
                              "): put the data directory on a local file system");
    }
    // After a batch of unusual size the WAL file shrinks again.
    db->Exec("PRAGMA journal_size_limit=16777216");
    db->Exec(SynchronousPragma(durability));
    return db;
  } catch (const sqlite::Error& error) {
    return ExplainOpenError(path, error);
  }
}

}  // namespace wherry
