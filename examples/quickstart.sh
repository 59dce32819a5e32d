#!/usr/bin/env bash
# The DaemonSet story on a cluster of one's own, told live: sets up a fresh Debian 12, builds wherry, starts a cluster of three
# pseudo-nodes in a temporary directory and drives it with Debian's kubectl. Every step is checked; the first that does
# not hold ends the story with a message. Leaves nothing behind.
#
#   examples/quickstart.sh [--no-setup] [--no-build]
#
# Runs as root or as an ordinary user; ordinary users may not bind port 80, so their pods serve on 8080 instead.
set -euo pipefail
cd "$(dirname "$0")/.."
. examples/lib.sh
prepare "$@"

port=80
[ "$(id -u)" = 0 ] || port=8080

# What the pod on a node serves.
page_of() { curl -sS --max-time 2 "http://$(kubectl get pods -l "$1" --field-selector "spec.nodeName=$2" -o 'jsonpath={.items[0].status.podIP}'):$3$4"; }

begin=$SECONDS

say "1. A cluster of three nodes, up in a moment."
start_cluster 3
run cat "$work/server.out"
run kubectl get nodes

say "2. A DaemonSet as tutorials write it: image nginx:latest, port 80, no command."
run kubectl apply -f examples/daemonset.yaml
run kubectl rollout status daemonset/web --timeout=20s
run kubectl get ds,pods -o wide
until_equal 5 "3/3/3" "pods ready, desired and up to date" ready web
[ "$(nodes_of app=web)" = "node-1 node-2 node-3" ] || fail "expected one pod on each node, found: $(nodes_of app=web)"

say "3. Every pod has an address of its own, and nginx answers on each, port $port."
[ "$port" = 80 ] || note "(An ordinary user may not bind port 80: it is moved to 8080, and an event of each pod says so.)"
for pod in $(pods_of app=web); do
  printf '%s$ curl -s http://%s:%s/%s\n' "$dim" "${pod#*=}" "$port" "$plain"
  page=$(curl -sS --max-time 5 --retry 5 --retry-connrefused --retry-delay 1 "http://${pod#*=}:$port/") || fail "no answer from ${pod#*=}:$port"
  grep -i -m 1 'nginx' <<< "$page" || fail "this is not nginx: $page"
done
[ "$(pods_of app=web | sed 's/.*=//' | sort -u | wc -l)" = 3 ] || fail "the pods share addresses: $(pods_of app=web)"

say "4. A fourth node joins, and gets its pod."
run kubectl apply -f examples/node.yaml
run kubectl wait --for=condition=Ready node/node-4 --timeout=20s
until_equal 20 "4/4/4" "pods ready with four nodes" ready web
run kubectl get pods -l app=web -o wide

say "5. A node goes, and its process with it."
pod=$(kubectl get pods -l app=web --field-selector spec.nodeName=node-4 -o 'jsonpath={.items[0].metadata.name}')
pids=$(processes_of "$pod")
[ -n "$pids" ] || fail "no process of $pod found"
note "processes of $pod:" $pids
run kubectl delete node node-4
until_equal 20 "" "processes of $pod" still_run $pids
until_equal 20 "3/3/3" "pods ready with three nodes" ready web
note "processes of $pod: none"

say "6. A new image rolls out one node at a time."
kubectl get ds web --watch --no-headers > "$work/rollout" &
watcher=$!
until_equal 20 "3" "the watch of the DaemonSet" awk 'END { print $5 }' "$work/rollout"
run kubectl set image daemonset/web nginx=nginx:1.27
run kubectl rollout status daemonset/web --timeout=40s
until_equal 10 "3/3/3" "pods on the new image" ready web
until_equal 10 "seen" "the watch to see the rollout" awk '$5 == 0 { begun = 1 } END { print begun && $5 == 3 && $6 == 3 ? "seen" : "" }' "$work/rollout"
kill "$watcher" 2>/dev/null || true
wait "$watcher" 2>/dev/null || true
note "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE, as it went:"
awk '{ row = $1 " " $2 " " $3 " " $4 " " $5 " " $6 } row != last { print row; last = row }' "$work/rollout"
awk '$6 + 0 < $2 - 1 { bad = 1 } END { exit bad }' "$work/rollout" || fail "more than one node was without its pod during the rollout"
[ "$(kubectl get pods -l app=web -o 'jsonpath={.items[*].spec.containers[0].image}')" = "nginx:1.27 nginx:1.27 nginx:1.27" ] ||
  fail "not every pod has the new image"
