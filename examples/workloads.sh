#!/usr/bin/env bash
# Deployments, Services, budgets, StatefulSets and Jobs, told live on a cluster of one's own: a rollout without one failed
# request, undo, a canary, drains that honour a budget, data that outlives its pods and the server, names in DNS. Driven with
# Debian's kubectl. Every step is checked; the first that does not hold ends the story with a message. Leaves nothing behind.
#
#   examples/workloads.sh [--no-setup] [--no-build]
#
# Runs as root or as an ordinary user; ordinary users may not bind ports below 1024, so theirs are 8000 higher.
set -euo pipefail
cd "$(dirname "$0")/.."
. examples/lib.sh
prepare "$@"

http=80 dns=53
if [ "$(id -u)" != 0 ]; then http=8080 dns=8053; fi

address_of() { kubectl get service "$@" -o 'jsonpath={.spec.clusterIP}'; }
replicas_of() { kubectl get "$1" -o 'jsonpath={.status.readyReplicas}/{.spec.replicas}'; }
# resolve TYPE NAME: what the responder answers, one record a line.
resolve() {
  busybox nslookup "-type=$1" "$2" "$resolver:$dns" 2>/dev/null | sed '1,/^$/d' |
    awk '/^Address/ { print $NF } /service =/ { print $(NF-1), $NF }' | sort
}
# lines_of POD: the data it serves.
lines_of() { curl -sS --max-time 5 --retry 20 --retry-connrefused --retry-delay 1 "http://$(kubectl get pod "$1" -o 'jsonpath={.status.podIP}'):8080/starts" | sort | uniq -c | awk '{ print $1, $2, $3 }'; }

# Clients that ask the Service over and over, each time on a new connection, and write down how it went.
clients_start() {
  : > "$work/asked"
  rm -f "$work/enough"
  clients=
  for _ in 1 2 3; do
    (while [ ! -e "$work/enough" ]; do
      curl -sS --max-time 10 -o /dev/null -w '%{http_code}\n' "http://$site:$http/" >> "$work/asked" 2>&1 || true
    done) &
    clients="$clients $!"
  done
}
clients_end() {
  touch "$work/enough"
  wait $clients
  local all good
  all=$(wc -l < "$work/asked") good=$(grep -c '^200$' "$work/asked" || true)
  note "requests during $1: $all, answered: $good"
  [ "$all" -ge 10 ] || fail "too few requests to tell"
  [ "$all" = "$good" ] || fail "not every request was answered during $1: $(grep -v '^200$' "$work/asked" | sort | uniq -c)"
}

begin=$SECONDS
start_cluster 3
cat "$work/server.out"

say "1. A Deployment of three nginx behind a Service (and a CronJob, for later)."
run kubectl apply -f examples/web.yaml -f examples/cronjob.yaml
run kubectl rollout status deployment/web --timeout=20s
run kubectl get deployment,replicaset,pods,service -l app=web
site=$(address_of web)
page=$(curl -sS --max-time 5 "http://$site:$http/") || fail "no answer from http://$site:$http/"
grep -o 'Served by pod.*node' <<< "$page" || fail "this is not nginx: $page"

say "2. A rolling update, while clients ask all the time."
clients_start
run kubectl set image deployment/web nginx=nginx:1.27
run kubectl rollout status deployment/web --timeout=60s
run kubectl rollout history deployment/web
run kubectl rollout undo deployment/web
run kubectl rollout status deployment/web --timeout=60s
run kubectl rollout restart deployment/web
run kubectl rollout status deployment/web --timeout=60s
clients_end "an update, its undo and a restart"
[ "$(kubectl get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}')" = nginx:1.26 ] || fail "undo did not bring nginx:1.26 back"
until_equal 10 "3/3" "pods of web" replicas_of deployment/web

say "3. A canary gets its share: every fourth connection."
run kubectl apply -f examples/canary.yaml
run kubectl rollout status deployment/web-canary --timeout=20s
for _ in $(seq 40); do curl -sS --max-time 5 "http://$site:$http/" | grep -o 'default/web-[a-z]*' || true; done > "$work/answers"
share=$(grep -c web-canary "$work/answers" || true)
note "of 40 requests the canary answered $share"
[ "$(wc -l < "$work/answers")" = 40 ] && [ "$share" = 10 ] || fail "the canary should have answered 10 of 40: $(sort "$work/answers" | uniq -c)"
run kubectl delete -f examples/canary.yaml

