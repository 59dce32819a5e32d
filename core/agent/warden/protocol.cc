#include "core/agent/warden/protocol.h"

#include "core/agent/warden/wire.h"

namespace wherry::warden {
namespace {

// Elements of a list travel with their length, so that an older reader can step over fields it does not know.
void PutState(Encoder& out, const ProcessState& state) { out.Str(Encode(state)); }

bool TakeState(Decoder& in, ProcessState* state) {
  const std::string bytes = in.Str();
  return in.ok() && Decode(bytes, state);
}

}  // namespace

std::string EncodeFrame(MessageType type, uint32_t request, std::string_view payload) {
  Encoder out;
  out.bytes().reserve(kFrameHeaderBytes + payload.size());
  out.U32(static_cast<uint32_t>(payload.size() + 5));
  out.U8(static_cast<uint8_t>(type));
  out.U32(request);
  out.bytes().append(payload);
  return std::move(out.bytes());
}

std::optional<Frame> FrameReader::Next() {
  if (taken_ == buffer_.size()) {
    buffer_.clear();
    taken_ = 0;
  } else if (taken_ > (64 << 10)) {
    buffer_.erase(0, taken_);
    taken_ = 0;
  }
  const std::string_view rest = std::string_view(buffer_).substr(taken_);
  if (broken_ || rest.size() < kFrameHeaderBytes) return std::nullopt;
  Decoder in(rest);
  const uint32_t length = in.U32();
  if (length < 5 || length > kMaxFrameBytes) {
    broken_ = true;
    return std::nullopt;
  }
  if (rest.size() < length + 4) return std::nullopt;
  Frame frame{};
  frame.type = static_cast<MessageType>(in.U8());
  frame.request = in.U32();
  frame.payload = rest.substr(kFrameHeaderBytes, length - 5);
  taken_ += length + 4;
  return frame;
}

std::string Encode(const Hello& hello) {
  Encoder out;
  out.U32(hello.version);
  out.U32(hello.oldest);
  out.U32(hello.pid);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, Hello* hello) {
  Decoder in(bytes);
  hello->version = in.U32();
  hello->oldest = in.U32();
  hello->pid = in.U32();
  return in.ok();
}

std::string Encode(const SpawnRequest& request) {
  Encoder out;
  out.Str(request.id);
  out.U32(static_cast<uint32_t>(request.argv.size()));
  for (const std::string& arg : request.argv) out.Str(arg);
  out.U32(static_cast<uint32_t>(request.env.size()));
  for (const auto& [name, value] : request.env) {
    out.Str(name);
    out.Str(value);
  }
  out.Str(request.working_directory);
  out.Str(request.log_path);
  out.I64(request.log_max_bytes);
  out.U32(request.log_max_files);
  out.Str(request.bind_address);
  out.U32(request.privileged_port_offset);
  out.I64(request.run_as_user);
  out.I64(request.run_as_group);
  out.Str(Encode(request.confinement));
  out.Bool(request.open_stdin);
  out.Bool(request.tty);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, SpawnRequest* request) {
  Decoder in(bytes);
  request->id = in.Str();
  request->argv.resize(in.Count(4));
  for (std::string& arg : request->argv) arg = in.Str();
  request->env.resize(in.Count(8));
  for (auto& [name, value] : request->env) {
    name = in.Str();
    value = in.Str();
  }
  request->working_directory = in.Str();
  request->log_path = in.Str();
  request->log_max_bytes = in.I64();
  request->log_max_files = in.U32();
  request->bind_address = in.Str();
  request->privileged_port_offset = in.U32();
  request->run_as_user = in.I64();
  request->run_as_group = in.I64();
  request->confinement = Confinement();
  if (in.ok() && in.at_end()) return true;  // of a version before kConfinementVersion
  const std::string confinement = in.Str();
  if (!in.ok() || !Decode(confinement, &request->confinement)) return false;
  if (in.at_end()) return true;  // of a version before kAttachVersion
  request->open_stdin = in.Bool();
  request->tty = in.Bool();
  return in.ok();
}

std::string Encode(const ProcessState& state) {
  Encoder out;
  out.Str(state.id);
  out.Bool(state.running);
  out.U32(static_cast<uint32_t>(state.pid));
  out.I64(state.started_at);
  out.I64(state.finished_at);
  out.U32(static_cast<uint32_t>(state.exit_code));
  out.U32(static_cast<uint32_t>(state.signal));
  out.Bool(state.lost);
  out.Str(state.note);
  out.Bool(state.oom_killed);
  out.Str(state.killed_for);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, ProcessState* state) {
  Decoder in(bytes);
  state->id = in.Str();
  state->running = in.Bool();
  state->pid = static_cast<int32_t>(in.U32());
  state->started_at = in.I64();
  state->finished_at = in.I64();
  state->exit_code = static_cast<int32_t>(in.U32());
  state->signal = static_cast<int32_t>(in.U32());
  state->lost = in.Bool();
  state->note = in.Str();
  state->oom_killed = !in.at_end() && in.Bool();  // appended in version 3
  if (in.ok() && !in.at_end()) state->killed_for = in.Str();
  return in.ok();
}

std::string Encode(const std::vector<ProcessState>& states) {
  Encoder out;
  out.U32(static_cast<uint32_t>(states.size()));
  for (const ProcessState& state : states) PutState(out, state);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, std::vector<ProcessState>* states) {
  Decoder in(bytes);
  states->resize(in.Count(4));
  for (ProcessState& state : *states) {
    if (!TakeState(in, &state)) return false;
  }
  return in.ok();
}

std::string Encode(const std::vector<ProcessUsage>& usages) {
  Encoder out;
  out.U32(static_cast<uint32_t>(usages.size()));
  for (const ProcessUsage& usage : usages) {
    Encoder one;
    one.Str(usage.id);
    one.I64(usage.started_at);
    one.U64(usage.cpu_us);
    one.U64(usage.memory_bytes);
    one.U32(usage.processes);
    out.Str(one.bytes());
  }
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, std::vector<ProcessUsage>* usages) {
  Decoder in(bytes);
  usages->resize(in.Count(4));
  for (ProcessUsage& usage : *usages) {
    const std::string element = in.Str();
    Decoder one(element);
    usage.id = one.Str();
    usage.started_at = one.I64();
    usage.cpu_us = one.U64();
    usage.memory_bytes = one.U64();
    usage.processes = one.U32();
    if (!one.ok()) return false;
  }
  return in.ok();
}

std::string Encode(const SpawnReply& reply) {
  Encoder out;
  out.Str(reply.reason);
  out.Str(reply.message);
  PutState(out, reply.state);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, SpawnReply* reply) {
  Decoder in(bytes);
  reply->reason = in.Str();
  reply->message = in.Str();
  return TakeState(in, &reply->state);
}

std::string Encode(const SignalRequest& request) {
  Encoder out;
  out.Str(request.id);
  out.U32(static_cast<uint32_t>(request.signal));
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, SignalRequest* request) {
  Decoder in(bytes);
  request->id = in.Str();
  request->signal = static_cast<int32_t>(in.U32());
  return in.ok();
}

std::string Encode(const IdAndNote& note) {
  Encoder out;
  out.Str(note.id);
  out.Str(note.note);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, IdAndNote* note) {
  Decoder in(bytes);
  note->id = in.Str();
  note->note = in.Str();
  return in.ok();
}

std::string Encode(const ExecRequest& request) {
  Encoder out;
  out.Str(request.container_id);
  out.Str(request.exec_id);
  out.U32(static_cast<uint32_t>(request.argv.size()));
  for (const std::string& arg : request.argv) out.Str(arg);
  out.Bool(request.tty);
  out.U32(request.attached);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, ExecRequest* request) {
  Decoder in(bytes);
  request->container_id = in.Str();
  request->exec_id = in.Str();
  request->argv.resize(in.Count(4));
  for (std::string& arg : request->argv) arg = in.Str();
  request->tty = in.Bool();
  request->attached = in.U32();
  return in.ok();
}

std::string Encode(const ExecReply& reply) {
  Encoder out;
  out.Str(reply.reason);
  out.Str(reply.message);
  out.U32(static_cast<uint32_t>(reply.pid));
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, ExecReply* reply) {
  Decoder in(bytes);
  reply->reason = in.Str();
  reply->message = in.Str();
  reply->pid = static_cast<int32_t>(in.U32());
  return in.ok();
}

std::string Encode(const ExecEnd& end) {
  Encoder out;
  out.Str(end.exec_id);
  out.U32(static_cast<uint32_t>(end.exit_code));
  out.U32(static_cast<uint32_t>(end.signal));
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, ExecEnd* end) {
  Decoder in(bytes);
  end->exec_id = in.Str();
  end->exit_code = static_cast<int32_t>(in.U32());
  end->signal = static_cast<int32_t>(in.U32());
  return in.ok();
}

std::string Encode(const AttachRequest& request) {
  Encoder out;
  out.Str(request.container_id);
  out.U32(request.attached);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, AttachRequest* request) {
  Decoder in(bytes);
  request->container_id = in.Str();
  request->attached = in.U32();
  return in.ok();
}

std::string Encode(const AttachReply& reply) {
  Encoder out;
  out.Str(reply.error);
  out.Bool(reply.has_input);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, AttachReply* reply) {
  Decoder in(bytes);
  reply->error = in.Str();
  reply->has_input = in.Bool();
  return in.ok();
}

std::string Encode(const KeptFd& kept) {
  Encoder out;
  out.Str(kept.id);
  out.Str(kept.role);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, KeptFd* kept) {
  Decoder in(bytes);
  kept->id = in.Str();
  if (in.ok() && in.at_end()) return true;  // of a version before kAttachVersion
  kept->role = in.Str();
  return in.ok();
}

std::string EncodeString(std::string_view text) {
  Encoder out;
  out.Str(text);
  return std::move(out.bytes());
}

bool DecodeString(std::string_view bytes, std::string* text) {
  Decoder in(bytes);
  *text = in.Str();
  return in.ok();
}

}  // namespace wherry::warden
