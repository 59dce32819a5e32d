"""300 pods that crash, probe and are deleted, while the server is killed (SIGKILL) every 5 seconds. Meanwhile no container
runs twice; at the end no process, descriptor, cgroup, mount or file is left over.

    soak_test.py WHERRY [SECONDS]        180 when not said
"""

import http.client
import os
import random
import re
import sys
import threading
import time

from kill9_test import Api, pods
from wherry_server import Server, wait_until

PODS = 300
KILL_EVERY = 5.0
BASE = "/api/v1/namespaces/default"
STEADY = ["sleep", "86400"]  # one process, recognised by its arguments
# Holds a lock of its container's directory for as long as it lives: a second run beside the first finds it taken.
LOCKED = ["sh", "-c", 'flock -n -E 99 lock sleep 86400; [ $? != 99 ] || echo "$WHERRY_POD_NAME $WHERRY_CONTAINER_DIR" >> "$DOUBLED"']


def container(command, **more):
    return {"name": "main", "image": "busybox", "command": command, **more}


def probe(kind, **more):
    return {kind: {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 2, **more}}


def mounted(command, medium=None, **spec):
    scratch = {"medium": medium} if medium else {}
    return {"containers": [container(command, volumeMounts=[{"name": "conf", "mountPath": "/etc/soak"},
                                                            {"name": "scratch", "mountPath": "/var/soak"}])],
            "volumes": [{"name": "conf", "configMap": {"name": "soak"}}, {"name": "scratch", "emptyDir": scratch}], **spec}


LIMITS = {"limits": {"memory": "64Mi", "cpu": "500m"}}
HOOKS = {"postStart": {"exec": {"command": ["true"]}}, "preStop": {"exec": {"command": ["sleep", "0.2"]}}}

# What pods of the mixture run. Each is one of the ways in which pods live and die.
MIXTURE = [
    lambda: {"containers": [container(STEADY)]},
    lambda: {"containers": [container(LOCKED)]},
    lambda: {"containers": [container(["sh", "-c", "exit 3"])]},
    lambda: {"containers": [container(["sh", "-c", "kill -9 $$$$"])]},
    lambda: {"containers": [container(["false"])], "restartPolicy": "Never"},
    lambda: {"containers": [container(["sh", "-c", "sleep 1; exit 0"])], "restartPolicy": "OnFailure"},
    # Probes, of which some condemn.
    lambda: {"containers": [container(LOCKED, **probe("livenessProbe", tcpSocket={"port": 9}))]},
    lambda: {"containers": [container(LOCKED, **probe("livenessProbe", exec={"command": ["false"]}))]},
    lambda: {"containers": [container(LOCKED, **probe("startupProbe", httpGet={"port": 9}))]},
    lambda: {"containers": [container(LOCKED, **probe("readinessProbe", grpc={"port": 9}))]},
    lambda: {"containers": [container(STEADY, **probe("readinessProbe", exec={"command": ["true"]}))]},
    # What leaves something behind, or does not want to go.
    lambda: {"containers": [container(["sh", "-c", "(sleep 86401 &) ; exec sleep 86400"])]},
    lambda: {"containers": [container(["sh", "-c", "(sleep 86401 &) ; (setsid sleep 86402 &) ; sleep 1; exit 1"])]},
    lambda: {"containers": [container(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])]},
    # Mounts, control groups, sandboxes.
    lambda: mounted(STEADY),
    lambda: mounted(["sh", "-c", "cat /etc/soak/a; sleep 2; exit 1"], medium="Memory"),
    lambda: mounted(STEADY, runtimeClassName="sandbox"),
    lambda: mounted(["sh", "-c", "sleep 1; exit 1"], runtimeClassName="sandbox"),
    lambda: {"containers": [container(LOCKED, resources=LIMITS)]},
    lambda: {"containers": [container(["sh", "-c", "sleep 1; exit 1"], resources=LIMITS)], "runtimeClassName": "sandbox"},
    # More than one container.
    lambda: {"containers": [container(STEADY, lifecycle=HOOKS)], "initContainers": [{**container(["true"]), "name": "first"}]},
    lambda: {"containers": [container(["sh", "-c", "sleep 2; exit 1"]), {**container(STEADY), "name": "second"}],
             "initContainers": [{**container(LOCKED), "name": "beside", "restartPolicy": "Always"}]},
]


