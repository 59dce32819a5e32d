"""Streams: exec, cp, port-forward, attach and top, with kubectls of SPDY and of WebSocket, and the Python client. Logs have
a test of their own.

    streams_test.py WHERRY
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from interactive import Attached, Terminal
from wherry_server import Kubectl, Server, kubectls, wait_until

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: any
      command: [sleep, "100000"]
      env: [{name: COLOUR, value: blue}]
    - name: other
      image: any
      command: [sleep, "100000"]
---
apiVersion: v1
kind: Pod
metadata: {name: ended}
spec:
  restartPolicy: Never
  containers:
    - {name: main, image: any, command: ["true"]}
---
apiVersion: v1
kind: Pod
metadata: {name: files}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: any
      command: [/usr/bin/python3, -m, http.server, "80", -d, %(dir)s]
---
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: any
      command:
        - /usr/bin/python3
        - -c
        - |
          import socketserver
          class Echo(socketserver.BaseRequestHandler):
              def handle(self):
                  while data := self.request.recv(65536):
                      self.request.sendall(data)
          socketserver.ThreadingTCPServer.allow_reuse_address = True
          socketserver.ThreadingTCPServer(("", 7000), Echo).serve_forever()
---
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  runtimeClassName: sandbox
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: any
      command: [sleep, "100000"]
"""

SIZE = 20 << 20
CONNECTIONS = 5


def sha(data):
    return hashlib.sha256(data).hexdigest()


def run(kubectl, *args, data=b"", timeout=60):
    done = subprocess.run([kubectl.program, "--kubeconfig", kubectl.server.kubeconfig, "--cache-dir",
                           os.path.join(kubectl.server.dir, "cache"), *args], input=data, capture_output=True,
                          timeout=timeout, env={"PATH": os.environ["PATH"], "HOME": kubectl.server.dir})
    return done.returncode, done.stdout, done.stderr.decode()


def executes(server, kubectl):
    status, out, err = run(kubectl, "exec", "shell", "-c", "main", "--", "sh", "-c", "echo out $COLOUR; echo err >&2; exit 3")
    assert (status, out) == (3, b"out blue\n"), (status, out, err)
    assert err.startswith("err\n") and "exit code 3" in err, err
    status, out, err = run(kubectl, "exec", "-i", "shell", "-c", "other", "--", "cat", data=b"through\n")
    assert (status, out, err) == (0, b"through\n", ""), (status, out, err)
    status, out, err = run(kubectl, "exec", "shell", "-c", "main", "--", "sh", "-c", "kill -9 $$")
    assert status == 137, (status, out, err)
    status, out, err = run(kubectl, "exec", "shell", "-c", "main", "--", "no-such-program")
    assert status == 1 and 'exec: "no-such-program": executable file not found in $PATH' in err, (status, err)
    status, out, err = run(kubectl, "exec", "shell", "-c", "missing", "--", "true")
    assert status == 1 and "container missing is not valid for pod shell" in err, (status, err)
    status, out, err = run(kubectl, "exec", "nobody", "--", "true")
    assert status == 1 and 'pods "nobody" not found' in err, (status, err)
    status, out, err = run(kubectl, "exec", "ended", "--", "true")
    assert status == 1 and "completed pod" in err, (status, err)
    # 20 MB in and out again.
    data = os.urandom(SIZE)
    status, out, err = run(kubectl, "exec", "-i", "shell", "-c", "main", "--", "cat", data=data)
    assert status == 0 and sha(out) == sha(data), (status, len(out), err)
    # What the program leaves running keeps nobody waiting.
    begin = time.monotonic()
    status, out, err = run(kubectl, "exec", "shell", "-c", "main", "--", "sh", "-c", "sleep 30 & echo done")
    assert (status, out) == (0, b"done\n") and time.monotonic() - begin < 10, (status, out, err)


def stops_with_its_client(server, kubectl):
    mark = f"{os.getpid()}{int(time.monotonic() * 1000)}"
    client = kubectl.start("exec", "shell", "-c", "main", "--", "sleep", mark)
    runs = lambda: subprocess.run(["pgrep", "-fx", f"sleep {mark}"], capture_output=True).returncode == 0
    wait_until(runs, "the exec to run")
    client.kill()
    client.wait()
    wait_until(lambda: not runs(), "the exec to end with its client")


