"""300 pods that crash, probe and are deleted, while the server is killed (SIGKILL) every 5 seconds. Meanwhile no container
runs twice; at the end no process, descriptor, cgroup, mount or file is left over.

    soak_test.py WHERRY [SECONDS]        180 when not said
"""

import http.client
import os
import random
import sys
import threading
import time

from kill9_test import Api, pods
from wherry_server import Server, wait_until

PODS = 300
KILL_EVERY = 5.0
BASE = "/api/v1/namespaces/default"
STEADY = ["sleep", "86400"]  # one process, recognised by its arguments


def container(command, **more):
    return {"name": "main", "image": "busybox", "command": command, **more}


def probe(kind, **more):
    return {kind: {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 2, **more}}


# What pods of the mixture run. Each is one of the ways in which pods live and die.
MIXTURE = [
    lambda: {"containers": [container(STEADY)]},
    lambda: {"containers": [container(["sh", "-c", "exit 3"])]},
    lambda: {"containers": [container(["false"])], "restartPolicy": "Never"},
    lambda: {"containers": [container(["sh", "-c", "sleep 1; exit 0"])], "restartPolicy": "OnFailure"},
    lambda: {"containers": [container(STEADY, **probe("livenessProbe", tcpSocket={"port": 9}))]},
    lambda: {"containers": [container(STEADY, **probe("readinessProbe", exec={"command": ["true"]}))]},
    lambda: {"containers": [container(STEADY, **probe("livenessProbe", exec={"command": ["false"]}))]},
    lambda: {"containers": [container(["sh", "-c", "(sleep 86401 &) ; exec sleep 86400"])]},
    lambda: {"containers": [container(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])]},
    lambda: {"containers": [container(STEADY, volumeMounts=[{"name": "conf", "mountPath": "/etc/soak"},
                                                            {"name": "scratch", "mountPath": "/var/soak"}])],
             "volumes": [{"name": "conf", "configMap": {"name": "soak"}}, {"name": "scratch", "emptyDir": {}}]},
    lambda: {"containers": [container(STEADY)], "initContainers": [{**container(["true"]), "name": "first"}]},
]


class Churn(threading.Thread):
    """Keeps PODS pods there, deleting one and creating another all the time, through every death of the server."""

    def __init__(self, server, seed):
        super().__init__(daemon=True)
        self.server, self.random, self.stopped = server, random.Random(seed), False
        self.next, self.alive, self.uids, self.error = 0, [], set(), None

    def run(self):
        api = Api(self.server)
        while not self.stopped:
            try:
                self.step(api)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # the server was killed
            except Exception as error:
                self.error = error
                return

    def step(self, api):
        if len(self.alive) >= PODS:
            name = self.alive.pop(self.random.randrange(len(self.alive)))
            grace = self.random.choice(["", "?gracePeriodSeconds=0", "?gracePeriodSeconds=1"])
            api("DELETE", f"{BASE}/pods/{name}{grace}")
            time.sleep(0.1)
        self.next += 1
        name = f"soak-{self.next}"
        self.alive.append(name)
        spec = {"terminationGracePeriodSeconds": 2, **self.random.choice(MIXTURE)()}
        status, made = api("POST", f"{BASE}/pods", {"metadata": {"name": name}, "spec": spec})
        assert status in (201, 409), made
        if status == 201:
            self.uids.add(made["metadata"]["uid"])


class Watch(threading.Thread):
    """Looks for containers that run twice."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.stopped, self.doubled, self.looks = server, False, [], 0

    def run(self):
        while not self.stopped:
            seen = {}
            for pid, (uid, directory) in self.server.processes().items():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        arguments = file.read().split(b"\0")[:-1]
                except OSError:
                    continue
                if arguments == [word.encode() for word in STEADY]:
                    seen.setdefault((uid, directory), []).append(pid)
            # A pid that is gone by now belonged to a run that was ending while we looked.
            self.doubled += [pids for pids in seen.values() if sum(os.path.exists(f"/proc/{pid}/exe") for pid in pids) > 1]
            self.looks += 1
            time.sleep(0.3)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def settled(pids, bound):
    """True when every process holds as many descriptors as before; connections need a moment to close."""
    return all(descriptors(pid) <= bound[kind] for kind, pid in pids.items())


def files_below(directory):
    return [os.path.join(place, name) for place, _, names in os.walk(directory) for name in names]


def cgroups_of(uids):
    return [place for place, _, _ in os.walk("/sys/fs/cgroup") if any(uid in place for uid in uids)]


def mounts_of(server):
    with open("/proc/self/mounts") as mounts:
        return [line for line in mounts if server.data in line]


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 180.0
    with Server(sys.argv[1], nodes=3) as server:
        api = Api(server)
        assert api("POST", f"{BASE}/configmaps", {"metadata": {"name": "soak"}, "data": {"a": "1"}})[0] == 201
        # One pod, so that the warden is there and everything has been opened once.
        assert api("POST", f"{BASE}/pods", {"metadata": {"name": "first"}, "spec": MIXTURE[9]()})[0] == 201
        wait_until(lambda: pods(api)["first"]["status"].get("phase") == "Running", "the first pod to run")
        assert api("DELETE", f"{BASE}/pods/first?gracePeriodSeconds=0")[0] == 200
        wait_until(lambda: not pods(api) and not server.processes(), "the first pod to go")
        warden = [pid for pid in server.wardens() if pid != server.process.pid]
        assert len(warden) == 1, warden
        before = {"server": descriptors(server.process.pid), "warden": descriptors(warden[0])}

        churn, watch = Churn(server, 1), Watch(server)
        churn.start()
        watch.start()
        kills, slowest, most = 0, 0.0, 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(KILL_EVERY)
            most = max(most, len(server.processes()))
            server.kill()
            kills += 1
            slowest = max(slowest, server.start())
            assert churn.error is None, repr(churn.error)
        churn.stopped = watch.stopped = True
        churn.join(20)
        watch.join(20)
        assert not watch.doubled, f"ran twice: {watch.doubled}"

        api = Api(server)
        assert api("DELETE", f"{BASE}/pods")[0] == 200
        wait_until(lambda: not pods(api), "every pod to go", 120)
        wait_until(lambda: not server.processes(), "every process to end with its pod", 30)
        wait_until(lambda: not files_below(os.path.join(server.data, "pods")), "the pods' files to go", 30)
        wait_until(lambda: not files_below(os.path.join(server.data, "logs")), "the pods' logs to go", 30)
        wardens = [pid for pid in server.wardens() if pid != server.process.pid]
        assert len(wardens) == 1, f"wardens: {wardens}"
        now = {"server": server.process.pid, "warden": wardens[0]}
        try:
            wait_until(lambda: settled(now, before), "descriptors to be closed", 20)
        except AssertionError:
            raise AssertionError(f"descriptors before {before}, now { {kind: descriptors(pid) for kind, pid in now.items()} }")
        assert not cgroups_of(churn.uids), cgroups_of(churn.uids)[:5]
        assert not mounts_of(server), mounts_of(server)[:5]
        print(f"{seconds:.0f} s: {churn.next} pods made, up to {most} processes, {kills} kills of the server (slowest restart "
              f"{slowest:.2f} s), {watch.looks} looks: none doubled, nothing left over")
    return 0


if __name__ == "__main__":
    sys.exit(main())
