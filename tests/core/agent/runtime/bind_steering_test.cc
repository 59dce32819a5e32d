// Unmodified servers of several pods on one port (DESIGN, decision 8), as root and as an ordinary user.
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/core/agent/runtime/process_host.h"

namespace wherry {
namespace {

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof(address);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

std::string UdpAsk(const std::string& address, int port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const timeval limit{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  char answer[100] = {};
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 && send(fd, "?", 1, 0) == 1 &&
      recv(fd, answer, sizeof(answer) - 1, 0) < 0) {
    answer[0] = 0;
  }
  close(fd);
  return answer;
}

// A directory that all may use, with an index.html that names the pod.
std::string Site(ProcessHost& host, const std::string& id) {
  const std::string site = host.dir() + "/" + id;
  mkdir(site.c_str(), 0777);
  chmod(site.c_str(), 0777);
  chmod(host.dir().c_str(), 0755);
  std::ofstream(site + "/index.html") << "this is " << id << "\n";
  return site;
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

ContainerSpec Pod(ProcessHost& host, const std::string& id, const std::string& address, std::vector<std::string> argv) {
  ContainerSpec spec = host.Shell(id, "");
  spec.argv = std::move(argv);
  spec.working_directory = Site(host, id);
  spec.bind_address = address;
  return spec;
}

bool Serves(ProcessHost& host, const std::string& address, int port, const std::string& id) {
  return host.Until([&] { return HttpGet(address, port).find("this is " + id + "\n") != std::string::npos; });
}

constexpr char kPython[] = "/usr/bin/python3";

}  // namespace

TEST_CASE("unmodified servers of several pods share a port") {
  for (int user : {-1, Nobody()}) {
    INFO("user " << user);
    ProcessHost host(user);
    const int port_number = FreePort();
    const std::string port = std::to_string(port_number);
    host.Start(Pod(host, "python", "127.77.1.1", {kPython, "-m", "http.server", port}));
    host.Start(Pod(host, "python-v6", "127.77.1.2", {kPython, "-m", "http.server", "--bind", "::", port}));
    host.Start(Pod(host, "busybox-a", "127.77.1.3", {"busybox", "httpd", "-f", "-p", port}));
    host.Start(Pod(host, "busybox-b", "127.77.1.4", {"busybox", "httpd", "-f", "-p", port}));
    CHECK(Serves(host, "127.77.1.1", port_number, "python"));
    CHECK(Serves(host, "127.77.1.2", port_number, "python-v6"));
    CHECK(Serves(host, "127.77.1.3", port_number, "busybox-a"));
    CHECK(Serves(host, "127.77.1.4", port_number, "busybox-b"));
    CHECK(HttpGet("127.0.0.1", port_number).empty());
    CHECK(host.exits.empty());
    CHECK(host.notes.empty());
  }
}

TEST_CASE("nginx listens on 0.0.0.0 and on [::] apart, in two pods") {
  if (access("/usr/sbin/nginx", X_OK) != 0) return;
  for (int user : {-1, Nobody()}) {
    INFO("user " << user);
    ProcessHost host(user);
    const int port = FreePort();
    const std::string listen = std::to_string(port);
    for (const char* id : {"n1", "n2"}) {
      const std::string site = Site(host, id);
      Write(site + "/nginx.conf",
            "daemon off; master_process on; worker_processes 2; pid " + site +
                "/pid; error_log stderr; events {} http { access_log off; client_body_temp_path " + site +
                "/b; proxy_temp_path " + site + "/p; fastcgi_temp_path " + site + "/f; uwsgi_temp_path " + site +
                "/u; scgi_temp_path " + site + "/s; server { listen 0.0.0.0:" + listen + "; listen [::]:" + listen +
                " ipv6only=on; root " + site + "; } }\n");
      host.Start(Pod(host, id, id[1] == '1' ? "127.77.1.1" : "127.77.1.2",
                     {"nginx", "-e", "stderr", "-c", site + "/nginx.conf"}));
    }
    const bool first = Serves(host, "127.77.1.1", port, "n1");
    const bool second = Serves(host, "127.77.1.2", port, "n2");
    INFO(host.Log("n1") << host.Log("n2"));
    CHECK(first);
    CHECK(second);
  }
}

TEST_CASE("UDP servers of two pods share a port") {
  ProcessHost host(Nobody());
  const int port = FreePort();
  const char* ids[] = {"u1", "u2"};
  const char* families[] = {"AF_INET", "AF_INET6"};
  const char* addresses[] = {"127.77.2.1", "127.77.2.2"};
  for (int i = 0; i < 2; ++i) {
    const std::string script = std::string("import socket; s = socket.socket(socket.") + families[i] +
                               ", socket.SOCK_DGRAM); s.bind(('', " + std::to_string(port) +
                               "));\nwhile True: d, a = s.recvfrom(9); s.sendto(b'" + ids[i] + "', a)";
    host.Start(Pod(host, ids[i], addresses[i], {kPython, "-c", script}));
  }
  CHECK(host.Until([&] { return UdpAsk("127.77.2.1", port) == "u1"; }));
  CHECK(host.Until([&] { return UdpAsk("127.77.2.2", port) == "u2"; }));
}

TEST_CASE("binds that are not the pod's business are left alone") {
  ProcessHost host;
  const std::string script =
      "import socket, os\n"
      "def t(f, a, k=socket.SOCK_STREAM):\n"
      "    s = socket.socket(f, k)\n"
      "    try: s.bind(a); n = s.getsockname(); print(n[0] if f != socket.AF_UNIX else n)\n"
      "    except OSError as e: print(os.strerror(e.errno))\n"
      "    return s\n"
      "t(socket.AF_INET, ('127.0.0.1', 0)); t(socket.AF_INET, ('', 0)); t(socket.AF_UNIX, 'sock')\n"
      "t(socket.AF_INET, ('192.0.2.1', 7)); t(socket.AF_INET6, ('::1', 0)); t(socket.AF_INET, ('', 0), "
      "socket.SOCK_DGRAM)\n"
      "a = t(socket.AF_INET, ('', PORT)); b = t(socket.AF_INET, ('', PORT))\n"
      "try: a.bind(('', PORT))\n"
      "except OSError as e: print(os.strerror(e.errno))\n";
  std::string with_port = script;
  const std::string port = std::to_string(FreePort());
  for (size_t at = 0; (at = with_port.find("PORT", at)) != std::string::npos;) with_port.replace(at, 4, port);
  host.Start(Pod(host, "a", "127.77.3.1", {kPython, "-c", with_port}));
  CHECK(host.WaitExit("a").exit_code == 0);
  CHECK(host.Log("a") ==
        "127.0.0.1\n0.0.0.0\nsock\nCannot assign requested address\n::1\n0.0.0.0\n127.77.3.1\nAddress already in use\n"
        "Invalid argument\n");
}

TEST_CASE("without an address nothing is steered") {
  ProcessHost host;
  const std::string script =
      "import socket; s = socket.socket(); s.bind(('', " + std::to_string(FreePort()) + ")); print(s.getsockname()[0])";
  host.Start(Pod(host, "a", "", {kPython, "-c", script}));
  CHECK(host.WaitExit("a").exit_code == 0);
  CHECK(host.Log("a") == "0.0.0.0\n");
}

TEST_CASE("a port below 1024 is moved up for a user that may not have it, and the user is told") {
  if (Nobody() < 0 && geteuid() == 0) return;
  ProcessHost host(Nobody());
  ContainerSpec spec = Pod(host, "a", "127.77.4.1", {kPython, "-m", "http.server", "80"});
  spec.privileged_port_offset = 21000;
  host.Start(spec);
  CHECK(Serves(host, "127.77.4.1", 21080, "a"));
  const std::string note = "port 80 is served on port 21080: this user may not bind ports below 1024";
  CHECK(host.Find("a")->steered_note == note);
  CHECK(host.notes == std::vector<std::string>{note});

  spec = Pod(host, "b", "127.77.4.2", {kPython, "-m", "http.server", "80"});
  host.Start(spec);
  CHECK(host.WaitExit("b").exit_code == 1);
  CHECK(host.Log("b").find("PermissionError: [Errno 13] Permission denied") != std::string::npos);
}

TEST_CASE("a program that binds after the warden was replaced is steered all the same") {
  for (const bool server_too : {false, true}) {
    INFO("server restarted before: " << server_too);
    ProcessHost host(Nobody());
    const int port = FreePort();
    ContainerSpec spec = Pod(
        host, "a", "127.77.5.1",
        {"/bin/sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; exec busybox httpd -f -p " + std::to_string(port)});
    const ContainerState state = host.Start(spec);
    if (server_too) {
      host.DropServer();
      host.StartServer();
    }
    host.Find("-");
    const int warden = host.runtime().warden_pid();
    kill(warden, SIGKILL);
    REQUIRE(host.Until([&] { return !ProcessRuns(warden); }));
    REQUIRE(host.Find("a").has_value());
    REQUIRE(host.runtime().warden_pid() != warden);
    Write(host.dir() + "/a/go", "");
    CHECK(Serves(host, "127.77.5.1", port, "a"));
    CHECK(HttpGet("127.0.0.1", port).empty());
    CHECK(ProcessRuns(state.pid));
  }
}

TEST_CASE("a container runs as the user it asks for") {
  if (geteuid() != 0) return;
  ProcessHost host;
  chmod(host.dir().c_str(), 0755);
  ContainerSpec spec = Pod(host, "a", "127.77.6.1", {"/bin/sh", "-c", "id -u; id -g; id -G; echo via > /dev/stdout"});
  spec.run_as_user = 1234;
  spec.run_as_group = 4321;
  host.Start(spec);
  CHECK(host.WaitExit("a").exit_code == 0);
  CHECK(host.Log("a") == "1234\n4321\n4321\nvia\n");

  const int port = FreePort();  // bound for another user
  spec = Pod(host, "b", "127.77.6.2", {"busybox", "httpd", "-f", "-p", std::to_string(port)});
  spec.run_as_user = 1234;
  host.Start(spec);
  CHECK(Serves(host, "127.77.6.2", port, "b"));

  ProcessHost nobody(Nobody());
  chmod(nobody.dir().c_str(), 0755);
  spec = Pod(nobody, "a", "", {"true"});
  spec.run_as_user = 0;
  CHECK(nobody.StartError(spec) == "RunContainerError: setgroups: operation not permitted");
}

}  // namespace wherry