def has_terminals(server, kubectl):
    terminal = Terminal(kubectl, "exec", "-it", "shell", "-c", "main", "--", "sh")
    terminal.type("stty size; tty; echo $TERM\n")
    terminal.expect(r"31 91\r\n/dev/pts/\d+\r\nxterm\r\n")
    terminal.resize(40, 120)
    wait_until(lambda: shows_size(terminal, "40 120"), "the size to follow")
    terminal.type("sleep 1000\n")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.type("exit 5\n")
    assert terminal.wait() == 5
    # A program is told of each new size by SIGWINCH, without asking.
    terminal = Terminal(kubectl, "exec", "-it", "shell", "-c", "main", "--", "sh", "-c", WATCHES_SIZE)
    terminal.expect("ready")
    for rows, columns in ((25, 70), (60, 200), (24, 80)):
        terminal.resize(rows, columns)
        terminal.expect(rf"now {rows} {columns}\r\n")
    terminal.type("\x03")
    assert terminal.wait() == 130


WATCHES_SIZE = 'trap "echo now \\$(stty size)" WINCH; trap "exit 130" INT; echo ready; while :; do sleep 0.05; done'


def shows_size(terminal, size):
    terminal.type("stty size\n")
    try:
        terminal.expect(size + r"\r\n", timeout=1)
    except AssertionError:
        return False
    return True


def tree(root):
    """{path below root: checksum and mode} of every file, and of every directory nothing."""
    found = {}
    for place, directories, names in os.walk(root):
        for name in directories:
            found[os.path.relpath(os.path.join(place, name), root) + "/"] = None
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = (sha(file.read()), os.stat(path).st_mode & 0o777)
    return found


def sums(found):
    return {path: entry and entry[0] for path, entry in found.items()}


def copies(server, kubectl):
    """Files and directories, binary and large, into and out of a named container; what a sandbox has stays there."""
    base = tempfile.mkdtemp(dir=server.dir)
    here, there, back = (os.path.join(base, name) for name in ("here", "there", "back"))
    os.makedirs(os.path.join(here, "deep/er"))
    os.makedirs(there)
    for name, data, mode in (("large", os.urandom(SIZE), 0o644), ("empty", b"", 0o600),
                             ("deep/er/binary", bytes(range(256)), 0o640), ("deep/run", b"#!/bin/sh\necho \xff\n", 0o755),
                             ("a name with spaces", b"text\n", 0o644)):
        with open(os.path.join(here, name), "wb") as file:
            file.write(data)
        os.chmod(os.path.join(here, name), mode)
    expected = tree(here)
    for container in ("main", "other"):
        kubectl.ok("cp", here, f"shell:{there}/{container}", "-c", container)
        assert tree(f"{there}/{container}") == expected, tree(f"{there}/{container}")
        kubectl.ok("cp", f"default/shell:{there}/{container}", f"{back}-{container}", "-c", container)
        # kubectl makes files of its own modes on the way back.
        assert sums(tree(f"{back}-{container}")) == sums(expected), tree(f"{back}-{container}")
    kubectl.ok("cp", f"{here}/large", f"shell:{there}/file", "-c", "other")
    kubectl.ok("cp", f"shell:{there}/file", f"{base}/file", "-c", "other")
    with open(f"{base}/file", "rb") as file:
        assert sha(file.read()) == expected["large"][0]
    # Out of a directory of the sandbox that this machine does not have.
    kubectl.ok("cp", here, "box:/srv/mine")
    assert not os.path.exists("/srv/mine")
    out = kubectl.ok("exec", "box", "--", "sha256sum", "/srv/mine/large")
    assert out.split()[0] == expected["large"][0], out
    kubectl.ok("cp", "box:/srv/mine", f"{back}-box")
    assert sums(tree(f"{back}-box")) == sums(expected), tree(f"{back}-box")
    kubectl.ok("exec", "box", "--", "rm", "-r", "/srv/mine")
    # An old kubectl may be gone before it has shown what tar said of that.
    run(kubectl, "cp", "box:/srv/mine", f"{base}/none")
    assert not os.path.exists(f"{base}/none")
    status, out, err = run(kubectl, "exec", "box", "--", "tar", "cf", "-", "/srv/mine")
    assert status != 0 and "no such file" in err.lower(), (status, out, err)
    shutil.rmtree(base)


