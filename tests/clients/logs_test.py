"""kubectl logs with every flag it has, over runs, files and containers.

    logs_test.py WHERRY
"""

import hashlib
import os
import re
import sys
import time

from wherry_server import Kubectl, Server, kubectls, wait_until

# Two pods of three containers each. What they write comes in two parts, more than two seconds apart.
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: %(name)s, labels: {app: talkers}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  initContainers:
    - {name: init, image: busybox, command: [sh, -c, "echo init of %(name)s"]}
  containers:
    - name: a
      image: busybox
      command: [sh, -c, "echo a early; sleep 2.2; echo a late; echo a err >&2"]
    - name: b
      image: busybox
      command: [sh, -c, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo b $i; done"]
"""

WAITING = """
apiVersion: v1
kind: Pod
metadata: {name: waiting, labels: {app: talkers}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: a, image: example.com/unknown}
"""

# 25 MB, which is more than two files of a log, in the first run; one word in the second.
LARGE_LINES = 25_000
LARGE = """
apiVersion: v1
kind: Pod
metadata: {name: large}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: busybox
      command:
        - perl
        - -e
        - |
          $| = 1;
          if (-e 'seen') { print qq(second\\n); sleep 100000 }
          open my $file, '>', 'seen';
          printf qq(%%07d %%s\\n), $_, 'x' x 991 for 1 .. %d;
""" % LARGE_LINES


def line(number):
    return b"%07d %s\n" % (number, b"x" * 991)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def seconds_of(text):
    return re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z ", text).group(1) + "Z"


def one_container(kubectl):
    kubectl.ok("wait", "--for=condition=Initialized", "pod", "one", "two", "--timeout=20s")
    wait_until(lambda: all(kubectl.get("pod", p)["status"]["phase"] == "Succeeded" for p in ("one", "two")), "both to end")
    assert kubectl.ok("logs", "one", "-c", "init") == "init of one\n"
    late = kubectl.ok("logs", "one", "-c", "a")
    assert sorted(late.splitlines()) == ["a early", "a err", "a late"] and late.startswith("a early\n"), late
    assert kubectl.ok("logs", "one", "-c", "b", "--tail=3") == "b 10\nb 11\nb 12\n"
    assert kubectl.ok("logs", "one", "-c", "b", "--tail=0") == ""
    assert kubectl.ok("logs", "one", "-c", "b", "--limit-bytes=7") == "b 1\nb 2"
    assert kubectl.ok("logs", "pod/one", "b", "--tail=1") == "b 12\n"

    stamped = kubectl.ok("logs", "one", "-c", "a", "--timestamps").splitlines()
    assert [text.split(" ", 1)[1] for text in stamped] == late.splitlines(), stamped
    early, later = seconds_of(stamped[0]), seconds_of(stamped[-1])
    assert early < later, stamped
    assert kubectl.ok("logs", "one", "-c", "a", f"--since-time={early}") == late
    assert "early" not in kubectl.ok("logs", "one", "-c", "a", f"--since-time={later}")
    assert "a late\n" in kubectl.ok("logs", "one", "-c", "a", f"--since-time={later}")
    assert kubectl.ok("logs", "one", "-c", "a", "--since=1h") == late
    time.sleep(1.1)
    assert kubectl.ok("logs", "one", "-c", "a", "--since=1s") == ""

    status, _, err = kubectl("logs", "one", "-c", "nobody")
    assert status == 1 and "container nobody is not valid for pod one" in err, err
    status, _, err = kubectl("logs", "one", "-c", "b", "--previous")
    assert status == 1 and 'previous terminated container "b" in pod "one" not found' in err, err
    status, _, err = kubectl("logs", "one", "-c", "b", "--since=1s", f"--since-time={early}")
    assert status != 0 and "at most one of" in err, err


def several(kubectl):
    # The containers come in any order.
    everything = kubectl.ok("logs", "one", "--all-containers")
    assert "init of one\n" in everything and "".join(f"b {i}\n" for i in range(1, 13)) in everything, everything
    assert everything.count("\n") == 1 + 3 + 12, everything
    prefixed = kubectl.ok("logs", "one", "--all-containers", "--prefix", "--tail=1").splitlines()
    assert {"[pod/one/init] init of one", "[pod/one/b] b 12"} < set(prefixed) and len(prefixed) == 3, prefixed
    # By label: ten lines of each unless told otherwise.
    by_label = kubectl.ok("logs", "-l", "app=talkers", "-c", "b")
    assert by_label == "".join(f"b {i}\n" for i in range(3, 13)) * 2, by_label
    assert kubectl.ok("logs", "-l", "app=talkers", "-c", "b", "--tail=-1").count("b 1\n") == 2
    followed = kubectl.ok("logs", "-f", "-l", "app=talkers", "--all-containers", "--prefix", "--max-log-requests=6",
                          "--tail=-1")
    assert followed.count("\n") == 2 * (1 + 3 + 12) and "[pod/two/b] b 12\n" in followed, followed
    status, _, err = kubectl("logs", "-f", "-l", "app=talkers", "--all-containers", "--max-log-requests=5")
    assert status == 1 and "maximum allowed concurrency is 5" in err, err

    kubectl.ok("apply", "-f", "-", stdin=WAITING)
    wait_until(lambda: "pulled" in kubectl("logs", "waiting")[2] or "pull image" in kubectl("logs", "waiting")[2],
               "why there is no log")
    status, _, err = kubectl("logs", "-l", "app=talkers", "-c", "a")
    assert status == 1 and 'container "a" in pod "waiting" is waiting to start' in err, err
    status, out, err = kubectl("logs", "-l", "app=talkers", "-c", "a", "-f", "--ignore-errors")
    assert status == 0 and out.count("a early") == 2 and "is waiting to start" in out + err, (status, out, err)


def large(server, kubectl):
    wait_until(lambda: kubectl("logs", "large", "--previous")[0] == 0 and kubectl.ok("logs", "large") == "second\n",
               "the second run", 60)
    pod = kubectl.get("pod", "large")
    files = os.path.join(server.data, "logs", f"default_large_{pod['metadata']['uid']}", "main")
    assert sorted(os.listdir(files)) == ["0.log", "0.log.1", "0.log.2", "1.log"], os.listdir(files)
    whole = sha(b"".join(line(i) for i in range(1, LARGE_LINES + 1)))
    for flags in (["--previous"], ["-f", "--previous"], ["-p", "-c", "main", "--tail=-1"]):
        assert sha(kubectl.ok("logs", "large", *flags).encode()) == whole, flags
    # From the middle file, and over the edges of files.
    tail = kubectl.ok("logs", "-p", "large", "--tail=15000")
    assert tail.encode() == b"".join(line(i) for i in range(LARGE_LINES - 14_999, LARGE_LINES + 1))
    assert kubectl.ok("logs", "-p", "large", "--limit-bytes=12000000").encode() == b"".join(
        line(i) for i in range(1, 12_001))
    kubectl.ok("delete", "pod", "large")
    wait_until(lambda: not os.path.exists(files), "the files to go with their pod")


def follows(server, kubectl):
    """-f of a pod that goes on writing: every line once, over a rotation, until the container ends."""
    writes = "$| = 1; for (1 .. 15) { printf qq(%07d %s\\n), $_, 'x' x 991 for 1 .. 1000; select undef, undef, undef, 0.1 }"
    kubectl.ok("run", "writer", "--image=busybox", "--restart=Never", "--command", "--", "perl", "-e", writes)
    wait_until(lambda: kubectl("logs", "writer")[0] == 0, "the writer to start")
    assert kubectl.ok("logs", "-f", "writer").encode() == b"".join(line(i) for i in range(1, 1001)) * 15
    kubectl.ok("delete", "pod", "writer")


def check(server, kubectl):
    for name in ("one", "two"):
        kubectl.ok("apply", "-f", "-", stdin=PODS % {"name": name})
    kubectl.ok("apply", "-f", "-", stdin=LARGE)
    one_container(kubectl)
    several(kubectl)
    large(server, kubectl)
    follows(server, kubectl)
    kubectl.ok("delete", "pod", "--all")


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    with Server(sys.argv[1], nodes=1) as server:
        for version, program in sorted(found.items()):
            check(server, Kubectl(program, server))
            print(f"kubectl {version}: every flag of logs holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
