"""StatefulSets, disruption budgets, quotas and limits, as real kubectls meet them.

    policy_test.py WHERRY
"""

import re
import sys

from wherry_server import Kubectl, Server, kubectls, wait_until

SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox
          command: ["sh", "-c", "echo I am $(hostname); exec sleep 1000"]
"""

BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db}
spec: {minAvailable: 2, selector: {matchLabels: {app: db}}}
"""

QUOTA = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: few}
spec: {hard: {pods: "4", requests.cpu: "1", count/secrets: "1"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: bounds}
spec:
  limits:
    - {type: Container, defaultRequest: {cpu: 100m}, max: {cpu: 500m}}
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 0
  PRIORITY
  containers: [{name: main, image: busybox, command: [sleep, "1000"], resources: {requests: {cpu: CPU}}}]
"""


def pod(name, cpu, priority=""):
    return POD.replace("NAME", name).replace("CPU", cpu).replace("PRIORITY", priority)


def ready(kubectl):
    def check():
        status = kubectl.get("sts", "db").get("status", {})
        return status.get("readyReplicas") == 3 and status.get("currentRevision") == status.get("updateRevision")

    wait_until(check, "three ready pods of one revision")


def check(kubectl):
    failures = []

    def expect(pattern, *args, stdin=None, status=0, timeout=60):
        got, out, err = kubectl(*args, stdin=stdin, timeout=timeout)
        if got != status or not re.search(pattern, out + err):
            failures.append(f"kubectl {' '.join(args)}: status {got}, not {status} with {pattern!r}:\n{out}{err}")

    # A StatefulSet rolls out, breaks, and is repaired.
    expect("db created", "apply", "-f", "-", stdin=SET)
    expect("complete", "rollout", "status", "sts/db", "--timeout=40s")
    expect(r"db +3/3", "get", "sts", "db")
    expect(r"db-0 +1/1 +Running.*\ndb-1 +1/1 +Running.*\ndb-2 ", "get", "pods", "-l", "app=db")
    broken = '[{"op":"replace","path":"/spec/template/spec/containers/0/command","value":["/nowhere"]}]'
    expect("patched", "patch", "sts", "db", "--type=json", "-p", broken)
    wait_until(lambda: "nowhere" in kubectl.ok("get", "sts", "db", "-o", "jsonpath={.status.conditions[0].message}"),
               "the set to say what it waits for")
    expect(r"db-2 +0/1", "get", "pods", "-l", "app=db")
    expect("rolled back", "rollout", "undo", "sts/db")
    expect("complete", "rollout", "status", "sts/db", "--timeout=40s")
    expect(r"(?s)REVISION +CHANGE-CAUSE\n2 .*\n3 ", "rollout", "history", "sts/db")
    expect("restarted", "rollout", "restart", "sts/db")
    expect("complete", "rollout", "status", "sts/db", "--timeout=40s")
    ready(kubectl)

    # A drain honours the budget: two of three must stay, so it waits until evicted pods are back elsewhere.
    # (`kubectl create pdb` of 1.20 speaks policy/v1beta1, which is gone since 1.25.)
    expect("db created", "apply", "-f", "-", stdin=BUDGET)
    wait_until(lambda: kubectl.get("pdb", "db")["status"]["disruptionsAllowed"] == 1, "the budget to be counted")
    expect(r"db +2 +N/A +1 ", "get", "pdb")
    for node in ("node-1", "node-2"):
        watched = kubectl.start("get", "pdb", "db", "--watch", "-o", "jsonpath={.status.currentHealthy} ")
        expect(r"evict", "drain", node, "--ignore-daemonsets", "--timeout=60s", timeout=90)
        ready(kubectl)
        watched.terminate()
        healthy = watched.communicate(timeout=10)[0].split()
        if not healthy or min(map(int, healthy)) < 2:
            failures.append(f"drain {node}: healthy pods were {healthy}")
        on = kubectl.ok("get", "pods", "-l", "app=db", "-o", "jsonpath={.items[*].spec.nodeName}").split()
        if node in on:
            failures.append(f"drain {node}: pods are on {on}")
        expect("uncordoned", "uncordon", node)
    expect("patched", "patch", "pdb", "db", "-p", '{"spec":{"minAvailable":3}}')
    wait_until(lambda: kubectl.get("pdb", "db")["status"]["disruptionsAllowed"] == 0, "the budget to be spent")
    expect("Cannot evict pod as it would violate the pod's disruption budget", "drain", "node-1", "node-2",
           "--timeout=3s", status=1)
    kubectl.ok("uncordon", "node-1", "node-2")
    expect("deleted", "delete", "pdb", "db")
    expect("scaled", "scale", "sts", "db", "--replicas=1")
    wait_until(lambda: kubectl.ok("get", "pods", "-l", "app=db", "-o", "name") == "pod/db-0\n", "one pod to be left")
    expect("deleted", "delete", "sts", "db")
    wait_until(lambda: kubectl.ok("get", "pods", "-o", "name") == "", "the last pod to go")

    # Quotas, limits, priorities.
    expect("few created", "apply", "-f", "-", stdin=QUOTA)
    expect("created", "apply", "-f", "-", stdin=pod("a", "500m"))
    too_big = pod("b", "600m").replace("{requests: {cpu: 600m}}", "{requests: {cpu: 600m}, limits: {cpu: 600m}}")
    expect('pods "b" is forbidden: maximum cpu usage per Container is 500m, but limit is 600m',
           "apply", "-f", "-", stdin=too_big, status=1)
    expect("created", "apply", "-f", "-", stdin=pod("b", "500m"))
    expect(r'pods "c" is forbidden: exceeded quota: few, requested: requests.cpu=1m, used: requests.cpu=1, '
           r'limited: requests.cpu=1', "apply", "-f", "-", stdin=pod("c", "1m"), status=1)
    expect(r"few .*count/secrets: 0/1, pods: 2/4, requests.cpu: 1/1", "get", "quota")
    expect(r"(?s)few.*pods +2 +4.*requests.cpu +1 +1", "describe", "quota", "few")
    expect(r"(?s)Container +cpu +- +500m +100m +500m", "describe", "limits", "bounds")
    expect("created", "create", "secret", "generic", "one")
    expect('secrets "two" is forbidden: exceeded quota: few, requested: count/secrets=1, used: count/secrets=1, '
           'limited: count/secrets=1', "create", "secret", "generic", "two", status=1)
    expect("deleted", "delete", "quota/few", "limits/bounds", "pod/a", "pod/b")
    expect("created", "create", "priorityclass", "high", "--value=1000")
    expect("no PriorityClass with name odd was found", "apply", "-f", "-",
           stdin=pod("d", "1m", "priorityClassName: odd"), status=1)
    expect("created", "apply", "-f", "-", stdin=pod("d", "1m", "priorityClassName: high"))
    expect("^1000$", "get", "pod", "d", "-o", "jsonpath={.spec.priority}")
    expect("deleted", "delete", "pod", "d")
    return failures


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    failed = False
    for version, program in sorted(found.items()):
        with Server(sys.argv[1]) as server:
            failures = check(Kubectl(program, server))
        print(f"kubectl {version}: {len(failures)} failures")
        for failure in failures:
            print("  " + failure.replace("\n", "\n    "))
        failed = failed or bool(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
