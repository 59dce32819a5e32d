#include "store/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cassert>
#include <cstring>

namespace wherry::sqlite {
namespace {

Fault FaultOf(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
      return Fault::kDamaged;
    case SQLITE_NOTADB:
      return Fault::kNotDatabase;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Fault::kLocked;
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return Fault::kReadOnly;
    case SQLITE_CANTOPEN:
      return Fault::kCannotOpen;
    case SQLITE_FULL:
      return Fault::kFull;
    default:
      return Fault::kOther;
  }
}

// Creates the file with mode 0600, which the WAL then inherits. Only a file that is new is opened here: closing any
// descriptor of a database drops the POSIX locks that this process holds on it.
void CreatePrivate(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
}

}  // namespace

Database::Database(const std::string& path) {
  const bool memory = path == ":memory:";
  // A relative name is never mistaken for a URI ("file:x").
  const std::string name = memory || path.starts_with('/') ? path : "./" + path;
  if (!memory) CreatePrivate(name);
  const int code = sqlite3_open_v2(
      name.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  if (code != SQLITE_OK) {
    const int system = db_ ? sqlite3_system_errno(db_) : 0;
    std::string message = system ? std::strerror(system) : sqlite3_errstr(code);
    sqlite3_close_v2(db_);
    throw Error(FaultOf(code), message);
  }
  sqlite3_wal_hook(
      db_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Database*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
}

Database::~Database() { sqlite3_close_v2(db_); }

void Database::Throw(int code) const {
  std::string message = sqlite3_errmsg(db_);
  const Fault fault = FaultOf(code);
  // "disk I/O error" alone helps nobody.
  if ((code & 0xff) == SQLITE_IOERR || fault == Fault::kCannotOpen) {
    if (const int system = sqlite3_system_errno(db_)) message.append(": ").append(std::strerror(system));
  }
  throw Error(fault, message);
}

void Database::Exec(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) Throw(code);
}

std::string Database::Text(const std::string& sql) {
  Statement statement(*this, sql);
  Rows rows = statement.Query();
  return rows.Next() ? std::string(rows.Text(0)) : std::string();
}

int64_t Database::Int(const std::string& sql) {
  Statement statement(*this, sql);
  Rows rows = statement.Query();
  return rows.Next() ? rows.Int(0) : 0;
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }
bool Database::read_only() const { return sqlite3_db_readonly(db_, "main") == 1; }

void Database::LeaveWalOnClose(bool leave) {
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave ? 1 : 0, nullptr);
}

void Database::Checkpoint() {
  int in_wal = 0;
  int copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &copied);
  if (code != SQLITE_OK) Throw(code);
  wal_pages_ = in_wal < 0 ? 0 : in_wal - copied;
}

Statement::Statement(Database& db, std::string_view sql) : db_(db) {
  const int code =
      sqlite3_prepare_v3(db.db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &stmt_, nullptr);
  if (code != SQLITE_OK) db.Throw(code);
}

Statement::~Statement() { sqlite3_finalize(stmt_); }

void Statement::Bind(int at, int64_t value, bool) {
  const int code = sqlite3_bind_int64(stmt_, at, value);
  if (code != SQLITE_OK) db_.Throw(code);
}

void Statement::Bind(int at, std::string_view text, bool copy) {
  // An empty view may have a null pointer, which would bind NULL.
  const int code = sqlite3_bind_text64(stmt_, at, text.empty() ? "" : text.data(), text.size(),
                                       copy ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) db_.Throw(code);
}

void Statement::Bind(int at, Blob blob, bool copy) {
  const int code = sqlite3_bind_blob64(stmt_, at, blob.bytes.empty() ? "" : blob.bytes.data(), blob.bytes.size(),
                                       copy ? SQLITE_TRANSIENT : SQLITE_STATIC);
  if (code != SQLITE_OK) db_.Throw(code);
}

bool Statement::Step() {
  const int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  try {
    db_.Throw(code);  // before the reset, which would overwrite the message
  } catch (...) {
    Reset();
    throw;
  }
}

void Statement::Finish() {
  while (Step()) {
  }
  Reset();
}

void Statement::Reset() { sqlite3_reset(stmt_); }

bool Rows::Null(int column) const { return sqlite3_column_type(statement_.stmt_, column) == SQLITE_NULL; }
int64_t Rows::Int(int column) const { return sqlite3_column_int64(statement_.stmt_, column); }

std::string_view Rows::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.stmt_, column));
  return text ? std::string_view(text, static_cast<size_t>(sqlite3_column_bytes(statement_.stmt_, column)))
              : std::string_view();
}

std::string_view Rows::Blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.stmt_, column));
  return bytes ? std::string_view(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_.stmt_, column)))
               : std::string_view();
}

Transaction::~Transaction() {
  // SQLite has rolled back by itself after some errors (disk full, I/O, out of memory).
  if (!statements_.db_.in_transaction()) return;
  try {
    statements_.rollback_.Run();
  } catch (const Error&) {  // nothing is left to undo; the next BEGIN tells if the connection is unusable
  }
}

Backup::Backup(Database& from, Database& to) : to_(to), backup_(sqlite3_backup_init(to.db_, "main", from.db_, "main")) {
  if (!backup_) to.Throw(sqlite3_errcode(to.db_));
}

Backup::~Backup() {
  if (backup_) sqlite3_backup_finish(backup_);
}

bool Backup::Step(int pages) {
  const int code = sqlite3_backup_step(backup_, pages);
  if (code == SQLITE_OK) return false;
  const int result = sqlite3_backup_finish(backup_);
  backup_ = nullptr;
  if (code == SQLITE_DONE && result == SQLITE_OK) return true;
  to_.Throw(result != SQLITE_OK ? result : code);
}

}  // namespace wherry::sqlite
