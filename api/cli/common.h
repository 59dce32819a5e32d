#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "api/cli/session.h"
#include "store/status.h"

namespace CLI {
class App;
}

namespace wherry::cli {

// The flags that every command shares which talks to a server.
struct CommonFlags {
  std::string kubeconfig;
  std::string context;
  std::string data_dir;  // "" = the default, after $KUBECONFIG
  std::string name_space;

  // Of `-n`, else of the kubeconfig.
  std::string NamespaceIn(const Session& session) const;
  Result<std::unique_ptr<Session>> Connect() const;
};
void AddCommonFlags(CLI::App& command, CommonFlags* flags);

// Prints "wherry: …" on stderr and gives exit status 1.
int Fail(const std::string& message);
int Fail(const Status& status);

// "90s", "1h30m", "1.5h", "500ms" as Go writes durations; a bare number is seconds. False when it is none or negative.
bool ParseDuration(std::string_view text, std::chrono::milliseconds* out);

// One line on stderr that is written over again and again while something is waited for. Silent when stderr is no
// terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Shows `text` and the seconds since construction.
  void Show(const std::string& text);
  // Takes the line away, for something lasting to be printed.
  void Clear();
  std::chrono::milliseconds elapsed() const;

 private:
  const bool terminal_;
  const std::chrono::steady_clock::time_point start_;
  bool shown_ = false;
};

}  // namespace wherry::cli
