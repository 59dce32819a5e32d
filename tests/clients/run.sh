#!/usr/bin/env bash
# Drives a wherry server with other people's clients. Each server runs on a free port in a temporary directory.
#
#   tests/clients/run.sh WHERRY CLIENT      kubectl, tutorials, rollout, storage, services, streams, logs, policy, pods,
#                                           lifecycle, configuration, isolation, debug, python, node, kill9, soak or examples
#
# kubectl: Debian's own (build/tools, by tests/setup.sh), those of $WHERRY_KUBECTLS (colon-separated) and the one on PATH.
# Exit status 77 = the client is not on this machine.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
wherry=$(realpath "$1")
client=$2
build=${3:-$here/../../build/clients}

export PYTHONDONTWRITEBYTECODE=1
# Debian's python3, which has python3-kubernetes; another one on PATH would not.
python=/usr/bin/python3
cd "$here"
case "$client" in
  kubectl | tutorials | rollout | storage | services | streams | logs | policy | pods | lifecycle | configuration | isolation | debug | python)
    exec "$python" "${client}_test.py" "$wherry" ;;
  kill9) exec "$python" kill9_test.py "$wherry" "${WHERRY_KILL9_ROUNDS:-50}" ;;
  soak) exec "$python" soak_test.py "$wherry" "${WHERRY_SOAK_SECONDS:-30}" ;;
  examples)
    [ -x "$here/../../build/tools/kubectl" ] || { echo "skipped: no build/tools/kubectl (tests/setup.sh makes it)" >&2; exit 77; }
    WHERRY=$wherry exec "$here/../../examples/workloads.sh" --no-setup --no-build
    ;;
  node) exec "$python" node_test.py "$wherry" "$build/node" ;;
  *)
    echo "run.sh: unknown client $client" >&2
    exit 2
    ;;
esac
