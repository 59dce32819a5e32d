#include "tests/core/agent/runtime/process_host.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace wherry {

namespace fs = std::filesystem;

ProcessHost::ProcessHost(int user) : clock_(NewSystemClock(io_)) {
  std::string name = (fs::temp_directory_path() / "wherry-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  dir_ = name;
  const fs::path host = fs::path(dir_) / "wherry-host";  // where every user can reach it
  fs::create_symlink(WHERRY_WARDEN_HOST, host);
  warden_command_ = {host.string()};
  if (user >= 0) {
    fs::remove(host);
    fs::copy_file(WHERRY_WARDEN_HOST, host);
    const std::string id = std::to_string(user);
    if (chown(dir_.c_str(), static_cast<uid_t>(user), static_cast<gid_t>(user)) != 0) throw std::runtime_error("chown");
    warden_command_ = {"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", host.string()};
  }
  StartServer();
}

ProcessHost::~ProcessHost() {
  if (!runtime_) StartServer();
  const int warden = runtime_->warden_pid();
  try {
    (void)Run<Status>(runtime_->StopWarden());
  } catch (const std::exception& e) {
    fprintf(stderr, "stopping the warden: %s\n", e.what());
  }
  runtime_.reset();
  if (warden != 0) Until([&] { return !ProcessRuns(warden); });
  std::error_code ignored;
  fs::remove_all(dir_, ignored);
}

void ProcessHost::DropServer() {
  runtime_.reset();
  exits.clear();
  exit_calls = 0;
}

void ProcessHost::StartServer() {
  ProcessRuntimeOptions options;
  options.data_dir = dir_;
  options.warden_command = warden_command_;
  runtime_ = std::make_unique<ProcessRuntime>(io_, *clock_, options);
  runtime_->set_on_exit([this](const ContainerState& state) {
    ++exit_calls;
    exits[state.id] = state;
  });
  runtime_->set_on_note([this](const ContainerState& state) { notes.push_back(state.steered_note); });
}

bool ProcessHost::Until(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    io_.restart();
    io_.run_one_for(std::chrono::milliseconds(2));
  }
  return true;
}

ContainerSpec ProcessHost::Shell(const std::string& id, const std::string& script) const {
  ContainerSpec spec;
  spec.id = id;
  spec.argv = {"/bin/sh", "-c", script};
  spec.env = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
  spec.working_directory = "/";
  spec.log_path = dir_ + "/" + id + ".log";
  return spec;
}

ContainerState ProcessHost::Start(ContainerSpec spec) {
  const auto result = Run<Result<ContainerState>>(runtime_->Start(std::move(spec)));
  INFO(result.status().message());
  REQUIRE(result.ok());
  return result.value();
}

std::string ProcessHost::StartError(ContainerSpec spec) {
  const auto result = Run<Result<ContainerState>>(runtime_->Start(std::move(spec)));
  REQUIRE_FALSE(result.ok());
  REQUIRE(result.status().details().causes.size() == 1);
  return result.status().details().causes[0].reason + ": " + result.status().message();
}

ContainerState ProcessHost::WaitExit(const std::string& id) {
  INFO("waiting for the end of " << id);
  REQUIRE(Until([&] { return exits.count(id) != 0; }));
  return exits[id];
}

std::optional<ContainerState> ProcessHost::Find(const std::string& id) {
  for (const ContainerState& state : Run<std::vector<ContainerState>>(runtime_->List())) {
    if (state.id == id) return state;
  }
  return std::nullopt;
}

std::string ProcessHost::ReadFile(const std::string& path) const {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string ProcessHost::Log(const std::string& id) const {
  std::istringstream lines(ReadFile(dir_ + "/" + id + ".log"));
  std::string line, text;
  while (std::getline(lines, line)) {
    size_t at = 0;
    for (int field = 0; field < 3; ++field) at = line.find(' ', at) + 1;
    text += line.substr(at) + "\n";
  }
  return text;
}

bool ProcessRuns(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  return name_end != std::string::npos && text[name_end + 2] != 'Z' && text[name_end + 2] != 'X';
}

int OpenDescriptors(int pid) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}

int Nobody() { return geteuid() == 0 ? 65534 : -1; }

std::string HttpGet(const std::string& address, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const timeval limit{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  std::string answer;
  const std::string request = "GET / HTTP/1.0\r\n\r\n";
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char chunk[4096];
    ssize_t n = 0;
    while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0) answer.append(chunk, static_cast<size_t>(n));
  }
  close(fd);
  return answer;
}

}  // namespace wherry
