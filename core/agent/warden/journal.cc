#include "core/agent/warden/journal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <map>

#include "core/agent/warden/wire.h"

namespace wherry::warden {
namespace {

constexpr char kName[] = "warden.journal";
constexpr char kTemporary[] = "warden.journal.new";
enum Type : uint8_t { kPut = 1, kRemove = 2 };

std::string EncodeRecord(const Record& record) {
  Encoder out;
  out.Str(Encode(record.state));
  out.Str(record.boot_id);
  out.U64(record.start_time);
  out.U64(record.tag);
  out.U64(record.log_pipe[0]);
  out.U64(record.log_pipe[1]);
  out.Str(record.log_path);
  out.I64(record.log_max_bytes);
  out.U32(record.log_max_files);
  out.Str(record.bind_address);
  out.U32(record.privileged_port_offset);
  out.U32(static_cast<uint32_t>(record.env.size()));
  for (const auto& [name, value] : record.env) {
    out.Str(name);
    out.Str(value);
  }
  out.Str(record.working_directory);
  out.I64(record.run_as_user);
  out.I64(record.run_as_group);
  out.Str(Encode(record.confinement));
  out.U32(static_cast<uint32_t>(record.cgroups.size()));
  for (const std::string& cgroup : record.cgroups) out.Str(cgroup);
  return std::move(out.bytes());
}

bool DecodeRecord(std::string_view bytes, Record* record) {
  Decoder in(bytes);
  const std::string state = in.Str();
  record->boot_id = in.Str();
  record->start_time = in.U64();
  record->tag = in.U64();
  record->log_pipe[0] = in.U64();
  record->log_pipe[1] = in.U64();
  record->log_path = in.Str();
  record->log_max_bytes = in.I64();
  record->log_max_files = in.U32();
  record->bind_address = in.Str();
  record->privileged_port_offset = in.U32();
  if (!in.ok() || !Decode(state, &record->state)) return false;
  if (in.at_end()) return true;  // written by a warden that knew no execs
  record->env.resize(in.Count(8));
  for (auto& [name, value] : record->env) {
    name = in.Str();
    value = in.Str();
  }
  record->working_directory = in.Str();
  record->run_as_user = in.I64();
  record->run_as_group = in.I64();
  if (!in.ok() || in.at_end()) return in.ok();  // by one that knew no confinement
  const std::string confinement = in.Str();
  record->cgroups.resize(in.Count(4));
  for (std::string& cgroup : record->cgroups) cgroup = in.Str();
  return in.ok() && Decode(confinement, &record->confinement);
}

std::string Pack(uint8_t type, std::string_view payload) {
  Encoder body;
  body.U8(type);
  body.bytes().append(payload);
  Encoder out;
  out.U32(static_cast<uint32_t>(body.bytes().size()));
  out.U32(Crc32(body.bytes()));
  out.bytes().append(body.bytes());
  return std::move(out.bytes());
}

int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

std::string ReadAll(int fd) {
  std::string bytes;
  char chunk[65536];
  ssize_t n = 0;
  while ((n = read(fd, chunk, sizeof(chunk))) > 0) bytes.append(chunk, static_cast<size_t>(n));
  return bytes;
}

}  // namespace

int Journal::Open(int directory, std::vector<Record>* records) {
  directory_ = directory;
  file_.reset(openat(directory, kName, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file_.valid()) return errno;
  const std::string bytes = ReadAll(file_.get());
  std::map<std::string, Record> live;
  size_t at = 0;
  while (bytes.size() - at >= 8) {
    Decoder head(std::string_view(bytes).substr(at, 8));
    const uint32_t size = head.U32();
    const uint32_t crc = head.U32();
    if (size < 1 || bytes.size() - at - 8 < size) break;
    const std::string_view body = std::string_view(bytes).substr(at + 8, size);
    if (Crc32(body) != crc) break;
    at += 8 + size;
    Record record;
    std::string id;
    if (body[0] == kPut && DecodeRecord(body.substr(1), &record)) {
      id = record.state.id;
      live[id] = std::move(record);
    } else if (body[0] == kRemove && DecodeString(body.substr(1), &id)) {
      live.erase(id);
    }
  }
  std::vector<const Record*> kept;
  for (auto& [id, record] : live) kept.push_back(&record);
  const int error = Compact(kept);  // also cuts off a torn end
  for (auto& [id, record] : live) records->push_back(std::move(record));
  return error;
}

int Journal::Append(uint8_t type, const std::string& payload) {
  const std::string packed = Pack(type, payload);
  const int error = WriteAll(file_.get(), packed);
  if (error != 0) {
    // What follows a torn record would never be read.
    if (ftruncate(file_.get(), written_) != 0) return error;
    return error;
  }
  written_ += static_cast<int64_t>(packed.size());
  return 0;
}

int Journal::Put(const Record& record) { return Append(kPut, EncodeRecord(record)); }

int Journal::Remove(const std::string& id) { return Append(kRemove, EncodeString(id)); }

int Journal::Compact(const std::vector<const Record*>& live) {
  std::string bytes;
  for (const Record* record : live) bytes += Pack(kPut, EncodeRecord(*record));
  Fd fresh(openat(directory_, kTemporary, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!fresh.valid()) return errno;
  int error = WriteAll(fresh.get(), bytes);
  // Synced, so that a power cut cannot leave an empty file under the name.
  if (error == 0 && fdatasync(fresh.get()) != 0) error = errno;
  if (error == 0 && renameat(directory_, kTemporary, directory_, kName) != 0) error = errno;
  if (error != 0) return error;
  file_ = std::move(fresh);
  written_ = compacted_ = static_cast<int64_t>(bytes.size());
  return 0;
}

}  // namespace wherry::warden
