#pragma once

#include <memory>
#include <string>

#include "store/sqlite.h"

namespace wherry {

// Copies a database into a new file, some pages a step. The copy appears under its name only when it is whole and on
// disk; until then it is `<path>.partial`, which goes when the copy fails or is given up. Writer thread only.
class SnapshotWriter {
 public:
  // Throws sqlite::Error, also when `path` exists.
  SnapshotWriter(sqlite::Database& from, std::string path);
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // True when the copy is in place. Throws sqlite::Error.
  bool Step();

 private:
  const std::string path_;
  const std::string partial_;
  std::unique_ptr<sqlite::Database> to_;
  std::unique_ptr<sqlite::Backup> backup_;
};

}  // namespace wherry
