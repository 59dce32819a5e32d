#!/usr/bin/env bash
# The DaemonSet story, live: sets up a Debian 12 machine, builds wherry, starts a cluster of three pseudo-nodes and shows what a DaemonSet
# does there, with real kubectl and real nginx processes. Checks every step, cleans up everything, leaves no process behind.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release --target wherry
wherry=$PWD/build/release/api/wherry
kubectl=$PWD/build/tools/kubectl

data=$(mktemp -d /tmp/wherry-quickstart-XXXXXX)
port=80
[ "$(id -u)" = 0 ] || port=8080   # an ordinary user may not bind port 80: the agent serves it at port + 8000
server=
finish() {
  status=$?
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ $status != 0 ]; then
    echo "quickstart: failed; the server said:" >&2
    tail -n 20 "$data/log" >&2 || true
  fi
  rm -rf "$data"
  exit $status
}
trap finish EXIT

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '\033[36m$ %s\033[0m\n' "$*"; "$@"; }
kubectl() { "$kubectl" "$@"; }
fail() { echo "quickstart: $*" >&2; exit 1; }
# until_true SECONDS WHAT COMMAND…: waits for a command to succeed.
until_true() {
  local seconds=$1 what=$2 i
  shift 2
  for ((i = 0; i < seconds * 10; i++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  fail "$what did not happen within $seconds s"
}
pod_ips() { kubectl get pods -l "$1" -o jsonpath='{range .items[*]}{.status.podIP}{"\n"}{end}'; }
pods_are() { [ "$(kubectl get pods -l "$1" --no-headers 2>/dev/null | grep -c ' Running ')" = "$2" ] &&
             [ "$(kubectl get pods -l "$1" --no-headers 2>/dev/null | wc -l)" = "$2" ]; }
serves() { curl -sf --max-time 5 "http://$1:$2$3" | grep -q "$4"; }

say "A cluster of three pseudo-nodes, in one process"
echo "\$ wherry up --nodes 3 --data-dir $data/cluster --port 0 &"
"$wherry" up --nodes 3 --data-dir "$data/cluster" --port 0 --stop-pods >"$data/out" 2>"$data/log" &
server=$!
until_true 20 "the start of the cluster" grep -q KUBECONFIG "$data/out"
cat "$data/out"
export KUBECONFIG=$data/cluster/kubeconfig
run kubectl get nodes

say "A DaemonSet: image nginx:latest, no command, one pod on every node"
run kubectl apply -f examples/daemonset.yaml
run kubectl rollout status daemonset/web --timeout=30s
run kubectl get ds,pods -o wide
until_true 10 "one running pod per node" pods_are app=web 3

say "Each pod is an nginx process that answers on its own pod IP"
for ip in $(pod_ips app=web); do
  until_true 10 "nginx on $ip:$port" serves "$ip" $port / nginx
  echo "http://$ip:$port  $(curl -sf "http://$ip:$port/" | grep -io '<title>.*</title>')"
done

say "A node comes: the DaemonSet follows"
run kubectl apply -f examples/node.yaml
until_true 10 "the fourth pod" pods_are app=web 4
run kubectl get pods -o wide

say "A node goes: its pod's process goes too"
gone=$(kubectl get pods -l app=web --field-selector spec.nodeName=node-4 -o jsonpath='{.items[0].status.podIP}')
run kubectl delete node node-4
until_true 20 "the end of the pod on node-4" pods_are app=web 3
if curl -s --max-time 2 "http://$gone:$port/" >/dev/null; then fail "something still answers on $gone:$port"; fi
echo "nothing answers on $gone:$port any more"

say "A new image rolls out one node at a time"
run kubectl set image daemonset/web nginx=nginx:1.27
run kubectl rollout status daemonset/web --timeout=60s
run kubectl rollout history daemonset/web
[ "$(kubectl get pods -l app=web -o jsonpath='{.items[*].spec.containers[0].image}')" = "nginx:1.27 nginx:1.27 nginx:1.27" ] ||
  fail "not every pod runs nginx:1.27"

say "OnDelete: pods are replaced only when somebody deletes them"
run kubectl patch daemonset web -p '{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}'
run kubectl set image daemonset/web nginx=nginx:1.28
observed() { [ "$(kubectl get ds web -o jsonpath='{.status.observedGeneration}')" = "$(kubectl get ds web -o jsonpath='{.metadata.generation}')" ]; }
until_true 10 "the controller's look at the new template" observed
sleep 1
[ "$(kubectl get pods -l app=web -o jsonpath='{.items[*].spec.containers[0].image}')" = "nginx:1.27 nginx:1.27 nginx:1.27" ] ||
  fail "OnDelete replaced a pod by itself"
pod=$(kubectl get pods -l app=web --field-selector spec.nodeName=node-1 -o name)
run kubectl delete "$pod"
updated() { [ "$(kubectl get ds web -o jsonpath='{.status.updatedNumberScheduled}')" = 1 ]; }
until_true 20 "the one replacement" updated
run kubectl get pods -l app=web -o custom-columns=POD:.metadata.name,NODE:.spec.nodeName,IMAGE:.spec.containers[0].image

say "A nodeSelector: only the nodes that match"
run kubectl apply -f examples/daemonset-nodeselector.yaml
run kubectl label node node-2 disk=ssd
until_true 10 "the pod on the labelled node" pods_are app=ssd-only 1
run kubectl get ds ssd-only

say "A taint: NoExecute drives the pod away, its removal brings it back"
run kubectl taint node node-3 maintenance=now:NoExecute
until_true 30 "the eviction from node-3" pods_are app=web 2
run kubectl get ds web
run kubectl taint node node-3 maintenance-
until_true 20 "the return to node-3" pods_are app=web 3

say "Prometheus' node exporter as a DaemonSet: /metrics on every pod IP"
run kubectl apply -f examples/daemonset-node-exporter.yaml
run kubectl rollout status daemonset/node-exporter --timeout=30s
for ip in $(pod_ips app=node-exporter); do
  until_true 10 "metrics on $ip:9100" serves "$ip" 9100 /metrics node_load1
  echo "http://$ip:9100/metrics  $(curl -sf "http://$ip:9100/metrics" | grep '^node_load1 ')"
done

say "And away with everything"
run kubectl delete daemonset --all
none() { [ -z "$(kubectl get pods --no-headers 2>/dev/null)" ]; }
until_true 40 "the end of all pods" none
kill -TERM "$server"
wait "$server" || fail "the server ended with an error"
server=
if ps -eo args | grep -F "$data" | grep -v grep; then fail "processes are left behind"; fi
echo "no process is left behind"
