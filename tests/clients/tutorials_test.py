"""DaemonSet manifests as tutorials write them, and every command tutorials teach with them, against real processes on three nodes.

    tutorials_test.py WHERRY

The manifests are in tutorials/. Each story starts where a reader does, with `kubectl apply -f`, and ends with nothing left. What a
reader would look at is compared with what the same kubectl prints in front of Kubernetes.
"""

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request

from wherry_server import Kubectl, Server, kubectls, wait_until

MANIFESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tutorials")
WEB_PORT = 80 if os.geteuid() == 0 else 8080  # docs/node-agent.md: ports below 1024 are served 8000 higher


class Step:
    """A command and what its output, both streams together, must look like."""

    def __init__(self, command, pattern, status=0, soon=False, env=None):
        self.command, self.pattern, self.status, self.soon, self.env = command, pattern, status, soon, env or {}

    def once(self, kubectl):
        try:
            status, out, err = kubectl(*shlex.split(self.command), cwd=MANIFESTS, env=self.env, timeout=90)
        except subprocess.TimeoutExpired:
            return "does not end"
        text = out + err
        if self.status is not None and status != self.status:
            return f"status {status}, not {self.status}:\n{text}"
        if not re.search(self.pattern, text):
            return f"does not match {self.pattern!r}:\n{text}"
        return None

    def run(self, cluster):
        end = time.monotonic() + (30 if self.soon else 0)
        while True:
            failure = self.once(cluster.kubectl)
            if failure is None or time.monotonic() >= end:
                return failure and f"kubectl {self.command}: {failure}"
            time.sleep(0.1)


def sees(command, pattern):
    return Step(command, pattern)


def soon(command, pattern):
    """What becomes true by itself within half a minute."""
    return Step(command, pattern, soon=True)


def refuses(command, pattern):
    return Step(command, pattern, status=1)


def edits(sed, command, pattern):
    """`kubectl edit` by somebody who types like sed."""
    return Step(command, pattern, env={"KUBE_EDITOR": f"sed -i {shlex.quote(sed)}"})


class Check:
    """What is looked at without kubectl's tables: a function of the cluster that raises AssertionError."""

    def __init__(self, what, function):
        self.what, self.function = what, function

    def run(self, cluster):
        try:
            self.function(cluster)
        except (AssertionError, OSError) as error:
            return f"{self.what}: {error}"
        return None


