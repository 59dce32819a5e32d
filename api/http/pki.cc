#include "api/http/pki.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "api/http/jwt.h"
#include "api/http/openssl_ptr.h"

namespace wherry::http {
namespace {

constexpr Duration kRenewBefore = std::chrono::hours(24 * 30);

Status FileError(std::string_view what, const std::string& path) {
  return Status::Internal(std::string(what) + " " + path + ": " + std::strerror(errno));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// "" when there is no such file.
Result<std::string> ReadFile(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOENT) return std::string();
    return FileError("cannot open", path);
  }
  std::string text;
  char buffer[8192];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FileError("cannot read", path);
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

// Files that appear together: all are written before the first is synced, so that one commit of the file system's
// journal serves them all, and each is renamed into place only when its bytes are safe. After a crash a file is the old
// or the new.
class FileBatch {
 public:
  explicit FileBatch(std::string dir) : dir_(std::move(dir)) {}

  Status Add(const std::string& path, std::string_view bytes);
  Status Commit();

 private:
  struct Draft {
    std::string path;
    std::unique_ptr<Fd> fd;
  };
  const std::string dir_;
  std::vector<Draft> drafts_;
};

Status FileBatch::Add(const std::string& path, std::string_view bytes) {
  const std::string draft = path + ".new";
  ::unlink(draft.c_str());  // of a start that was cut off; a planted link is not followed
  auto fd = std::make_unique<Fd>(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd->get() < 0) return FileError("cannot create", draft);
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd->get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("cannot write", draft);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  drafts_.push_back({path, std::move(fd)});
  return Status();
}

Status FileBatch::Commit() {
  if (drafts_.empty()) return Status();
  for (const Draft& draft : drafts_) {
    if (::fsync(draft.fd->get()) != 0) return FileError("cannot sync", draft.path);
  }
  for (const Draft& draft : drafts_) {
    if (::rename((draft.path + ".new").c_str(), draft.path.c_str()) != 0) return FileError("cannot rename", draft.path);
  }
  const Fd dir(::open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() < 0 || ::fsync(dir.get()) != 0) return FileError("cannot sync", dir_);
  return Status();
}

// True when `pair` is whole, signed by the authority, for these names, and has enough time left.
bool Usable(const KeyPair& pair, const KeyPair& authority, const std::vector<std::string>& names, Time now) {
  const X509Ptr certificate = ReadCertificate(pair.certificate);
  const PkeyPtr key = ReadPrivateKey(pair.key);
  const X509Ptr issuer = ReadCertificate(authority.certificate);
  const bool usable = certificate && key && issuer && X509_check_private_key(certificate.get(), key.get()) == 1 &&
                      X509_verify(certificate.get(), X509_get0_pubkey(issuer.get())) == 1 &&
                      CertificateExpiry(pair.certificate) - now >= kRenewBefore &&
                      CertificateNames(pair.certificate) == names;
  ERR_clear_error();
  return usable;
}

std::vector<std::string> ServerNames(const PkiOptions& options) {
  std::vector<std::string> names = {"127.0.0.1",
                                    "::1",
                                    "localhost",
                                    "kubernetes",
                                    "kubernetes.default",
                                    "kubernetes.default.svc",
                                    "kubernetes.default.svc.cluster.local"};
  std::string host = options.host_name;
  if (host.empty()) {
    char buffer[256] = "";
    if (::gethostname(buffer, sizeof buffer - 1) == 0) host = buffer;
  }
  if (!host.empty()) names.push_back(host);
  if (!options.service_ip.empty()) names.push_back(options.service_ip);
  names.insert(names.end(), options.extra_names.begin(), options.extra_names.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// The files of a key pair, "<dir>/<name>.crt" and ".key".
struct PairFiles {
  std::string certificate;
  std::string key;
  PairFiles(const std::string& dir, std::string_view name)
      : certificate(dir + "/" + std::string(name) + ".crt"), key(dir + "/" + std::string(name) + ".key") {}

  Result<KeyPair> Read() const {
    Result<std::string> crt = ReadFile(certificate);
    if (!crt.ok()) return crt.status();
    Result<std::string> pem = ReadFile(key);
    if (!pem.ok()) return pem.status();
    return KeyPair{std::move(*crt), std::move(*pem)};
  }
  // The key first: a certificate without its key is seen as broken and made again.
  Status Write(const KeyPair& pair, FileBatch* batch) const {
    Status status = batch->Add(key, pair.key);
    if (status.ok()) status = batch->Add(certificate, pair.certificate);
    return status;
  }
};

// Reads the pair, or issues a new one into the batch.
Result<KeyPair> LoadOrIssue(const PairFiles& files, const KeyPair& authority, CertificateSpec spec, Time now,
                            FileBatch* batch) {
  Result<KeyPair> found = files.Read();
  if (!found.ok()) return found.status();
  if (Usable(*found, authority, spec.names, now)) return found;
  Result<KeyPair> made = IssueCertificate(authority, spec, now);
  if (!made.ok()) return made.status();
  const Status status = files.Write(*made, batch);
  if (!status.ok()) return status;
  return made;
}

Result<KeyPair> LoadOrMakeAuthority(const PairFiles& files, Time now, FileBatch* batch) {
  Result<KeyPair> found = files.Read();
  if (!found.ok()) return found.status();
  if (!found->certificate.empty() && !found->key.empty()) {
    const X509Ptr certificate = ReadCertificate(found->certificate);
    const PkeyPtr key = ReadPrivateKey(found->key);
    if (certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1) {
      if (CertificateExpiry(found->certificate) - now >= kRenewBefore) return found;
    } else {
      // Every client trusts this authority: a damaged one is for a person to look at, not to be replaced unasked.
      return Status::Internal("pki: " + files.certificate + " and " + files.key +
                              " do not belong together: " + OpensslError());
    }
  } else if (!found->certificate.empty()) {
    return Status::Internal("pki: " + files.key + " is missing");
  }
  Result<KeyPair> made = MakeAuthority("wherry-ca", now, found->certificate.empty() ? "" : found->key);
  if (!made.ok()) return made.status();
  const Status status = files.Write(*made, batch);
  if (!status.ok()) return status;
  return made;
}

}  // namespace

Status WritePrivateFile(const std::string& path, std::string_view bytes) {
  const size_t slash = path.rfind('/');
  FileBatch batch(slash == std::string::npos ? "." : path.substr(0, slash + 1));
  Status status = batch.Add(path, bytes);
  if (status.ok()) status = batch.Commit();
  return status;
}

Result<Pki> Pki::LoadOrCreate(const PkiOptions& options, Time now) {
  const std::string dir = options.data_dir + "/pki";
  if (::mkdir(options.data_dir.c_str(), 0700) != 0 && errno != EEXIST)
    return FileError("cannot create", options.data_dir);
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return FileError("cannot create", dir);
  if (::chmod(dir.c_str(), 0700) != 0) return FileError("cannot protect", dir);

  Pki pki;
  FileBatch batch(dir);
  Result<KeyPair> authority = LoadOrMakeAuthority(PairFiles(dir, "ca"), now, &batch);
  if (!authority.ok()) return authority.status();
  pki.authority = std::move(*authority);

  CertificateSpec server;
  server.common_name = "wherry";
  server.names = ServerNames(options);
  server.server = true;
  Result<KeyPair> served = LoadOrIssue(PairFiles(dir, "server"), pki.authority, std::move(server), now, &batch);
  if (!served.ok()) return served.status();
  pki.server = std::move(*served);

  CertificateSpec admin;
  admin.common_name = "wherry-admin";
  admin.organizations = {"system:masters"};
  Result<KeyPair> administered = LoadOrIssue(PairFiles(dir, "admin"), pki.authority, std::move(admin), now, &batch);
  if (!administered.ok()) return administered.status();
  pki.admin = std::move(*administered);

  const std::string signing_path = dir + "/service-account.key";
  Result<std::string> signing = ReadFile(signing_path);
  if (signing.ok() && signing->empty()) {
    signing = MakeSigningKey();
    if (!signing.ok()) return signing.status();
    const Status status = batch.Add(signing_path, *signing);
    if (!status.ok()) return status;
  }
  if (!signing.ok()) return signing.status();
  pki.signing_key = std::move(*signing);
  const Status status = batch.Commit();
  if (!status.ok()) return status;
  return pki;
}

std::string Kubeconfig(std::string_view server_url, std::string_view authority_certificate, const KeyPair& client) {
  std::string text;
  text += "apiVersion: v1\nkind: Config\ncurrent-context: wherry\nclusters:\n- name: wherry\n  cluster:\n    server: ";
  text.append(server_url).append("\n    certificate-authority-data: ").append(Base64(authority_certificate));
  text +=
      "\ncontexts:\n- name: wherry\n  context:\n    cluster: wherry\n    user: wherry-admin\nusers:\n- name: "
      "wherry-admin\n";
  text += "  user:\n    client-certificate-data: " + Base64(client.certificate);
  text += "\n    client-key-data: " + Base64(client.key) + "\n";
  return text;
}

}  // namespace wherry::http
