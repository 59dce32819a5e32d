# shellcheck shell=bash
# Shared by the scripts of this folder: narration, checks that say what went wrong, and a cluster of one's own in a temporary
# directory that is gone afterwards, processes and all. Source it; needs bash.

repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
wherry="${WHERRY:-$repo/build/release/api/wherry}"
kubectl_program="$repo/build/tools/kubectl"

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

# say TEXT...: what happens next and why.
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
# note TEXT...: an aside.
note() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
fail() {
  printf '\n%s: FAILED: %s\n' "${0##*/}" "$*" >&2
  if [ -n "${work:-}" ] && [ -s "$work/server.log" ]; then
    printf '\nwhat the cluster looks like:\n' >&2
    kubectl get all,pvc -A -o wide >&2 || true
    kubectl get events -A --field-selector type=Warning 2>/dev/null | tail -n 10 >&2 || true
    printf '\nthe last lines of the server:\n' >&2
    tail -n 15 "$work/server.log" >&2
  fi
  exit 1
}

# kubectl ARGS...: against our cluster, leaving no trace in the home directory.
kubectl() { "$kubectl_program" --kubeconfig "$work/data/kubeconfig" --cache-dir "$work/cache" "$@"; }

# run kubectl ARGS...: shows the command as one would type it, and its real output.
run() {
  printf '%s$ %s%s\n' "$dim" "$*" "$plain"
  "$@" || fail "\`$*\` ended with status $?"
}

# until_equal SECONDS EXPECTED WHAT COMMAND...: repeats COMMAND until it prints EXPECTED.
until_equal() {
  local seconds=$1 expected=$2 what=$3 got='' end
  shift 3
  end=$((SECONDS + seconds))
  while :; do
    got=$("$@" 2>&1) || true
    [ "$got" = "$expected" ] && return 0
    [ "$SECONDS" -lt "$end" ] || break
    sleep 0.1
  done
  fail "$what: expected \"$expected\", after ${seconds}s it is \"$got\""
}

# ready DAEMONSET: its pods as "ready/desired/updated".
ready() {
  kubectl get daemonset "$1" -o 'jsonpath={.status.numberReady}/{.status.desiredNumberScheduled}/{.status.updatedNumberScheduled}' |
    sed 's|/$|/0|'
}
# The pods of a label, one word each: NODE=IP. Only those that are not on their way out.
pods_of() {
  kubectl get pods -l "$1" -o 'jsonpath={range .items[*]}{.metadata.deletionTimestamp}{"|"}{.spec.nodeName}{"="}{.status.podIP}{"\n"}{end}' |
    sed -n 's/^|//p' | sort
}
nodes_of() { pods_of "$1" | sed 's/=.*//' | tr '\n' ' ' | sed 's/ $//'; }

# Pids of the processes in our containers whose directory begins with data/pods/PREFIX: by their working directory or their
# environment. Both, since some programs leave their directory, and others (nginx) write their title over their environment.
container_processes() {
  {
    find /proc/[0-9]*/cwd -maxdepth 0 -lname "$work/data/pods/$1*" 2>/dev/null || true
    grep -lz "^WHERRY_CONTAINER_DIR=$work/data/pods/$1" /proc/[0-9]*/environ 2>/dev/null || true
  } | cut -d / -f 3 | sort -nu
}

# The processes of a pod, by its name; "" when there are none.
processes_of() { container_processes "$(kubectl get pod "$1" -o 'jsonpath={.metadata.uid}')/"; }

# Of the given processes, those that still run.
still_run() {
  local pid
  for pid in "$@"; do
    if kill -0 "$pid" 2>/dev/null; then echo "$pid"; fi
  done
}

# Everything of our cluster: containers, and the server and its warden by their command lines.
cluster_processes() {
  container_processes ""
  # The brackets keep grep from finding itself.
  { grep -lz "[/]${work#/}/data" /proc/[0-9]*/cmdline 2>/dev/null || true; } | cut -d / -f 3
}

# prepare FLAGS...: packages and a build, unless --no-setup and --no-build say otherwise.
prepare() {
  local flag setup=true build=true
  for flag in "$@"; do
    case "$flag" in
      --no-setup) setup=false ;;
      --no-build) build=false ;;
      *) echo "usage: $0 [--no-setup] [--no-build]" >&2; exit 2 ;;
    esac
  done
  if "$setup"; then tests/setup.sh; fi
  if "$build"; then
    cmake --preset release -DWHERRY_TESTS=OFF > /dev/null
    cmake --build --preset release --target wherry
  fi
  [ -x "$wherry" ] || fail "there is no $wherry; run without --no-build"
  [ -x "$kubectl_program" ] || fail "there is no $kubectl_program; run without --no-setup"
}

# start_cluster NODES
start_cluster() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/wherry-example.XXXXXX")
  trap 'stop_cluster' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP PIPE
  nodes=$1
  restart_cluster
}

# The server again, on the same data directory.
restart_cluster() {
  "$wherry" up --nodes "$nodes" --data-dir "$work/data" --port 0 --stop-pods > "$work/server.out" 2>> "$work/server.log" &
  server=$!
  local end=$((SECONDS + 20))
  until grep -q '^wherry is up' "$work/server.out"; do
    kill -0 "$server" 2>/dev/null || fail "the server did not start: $(cat "$work/server.log")"
    [ "$SECONDS" -lt "$end" ] || fail "the server is not up after 20 s"
    sleep 0.02
  done
}

# kill -9 of the server alone.
crash_cluster() {
  kill -9 "$server"
  wait "$server" 2>/dev/null || true
}

# Ends the cluster and everything it started, and removes its directory. Safe to call twice.
stop_cluster() {
  [ -n "${work:-}" ] || return 0
  local end pid left
  if [ -n "${server:-}" ]; then
    kill "$server" 2>/dev/null || true
    end=$((SECONDS + 30))
    while kill -0 "$server" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.05; done
    kill -9 "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
  fi
  end=$((SECONDS + 5))
  while left=$(cluster_processes) && [ -n "$left" ] && [ "$SECONDS" -lt "$end" ]; do sleep 0.1; done
  for pid in $left; do
    leaked="${leaked:-} $pid($(tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null))"
    kill -9 "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
  work=
}
