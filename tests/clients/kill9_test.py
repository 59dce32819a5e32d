"""kill -9 of the server under write load, again and again. After each restart:

  - every write that was acknowledged is there, and no deletion that was acknowledged has come undone;
  - no revision has been given to two states, and new ones are higher than any seen before;
  - the pods' processes are those from before: adopted, not restarted, none twice, none left over;
  - a program that ended while no server was there is reported with its true exit code.

    kill9_test.py WHERRY [KILLS]
"""

import base64
import contextlib
import http.client
import json
import os
import random
import signal
import ssl
import sys
import threading
import time

import yaml

from wherry_server import Server, wait_until

WRITERS = 8


class Api:
    """One keep-alive connection with the kubeconfig's credentials. Not for several threads."""

    def __init__(self, server):
        self.server = server
        with open(server.kubeconfig) as file:
            config = yaml.safe_load(file)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        paths = []
        for key in ("client-certificate-data", "client-key-data"):
            path = os.path.join(server.dir, key)
            if not os.path.exists(path):
                with open(f"{path}.{threading.get_ident()}", "wb") as file:
                    file.write(base64.b64decode(user[key]))
                os.rename(f"{path}.{threading.get_ident()}", path)
            paths.append(path)
        self.context.load_cert_chain(*paths)
        self.connection = None

    def __call__(self, method, path, body=None, content_type="application/json"):
        """(status, document). OSError or HTTPException when there is no whole answer."""
        if self.connection is None:
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, context=self.context, timeout=10)
        try:
            self.connection.request(method, path, json.dumps(body) if body is not None else None,
                                    {"Content-Type": content_type, "Accept": "application/json"})
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise


class Revisions:
    """Which state each revision was given to."""

    def __init__(self):
        self.lock = threading.Lock()
        self.states = {}
        self.highest = 0

    def note(self, item):
        revision = int(item["metadata"]["resourceVersion"])
        state = (item["metadata"]["uid"], item["data"]["value"])
        with self.lock:
            before = self.states.setdefault(revision, state)
            assert before == state, f"revision {revision} was given to {before} and to {state}"
            self.highest = max(self.highest, revision)
        return revision


class Writer(threading.Thread):
    """Creates, updates and deletes ConfigMaps of its own, and knows what was acknowledged."""

    def __init__(self, number, server, revisions):
        super().__init__(daemon=True)
        self.number, self.server, self.revisions = number, server, revisions
        self.random = random.Random(number)
        self.acknowledged = {}  # name → value
        self.deleted = set()
        self.pending = None     # (verb, name, value) whose answer never came
        self.next = 0
        self.stopped = False
        self.error = None
        self.idle = threading.Event()

    def run(self):
        api = Api(self.server)
        try:
            while not self.stopped:
                verb, name, value = self.choose()
                self.pending = (verb, name, value)
                try:
                    self.write(api, verb, name, value)
                except (OSError, http.client.HTTPException):
                    return  # the server was killed; `pending` may or may not have happened
                self.pending = None
        except Exception as error:
            self.error = error

    def choose(self):
        dice = self.random.random()
        if not self.acknowledged or dice < 0.5:
            self.next += 1
            return "POST", f"w{self.number}-{self.next}", 1
        name = self.random.choice(sorted(self.acknowledged))
        return ("DELETE", name, None) if dice < 0.6 else ("PATCH", name, self.acknowledged[name] + 1)

    def write(self, api, verb, name, value):
        path = "/api/v1/namespaces/default/configmaps"
        if verb == "POST":
            body = {"metadata": {"name": name, "labels": {"load": "yes"}}, "data": {"value": str(value), "filling": "x" * 500}}
            status, item = api("POST", path, body)
        elif verb == "PATCH":
            status, item = api("PATCH", f"{path}/{name}", {"data": {"value": str(value)}}, "application/merge-patch+json")
        else:
            status, item = api("DELETE", f"{path}/{name}")
        assert status in (200, 201), f"{verb} {name}: {status} {item}"
        if verb == "DELETE":
            del self.acknowledged[name]
            self.deleted.add(name)
            return
        assert item["data"]["value"] == str(value), item
        self.revisions.note(item)
        self.acknowledged[name] = value

    def check(self, stored):
        """What is stored, by name, against what was acknowledged. Settles the write whose answer never came."""
        assert self.error is None, f"writer {self.number}: {self.error!r}"
        verb, pending, value = self.pending or (None, None, None)
        for name, expected in list(self.acknowledged.items()):
            found = stored.get(name)
            if name == pending and verb == "DELETE" and found is None:
                del self.acknowledged[name]
                self.deleted.add(name)
            elif name == pending and verb == "PATCH" and found == value:
                self.acknowledged[name] = value
            else:
                assert found == expected, f"{name}: {expected} was acknowledged, {found} is stored"
        for name in self.deleted:
            assert name not in stored, f"the deletion of {name} was acknowledged, but it is back"
        if verb == "POST" and pending in stored:
            self.acknowledged[pending] = stored[pending]
        mine = {name for name in stored if name.startswith(f"w{self.number}-")}
        assert mine == set(self.acknowledged), f"writer {self.number}: {mine ^ set(self.acknowledged)} are not as written"
        self.pending = None

    def successor(self):
        other = Writer(self.number, self.server, self.revisions)
        other.random, other.acknowledged, other.deleted, other.next = self.random, self.acknowledged, self.deleted, self.next
        return other


