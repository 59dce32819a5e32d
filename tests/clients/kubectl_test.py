"""What people type at kubectl, and what they must see: one table, run with every kubectl there is.

    kubectl_test.py WHERRY
"""

import re
import sys
import time

from wherry_server import Kubectl, Server, kubectls, wait_until

SLEEPER = """
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: sleeper
  labels: {app: sleeper}
spec:
  selector:
    matchLabels: {app: sleeper}
  template:
    metadata:
      labels: {app: sleeper}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox
          command: ["sh", "-c", "echo started on $NODE; exec sleep 1000"]
          env:
            - name: NODE
              valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
"""

JOBS = """
apiVersion: batch/v1
kind: Job
metadata: {name: squares}
spec:
  completionMode: Indexed
  completions: 4
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: main, image: busybox, command: [sh, -c, "echo $JOB_COMPLETION_INDEX*$JOB_COMPLETION_INDEX=$((JOB_COMPLETION_INDEX * JOB_COMPLETION_INDEX))"]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: broken}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: main, image: busybox, command: [sh, -c, "echo no luck; exit 3"]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: yearly}
spec:
  schedule: "30 3 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers:
            - {name: main, image: busybox, command: [echo, by hand]}
"""

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  colour: blue
"""

TWO_IN_ONE = CONFIG + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {password: hidden}\n"

UNKNOWN_FIELD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndatum: {}\n"

NO_IMAGE = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: [{name: c}]}\n"

# (arguments, stdin, exit status, regular expression that stdout and stderr together must match)
# Run from first to last in a fresh cluster of two nodes; each builds on what the ones before have left.
TABLE = [
    # Looking around.
    (["get", "nodes"], None, 0, r"NAME +STATUS +ROLES +AGE +VERSION\nnode-1 +Ready +<none> .*\nnode-2 +Ready"),
    (["get", "nodes", "-o", "wide"], None, 0, r"INTERNAL-IP.*\nnode-1 +Ready +.* 127\.\d+\.\d+\.1 "),
    (["get", "node", "node-1", "-o", "jsonpath={.status.nodeInfo.operatingSystem}"], None, 0, r"^linux$"),
    (["get", "namespaces"], None, 0, r"default +Active.*\n(.*\n)*kube-system +Active"),
    (["get", "ns", "-o", "name"], None, 0, r"^namespace/default\n"),
    (["api-versions"], None, 0, r"(?s)apps/v1\n.*\nv1\n"),
    (["api-resources", "--api-group=apps"], None, 0, r"daemonsets +ds "),
    (["cluster-info"], None, 0, r"is running at .*https://127"),
    (["version"], None, None, r"(?s)Server Version.*v1\.32\.\d+\+wherry"),
    (["get", "pods"], None, 0, r"No resources found in default namespace"),
    (["get", "nothing"], None, 1, r'the server doesn\'t have a resource type "nothing"'),
    (["get", "configmap", "absent"], None, 1, r'Error from server \(NotFound\): configmaps "absent" not found'),
    # Objects of all sorts.
    (["apply", "-f", "-"], CONFIG, 0, r"^configmap/settings created$"),
    (["apply", "-f", "-"], CONFIG, 0, r"^configmap/settings unchanged$"),
    (["apply", "-f", "-"], CONFIG.replace("blue", "red"), 0, r"^configmap/settings configured$"),
    (["get", "cm", "settings", "-o", "jsonpath={.data.colour}"], None, 0, r"^red$"),
    (["diff", "-f", "-"], CONFIG, 1, r"(?s)-  colour: red\n.*\+  colour: blue"),
    (["apply", "--dry-run=server", "-f", "-"], CONFIG, 0, r"configmap/settings configured \(server dry run\)"),
    (["get", "cm", "settings", "-o", "jsonpath={.data.colour}"], None, 0, r"^red$"),
    (["create", "-f", "-"], CONFIG, 1, r'AlreadyExists.*configmaps "settings" already exists'),
    (["replace", "-f", "-"], CONFIG, 0, r"configmap/settings replaced"),
    (["patch", "cm", "settings", "-p", '{"data":{"size":"large"}}'], None, 0, r"configmap/settings patched"),
    (["patch", "cm", "settings", "--type=merge", "-p", '{"data":{"size":null}}'], None, 0, r"patched"),
    (["patch", "cm", "settings", "--type=json", "-p", '[{"op":"add","path":"/data/shape","value":"round"}]'], None, 0,
     r"patched"),
    (["get", "cm", "settings", "-o", "jsonpath={.data}"], None, 0, r'{"colour":"blue","shape":"round"}'),
    (["patch", "cm", "settings", "--type=json", "-p", '[{"op":"remove","path":"/data/none"}]'], None, 1,
     r"remove /data/none"),
    (["label", "cm", "settings", "tier=web"], None, 0, r"configmap/settings labeled"),
    (["get", "cm", "-l", "tier in (web,db)", "-o", "name"], None, 0, r"^configmap/settings$"),
    (["get", "cm", "-l", "tier!=web,tier", "-o", "name"], None, 0, r"^$"),
    (["get", "cm", "-l", "tier in web"], None, 1, r"(?i)unable to parse requirement|BadRequest"),
    (["get", "cm", "-L", "tier"], None, 0, r"NAME +DATA +AGE +TIER\n(.*\n)*settings +2 +\S+ +web"),
    (["annotate", "cm", "settings", "note=a b"], None, 0, r"annotated"),
    (["label", "cm", "settings", "tier-"], None, 0, r"(unlabeled|labeled)"),
    (["get", "cm", "--field-selector", "metadata.name=settings", "-o", "name"], None, 0, r"^configmap/settings$"),
    (["get", "cm", "--field-selector", "data.colour=blue"], None, 1, r"field label not supported"),
    (["get", "cm", "settings", "-o", "yaml"], None, 0, r"(?s)^apiVersion: v1\ndata:\n.*kind: ConfigMap\n"),
    (["describe", "cm", "settings"], None, 0, r"(?s)Name: +settings.*colour:\n----\nblue"),
    (["apply", "-f", "-"], TWO_IN_ONE, 0, r"configmap/settings configured\nsecret/key created"),
    (["get", "secret", "key", "-o", "jsonpath={.data.password}"], None, 0, r"^aGlkZGVu$"),
    (["create", "configmap", "made", "--from-literal=a=b"], None, 0, r"configmap/made created"),
    (["create", "namespace", "team"], None, 0, r"namespace/team created"),
    (["create", "secret", "generic", "s", "-n", "team", "--from-literal=a=b"], None, 0, r"secret/s created"),
    (["create", "serviceaccount", "robot", "-n", "team"], None, 0, r"serviceaccount/robot created"),
    (["get", "cm,secret", "-A"], None, 0, r"NAMESPACE +NAME"),
    (["get", "cm", "kube-root-ca.crt", "-n", "team", "-o", "name"], None, 0, r"^configmap/kube-root-ca.crt$"),
    (["get", "sa", "-n", "team", "-o", "name"], None, 0, r"serviceaccount/default\nserviceaccount/robot"),
    # Mistakes.
    (["apply", "-f", "-"], NO_IMAGE, 1, r"(?s)Invalid|spec\.containers\[0\]\.image: Required value|missing required field"),
    # Newer ones look whether it is a custom resource before they say so; there are none of these yet.
    (["apply", "-f", "-"], "apiVersion: v1\nkind: Nothing\nmetadata: {name: a}\n", 1,
     r"no matches for kind \"Nothing\"|failed to list CRDs"),
    (["create", "configmap", "Bad_Name"], None, 1, r"(?i)invalid"),
    (["create", "configmap", "a", "-n", "absent"], None, 1, r'namespaces "absent" not found'),
    (["delete", "namespace", "default"], None, 1, r"(?i)forbidden"),
    # Workload.
    (["apply", "-f", "-"], SLEEPER, 0, r"daemonset.apps/sleeper created"),
    (["rollout", "status", "ds/sleeper", "--timeout=30s"], None, 0, r'daemon set "sleeper" successfully rolled out'),
    (["get", "ds"], None, 0, r"NAME +DESIRED +CURRENT +READY +UP-TO-DATE +AVAILABLE +NODE SELECTOR +AGE\n"
                             r"sleeper +2 +2 +2 +2 +2 +<none> "),
    (["get", "pods", "-l", "app=sleeper", "-o", "wide", "--sort-by=.spec.nodeName"], None, 0,
     r"(?s)NAME +READY +STATUS +RESTARTS +AGE +IP +NODE.*sleeper-\S+ +1/1 +Running +0 .*node-1.*sleeper-\S+ +1/1 "
     r"+Running +0 .*node-2"),
    (["wait", "--for=condition=Ready", "pod", "-l", "app=sleeper", "--timeout=20s"], None, 0,
     r"(?s)condition met\n.*condition met"),
    (["logs", "-l", "app=sleeper"], None, 0, r"started on node-[12]\nstarted on node-[12]"),
    (["logs", "ds/sleeper", "--tail=1"], None, 0, r"started on node-"),
    (["logs", "ds/sleeper", "-c", "other"], None, 1, r"container other is not valid for pod"),
    (["describe", "ds", "sleeper"], None, 0, r"(?s)Name: +sleeper.*Desired Number of Nodes Scheduled: 2.*SuccessfulCreate"),
    (["describe", "pod", "-l", "app=sleeper"], None, 0, r"(?s)Status: +Running.*Events:.*Scheduled.*Successfully assigned"),
    (["describe", "node", "node-1"], None, 0, r"(?s)Name: +node-1.*Conditions:.*Ready +True.*Non-terminated Pods:.*sleeper"),
    (["get", "all"], None, 0, r"(?s)pod/sleeper-.*daemonset.apps/sleeper"),
    (["get", "events"], None, 0, r"Scheduled"),
    (["set", "image", "ds/sleeper", "main=busybox:1.36"], None, 0, r"daemonset.apps/sleeper image updated"),
    (["rollout", "status", "ds/sleeper", "--timeout=40s"], None, 0, r"successfully rolled out"),
    (["rollout", "history", "ds/sleeper"], None, 0, r"(?s)REVISION +CHANGE-CAUSE\n1 .*\n2 "),
    (["rollout", "undo", "ds/sleeper"], None, 0, r"daemonset.apps/sleeper rolled back"),
    (["rollout", "status", "ds/sleeper", "--timeout=40s"], None, 0, r"successfully rolled out"),
    (["get", "ds", "sleeper", "-o", "jsonpath={.spec.template.spec.containers[0].image}"], None, 0, r"^busybox$"),
    (["rollout", "restart", "ds/sleeper"], None, 0, r"daemonset.apps/sleeper restarted"),
    (["rollout", "status", "ds/sleeper", "--timeout=40s"], None, 0, r"successfully rolled out"),
    (["patch", "ds", "sleeper", "-p", '{"spec":{"selector":{"matchLabels":{"app":"x"}}}}'], None, 1,
     r"(?s)selector.*field is immutable|does not match template"),
    # Nodes.
    (["cordon", "node-1"], None, 0, r"node/node-1 cordoned"),
    (["get", "node", "node-1"], None, 0, r"Ready,SchedulingDisabled"),
    (["uncordon", "node-1"], None, 0, r"node/node-1 uncordoned"),
    (["taint", "node", "node-2", "k=v:NoSchedule"], None, 0, r"node/node-2 tainted"),
    (["taint", "node", "node-2", "k-"], None, 0, r"node/node-2 untainted"),
    (["label", "node", "node-1", "disk=ssd"], None, 0, r"node/node-1 labeled"),
    (["drain", "node-1", "--ignore-daemonsets"], None, 0, r"(?s)cordoned.*(drained|evicted)"),
    (["uncordon", "node-1"], None, 0, r"uncordoned"),
    # Jobs.
    (["apply", "-f", "-"], JOBS, 0, r"job.batch/squares created\njob.batch/broken created\ncronjob.batch/yearly created"),
    (["wait", "--for=condition=complete", "job/squares", "--timeout=20s"], None, 0, r"job.batch/squares condition met"),
    (["wait", "--for=condition=failed", "job/broken", "--timeout=20s"], None, 0, r"job.batch/broken condition met"),
    (["logs", "-l", "job-name=squares"], None, 0, r"(?s)(?=.*0\*0=0)(?=.*1\*1=1)(?=.*2\*2=4)(?=.*3\*3=9)"),
    (["logs", "job/broken"], None, 0, r"no luck"),
    (["get", "jobs"], None, 0, r"NAME +STATUS +COMPLETIONS +DURATION +AGE\nbroken +Failed +0/1 .*\nsquares +Complete +4/4 "),
    (["get", "job", "squares", "-o", "jsonpath={.status.completedIndexes}"], None, 0, r"^0-3$"),
    (["describe", "job", "broken"], None, 0, r"(?s)0 (Running|Active).* / 0 Succeeded / 1 Failed.*BackoffLimitExceeded"),
    (["get", "cronjobs"], None, 0, r"NAME +SCHEDULE +TIMEZONE +SUSPEND +ACTIVE +LAST SCHEDULE +AGE\n"
                                   r"yearly +30 3 1 1 \* +<none> +False +0 +<none> "),
    (["delete", "job", "squares", "broken"], None, 0, r'job.batch "squares" deleted.*\njob.batch "broken" deleted'),
    (["get", "pods", "-l", "job-name", "-o", "name"], None, 0, r"^$"),
    # The end of things.
    (["delete", "ds", "sleeper"], None, 0, r'daemonset.apps "sleeper" deleted'),
    (["wait", "--for=delete", "pod", "-l", "app=sleeper", "--timeout=30s"], None, None, r""),
    (["get", "pods"], None, 0, r"No resources found"),
    (["delete", "cm", "made", "settings"], None, 0, r'configmap "made" deleted.*\nconfigmap "settings" deleted'),
    (["delete", "namespace", "team"], None, 0, r'namespace "team" deleted'),
    (["get", "secret", "-n", "team"], None, 0, r"No resources found"),
]

# Newer than 1.20 only.
NEWER = [
    (["apply", "-f", "-"], UNKNOWN_FIELD, 1, r'unknown field "datum"'),
    (["apply", "-f", "-"], JOBS.split("---")[2], 0, r"cronjob.batch/yearly"),
    (["create", "job", "now", "--from=cronjob/yearly"], None, 0, r"job.batch/now created"),
    (["wait", "--for=condition=complete", "job/now", "--timeout=20s"], None, 0, r"condition met"),
    (["logs", "job/now"], None, 0, r"^by hand$"),
    (["delete", "cronjob", "yearly"], None, 0, r'cronjob.batch "yearly" deleted'),
    (["wait", "--for=delete", "pod", "-l", "job-name=now", "--timeout=20s"], None, None, r""),
    (["auth", "can-i", "create", "pods"], None, 0, r"^yes$"),
    (["create", "token", "default"], None, 0, r"^[\w-]+\.[\w-]+\.[\w-]{86}$"),
    (["create", "token", "default", "--duration=1m"], None, 1, r"may not specify a duration less than 10 minutes"),
    (["create", "token", "nobody"], None, 1, r'serviceaccounts "nobody" not found'),
    (["get", "node", "node-1", "--subresource=status", "-o", "name"], None, 0, r"node/node-1"),
]


def run_table(kubectl, rows):
    failures = []
    for args, stdin, status, pattern in rows:
        try:
            got, out, err = kubectl(*args, stdin=stdin)
        except Exception as error:  # a time-out is a failure like others
            failures.append(f"kubectl {' '.join(args)}: {error}")
            continue
        text = (out + err).rstrip("\n") if not out.endswith("\n") or err else out.rstrip("\n")
        if status is not None and got != status:
            failures.append(f"kubectl {' '.join(args)}: status {got}, not {status}: {text}")
        elif not re.search(pattern, text + ("\n" if "\\n" in pattern[-2:] else "")):
            failures.append(f"kubectl {' '.join(args)}: does not match {pattern!r}:\n{text}")
    return failures


def watch_survives(kubectl):
    """A watch shows what happens, in order."""
    watch = kubectl.start("get", "cm", "--watch", "-o", "name", "-l", "watched=yes")
    try:
        time.sleep(1)  # kubectl has no way to say that its watch stands
        kubectl.ok("create", "cm", "w1")
        kubectl.ok("label", "cm", "w1", "watched=yes")
        kubectl.ok("create", "cm", "w2")
        kubectl.ok("label", "cm", "w2", "watched=yes")
        time.sleep(1)
    finally:
        watch.terminate()
        out = watch.communicate(timeout=10)[0]
    kubectl.ok("delete", "cm", "w1", "w2")
    return [] if "configmap/w1\nconfigmap/w2" in out else [f"get --watch showed {out!r}"]


def token_speaks(kubectl, server):
    """What `create token` prints speaks as the account, without a client certificate; changed, it does not."""
    token = kubectl.ok("create", "token", "default").strip()
    bare = ["--kubeconfig", "/dev/null", "--server", f"https://127.0.0.1:{server.port}", "--insecure-skip-tls-verify"]
    status, out, err = kubectl(*bare, "--token", token, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    if status != 0 or out != "system:serviceaccount:default:default":
        return [f"auth whoami with a token: {status} {out}{err}"]
    status, out, err = kubectl(*bare, "--token", token[:-4] + "AAAA", "get", "pods")
    return [] if status == 1 and "Unauthorized" in err else [f"get pods with a changed token: {status} {out}{err}"]


def no_processes(server):
    try:
        wait_until(lambda: not server.processes(), "processes of deleted pods to end")
    except AssertionError as error:
        return [f"{error}: {server.processes()}"]
    return []


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    failed = False
    for version, program in sorted(found.items()):
        rows = list(TABLE)
        if not version.startswith("v1.20."):
            rows += NEWER
        with Server(sys.argv[1]) as server:
            kubectl = Kubectl(program, server)
            failures = run_table(kubectl, rows) + watch_survives(kubectl) + no_processes(server)
            checks = len(rows) + 2
            if not version.startswith("v1.20."):
                failures += token_speaks(kubectl, server)
                checks += 1
        print(f"kubectl {version}: {checks - len(failures)} of {checks} checks hold")
        for failure in failures:
            print("  " + failure.replace("\n", "\n    "))
        failed = failed or bool(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