def resident(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s*(\d+)", status.read()).group(1)) >> 10


def forwards(server, kubectl):
    data = os.urandom(SIZE)
    with open(os.path.join(server.dir, "large"), "wb") as file:
        file.write(data)
    before = resident(server)
    client = kubectl.start("port-forward", "pod/files", ":80", ":81")
    try:
        ports = [int(re.search(r"127\.0\.0\.1:(\d+)", client.stdout.readline()).group(1))]
        while len(ports) < 2:
            found = re.search(r"127\.0\.0\.1:(\d+) -> 81", client.stdout.readline())
            ports += [int(found.group(1))] if found else []
        sums = []

        def fetch():
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/large", timeout=60) as answer:
                sums.append(sha(answer.read()))

        begin = time.monotonic()
        threads = [threading.Thread(target=fetch) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - begin
        assert sums == [sha(data)] * CONNECTIONS, sums
        # A port that nobody serves is an error of that connection alone.
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/", timeout=20)
            raise AssertionError("an answer from a port that nobody serves")
        except OSError:
            pass
        grown = resident(server) - before
        print(f"  port-forward: {CONNECTIONS} x {SIZE >> 20} MB in {seconds:.1f} s, {grown} MiB more in the server")
        assert grown < 32, f"{grown} MiB"
    finally:
        client.kill()
        said = client.communicate()[0]
    assert "refused" in said, said


def exchanges(server, kubectl):
    """As much in as out at once, over several connections of one port-forward."""
    client = kubectl.start("port-forward", "pod/echo", ":7000")
    try:
        port = int(re.search(r"127\.0\.0\.1:(\d+)", client.stdout.readline()).group(1))
        wrong = []

        def talk():
            data = os.urandom(SIZE)
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                sender = threading.Thread(target=connection.sendall, args=(data,))
                sender.start()
                got = bytearray()
                while len(got) < SIZE:
                    piece = connection.recv(1 << 20)
                    if not piece:
                        break
                    got += piece
                sender.join()
            if sha(got) != sha(data):
                wrong.append(len(got))

        threads = [threading.Thread(target=talk) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
    finally:
        client.kill()
        client.communicate()


def tops(server, kubectl):
    def rows(*args):
        status, out, _ = kubectl("top", *args, "--no-headers")
        return {row.split()[0]: row.split()[1:] for row in out.splitlines()} if status == 0 else {}
    wait_until(lambda: {"echo", "files", "shell", "box"} <= set(rows("pods")), "usage of pods", 40)
    pods = rows("pods")
    assert all(re.fullmatch(r"\d+m", cpu) and re.fullmatch(r"\d+Mi", memory) for cpu, memory in pods.values()), pods
    assert int(pods["echo"][1][:-2]) >= 5, pods  # a Python
    nodes = rows("nodes")
    assert len(nodes) == 1 and all(cell.endswith("%") for cell in nodes["node-1"][1::2]), nodes
    containers = kubectl.ok("top", "pod", "shell", "--containers", "--no-headers").split("\n")
    assert sorted(row.split()[1] for row in containers if row) == ["main", "other"], containers


READER = """
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: any
      stdin: true
      stdinOnce: true
      command: [sh, -c, "while read line; do echo got $line; echo err $line >&2; done; echo bye"]
"""


SHARED = """
apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: main, image: any, stdin: true, command: [cat]}
"""


def attaches(server, kubectl):
    kubectl.ok("apply", "-f", "-", stdin=READER)
    kubectl.ok("wait", "--for=condition=Ready", "pod", "reader", "--timeout=30s")
    status, out, err = run(kubectl, "attach", "-i", "reader", data=b"one\ntwo\n")
    assert status == 0 and out == b"got one\ngot two\nbye\n", (status, out, err)
    assert "err one\nerr two\n" in err, err
    wait_until(lambda: kubectl.get("pod", "reader")["status"]["phase"] == "Succeeded", "the reader to end")
    assert kubectl.ok("logs", "reader").count("got") == 2
    status, out, err = run(kubectl, "attach", "reader")
    assert status == 1 and "completed pod" in err, (status, err)
    kubectl.ok("delete", "pod", "reader", "--grace-period=0", "--force")

    # Several at once: all see the same, and each may type.
    kubectl.ok("apply", "-f", "-", stdin=SHARED)
    kubectl.ok("wait", "--for=condition=Ready", "pod", "shared", "--timeout=30s")
    clients = [Attached(kubectl, "shared") for _ in range(3)]

    def all_heard(word):
        return all(word in client.seen for client in clients)

    def greet():
        clients[0].type("hello\n")
        return all_heard("hello")
    wait_until(greet, "all to be attached", pause=0.2)
    for number, client in enumerate(clients):
        client.type(f"from {number}\n")
        wait_until(lambda: all_heard(f"from {number}\n"), f"all to hear {number}")
    clients[1].process.kill()
    clients[0].type("still here\n")
    wait_until(lambda: "still here\n" in clients[2].seen, "the others to go on")
    for client in clients:
        client.end()
    kubectl.ok("delete", "pod", "shared", "--grace-period=0", "--force")

    terminal = Terminal(kubectl, "run", "-it", "--rm", "tmp", "--image=any", "--restart=Never", "--command", "--", "sh")
    terminal.type("\n")
    terminal.expect("[#$] ")
    terminal.type("stty size; tty; echo $TERM $((6*7))\n")
    terminal.expect(r"31 91\r\n/dev/pts/\d+\r\nxterm 42\r\n")
    # A second one at the same terminal, of its own size: the last that was set counts.
    second = Terminal(kubectl, "attach", "-it", "tmp", rows=22, columns=66)
    wait_until(lambda: shows_size(second, "22 66"), "the second to be attached")
    terminal.expect(r"22 66\r\n")
    terminal.resize(33, 99)
    wait_until(lambda: shows_size(second, "33 99"), "the size of the first")
    os.kill(second.pid, signal.SIGKILL)
    second.wait()
    terminal.type("exit 0\n")
    assert terminal.wait() == 0
    wait_until(lambda: kubectl("get", "pod", "tmp")[0] == 1, "the pod to be removed")


def python_client(server):
    try:
        import yaml
        from kubernetes import client, config
        from kubernetes.stream import portforward, stream
    except ImportError:
        print("  skipped: python3-kubernetes is not installed; tests/setup.sh brings it")
        return
    config.load_kube_config(server.kubeconfig)
    core = client.CoreV1Api()
    def execute(*command, **more):
        return stream(core.connect_get_namespaced_pod_exec, "shell", "default", container="main", command=list(command),
                      **{"stdin": True, "stdout": True, "stderr": True, "tty": False, "_preload_content": False, **more})
    shell = execute("sh", "-c", "read line; echo got $line; echo bad >&2; exit 4")
    shell.write_stdin("something\n")
    shell.run_forever(timeout=20)
    assert shell.read_stdout() == "got something\n"
    assert shell.read_stderr() == "bad\n"
    assert shell.returncode == 4, shell.returncode
    assert execute("sh", "-c", "echo $COLOUR", stdin=False, _preload_content=True) == "blue\n"
    shell = execute("true")
    shell.run_forever(timeout=20)
    assert shell.returncode == 0, shell.returncode

    shell = execute("sh", tty=True)
    shell.write_channel(4, '{"Width":77,"Height":33}')
    shell.write_stdin("stty size; tty\n")
    seen = ""
    while not re.search(r"33 77\r\n/dev/pts/\d+\r\n", seen):
        assert shell.is_open(), seen
        seen += shell.readline_stdout(timeout=20) + "\n"
        seen = seen.replace("\r\n", "\n").replace("\n", "\r\n")
    shell.write_stdin("exit 6\n")
    shell.run_forever(timeout=20)
    assert shell.returncode == 6, shell.returncode

    core.create_namespaced_pod("default", yaml.safe_load(SHARED))
    wait_until(lambda: core.read_namespaced_pod("shared", "default").status.phase == "Running", "the pod to run")
    attached = stream(core.connect_get_namespaced_pod_attach, "shared", "default", stdin=True, stdout=True, stderr=True,
                      tty=False, _preload_content=False)
    attached.write_stdin("python\n")
    assert attached.readline_stdout(timeout=20) == "python"
    attached.close()
    assert core.read_namespaced_pod_log("shared", "default") == "python\n"

    forward = portforward(core.connect_get_namespaced_pod_portforward, "files", "default", ports="80")
    connection = forward.socket(80)
    connection.setblocking(True)
    connection.sendall(b"GET /large HTTP/1.0\r\n\r\n")
    answer = b""
    while True:
        piece = connection.recv(1 << 20)
        if not piece:
            break
        answer += piece
    with open(os.path.join(server.dir, "large"), "rb") as file:
        assert sha(answer.split(b"\r\n\r\n", 1)[1]) == sha(file.read())
    assert forward.error(80) is None
    print("  python: exec, attach and port-forward hold")


def check(server, kubectl):
    executes(server, kubectl)
    stops_with_its_client(server, kubectl)
    has_terminals(server, kubectl)
    copies(server, kubectl)
    forwards(server, kubectl)
    exchanges(server, kubectl)
    attaches(server, kubectl)
    tops(server, kubectl)


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    with Server(sys.argv[1], nodes=1) as server:
        first = Kubectl(sorted(found.items())[0][1], server)
        first.ok("apply", "-f", "-", stdin=PODS % {"dir": server.dir})
        first.ok("wait", "--for=condition=Ready", "pod", "shell", "files", "echo", "box", "--timeout=30s")
        for version, program in sorted(found.items()):
            print(f"kubectl {version}")
            check(server, Kubectl(program, server))
        python_client(server)
        first.ok("delete", "pod", "--all", "--grace-period=0", "--force")
        wait_until(lambda: not server.processes(), "the pods' processes to end")
    print("streams: everything holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
