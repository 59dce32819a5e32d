"""What stories about pods share: a pod in few words, questions about it, and a run of them with every kubectl there is."""

import json
import os
import re
import sys
import tempfile
import time

from wherry_server import Kubectl, Server, kubectls, wait_until


def pod(name, command, container="", spec="", volumes=""):
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 5
  {spec}
  volumes: [{volumes}]
  containers:
    - name: main
      image: busybox
      command: ["sh", "-c", {json.dumps(command)}]
      {container}
"""


class Story:
    def __init__(self, kubectl, server):
        self.kubectl = kubectl
        self.server = server

    def apply(self, text):
        self.kubectl.ok("apply", "-f", "-", stdin=text)

    def status(self, name):
        return self.kubectl.get("pod", name)["status"]

    def main(self, name):
        found = self.status(name).get("containerStatuses")
        return found[0] if found else {}

    def directory(self, name):
        uid = self.kubectl.get("pod", name)["metadata"]["uid"]
        return os.path.join(self.server.data, "pods", uid, "main")

    def described(self, name, *patterns):
        """Every pattern is in `kubectl describe pod`, soon."""
        def look():
            text = self.kubectl.ok("describe", "pod", name)
            return all(re.search(p, text) for p in patterns)
        try:
            wait_until(look, f"describe pod {name}")
        except AssertionError:
            raise AssertionError(f"describe pod {name} lacks one of {patterns}:\n" + self.kubectl.ok("describe", "pod", name))

    def ended(self, name):
        """How the first container of a pod that runs to its end has ended."""
        wait_until(lambda: self.status(name)["phase"] in ("Succeeded", "Failed"), f"the end of {name}")
        return self.main(name)["state"]["terminated"]

    def conditions(self, name):
        return {c["type"]: c["status"] for c in self.status(name)["conditions"]}

    def delete(self, *names):
        self.kubectl.ok("delete", "pod", *names, "--force", "--grace-period=0")


def tell(kind, stories):
    """Each story (methods of `kind`; those named by the arguments after the first, or all) with every kubectl. Exit status."""
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    failed = []
    for version, program in sorted(found.items()):
        with tempfile.TemporaryDirectory() as folder:
            with Server(sys.argv[1], durability="normal", more=["--manifests", folder]) as server:
                server.manifests = folder
                story = kind(Kubectl(program, server), server)
                for name in sys.argv[2:] or stories:
                    begin = time.monotonic()
                    try:
                        getattr(story, name)()
                        print(f"kubectl {version}: {name} ({time.monotonic() - begin:.1f} s)")
                    except AssertionError as error:
                        failed.append(name)
                        print(f"kubectl {version}: {name} FAILED: {error}")
    return 1 if failed else 0
