#include "api/http/pki.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/http/jwt.h"

namespace wherry::http {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr Time kNow{1'700'000'000s};

struct TempDir {
  TempDir() {
    char name[] = "/tmp/wherry-pki-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~TempDir() { fs::remove_all(path); }
  std::string path;
};

PkiOptions OptionsIn(const TempDir& dir) {
  PkiOptions options;
  options.data_dir = dir.path + "/data";
  options.host_name = "boat";
  return options;
}

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

TEST_CASE("the first start makes keys and certificates, the next finds them") {
  TempDir dir;
  const PkiOptions options = OptionsIn(dir);
  const Result<Pki> first = Pki::LoadOrCreate(options, kNow);
  REQUIRE(first.ok());
  const std::string pki = options.data_dir + "/pki";
  CHECK(ModeOf(pki) == 0700);
  for (const char* name :
       {"ca.crt", "ca.key", "server.crt", "server.key", "admin.crt", "admin.key", "service-account.key"}) {
    CAPTURE(name);
    CHECK(ModeOf(pki + "/" + name) == 0600);
  }
  CHECK(std::distance(fs::directory_iterator(pki), fs::directory_iterator()) == 7);
  CHECK(Slurp(pki + "/ca.key").starts_with("-----BEGIN PRIVATE KEY-----\n"));
  CHECK(CertificateNames(first->server.certificate) ==
        std::vector<std::string>{"10.0.0.1", "127.0.0.1", "::1", "boat", "kubernetes", "kubernetes.default",
                                 "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"});
  CHECK(CertificateExpiry(first->server.certificate) == kNow + 365 * 24h);
  CHECK(CertificateExpiry(first->authority.certificate) > kNow + 3650 * 24h);

  const Result<Pki> second = Pki::LoadOrCreate(options, kNow + 24h);
  REQUIRE(second.ok());
  CHECK(second->authority.key == first->authority.key);
  CHECK(second->server.certificate == first->server.certificate);
  CHECK(second->admin.certificate == first->admin.certificate);
  CHECK(second->signing_key == first->signing_key);
}

TEST_CASE("certificates are renewed in time and when names change") {
  TempDir dir;
  PkiOptions options = OptionsIn(dir);
  const Result<Pki> first = Pki::LoadOrCreate(options, kNow);
  REQUIRE(first.ok());
  SECTION("not yet") {
    const Result<Pki> next = Pki::LoadOrCreate(options, kNow + 335 * 24h);
    CHECK(next->server.certificate == first->server.certificate);
  }
  SECTION("less than thirty days left") {
    const Result<Pki> next = Pki::LoadOrCreate(options, kNow + 335 * 24h + 1s);
    CHECK(next->server.certificate != first->server.certificate);
    CHECK(next->admin.certificate != first->admin.certificate);
    CHECK(next->authority.certificate == first->authority.certificate);
  }
  SECTION("another name") {
    options.extra_names = {"harbour", "192.0.2.1"};
    const Result<Pki> next = Pki::LoadOrCreate(options, kNow);
    CHECK(next->server.certificate != first->server.certificate);
    CHECK(next->admin.certificate == first->admin.certificate);
    const std::vector<std::string> names = CertificateNames(next->server.certificate);
    CHECK(std::count(names.begin(), names.end(), "192.0.2.1") == 1);
  }
  SECTION("the authority, with the same key") {
    const Result<Pki> next = Pki::LoadOrCreate(options, kNow + 3640 * 24h);
    REQUIRE(next.ok());
    CHECK(next->authority.certificate != first->authority.certificate);
    CHECK(next->authority.key == first->authority.key);
  }
  SECTION("a torn pair") {
    std::ofstream(options.data_dir + "/pki/server.crt") << "-----BEGIN";
    const Result<Pki> next = Pki::LoadOrCreate(options, kNow);
    REQUIRE(next.ok());
    CHECK(CertificateExpiry(next->server.certificate) == kNow + 365 * 24h);
  }
}

TEST_CASE("a damaged authority is not replaced unasked") {
  TempDir dir;
  const PkiOptions options = OptionsIn(dir);
  REQUIRE(Pki::LoadOrCreate(options, kNow).ok());
  const std::string key = options.data_dir + "/pki/ca.key";
  if (GENERATE(true, false)) {
    fs::remove(key);
  } else {
    std::ofstream(key) << "nonsense";
  }
  CHECK(Pki::LoadOrCreate(options, kNow).status().reason() == Reason::kInternalError);
}

TEST_CASE("a private file is wholly old or wholly new and for its owner alone") {
  TempDir dir;
  const std::string path = dir.path + "/secret";
  REQUIRE(WritePrivateFile(path, "one").ok());
  REQUIRE(WritePrivateFile(path, "two").ok());
  CHECK(Slurp(path) == "two");
  CHECK(ModeOf(path) == 0600);
  CHECK_FALSE(fs::exists(path + ".new"));
  CHECK_FALSE(WritePrivateFile(dir.path + "/none/secret", "x").ok());
}

TEST_CASE("a kubeconfig holds everything") {
  CHECK(Kubeconfig("https://127.0.0.1:6443", "ca", {"crt", "key"}) ==
        "apiVersion: v1\nkind: Config\ncurrent-context: wherry\nclusters:\n- name: wherry\n  cluster:\n"
        "    server: https://127.0.0.1:6443\n    certificate-authority-data: Y2E=\ncontexts:\n- name: wherry\n"
        "  context:\n    cluster: wherry\n    user: wherry-admin\nusers:\n- name: wherry-admin\n  user:\n"
        "    client-certificate-data: Y3J0\n    client-key-data: a2V5\n");
}

TEST_CASE("tokens are signed and verified") {
  const Result<std::string> pem = MakeSigningKey();
  REQUIRE(pem.ok());
  const Result<std::shared_ptr<const JwtKey>> key = JwtKey::FromPem(*pem);
  REQUIRE(key.ok());
  const Json claims = {{"sub", "system:serviceaccount:default:x"}, {"aud", {"api"}}};
  const std::string token = (*key)->Sign(claims);
  const Result<Json> verified = (*key)->Verify(token);
  REQUIRE(verified.ok());
  CHECK(*verified == claims);
  CHECK(*VerifyJwt(*pem, *SignJwt(*pem, claims)) == claims);

  std::string header;
  REQUIRE(DecodeBase64Url(token.substr(0, token.find('.')), header));
  CHECK(Json::parse(header) == Json{{"alg", "ES256"}, {"kid", (*key)->id()}});
  CHECK((*key)->PublicJwk()["crv"] == "P-256");
  std::string x;
  REQUIRE(DecodeBase64Url((*key)->PublicJwk()["x"].get<std::string>(), x));
  CHECK(x.size() == 32);

  const Result<std::string> other = MakeSigningKey();
  CHECK(VerifyJwt(*other, token).status().reason() == Reason::kUnauthorized);
  const std::string payload = token.substr(token.find('.') + 1, token.rfind('.') - token.find('.') - 1);
  const std::string signature = token.substr(token.rfind('.') + 1);
  const std::string none = Base64Url(R"({"alg":"none"})");
  const std::string hmac = Base64Url(R"({"alg":"HS256"})");
  std::string changed = token;
  changed[token.find('.') + 5] ^= 1;
  for (const std::string& bad : {std::string(), std::string("a.b.c"), std::string(".."), none + "." + payload + ".",
                                 none + "." + payload + "." + signature, hmac + "." + payload + "." + signature,
                                 changed, token.substr(0, token.size() - 1), token + "A", token + ".",
                                 token.substr(0, token.rfind('.') + 1) + Base64Url(std::string(64, '\0'))}) {
    CAPTURE(bad);
    CHECK((*key)->Verify(bad).status().reason() == Reason::kUnauthorized);
  }
}

TEST_CASE("base64") {
  CHECK(Base64("") == "");
  CHECK(Base64("f") == "Zg==");
  CHECK(Base64("fo") == "Zm8=");
  CHECK(Base64("foo") == "Zm9v");
  CHECK(Base64Url("\xfb\xff") == "-_8");
  std::string out;
  CHECK(DecodeBase64Url("-_8", out));
  CHECK(out == "\xfb\xff");
  for (const char* bad : {"A", "Zg==", "Zh", "+/8", "Z g"}) {
    std::string ignored;
    CAPTURE(bad);
    CHECK_FALSE(DecodeBase64Url(bad, ignored));
  }
  CHECK(RandomToken().size() == 43);
  CHECK(RandomToken() != RandomToken());
}

TEST_CASE("a certificate request is signed when its own signature holds") {
  const Result<KeyPair> authority = MakeAuthority("ca", kNow);
  REQUIRE(authority.ok());
  CHECK(SignRequest(*authority, "nonsense", false, 1h, kNow).status().reason() == Reason::kBadRequest);
}

}  // namespace wherry::http
