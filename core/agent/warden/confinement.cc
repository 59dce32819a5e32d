#include "core/agent/warden/confinement.h"

#include "core/agent/warden/wire.h"

namespace wherry::warden {

std::string Encode(const Confinement& confinement) {
  Encoder out;
  out.U32(static_cast<uint32_t>(confinement.mounts.size()));
  for (const Mount& mount : confinement.mounts) {
    out.Str(mount.source);
    out.Str(mount.target);
    out.Bool(mount.read_only);
  }
  out.Bool(confinement.sandbox);
  out.Str(confinement.hostname);
  out.Bool(confinement.read_only_root);
  out.Bool(confinement.host_pid);
  out.Bool(confinement.host_ipc);
  out.U64(confinement.scratch_bytes);
  out.U32(static_cast<uint32_t>(confinement.hidden.size()));
  for (const std::string& directory : confinement.hidden) out.Str(directory);
  out.U32(static_cast<uint32_t>(confinement.groups.size()));
  for (const int64_t group : confinement.groups) out.I64(group);
  out.Bool(confinement.limit_capabilities);
  out.U64(confinement.capabilities);
  out.Bool(confinement.default_system_calls);
  out.I64(confinement.memory_limit);
  out.I64(confinement.cpu_limit);
  out.I64(confinement.pids_limit);
  out.Bool(confinement.pause);
  out.Str(confinement.shares);
  out.Str(confinement.shares_pids);
  return std::move(out.bytes());
}

bool Decode(std::string_view bytes, Confinement* confinement) {
  Decoder in(bytes);
  confinement->mounts.resize(in.Count(9));
  for (Mount& mount : confinement->mounts) {
    mount.source = in.Str();
    mount.target = in.Str();
    mount.read_only = in.Bool();
  }
  confinement->sandbox = in.Bool();
  confinement->hostname = in.Str();
  confinement->read_only_root = in.Bool();
  confinement->host_pid = in.Bool();
  confinement->host_ipc = in.Bool();
  confinement->scratch_bytes = in.U64();
  confinement->hidden.resize(in.Count(4));
  for (std::string& directory : confinement->hidden) directory = in.Str();
  confinement->groups.resize(in.Count(8));
  for (int64_t& group : confinement->groups) group = in.I64();
  confinement->limit_capabilities = in.Bool();
  confinement->capabilities = in.U64();
  confinement->default_system_calls = in.Bool();
  confinement->memory_limit = in.I64();
  confinement->cpu_limit = in.I64();
  confinement->pids_limit = in.I64();
  if (!in.ok() || in.at_end()) return in.ok();  // of a version before kPodVersion
  confinement->pause = in.Bool();
  confinement->shares = in.Str();
  confinement->shares_pids = in.Str();
  return in.ok();
}

}  // namespace wherry::warden
