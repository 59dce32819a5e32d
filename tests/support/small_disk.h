#pragma once

#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace wherry {

// A file system of a few MiB where temporary directories are made while this lives, to be filled by a test. Only root
// may mount one; elsewhere `ok` says so, loudly.
class SmallDisk {
 public:
  explicit SmallDisk(const char* size) {
    std::string name = (std::filesystem::temp_directory_path() / "wherry-disk-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) return;
    path_ = name;
    const std::string options = std::string("size=") + size;
    mounted_ = mount("wherry-test", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (!mounted_) {
      WARN("SKIPPED: no file system of one's own can be mounted here");
      return;
    }
    const char* before = getenv("TMPDIR");
    if (before) before_ = before;
    setenv("TMPDIR", path_.c_str(), 1);
  }
  ~SmallDisk() {
    if (mounted_) before_.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", before_.c_str(), 1);
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
    std::error_code error;
    std::filesystem::remove(path_, error);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool ok() const { return mounted_; }
  // Nothing is left.
  void Fill() const {
    std::ofstream file(path_ + "/filler", std::ios::binary | std::ios::app);
    const std::string page(4096, 'x');
    while (file.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
    }
  }
  void MakeRoom() const { std::filesystem::remove(path_ + "/filler"); }

 private:
  std::string path_, before_;
  bool mounted_ = false;
};

}  // namespace wherry
