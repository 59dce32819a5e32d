#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/agent/warden/fd.h"

namespace wherry::warden {

enum class Stream { kStdout = 0, kStderr = 1 };

// The log file of one container, in the CRI format (KEP-1602 and kubelet's reader):
//   2026-01-02T03:04:05.000000006Z stdout F text
// A line longer than kMaxLine is cut into parts tagged P, the last one F. Between two calls it holds at most one
// unfinished line a stream; everything else is in the file. When the file cannot be written (full disk), lines are
// dropped and counted, and the count is written once there is room again: the program is never made to wait for a disk.
class LogWriter {
 public:
  static constexpr size_t kMaxLine = 16 << 10;

  LogWriter() = default;
  LogWriter(LogWriter&&) = default;
  LogWriter& operator=(LogWriter&&) = default;

  // Opens `path` to append, making its directories. `max_files` counts the current one; `max_bytes` <= 0 never rotates.
  // Returns an errno; an empty path swallows everything.
  int Open(const std::string& path, int64_t max_bytes, int max_files);

  // Takes what the program wrote, writes out all whole lines.
  void Append(Stream stream, std::string_view data);
  // Writes an unfinished last line of both streams.
  void Finish();

  uint64_t dropped_lines() const { return dropped_; }

 private:
  void AppendLine(Stream stream, bool partial, std::string_view head, std::string_view text);
  void Flush();
  bool WriteAll(std::string_view bytes);
  void Rotate();
  int OpenFile();
  void RefreshStamp();

  std::string path_;
  int64_t max_bytes_ = 0;
  int max_files_ = 1;
  Fd file_;
  int64_t size_ = 0;  // of the file, without what is in the batch
  std::string unfinished_[2];
  uint64_t dropped_ = 0;
  uint64_t reported_ = 0;  // of dropped_, written to the log
};

}  // namespace wherry::warden