class Churn(threading.Thread):
    """Creates pods and deletes them again, so that kills meet pods in every state of their lives."""

    def __init__(self, server, start):
        super().__init__(daemon=True)
        self.server, self.next, self.stopped = server, start, False

    def run(self):
        try:
            api = Api(self.server)
            while not self.stopped:
                self.next += 1
                api("POST", "/api/v1/namespaces/default/pods", pod(f"churn-{self.next}", ["sleep", "1000"]))
                if self.next > 3:
                    api("DELETE", f"/api/v1/namespaces/default/pods/churn-{self.next - 3}")
                time.sleep(0.05)
        except (OSError, http.client.HTTPException):
            pass  # the server was killed


def pod(name, command, **spec):
    return {"metadata": {"name": name},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "busybox", "command": command}],
                     **spec}}


DAEMONSET = {
    "metadata": {"name": "steady"},
    "spec": {"selector": {"matchLabels": {"app": "steady"}},
             "template": {"metadata": {"labels": {"app": "steady"}}, "spec": pod("", ["sleep", "100000"])["spec"]}},
}


def pods(api):
    status, listed = api("GET", "/api/v1/namespaces/default/pods")
    assert status == 200, listed
    return {item["metadata"]["name"]: item for item in listed["items"]}


def steady(api):
    """{pod name: restart count} of the DaemonSet's pods, when both run."""
    running = {name: item["status"]["containerStatuses"][0]["restartCount"] for name, item in pods(api).items()
               if name.startswith("steady-") and item["status"].get("phase") == "Running"}
    return running if len(running) == 2 else None


def processes_of(server, items):
    """{pod uid: pids} of the processes of these pods."""
    wanted = {item["metadata"]["uid"] for item in items}
    found = {}
    for pid, (uid, _) in server.processes().items():
        if uid in wanted:
            found.setdefault(uid, []).append(pid)
    return found


def check_store(server, api, writers, revisions):
    before = revisions.highest
    status, listed = api("GET", "/api/v1/namespaces/default/configmaps?labelSelector=load%3Dyes")
    assert status == 200, listed
    stored = {}
    for item in listed["items"]:
        revisions.note(item)
        stored[item["metadata"]["name"]] = int(item["data"]["value"])
    for writer in writers:
        writer.check(stored)
    assert int(listed["metadata"]["resourceVersion"]) >= before, f"{listed['metadata']} after revision {before} was seen"
    status, item = api("PATCH", "/api/v1/namespaces/default/configmaps/probe", {"data": {"value": str(time.monotonic_ns())}},
                       "application/merge-patch+json")
    assert status == 200, item
    assert int(item["metadata"]["resourceVersion"]) > before, f"{item['metadata']} after revision {before} was seen"
    revisions.note(item)
    return len(stored)


