#include "core/agent/logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kPiece = 64 << 10;
constexpr int kMaxFiles = 32;
constexpr Duration kPoll = std::chrono::milliseconds(100);

class File {
 public:
  explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), offset(other.offset) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(offset, other.offset);
    return *this;
  }
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  bool valid() const { return fd_ >= 0; }
  int64_t size() const {
    struct stat info {};
    return fstat(fd_, &info) == 0 ? info.st_size : 0;
  }
  bool IsAt(const std::string& path) const {
    struct stat mine {
    }, there{};
    return fstat(fd_, &mine) == 0 && stat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
  }
  std::string ReadAt(int64_t at, size_t length) const {
    std::string out(length, '\0');
    const ssize_t got = pread(fd_, out.data(), length, at);
    out.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return out;
  }

 private:
  int fd_ = -1;

 public:
  int64_t offset = 0;  // of the next byte to read
};

// A CRI line: "<time> <stream> <P|F> <text>".
struct Line {
  std::string_view time, stream, text;
  bool partial = false;
};

bool Split(std::string_view raw, Line* out) {
  const size_t a = raw.find(' ');
  const size_t b = a == std::string_view::npos ? a : raw.find(' ', a + 1);
  if (b == std::string_view::npos || b + 1 >= raw.size()) return false;
  const size_t c = raw.find(' ', b + 1);
  out->time = raw.substr(0, a);
  out->stream = raw.substr(a + 1, b - a - 1);
  out->partial = raw[b + 1] == 'P';
  out->text = c == std::string_view::npos ? std::string_view() : raw.substr(c + 1);
  return true;
}

const Json* FindStatus(const Json& pod, const std::string& container) {
  for (const char* list : {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"}) {
    const Json* statuses = FindPath(pod, std::string("status.") + list);
    if (!statuses || !statuses->is_array()) continue;
    for (const Json& status : *statuses) {
      if (StringAt(status, "name") == container) return &status;
    }
  }
  return nullptr;
}

std::vector<std::string> Names(const Json& pod, const char* field) {
  std::vector<std::string> out;
  const Json* containers = FindPath(pod, std::string("spec.") + field);
  if (!containers || !containers->is_array()) return out;
  for (const Json& container : *containers) out.push_back(StringAt(container, "name"));
  return out;
}

std::string Bracketed(const std::vector<std::string>& names) {
  std::string out = "[";
  for (size_t i = 0; i < names.size(); ++i) out += (i ? " " : "") + names[i];
  return out + "]";
}

int AttemptOf(const std::string& container_id) { return std::atoi(container_id.c_str() + container_id.rfind('/') + 1); }

}  // namespace

Result<std::string> ChooseContainer(const Json& pod, const std::string& asked) {
  const std::string pod_name = StringAt(pod, "metadata.name");
  const std::vector<std::string> main = Names(pod, "containers"), init = Names(pod, "initContainers"),
                                 ephemeral = Names(pod, "ephemeralContainers");
  std::string chosen = asked;
  if (asked.empty()) {
    const Json* annotations = FindPath(pod, "metadata.annotations");
    if (annotations && annotations->is_object())
      chosen = annotations->value("kubectl.kubernetes.io/default-container", "");
    if (chosen.empty() && main.size() == 1) chosen = main.front();
    if (chosen.empty()) {
      std::string message =
          "a container name must be specified for pod " + pod_name + ", choose one of: " + Bracketed(main);
      if (!init.empty()) message += " or one of the init containers: " + Bracketed(init);
      return Status::BadRequest(message);
    }
  }
  for (const auto* names : {&main, &init, &ephemeral}) {
    if (std::find(names->begin(), names->end(), chosen) != names->end()) return chosen;
  }
  return Status::BadRequest("container " + chosen + " is not valid for pod " + pod_name);
}

