"""The command line end to end: the real binary, its own server on a free port of loopback, a directory of its own.

end_to_end.py WHERRY [unittest arguments]
"""

import json
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
import unittest

WHERRY = os.path.abspath(sys.argv.pop(1))
LIMIT = 30  # seconds, of any one wait

WEB = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  answer: "42"
  gone: soon
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: web
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: main
        image: local
        command: [sh, -c, "echo hello from $HOSTNAME; echo second; exec sleep 600"]
"""


def wherry(*arguments, stdin=None, env=None):
    """Runs a command to its end; its exit status, stdout and stderr."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})}
    done = subprocess.run([WHERRY, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


class Up:
    """`wherry up` in the background, its output collected."""

    def __init__(self, data_dir, *arguments):
        self.data_dir = data_dir
        self.lines = {"stdout": [], "stderr": []}
        self.process = subprocess.Popen(
            [WHERRY, "up", "--data-dir", data_dir, "--port", "0", "--nodes", "2", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.changed = threading.Condition()
        self.readers = [threading.Thread(target=self.read, args=(name,), daemon=True) for name in self.lines]
        for reader in self.readers:
            reader.start()
        try:
            self.wait_for("stdout", "wherry is up")
        except BaseException:
            self.kill()
            raise

    def read(self, name):
        for line in getattr(self.process, name):
            with self.changed:
                self.lines[name].append(line)
                self.changed.notify_all()

    def text(self, name):
        return "".join(self.lines[name])

    def wait_for(self, name, words):
        with self.changed:
            if not self.changed.wait_for(lambda: words in self.text(name), LIMIT):
                raise AssertionError(f"no {words!r} in {name}: {self.lines}")

    def stop(self):
        """SIGTERM, then the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.close()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self):
        for reader in self.readers:
            reader.join(LIMIT)
        self.process.stdout.close()
        self.process.stderr.close()


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="wherry-cli-")
        cls.up = Up(cls.dir + "/data", "--stop-pods")

    @classmethod
    def tearDownClass(cls):
        cls.up.stop()
        shutil.rmtree(cls.dir)

    def run_ok(self, *arguments, stdin=None):
        status, out, err = wherry(*arguments, "--data-dir", self.up.data_dir, stdin=stdin)
        self.assertEqual((status, err), (0, ""), (arguments, out))
        return out

    def run_bad(self, *arguments, stdin=None):
        status, out, err = wherry(*arguments, "--data-dir", self.up.data_dir, stdin=stdin)
        self.assertEqual(status, 1, (arguments, out, err))
        return err

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_an_application_from_apply_to_delete(self):
        path = self.file("web.yaml", WEB)
        self.assertEqual(self.run_ok("apply", "-f", path, "--wait"),
                         "configmap/settings created\ndaemonset.apps/web created\ndaemonset.apps/web 2 of 2 ready\n")
        self.assertEqual(self.run_ok("apply", "-f", path), "configmap/settings unchanged\ndaemonset.apps/web unchanged\n")

        # A changed value and a value taken out, from standard input.
        changed = WEB.replace('"42"', '"43"').replace("  gone: soon\n", "")
        self.assertEqual(self.run_ok("apply", "-f", "-", stdin=changed),
                         "configmap/settings configured\ndaemonset.apps/web unchanged\n")
        settings = json.loads(self.run_ok("get", "cm", "settings", "-o", "json"))
        self.assertEqual(settings["data"], {"answer": "43"})

        table = self.run_ok("get", "pods", "-l", "app=web")
        self.assertRegex(table, r"\ANAME +READY +STATUS +RESTARTS +AGE\n(web-\S+ +1/1 +Running +0 +\d+s\n){2}\Z")
        self.assertRegex(self.run_ok("get", "pods", "-A", "-o", "wide"), r"\ANAMESPACE +NAME .* NODE ")
        self.assertRegex(self.run_ok("get", "daemonset.apps"), r"\ANAME +DESIRED")
        self.assertRegex(self.run_ok("get", "all"), r"(?s)\ANAME.*\npod/web-.*\n\nNAME.*\ndaemonset.apps/web ")
        names = self.run_ok("get", "pods", "-o", "name").split()
        self.assertEqual(len(names), 2)
        yaml = self.run_ok("get", "ds/web", "-o", "yaml")
        self.assertIn("kind: DaemonSet\n", yaml)
        self.assertIn('deprecated.daemonset.template.generation: "1"\n', yaml)

        logs = self.run_ok("logs", names[0].split("/")[1])
        self.assertRegex(logs, r"\Ahello from \S+\nsecond\n\Z")
        self.assertEqual(self.run_ok("logs", names[0], "--tail", "1"), "second\n")
        self.assertRegex(self.run_ok("logs", names[0], "--tail", "1", "--timestamps"), r"\A\d{4}-\d\d-\d\dT\S+Z second\n\Z")
        status, out, err = wherry("logs", "ds/web", "--data-dir", self.up.data_dir)
        self.assertEqual((status, out.splitlines()[1]), (0, "second"))
        self.assertRegex(err, r"\AFound 2 pods, using pod/web-\S+\n\Z")

        self.assertEqual(self.run_ok("delete", "-f", path),
                         'configmap "settings" deleted\ndaemonset.apps "web" deleted\n')
        self.assertIn('daemonsets.apps "web" not found', self.run_bad("get", "ds", "web"))

    def test_a_watch_prints_rows_as_they_come(self):
        watch = subprocess.Popen([WHERRY, "get", "cm", "-w", "-l", "watched=yes", "--data-dir", self.up.data_dir],
                                 stdout=subprocess.PIPE, text=True)
        killer = threading.Timer(LIMIT, watch.kill)
        killer.start()
        try:
            manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: seen, labels: {watched: 'yes'}}\ndata: {a: b}\n"
            # The watch may begin before or after: either way the row comes.
            self.run_ok("apply", "-f", "-", stdin=manifest)
            self.assertRegex(watch.stdout.readline(), r"\ANAME +DATA +AGE\n\Z")
            self.assertRegex(watch.stdout.readline(), r"\Aseen +1 +\d+s\n\Z")
            self.run_ok("apply", "-f", "-", stdin=manifest.replace("{a: b}", "{a: b, c: d}"))
            self.assertRegex(watch.stdout.readline(), r"\Aseen +2 +\d+s\n\Z")
        finally:
            killer.cancel()
            watch.kill()
            watch.wait()
            watch.stdout.close()
        self.run_ok("delete", "cm", "-l", "watched=yes")

    def test_a_followed_log_ends_with_its_pod(self):
        self.run_ok("apply", "-f", "-", "--wait", stdin="""
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: local, command: [sh, -c, "for i in 1 2 3; do echo $i; sleep 0.1; done"]}
""")
        self.assertEqual(self.run_ok("logs", "-f", "counter"), "1\n2\n3\n")
        self.assertEqual(self.run_ok("delete", "pod/counter", "--now"), 'pod "counter" deleted\n')

    def test_nothing_found_is_said_and_no_error(self):
        for arguments, words in ((["pods", "-n", "empty"], "No resources found in empty namespace.\n"),
                                 (["secrets", "-A", "-l", "no=such"], "No resources found\n"),
                                 (["nodes", "-l", "no=such"], "No resources found\n")):
            status, out, err = wherry("get", *arguments, "--data-dir", self.up.data_dir)
            self.assertEqual((status, out, err), (0, "", words))
        self.assertEqual(self.run_ok("get", "pods", "-n", "empty", "-o", "name"), "")
        self.assertEqual(self.run_ok("delete", "cm", "nothing", "--ignore-not-found", "--wait=false"), "")

    def test_a_failed_node_holds_its_pods_until_it_is_restored(self):
        def pod():
            done = wherry("get", "pod", "held", "-o", "json", "--data-dir", self.up.data_dir)
            return json.loads(done[1]) if done[0] == 0 else None

        manifest = self.file("held.yaml", """
apiVersion: v1
kind: Pod
metadata: {name: held}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: local, command: [sh, -c, "exec sleep 600"]}
""")
        self.run_ok("apply", "-f", manifest, "--wait")
        node = pod()["spec"]["nodeName"]
        self.assertIn(f"node/{node} failed", self.run_ok("node", "fail", node))
        self.run_ok("delete", "pod", "held", "--no-wait")
        time.sleep(3)
        self.assertIn("deletionTimestamp", pod()["metadata"])  # nobody confirms its end
        self.assertIn(f"node/{node} restored", self.run_ok("node", "restore", node))
        deadline = time.monotonic() + LIMIT
        while pod() is not None:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertIn("not found", self.run_bad("node", "fail", "nobody"))

    def test_mistakes_are_named(self):
        for arguments, words in (
                (["get", "podz"], 'the server doesn\'t have a resource type "podz"; did you mean "pods"?'),
                (["get", "pods", "none"], 'pods "none" not found'),
                (["get", "pods", "-l", "a in (b"], ""),
                (["logs", "none"], 'pods "none" not found'),
                (["logs", "none", "--since", "soon"], '--since: "soon" is not a duration such as 5m'),
                (["delete", "pods"], "name the pods to delete, or choose them with -l or --all"),
                (["delete", "cm", "none"], 'configmaps "none" not found'),
                (["apply", "-f", self.dir + "/none.yaml"], self.dir + "/none.yaml: there is no such file")):
            err = self.run_bad(*arguments)
            self.assertTrue(err.startswith("wherry: " + words), (arguments, err))
            self.assertEqual(err.count("\n"), 1, err)
        self.assertEqual(wherry("get")[0], 2)
        self.assertEqual(wherry("frobnicate")[0], 2)
        self.assertEqual(wherry("--help")[0], 0)

    def test_apply_names_file_document_and_object(self):
        path = self.file("mixed.yaml", """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: bad}
spec: {template: {spec: {containers: [{name: UPPER, image: x}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: good}
---
apiVersion: apps/v2
kind: DaemonSet
metadata: {name: strange}
---
kind: Nameless
""")
        status, out, err = wherry("apply", "-f", path, "--data-dir", self.up.data_dir)
        self.assertEqual((status, out), (1, "configmap/good created\n"))
        self.assertIn(f"wherry: {path}, document 1 (line 1): daemonset.apps/bad: ", err)
        self.assertIn(f'wherry: {path}, document 3 (line 10): DaemonSet "strange": the server does not know apps/v2 '
                      "DaemonSet; did you mean apiVersion: apps/v1?\n", err)
        self.assertIn(f"wherry: {path}, document 4 (line 14): apiVersion: Required value\n", err)
        self.run_ok("delete", "cm/good")

    def test_waiting_has_a_limit(self):
        err = self.run_bad("apply", "-f", "-", "--wait", "--timeout", "300ms", stdin="""
apiVersion: v1
kind: Pod
metadata: {name: never}
spec:
  nodeSelector: {no: such}
  containers: [{name: main, image: local, command: [sleep, "1"]}]
""")
        self.assertEqual(err, "wherry: pod/never is not ready in time: Pending\n")
        self.run_ok("delete", "pod", "never", "--now")

    def test_other_credentials_are_refused(self):
        config = wherry("kubeconfig", "--data-dir", self.up.data_dir)[1]
        stranger = re.sub(r"    client-certificate-data: .*\n    client-key-data: .*\n", "    token: wrong\n", config)
        path = self.file("stranger", stranger)
        status, _, err = wherry("get", "pods", "--kubeconfig", path)
        self.assertEqual(status, 1)
        self.assertRegex(err, rf"\Awherry: https://\S+ does not accept the credentials in {path} \(")
        # The authority of another cluster.
        foreign = self.file("foreign", re.sub(r"    certificate-authority-data: .*\n", "", config))
        status, _, err = wherry("get", "pods", "--kubeconfig", foreign)
        self.assertEqual(status, 1)
        self.assertRegex(err, r"\Awherry: cannot trust https://\S+: .*certificate.*\n\Z")


class NoServer(unittest.TestCase):
    def test_there_is_none(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = "https://127.0.0.1:%d" % free.getsockname()[1]
        with tempfile.TemporaryDirectory() as directory:
            path = directory + "/config"
            with open(path, "w") as file:
                json.dump({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                           "clusters": [{"name": "c", "cluster": {"server": url, "insecure-skip-tls-verify": True}}]}, file)
            for arguments in (["get", "pods"], ["logs", "x"], ["delete", "pods", "x"]):
                self.assertEqual(wherry(*arguments, env={"KUBECONFIG": path}),
                                 (1, "", f"wherry: cannot reach {url}: connection refused; start one with `wherry up`\n"))
            self.assertEqual(wherry("get", "pods", "--data-dir", directory)[2],
                             f"wherry: no cluster in {directory}: cannot read {directory}/kubeconfig (start one with "
                             "`wherry up`, or point --data-dir or $KUBECONFIG at one)\n")


class UpErrors(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="wherry-up-")
        self.addCleanup(shutil.rmtree, self.dir)

    def refused(self, *arguments):
        """The one line of a start that fails."""
        status, out, err = wherry("up", "--nodes", "1", *arguments)
        self.assertEqual((status, out), (1, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("wherry: "), err)
        return err[len("wherry: "):-1]

    def test_the_port_is_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            why = self.refused("--data-dir", self.dir + "/d", "--port", str(port))
        self.assertEqual(why, f"cannot listen on 127.0.0.1:{port}: Address already in use: choose another port with "
                              "--port (0 = any free one)")

    def test_the_directory_cannot_be_made_or_is_a_file(self):
        self.assertRegex(self.refused("--data-dir", "/proc/wherry"), r"\Acannot make the data directory /proc/wherry: ")
        path = self.dir + "/file"
        open(path, "w").close()
        self.assertEqual(self.refused("--data-dir", path), f"the data directory {path} is not a directory")
        self.assertRegex(self.refused("--data-dir", path + "/below"), r"\Acannot make the data directory .*/below: ")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_the_directory_is_not_writable(self):
        os.chmod(self.dir, 0o500)
        self.addCleanup(os.chmod, self.dir, 0o700)
        self.assertEqual(self.refused("--data-dir", self.dir),
                         f"the data directory {self.dir} is not writable by this user: choose another with --data-dir")

    @unittest.skipIf(os.geteuid() != 0, "only root can give a directory away")
    def test_the_directory_belongs_to_another_user(self):
        os.chown(self.dir, 12345, 12345)
        self.assertEqual(self.refused("--data-dir", self.dir),
                         f"the data directory {self.dir} belongs to another user (uid 12345): choose another with --data-dir")

    def test_the_directory_is_somebody_elses(self):
        open(self.dir + "/thesis.tex", "w").close()
        self.assertEqual(self.refused("--data-dir", self.dir),
                         f'the data directory {self.dir} is not empty and holds no wherry database (it has "thesis.tex"): '
                         "choose another with --data-dir")
        self.assertEqual(os.listdir(self.dir), ["thesis.tex"])

    def test_the_database_is_garbage(self):
        garbage = b"this is no database " * 500
        with open(self.dir + "/wherry.db", "wb") as file:
            file.write(garbage)
        self.assertEqual(self.refused("--data-dir", self.dir, "--port", "0"),
                         f"{self.dir}/wherry.db is not a wherry database (file is not a database): choose another data "
                         "directory, or move the file away")
        with open(self.dir + "/wherry.db", "rb") as file:
            self.assertEqual(file.read(), garbage)

    def test_the_database_is_damaged(self):
        data = self.dir + "/d"
        self.assertEqual(Up(data, "--stop-pods").stop(), 0)
        size = os.path.getsize(data + "/wherry.db")
        with open(data + "/wherry.db", "r+b") as file:
            file.seek(100)
            file.write(b"\xa5" * (size - 100))
        self.assertRegex(self.refused("--data-dir", data, "--port", "0"),
                         rf"\Athe database {data}/wherry.db is damaged \(.*\): restore a snapshot, or move the file away")

    def test_a_second_server_on_the_directory(self):
        up = Up(self.dir + "/d", "--stop-pods")
        try:
            why = self.refused("--data-dir", self.dir + "/d", "--port", "0")
            self.assertEqual(why, f"{self.dir}/d/wherry.db is in use by another wherry server: stop that server first, or "
                                  "choose another data directory")
            # The first goes on as if nothing had happened.
            self.assertEqual(wherry("get", "nodes", "--data-dir", self.dir + "/d")[0], 0)
        finally:
            self.assertEqual(up.stop(), 0)

    def test_flags_are_checked(self):
        for arguments in (["--nodes", "-1"], ["--address", "host"], ["--port", "70000"], ["--durability", "some"]):
            self.assertEqual(wherry("up", "--data-dir", self.dir, *arguments)[0], 2, arguments)


class Stopping(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="wherry-stop-")
        self.data = self.dir + "/data"
        self.ups = []
        self.finished = False
        self.addCleanup(self.clean_up)

    def start(self, *arguments):
        self.ups.append(Up(self.data, *arguments))
        return self.ups[-1]

    def clean_up(self):
        """A test that failed half-way leaves neither servers nor pods."""
        if not self.finished:
            for up in self.ups:
                if up.process.poll() is None:
                    up.kill()
            Up(self.data, "--stop-pods").stop()
        shutil.rmtree(self.dir)

    POD = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: local, command: [sh, -c, "echo $$$$; exec sleep 600"]}]
"""

    def start_pod(self):
        """The process id of a pod's program."""
        status, _, err = wherry("apply", "-f", "-", "--wait", "--data-dir", self.data, stdin=self.POD)
        self.assertEqual((status, err), (0, ""))
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            status, out, err = wherry("logs", "sleeper", "--data-dir", self.data)
            if out.endswith("\n"):
                return int(out)
        self.fail(err)

    def alive(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read() == b"sleep\x00600\x00"
        except FileNotFoundError:
            return False

    def test_pods_are_left_to_the_next_server(self):
        up = self.start()
        pid = self.start_pod()
        self.assertTrue(self.alive(pid))
        self.assertEqual(up.stop(), 0)
        self.assertIn("stopping signal=SIGTERM", up.text("stderr"))
        self.assertIn(f"leaving 1 pods running, to be adopted by the next server on {self.data}", up.text("stderr"))
        self.assertTrue(self.alive(pid))

        again = self.start("--stop-pods")
        self.assertEqual(int(wherry("logs", "sleeper", "--data-dir", self.data)[1]), pid)
        self.assertTrue(self.alive(pid))
        self.assertEqual(again.stop(), 0)
        self.assertIn("stopping pods grace=10s", again.text("stderr"))
        self.assertFalse(self.alive(pid))
        self.finished = True

    def test_sigint_is_sigterm(self):
        up = self.start("--stop-pods")
        up.process.send_signal(signal.SIGINT)
        self.assertEqual(up.process.wait(LIMIT), 0)
        up.close()
        self.assertIn("stopping signal=SIGINT", up.text("stderr"))
        self.finished = True


if __name__ == "__main__":
    unittest.main()
