"""Streams: exec, cp, port-forward, attach and logs, with kubectls of SPDY and of WebSocket, and the Python client.

    streams_test.py WHERRY
"""

import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request

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
metadata: {name: files}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: any
      command: [/usr/bin/python3, -m, http.server, "80", -d, %(dir)s]
"""

SIZE = 20 << 20
CONNECTIONS = 5


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Terminal:
    """A kubectl on a terminal of its own."""

    def __init__(self, kubectl, *args, rows=31, columns=91):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["HOME"] = kubectl.server.dir
            os.execv(kubectl.program, [kubectl.program, "--kubeconfig", kubectl.server.kubeconfig, "--cache-dir",
                                       os.path.join(kubectl.server.dir, "cache"), *args])
        self.resize(rows, columns)
        self.seen = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, timeout=20):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.seen):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} on the terminal within {timeout} s, but {self.seen!r}"
            if not select.select([self.fd], [], [], left)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            assert data, f"the terminal ended without {pattern!r}, with {self.seen!r}"
            self.seen += data.decode(errors="replace")
        self.seen = self.seen[re.search(pattern, self.seen).end():]

    def wait(self, timeout=20):
        """The exit status of kubectl."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"kubectl does not end; the terminal shows {self.seen!r}")


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
    wait_until(lambda: resized(terminal), "the size to follow")
    terminal.type("sleep 1000\n")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.type("exit 5\n")
    assert terminal.wait() == 5


def resized(terminal):
    terminal.type("stty size\n")
    try:
        terminal.expect(r"40 120\r\n", timeout=1)
    except AssertionError:
        return False
    return True


def copies(server, kubectl):
    data = os.urandom(SIZE)
    there, here, back = (os.path.join(server.dir, name) for name in ("there", "here", "back"))
    os.makedirs(there, exist_ok=True)
    with open(here, "wb") as file:
        file.write(data)
    kubectl.ok("cp", here, f"shell:{there}/file", "-c", "main")
    with open(there + "/file", "rb") as file:
        assert sha(file.read()) == sha(data)
    kubectl.ok("cp", f"shell:{there}/file", back, "-c", "main")
    with open(back, "rb") as file:
        assert sha(file.read()) == sha(data)
    os.remove(back)
    os.remove(there + "/file")


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


def logs(server, kubectl):
    kubectl.ok("run", "chatty", "--image=any", "--restart=Never", "--command", "--", "sh", "-c",
               "for i in 1 2 3; do echo line $i; sleep 0.3; done")
    wait_until(lambda: kubectl("logs", "chatty")[0] == 0, "the pod to start")
    assert kubectl.ok("logs", "-f", "chatty") == "line 1\nline 2\nline 3\n"
    status, out, err = run(kubectl, "exec", "chatty", "--", "true")
    assert status == 1 and "completed pod" in err, (status, err)
    kubectl.ok("delete", "pod", "chatty", "--grace-period=0", "--force")


def python_client(server):
    try:
        from kubernetes import client, config
        from kubernetes.stream import portforward, stream
    except ImportError:
        print("  skipped: python3-kubernetes is not installed; tests/setup.sh brings it")
        return
    config.load_kube_config(server.kubeconfig)
    core = client.CoreV1Api()
    shell = stream(core.connect_get_namespaced_pod_exec, "shell", "default", container="main",
                   command=["sh", "-c", "read line; echo got $line; exit 4"], stdin=True, stdout=True, stderr=True,
                   tty=False, _preload_content=False)
    shell.write_stdin("something\n")
    shell.run_forever(timeout=20)
    assert shell.read_stdout() == "got something\n"
    assert shell.returncode == 4, shell.returncode
    forward = portforward(core.connect_get_namespaced_pod_portforward, "files", "default", ports="80")
    socket = forward.socket(80)
    socket.setblocking(True)
    socket.sendall(b"GET /large HTTP/1.0\r\n\r\n")
    answer = b""
    while True:
        piece = socket.recv(1 << 20)
        if not piece:
            break
        answer += piece
    with open(os.path.join(server.dir, "large"), "rb") as file:
        assert sha(answer.split(b"\r\n\r\n", 1)[1]) == sha(file.read())
    assert forward.error(80) is None
    print("  python: exec and port-forward hold")


def check(server, kubectl):
    executes(server, kubectl)
    stops_with_its_client(server, kubectl)
    has_terminals(server, kubectl)
    copies(server, kubectl)
    forwards(server, kubectl)
    logs(server, kubectl)


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    with Server(sys.argv[1], nodes=1) as server:
        first = Kubectl(sorted(found.items())[0][1], server)
        first.ok("apply", "-f", "-", stdin=PODS % {"dir": server.dir})
        first.ok("wait", "--for=condition=Ready", "pod", "--all", "--timeout=30s")
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
