#include "store/snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace wherry {
namespace {

constexpr int kPagesPerStep = 256;

[[noreturn]] void Fail(const std::string& what) { throw sqlite::Error(sqlite::Fault::kOther, what); }
[[noreturn]] void FailWithErrno() { Fail(std::strerror(errno)); }

// Makes the new name itself durable.
void SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) FailWithErrno();
  const int result = ::fsync(fd);
  ::close(fd);
  if (result != 0) FailWithErrno();
}

}  // namespace

SnapshotWriter::SnapshotWriter(sqlite::Database& from, std::string path)
    : path_(std::move(path)), partial_(path_ + ".partial") {
  if (::access(path_.c_str(), F_OK) == 0) Fail("the file exists");
  // What an earlier attempt left behind when its server was killed.
  ::unlink(partial_.c_str());
  to_ = std::make_unique<sqlite::Database>(partial_);
  backup_ = std::make_unique<sqlite::Backup>(from, *to_);
}

SnapshotWriter::~SnapshotWriter() {
  if (!to_) return;
  backup_.reset();
  to_.reset();
  ::unlink(partial_.c_str());
  ::unlink((partial_ + "-journal").c_str());
}

bool SnapshotWriter::Step() {
  if (!backup_->Step(kPagesPerStep)) return false;
  backup_.reset();
  to_.reset();
  // link() never replaces a file that came into being meanwhile.
  const int result = ::link(partial_.c_str(), path_.c_str());
  const int error = errno;
  ::unlink(partial_.c_str());
  if (result != 0) Fail(std::strerror(error));
  SyncDirectoryOf(path_);
  return true;
}

}  // namespace wherry