class Churn(threading.Thread):
    """Keeps at least PODS pods there, deleting one and creating another all the time, through every death of the server."""

    def __init__(self, server, doubled, seed):
        super().__init__(daemon=True)
        self.server, self.doubled, self.random, self.stopped = server, doubled, random.Random(seed), False
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
        if len(self.alive) >= PODS + 20:  # of which some were never acknowledged
            name = self.alive.pop(self.random.randrange(len(self.alive)))
            grace = self.random.choice(["", "?gracePeriodSeconds=0", "?gracePeriodSeconds=1"])
            api("DELETE", f"{BASE}/pods/{name}{grace}")
            time.sleep(0.1)
        self.next += 1
        name = f"soak-{self.next}"
        self.alive.append(name)
        # Every kind in turn, so that a short run has them all.
        spec = {"terminationGracePeriodSeconds": 2, **MIXTURE[self.next % len(MIXTURE)]()}
        for each in spec["containers"] + spec.get("initContainers", []):
            each["env"] = [{"name": "DOUBLED", "value": self.doubled}]
        status, made = api("POST", f"{BASE}/pods", {"metadata": {"name": name}, "spec": spec})
        assert status in (201, 409), made
        if status == 201:
            self.uids.add(made["metadata"]["uid"])


class Watch(threading.Thread):
    """Looks for containers that run twice, and for what there is at most."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.stopped, self.doubled, self.looks, self.cgroups = False, [], 0, set()
        self.most = {"processes": 0, "cgroups": 0, "mounts": 0}

    def run(self):
        while not self.stopped:
            seen, processes = {}, self.server.processes()
            for pid, (uid, directory) in processes.items():
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
            limited = cgroups_of(processes)
            self.cgroups |= limited
            now = {"processes": len(processes), "cgroups": len(limited), "mounts": len(mounts(self.server))}
            self.most = {what: max(count, now[what]) for what, count in self.most.items()}
            time.sleep(0.3)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def files(server, uids):
    """Every path below the data directory but for those of the database and the directories of nodes, and the volumes in
    memory of these pods."""
    found = set()
    for place, directories, names in os.walk(server.data):
        kept = os.path.join(server.data, "nodes")
        directories = [] if place.startswith(kept) else directories
        found |= {os.path.join(place, name) for name in directories + names if not name.startswith("wherry.db")}
    for place, directories, _ in os.walk("/dev/shm"):
        found |= {os.path.join(place, name) for name in directories if name in uids}
    return found


def cgroups_of(processes):
    """Names of the control groups of containers that these are in; one name in each hierarchy."""
    found = set()
    for pid in processes:
        try:
            with open(f"/proc/{pid}/cgroup") as groups:
                found |= set(re.findall(r"/(wherry-[0-9a-f]+)$", groups.read(), re.MULTILINE))
        except OSError:
            continue
    return found


def cgroups_named(names):
    return {os.path.join(place, name) for place, there, _ in os.walk("/sys/fs/cgroup") for name in there if name in names}


def mounts(server):
    """Mounts of our files that any process sees."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/mountinfo") as lines:
                found |= {line for line in lines if server.data in line}
        except OSError:
            continue
    return found


def host_mounts():
    with open("/proc/self/mountinfo") as lines:
        return set(lines)


