#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/agent/warden/confinement.h"

namespace wherry::warden {

// What the server and the warden say to each other over <data-dir>/warden.sock, a stream of frames:
//   u32 length of the rest | u8 type | u32 request | payload
// A reply carries the number of its request; events carry 0. Both peers may be of different builds: fields and types
// are only ever appended, and each side talks at the lower of the two versions. Types that are not known are skipped.
constexpr uint32_t kProtocolVersion = 5;        // 2: execs; 3: confinement; 4: attach; 5: namespaces of a pod
constexpr uint32_t kOldestProtocolVersion = 1;  // that this build still speaks
constexpr uint32_t kExecVersion = 2;            // the first that knows of execs
constexpr uint32_t kConfinementVersion = 3;     // … of SpawnRequest::confinement
constexpr uint32_t kAttachVersion = 4;          // … of attach, and of stdin and terminals in SpawnRequest and KeptFd
constexpr uint32_t kPodVersion = 5;             // … of what the containers of a pod have together, in Confinement
// An environment and an argument list together may be 2 MiB for execve(2); a list of 100,000 containers fits.
constexpr size_t kMaxFrameBytes = 32 << 20;
constexpr size_t kFrameHeaderBytes = 9;

enum class MessageType : uint8_t {
  kHello = 1,       // server: Hello. Always the first frame
  kHelloReply = 2,  // warden: Hello
  kSpawn = 3,       // server: SpawnRequest
  kSpawnReply = 4,  // warden: SpawnReply
  kSignal = 5,      // server: SignalRequest; reply kDone
  kRemove = 6,      // server: id; reply kDone when nothing of the container is left
  kList = 7,        // server: empty
  kListReply = 8,   // warden: states
  kStop = 9,        // server: empty; kill everything, reply kDone, exit
  kDone = 10,       // warden: error message, "" = fine
  kExited = 11,     // warden, event: state
  kNote = 12,       // warden, event: id and note
  // A descriptor of a container, attached to the frame as SCM_RIGHTS. The server only keeps it, and gives it back to
  // the warden after this one. With no holder left of its bind listener, every later bind(2) of the container would
  // fail with ENOSYS; of its input, the program would see the end of it or be hung up.
  kKeepFd = 13,    // warden, event: KeptFd
  kReturnFd = 14,  // server: KeptFd
  // The program's ends of those stdio descriptors that it gets are attached.
  kExec = 15,        // server: ExecRequest
  kExecReply = 16,   // warden: ExecReply: it runs, or why not
  kExecExited = 17,  // warden, event to the server that asked: ExecEnd
  kStopExec = 18,    // server: exec id; reply kDone
  // The wanted pipes' write ends are attached.
  kAttach = 19,       // server: AttachRequest
  kAttachReply = 20,  // warden: AttachReply, with the end of the container's stdin if it has one
  kCloseStdin = 21,   // server: container id; reply kDone
  kUsage = 40,        // server: empty
  kUsageReply = 41,   // warden: usages of what runs
};

struct Frame {
  MessageType type;
  uint32_t request = 0;
  std::string_view payload;  // valid until the reader is touched
};

std::string EncodeFrame(MessageType type, uint32_t request, std::string_view payload);

// Cuts frames out of the bytes of a stream.
class FrameReader {
 public:
  void Append(const char* data, size_t size) { buffer_.append(data, size); }
  // The next whole frame; nullopt when more bytes are needed or the stream is broken.
  std::optional<Frame> Next();
  // A frame announced a length beyond the limit: the connection is of no more use.
  bool broken() const { return broken_; }

