#pragma once

#include <string>

// The sections of cluster_bench: each starts servers of `program`, prints a line or a few, and leaves nothing.
namespace wherry::bench {

void BenchStart(const std::string& program);
void BenchCreate(const std::string& program);
void BenchGet(const std::string& program);
void BenchList(const std::string& program);
void BenchWatch(const std::string& program);
void BenchPods(const std::string& program);
void BenchDeployment(const std::string& program);
void BenchDaemonSet(const std::string& program);
void BenchMemory(const std::string& program);
// The node agent: starts, execs, forwarded ports, memory of running pods.
void BenchPodStart(const std::string& program);
void BenchExec(const std::string& program);
void BenchForward(const std::string& program);
void BenchPodMemory(const std::string& program);

// What a process does that opens an SQLite database and nothing else; its exit status.
int OpenSqlite(const char* path);
// What runs in the pod of the section "forward": serves many bytes to each connection, until it is killed.
int Pour();

}  // namespace wherry::bench