def main():
    binary = sys.argv[1]
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    chance = random.Random(1)
    revisions = Revisions()
    writes = 0
    slowest = 0.0
    with Server(binary) as server:
        api = Api(server)
        base = "/api/v1/namespaces/default"
        assert api("POST", f"{base}/configmaps", {"metadata": {"name": "probe"}, "data": {"value": "0"}})[0] == 201
        assert api("POST", "/apis/apps/v1/namespaces/default/daemonsets", DAEMONSET)[0] == 201
        wait_until(lambda: steady(api), "the DaemonSet to run")
        kept = processes_of(server, [item for name, item in pods(api).items() if name.startswith("steady-")])
        assert len(kept) == 2 and all(len(pids) == 1 for pids in kept.values()), kept

        writers = [Writer(number, server, revisions) for number in range(WRITERS)]
        churned = 0
        for kill in range(1, kills + 1):
            mortal = None
            if kill % 10 == 5:
                mortal = f"mortal-{kill}"
                body = pod(mortal, ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"], restartPolicy="Never")
                status, made = api("POST", f"{base}/pods", body)
                assert status == 201, made
                wait_until(lambda: pods(api)[mortal]["status"].get("phase") == "Running", f"{mortal} to run")
            churn = Churn(server, churned)
            for thread in [*writers, churn]:
                thread.start()
            time.sleep(chance.uniform(0.05, 0.5))
            server.kill()
            for thread in [*writers, churn]:
                thread.join(20)
                assert not thread.is_alive(), "a writer waits for an answer of a dead server"
            churned = churn.next
            if mortal:
                for pid in processes_of(server, [made])[made["metadata"]["uid"]]:
                    with contextlib.suppress(ProcessLookupError):  # one of its sleeps
                        os.kill(pid, signal.SIGTERM)

            slowest = max(slowest, server.start())
            api = Api(server)
            writes = check_store(server, api, writers, revisions)
            assert wait_until(lambda: steady(api), "the DaemonSet to run again") == dict.fromkeys(steady(api), 0), \
                f"restarted after kill {kill}: {steady(api)}"
            now = processes_of(server, [item for name, item in pods(api).items() if name.startswith("steady-")])
            assert now == kept, f"kill {kill}: the processes were {kept} and are {now}"
            if mortal:
                ended = wait_until(lambda: pods(api)[mortal]["status"]["containerStatuses"][0]["state"].get("terminated"),
                                   f"the end of {mortal} to be told")
                assert ended["exitCode"] == 7, f"{mortal} ended with 7, told is {ended}"
                assert api("DELETE", f"{base}/pods/{mortal}")[0] == 200
            writers = [writer.successor() for writer in writers]

        # Whatever the kills interrupted comes to rest: one process for each running pod, and none besides.
        def at_rest():
            items = pods(api)
            expected = {item["metadata"]["uid"] for item in items.values() if item["status"].get("phase") == "Running"}
            if any(item["status"].get("phase") == "Pending" or "deletionTimestamp" in item["metadata"] for item in items.values()):
                return False
            by_pod = {}
            for _, (uid, _) in server.processes().items():
                by_pod[uid] = by_pod.get(uid, 0) + 1
            return by_pod == dict.fromkeys(expected, 1)

        try:
            wait_until(at_rest, "one process for each running pod", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}: {server.processes()} for { {n: p['status'].get('phase') for n, p in pods(api).items()} }")
        assert api("DELETE", "/apis/apps/v1/namespaces/default/daemonsets/steady")[0] == 200
        assert api("DELETE", f"{base}/pods")[0] == 200
        wait_until(lambda: not server.processes(), "every process to end with its pod", 60)
        server.stop()
        time.sleep(0.5)
        left = server.processes()
        assert not left, f"left over: {left}"
    print(f"{kills} kills: {writes} objects of {revisions.highest} revisions all as acknowledged, processes kept, "
          f"slowest restart {slowest:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