 private:
  std::string buffer_;
  size_t taken_ = 0;  // bytes of frames already handed out
  bool broken_ = false;
};

struct Hello {
  uint32_t version = kProtocolVersion;
  uint32_t oldest = kOldestProtocolVersion;
  uint32_t pid = 0;
};

// The plain form of ContainerSpec (core/agent/container_runtime.h), which says what the fields mean.
struct SpawnRequest {
  std::string id;
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_directory;
  std::string log_path;
  int64_t log_max_bytes = 0;
  uint32_t log_max_files = 0;
  std::string bind_address;
  uint32_t privileged_port_offset = 0;
  int64_t run_as_user = -1;
  int64_t run_as_group = -1;
  Confinement confinement;
  bool open_stdin = false;
  bool tty = false;
};

// The plain form of ContainerState. Times are microseconds since the epoch.
struct ProcessState {
  std::string id;
  bool running = false;
  int32_t pid = 0;
  int64_t started_at = 0;
  int64_t finished_at = 0;
  int32_t exit_code = 0;
  int32_t signal = 0;
  bool lost = false;
  std::string note;
  bool oom_killed = false;
  std::string killed_for;
};

// The plain form of ContainerReading.
struct ProcessUsage {
  std::string id;
  int64_t started_at = 0;
  uint64_t cpu_us = 0;
  uint64_t memory_bytes = 0;
  uint32_t processes = 0;
};

struct SpawnReply {
  std::string reason;  // "" = started
  std::string message;
  ProcessState state;
};

// The plain form of ExecSpec.
struct ExecRequest {
  std::string container_id;
  std::string exec_id;
  std::vector<std::string> argv;
  bool tty = false;
  uint32_t attached = 0;  // bit i: stdio[i] is among the attached descriptors, which are in that order
};

struct ExecReply {
  std::string reason;  // "" = it runs
  std::string message;
  int32_t pid = 0;
};

struct ExecEnd {
  std::string exec_id;
  int32_t exit_code = 0;
  int32_t signal = 0;
};

struct SignalRequest {
  std::string id;
  int32_t signal = 0;
};

struct AttachRequest {
  std::string container_id;
  uint32_t attached = 0;  // bit 1: stdout's pipe is attached; bit 2: stderr's
};

struct AttachReply {
  std::string error;  // "" = attached
  bool has_input = false;
};

struct KeptFd {
  std::string id;
  std::string role;  // kBindListener or kInput
};
inline constexpr const char* kBindListener = "";  // as version 1 knows it
inline constexpr const char* kInput = "input";

struct IdAndNote {
  std::string id;
  std::string note;
};

std::string Encode(const Hello& hello);
std::string Encode(const SpawnRequest& request);
std::string Encode(const ProcessState& state);
std::string Encode(const std::vector<ProcessState>& states);
std::string Encode(const std::vector<ProcessUsage>& usages);
std::string Encode(const SpawnReply& reply);
std::string Encode(const SignalRequest& request);
std::string Encode(const IdAndNote& note);
std::string Encode(const ExecRequest& request);
std::string Encode(const ExecReply& reply);
std::string Encode(const ExecEnd& end);
std::string Encode(const AttachRequest& request);
std::string Encode(const AttachReply& reply);
std::string Encode(const KeptFd& kept);
std::string EncodeString(std::string_view text);

// False when the bytes are not a whole message of the kind.
bool Decode(std::string_view bytes, Hello* hello);
bool Decode(std::string_view bytes, SpawnRequest* request);
bool Decode(std::string_view bytes, ProcessState* state);
bool Decode(std::string_view bytes, std::vector<ProcessState>* states);
bool Decode(std::string_view bytes, std::vector<ProcessUsage>* usages);
bool Decode(std::string_view bytes, SpawnReply* reply);
bool Decode(std::string_view bytes, SignalRequest* request);
bool Decode(std::string_view bytes, IdAndNote* note);
bool Decode(std::string_view bytes, ExecRequest* request);
bool Decode(std::string_view bytes, ExecReply* reply);
bool Decode(std::string_view bytes, ExecEnd* end);
bool Decode(std::string_view bytes, AttachRequest* request);
bool Decode(std::string_view bytes, AttachReply* reply);
bool Decode(std::string_view bytes, KeptFd* kept);
bool DecodeString(std::string_view bytes, std::string* text);

}  // namespace wherry::warden
