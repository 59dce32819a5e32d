#pragma once

#include <memory>
#include <span>
#include <string>

#include "store/object_store.h"
#include "store/sqlite.h"
#include "store/status.h"

namespace wherry {

// One step of the file format: brings a database from the version of its index to the next. Runs inside the transaction
// that also records the new version; throws sqlite::Error.
using Migration = void (*)(sqlite::Database& db);

// The format this program writes: kMigrations.size() is its version, an empty file is version 0.
std::span<const Migration> Migrations();

// "WHRY", in the header of every database of ours.
inline constexpr int64_t kApplicationId = 0x57485259;

// Opens or creates the database file at `path`, alone: no other process or connection can use it until it is closed,
// and a crash releases it. Brings its format up to date. A refusal names the file and what to do, and leaves the file
// untouched.
Result<std::unique_ptr<sqlite::Database>> OpenDatabase(const std::string& path, Durability durability,
                                                       std::span<const Migration> migrations = Migrations());

// PRAGMA synchronous for a durability.
std::string SynchronousPragma(Durability durability);

// What an error that SQLite reports for an open database means to the operator.
Status ExplainError(const std::string& path, const sqlite::Error& error);

}  // namespace wherry
