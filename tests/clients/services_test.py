"""Services with real processes: pods behind a cluster IP and a node port, followed by readiness, found by DNS.

    services_test.py WHERRY
"""

import http.client
import json
import os
import re
import socket
import struct
import sys
import threading

from wherry_server import Kubectl, Server, kubectls, wait_until

# A server that names its pod, and that goes on for a moment when it is told to go, as servers behind a load balancer do.
WEB = r"""
import http.server, os, signal, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["WHERRY_POD_NAME"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Web(http.server.ThreadingHTTPServer):
    request_queue_size = 128
def go(*args): threading.Thread(target=lambda: (time.sleep(0.5), os._exit(0))).start()
signal.signal(signal.SIGTERM, go)
Web(("0.0.0.0", 8080), Handler).serve_forever()
"""

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: %(name)s
  labels: {app: %(app)s}
spec:
  terminationGracePeriodSeconds: 10
%(more)s
  containers:
    - name: main
      image: %(image)s
      command: %(command)s
      ports: [{name: http, containerPort: %(port)d}]
"""


def pod(name, app, script=WEB, image="busybox", port=8080, more=""):
    command = "null" if image == "nginx" else '["/usr/bin/python3", "-c", %s]' % quoted(script)
    return POD % dict(name=name, app=app, image=image, command=command, port=port, more=more)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def ask(host, port):
    """Asks once, on a connection of its own, and tells which pod answered."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/")
        body = connection.getresponse().read().decode()
    finally:
        connection.close()
    page = re.search(r"Served by pod default/(\S+) on", body)  # nginx's page
    return page.group(1) if page else body


def resolve(server, name, kind=1, tcp=False):
    """Asks the responder: (code, [data of each answer])."""
    request = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    request += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect(server)
        if tcp:
            s.sendall(struct.pack(">H", len(request)) + request)
            size = struct.unpack(">H", s.recv(2))[0]
            answer = b""
            while len(answer) < size:
                answer += s.recv(size - len(answer))
        else:
            s.send(request)
            answer = s.recv(4096)
    code, count = answer[3] & 15, struct.unpack(">H", answer[6:8])[0]
    at = 12

    def read_name(at):
        parts = []
        end = None
        while answer[at]:
            if answer[at] >= 0xC0:
                end = end or at + 2
                at = struct.unpack(">H", answer[at:at + 2])[0] & 0x3FFF
            else:
                parts.append(answer[at + 1:at + 1 + answer[at]].decode())
                at += 1 + answer[at]
        return ".".join(parts), end or at + 1

    at = read_name(at)[1] + 4
    found = []
    for _ in range(count):
        at = read_name(at)[1]
        got, _, _, length = struct.unpack(">HHIH", answer[at:at + 10])
        at += 10
        if got == 1:
            found.append(socket.inet_ntoa(answer[at:at + 4]))
        elif got == 33:
            found.append(f"{struct.unpack('>H', answer[at + 4:at + 6])[0]} {read_name(at + 6)[0]}")
        elif got in (5, 12):
            found.append(read_name(at)[0])
        at += length
    return code, sorted(found)


class Load:
    """Asks again and again, from several threads; every failure is kept."""

    def __init__(self, host, port, threads=4):
        self.failures, self.answers = [], {}
        self.count = 0
        self.over = False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(host, port)) for _ in range(threads)]

    def run(self, host, port):
        while not self.over:
            try:
                answer = ask(host, port)
                with self.lock:
                    self.answers[answer] = self.answers.get(answer, 0) + 1
            except Exception as error:
                with self.lock:
                    self.failures.append(f"{type(error).__name__}: {error}")
            self.count += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.over = True
        for thread in self.threads:
            thread.join()


def reachable(port):
    """Where a low port is served."""
    return port if port >= 1024 or os.geteuid() == 0 else port + 8000


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def endpoints(kubectl, name):
    status, out, err = kubectl("get", "endpoints", name, "--ignore-not-found", "-o", "json")
    assert status == 0, err
    found = json.loads(out or "{}")  # made a moment after its Service
    return sorted(a["ip"] for s in found.get("subsets", []) for a in s.get("addresses", []))


