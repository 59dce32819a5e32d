"""A claim's data through kubectl: it outlives its pods, stays while it is used, and leaves nothing behind.

    storage_test.py WHERRY
"""

import os
import sys

from wherry_server import Kubectl, Server, kubectls, wait_until

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 100Mi}}
"""


def pod(name, command):
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: busybox
      command: ["sh", "-c", "{command}"]
      volumeMounts: [{{name: data, mountPath: /data}}]
  volumes:
    - name: data
      persistentVolumeClaim: {{claimName: data}}
"""


def claim(kubectl):
    found = [c for c in kubectl.get("pvc")["items"] if c["metadata"]["name"] == "data"]
    return found[0] if found else None


def run(version, program, binary):
    with Server(binary, nodes=3) as server:
        kubectl = Kubectl(program, server)
        volumes = os.path.join(server.data, "volumes")
        assert "wherry-local (default)" in kubectl.ok("get", "sc")
        kubectl.ok("apply", "-f", "-", stdin=CLAIM)
        assert claim(kubectl)["status"]["phase"] == "Pending"
        kubectl.ok("apply", "-f", "-", stdin=pod("writer", "echo hello >> /data/file; exec sleep 1000"))
        kubectl.ok("wait", "--for=condition=Ready", "pod/writer", "--timeout=20s")
        bound = claim(kubectl)
        assert bound["status"]["phase"] == "Bound" and bound["status"]["capacity"]["storage"] == "100Mi", bound
        volume = bound["spec"]["volumeName"]
        path = os.path.join(volumes, volume, "file")
        wait_until(lambda: os.path.exists(path) and open(path).read() == "hello\n", "the pod's file in the volume")
        line = kubectl.ok("get", "pvc").splitlines()[1].split()
        assert line[:5] == ["data", "Bound", volume, "100Mi", "RWO"], line
        line = kubectl.ok("get", "pv").splitlines()[1].split()
        assert line[:7] == [volume, "100Mi", "RWO", "Delete", "Bound", "default/data", "wherry-local"], line
        assert "ProvisioningSucceeded" in kubectl.ok("describe", "pvc", "data")

        # Another pod finds the data, on the same node: also after a restart of the server.
        node = kubectl.ok("get", "pod", "writer", "-o", "jsonpath={.spec.nodeName}")
        kubectl.ok("delete", "pod", "writer")
        server.stop()
        server.start()
        kubectl.ok("apply", "-f", "-", stdin=pod("reader", "cat /data/file; exec sleep 1000"))
        kubectl.ok("wait", "--for=condition=Ready", "pod/reader", "--timeout=20s")
        assert kubectl.ok("get", "pod", "reader", "-o", "jsonpath={.spec.nodeName}") == node
        wait_until(lambda: kubectl.ok("logs", "reader") == "hello\n", "the data in the reader's log")

        # In use it stays, whoever deletes it; then it goes, and the directory with it.
        kubectl.ok("delete", "pvc", "data", "--wait=false")
        assert "Terminating" in kubectl.ok("get", "pvc")
        assert os.path.exists(path)
        kubectl.ok("delete", "pod", "reader")
        wait_until(lambda: claim(kubectl) is None, "the claim's end")
        wait_until(lambda: not kubectl.get("pv")["items"], "the volume's end")
        assert os.listdir(volumes) == [], os.listdir(volumes)

        # A claim of an unknown class, and a pod without its claim, say so.
        kubectl.ok("apply", "-f", "-", stdin=CLAIM.replace("spec:", "spec:\n  storageClassName: nowhere"))
        wait_until(lambda: 'storageclass.storage.k8s.io "nowhere" not found' in kubectl.ok("describe", "pvc", "data"),
                   "why the claim waits")
        kubectl.ok("apply", "-f", "-", stdin=pod("lost", "exit 0").replace("claimName: data", "claimName: none"))
        wait_until(lambda: 'persistentvolumeclaim "none" not found' in kubectl.ok("describe", "pod", "lost"),
                   "why the pod waits")
        print(f"storage with kubectl {version}: ok")


def main():
    found = kubectls()
    if not found:
        print("no kubectl here")
        sys.exit(77)
    for version, program in found.items():
        run(version, program, sys.argv[1])


main()
