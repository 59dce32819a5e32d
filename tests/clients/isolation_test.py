"""Pods that behave like pods: volumes at their mountPath, the sandbox, limits and usage; as root and as an ordinary user.

    isolation_test.py WHERRY
"""

import json
import os
import re
import shutil
import sys
import tempfile
import urllib.request

from wherry_server import Kubectl, Server, empty_cgroups, kubectls, wait_for_cgroups, wait_until

NOBODY = 65534

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {greeting: hello}
"""

# Unmodified programs that know nothing but their own paths.
READER = """
apiVersion: v1
kind: Pod
metadata: {name: reader-%(level)s}
spec:
  runtimeClassName: %(level)s
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: busybox
      command: ["sh", "-c", "cat /etc/app/greeting /etc/one/file; echo own > /data/file; echo; exec /usr/bin/python3 -c \\"%(python)s\\""]
      volumeMounts:
        - {name: config, mountPath: /etc/app}
        - {name: data, mountPath: /data}
        - {name: config, mountPath: /etc/one/file, subPath: greeting}
  volumes:
    - name: config
      configMap: {name: app}
    - name: data
      emptyDir: {}
"""

PYTHON = "import time; print(open('/etc/app/greeting').read(), flush=True); time.sleep(1000)"

SERVERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 5
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: python
          command: ["/usr/bin/python3", "-m", "http.server", "8080"]
          workingDir: /usr/share/wherry-web
          volumeMounts: [{name: page, mountPath: /usr/share/wherry-web}]
      volumes:
        - name: page
          projected:
            sources:
              - configMap: {name: app}
              - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}
"""

HUNGRY = """
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: python
      command: ["/usr/bin/python3", "-c", "import time; x = [b'x' * 1000000 + bytes([i % 256]) for i in range(200)]; time.sleep(30)"]
      resources: {limits: {memory: 50Mi}}
"""


class UserServer(Server):
    """A server that runs as an ordinary user."""

    def __init__(self, binary, **options):
        super().__init__(binary, **options)
        os.chown(self.dir, NOBODY, NOBODY)
        self.tools = tempfile.mkdtemp(prefix="wherry-tools.")  # where that user can reach it
        os.chmod(self.tools, 0o755)
        copy = shutil.copy(self.binary, self.tools)
        wrapper = os.path.join(self.tools, "as-nobody")
        with open(wrapper, "w") as file:
            file.write(f"#!/bin/sh\nexec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {copy} \"$@\"\n")
        os.chmod(wrapper, 0o755)
        self.binary = wrapper

    def destroy(self):
        super().destroy()
        shutil.rmtree(self.tools, ignore_errors=True)


def listing():
    """What must not change on the host."""
    return {d: sorted(os.listdir(d)) for d in ("/", "/etc", "/usr/share")}, len(open("/proc/self/mountinfo").readlines())


def phase(kubectl, pod):
    return kubectl.get("pod", pod)["status"]["phase"]


def run(version, program, server, user):
    kubectl = Kubectl(program, server)
    before = empty_cgroups()
    classes = {c["metadata"]["name"]: c["handler"] for c in kubectl.get("runtimeclass")["items"]}
    assert classes == {"host": "host", "sandbox": "sandbox"}, classes
    status, _, err = kubectl("apply", "-f", "-", stdin=READER % {"level": "gvisor", "python": PYTHON})
    assert status != 0 and 'pod rejected: RuntimeClass "gvisor" not found' in err, err

    kubectl.ok("apply", "-f", "-", stdin=CONFIG)
    for level in classes:
        kubectl.ok("apply", "-f", "-", stdin=READER % {"level": level, "python": PYTHON})
    for level in classes:
        wait_until(lambda: kubectl.ok("logs", f"reader-{level}") == "hellohello\nhello\n", f"{level} reads its configuration")

        out = kubectl.ok("exec", f"reader-{level}", "--", "sh", "-c", "cat /etc/app/greeting /data/file; hostname; cat /proc/1/comm")
        name, first = out.splitlines()[1:]
        assert out.startswith("helloown\n"), out
        assert (name == "reader-sandbox" and first == "wherry-init") == (level == "sandbox"), out

    # Five servers on one port of one machine.
    kubectl.ok("apply", "-f", "-", stdin=SERVERS)
    kubectl.ok("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    pods = kubectl.get("pods", "-l", "app=web")["items"]
    addresses = {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in pods}
    assert len(addresses) == 5, addresses

    def page(address, name):
        try:
            return urllib.request.urlopen(f"http://{address}:8080/{name}", timeout=5).read()
        except OSError:
            return b""

    for address, name in addresses.items():
        wait_until(lambda: page(address, "greeting") == b"hello", f"{address} answers")
        assert page(address, "name") == name.encode(), f"another pod than {name} answers on its address"

    # What they take.
    def top(*args):
        status, out, _ = kubectl("top", *args, "--no-headers")
        return [line.split() for line in out.splitlines()] if status == 0 else []

    rows = wait_until(lambda: [row for row in top("pods", "--containers") if row[1] == "web"], "usage of the servers")
    assert len(rows) == 5 and all(re.fullmatch(r"\d+m", row[2]) and re.fullmatch(r"[1-9]\d*Mi", row[3]) for row in rows), rows
    rows = top("nodes")
    assert len(rows) == server.nodes and all(row[2].endswith("%") for row in rows), rows
    node = pods[0]["spec"]["nodeName"]
    summary = json.loads(kubectl.ok("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    mine = [p for p in summary["pods"] if p["podRef"]["name"] == pods[0]["metadata"]["name"]]
    assert mine and mine[0]["containers"][0]["memory"]["workingSetBytes"] > 1e6, summary
    single = json.loads(kubectl.ok("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/" + pods[0]["metadata"]["name"]))
    assert single["kind"] == "PodMetrics" and single["containers"][0]["usage"]["memory"].endswith("Ki"), single

    # Too much memory.
    kubectl.ok("apply", "-f", "-", stdin=HUNGRY)
    wait_until(lambda: phase(kubectl, "hungry") == "Failed", "the hungry pod is killed", timeout=40)
    ended = kubectl.get("pod", "hungry")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137), ended

    kubectl.ok("delete", "deployment/web", "pod/hungry", "pod/reader-host", "pod/reader-sandbox", "--wait=true")
    wait_until(lambda: not kubectl.get("pods")["items"], "all pods are gone")
    wait_until(lambda: not server.processes(), "no process is left")
    wait_for_cgroups(before)
    left = os.listdir(os.path.join(server.data, "pods"))
    assert not left, left
    print(f"ok: kubectl {version}, {user}")


def main():
    binary = sys.argv[1]
    tools = kubectls()
    if not tools:
        print("SKIPPED: no kubectl")
        return 77
    before = listing()
    kinds = [("root", Server), ("an ordinary user", UserServer)] if os.geteuid() == 0 else [("an ordinary user", Server)]
    for user, kind in kinds:
        for version, program in sorted(tools.items())[:1 if user == "root" else None]:
            with kind(binary) as server:
                run(version, program, server, user)
    assert listing() == before, "the host was changed"
    return 0


if __name__ == "__main__":
    sys.exit(main())