def addresses_of(kubectl, selector):
    return sorted(p["status"].get("podIP", "") for p in kubectl.get("pods", "-l", selector)["items"])


def balanced_and_drained(server, kubectl, app, **kind):
    """Three pods behind a Service are asked all the time while each of them is replaced: no request may fail."""
    three = {f"{app}-{i}" for i in range(3)}
    for name in sorted(three):
        kubectl.ok("apply", "-f", "-", stdin=pod(name, app, **kind))
    kubectl.ok("expose", "pod", f"{app}-0", f"--name={app}", "--port=8080", "--target-port=http", f"--selector=app={app}",
               "--type=NodePort")
    wait_until(lambda: len(endpoints(kubectl, app)) == 3, "three endpoints")
    service = kubectl.get("svc", app)
    ip, node_port = service["spec"]["clusterIP"], service["spec"]["ports"][0]["nodePort"]
    nodes = [a["address"] for n in kubectl.get("nodes")["items"] for a in n["status"]["addresses"]
             if a["type"] == "InternalIP"]
    wait_until(lambda: all(not tries(address, reachable(kind.get("port", 8080))) for address in endpoints(kubectl, app)),
               "the servers to listen")
    wait_until(lambda: {ask(ip, 8080) for _ in range(6)} == three, "all three to answer")
    for host in ["127.0.0.1"] + nodes:
        assert {ask(host, node_port) for _ in range(6)} == three, host

    before = descriptors(server)
    with Load(ip, 8080) as load:
        generation = 3
        for round_ in range(3):
            kubectl.ok("apply", "-f", "-", stdin=pod(f"{app}-{generation}", app, **kind))
            kubectl.ok("wait", "--for=condition=Ready", f"pod/{app}-{generation}", "--timeout=20s")
            wait_until(lambda: load.answers.get(f"{app}-{generation}"), "the new pod to be asked")
            kubectl.ok("delete", "pod", f"{app}-{generation - 3}")
            generation += 1
    assert not load.failures, f"{len(load.failures)} of {load.count} requests failed: {load.failures[:3]}"
    print(f"  {load.count} requests, none failed, while 3 of 3 pods were replaced: {load.answers}")
    wait_until(lambda: descriptors(server) <= before + 2, "the proxy to close its connections")

    # Nobody left: refused at once, as by a closed port.
    kubectl.ok("delete", "pod", "-l", f"app={app}", "--grace-period=0", "--force")
    wait_until(lambda: not endpoints(kubectl, app), "no endpoints")

    def refused():
        try:
            ask(ip, 8080)
        except ConnectionRefusedError:
            return True

    wait_until(refused, "connections to be refused")


def rolled(kubectl):
    """A Deployment rolls while its Service is asked: no request fails, though its servers listen only a while after they
    run, and all the old ones may be gone by then."""
    def deployment(version):
        return json.dumps({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "roll"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "roll"}}, "template": {
                "metadata": {"labels": {"app": "roll", "version": version}},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [
                    {"name": "main", "image": "busybox",
                     "command": ["/usr/bin/python3", "-c", "import time; time.sleep(0.4)\n" + WEB]}]}}}})

    kubectl.ok("apply", "-f", "-", stdin=deployment("1"))
    kubectl.ok("rollout", "status", "deployment/roll", "--timeout=30s")
    kubectl.ok("expose", "deployment", "roll", "--port=8080")
    ip = kubectl.get("svc", "roll")["spec"]["clusterIP"]
    wait_until(lambda: len(endpoints(kubectl, "roll")) == 3, "three endpoints")
    wait_until(lambda: all(not tries(address, 8080) for address in endpoints(kubectl, "roll")), "the servers to listen")
    with Load(ip, 8080) as load:
        for version in "23":
            old = {p["metadata"]["name"] for p in kubectl.get("pods", "-l", "app=roll")["items"]}
            kubectl.ok("apply", "-f", "-", stdin=deployment(version))
            kubectl.ok("rollout", "status", "deployment/roll", "--timeout=30s")
            wait_until(lambda: any(a not in old for a in list(load.answers)), "the new pods to be asked")
    assert not load.failures, f"{len(load.failures)} of {load.count} requests failed: {load.failures[:3]}"
    print(f"  {load.count} requests, none failed, while a Deployment was updated twice")
    kubectl.ok("delete", "deployment,service", "roll")


