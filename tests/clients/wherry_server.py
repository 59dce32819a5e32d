"""A wherry server of one's own for a test: a temporary directory, a free port, and nothing left afterwards."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time


class Server:
    """`wherry up` under a test's control. `with Server(binary) as server: ...` starts it and ends everything it started."""

    def __init__(self, binary, nodes=2, durability="full", more=()):
        self.binary = os.path.abspath(binary)
        self.nodes = nodes
        self.durability = durability
        self.more = list(more)  # further arguments of `wherry up`
        self.dir = tempfile.mkdtemp(prefix="wherry-clients.")
        self.data = os.path.join(self.dir, "data")
        self.port = 0  # the first start picks one, and later ones keep it: clients must find the server again
        self.process = None

    @property
    def kubeconfig(self):
        return os.path.join(self.data, "kubeconfig")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        if exc[0] is not None:
            print("--- the last lines of the server ---\n" + self.log()[-4000:])
        self.destroy()

    def start(self, timeout=30):
        """Starts and waits until every node is Ready. Seconds it took."""
        begin = time.monotonic()
        log = open(os.path.join(self.dir, "log"), "ab")
        out_path = os.path.join(self.dir, "out")
        with open(out_path, "wb") as out:
            self.process = subprocess.Popen(
                [self.binary, "up", "--nodes", str(self.nodes), "--data-dir", self.data, "--port", str(self.port),
                 "--durability", self.durability, *self.more],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        log.close()
        while True:
            with open(out_path) as out:
                found = re.search(r"ready at https://[0-9.]+:(\d+)", out.read())
            if found:
                self.port = int(found.group(1))
                return time.monotonic() - begin
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            if time.monotonic() - begin > timeout:
                raise RuntimeError(f"the server is not up after {timeout} s:\n{self.log()[-4000:]}")
            time.sleep(0.005)

    def stop(self, timeout=30):
        """SIGTERM; pods stay, to be adopted by the next start."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the server did not stop within {timeout} s")
        finally:
            self.process = None

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as log:
            return log.read()

    def processes(self):
        """Every process of our pods: {pid: (pod uid, container directory)}, by their environment."""
        found = {}
        mark = f"WHERRY_CONTAINER_DIR={self.data}/".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    variables = file.read().split(b"\0")
            except OSError:
                continue
            directory = [v for v in variables if v.startswith(mark)]
            uid = [v for v in variables if v.startswith(b"WHERRY_POD_UID=")]
            if directory and uid:
                found[int(pid)] = (uid[0].split(b"=", 1)[1].decode(), directory[0].split(b"=", 1)[1].decode())
        return found

    def wardens(self):
        """Pids of our helpers: whoever has our data directory on its command line."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read()
            except OSError:
                continue
            if self.data.encode() in command and int(pid) != os.getpid():
                found.append(int(pid))
        return found

    def destroy(self):
        """Ends the server, its warden and every process of its pods, whatever state they are in. Only what is ours."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        for _ in range(50):
            left = list(self.processes()) + self.wardens()
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        pods = os.path.join(self.data, "pods")
        uids = set(os.listdir(pods)) if os.path.isdir(pods) else set()
        for memory in glob.glob("/dev/shm/wherry-*"):  # what they had there
            if uids & set(os.listdir(memory)):
                shutil.rmtree(memory, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def wait_until(check, what, timeout=20.0, pause=0.05):
    """Repeats `check` until it returns something true, and returns that."""
    end = time.monotonic() + timeout
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(pause)


def empty_cgroups():
    """Control groups of containers that hold no process: left over, but for those that are just being made or removed.
    Those of other servers on this machine among them."""
    found = set()
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        for path in (os.path.join(directory, name) for name in names if name.startswith("wherry-")):
            try:
                with open(os.path.join(path, "cgroup.procs")) as processes:
                    if not processes.read():
                        found.add(path)
            except OSError:
                continue
    return found


def wait_for_cgroups(before):
    """Until of the groups that are empty now and were not `before` none has stayed so. Those of other servers come and go."""
    left = empty_cgroups() - before

    def gone():
        left.intersection_update(empty_cgroups())
        return not left
    wait_until(gone, "no control group is left")


class Kubectl:
    """A kubectl against one server, without a trace in the home directory."""

    def __init__(self, program, server):
        self.program = program
        self.server = server

    def __call__(self, *args, stdin=None, timeout=60, cwd=None, env=None):
        """(exit status, stdout, stderr)"""
        done = subprocess.run(
            [self.program, "--kubeconfig", self.server.kubeconfig, "--cache-dir", os.path.join(self.server.dir, "cache"),
             *args],
            input=stdin, capture_output=True, text=True, timeout=timeout, cwd=cwd,
            env={"PATH": os.environ["PATH"], "HOME": self.server.dir, **(env or {})})
        return done.returncode, done.stdout, done.stderr

    def ok(self, *args, stdin=None):
        status, out, err = self(*args, stdin=stdin)
        assert status == 0, f"kubectl {' '.join(args)} ended with {status}: {out}{err}"
        return out

    def get(self, *args):
        return json.loads(self.ok("get", *args, "-o", "json"))

    def start(self, *args):
        """Runs on, for watches: a Popen with stdout piped."""
        return subprocess.Popen(
            [self.program, "--kubeconfig", self.server.kubeconfig, "--cache-dir", os.path.join(self.server.dir, "cache"),
             *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={"PATH": os.environ["PATH"], "HOME": self.server.dir})


def kubectls():
    """Every different kubectl there is: Debian's own, those of $WHERRY_KUBECTLS (colon-separated), and the one on PATH."""
    here = os.path.dirname(os.path.abspath(__file__))
    candidates = [os.path.join(here, "../../build/tools/kubectl")]
    candidates += os.environ.get("WHERRY_KUBECTLS", "").split(":")
    candidates.append(shutil.which("kubectl") or "")
    found = {}
    for candidate in candidates:
        if not candidate or not os.access(candidate, os.X_OK):
            continue
        shown = subprocess.run([candidate, "version", "--client", "-o", "json"], capture_output=True, text=True,
                               timeout=60)
        try:
            version = json.loads(shown.stdout)["clientVersion"]["gitVersion"]
        except (ValueError, KeyError):
            continue
        found.setdefault(version, candidate)
    return found