Result<LogTarget> FindLog(const Json& pod, const std::string& asked, bool previous) {
  LogTarget target;
  const std::string pod_name = StringAt(pod, "metadata.name");
  Result<std::string> chosen = ChooseContainer(pod, asked);
  if (!chosen.ok()) return chosen.status();
  target.container = std::move(*chosen);
  if (StringAt(pod, "spec.nodeName").empty()) {
    target.empty = true;
    return target;
  }
  const std::string named = "container \"" + target.container + "\" in pod \"" + pod_name + "\"";
  const Json* status = FindStatus(pod, target.container);
  const Json* last = status ? FindPath(*status, "lastState.terminated") : nullptr;
  if (previous) {
    if (!last) return Status::BadRequest("previous terminated " + named + " not found");
    target.attempt = AttemptOf(StringAt(*last, "containerID"));
    return target;
  }
  if (status && FindPath(*status, "state.running")) {
    target.running = true;
    target.attempt = AttemptOf(StringAt(*status, "containerID"));
  } else if (status && FindPath(*status, "state.terminated.containerID")) {
    target.attempt = AttemptOf(StringAt(*status, "state.terminated.containerID"));
  } else if (last) {  // waiting for its next run: the log of the one that ended
    target.attempt = AttemptOf(StringAt(*last, "containerID"));
  } else {
    std::string reason = status ? StringAt(*status, "state.waiting.reason", "ContainerCreating") : "ContainerCreating";
    if (reason == "ErrImagePull") reason = "image can't be pulled";
    if (reason == "ImagePullBackOff") reason = "trying and failing to pull image";
    return Status::BadRequest(named + " is waiting to start: " + reason);
  }
  return target;
}

// Reads and filters; knows nothing of waiting.
class LogStream::Reader {
 public:
  Reader(std::string path, LogOptions options, Time now) : path_(std::move(path)), options_(std::move(options)) {
    if (options_.since_seconds) since_ = now - std::chrono::seconds(*options_.since_seconds);
    if (options_.since_time) since_ = *options_.since_time;
    left_ = options_.limit_bytes;
  }

  enum class State { kMore, kDrained, kEnd };

  // Does one bounded step; appends what it yields to `out`. kDrained: at the end of what is written so far.
  State Step(std::string& out) {
    if (!opened_) {
      Open();
      return State::kMore;
    }
    if (tail_left_ && seeking_) {
      SeekTail();
      return State::kMore;
    }
    if (left_ && *left_ <= 0) return State::kEnd;
    if (at_ >= files_.size()) return FindFirst() ? State::kMore : State::kDrained;
    File& file = files_[at_];
    const std::string piece = file.ReadAt(file.offset, kPiece);
    file.offset += static_cast<int64_t>(piece.size());
    if (piece.empty()) return NextFile() ? State::kMore : State::kDrained;
    pending_ += piece;
    Emit(out);
    return left_ && *left_ <= 0 ? State::kEnd : State::kMore;
  }

 private:
  void Open() {
    opened_ = true;
    for (int n = kMaxFiles; n >= 0; --n) {
      File file(n == 0 ? path_ : path_ + "." + std::to_string(n));
      if (file.valid()) files_.push_back(std::move(file));
    }
    if (!options_.tail_lines) return;
    tail_left_ = std::max<int64_t>(0, *options_.tail_lines);
    seeking_ = true;
    seek_file_ = files_.size();
  }

  // The log did not exist when we came.
  bool FindFirst() {
    File file(path_);
    if (!file.valid()) return false;
    files_.push_back(std::move(file));
    return true;
  }

