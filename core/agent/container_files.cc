#include "core/agent/container_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/agent/pod_env.h"
#include "core/kinds/fields.h"
#include "core/kinds/resources.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDomain = "cluster.local";
constexpr size_t kLongestHostname = 63;

Status Write(const fs::path& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file || chmod(path.c_str(), 0644) != 0)
    return ContainerRefusal("CreateContainerError", "cannot write " + path.string());
  return {};
}

std::string Read(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void AddNew(std::vector<std::string>& list, std::string word) {
  if (std::find(list.begin(), list.end(), word) == list.end()) list.push_back(std::move(word));
}

std::string NameOf(const std::string& option) { return option.substr(0, option.find(':')); }

}  // namespace

std::string PodHostname(const Json& pod, const PodSite& site) {
  if (BoolAt(pod, "spec.hostNetwork")) return site.node_name;
  std::string name = StringAt(pod, "spec.hostname", StringAt(pod, "metadata.name"));
  if (name.size() > kLongestHostname) name.resize(kLongestHostname);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::string HostsFile(const Json& pod, const PodSite& site) {
  std::string text =
      "# Written by wherry for this pod.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  const std::string name = PodHostname(pod, site);
  const std::string subdomain = StringAt(pod, "spec.subdomain");
  text += site.pod_ip + "\t";
  if (!subdomain.empty())
    text += name + "." + subdomain + "." + StringAt(pod, "metadata.namespace") + ".svc." + kDomain + "\t";
  text += name + "\n";
  for (const Json& alias : ListAt(pod, "spec.hostAliases")) {
    text += StringAt(alias, "ip");
    for (const Json& hostname : ListAt(alias, "hostnames")) text += "\t" + hostname.get<std::string>();
    text += "\n";
  }
  return text;
}

ResolverConfig ParseResolver(const std::string& text) {
  ResolverConfig resolver;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find_first_of("#;")));
    std::string keyword;
    words >> keyword;
    if (keyword == "search" || keyword == "domain") resolver.searches.clear();  // the last one counts
    for (std::string word; words >> word;) {
      if (keyword == "nameserver") resolver.nameservers.push_back(word);
      if (keyword == "search" || keyword == "domain") resolver.searches.push_back(word);
      if (keyword == "options") resolver.options.push_back(word);
    }
  }
  return resolver;
}

ResolverConfig PlanResolver(const Json& pod, const ResolverConfig& machine, const std::string& cluster_dns) {
  const std::string policy = StringAt(pod, "spec.dnsPolicy", "ClusterFirst");
  const bool cluster =
      policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !BoolAt(pod, "spec.hostNetwork"));
  ResolverConfig resolver;
  if (cluster && !cluster_dns.empty()) {
    resolver.nameservers = {cluster_dns};
    const std::string services = std::string("svc.") + kDomain;
    resolver.searches = {StringAt(pod, "metadata.namespace") + "." + services, services, kDomain};
    for (const std::string& search : machine.searches) AddNew(resolver.searches, search);
    resolver.options = {"ndots:5"};
  } else if (policy != "None") {
    resolver = machine;
  }
  for (const Json& address : ListAt(pod, "spec.dnsConfig.nameservers")) AddNew(resolver.nameservers, address);
  for (const Json& search : ListAt(pod, "spec.dnsConfig.searches")) AddNew(resolver.searches, search);
  for (const Json& option : ListAt(pod, "spec.dnsConfig.options")) {
    std::string text = StringAt(option, "name");
    std::erase_if(resolver.options, [&](const std::string& known) { return NameOf(known) == text; });
    if (Has(option, "value")) text += ":" + StringAt(option, "value");
    resolver.options.push_back(std::move(text));
  }
  return resolver;
}

std::string ResolverFile(const ResolverConfig& resolver) {
  std::string text;
  for (const std::string& address : resolver.nameservers) text += "nameserver " + address + "\n";
  const auto line = [&](const char* keyword, const std::vector<std::string>& words) {
    if (words.empty()) return;
    text += keyword;
    for (const std::string& word : words) text += " " + word;
    text += "\n";
  };
  line("search", resolver.searches);
  line("options", resolver.options);
  return text;
}

std::string ClusterDns(const WatchCache& cache, int privileged_port_offset) {
  if (privileged_port_offset != 0) return "";  // it answers on another port, which resolv.conf cannot say
  const ObjectPtr service = cache.Get(resources::kServices, "kube-system", "kube-dns");
  return service ? StringAt(*service->json(), "spec.clusterIP") : "";
}

Status AddHostFiles(const WatchCache& cache, const Json& pod, const PodSite& site, int privileged_port_offset,
                    BuiltContainer& built) {
  const bool sandbox = built.spec.confinement.sandbox;
  std::vector<warden::Mount>& mounts = built.spec.confinement.mounts;
  const fs::path directory = site.directory / "etc";
  const auto add = [&](const char* name, const std::string& text) -> Status {
    const std::string target = std::string("/etc/") + name;
    if (std::any_of(mounts.begin(), mounts.end(), [&](const auto& mount) { return mount.target == target; })) return {};
    const Status written = Write(directory / name, text);
    if (written.ok()) mounts.push_back({(directory / name).string(), target, false});
    return written;
  };
  Status status;
  if (sandbox || Has(pod, "spec.hostAliases")) status = add("hosts", HostsFile(pod, site));
  if (sandbox && status.ok()) status = add("hostname", PodHostname(pod, site) + "\n");
  const std::string policy = StringAt(pod, "spec.dnsPolicy", "ClusterFirst");
  if (status.ok() && (sandbox || Has(pod, "spec.dnsConfig") || policy == "None")) {
    const std::string dns = ClusterDns(cache, privileged_port_offset);
    if (dns.empty() && sandbox && policy.starts_with("ClusterFirst") && !BoolAt(pod, "spec.hostNetwork")) {
      built.notes.push_back(
          "the cluster's names are not resolved in the sandbox: its DNS responder does not answer on port 53 without "
          "root");
    }
    status = add("resolv.conf", ResolverFile(PlanResolver(pod, ParseResolver(Read("/etc/resolv.conf")), dns)));
  }
  std::sort(mounts.begin(), mounts.end(), [](const auto& a, const auto& b) { return a.target < b.target; });
  return status;
}

}  // namespace wherry
