"""The life of pods with real processes, as kubectl shows it: probes, hooks, last words, volumes that follow, manifests from
a directory. Run with every kubectl there is.

    pods_test.py WHERRY [STORY …]
"""

import contextlib
import os
import re
import sys
import tempfile
import time

from pod_story import Story, pod, tell
from wherry_server import wait_until


class Pods(Story):
    def readiness(self):
        """A Service leads to pods that are ready, and only while they are; a rollout waits for it."""
        self.apply("""
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: busybox
          command: ["sh", "-c", "mkdir -p www; exec busybox httpd -f -p 8080 -h www"]
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1, failureThreshold: 1}
""")
        wait_until(lambda: self.kubectl.ok("get", "deploy", "web").count("0/2"), "no pod is ready")
        names = [p["metadata"]["name"] for p in self.kubectl.get("pods", "-l", "app=web")["items"]]
        self.described(names[0], r"Readiness:\s+http-get http://:http/ready", r"Unhealthy.*Readiness probe failed: HTTP "
                       r"probe failed with statuscode: 404")
        assert self.kubectl.get("endpoints", "web").get("subsets", [{}])[0].get("addresses") is None

        def make(name, there):
            path = os.path.join(self.directory(name), "www", "ready")
            if there:
                open(path, "w").close()
            else:
                os.remove(path)
        for name in names:
            make(name, True)
        self.kubectl.ok("rollout", "status", "deploy/web", "--timeout=20s")
        wait_until(lambda: len(self.kubectl.get("endpoints", "web")["subsets"][0].get("addresses", [])) == 2, "endpoints")
        make(names[1], False)
        wait_until(lambda: len(self.kubectl.get("endpoints", "web")["subsets"][0].get("addresses", [])) == 1, "one endpoint")
        assert self.kubectl.get("endpoints", "web")["subsets"][0]["notReadyAddresses"][0]["targetRef"]["name"] == names[1]
        self.kubectl.ok("delete", "deploy,service", "web")

    def liveness(self):
        """A server that no longer answers well is restarted."""
        self.apply(pod("live", "mkdir -p www; echo ok > www/alive; exec busybox httpd -f -p 8080 -h www",
                       "livenessProbe: {httpGet: {path: /alive, port: 8080}, periodSeconds: 1, failureThreshold: 2, "
                       "terminationGracePeriodSeconds: 1}"))
        self.kubectl.ok("wait", "pod/live", "--for=condition=Ready", "--timeout=20s")
        time.sleep(2.5)
        assert self.main("live")["restartCount"] == 0
        os.remove(os.path.join(self.directory("live"), "www", "alive"))
        wait_until(lambda: self.main("live")["restartCount"] == 1 and self.main("live")["ready"], "a restart")
        self.described("live", r"Liveness probe failed: HTTP probe failed with statuscode: 404",
                       r"Container main failed liveness probe, will be restarted", r"Last State:\s+Terminated")
        self.kubectl.ok("delete", "pod", "live")

    def nginx(self):
        """The real nginx, by tcpSocket and httpGet, on a privileged port (served higher when we are not root)."""
        if not os.path.exists("/usr/sbin/nginx"):
            print("  skipped: there is no nginx")
            return
        self.apply("""
apiVersion: v1
kind: Pod
metadata: {name: nginx}
spec:
  containers:
    - name: main
      image: nginx
      startupProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 20}
      livenessProbe: {httpGet: {port: 80}, periodSeconds: 1}
      readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}
""")
        self.kubectl.ok("wait", "pod/nginx", "--for=condition=Ready", "--timeout=20s")
        assert self.main("nginx")["started"] is True
        self.kubectl.ok("delete", "pod", "nginx")

    def exec_probes(self):
        """Commands run in the container: its directory and environment; slow ones are ended."""
        self.apply(pod("asks", "touch up; sleep 1000",
                       'env: [{name: WORD, value: up}]\n      '
                       'readinessProbe: {exec: {command: [sh, -c, "test -e $WORD"]}, periodSeconds: 1, failureThreshold: 1}\n      '
                       'livenessProbe: {exec: {command: [sh, -c, "if test -e slow; then sleep 100; fi"]}, timeoutSeconds: 1, '
                       'periodSeconds: 1, failureThreshold: 1}'))
        self.kubectl.ok("wait", "pod/asks", "--for=condition=Ready", "--timeout=20s")
        os.remove(os.path.join(self.directory("asks"), "up"))
        self.kubectl.ok("wait", "pod/asks", "--for=condition=Ready=false", "--timeout=20s")
        slow = os.path.join(self.directory("asks"), "slow")
        open(slow, "w").close()
        self.described("asks", r"Liveness probe failed: command timed out")
        os.remove(slow)
        wait_until(lambda: self.main("asks")["restartCount"] >= 1, "a restart")
        self.kubectl.ok("delete", "pod", "asks")

    def hooks(self):
        """postStart before the container counts as running; preStop, then SIGTERM."""
        with tempfile.TemporaryDirectory() as outside:
            os.chmod(outside, 0o777)
            log = os.path.join(outside, "log")
            self.apply(pod("hooks", f"trap 'echo term >> {log}; exit 0' TERM; while :; do sleep 0.1; done",
                           f"""lifecycle:
        postStart: {{exec: {{command: [sh, -c, "sleep 1; echo started >> {log}"]}}}}
        preStop: {{exec: {{command: [sh, -c, "sleep 0.5; echo hook >> {log}"]}}}}"""))
            assert self.status("hooks")["phase"] == "Pending"
            self.kubectl.ok("wait", "pod/hooks", "--for=condition=Ready", "--timeout=20s")
            assert open(log).read() == "started\n"
            self.kubectl.ok("delete", "pod", "hooks")
            assert open(log).read() == "started\nhook\nterm\n", open(log).read()
        self.apply(pod("nohook", "sleep 1000", "lifecycle: {postStart: {exec: {command: [sh, -c, 'echo no luck; exit 3']}}}"))
        self.described("nohook", r"FailedPostStartHook", r"PostStartHook failed")
        self.kubectl.ok("delete", "pod", "nohook", "--force", "--grace-period=0")

    def last_words(self):
        self.apply(pod("words", "echo so long > /dev/termination-log; exit 3", "", "restartPolicy: Never"))
        self.apply(pod("logged", "echo out of cheese; exit 4", "terminationMessagePolicy: FallbackToLogsOnError",
                       "restartPolicy: Never"))
        # Written by a program whose own text names the path: in the sandbox the file is there.
        self.apply(pod("boxed", "cd /dev; echo farewell > termination-log; exit 5", "",
                       "runtimeClassName: sandbox\n  restartPolicy: Never"))
        self.described("boxed", r"Message:\s+farewell", r"Exit Code:\s+5")
        self.kubectl.ok("delete", "pod", "boxed")
        self.described("words", r"Reason:\s+Error", r"Message:\s+so long", r"Exit Code:\s+3")
        self.described("logged", r"Message:\s+out of cheese", r"Exit Code:\s+4")
        self.kubectl.ok("delete", "pod", "words", "logged")

    def volumes(self):
        """A running program sees a ConfigMap change; its environment does not."""
        self.kubectl.ok("create", "configmap", "conf", "--from-literal=word=first")
        self.apply(pod("reads", 'while :; do echo "$(cat /etc/app/word) $WORD"; sleep 0.1; done',
                       """env: [{name: WORD, valueFrom: {configMapKeyRef: {name: conf, key: word}}}]
      volumeMounts: [{name: conf, mountPath: /etc/app}]""", "", "{name: conf, configMap: {name: conf}}"))
        wait_until(lambda: "first first" in self.kubectl("logs", "reads")[1], "the first word")
        begin = time.monotonic()
        self.kubectl.ok("patch", "configmap", "conf", "-p", '{"data":{"word":"second"}}')
        wait_until(lambda: "second first" in self.kubectl.ok("logs", "reads", "--tail=2"), "the second word", 5)
        print(f"  a change of a ConfigMap was read after {time.monotonic() - begin:.2f} s, kubectl and all")
        self.kubectl.ok("delete", "pod", "reads", "--force", "--grace-period=0")
        self.kubectl.ok("delete", "configmap", "conf")
        # What is missing, and what is not what it should be.
        self.apply(pod("lacks", "sleep 1000", "", "", "{name: v, configMap: {name: nobody}}"))
        self.described("lacks", r'FailedMount.*MountVolume.SetUp failed for volume "v" : configmap "nobody" not found')
        self.apply(pod("wrong", "sleep 1000", "", "", "{name: v, hostPath: {path: /etc/passwd, type: Directory}}"))
        self.described("wrong", r"FailedMount.*hostPath type check failed: /etc/passwd is not a directory")
        self.kubectl.ok("delete", "pod", "lacks", "wrong", "--force", "--grace-period=0")

    def eviction(self):
        self.apply(pod("fills", "sleep 0.5; dd if=/dev/zero of=/cache/big bs=1024 count=3000; sleep 1000",
                       "volumeMounts: [{name: cache, mountPath: /cache}]", "", "{name: cache, emptyDir: {sizeLimit: 1Mi}}"))
        wait_until(lambda: self.status("fills").get("reason") == "Evicted", "an eviction", 30)
        self.described("fills", r"Reason:\s+Evicted", r'Usage of EmptyDir volume "cache" exceeds the limit "1Mi"')
        self.kubectl.ok("delete", "pod", "fills")

    def pressure(self):
        """A node that has declared less memory than its pods take evicts one of them, and says so."""
        self.apply("""
apiVersion: v1
kind: Node
metadata: {name: small, annotations: {wherry.dev/capacity: '{"memory": "400Mi"}'}}
""")
        self.kubectl.ok("wait", "node/small", "--for=condition=Ready", "--timeout=20s")
        take = "exec python3 -c 'import time; x = b\"x\" * (%d << 20); time.sleep(1000)'"
        asks = "resources: {requests: {memory: 380Mi}}"
        self.apply(pod("modest", take % 200, asks, "nodeName: small") + "---" + pod("greedy", take % 150, "", "nodeName: small"))
        wait_until(lambda: self.status("greedy").get("reason") == "Evicted", "an eviction", 40)
        self.described("greedy", r"Status:\s+Failed", r"Reason:\s+Evicted",
                       r"The node was low on resource: memory. Threshold quantity: 100Mi, available: \d+\w*. Container main was "
                       r"using \d+\w*, request is 0, has larger consumption of memory.", r"Warning\s+Evicted")
        assert any(c["type"] == "DisruptionTarget" and c["reason"] == "TerminationByKubelet"
                   for c in self.status("greedy")["conditions"])
        text = self.kubectl.ok("describe", "node", "small")
        assert re.search(r"MemoryPressure\s+True.*KubeletHasInsufficientMemory", text), text
        assert "EvictionThresholdMet" in text and "NodeHasInsufficientMemory" in text, text
        wait_until(lambda: "node.kubernetes.io/memory-pressure:NoSchedule" in self.kubectl.ok("describe", "node", "small"), "a taint")
        assert self.status("modest")["phase"] == "Running"
        assert not [d for _, d in self.server.processes().values() if "greedy" in d]
        # What asks for nothing is not accepted now; the other nodes are as they were.
        self.apply(pod("late", "sleep 1000", "", "nodeName: small"))
        self.described("late", r"Pod was rejected: The node had condition: \[MemoryPressure\]")
        text = self.kubectl.ok("describe", "node", "node-1")
        assert re.search(r"MemoryPressure\s+False", text), text
        self.kubectl.ok("delete", "pod", "modest", "greedy", "late")
        self.kubectl.ok("delete", "node", "small")

    def fork_bomb(self):
        """A pod that forks without end takes neither the machine nor its neighbours, and goes when it is deleted."""
        self.apply(pod("bomb", "f() { f & f & wait; }; while :; do f; done").replace(
            "metadata: {name: bomb,", "metadata: {name: bomb, annotations: {wherry.dev/max-pids: '60'},"))
        wait_until(lambda: self.status("bomb").get("containerStatuses"), "it runs")
        for i in range(3):
            self.apply(pod(f"calm-{i}", "exit 0", "", "restartPolicy: Never"))
        for i in range(3):
            wait_until(lambda: self.status(f"calm-{i}").get("phase") == "Succeeded", "its neighbours run")
        uid = self.kubectl.get("pod", "bomb")["metadata"]["uid"]
        assert len([1 for u, _ in self.server.processes().values() if u == uid]) <= 60 or os.geteuid() != 0
        self.kubectl.ok("delete", "pod", "bomb", "calm-0", "calm-1", "calm-2")
        assert not [1 for u, _ in self.server.processes().values() if u == uid]

    def log_flood(self):
        """A pod that writes as fast as it can grows neither the server nor the warden, and the API answers meanwhile."""
        def rss():
            total = 0
            for pid in [self.server.process.pid] + self.server.wardens():
                with open(f"/proc/{pid}/status") as file:
                    total += int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))
            return total

        def slowest_of_most():
            times = []
            for _ in range(15):
                begin = time.monotonic()
                self.kubectl.ok("get", "--raw", "/api/v1/namespaces/default/pods?limit=5")
                times.append(time.monotonic() - begin)
            return sorted(times)[10]
        self.apply(pod("quiet", "sleep 1000"))
        self.kubectl.ok("wait", "pod/quiet", "--for=condition=Ready", "--timeout=20s")
        calm, before = slowest_of_most(), rss()
        self.apply(pod("flood", "exec yes 'a line of some thirty characters'"))
        self.kubectl.ok("wait", "pod/flood", "--for=condition=Ready", "--timeout=20s")

        def logs():
            total = 0
            for folder, _, files in os.walk(os.path.join(self.server.data, "logs")):
                for name in files:
                    with contextlib.suppress(FileNotFoundError):  # rotated away just now
                        total += os.lstat(os.path.join(folder, name)).st_size
            return total
        wait_until(lambda: logs() > 40 << 20, "a flood", 60)
        flooded = slowest_of_most()
        assert flooded < 5 * calm + 0.2, f"{flooded:.3f} s instead of {calm:.3f} s"
        time.sleep(3)
        assert rss() - before < 30 << 10, f"{rss()} KiB instead of {before} KiB"
        assert logs() <= 60 << 20, logs()
        self.kubectl.ok("delete", "pod", "flood", "quiet")

    def manifests(self):
        folder = self.server.manifests
        path = os.path.join(folder, "static.yaml")
        with open(path, "w") as file:
            file.write(pod("static", "sleep 1000"))
        self.kubectl.ok("version")
        wait_until(lambda: self.kubectl("get", "pod", "static")[0] == 0, "the pod of the folder")
        self.kubectl.ok("wait", "pod/static", "--for=condition=Ready", "--timeout=20s")
        with open(os.path.join(folder, "broken.yaml"), "w") as file:
            file.write("kind: [")
        wait_until(lambda: "broken.yaml" in self.server.log(), "a warning")
        os.remove(path)
        wait_until(lambda: self.kubectl("get", "pod", "static")[0] != 0, "the pod is withdrawn")
        os.remove(os.path.join(folder, "broken.yaml"))


STORIES = ["readiness", "liveness", "nginx", "exec_probes", "hooks", "last_words", "volumes", "eviction", "pressure", "fork_bomb",
           "log_flood", "manifests"]


if __name__ == "__main__":
    sys.exit(tell(Pods, STORIES))