say "4. A budget: nodes are emptied only as far as it allows."
run kubectl apply -f examples/budget.yaml
until_equal 10 "1" "disruptions allowed" kubectl get pdb web -o 'jsonpath={.status.disruptionsAllowed}'
run kubectl get pdb web
clients_start
run kubectl drain node-1 --ignore-daemonsets --timeout=60s
until_equal 10 "3/3" "pods of web" replicas_of deployment/web
clients_end "the drain"
case " $(nodes_of app=web) " in *" node-1 "*) fail "a pod is still on node-1" ;; esac
run kubectl scale deployment/web --replicas=2
until_equal 10 "2/2" "pods of web" replicas_of deployment/web
until_equal 10 "0" "disruptions allowed with two pods" kubectl get pdb web -o 'jsonpath={.status.disruptionsAllowed}'
busy=$(nodes_of app=web)
busy=${busy%% *}
printf '%s$ kubectl drain %s --ignore-daemonsets --timeout=2s%s\n' "$dim" "$busy" "$plain"
if refusal=$(kubectl drain "$busy" --ignore-daemonsets --timeout=2s 2>&1); then fail "the drain of $busy went against the budget"; fi
grep -o -m 1 "Cannot evict pod as it would violate the pod's disruption budget" <<< "$refusal" || fail "another refusal was expected: $refusal"
until_equal 5 "2/2" "pods of web" replicas_of deployment/web
run kubectl uncordon node-1 "$busy"
run kubectl delete -f examples/budget.yaml

say "5. A StatefulSet: names, order and storage."
run kubectl apply -f examples/statefulset.yaml
run kubectl rollout status statefulset/web-state --timeout=30s
run kubectl get pods,pvc -l app=web-state
[ "$(lines_of web-state-2)" = "1 web-state-2 started" ] || fail "web-state-2 serves: $(lines_of web-state-2)"
note "Its pod is deleted: the next one of that name finds what it wrote."
run kubectl delete pod web-state-2
until_equal 20 "3/3" "members" replicas_of statefulset/web-state
until_equal 10 "2 web-state-2 started" "the data of web-state-2" lines_of web-state-2
note "Scaled to one and back to three."
run kubectl scale statefulset/web-state --replicas=1
until_equal 20 "web-state-0" "members left" kubectl get pods -l app=web-state -o 'jsonpath={.items[*].metadata.name}'
[ "$(kubectl get pvc -l app=web-state -o name | wc -l)" = 3 ] || fail "claims went with their pods"
run kubectl scale statefulset/web-state --replicas=3
run kubectl rollout status statefulset/web-state --timeout=30s
until_equal 10 "3 web-state-2 started" "the data of web-state-2" lines_of web-state-2

say "6. The server is killed and started again: processes, addresses and data stay."
members() { for i in 0 1 2; do processes_of "web-state-$i"; done; }
before=$(members)
crash_cluster
restart_cluster
until_equal 20 "3/3" "members" replicas_of statefulset/web-state
[ "$(members)" = "$before" ] || fail "other processes run than before"
note "the same $(wc -w <<< "$before") processes as before"
until_equal 10 "3 web-state-2 started" "the data of web-state-2" lines_of web-state-2
run kubectl delete pod web-state-2
until_equal 20 "3/3" "members" replicas_of statefulset/web-state
until_equal 10 "4 web-state-2 started" "the data of web-state-2" lines_of web-state-2

say "7. Names, asked of the cluster's own responder."
resolver=$(address_of -n kube-system kube-dns)
ip_of() { kubectl get pod "$1" -o 'jsonpath={.status.podIP}'; }
ask() { # TYPE NAME EXPECTED
  until_equal 10 "$3" "$1 $2" resolve "$1" "$2"
  note "$2 $1: $(tr '\n' ' ' <<< "$3")"
}
ask a web.default.svc.cluster.local "$site"
ask srv _http._tcp.web.default.svc.cluster.local "80 web.default.svc.cluster.local"
ask a web-state.default.svc.cluster.local "$(for i in 0 1 2; do ip_of web-state-$i; echo; done | sort)"
ask a web-state-1.web-state.default.svc.cluster.local "$(ip_of web-state-1)"
ask srv _http._tcp.web-state.default.svc.cluster.local \
  "$(for i in 0 1 2; do echo "8080 web-state-$i.web-state.default.svc.cluster.local"; done)"

say "8. A Job, and the CronJob of the beginning."
run kubectl apply -f examples/job.yaml
run kubectl wait --for=condition=complete job/pi --timeout=30s
printf '%s$ kubectl logs job/pi%s\n' "$dim" "$plain"
digits=$(kubectl logs job/pi)
note "${digits:0:40}…"
[ "${digits:0:22}" = 3.14159265358979323846 ] || fail "these are not the digits of pi: $digits"
cron_logs() { kubectl logs -l job-name --prefix=false --tail=-1 2>/dev/null | grep -x -m 1 hello; }
until_equal 75 "hello" "the log of a Job of the CronJob" cron_logs
run kubectl get cronjobs,jobs

say "9. Everything goes, and leaves no process behind."
kubectl delete deployment,statefulset,cronjob,job,service web web-state hello pi --ignore-not-found > "$work/deleted"
kubectl delete pvc -l app=web-state >> "$work/deleted"
note "$(wc -l < "$work/deleted") objects deleted"
until_equal 30 "" "pods after all is deleted" kubectl get pods -o name
until_equal 10 "" "volumes after their claims are deleted" kubectl get pv -o name
stop_cluster
[ -z "${leaked:-}" ] || fail "processes were left behind:$leaked"

say "Done in $((SECONDS - begin)) s."