run kubectl rollout history daemonset/web
run kubectl rollout undo daemonset/web
run kubectl rollout status daemonset/web --timeout=40s
[ "$(kubectl get ds web -o 'jsonpath={.spec.template.spec.containers[0].image}')" = nginx:latest ] || fail "undo did not bring nginx:latest back"

say "7. With the strategy OnDelete a pod keeps its version until somebody deletes it."
run kubectl apply -f examples/daemonset-ondelete.yaml
until_equal 20 "3/3/3" "pods of careful" ready careful
run kubectl set image daemonset/careful main=busybox:1.37
until_equal 10 "3/3/0" "nothing is replaced by itself" ready careful
pod=$(kubectl get pods -l app=careful --field-selector spec.nodeName=node-2 -o 'jsonpath={.items[0].metadata.name}')
run kubectl delete pod "$pod"
until_equal 20 "3/3/1" "one pod replaced" ready careful
run kubectl get pods -l app=careful -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName,IMAGE:.spec.containers[0].image
run kubectl delete -f examples/daemonset-ondelete.yaml

say "8. A nodeSelector: pods follow the label."
run kubectl apply -f examples/daemonset-nodeselector.yaml
until_equal 10 "0/0/0" "no node has the label yet" ready ssd-only
run kubectl label node node-1 disk=ssd
until_equal 20 "1/1/1" "the labelled node has its pod" ready ssd-only
run kubectl get pods -l app=ssd-only -o wide
until_equal 10 "node-1: SSD OK" "the log of the pod" kubectl logs -l app=ssd-only --tail=1
run kubectl logs -l app=ssd-only --tail=1
run kubectl label node node-1 disk-
until_equal 20 "" "pods once the label is gone" nodes_of app=ssd-only
run kubectl delete -f examples/daemonset-nodeselector.yaml

say "9. A NoExecute taint drives the pod off its node; taken away, it comes back."
run kubectl taint node node-2 dedicated=database:NoExecute
until_equal 20 "node-1 node-3" "nodes that run nginx" nodes_of app=web
run kubectl get ds web
run kubectl taint node node-2 dedicated-
until_equal 20 "3/3/3" "pods after the taint" ready web
[ "$(nodes_of app=web)" = "node-1 node-2 node-3" ] || fail "node-2 did not get its pod back"

say "10. Another program: Prometheus' node exporter, on each pod's address."
run kubectl apply -f examples/daemonset-node-exporter.yaml
run kubectl rollout status daemonset/node-exporter --timeout=20s
for pod in $(pods_of app=node-exporter); do
  curl -sS --max-time 10 --retry 5 --retry-connrefused --retry-delay 1 "http://${pod#*=}:9100/metrics" > "$work/metrics" ||
    fail "no answer from ${pod#*=}:9100"
  lines=$(grep -c '^node_' "$work/metrics") || fail "no metrics from ${pod#*=}:9100"
  printf '%s$ curl -s http://%s:9100/metrics | grep -c ^node_%s\n%s\n' "$dim" "${pod#*=}" "$plain" "$lines"
done
run kubectl get ds

say "11. Everything goes, and leaves no process behind."
run kubectl delete ds --all
until_equal 30 "" "pods after all DaemonSets are deleted" kubectl get pods -o name
kubectl get pods
stop_cluster
[ -z "${leaked:-}" ] || fail "processes were left behind:$leaked"

say "Done in $((SECONDS - begin)) s."