def names(server, kubectl):
    dns = (kubectl.get("svc", "-n", "kube-system", "kube-dns")["spec"]["clusterIP"], reachable(53))
    for i in range(2):
        kubectl.ok("apply", "-f", "-", stdin=pod(f"db-{i}", "db", more=f"  hostname: db-{i}\n  subdomain: db\n"))
    kubectl.ok("apply", "-f", "-", stdin="""
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 8080, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: db}, ports: [{name: http, port: 9000, targetPort: 8080}], sessionAffinity: ClientIP}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: front.default.svc.cluster.local}
""")
    wait_until(lambda: len(endpoints(kubectl, "db")) == 2, "two endpoints")
    pods = addresses_of(kubectl, "app=db")
    front = kubectl.get("svc", "front")["spec"]["clusterIP"]
    wait_until(lambda: resolve(dns, "db.default.svc.cluster.local") == (0, pods), "the headless name")
    first = kubectl.get("pod", "db-0")["status"]["podIP"]
    reverse = ".".join(reversed(first.split("."))) + ".in-addr.arpa"
    for tcp in (False, True):
        for name, kind, answer in [
            ("front.default.svc.cluster.local", 1, (0, [front])),
            ("front.default.svc.cluster.local", 28, (0, [])),
            ("db-0.db.default.svc.cluster.local", 1, (0, [first])),
            ("_sql._tcp.db.default.svc.cluster.local", 33,
             (0, [f"8080 db-{i}.db.default.svc.cluster.local" for i in range(2)])),
            ("_http._tcp.front.default.svc.cluster.local", 33, (0, ["9000 front.default.svc.cluster.local"])),
            (reverse, 12, (0, ["db-0.db.default.svc.cluster.local"])),
            ("outside.default.svc.cluster.local", 1, (0, sorted(["front.default.svc.cluster.local", front]))),
            (first.replace(".", "-") + ".default.pod.cluster.local", 1, (0, [first])),
            ("nobody.default.svc.cluster.local", 1, (3, [])),
        ]:
            got = resolve(dns, name, kind, tcp)
            assert got == answer, f"{name} {kind} over {'TCP' if tcp else 'UDP'}: {got}, not {answer}"
    # ClientIP: always the same one.
    assert len({ask(front, 9000) for _ in range(10)}) == 1
    return front


def environment(server, kubectl, front):
    kubectl.ok("apply", "-f", "-", stdin=pod("env", "env", "import os,time\nprint({k: v for k, v in os.environ.items() "
                                             "if k.startswith('FRONT_')}, flush=True)\ntime.sleep(1000)"))
    text = wait_until(lambda: kubectl("logs", "env")[1], "the pod's log")
    for wanted in [f"'FRONT_SERVICE_HOST': '{front}'", "'FRONT_SERVICE_PORT': '9000'", "'FRONT_SERVICE_PORT_HTTP': '9000'",
                   f"'FRONT_PORT': 'tcp://{front}:9000'", f"'FRONT_PORT_9000_TCP_ADDR': '{front}'"]:
        assert wanted in text, text
    kubectl.ok("delete", "pod", "env", "--grace-period=0", "--force")


def host_port(server, kubectl):
    """hostPort: the pod is reached at its node's address for as long as it is there."""
    kubectl.ok("apply", "-f", "-", stdin=pod("front-door", "front-door").replace(
        "containerPort: 8080}", "containerPort: 8080, hostPort: 9180}"))
    kubectl.ok("wait", "--for=condition=Ready", "pod/front-door", "--timeout=20s")
    node = kubectl.get("pod", "front-door")["status"]["hostIP"]
    wait_until(lambda: not tries(node, 9180), "the host port")
    assert ask(node, 9180) == "front-door"
    server.stop()
    server.start()
    wait_until(lambda: not tries(node, 9180), "the host port after a restart of the server")
    kubectl.ok("delete", "pod", "front-door")
    wait_until(lambda: "refused" in tries(node, 9180), "the host port to be closed")


