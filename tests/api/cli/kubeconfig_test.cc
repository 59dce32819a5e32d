#include "api/cli/kubeconfig.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace wherry::cli {
namespace {

// A kubeconfig with one cluster and one user made of these lines.
std::string Config(const std::string& cluster, const std::string& user, const std::string& context = "") {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- name: here\n  context: {cluster: c, user: "
         "u" +
         context + "}\nclusters:\n- name: c\n  cluster: {" + cluster + "}\nusers:\n- name: u\n  user: {" + user + "}\n";
}

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/wherry-kubeconfig-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  void Write(const std::string& name, const std::string& text) const { std::ofstream(path + "/" + name) << text; }
  std::string path;
};

TEST_CASE("a kubeconfig says where and as whom") {
  const Result<Access> access =
      ParseKubeconfig(Config("server: 'https://127.0.0.1:7443/', certificate-authority-data: Q0E=",
                             "client-certificate-data: Q0VSVA==, client-key-data: S0VZ", ", namespace: team"),
                      "/k/config");
  REQUIRE(access.ok());
  CHECK(access->url == "https://127.0.0.1:7443");
  CHECK(access->host == "127.0.0.1");
  CHECK(access->port == 7443);
  CHECK(access->tls);
  CHECK(access->base_path == "");
  CHECK(access->authority == "CA");
  CHECK(access->certificate == "CERT");
  CHECK(access->key == "KEY");
  CHECK(access->name_space == "team");
  CHECK(access->source == "/k/config");
}

TEST_CASE("server URLs are taken apart") {
  struct Row {
    const char* url;
    const char* host;
    int port;
    bool tls;
    const char* base_path;
  };
  const Row row = GENERATE(values<Row>({
      {"https://example.org", "example.org", 443, true, ""},
      {"http://localhost", "localhost", 80, false, ""},
      {"https://[::1]:6443", "::1", 6443, true, ""},
      {"https://10.0.0.1:6443/k8s/clusters/a", "10.0.0.1", 6443, true, "/k8s/clusters/a"},
  }));
  CAPTURE(row.url);
  const Result<Access> access = ParseKubeconfig(Config("server: '" + std::string(row.url) + "'", "token: t"), "k");
  REQUIRE(access.ok());
  CHECK(access->host == row.host);
  CHECK(access->port == row.port);
  CHECK(access->tls == row.tls);
  CHECK(access->base_path == row.base_path);
  CHECK(access->token == "t");
  CHECK(access->name_space == "default");
}

TEST_CASE("what is wrong with a kubeconfig is said") {
  struct Row {
    std::string text;
    const char* message;
  };
  const Row row = GENERATE(values<Row>({
      {"", "the kubeconfig k: it holds no configuration"},
      {"kind: Config", "the kubeconfig k: current-context is not set"},
      {"current-context: gone", "the kubeconfig k: there is no context \"gone\""},
      {"current-context: a\ncontexts: [{name: a, context: {cluster: x}}]",
       "the kubeconfig k: there is no cluster \"x\""},
      {Config("insecure-skip-tls-verify: true", ""), "the kubeconfig k: the cluster \"c\" has no server"},
      {Config("server: 'ftp://x'", ""), "the kubeconfig k: server \"ftp://x\" is not an http(s) URL"},
      {Config("server: 'https://x:y'", ""), "the kubeconfig k: server \"https://x:y\" has a bad port"},
      {Config("server: 'https://x:70000'", ""), "the kubeconfig k: server \"https://x:70000\" has a bad port"},
      {Config("server: 'https://:80'", ""), "the kubeconfig k: server \"https://:80\" has no host"},
      {Config("server: 'https://x', certificate-authority-data: '%'", ""),
       "the kubeconfig k: certificate-authority-data is not base64"},
      {Config("server: 'https://x', certificate-authority: /no/such/file", ""),
       "the kubeconfig k: cannot read /no/such/file (certificate-authority)"},
      {Config("server: 'https://x'", "exec: {command: get-token}"),
       "the kubeconfig k: credentials from \"exec\" are not supported here: use certificates or a token, or kubectl"},
  }));
  const Result<Access> access = ParseKubeconfig(row.text, "k");
  REQUIRE_FALSE(access.ok());
  CHECK(access.status().message() == row.message);
}

TEST_CASE("files are found beside the kubeconfig, and data wins over files") {
  Directory directory;
  directory.Write("ca.pem", "CA FILE");
  directory.Write("token", "secret\n");
  const std::string source = directory.path + "/config";
  const Result<Access> files =
      ParseKubeconfig(Config("server: 'https://x', certificate-authority: ca.pem", "tokenFile: token"), source);
  REQUIRE(files.ok());
  CHECK(files->authority == "CA FILE");
  CHECK(files->token == "secret");
  const Result<Access> data = ParseKubeconfig(
      Config("server: 'https://x', certificate-authority: ca.pem, certificate-authority-data: Q0E=", "token: t"),
      source);
  REQUIRE(data.ok());
  CHECK(data->authority == "CA");
}

TEST_CASE("the kubeconfig is found by flag, environment or data directory") {
  Directory directory;
  directory.Write("kubeconfig", Config("server: 'https://data-dir'", ""));
  directory.Write("flag", Config("server: 'https://flag'", ""));
  directory.Write("env", Config("server: 'https://env'", ""));
  const std::string base = directory.path + "/";
  ::setenv("KUBECONFIG", (base + "none:" + base + "env").c_str(), 1);
  CHECK(LoadAccess(base + "flag", directory.path, false)->host == "flag");
  CHECK(LoadAccess("", directory.path, false)->host == "env");
  CHECK(LoadAccess("", directory.path, true)->host == "data-dir");
  ::unsetenv("KUBECONFIG");
  CHECK(LoadAccess("", directory.path, false)->host == "data-dir");
  CHECK(LoadAccess("", "/no/where", false).status().message() ==
        "no cluster in /no/where: cannot read /no/where/kubeconfig (start one with `wherry up`, or point --data-dir or "
        "$KUBECONFIG at one)");
}

}  // namespace
}  // namespace wherry::cli