def leftovers(server, before, uids, cgroups):
    """What is there now that was not there before; {} in the end."""
    wardens = [pid for pid in server.wardens() if pid != server.process.pid]
    now = {"processes": sorted(server.processes()), "files": sorted(files(server, uids) - before["files"])[:10],
           "cgroups": sorted(cgroups_named(cgroups))[:10], "mounts": sorted(mounts(server))[:10],
           "mounts of the host": sorted(host_mounts() - before["mounts of the host"])[:10], "wardens": len(wardens) - 1}
    for kind, pid in (("server", server.process.pid), ("warden", wardens[0] if wardens else 0)):
        if pid and descriptors(pid) > before["descriptors"][kind]:
            now[f"descriptors of the {kind}"] = f"{descriptors(pid)}, not {before['descriptors'][kind]}"
    return {what: found for what, found in now.items() if found}


def run_first(server, api):
    """One pod, so that the warden is there and everything has been opened once. What there is after it."""
    assert api("POST", f"{BASE}/configmaps", {"metadata": {"name": "soak"}, "data": {"a": "1"}})[0] == 201
    first = mounted(STEADY, medium="Memory")
    assert api("POST", f"{BASE}/pods", {"metadata": {"name": "first"}, "spec": first})[0] == 201
    wait_until(lambda: pods(api)["first"]["status"].get("phase") == "Running", "the first pod to run")
    assert api("DELETE", f"{BASE}/pods/first?gracePeriodSeconds=0")[0] == 200
    wait_until(lambda: not pods(api) and not server.processes(), "the first pod to go")
    time.sleep(1)  # its files go after it
    warden = [pid for pid in server.wardens() if pid != server.process.pid]
    assert len(warden) == 1, warden
    return {"descriptors": {"server": descriptors(server.process.pid), "warden": descriptors(warden[0])}, "files": files(server, set()),
            "mounts of the host": host_mounts()}


def remove_all(server):
    """Deletes all pods; True once none is there. A machine that is busy with starting the last ones may be slow to answer."""
    api = Api(server)
    try:
        return api("DELETE", f"{BASE}/pods")[0] == 200 and not pods(api)
    except OSError:
        return False


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 180.0
    with Server(sys.argv[1], nodes=4) as server:
        api = Api(server)
        before = run_first(server, api)
        doubled = os.path.join(server.dir, "doubled")
        churn, watch = Churn(server, doubled, 1), Watch(server)
        churn.start()
        watch.start()
        kills, slowest, most_pods, restarts = 0, 0.0, 0, 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(KILL_EVERY)
            there = pods(Api(server))
            most_pods = max(most_pods, len(there))
            restarts = max(restarts, sum(status["restartCount"] for pod in there.values()
                                         for status in pod["status"].get("containerStatuses", [])))
            server.kill()
            kills += 1
            slowest = max(slowest, server.start())
            assert churn.error is None, repr(churn.error)
        churn.stopped = watch.stopped = True
        churn.join(20)
        watch.join(20)
        assert not watch.doubled, f"ran twice: {watch.doubled}"
        assert not os.path.exists(doubled), f"ran twice: {open(doubled).read()}"
        # It was what it says it is.
        assert most_pods >= PODS and restarts >= PODS / 10, (most_pods, restarts)
        assert watch.most["processes"] >= PODS / 2 and watch.most["mounts"] > 0, watch.most
        assert watch.most["cgroups"] > 0 or os.geteuid() != 0, watch.most

        begin = time.monotonic()
        wait_until(lambda: remove_all(server), "every pod to go", 120)
        removal = time.monotonic() - begin
        try:
            wait_until(lambda: not leftovers(server, before, churn.uids, watch.cgroups), "nothing to be left over", 60, pause=0.5)
        except AssertionError:
            raise AssertionError(f"left over: {leftovers(server, before, churn.uids, watch.cgroups)}")
        print(f"{seconds:.0f} s: {churn.next} pods made, up to {most_pods} at once with {restarts} restarts, "
              f"{', '.join(f'{count} {what}' for what, count in watch.most.items())}; {kills} kills of the server (slowest "
              f"restart {slowest:.2f} s), {watch.looks} looks: none doubled, nothing left over {removal:.1f} s after the end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
