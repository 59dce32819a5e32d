"""kubectl debug in its forms: ephemeral containers, copies of pods, nodes; as root and as an ordinary user.

    debug_test.py WHERRY
"""

import os
import re
import sys

from isolation_test import UserServer
from streams_test import Terminal, run as raw
from wherry_server import Kubectl, Server, kubectls, wait_until

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: busybox, command: [sleep, "4711"]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: busybox, command: [sleep, "4717"]}
---
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  runtimeClassName: sandbox
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: busybox, command: [sh, -c, "echo secret > /etc/own; echo shared > /dev/shm/common; exec sleep 4712"]}
    - {name: other, image: busybox, command: [sleep, "4713"]}
---
apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  runtimeClassName: sandbox
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: busybox, command: [sleep, "4714"]}
    - {name: other, image: busybox, command: [sleep, "4715"]}
---
apiVersion: v1
kind: Pod
metadata: {name: single}
spec:
  runtimeClassName: sandbox
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: busybox, command: [sleep, "4716"]}
"""

PROFILES = ("general", "baseline", "restricted", "netadmin", "sysadmin")
# Of everything in the machine's /proc, as the kernel tells it.
LIST = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; cat $p/comm; done 2>/dev/null"


def ephemeral(kubectl, pod, name):
    """(state, its fields) of an ephemeral container, or nothing."""
    for status in kubectl.get("pod", pod)["status"].get("ephemeralContainerStatuses", []):
        if status["name"] == name:
            assert status["restartCount"] == 0 and status["ready"] is False and "started" not in status, status
            return next(iter(status["state"].items()), None)
    return None


def becomes(kubectl, pod, name, state, reason=None):
    def check():
        now = ephemeral(kubectl, pod, name)
        return now and now[0] == state and (reason is None or now[1].get("reason") == reason) and now[1]

    return wait_until(check, f"{pod}/{name} is {state} {reason or ''}, not {ephemeral(kubectl, pod, name)}")


def events(kubectl, pod, name):
    items = kubectl.get("events", "--field-selector", f"involvedObject.name={pod}")["items"]
    return [e for e in items if e["involvedObject"].get("fieldPath") == f"spec.ephemeralContainers{{{name}}}"]


def unharmed(kubectl, pod):
    status = kubectl.get("pod", pod)["status"]
    assert status["phase"] == "Running", status
    assert all(c["restartCount"] == 0 and c["ready"] for c in status["containerStatuses"]), status
    assert [c["status"] for c in status["conditions"] if c["type"] == "Ready"] == ["True"], status


def talks(kubectl):
    """On a terminal, in a container of the sandbox that sees its target."""
    terminal = Terminal(kubectl, "debug", "-it", "box", "--image=busybox", "--target=main", "-c", "dbg")
    terminal.type("hostname; cat /proc/1/comm; cat /proc/2/cmdline; echo\n")
    terminal.expect(r"box\r\nwherry-init\r\nsleep.4712")
    terminal.type("cat /etc/own || echo no; cat /proc/2/root/etc/own /dev/shm/common; test -t 0 && echo $TERM\n")
    terminal.expect(r"(?s)no\r\nsecret\r\nshared\r\nxterm")
    terminal.type("exit 0\n")
    assert terminal.wait() == 0
    ended = becomes(kubectl, "box", "dbg", "terminated", "Completed")
    assert ended["exitCode"] == 0, ended
    told = [e["reason"] for e in events(kubectl, "box", "dbg")]
    assert {"Pulled", "Created", "Started"} <= set(told), told
    shown = kubectl.ok("describe", "pod", "box")
    assert re.search(r"(?s)Ephemeral Containers:\n  dbg:.*State:\s+Terminated\n\s+Reason:\s+Completed", shown), shown
    unharmed(kubectl, "box")


def runs_by_itself(kubectl, server):
    """Without a terminal: started, looked at, adopted by the next server."""
    kubectl.ok("debug", "web", "--image=busybox", "--target=main", "-c", "watch", "--env=COLOUR=blue", "--", "sh", "-c",
               "echo looked $COLOUR; exec sleep 4720")
    becomes(kubectl, "web", "watch", "running")
    wait_until(lambda: kubectl.ok("logs", "web", "-c", "watch") == "looked blue\n", "its log")
    out = kubectl.ok("exec", "web", "-c", "watch", "--", "sh", "-c", LIST)
    assert "sleep 4711" in out and "sleep 4720" in out, out
    before = sorted(server.processes())
    server.kill()
    server.start()
    becomes(kubectl, "web", "watch", "running")
    assert sorted(server.processes()) == before, (before, server.processes())
    unharmed(kubectl, "web")

    # Fed through stdin, and attached to.
    status, out, err = raw(kubectl, "debug", "-i", "web", "--image=busybox", "-c", "fed", "--quiet", "--", "sh", "-c",
                           "read word; echo got $word", data=b"this\n")
    assert status == 0 and b"got this" in out, (status, out, err)
    becomes(kubectl, "web", "fed", "terminated", "Completed")
    status, out, err = raw(kubectl, "debug", "--attach", "web", "--image=busybox", "-c", "failed", "--", "sh", "-c",
                           "echo hello; exit 3")
    assert b"hello" in out, (status, out, err)
    assert becomes(kubectl, "web", "failed", "terminated", "Error")["exitCode"] == 3
    unharmed(kubectl, "web")
    # It is there for good, and an ordinary update may not take it away.
    status, _, err = kubectl("patch", "pod", "web", "--type=merge", "-p", '{"spec":{"ephemeralContainers":[]}}')
    assert status != 0 and "pod updates may not change fields other than" in err, err
    status, _, err = kubectl("debug", "web", "--image=busybox", "--target=nobody", "-c", "lost", "--", "true")
    assert status != 0 and 'targetContainerName: Not found: "nobody"' in err, err
    # A reference that nobody knows.
    kubectl.ok("debug", "web", "--image=example.com/unknown", "-c", "unknown")
    becomes(kubectl, "web", "unknown", "waiting", "ImagePullBackOff")
    unharmed(kubectl, "web")


def shares(kubectl):
    """What the containers of a sandboxed pod have together."""
    out = kubectl.ok("exec", "box", "-c", "other", "--", "sh", "-c", f"hostname; cat /dev/shm/common; {LIST}")
    assert out.startswith("box\nshared\n") and "sleep 4713" in out and "4712" not in out and "wherry-init" in out, out

    def names(pod, container):
        links = " ".join(f"/proc/self/ns/{kind}" for kind in ("uts", "ipc", "pid"))
        return kubectl.ok("exec", pod, "-c", container, "--", "readlink", *links.split()).split()

    box, other = names("box", "main"), names("box", "other")
    assert box[:2] == other[:2] and box[2] != other[2], (box, other)
    one, two = names("shared", "main"), names("shared", "other")
    assert one == two and not set(one) & set(box), (one, two, box)
    out = kubectl.ok("exec", "shared", "-c", "other", "--", "sh", "-c", "cat /proc/1/comm; " + LIST)
    assert out.startswith("wherry-pause\n") and "sleep 4714" in out and "sleep 4715" in out, out
    # A single container has nobody to share with, until somebody comes.
    kubectl.ok("debug", "single", "--image=busybox", "--target=main", "-c", "dbg", "--", "sleep", "4730")
    becomes(kubectl, "single", "dbg", "running")
    assert names("single", "main") == names("single", "dbg")
    # With its target's first process everything there ends.
    kubectl.ok("debug", "shared", "--image=busybox", "-c", "dbg", "--", "sleep", "4731")
    becomes(kubectl, "shared", "dbg", "running")
    assert names("shared", "dbg") == one
    unharmed(kubectl, "shared")


def profiles(kubectl, root):
    """The capabilities that they ask for, given or said not to be."""
    for profile in PROFILES:
        for pod in ("plain", "box"):
            kubectl.ok("debug", pod, "--image=busybox", "-c", profile, f"--profile={profile}", "--", "sleep", "4740")
            if root and profile == "restricted":  # runAsNonRoot
                becomes(kubectl, pod, profile, "waiting", "CreateContainerConfigError")
            elif not root and pod == "box" and profile in ("netadmin", "sysadmin"):
                why = becomes(kubectl, pod, profile, "waiting", "CreateContainerError")
                assert "cannot be given without root" in why["message"], why
            else:
                becomes(kubectl, pod, profile, "running")
                wanting = not root and profile in ("general", "netadmin", "sysadmin") and pod == "plain"

                def noted():
                    notes = [e["message"] for e in events(kubectl, pod, profile) if e["reason"] == "NotAsAsked"]
                    return any("cannot be given without root" in note for note in notes)

                if wanting:
                    wait_until(noted, f"an event about {profile} in {pod}")
                else:
                    assert not noted(), (pod, profile)
    out = kubectl.ok("exec", "box", "-c", "general", "--", "grep", "CapBnd", "/proc/self/status")
    assert int(out.split()[1], 16) & 1 << 19, out  # SYS_PTRACE
    for pod in ("plain", "box"):
        unharmed(kubectl, pod)


def copies(kubectl):
    kubectl.ok("debug", "web", "--copy-to=copy", "--image=busybox", "-c", "dbg", "--share-processes", "--", "sleep", "4750")
    copy = wait_until(lambda: running(kubectl, "copy"), "the copy runs")
    assert [c["name"] for c in copy["spec"]["containers"]] == ["main", "dbg"], copy
    assert copy["spec"]["shareProcessNamespace"] is True and "labels" not in copy["metadata"], copy
    kubectl.ok("debug", "box", "--copy-to=box-copy", "--set-image=other=alpine", "--same-node", "--share-processes")
    copy = wait_until(lambda: running(kubectl, "box-copy"), "the copy with another image runs")
    assert [c["image"] for c in copy["spec"]["containers"]] == ["busybox", "alpine"], copy
    out = kubectl.ok("exec", "box-copy", "-c", "other", "--", "sh", "-c", "cat /proc/1/comm; " + LIST)
    assert out.startswith("wherry-pause\n") and "sleep 4712" in out and "sleep 4713" in out, out
    terminal = Terminal(kubectl, "debug", "-it", "single", "--copy-to=single-copy", "--share-processes", "--container=main", "--",
                        "sh")
    terminal.type("cat /proc/1/comm; hostname; exit\n")
    terminal.expect(r"wherry-pause\r\nsingle-copy")
    terminal.wait()
    kubectl.ok("delete", "pod", "copy", "box-copy", "single-copy")


def running(kubectl, pod):
    found = kubectl.get("pod", pod)
    return found if found["status"]["phase"] == "Running" else None


def done(kubectl, pod):
    status = kubectl.get("pod", pod)["status"]
    return status if status["phase"] not in ("Pending", "Running") else None


def nodes(kubectl):
    """A pod on the node, with all of the machine at /host."""
    node = kubectl.get("nodes")["items"][0]["metadata"]["name"]
    terminal = Terminal(kubectl, "debug", f"node/{node}", "-it", "--image=busybox")
    terminal.type("hostname; cat /host/proc/sys/kernel/ostype; ls -d /host/etc; " + LIST + " | grep -c sleep.4711\n")
    terminal.expect(r"(?s)Linux\r\n/host/etc\r\n[1-9]")
    terminal.type("exit 0\n")
    assert terminal.wait() == 0
    pod = [p for p in kubectl.get("pods")["items"] if p["metadata"]["name"].startswith(f"node-debugger-{node}-")]
    assert len(pod) == 1 and pod[0]["spec"]["nodeName"] == node and pod[0]["spec"]["hostPID"] is True, pod
    name = pod[0]["metadata"]["name"]
    ended = wait_until(lambda: done(kubectl, name), "the node's debugger is done")
    assert ended["phase"] == "Succeeded", (ended, terminal.seen)
    kubectl.ok("delete", "pod", name)
    kubectl.ok("debug", f"node/{node}", "--image=busybox", "--", "cat", "/host/proc/sys/kernel/ostype")
    name = wait_until(lambda: [p["metadata"]["name"] for p in kubectl.get("pods")["items"] if "node-debugger" in p["metadata"]["name"]],
                      "another debugger")[0]
    wait_until(lambda: kubectl.ok("logs", name) == "Linux\n", "what it has seen")
    kubectl.ok("delete", "pod", name)


def pauses(server):
    return [pid for pid in server.wardens() if open(f"/proc/{pid}/comm").read() == "wherry-pause\n"]


def drive(version, program, server, user):
    kubectl = Kubectl(program, server)
    kubectl.ok("apply", "-f", "-", stdin=PODS)
    for pod in ("web", "plain", "box", "shared", "single"):
        wait_until(lambda: running(kubectl, pod), f"{pod} runs")
    assert len(pauses(server)) == 2, "box and shared have one each"
    modern = tuple(int(n) for n in re.findall(r"\d+", version)[:2]) >= (1, 23)
    if modern:
        talks(kubectl)
        runs_by_itself(kubectl, server)
        shares(kubectl)
        if "--profile" in kubectl.ok("debug", "--help"):
            profiles(kubectl, user == "root")
    else:  # it speaks of a kind that servers have not had since 1.22
        status, _, err = kubectl("debug", "web", "--image=busybox", "-c", "old", "--", "sleep", "1")
        assert status != 0 and "EphemeralContainers" in err, err
    copies(kubectl)
    nodes(kubectl)
    kubectl.ok("delete", "pod", "web", "plain", "box", "shared", "single")
    wait_until(lambda: not server.processes(), "no process is left")
    wait_until(lambda: not pauses(server), "nor a pause")
    assert not os.listdir(os.path.join(server.data, "pods"))
    print(f"ok: kubectl {version}, {user}")


def simulated(version, program, binary):
    with Server(binary, nodes=1) as server:
        kubectl = Kubectl(program, server)
        kubectl.ok("apply", "-f", "-", stdin="""
apiVersion: v1
kind: Node
metadata: {name: sim, annotations: {wherry.dev/runtime: simulated}}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  nodeName: sim
  containers: [{name: main, image: any}]
""")
        wait_until(lambda: running(kubectl, "p"), "the simulated pod runs")
        kubectl.ok("debug", "p", "--image=busybox", "-c", "dbg", "--", "sh")
        becomes(kubectl, "p", "dbg", "running")
        unharmed(kubectl, "p")
    print(f"ok: kubectl {version}, simulated")


def main():
    binary = sys.argv[1]
    tools = kubectls()
    if not tools:
        print("SKIPPED: no kubectl")
        return 77
    kinds = [("root", Server), ("an ordinary user", UserServer)] if os.geteuid() == 0 else [("an ordinary user", Server)]
    for version, program in sorted(tools.items()):
        for user, kind in kinds:
            with kind(binary) as server:
                drive(version, program, server, user)
    simulated(version, program, binary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
