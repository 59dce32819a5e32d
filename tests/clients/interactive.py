"""Kubectls that run on while a test types: on a terminal of their own, and attached through pipes."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time


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


class Attached:
    """A `kubectl attach -i` that runs on."""

    def __init__(self, kubectl, pod):
        self.process = subprocess.Popen(
            [kubectl.program, "--kubeconfig", kubectl.server.kubeconfig, "--cache-dir", os.path.join(kubectl.server.dir, "cache"),
             "attach", "-i", pod], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            bufsize=1, env={"PATH": os.environ["PATH"], "HOME": kubectl.server.dir})
        self.seen = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.seen += line

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(10)
        self.process.stdin.close()
        self.process.stdout.close()
