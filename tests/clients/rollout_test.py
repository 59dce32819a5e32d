"""Deployments and ReplicationControllers with real processes, as people drive them with kubectl: one table, run with
every kubectl there is.

    rollout_test.py WHERRY
"""

import sys

from kubectl_test import run_table
from wherry_server import Kubectl, Server, kubectls

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {kubernetes.io/change-cause: first}
spec:
  replicas: 3
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox:1
          command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
"""

RC = """
apiVersion: v1
kind: ReplicationController
metadata: {name: sister}
spec:
  replicas: 2
  template:
    metadata:
      labels: {app: sister}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: busybox, command: ["sleep", "1000"]}]
"""

DONE = r"successfully rolled out"

# (arguments, stdin, exit status, regular expression that stdout and stderr together must match), as in kubectl_test.py.
TABLE = [
    (["apply", "-f", "-"], WEB, 0, r"deployment.apps/web created"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["wait", "deploy/web", "--for=condition=Available", "--timeout=20s"], None, 0, r"condition met"),
    (["get", "deploy", "web"], None, 0, r"NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +3/3 +3 +3 "),
    (["get", "rs", "-l", "app=web"], None, 0, r"NAME +DESIRED +CURRENT +READY +AGE\nweb-\w+ +3 +3 +3 "),
    (["get", "pods", "-l", "app=web"], None, 0, r"(web-\w+-\w{5} +1/1 +Running .*\n?){3}$"),
    (["apply", "-f", "-"], WEB, 0, r"deployment.apps/web unchanged"),
    # Updates.
    (["set", "image", "deploy/web", "main=busybox:2"], None, 0, r"deployment.apps/web image updated"),
    (["annotate", "deploy", "web", "kubernetes.io/change-cause=second", "--overwrite"], None, 0, r"annotated"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["set", "env", "deploy/web", "COLOUR=blue"], None, 0, r"deployment.apps/web env updated"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["set", "resources", "deploy/web", "--requests=cpu=10m"], None, 0, r"resource requirements updated"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["rollout", "history", "deploy/web"], None, 0,
     r"(?s)REVISION +CHANGE-CAUSE\n1 +first\n2 +second\n3 +second\n4 +second"),
    (["rollout", "history", "deploy/web", "--revision=2"], None, 0, r"(?s)pod-template-hash=.*Image:\s+busybox:2"),
    (["rollout", "undo", "deploy/web"], None, 0, r"deployment.apps/web rolled back"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].resources}"], None, 0, r"^({})?$"),
    (["rollout", "undo", "deploy/web", "--to-revision=1"], None, 0, r"deployment.apps/web rolled back"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"], None, 0, r"^busybox:1$"),
    # The ReplicaSets of undone revisions come back: four templates, four ReplicaSets, and six revisions.
    (["get", "rs", "-l", "app=web", "-o", "name"], None, 0, r"^(replicaset.apps/web-\w+\n?){4}$"),
    (["rollout", "history", "deploy/web"], None, 0, r"(?s)CHANGE-CAUSE\n2 .*\n4 .*\n5 .*\n6 "),
    (["rollout", "restart", "deploy/web"], None, 0, r"deployment.apps/web restarted"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    # Pauses and sizes.
    (["rollout", "pause", "deploy/web"], None, 0, r"deployment.apps/web paused"),
    (["set", "image", "deploy/web", "main=busybox:3"], None, 0, r"image updated"),
    (["scale", "deploy/web", "--replicas=5"], None, 0, r"deployment.apps/web scaled"),
    (["wait", "deploy/web", "--for=condition=Available", "--timeout=20s"], None, 0, r"condition met"),
    (["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].image}"], None, 0,
     r"^(busybox:1 ?)+$"),
    (["rollout", "resume", "deploy/web"], None, 0, r"deployment.apps/web resumed"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["get", "deploy", "web"], None, 0, r"web +5/5 +5 +5 "),
    (["scale", "deploy/web", "--replicas=2", "--current-replicas=4"], None, 1, r"(?i)expected replicas to be 4"),
    (["scale", "deploy/web", "--replicas=1"], None, 0, r"scaled"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    # A template that never comes up: the deadline tells, and undo repairs it.
    (["patch", "deploy", "web", "-p", '{"spec":{"progressDeadlineSeconds":2}}'], None, 0, r"patched"),
    (["set", "image", "deploy/web", "main=nobody.example/absent:1"], None, 0, r"image updated"),
    (["patch", "deploy", "web", "--type=json", "-p",
      '[{"op":"remove","path":"/spec/template/spec/containers/0/command"}]'], None, 0, r"patched"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 1, r"exceeded its progress deadline"),
    (["get", "deploy", "web"], None, 0, r"web +1/1 +1 +1 "),
    (["rollout", "undo", "deploy/web", "--to-revision=2"], None, 0, r"rolled back"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    (["describe", "deploy", "web"], None, 0,
     r"(?s)Progressing +True +NewReplicaSetAvailable.*ScalingReplicaSet +.* +Scaled (up|down) replica set web-\w+"),
    # Recreate.
    (["patch", "deploy", "web", "-p", '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}'], None, 0,
     r"patched"),
    (["set", "env", "deploy/web", "COLOUR=red"], None, 0, r"env updated"),
    (["rollout", "status", "deploy/web", "--timeout=40s"], None, 0, DONE),
    # What is refused.
    (["patch", "deploy", "web", "-p", '{"spec":{"selector":{"matchLabels":{"app":"x"}}}}'], None, 1,
     r"(?s)field is immutable|does not match template"),
    (["patch", "deploy", "web", "-p",
      '{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":0,"maxUnavailable":0}}}}'], None, 1,
     r"may not be 0 when `maxSurge` is 0"),
    (["delete", "deploy", "web"], None, 0, r'deployment.apps "web" deleted'),
    (["wait", "--for=delete", "pod", "-l", "app=web", "--timeout=30s"], None, None, r""),
    (["get", "rs,pods", "-l", "app=web"], None, 0, r"No resources found"),
    # The older sister.
    (["apply", "-f", "-"], RC, 0, r"replicationcontroller/sister created"),
    (["wait", "pod", "-l", "app=sister", "--for=condition=Ready", "--timeout=20s"], None, 0, r"(pod/sister-\w+ condition met\n?){2}"),
    (["scale", "rc/sister", "--replicas=1"], None, 0, r"replicationcontroller/sister scaled"),
    (["get", "rc", "sister"], None, 0, r"sister +1 +1 "),
    (["delete", "rc", "sister"], None, 0, r"deleted"),
]


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    failed = False
    for version, program in sorted(found.items()):
        with Server(sys.argv[1], durability="normal") as server:
            failures = run_table(Kubectl(program, server), TABLE)
        print(f"kubectl {version}: {len(TABLE) - len(failures)} of {len(TABLE)} checks hold")
        for failure in failures:
            print("  " + failure.replace("\n", "\n    "))
        failed = failed or bool(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
