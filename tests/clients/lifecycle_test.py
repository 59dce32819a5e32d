"""How pods begin, go on and end, with real processes, as kubectl shows it: init containers, sidecars, restart policies,
back-off, probes of gRPC, readiness gates, deadlines, and every reason of a state. Run with every kubectl there is.

    lifecycle_test.py WHERRY [STORY …]
"""

import json
import os
import re
import signal
import sys
import tempfile
import time

from kill9_test import Api
from pod_story import Story, pod, tell
from wherry_server import wait_until

# grpc.health.v1 without generated code: 1 = SERVING, 2 = NOT_SERVING, which the file "down" makes of it.
HEALTH = """
import os, grpc
from concurrent import futures
class Health(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: bytes([8, 2 if os.path.exists("down") else 1]))
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Health(),))
server.add_insecure_port("0.0.0.0:9000")
server.start()
server.wait_for_termination()
"""


def column(kubectl, name):
    """What `kubectl get pod` says of READY, STATUS and RESTARTS."""
    return kubectl.ok("get", "pod", name, "--no-headers").split()[1:4]


class Lifecycle(Story):
    def waiting(self, name, reason, pattern=""):
        """The first container waits for this reason, with such a message."""
        def look():
            state = self.main(name).get("state", {}).get("waiting", {})
            return state.get("reason") == reason and re.search(pattern, state.get("message", ""))
        try:
            wait_until(look, reason)
        except AssertionError:
            raise AssertionError(f"{name} is not {reason} {pattern!r}, but {self.status(name)}")

    # ---- the stories

    def beginnings(self):
        """Init containers in order, then the main ones; conditions and events say how far it is."""
        with tempfile.TemporaryDirectory() as outside:
            os.chmod(outside, 0o777)
            log, gate = os.path.join(outside, "log"), os.path.join(outside, "gate")
            self.apply(pod("begins", f"echo main >> {log}; exec sleep 1000", spec=f"""initContainers:
    - name: one
      image: busybox
      command: [sh, -c, "echo one >> {log}; while ! test -e {gate}; do sleep 0.05; done"]
    - name: two
      image: busybox
      command: [sh, -c, "echo two >> {log}"]"""))
            wait_until(lambda: column(self.kubectl, "begins") == ["0/1", "Init:0/2", "0"], "the first init container")
            assert self.status("begins")["phase"] == "Pending"
            assert self.main("begins")["state"]["waiting"]["reason"] == "PodInitializing"
            conditions = self.conditions("begins")
            assert conditions == {"PodReadyToStartContainers": "True", "PodScheduled": "True", "Initialized": "False",
                                  "ContainersReady": "False", "Ready": "False"}, conditions
            self.described("begins", r"containers with incomplete status: \[one two\]|Initialized\s+False")
            open(gate, "w").close()
            self.kubectl.ok("wait", "pod/begins", "--for=condition=Ready", "--timeout=20s")
            assert set(self.conditions("begins").values()) == {"True"}, self.conditions("begins")
            wait_until(lambda: open(log).read() == "one\ntwo\nmain\n", "the order of things")
            ended = [s["state"]["terminated"] for s in self.status("begins")["initContainerStatuses"]]
            assert [(e["reason"], e["exitCode"]) for e in ended] == [("Completed", 0)] * 2, ended
            assert ended[0]["finishedAt"] <= ended[1]["startedAt"], ended
            self.described("begins", "Scheduled.*assigned default/begins to node-", "Pulled.*already present on machine",
                           "Created.*[Cc]reated container:? two", "Started.*Started container main", r"QoS Class:\s+BestEffort")
            self.delete("begins")

    def failed_beginnings(self):
        for policy, shown, phase in (("Never", "Init:Error", "Failed"), ("Always", "Init:CrashLoopBackOff", "Pending")):
            self.apply(pod("fails", "sleep 1000", spec=f"""restartPolicy: {policy}
  initContainers: [{{name: one, image: busybox, command: [sh, -c, "exit 7"]}}]"""))
            wait_until(lambda: column(self.kubectl, "fails")[1] == shown, shown)
            status = self.status("fails")
            assert status["phase"] == phase and status["containerStatuses"][0]["restartCount"] == 0, status
            init = status["initContainerStatuses"][0]
            last = init["state"].get("terminated") or init["lastState"]["terminated"]
            assert (last["reason"], last["exitCode"]) == ("Error", 7), init
            self.delete("fails")

    def sidecars(self):
        """They start first, are ready before the others start, and end after them; the pod's end is that of the others."""
        with tempfile.TemporaryDirectory() as outside:
            os.chmod(outside, 0o777)
            log = os.path.join(outside, "log")
            side = f"trap 'echo side ends >> {log}; exit 0' TERM; sleep 0.5; touch up; echo side >> {log}; while :; do sleep 0.1; done"
            sidecar = f"""restartPolicy: Never
  initContainers:
    - name: side
      image: busybox
      restartPolicy: Always
      command: [sh, -c, {json.dumps(side)}]
      startupProbe: {{exec: {{command: [test, -e, up]}}, periodSeconds: 1, failureThreshold: 20}}"""
            self.apply(pod("job", f"echo main >> {log}; sleep 1; echo main ends >> {log}", spec=sidecar))
            assert self.ended("job")["reason"] == "Completed"
            assert self.status("job")["phase"] == "Succeeded", self.status("job")
            assert open(log).read() == "side\nmain\nmain ends\nside ends\n", open(log).read()
            self.delete("job")
            # One that crashes comes back, whatever the policy, while the others run on.
            os.remove(log)
            crash = sidecar.replace("sleep 0.5; touch up", "if test -e up; then sleep 0.1; else touch up; sleep 2; exit 3; fi")
            self.apply(pod("beside", "sleep 1000", spec=crash))
            wait_until(lambda: self.status("beside").get("initContainerStatuses", [{}])[0].get("restartCount") == 1, "a restart")
            assert self.main("beside")["restartCount"] == 0 and "running" in self.main("beside")["state"]
            assert self.status("beside")["initContainerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
            wait_until(lambda: column(self.kubectl, "beside")[:2] == ["2/2", "Running"], "both to be ready")
            self.delete("beside")

    def policies(self):
        """Exit codes and signals against the restart policy."""
        rows = [("Never", "exit 0", "Succeeded", "Completed", 0, 0), ("Never", "exit 3", "Failed", "Error", 3, 0),
                ("Never", "kill -9 $$$$", "Failed", "Error", 137, 9), ("Never", "kill -TERM $$$$", "Failed", "Error", 143, 15),
                ("OnFailure", "exit 0", "Succeeded", "Completed", 0, 0)]
        for number, (policy, command, *_) in enumerate(rows):
            self.apply(pod(f"p{number}", command, spec=f"restartPolicy: {policy}"))
        for number, (policy, command, phase, reason, code, by) in enumerate(rows):
            ended = self.ended(f"p{number}")
            got = (self.status(f"p{number}")["phase"], ended["reason"], ended["exitCode"], ended.get("signal", 0))
            assert got == (phase, reason, code, by), (policy, command, got)
            assert column(self.kubectl, f"p{number}") == ["0/1", reason, "0"], column(self.kubectl, f"p{number}")
            assert self.conditions(f"p{number}")["Ready"] == "False"
        self.delete(*(f"p{number}" for number in range(len(rows))))

    def back_off(self):
        """The first restart is at once, the next waits: 10 s."""
        again = [("Always", "exit 0", "Completed", 0), ("Always", "exit 3", "Error", 3), ("OnFailure", "exit 3", "Error", 3),
                 ("Always", "kill -9 $$$$", "Error", 137)]
        for number, (policy, command, *_) in enumerate(again):
            self.apply(pod(f"r{number}", command, spec=f"restartPolicy: {policy}"))
        for number, (policy, command, reason, code) in enumerate(again):
            self.waiting(f"r{number}", "CrashLoopBackOff", rf"^back-off 10s restarting failed container=main pod=r{number}_default\(")
            status = self.main(f"r{number}")
            assert status["restartCount"] == 1 and self.status(f"r{number}")["phase"] == "Running", status
            last = status["lastState"]["terminated"]
            assert (last["reason"], last["exitCode"]) == (reason, code), last
        wait_until(lambda: self.main("r1")["restartCount"] == 2, "the second restart", 20)
        first, second = (self.main("r1")["lastState"]["terminated"][at] for at in ("startedAt", "finishedAt"))
        assert first <= second
        self.described("r1", r"BackOff.*[Bb]ack-off restarting failed container|Last State:\s+Terminated")
        self.delete(*(f"r{number}" for number in range(len(again))))

    def grpc(self):
        try:
            import grpc  # noqa: F401
        except ImportError:
            print("  skipped: there is no python3-grpcio; tests/setup.sh brings it")
            return
        text = pod("health", "", "livenessProbe: {grpc: {port: 9000}, periodSeconds: 1, failureThreshold: 3}\n      "
                   "readinessProbe: {grpc: {port: 9000, service: any}, periodSeconds: 1, failureThreshold: 1}\n      "
                   "startupProbe: {grpc: {port: 9000}, periodSeconds: 1, failureThreshold: 30}")
        text = text.replace('command: ["sh", "-c", ""]', 'command: ["/usr/bin/python3", "-c", %s]' % json.dumps(HEALTH))
        self.apply(text)
        self.kubectl.ok("wait", "pod/health", "--for=condition=Ready", "--timeout=30s")
        down = os.path.join(self.directory("health"), "down")
        open(down, "w").close()
        self.described("health", 'Unhealthy.*Readiness probe failed: .*NOT_SERVING')
        wait_until(lambda: self.main("health")["restartCount"] == 1, "liveness to give it up", 30)
        os.remove(down)
        self.kubectl.ok("wait", "pod/health", "--for=condition=Ready", "--timeout=30s")
        self.delete("health")

    def gates(self):
        """Ready waits for what others say of the pod."""
        self.apply(pod("gated", "sleep 1000", spec="readinessGates: [{conditionType: example.com/lit}]"))
        self.kubectl.ok("wait", "pod/gated", "--for=condition=ContainersReady", "--timeout=20s")
        assert self.conditions("gated")["Ready"] == "False"
        assert self.kubectl.ok("get", "pod", "gated", "-o", "wide").split("\n")[1].split()[-1] == "0/1"
        self.described("gated", r"example.com/lit\s+<none>|corresponding condition of pod readiness gate")
        api = Api(self.server)
        for value in ("True", "False"):
            status, body = api("PATCH", "/api/v1/namespaces/default/pods/gated/status",
                               {"status": {"conditions": [{"type": "example.com/lit", "status": value}]}},
                               "application/strategic-merge-patch+json")
            assert status == 200, body
            wait_until(lambda: self.conditions("gated")["Ready"] == value, "Ready to follow")
            assert self.conditions("gated")["ContainersReady"] == "True"
        self.delete("gated")

    def deadline(self):
        begin = time.monotonic()
        self.apply(pod("late", "sleep 1000", spec="activeDeadlineSeconds: 1\n  restartPolicy: Always"))
        wait_until(lambda: self.status("late")["phase"] == "Failed", "the deadline")
        status = self.status("late")
        assert status["reason"] == "DeadlineExceeded", status
        assert "Pod was active on the node longer than the specified deadline" in status["message"], status
        assert time.monotonic() - begin >= 1 and "terminated" in self.main("late")["state"], status
        wait_until(lambda: self.kubectl.get("pod", "late")["metadata"]["uid"] not in
                   {uid for uid, _ in self.server.processes().values()}, "its process to end")
        self.delete("late")

    def graces(self):
        """SIGTERM, the grace, SIGKILL; sooner when asked again; at once by force."""
        deaf = "trap '' TERM; while :; do sleep 0.1; done"
        for name, grace in (("deaf", 2), ("deafer", 60), ("forced", 60)):
            self.apply(pod(name, deaf).replace("terminationGracePeriodSeconds: 5", f"terminationGracePeriodSeconds: {grace}"))
        self.apply(pod("polite", "trap 'exit 0' TERM; while :; do sleep 0.1; done"))
        self.kubectl.ok("wait", "pod/deaf", "pod/deafer", "pod/forced", "pod/polite", "--for=condition=Ready", "--timeout=20s")
        begin = time.monotonic()
        self.kubectl.ok("delete", "pod", "deaf")
        assert 2 <= time.monotonic() - begin < 15, time.monotonic() - begin
        begin = time.monotonic()
        self.kubectl.ok("delete", "pod", "polite")
        assert time.monotonic() - begin < 4, time.monotonic() - begin
        self.kubectl.ok("delete", "pod", "deafer", "--wait=false")
        assert column(self.kubectl, "deafer")[1] == "Terminating"
        self.kubectl.ok("delete", "pod", "deafer", "--grace-period=1")
        self.kubectl.ok("delete", "pod", "forced", "--force", "--grace-period=0")
        wait_until(lambda: not self.server.processes(), "every process to end")

    def reasons(self):
        """Why a container waits, and how it ended."""
        unknown = pod("pull", "").replace('command: ["sh", "-c", ""]', "").replace("image: busybox", "image: example.com/nothing:1")
        self.apply(unknown)
        self.waiting("pull", "ImagePullBackOff", 'Back-off pulling image "example.com/nothing:1"')
        self.described("pull", r"Failed.*Failed to pull image \"example.com/nothing:1\"", "ErrImagePull")
        self.apply(unknown.replace("name: pull", "name: never").replace("image:", "imagePullPolicy: Never\n      image:"))
        self.waiting("never", "ErrImageNeverPull", 'Container image "example.com/nothing:1" is not present with pull policy of Never')
        self.apply(pod("name", "true").replace("image: busybox", "image: Busy/Box"))
        self.waiting("name", "InvalidImageName", r"repository name \(Busy/Box\) must be lowercase")
        self.apply(pod("config", "true", "envFrom: [{configMapRef: {name: nobody}}]"))
        self.waiting("config", "CreateContainerConfigError", 'configmap "nobody" not found')
        self.apply(pod("create", "true", "securityContext: {seccompProfile: {type: Localhost, localhostProfile: x}}"))
        self.waiting("create", "CreateContainerError", ".")
        self.apply(pod("user", "true", "securityContext: {runAsNonRoot: true, runAsUser: 0}"))
        self.waiting("user", "CreateContainerConfigError", "(?i)root")
        self.apply(pod("program", "").replace('"sh", "-c", ""', '"/no/such/program"'))
        self.waiting("program", "RunContainerError", "/no/such/program")
        self.apply(pod("volume", "true", volumes="{name: v, secret: {secretName: nobody}}"))
        self.waiting("volume", "ContainerCreating")
        self.described("volume", 'FailedMount.*secret "nobody" not found')
        self.apply(pod("start", "", spec="restartPolicy: Never").replace('"sh", "-c", ""', '"/no/such/program"'))
        ended = self.ended("start")
        assert (ended["reason"], ended["exitCode"]) == ("StartError", 128), ended
        assert "/no/such/program" in ended["message"], ended
        # What holds a pod back goes away, and it runs.
        self.kubectl.ok("create", "configmap", "nobody", "--from-literal=A=b")
        self.kubectl.ok("create", "secret", "generic", "nobody", "--from-literal=A=b")
        for name in ("config", "volume"):
            wait_until(lambda: self.main(name).get("restartCount", 0) > 0 or "running" in self.main(name)["state"], f"{name} to run")
        self.delete("pull", "never", "name", "config", "create", "user", "program", "volume", "start")
        self.kubectl.ok("delete", "configmap/nobody", "secret/nobody")

    def lost(self):
        """Nobody saw how it ended: the warden went with it while no server was there."""
        self.apply(pod("lost", "sleep 1000", spec="restartPolicy: Never"))
        self.apply(pod("back", "sleep 1000"))
        self.kubectl.ok("wait", "pod/lost", "pod/back", "--for=condition=Ready", "--timeout=20s")
        processes = list(self.server.processes())
        self.server.kill()
        for pid in self.server.wardens() + processes:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.server.processes(), "everything to be dead")
        self.server.start()
        ended = self.ended("lost")
        assert (ended["reason"], ended["exitCode"]) == ("ContainerStatusUnknown", 255), ended
        wait_until(lambda: self.main("back")["restartCount"] == 1 and "running" in self.main("back")["state"], "a new run")
        self.delete("lost", "back")

    def qualities(self):
        for name, resources, expected in (("best", "{}", "BestEffort"), ("burst", "{requests: {cpu: 10m}}", "Burstable"),
                                          ("sure", "{limits: {cpu: 100m, memory: 50Mi}}", "Guaranteed")):
            self.apply(pod(name, "sleep 1000", f"resources: {resources}"))
            self.described(name, rf"QoS Class:\s+{expected}")
        self.delete("best", "burst", "sure")


STORIES = ["beginnings", "failed_beginnings", "sidecars", "policies", "back_off", "grpc", "gates", "deadline", "graces", "reasons",
           "lost", "qualities"]


if __name__ == "__main__":
    sys.exit(tell(Lifecycle, STORIES))