  // Walks backwards from the end, a piece at a time, until the wanted number of whole lines lies behind.
  void SeekTail() {
    if (seek_at_ == 0) {
      if (seek_file_ == 0) {  // fewer lines than asked for: all of them
        seeking_ = false;
        at_ = 0;
        return;
      }
      --seek_file_;
      seek_at_ = files_[seek_file_].size();
      carry_.clear();
      if (seek_at_ == 0) return;
    }
    const int64_t from = std::max<int64_t>(0, seek_at_ - static_cast<int64_t>(kPiece));
    const std::string data = files_[seek_file_].ReadAt(from, static_cast<size_t>(seek_at_ - from)) + carry_;
    size_t end = data.size();
    while (end > 0) {
      size_t newline = end >= 2 ? data.rfind('\n', end - 2) : std::string::npos;
      if (newline == std::string::npos && from > 0) break;  // begins in the piece before
      const size_t begin = newline == std::string::npos ? 0 : newline + 1;
      Line line;
      if (Split(std::string_view(data).substr(begin, end - begin), &line) && !line.partial && Wanted(line)) {
        if (*tail_left_ == 0) {
          files_[seek_file_].offset = from + static_cast<int64_t>(end);
          at_ = seek_file_;
          seeking_ = false;
          return;
        }
        --*tail_left_;
      }
      end = begin;
    }
    carry_ = data.substr(0, end);
    seek_at_ = from;
  }

  bool Wanted(const Line& line) const {
    return options_.stream == "All" ||
           (options_.stream == "Stdout" ? line.stream == "stdout" : line.stream == "stderr");
  }

  bool NextFile() {
    if (at_ + 1 < files_.size()) {
      ++at_;
      return true;
    }
    if (files_[at_].IsAt(path_)) return false;
    // Rotated while we read: what we have open is complete, the next is path.1 when that is newer than ours, else path.
    for (int n = kMaxFiles; n >= 1; --n) {
      if (!files_[at_].IsAt(path_ + "." + std::to_string(n))) continue;
      File next(n == 1 ? path_ : path_ + "." + std::to_string(n - 1));
      if (!next.valid()) return false;
      files_[at_] = std::move(next);
      return true;
    }
    File next(path_);
    if (!next.valid()) return false;
    files_[at_] = std::move(next);
    return true;
  }

  void Emit(std::string& out) {
    size_t begin = 0;
    for (size_t newline; (newline = pending_.find('\n', begin)) != std::string::npos; begin = newline + 1) {
      Line line;
      if (!Split(std::string_view(pending_).substr(begin, newline - begin), &line) || !Wanted(line)) continue;
      Time time;
      if (since_ && ParseTime(line.time, &time) && time < *since_) continue;
      std::string text;
      if (options_.timestamps && !continued_) text.append(line.time).push_back(' ');
      text.append(line.text);
      if (!line.partial) text.push_back('\n');
      continued_ = line.partial;
      if (left_) {
        if (static_cast<int64_t>(text.size()) > *left_) text.resize(static_cast<size_t>(*left_));
        *left_ -= static_cast<int64_t>(text.size());
      }
      out += text;
      if (left_ && *left_ <= 0) break;
    }
    pending_.erase(0, begin);
  }

  const std::string path_;
  const LogOptions options_;
  std::optional<Time> since_;
  std::optional<int64_t> left_;  // bytes that may still be given
  bool opened_ = false;
  std::vector<File> files_;  // oldest first
  size_t at_ = 0;
  std::string pending_;     // an unfinished line
  bool continued_ = false;  // the last line given was partial

  std::optional<int64_t> tail_left_;
  bool seeking_ = false;
  size_t seek_file_ = 0;
  int64_t seek_at_ = 0;
  std::string carry_;
};

LogStream::LogStream(Clock& clock, std::string path, LogOptions options, std::function<bool()> ended)
    : clock_(clock),
      ended_(options.follow ? std::move(ended) : [] { return true; }),
      reader_(std::make_unique<Reader>(std::move(path), std::move(options), clock.Now())) {}

LogStream::~LogStream() = default;

Task<std::string> LogStream::Next() {
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  const asio::use_awaitable_t<asio::any_io_executor> token;
  std::string out;
  while (!cancelled_) {
    // Asked before the read: what was written before the end is then surely read.
    const bool ended = ended_();
    const Reader::State state = reader_->Step(out);
    if (!out.empty()) co_return out;
    if (state == Reader::State::kEnd || (state == Reader::State::kDrained && ended)) co_return out;
    if (state == Reader::State::kDrained) {
      co_await clock_.Sleep(kPoll);
    } else {
      co_await asio::post(executor, token);
    }
  }
  co_return std::string();
}

}  // namespace wherry
