"""Debian's python3-kubernetes against a wherry server: apply, get, list, watch, patch, delete, dynamic client, and an informer
that survives a restart of the server.

    python_test.py WHERRY
"""

import sys
import threading
import time

try:
    import yaml
    from kubernetes import client, config, dynamic, utils, watch
    from kubernetes.client.rest import ApiException
except ImportError as error:
    print(f"skipped: {error}; tests/setup.sh brings python3-kubernetes")
    sys.exit(77)

from wherry_server import Server, wait_until

DAEMONSET = yaml.safe_load("""
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: sleeper}
spec:
  selector: {matchLabels: {app: sleeper}}
  template:
    metadata: {labels: {app: sleeper}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: main, image: busybox, command: [sleep, "1000"]}
""")


def refused(code, call, *args, **kwargs):
    """The Status of an answer that must be `code`."""
    try:
        call(*args, **kwargs)
    except ApiException as error:
        assert error.status == code, f"{error.status}, not {code}: {error.body}"
        return yaml.safe_load(error.body)
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def objects(core):
    made = core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a"), data={"k": "1"}))
    assert made.metadata.uid and made.metadata.resource_version and made.metadata.creation_timestamp

    body = refused(409, core.create_namespaced_config_map, "default", {"metadata": {"name": "a"}})
    assert body["reason"] == "AlreadyExists" and body["message"] == 'configmaps "a" already exists', body
    body = refused(404, core.read_namespaced_config_map, "b", "default")
    assert body["reason"] == "NotFound" and body["details"] == {"name": "b", "kind": "configmaps"}, body

    patched = core.patch_namespaced_config_map("a", "default", {"data": {"k": "2", "l": "3"}})
    assert patched.data == {"k": "2", "l": "3"}
    assert int(patched.metadata.resource_version) > int(made.metadata.resource_version)
    patched = core.patch_namespaced_config_map("a", "default", [{"op": "remove", "path": "/data/l"}])
    assert patched.data == {"k": "2"}

    made.data = {"k": "stale"}
    body = refused(409, core.replace_namespaced_config_map, "a", "default", made)
    assert body["reason"] == "Conflict" and "the object has been modified" in body["message"], body
    patched.data = {"k": "4"}
    assert core.replace_namespaced_config_map("a", "default", patched).data == {"k": "4"}

    listed = core.list_namespaced_config_map("default", field_selector="metadata.name=a")
    assert [item.metadata.name for item in listed.items] == ["a"]
    gone = core.delete_namespaced_config_map("a", "default")
    assert gone.status == "Success"

    for name in ("x1", "x2", "x3"):
        core.create_namespaced_config_map("default", {"metadata": {"name": name, "labels": {"x": "y"}}})
    core.delete_collection_namespaced_config_map("default", label_selector="x=y")
    assert core.list_namespaced_config_map("default", label_selector="x=y").items == []


def workload(api, core, apps):
    utils.create_from_dict(api, DAEMONSET)
    wait_until(lambda: apps.read_namespaced_daemon_set_status("sleeper", "default").status.number_ready == 2, "two ready pods")
    pods = core.list_namespaced_pod("default", label_selector="app=sleeper").items
    assert sorted(pod.spec.node_name for pod in pods) == ["node-1", "node-2"]
    assert all(status.state.running for pod in pods for status in pod.status.container_statuses)
    assert all(node.status.node_info.kubelet_version for node in core.list_node().items)
    assert core.list_event_for_all_namespaces(field_selector="reason=Scheduled").items
    core.read_namespaced_pod_log(pods[0].metadata.name, "default")

    apps.delete_namespaced_daemon_set("sleeper", "default", propagation_policy="Foreground")
    wait_until(lambda: not core.list_namespaced_pod("default", label_selector="app=sleeper").items, "the pods to go")


def dynamic_client(api):
    images = dynamic.DynamicClient(api).resources.get(api_version="wherry.dev/v1", kind="Image")
    images.create(body={"metadata": {"name": "own"}, "spec": {"references": ["own:*"], "command": ["true"]}})
    assert images.get(name="own").spec.command == ["true"]
    images.patch(name="own", body={"spec": {"command": ["false"]}}, content_type="application/merge-patch+json")
    assert images.get(name="own").spec.command == ["false"]
    images.delete(name="own")


def watching(core):
    """ADDED, MODIFIED and DELETED in order from a list's revision; 410 from one long gone is raised as such."""
    start = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", {"metadata": {"name": "w"}})
    core.patch_namespaced_config_map("w", "default", {"data": {"a": "b"}})
    core.delete_namespaced_config_map("w", "default")
    seen = []
    for event in watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version=start, timeout_seconds=5):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            break
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")], seen


class Informer(threading.Thread):
    """List, then watch from there, and again from the last revision whenever the stream ends: what informers do."""

    def __init__(self, core):
        super().__init__(daemon=True)
        self.core = core
        self.known = {}
        self.lists = 0
        self.stopped = False
        self.start()

    def run(self):
        revision = None
        while not self.stopped:
            try:
                if revision is None:
                    listed = self.core.list_namespaced_config_map("default", label_selector="informed=yes")
                    self.known = {item.metadata.name: item.data for item in listed.items}
                    revision = listed.metadata.resource_version
                    self.lists += 1
                for event in watch.Watch().stream(self.core.list_namespaced_config_map, "default", label_selector="informed=yes",
                                                  resource_version=revision, timeout_seconds=2, _request_timeout=5):
                    item = event["object"]
                    revision = item.metadata.resource_version
                    if event["type"] == "DELETED":
                        self.known.pop(item.metadata.name)
                    else:
                        self.known[item.metadata.name] = item.data
            except ApiException as error:
                revision = None if error.status == 410 else revision
            except Exception:
                time.sleep(0.05)  # the server is away


def informer_survives_restart(server, core):
    def put(name, value):
        body = {"metadata": {"name": name, "labels": {"informed": "yes"}}, "data": {"v": value}}
        core.create_namespaced_config_map("default", body)

    put("one", "1")
    informer = Informer(core)
    wait_until(lambda: informer.known == {"one": {"v": "1"}}, "the informer's list")
    server.kill()
    server.start()
    put("two", "2")
    core.patch_namespaced_config_map("one", "default", {"data": {"v": "1b"}})
    wait_until(lambda: informer.known == {"one": {"v": "1b"}, "two": {"v": "2"}}, "the informer to catch up after the restart")
    core.delete_namespaced_config_map("one", "default")
    wait_until(lambda: informer.known == {"two": {"v": "2"}}, "the informer to see the deletion")
    informer.stopped = True
    informer.join(10)
    assert informer.lists == 1, f"the watch was not resumed: {informer.lists} lists"


def main():
    with Server(sys.argv[1]) as server:
        config.load_kube_config(server.kubeconfig)
        api, core, apps = client.ApiClient(), client.CoreV1Api(), client.AppsV1Api()
        assert client.VersionApi().get_code().git_version.startswith("v1.32.")
        checks = [(objects, core), (workload, api, core, apps), (dynamic_client, api), (watching, core),
                  (informer_survives_restart, server, core)]
        for check, *arguments in checks:
            check(*arguments)
            print(f"ok {check.__name__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
