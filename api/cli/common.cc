#include "api/cli/common.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "api/cli/data_dir.h"

namespace wherry::cli {

std::string CommonFlags::NamespaceIn(const Session& session) const {
  return name_space.empty() ? session.access().name_space : name_space;
}

Result<std::unique_ptr<Session>> CommonFlags::Connect() const {
  const bool given = !data_dir.empty();
  Result<Access> access = LoadAccess(kubeconfig, given ? data_dir : DefaultDataDir(), given, context);
  if (!access.ok()) return access.status();
  return Session::Open(std::move(*access));
}

void AddCommonFlags(CLI::App& command, CommonFlags* flags) {
  CLI::Option* kubeconfig =
      command.add_option("--kubeconfig", flags->kubeconfig, "the kubeconfig to use, before $KUBECONFIG");
  command.add_option("--data-dir", flags->data_dir, "use the kubeconfig of the cluster in this data directory")
      ->excludes(kubeconfig);
  command.add_option("--context", flags->context, "the context of the kubeconfig to use");
  command.add_option("-n,--namespace", flags->name_space, "the namespace to look in (default: the context's)");
}

int Fail(const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "wherry: %s\n", message.c_str());
  return 1;
}

int Fail(const Status& status) { return Fail(status.message()); }

bool ParseDuration(std::string_view text, std::chrono::milliseconds* out) {
  struct Unit {
    std::string_view name;
    double milliseconds;
  };
  static constexpr Unit kUnits[] = {{"ms", 1},    {"h", 3'600'000}, {"m", 60'000},
                                    {"s", 1'000}, {"us", 1e-3},     {"ns", 1e-6}};
  double total = 0;
  bool first = true;
  if (text.empty()) return false;
  while (!text.empty()) {
    if (text.front() != '.' && (text.front() < '0' || text.front() > '9')) return false;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc()) return false;
    const bool whole = first && end == text.data() + text.size();
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (whole) {
      total = value * 1000;
      break;
    }
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (unit == nullptr && text.starts_with(candidate.name)) unit = &candidate;
    }
    if (unit == nullptr) return false;
    total += value * unit->milliseconds;
    first = false;
    text.remove_prefix(unit->name.size());
  }
  if (total > 1e15) return false;
  *out = std::chrono::milliseconds(static_cast<int64_t>(std::ceil(total)));
  return true;
}

ProgressLine::ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1), start_(std::chrono::steady_clock::now()) {}

std::chrono::milliseconds ProgressLine::elapsed() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start_);
}

void ProgressLine::Show(const std::string& text) {
  if (!terminal_) return;
  std::fflush(stdout);
  std::string line = text + " (" + std::to_string(elapsed().count() / 1000) + "s)";
  // A line that wraps could not be taken away again.
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 4 && line.size() >= size.ws_col) {
    line.resize(size.ws_col - 1u);
  }
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::Clear() {
  if (!std::exchange(shown_, false)) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
}

}  // namespace wherry::cli
