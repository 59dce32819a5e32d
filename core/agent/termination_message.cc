#include "core/agent/termination_message.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/agent/shown_text.h"
#include "core/kinds/fields.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxMessage = 4096;
constexpr size_t kMaxLog = 2048;
constexpr size_t kMaxLines = 80;
constexpr size_t kMaxOfPod = 12 << 10;

// The last bytes of a regular file; nothing of a link, a pipe or a device that somebody put there.
std::string Tail(const fs::path& path, size_t bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return {};
  struct stat info {};
  std::string out;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    const off_t from = std::max<off_t>(0, info.st_size - static_cast<off_t>(bytes));
    out.resize(bytes);
    const ssize_t got = pread(fd, out.data(), bytes, from);
    out.resize(got > 0 ? static_cast<size_t>(got) : 0);
  }
  close(fd);
  return out;
}

// The text of the last lines of a CRI log: "<time> <stream> <P|F> <text>".
std::string LogTail(const fs::path& path) {
  // The prefix of a line takes about 45 bytes.
  std::string raw = Tail(path, kMaxLog + (kMaxLines + 1) * 64), out;
  size_t lines = 0;
  while (!raw.empty() && lines < kMaxLines && out.size() < kMaxLog) {
    if (raw.back() == '\n') raw.pop_back();
    const size_t begin = raw.rfind('\n') + 1;
    const std::string line = raw.substr(begin);
    raw.resize(begin);
    size_t text = 0;
    bool whole = true;
    for (int field = 0; field < 3 && text != std::string::npos; ++field) {
      if (field == 2) whole = line.compare(text, 2, "P ") != 0;
      text = line.find(' ', text);
      if (text != std::string::npos) ++text;
    }
    if (text == std::string::npos) continue;
    out.insert(0, line.substr(text) + (whole ? "\n" : ""));
    lines += whole ? 1 : 0;
  }
  return out.size() > kMaxLog ? out.substr(out.size() - kMaxLog) : out;
}

}  // namespace

fs::path TerminationFile(const fs::path& directory) { return directory / "termination-log"; }

void MakeTerminationFile(const fs::path& directory) {
  const fs::path path = TerminationFile(directory);
  std::error_code error;
  fs::remove_all(path, error);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return;
  fchmod(fd, 0666);
  close(fd);
}

std::string TerminationMessage(const Json& container, size_t containers, const fs::path& directory, const fs::path& log,
                               int exit_code) {
  std::string text = Tail(TerminationFile(directory), kMaxMessage);
  if (text.empty() && exit_code != 0 && StringAt(container, "terminationMessagePolicy") == "FallbackToLogsOnError")
    text = LogTail(log);
  return ShownText(std::move(text), kMaxOfPod / std::max<size_t>(containers, 1));
}

}  // namespace wherry