class Cluster:
    def __init__(self, kubectl, server):
        self.kubectl, self.server = kubectl, server
        self.remembered = None

    def pods(self, label, namespace="default"):
        """Those that are not on their way out."""
        items = self.kubectl.get("pods", "-n", namespace, "-l", label)["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def fetch(address, port, path="/"):
    with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def pages(label, pattern, namespace="default", port=WEB_PORT, path="/", count=3):
    """Each pod answers on its own address."""

    def check(cluster):
        pods = cluster.pods(label, namespace)
        assert len(pods) == count, f"{len(pods)} pods, not {count}"
        addresses = {pod["status"]["podIP"] for pod in pods}
        assert len(addresses) == count, f"{count} pods share the addresses {addresses}"
        for address in sorted(addresses):
            def page():
                try:
                    return re.search(pattern, fetch(address, port, path))
                except OSError:
                    return None
            wait_until(page, f"http://{address}:{port}{path} to match {pattern!r}")

    return Check(f"pages of {label}", check)


def remember_pods(label, namespace="default"):
    def check(cluster):
        cluster.remembered = sorted(pod["metadata"]["uid"] for pod in cluster.pods(label, namespace))

    return Check("pods", check)


def same_pods(label, namespace="default"):
    def check(cluster):
        now = sorted(pod["metadata"]["uid"] for pod in cluster.pods(label, namespace))
        assert now == cluster.remembered, f"{now}, not those of before: {cluster.remembered}"

    return Check(f"the pods of {label} are the same as before", check)


def other_pods(label, namespace="default"):
    def check(cluster):
        now = {pod["metadata"]["uid"] for pod in cluster.pods(label, namespace)}
        assert not now & set(cluster.remembered), "some pods are still those of before"

    return Check(f"the pods of {label} are others than before", check)


def _no_processes(cluster):
    wait_until(lambda: not cluster.server.processes(), "the processes of deleted pods to end", timeout=40)


def _users(cluster):
    """What runAsUser asked for, where the server may."""
    if os.geteuid() != 0:
        return
    pods = {pod["metadata"]["uid"] for pod in cluster.pods("app.kubernetes.io/name=node-exporter", "monitoring")}
    users = set()
    for pid, (uid, _) in cluster.server.processes().items():
        if uid in pods:
            users.add(os.stat(f"/proc/{pid}").st_uid)
    assert users == {65534}, f"the exporters run as {users}"


def _metrics_of_the_host(cluster):
    pod = cluster.pods("app.kubernetes.io/name=node-exporter", "monitoring")[0]
    metrics = fetch(pod["status"]["hostIP"], 9100, "/metrics")
    with open("/proc/stat") as stat:
        boot = re.search(r"^btime (\d+)", stat.read(), re.M).group(1)
    found = re.search(r"^node_boot_time_seconds (\S+)", metrics, re.M)
    assert found and abs(float(found.group(1)) - float(boot)) < 2, "node_boot_time_seconds is not this machine's"
    assert f'nodename="{os.uname().nodename}"' in metrics, "node_uname_info is not this machine's"


NO_PROCESSES = Check("no process is left", _no_processes)
DS_HEADER = r"^NAME +DESIRED +CURRENT +READY +UP-TO-DATE +AVAILABLE +NODE SELECTOR +AGE\n"
PODS_WIDE = r"^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n"


def rolled_out(name, namespace="default"):
    return sees(f"rollout status ds/{name} -n {namespace} --timeout=60s",
                rf'daemon set "{name}" successfully rolled out\n$')


def counts(name, desired, namespace="default", selector="<none>"):
    return soon(f"get ds {name} -n {namespace}", DS_HEADER + rf"{name}( +{desired}){{5}} +{re.escape(selector)} +\S+\n$")


def on_nodes(label, *nodes, namespace="default"):
    """One pod Running on each of these, and none elsewhere."""
    if not nodes:
        return soon(f"get pods -n {namespace} -l {label} -o wide", rf"^No resources found in {namespace} namespace\.\n$")
    row = r"\S+ +(\d)/\1 +Running +\d+( \(\S+ ago\))? +\S+ +127\.\S+ +{} +<none> +<none>\n"
    return soon(f"get pods -n {namespace} -l {label} -o wide --sort-by=.spec.nodeName",
                PODS_WIDE + "".join(row.replace(r"\1", rf"\{2 * i + 1}").format(node) for i, node in enumerate(nodes))
                + "$")


FIRST_STEPS = [
    sees("get nodes", r"^NAME +STATUS +ROLES +AGE +VERSION\n(node-\d +Ready +<none> +\S+ +v1\.\S+\n){3}$"),
    sees("apply -f pod.yaml", r"^namespace/tutorial created\npod/web created\n$"),
    sees("get namespaces --show-labels", r"tutorial +Active +\S+ +(kubernetes.io/metadata.name=tutorial,)?name=tutorial\n"),
    sees("wait --for=condition=Ready pod/web -n tutorial --timeout=30s", r"^pod/web condition met\n$"),
    sees("get pod web -n tutorial", r"^NAME +READY +STATUS +RESTARTS +AGE\nweb +1/1 +Running +0 +\S+\n$"),
    sees("get pods --namespace tutorial -l env=test,app=web -o name", r"^pod/web\n$"),
    pages("app=web", "Welcome to nginx", namespace="tutorial", count=1),
    soon("logs web -n tutorial", r'"GET / HTTP/1\.1" 200 '),
    sees("describe pod web -n tutorial",
         r"(?s)^Name: +web\nNamespace: +tutorial\nPriority: +0\n.*Node: +node-\d/127\.\S+\n.*Labels: +app=web\n +env=test\n.*"
         r"Status: +Running\nIP: +127\..*Containers:\n  nginx:\n    Container ID: +\S+\n    Image: +nginx\n.*"
         r"State: +Running\n      Started: .*Ready: +True\n    Restart Count: +0\n.*Conditions:\n  Type +Status\n.*"
         r"QoS Class: +BestEffort\n.*node\.kubernetes\.io/not-ready:NoExecute op=Exists for 300s\n"),
    sees("describe pod web -n tutorial",
         r"(?s)Events:\n  Type +Reason +Age +From +Message\n.*Scheduled.*Pulled.*Created.*Started container nginx\n"),
    refuses("apply -f pod.yaml -n default", r"the namespace from the provided object \"tutorial\" does not match"),
    sees("delete -f pod.yaml", r'^namespace "tutorial" deleted\npod "web" deleted'),
    soon("get pods -n tutorial", r"^No resources found in tutorial namespace\.\n$"),
    soon("get ns tutorial --ignore-not-found", r"^$"),
]

NGINX = [
    sees("apply -f nginx.yaml", r"^daemonset\.apps/nginx-ds created\n$"),
    rolled_out("nginx-ds"),
    sees("get daemonsets", DS_HEADER + r"nginx-ds( +3){5} +<none> +\S+\n$"),
    sees("get daemonset nginx-ds -o wide",
         r"^NAME .* AGE +CONTAINERS +IMAGES +SELECTOR\nnginx-ds( +3){5} +<none> +\S+ +nginx +nginx:1\.25 +app=nginx\n$"),
    on_nodes("app=nginx", "node-1", "node-2", "node-3"),
    pages("app=nginx", "Welcome to nginx"),
    soon("logs -l app=nginx --prefix=true", r"(?m)^\[pod/nginx-ds-\S+/nginx\] .*GET / HTTP"),
    soon("logs ds/nginx-ds", r"GET / HTTP"),
    sees("get pods -l app=nginx --show-labels",
         r"app=nginx,controller-revision-hash=[a-z0-9]+,pod-template-generation=1\n"),
    sees("describe ds nginx-ds",
         r"(?s)^Name: +nginx-ds\nSelector: +app=nginx\nNode-Selector: +<none>\nLabels: +app=nginx\n"
         r"Annotations: +deprecated\.daemonset\.template\.generation: 1\n"
         r"Desired Number of Nodes Scheduled: 3\nCurrent Number of Nodes Scheduled: 3\n"
         r"Number of Nodes Scheduled with Up-to-date Pods: 3\nNumber of Nodes Scheduled with Available Pods: 3\n"
         r"Number of Nodes Misscheduled: 0\nPods Status:  3 Running / 0 Waiting / 0 Succeeded / 0 Failed\n"
         r"Pod Template:\n  Labels:  app=nginx\n  Containers:\n   nginx:\n    Image: +nginx:1\.25\n    Port: +80/TCP\n"
         r".*Events:\n  Type +Reason +Age +From +Message\n.*"
         r"Normal +SuccessfulCreate +\S+ +daemonset-controller +Created pod: nginx-ds-"),
    sees("describe pods -l app=nginx",
         r"(?s)Controlled By:  DaemonSet/nginx-ds\n.*Tolerations: +node\.kubernetes\.io/disk-pressure:NoSchedule op=Exists\n"
         r" +node\.kubernetes\.io/memory-pressure:NoSchedule op=Exists\n +node\.kubernetes\.io/not-ready:NoExecute op=Exists\n"
         r" +node\.kubernetes\.io/pid-pressure:NoSchedule op=Exists\n +node\.kubernetes\.io/unreachable:NoExecute op=Exists\n"
         r" +node\.kubernetes\.io/unschedulable:NoSchedule op=Exists\nEvents:\n"),
    # In the order in which it happened.
    sees("describe pods -l app=nginx",
         r"Events:\n.*\n.*\n +Normal +Scheduled +\S+ +default-scheduler +Successfully assigned default/\S+ to node-\d\n"
         r"( +Normal +Pull.*\n)+ +Normal +Created +\S+ +kubelet +Created container:? nginx\n +Normal +Started .*\n"),
    sees("describe node node-2",
         r"(?s)Name: +node-2\nRoles: +<none>\n.*Taints: +<none>\nUnschedulable: +false\n.*Conditions:\n.*Ready +True .*"
         r"Capacity:\n  cpu: .*Allocatable:\n.*PodCIDR: .*Non-terminated Pods: +\(1 in total\)\n.*default +nginx-ds-\S+ .*"
         r"Allocated resources:\n"),
    sees("get controllerrevisions", r"NAME +CONTROLLER +REVISION +AGE\nnginx-ds-\S+ +daemonset\.apps/nginx-ds +1 "),
    # A new version: rolling update, history, and back.
    remember_pods("app=nginx"),
    sees("set image ds/nginx-ds nginx=nginx:1.26", r"^daemonset\.apps/nginx-ds image updated\n$"),
    sees("rollout status ds/nginx-ds --watch=false",
         r'^(Waiting for daemon set (spec update to be observed|"nginx-ds" rollout to finish: \d (out of 3 new pods have been '
         r'updated|of 3 updated pods are available))\.\.\.|daemon set "nginx-ds" successfully rolled out)\n$'),
    sees("rollout status daemonset nginx-ds",
         r'^(Waiting for daemon set .*\.\.\.\n)*daemon set "nginx-ds" successfully rolled out\n$'),
    other_pods("app=nginx"),
    sees("describe ds nginx-ds", r"(?s)Image: +nginx:1\.26\n.*SuccessfulDelete +\S+ +daemonset-controller +Deleted pod: "),
    sees("rollout history ds/nginx-ds",
         r"^daemonset\.apps/nginx-ds ?\nREVISION +CHANGE-CAUSE\n1 +<none>\n2 +<none>\n\n$"),
    sees("set image ds/nginx-ds nginx=nginx:1.27 --record", r"daemonset\.apps/nginx-ds image updated\n"),
    rolled_out("nginx-ds"),
    sees("annotate ds/nginx-ds kubernetes.io/change-cause='to 1.27' --overwrite", r"nginx-ds annotated\n"),
    soon("rollout history daemonset nginx-ds", r"REVISION +CHANGE-CAUSE\n1 +<none>\n2 +<none>\n3 +(to 1\.27|kubectl.* set image )"),
    sees("rollout history ds/nginx-ds --revision=2",
         r"^daemonset\.apps/nginx-ds with revision #2\nPod Template:\n  Labels:\tapp=nginx\n  Containers:\n   nginx:\n"
         r"    Image:\tnginx:1\.26\n    Port:\t80/TCP\n    Host Port:\t0/TCP\n    Environment:\t<none>\n    Mounts:\t<none>\n"
         r"  Volumes:\t<none>\n"),
    refuses("rollout history ds/nginx-ds --revision=9", r"error: unable to find the specified revision\n"),
    sees("rollout undo ds/nginx-ds --dry-run=client", r"(?s)will roll back to Pod Template:.*nginx:1\.26.*\(dry run\)"),
    sees("rollout undo ds/nginx-ds", r"^daemonset\.apps/nginx-ds rolled back\n$"),
    rolled_out("nginx-ds"),
    sees("get ds nginx-ds -o jsonpath={.spec.template.spec.containers[0].image}", r"^nginx:1\.26$"),
    sees("rollout history ds/nginx-ds", r"REVISION +CHANGE-CAUSE\n1 .*\n3 .*\n4 .*\n\n$"),
    sees("rollout undo ds nginx-ds --to-revision=1", r"^daemonset\.apps/nginx-ds rolled back\n$"),
    rolled_out("nginx-ds"),
    remember_pods("app=nginx"),
    sees("rollout undo ds nginx-ds --to-revision=5",
         r"^daemonset\.apps/nginx-ds skipped rollback \(current template already matches revision 5\)\n$"),
    same_pods("app=nginx"),
    refuses("rollout undo ds nginx-ds --to-revision=99", r"^error: unable to find specified revision 99 in history\n$"),
    sees("rollout restart ds/nginx-ds", r"^daemonset\.apps/nginx-ds restarted\n$"),
    rolled_out("nginx-ds"),
    other_pods("app=nginx"),
    sees("get pods -l app=nginx -o yaml", r"kubectl\.kubernetes\.io/restartedAt: "),
    # What does not go with a DaemonSet.
    refuses("rollout pause ds/nginx-ds", r'^error: daemonsets\.apps "nginx-ds" pausing is not supported\n$'),
    refuses("rollout resume ds/nginx-ds", r'^error: daemonsets\.apps "nginx-ds" resuming is not supported\n$'),
    refuses("scale ds nginx-ds --replicas=2", r"^Error from server \(NotFound\): the server could not find the requested resource"),
    refuses("autoscale ds nginx-ds --max=3", r"error: cannot autoscale a DaemonSet"),
    refuses("expose ds nginx-ds", r"^error: cannot expose a DaemonSet\.apps\n$"),
    # By hand.
    edits("s/image: nginx:1.25/image: nginx:1.24/", "edit ds nginx-ds", r"^daemonset\.apps/nginx-ds edited\n$"),
    edits("s/nothing/nothing/", "edit ds nginx-ds", r"^Edit cancelled, no changes made\.\n$"),
    rolled_out("nginx-ds"),
    sees("get pods -l app=nginx -o jsonpath={.items[*].spec.containers[0].image}", r"^nginx:1\.24 nginx:1\.24 nginx:1\.24$"),
    Step("edit ds nginx-ds", r'daemonsets\.apps "nginx-ds" (is invalid|was not valid)', status=1,
         env={"KUBE_EDITOR": "sed -i 's/maxUnavailable: 1/maxUnavailable: -1/'"}),
    refuses("patch ds nginx-ds --type=merge -p '{\"spec\":{\"selector\":{\"matchLabels\":{\"app\":\"other\"}}}}'",
            r"(?s)The DaemonSet \"nginx-ds\" is invalid: .*spec\.selector: Invalid value: .*field is immutable"),
    sees("patch ds nginx-ds -p '{\"spec\":{\"updateStrategy\":{\"rollingUpdate\":{\"maxUnavailable\":\"50%\"}}}}'",
         r"^daemonset\.apps/nginx-ds patched\n$"),
    sees("apply -f nginx.yaml", r"^daemonset\.apps/nginx-ds configured\n$"),
    sees("apply -f nginx.yaml", r"^daemonset\.apps/nginx-ds (unchanged|configured)\n$"),
    rolled_out("nginx-ds"),
    # A pod that somebody deletes comes back.
    remember_pods("app=nginx"),
    sees("delete pods -l app=nginx", r'^(pod "nginx-ds-\S+" deleted.*\n){3}$'),
    counts("nginx-ds", 3),
    other_pods("app=nginx"),
    # The set goes and its pods stay; the next one takes them over (when nothing of the restart is left in the template).
    sees("replace -f nginx.yaml", r"^daemonset\.apps/nginx-ds replaced\n$"),
    rolled_out("nginx-ds"),
    remember_pods("app=nginx"),
    sees("delete ds nginx-ds --cascade=orphan", r'^daemonset\.apps "nginx-ds" deleted'),
    refuses("get ds nginx-ds", r'^Error from server \(NotFound\): daemonsets\.apps "nginx-ds" not found\n$'),
    same_pods("app=nginx"),
    sees("get pods -l app=nginx -o jsonpath={.items[*].metadata.ownerReferences}", r"^$"),
    sees("create -f nginx.yaml", r"^daemonset\.apps/nginx-ds created\n$"),
    counts("nginx-ds", 3),
    same_pods("app=nginx"),
    refuses("create -f nginx.yaml", r'^Error from server \(AlreadyExists\): error when creating "nginx\.yaml": daemonsets\.apps '
                                    r'"nginx-ds" already exists\n$'),
    sees("delete -f nginx.yaml", r'^daemonset\.apps "nginx-ds" deleted'),
    on_nodes("app=nginx"),
    sees("get ds", r"^No resources found in default namespace\.\n$"),
    refuses("delete -f nginx.yaml", r'^Error from server \(NotFound\): error when deleting "nginx\.yaml": daemonsets\.apps '
                                    r'"nginx-ds" not found\n$'),
]

# 1.20 still has the old way to say it.
CASCADE_FALSE = [
    sees("apply -f ondelete.yaml", "created"),
    counts("careful", 3),
    remember_pods("app=careful"),
    sees("delete ds careful --cascade=false", r"--cascade=false is deprecated[^\n]*\n?(.*\n)*"),
    same_pods("app=careful"),
    sees("delete pods -l app=careful", r"deleted"),
    on_nodes("app=careful"),
]

FLUENTD = [
    sees("apply -f fluentd-elasticsearch.yaml", r"^daemonset\.apps/fluentd-elasticsearch created\n$"),
    rolled_out("fluentd-elasticsearch", "kube-system"),
    sees("get ds -n kube-system", DS_HEADER + r"fluentd-elasticsearch( +3){5} +<none> +\S+\n$"),
    on_nodes("name=fluentd-elasticsearch", "node-1", "node-2", "node-3", namespace="kube-system"),
    sees("get ds --all-namespaces", r"NAMESPACE +NAME .*\nkube-system +fluentd-elasticsearch( +3){5} "),
    sees("describe ds fluentd-elasticsearch --namespace=kube-system",
         r"(?s)Labels: +k8s-app=fluentd-logging\n.*Limits:\n      memory:  200Mi\n    Requests:\n      cpu:  +100m\n      memory:  "
         r"+200Mi\n.*Mounts:\n      /var/lib/docker/containers from varlibdockercontainers \(ro\)\n      /var/log from varlog "
         r"\(rw\)\n  Volumes:\n   varlog:\n    Type:  +HostPath \(bare host directory volume\)\n    Path:  +/var/log\n"),
    sees("describe pods -n kube-system -l name=fluentd-elasticsearch",
         r"(?s)QoS Class: +Burstable\n.*Tolerations: +node-role\.kubernetes\.io/control-plane:NoSchedule op=Exists\n"
         r" +node-role\.kubernetes\.io/master:NoSchedule op=Exists\n"),
    # It does what it is for: a line that a pod prints arrives at the collector of its node.
    sees("run talker --image=busybox --restart=Never -- sh -c 'echo a line worth collecting; sleep 1000'", r"pod/talker created"),
    soon("logs -n kube-system -l name=fluentd-elasticsearch --tail=-1", r"a line worth collecting"),
    sees("delete pod talker --grace-period=0 --force", r'pod "talker" (force )?deleted'),
    # A control-plane node keeps its pod; so does one that is cordoned.
    sees("taint nodes node-1 node-role.kubernetes.io/control-plane=:NoSchedule", r"^node/node-1 tainted\n$"),
    remember_pods("name=fluentd-elasticsearch", "kube-system"),
    sees("cordon node-2", r"^node/node-2 cordoned\n$"),
    sees("rollout restart ds fluentd-elasticsearch -n kube-system", r"restarted"),
    rolled_out("fluentd-elasticsearch", "kube-system"),
    counts("fluentd-elasticsearch", 3, "kube-system"),
    other_pods("name=fluentd-elasticsearch", "kube-system"),
    sees("uncordon node-2", r"^node/node-2 uncordoned\n$"),
    sees("taint nodes node-1 node-role.kubernetes.io/control-plane:NoSchedule-", r"^node/node-1 untainted\n$"),
    # Beside it, the variant that is a part of the cluster.
    sees("apply -f fluentd-critical.yaml", r"^serviceaccount/fluentd created\ndaemonset\.apps/fluentd created\n$"),
    rolled_out("fluentd", "kube-system"),
    sees("describe pod -n kube-system -l k8s-app=fluentd-logging",
         r"(?s)Priority: +2000001000\nPriority Class Name: +system-node-critical\n.*FLUENT_ELASTICSEARCH_PORT: +9200\n.*"
         r"Tolerations: +:NoExecute op=Exists\n +:NoSchedule op=Exists\n"),
    sees("delete -f fluentd-critical.yaml -f fluentd-elasticsearch.yaml",
         r'^serviceaccount "fluentd" deleted.*\ndaemonset\.apps "fluentd" deleted.*\ndaemonset\.apps "fluentd-elasticsearch" deleted'),
    on_nodes("name=fluentd-elasticsearch", namespace="kube-system"),
]

NODE_EXPORTER = [
    sees("apply -f node-exporter.yaml",
         r"^namespace/monitoring created\nserviceaccount/node-exporter created\ndaemonset\.apps/node-exporter created\n"
         r"service/node-exporter created\n$"),
    rolled_out("node-exporter", "monitoring"),
    counts("node-exporter", 3, "monitoring", "kubernetes.io/os=linux"),
    # hostNetwork: a pod's address is its node's.
    Check("addresses", lambda cluster: [
        wait_until(lambda: pod["status"]["podIP"] == pod["status"]["hostIP"], "podIP to be the node's", 0.1)
        for pod in cluster.pods("app.kubernetes.io/name=node-exporter", "monitoring")]),
    pages("app.kubernetes.io/name=node-exporter", "(?m)^node_cpu_seconds_total", "monitoring", 9100, "/metrics"),
    Check("metrics", _metrics_of_the_host),
    Check("users", _users),
    sees("get pods -n monitoring -o wide", r"(?m)^node-exporter-\S+ +1/1 +Running +0 "),
    soon("logs -n monitoring -l app.kubernetes.io/name=node-exporter --tail=200", r"Listening on|listening"),
    sees("describe ds -n monitoring node-exporter",
         r"(?s)Node-Selector: +kubernetes\.io/os=linux\n.*Annotations: +prometheus\.io/port: 9100\n.*Port: +9100/TCP\n +Host Port: "
         r"+9100/TCP\n.*Args:\n      --web\.listen-address=:9100\n      --path\.procfs=/host/proc\n.*Mounts:\n      /host/proc from "
         r"proc \(ro\)\n      /host/root from root \(ro\)\n      /host/sys from sys \(ro\)\n"),
    sees("get svc -n monitoring", r"NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\nnode-exporter +ClusterIP +None +<none> +9100/TCP "),
    sees("set image ds/node-exporter node-exporter=prom/node-exporter:v1.5.0 -n monitoring", r"image updated"),
    rolled_out("node-exporter", "monitoring"),
    pages("app.kubernetes.io/name=node-exporter", "(?m)^node_load1 ", "monitoring", 9100, "/metrics"),
    sees("delete -f node-exporter.yaml",
         r'^namespace "monitoring" deleted\nserviceaccount "node-exporter" deleted.*\ndaemonset\.apps "node-exporter" deleted'),
    soon("get ns monitoring --ignore-not-found", r"^$"),
]

NODE_LABELS = [
    sees("apply -f ssd-monitor.yaml", r"^daemonset\.apps/ssd-monitor created\n$"),
    sees("get ds ssd-monitor", DS_HEADER + r"ssd-monitor( +0){5} +disk=ssd +\S+\n$"),
    rolled_out("ssd-monitor"),
    sees("label node node-1 disk=ssd", r"^node/node-1 labeled\n$"),
    on_nodes("app=ssd-monitor", "node-1"),
    sees("label nodes node-2 node-3 disk=ssd", r"^node/node-2 labeled\nnode/node-3 labeled\n$"),
    on_nodes("app=ssd-monitor", "node-1", "node-2", "node-3"),
    soon("logs -l app=ssd-monitor --tail=1", r"^(5\.\.\.4\.\.\.3\.\.\.2\.\.\.1\.\.\.\n){3}$"),
    sees("get nodes -l disk=ssd -L disk", r"^NAME +STATUS +ROLES +AGE +VERSION +DISK\n(node-\d +Ready .* ssd\n){3}$"),
    refuses("label node node-1 disk=hdd", r"^error: 'disk' already has a value \(ssd\), and --overwrite is false\n$"),
    sees("label node node-1 disk=hdd --overwrite", r"^node/node-1 labeled\n$"),
    on_nodes("app=ssd-monitor", "node-2", "node-3"),
    sees("get node node-1 --show-labels", r"disk=hdd.*kubernetes\.io/hostname=node-1,kubernetes\.io/os=linux"),
    sees("label nodes --all disk-", r"(?m)^node/node-1 (un)?labeled$"),
    on_nodes("app=ssd-monitor"),
    sees("delete ds ssd-monitor", r'^daemonset\.apps "ssd-monitor" deleted'),
    sees("apply -f gpu-driver.yaml", r"^daemonset\.apps/gpu-driver created\n$"),
    sees("get ds gpu-driver", DS_HEADER + r"gpu-driver( +0){5} +<none> +\S+\n$"),
    sees("label nodes node-1 accelerator=nvidia", r"labeled"),
    sees("label nodes node-3 accelerator=amd", r"labeled"),
    sees("label nodes node-2 accelerator=other", r"labeled"),
    on_nodes("app=gpu-driver", "node-1", "node-3"),
    sees("label nodes --all accelerator-", r"(?m)^node/node-2 (un)?labeled$"),
    on_nodes("app=gpu-driver"),
    sees("delete -f gpu-driver.yaml", r'^daemonset\.apps "gpu-driver" deleted'),
]

AGENT = [
    sees("apply -f monitoring-agent.yaml", r"^daemonset\.apps/monitoring-agent created\n$"),
    rolled_out("monitoring-agent"),
    on_nodes("app=monitoring-agent", "node-1", "node-2", "node-3"),
    soon("logs -l app=monitoring-agent",
         r"(?m)^agent 1: default/monitoring-agent-\S+ on node-2 at 127\.\S+, 67108864 bytes, team of node-2$"),
    sees("describe pod -l app=monitoring-agent",
         r"(?s)Environment:\n      AGENT_VERSION: +1\n      NODE_NAME: +\(v1:spec\.nodeName\)\n      POD_NAME: +\S+ "
         r"\(v1:metadata\.name\)\n      POD_NAMESPACE: +default \(v1:metadata\.namespace\)\n      POD_IP: +\(v1:status\.podIP\)\n"
         r"      MEMORY_LIMIT: +67108864 \(limits\.memory\)\n      TEAM: +of \$\(NODE_NAME\)\n"),
    sees("rollout history ds monitoring-agent", r"REVISION +CHANGE-CAUSE\n1 +first deployment\n"),
    sees("set env ds/monitoring-agent AGENT_VERSION=2", r"^daemonset\.apps/monitoring-agent env updated\n$"),
    rolled_out("monitoring-agent"),
    soon("logs ds/monitoring-agent", r"agent 2: "),
    sees("set resources ds monitoring-agent --limits=memory=128Mi", r"resource requirements updated"),
    rolled_out("monitoring-agent"),
    soon("logs -l app=monitoring-agent", r"(?m)^agent 2: .*, 134217728 bytes"),
    sees("describe node node-1", r"default +monitoring-agent-\S+ +10m \(\d+%\) +100m \(\d+%\) +16Mi \(\d+%\) +128Mi \(\d+%\)"),
    # An image that nobody has: the roll-out stops within its budget and says why; undo repairs it.
    sees("set image ds/monitoring-agent agent=example.com/no-such-thing:1", r"image updated"),
    # (Its own command would run on the host: it needs an image no more.)
    sees("patch ds monitoring-agent --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/template/spec/containers/0/command\"}]'",
         r"patched"),
    soon("get pods -l app=monitoring-agent", r"(?m)^monitoring-agent-\S+ +0/1 +(ErrImagePull|ImagePullBackOff) +0 "),
    sees("rollout status ds monitoring-agent --watch=false",
         r'^Waiting for daemon set "monitoring-agent" rollout to finish: \d (out of 3 new pods have been updated|of 3 updated '
         r'pods are available)\.\.\.\n$'),
    sees("get pods -l app=monitoring-agent", r"(?m)^monitoring-agent-\S+ +1/1 +Running "),
    soon("describe pods -l app=monitoring-agent", r"Warning +Failed .*[Ff]ailed to pull image \"example\.com/no-such-thing:1\""),
    sees("rollout undo ds monitoring-agent --to-revision=3", r"rolled back"),
    rolled_out("monitoring-agent"),
    on_nodes("app=monitoring-agent", "node-1", "node-2", "node-3"),
    sees("delete -f monitoring-agent.yaml", r'^daemonset\.apps "monitoring-agent" deleted'),
    on_nodes("app=monitoring-agent"),
]

ON_DELETE = [
    sees("apply -f ondelete.yaml", r"^daemonset\.apps/careful created\n$"),
    counts("careful", 3),
    refuses("rollout status ds careful", r"^error: rollout status is only available for RollingUpdate strategy type\n$"),
    remember_pods("app=careful"),
    sees("set image ds careful main=registry.k8s.io/pause:3.9", r"image updated"),
    soon("get ds careful", DS_HEADER + r"careful +3 +3 +3 +0 +3 "),
    same_pods("app=careful"),
    sees("delete pods -l app=careful --field-selector spec.nodeName=node-1", r'^pod "careful-\S+" deleted'),
    soon("get ds careful", DS_HEADER + r"careful +3 +3 +3 +1 +3 "),
    soon("get pods -l app=careful --sort-by=.spec.nodeName -o custom-columns=NODE:.spec.nodeName,IMAGE:.spec.containers[*].image",
         r"^NODE +IMAGE\nnode-1 +registry\.k8s\.io/pause:3\.9\nnode-2 +registry\.k8s\.io/pause:3\.8\nnode-3 +registry\.k8s\.io/pause:3\.8\n$"),
    sees("patch ds careful -p '{\"spec\":{\"updateStrategy\":{\"type\":\"RollingUpdate\"}}}'", r"patched"),
    rolled_out("careful"),
    counts("careful", 3),
    sees("delete ds/careful", r'^daemonset\.apps "careful" deleted'),
    on_nodes("app=careful"),
]

INIT_AND_CONFIG = [
    sees("apply -f init-containers.yaml -f configmap.yaml",
         r"^daemonset\.apps/prepared created\nconfigmap/web-config created\nsecret/web-secret created\ndaemonset\.apps/configured created\n$"),
    rolled_out("prepared"),
    rolled_out("configured"),
    pages("app=prepared", r"^prepared on node-\d\n$"),
    sees("logs ds/prepared -c check", r"looking around\n"),
    sees("describe pod -l app=prepared",
         r"(?s)Init Containers:\n  check:\n.*State: +Terminated\n      Reason: +Completed\n      Exit Code: +0\n      Started: .*\n"
         r"Containers:\n  web:\n.*Mounts:\n      /usr/share/nginx/html from work \(ro\)\n.*Volumes:\n  work:\n    Type: +EmptyDir "),
    pages("app=configured", r"^<h1>hello from a ConfigMap</h1>\n$"),
    sees("get pods -l app=configured", r"(?m)^configured-\S+ +2/2 +Running +0 "),
    sees("logs ds/configured -c printer", r"level=debug password=t0p-Secret file=<h1>hello from a ConfigMap</h1>\n"),
    refuses("logs ds/configured -c nothing", r"container nothing is not valid for pod configured-"),
    sees("describe cm web-config", r"index\.html:\n----\n<h1>hello from a ConfigMap</h1>\n"),
    sees("describe cm web-config", r"LOG_LEVEL:\n----\ndebug\n"),
    sees("describe secret web-secret", r"(?s)Type:  Opaque\n\nData\n====\npassword:  10 bytes"),
    sees("delete -f init-containers.yaml -f configmap.yaml", r'(?s)"prepared" deleted.*configmap "web-config" deleted.*"configured" deleted'),
    on_nodes("app=configured"),
    on_nodes("app=prepared"),
]

NODES = [
    sees("apply -f nginx.yaml -f fluentd-elasticsearch.yaml", r"nginx-ds created\n.*created"),
    rolled_out("nginx-ds"),
    rolled_out("fluentd-elasticsearch", "kube-system"),
    # NoSchedule keeps what runs; NoExecute ends it.
    sees("taint nodes node-2 app=web:NoSchedule", r"^node/node-2 tainted\n$"),
    refuses("taint nodes node-2 app=web:NoSchedule",
            r"^error: [Nn]ode node-2 already has app taint\(s\) with same effect\(s\) and --overwrite is false\n$"),
    sees("describe node node-2", r"\nTaints: +app=web:NoSchedule\n"),
    on_nodes("app=nginx", "node-1", "node-2", "node-3"),
    soon("get ds nginx-ds -o jsonpath={.status.numberMisscheduled}", r"^1$"),
    sees("taint nodes node-2 app=web:NoExecute", r"^node/node-2 tainted\n$"),
    on_nodes("app=nginx", "node-1", "node-3"),
    sees("describe node node-2", r"\nTaints: +app=web:NoExecute\n +app=web:NoSchedule\n"),
    counts("nginx-ds", 2),
    sees("taint nodes node-2 app-", r"^node/node-2 untainted\n$"),
    on_nodes("app=nginx", "node-1", "node-2", "node-3"),
    refuses("taint nodes node-2 app-", r'^error: taint "app" not found\n$'),
    # Cordoned nodes keep and get their daemons; drain leaves them.
    sees("cordon node-3", r"^node/node-3 cordoned\n$"),
    sees("cordon node-3", r"^node/node-3 already cordoned\n$"),
    sees("get nodes", r"node-3 +Ready,SchedulingDisabled +<none> "),
    sees("describe node node-3", r"\nTaints: +node\.kubernetes\.io/unschedulable:NoSchedule\nUnschedulable: +true\n"),
    sees("run lonely --image=nginx --overrides='{\"spec\":{\"nodeName\":\"node-3\"}}'", r"pod/lonely created"),
    counts("nginx-ds", 3),
    refuses("drain node-3",
            r"(?s)cannot delete DaemonSet-managed Pods \(use --ignore-daemonsets to ignore\): .*default/nginx-ds-"),
    refuses("drain node-3 --ignore-daemonsets",
            r"cannot delete Pods (not managed by ReplicationController, ReplicaSet, Job, DaemonSet or StatefulSet|that declare no "
            r"controller|declare no controller) \(use --force to override\): default/lonely"),
    sees("drain node-3 --ignore-daemonsets --force",
         r"evicting pod default/lonely\npod/lonely evicted\nnode/node-3 (evicted|drained)\n(.*\n)*.*ignoring DaemonSet-managed Pods: "),
    sees("get pods --all-namespaces --field-selector spec.nodeName=node-3",
         r"^NAMESPACE .*\ndefault +nginx-ds-.* Running .*\nkube-system +fluentd-elasticsearch-.* Running .*\n$"),
    sees("uncordon node-3", r"^node/node-3 uncordoned\n$"),
    sees("uncordon node-3", r"^node/node-3 already uncordoned\n$"),
    # A node comes, and goes.
    sees("create -f node.yaml", r"^node/node-4 created\n$"),
    on_nodes("app=nginx", "node-1", "node-2", "node-3", "node-4"),
    pages("app=nginx", "Welcome to nginx", count=4),
    counts("fluentd-elasticsearch", 4, "kube-system"),
    sees("delete node node-4", r'^node "node-4" deleted\n$'),
    on_nodes("app=nginx", "node-1", "node-2", "node-3"),
    counts("nginx-ds", 3),
    sees("get events", r"(?s)LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n.*Normal +SuccessfulCreate +daemonset/nginx-ds +Created pod: "),
    sees("delete -f nginx.yaml -f fluentd-elasticsearch.yaml --wait=false", r"deleted.*\n.*deleted"),
    on_nodes("app=nginx"),
    on_nodes("name=fluentd-elasticsearch", namespace="kube-system"),
]

STORIES = {
    "first steps": FIRST_STEPS,
    "nginx": NGINX,
    "fluentd": FLUENTD,
    "node-exporter": NODE_EXPORTER,
    "node labels": NODE_LABELS,
    "monitoring agent": AGENT,
    "OnDelete": ON_DELETE,
    "init containers, ConfigMap": INIT_AND_CONFIG,
    "nodes": NODES,
}


def state(kubectl):
    """What somebody would look at who wonders why a step failed."""
    looks = (["get", "ds,pods", "-A", "-o", "wide"], ["get", "events", "-A", "--field-selector", "type=Warning"])
    text = "".join(kubectl(*look)[1] for look in looks)
    for pod in kubectl.get("pods", "-A")["items"]:
        ready = [c for c in pod["status"].get("conditions", []) if c["type"] == "Ready" and c["status"] == "True"]
        if not ready:
            ns, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            text += f"logs of {ns}/{name}:\n" + "".join(kubectl("logs", "-n", ns, name, "--all-containers", "--tail=10")[1:])
    return text


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    chosen = sys.argv[2:]  # stories by name, for work on one of them
    failed = False
    for version, program in sorted(found.items()):
        stories = dict(STORIES)
        if version.startswith("v1.20."):
            stories["--cascade=false"] = CASCADE_FALSE
        failures, steps, begin = [], 0, time.monotonic()
        with Server(sys.argv[1], nodes=3) as server:
            cluster = Cluster(Kubectl(program, server), server)
            for name, story in stories.items():
                if chosen and name not in chosen:
                    continue
                for step in story + [NO_PROCESSES]:
                    failure = step.run(cluster)
                    steps += 1
                    if failure:
                        if not any(earlier.startswith(f"{name}: ") for earlier in failures):
                            failure += "\n--- the cluster then ---\n" + state(cluster.kubectl)
                        failures.append(f"{name}: {failure}")
        print(f"kubectl {version}: {steps - len(failures)} of {steps} steps of {len(stories)} tutorials hold "
              f"({time.monotonic() - begin:.0f} s)")
        for failure in failures:
            lines = failure.split("\n")
            print("\n    ".join(["  " + lines[0]] + lines[1:80]))
        failed = failed or bool(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
