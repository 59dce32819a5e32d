#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

// SQLite, owned by RAII. sqlite.cc is the only file of the project that includes <sqlite3.h>.
//
// Not thread-safe: one thread at a time uses a Database and everything made from it (the connection is opened without
// mutexes). Failures are thrown as Error, because in the middle of a transaction each of them means the same thing:
// roll back. The store catches them at its edges and turns them into a Status.

struct sqlite3;
struct sqlite3_stmt;
struct sqlite3_backup;

namespace wherry::sqlite {

// What kind of trouble it is, as far as a message or a decision depends on it.
enum class Fault {
  kDamaged,      // a page or the file's structure makes no sense
  kNotDatabase,  // the file is something else
  kLocked,       // another process or connection has it
  kReadOnly,
  kCannotOpen,
  kFull,   // no space left, or the page limit is reached
  kOther,  // I/O errors, out of memory, bugs
};

class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& message) : std::runtime_error(message), fault_(fault) {}
  Fault fault() const { return fault_; }

 private:
  Fault fault_;
};

class Database {
 public:
  // Opens for reading and writing, creating the file (mode 0600: it holds secrets) when it is absent. `path` is a file
  // name, never a URI; ":memory:" is a private database in memory. Throws Error.
  explicit Database(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs statements that return nothing of interest.
  void Exec(const std::string& sql);
  // The first column of the first row as text or number; "" or 0 when there is none. For pragmas and start-up: prepares
  // anew.
  std::string Text(const std::string& sql);
  int64_t Int(const std::string& sql);

  bool in_transaction() const;
  bool read_only() const;

  // By default closing folds the WAL into the file, which also changes a file that turned out not to be ours.
  void LeaveWalOnClose(bool leave);

  // Pages in the WAL after the last commit that are not yet in the database file.
  int wal_pages() const { return wal_pages_; }
  // Copies the WAL's pages into the database file without waiting for anybody (SQLite's PASSIVE). Afterwards the WAL is
  // written from its beginning again.
  void Checkpoint();

 private:
  friend class Statement;
  friend class Backup;
  [[noreturn]] void Throw(int code) const;

  sqlite3* db_ = nullptr;
  int wal_pages_ = 0;
};

class Rows;

// A statement prepared once and used many times.
class Statement {
 public:
  Statement(Database& db, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Binds ?1, ?2, … and runs to the end. Text and blobs are not copied.
  template <typename... Args>
  void Run(const Args&... args) {
    int at = 0;
    (Bind(++at, args, false), ...);
    Finish();
  }
  // Binds and returns the cursor over the result. At most one at a time per statement.
  template <typename... Args>
  Rows Query(const Args&... args);

 private:
  friend class Rows;
  void Bind(int at, int64_t value, bool copy);
  void Bind(int at, uint64_t value, bool copy) { Bind(at, static_cast<int64_t>(value), copy); }
  void Bind(int at, int value, bool copy) { Bind(at, static_cast<int64_t>(value), copy); }
  void Bind(int at, std::string_view text, bool copy);
  struct Blob {
    std::string_view bytes;
  };
  void Bind(int at, Blob blob, bool copy);
  bool Step();
  void Finish();
  void Reset();

  Database& db_;
  sqlite3_stmt* stmt_ = nullptr;

 public:
  // Marks bytes to be bound as a BLOB instead of TEXT.
  static Blob AsBlob(std::string_view bytes) { return Blob{bytes}; }
};

// A cursor; rewinds its statement when it goes, so that no read transaction stays open. Views returned by Text() and
// Blob() are valid until the next Next().
class Rows {
 public:
  explicit Rows(Statement& statement) : statement_(statement) {}
  ~Rows() { statement_.Reset(); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  bool Next() { return statement_.Step(); }
  bool Null(int column) const;
  int64_t Int(int column) const;
  std::string_view Text(int column) const;
  std::string_view Blob(int column) const;

 private:
  Statement& statement_;
};

template <typename... Args>
Rows Statement::Query(const Args&... args) {
  int at = 0;
  (Bind(++at, args, true), ...);
  return Rows(*this);
}

// BEGIN IMMEDIATE … COMMIT; rolls back when it goes without Commit(). Its three statements are prepared once.
class TransactionStatements {
 public:
  explicit TransactionStatements(Database& db)
      : begin_(db, "BEGIN IMMEDIATE"), commit_(db, "COMMIT"), rollback_(db, "ROLLBACK"), db_(db) {}

 private:
  friend class Transaction;
  Statement begin_;
  Statement commit_;
  Statement rollback_;
  Database& db_;
};

class Transaction {
 public:
  explicit Transaction(TransactionStatements& statements) : statements_(statements) { statements_.begin_.Run(); }
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void Commit() { statements_.commit_.Run(); }

 private:
  TransactionStatements& statements_;
};

// A copy of `from` into a new database, page by page (SQLite's online backup). Writes made through `from` between two
// steps are carried over, so the copy is the state at the moment it is finished.
class Backup {
 public:
  Backup(Database& from, Database& to);
  ~Backup();
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  // Copies up to `pages` more; true when everything is copied and committed.
  bool Step(int pages);

 private:
  Database& to_;
  sqlite3_backup* backup_ = nullptr;
};

}  // namespace wherry::sqlite
