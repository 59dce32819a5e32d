#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/agent/warden/fd.h"
#include "core/agent/warden/protocol.h"

namespace wherry::warden {

// What must be known to adopt a container after the warden itself was killed.
struct Record {
  ProcessState state;
  std::string boot_id;
  uint64_t start_time = 0;        // of the first process, see StartTimeOf
  uint64_t tag = 0;               // see process_tree.h
  uint64_t log_pipe[2] = {0, 0};  // inode numbers of the stdout and stderr pipes
  std::string log_path;
  int64_t log_max_bytes = 0;
  uint32_t log_max_files = 0;
  std::string bind_address;
  uint32_t privileged_port_offset = 0;
  // What execs get too. Absent from records of version 1.
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_directory;
  int64_t run_as_user = -1, run_as_group = -1;
  Confinement confinement;           // without its mounts
  std::vector<std::string> cgroups;  // of this container's alone, see cgroup.h
};

// <data-dir>/warden.journal: every container that was started and not removed, appended to before its program may run.
// Records are length, CRC, record; a torn one ends the file. Not synced to disk: whatever a power cut could take away
// from it also ended the processes, and a record of another boot only says "lost".
class Journal {
 public:
  // Opens it in `directory` and returns what it held. Returns an errno.
  int Open(int directory, std::vector<Record>* records);

  // Adds or replaces the record of state.id. Returns an errno; then nothing was added.
  int Put(const Record& record);
  int Remove(const std::string& id);

  // Rewrites the file when it holds much more than the live records.
  bool wants_compaction() const { return written_ > (1 << 20) && written_ > 4 * compacted_; }
  int Compact(const std::vector<const Record*>& live);

 private:
  int Append(uint8_t type, const std::string& payload);

  int directory_ = -1;
  Fd file_;
  int64_t written_ = 0;    // size of the file
  int64_t compacted_ = 0;  // its size when it was last rewritten
};

}  // namespace wherry::warden