def taken_port(server, kubectl):
    service = kubectl.get("svc", "front")["spec"]["clusterIP"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((service, 9001))
        other.listen()
        kubectl.ok("patch", "svc", "front", "-p",
                   '{"spec":{"ports":[{"name":"http","port":9000},{"name":"more","port":9001,"targetPort":8080}]}}')
        wait_until(lambda: re.search(rf"PortTaken.*cannot serve {service}:9001: another program listens there",
                                     kubectl.ok("describe", "svc", "front")), "the event about the port")
    wait_until(lambda: not tries(service, 9001), "the port to be served when it is free", timeout=30)


def tries(host, port):
    try:
        return "" if ask(host, port) else "empty"
    except OSError as error:
        return str(error)


def survives_restart(server, kubectl, front):
    server.stop()
    server.start()
    assert kubectl.get("svc", "front")["spec"]["clusterIP"] == front
    wait_until(lambda: not tries(front, 9000), "the Service to be served again")


def looks_right(kubectl):
    failures = []
    for args, pattern in [
        (["get", "svc"], r"NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\n"),
        (["get", "svc", "web"], r"web +NodePort +127\.\d+\.\d+\.\d+ +<none> +8080:3\d{4}/TCP "),
        (["get", "svc", "db"], r"db +ClusterIP +None +<none> +8080/TCP "),
        (["get", "svc", "outside"], r"outside +ExternalName +<none> +front.default.svc.cluster.local +<none> "),
        (["get", "ep", "db"], r"NAME +ENDPOINTS +AGE\ndb +127\S+:8080,127\S+:8080 "),
        (["get", "endpointslices", "-l", "kubernetes.io/service-name=db"],
         r"NAME +ADDRESSTYPE +PORTS +ENDPOINTS +AGE\ndb-\w{5} +IPv4 +8080 +127\S+,127\S+ "),
        (["get", "svc", "-n", "kube-system"], r"kube-dns +ClusterIP +127\S+\.\d+ +<none> +53/UDP,53/TCP "),
        (["describe", "svc", "front"], r"(?s)Selector: +app=db\nType: +ClusterIP\n.*Endpoints: +127\S+:8080,127\S+:8080\n"
                                       r"Session Affinity: +ClientIP"),
        (["describe", "ep", "db"], r"(?s)Addresses: +127\S+,127\S+\n.*sql +8080 +TCP"),
        (["describe", "svc", "kubernetes"], r"(?s)Endpoints: +127\.0\.0\.1:\d+"),
        (["describe", "svc", "-n", "kube-system", "kube-dns"], r"(?s)Endpoints: +127\.\d+\.\d+\.\d+:(80)?53\n"),
        (["get", "endpointslices", "-n", "kube-system", "kube-dns"], r"kube-dns +IPv4 +(80)?53,(80)?53 +127\."),
    ]:
        status, out, err = kubectl(*args)
        if status != 0 or not re.search(pattern, out):
            failures.append(f"kubectl {' '.join(args)}: does not match {pattern!r}:\n{out}{err}")
    return failures


def main():
    found = kubectls()
    if not found:
        print("no kubectl found; tests/setup.sh brings Debian's")
        return 77
    first = sorted(found.items())[0][1]
    with Server(sys.argv[1], nodes=3) as server:
        kubectl = Kubectl(first, server)
        balanced_and_drained(server, kubectl, "web")
        rolled(kubectl)
        host_port(server, kubectl)
        if os.access("/usr/sbin/nginx", os.X_OK):
            balanced_and_drained(server, kubectl, "pages", image="nginx", port=80)
        front = names(server, kubectl)
        environment(server, kubectl, front)
        taken_port(server, kubectl)
        survives_restart(server, kubectl, front)
        failures = []
        for version, program in sorted(found.items()):
            failures += [f"{version}: {failure}" for failure in looks_right(Kubectl(program, server))]
        for failure in failures:
            print("  " + failure.replace("\n", "\n    "))
        kubectl.ok("delete", "pod", "--all", "--grace-period=0", "--force")
        wait_until(lambda: not server.processes(), "the pods' processes to end")
    print("services: " + ("FAILED" if failures else "everything holds"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
