#include "core/agent/warden/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace wherry::warden {
namespace {

constexpr size_t kBatchBytes = 256 << 10;

// The warden has one thread and every Append leaves the batch empty, so all logs share one.
std::string& Batch() {
  static std::string batch;
  return batch;
}

// The moment of the Append under way, as text; one clock read serves all lines of one read(2).
char stamp[40];
size_t stamp_size = 0;

int MakeParents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST) return errno;
  }
  return 0;
}

}  // namespace

int LogWriter::Open(const std::string& path, int64_t max_bytes, int max_files) {
  path_ = path;
  max_bytes_ = max_bytes;
  max_files_ = std::max(1, max_files);
  if (path_.empty()) return 0;
  const int error = OpenFile();
  if (error != ENOENT) return error;
  const int parents = MakeParents(path_);
  return parents != 0 ? parents : OpenFile();
}

int LogWriter::OpenFile() {
  file_.reset(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640));
  if (!file_.valid()) return errno;
  struct stat info {};
  size_ = fstat(file_.get(), &info) == 0 ? info.st_size : 0;
  return 0;
}

void LogWriter::RefreshStamp() {
  static time_t second = -1;
  static char text[24];
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != second) {
    second = now.tv_sec;
    tm parts{};
    gmtime_r(&second, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  }
  stamp_size = static_cast<size_t>(snprintf(stamp, sizeof(stamp), "%s.%09ldZ ", text, now.tv_nsec));
}

void LogWriter::Append(Stream stream, std::string_view data) {
  if (path_.empty()) return;
  RefreshStamp();
  std::string& unfinished = unfinished_[static_cast<int>(stream)];
  while (!data.empty()) {
    const size_t room = kMaxLine - unfinished.size();
    const std::string_view window = data.substr(0, room + 1);  // a newline right after a full line ends it
    const void* end = memchr(window.data(), '\n', window.size());
    if (end != nullptr) {
      const size_t length = static_cast<size_t>(static_cast<const char*>(end) - window.data());
      AppendLine(stream, false, unfinished, window.substr(0, length));
      unfinished.clear();
      data.remove_prefix(length + 1);
    } else if (window.size() > room) {
      AppendLine(stream, true, unfinished, window.substr(0, room));
      unfinished.clear();
      data.remove_prefix(room);
    } else {
      unfinished.append(data);
      break;
    }
  }
  Flush();
}

void LogWriter::Finish() {
  if (path_.empty()) return;
  RefreshStamp();
  for (Stream stream : {Stream::kStdout, Stream::kStderr}) {
    std::string& unfinished = unfinished_[static_cast<int>(stream)];
    if (!unfinished.empty()) AppendLine(stream, false, unfinished, {});
    unfinished = std::string();
  }
  Flush();
}

void LogWriter::AppendLine(Stream stream, bool partial, std::string_view head, std::string_view text) {
  std::string& batch = Batch();
  const std::string_view tags[2][2] = {{"stdout F ", "stdout P "}, {"stderr F ", "stderr P "}};
  const std::string_view tag = tags[static_cast<int>(stream)][partial ? 1 : 0];
  const int64_t length = static_cast<int64_t>(stamp_size + tag.size() + head.size() + text.size() + 1);
  const int64_t before = size_ + static_cast<int64_t>(batch.size());
  if (max_bytes_ > 0 && before > 0 && before + length > max_bytes_) {
    Flush();
    Rotate();
  }
  if (batch.size() + static_cast<size_t>(length) > kBatchBytes) Flush();
  batch.append(stamp, stamp_size).append(tag).append(head).append(text).push_back('\n');
}

bool LogWriter::WriteAll(std::string_view bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = write(file_.get(), bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      // No half line stays behind.
      if (written > 0 && ftruncate(file_.get(), size_) != 0) size_ += static_cast<int64_t>(written);
      return false;
    }
    written += static_cast<size_t>(n);
  }
  size_ += static_cast<int64_t>(bytes.size());
  return true;
}

void LogWriter::Flush() {
  std::string& batch = Batch();
  if (batch.empty()) return;
  if (!file_.valid()) OpenFile();
  if (dropped_ > reported_ && file_.valid()) {
    const std::string report = std::string(stamp, stamp_size) +
                               "stderr F wherry: " + std::to_string(dropped_ - reported_) +
                               " log lines were lost: the log could not be written\n";
    if (WriteAll(report)) reported_ = dropped_;
  }
  if (!file_.valid() || !WriteAll(batch))
    dropped_ += static_cast<uint64_t>(std::count(batch.begin(), batch.end(), '\n'));
  batch.clear();
}

void LogWriter::Rotate() {
  for (int i = max_files_ - 1; i >= 1; --i) {
    const std::string from = i == 1 ? path_ : path_ + "." + std::to_string(i - 1);
    rename(from.c_str(), (path_ + "." + std::to_string(i)).c_str());
  }
  if (max_files_ == 1) unlink(path_.c_str());
  OpenFile();
}

}  // namespace wherry::warden
