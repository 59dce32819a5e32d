"""What programs are given: variables and volumes of every kind, read by unmodified programs, plainly and in the sandbox.
Run with every kubectl there is.

    configuration_test.py WHERRY [STORY …]
"""

import json
import os
import re
import socket
import ssl
import sys
import tempfile
import urllib.error
import urllib.request

from pod_story import Story, pod, tell
from wherry_server import wait_until

CLASSES = ("host", "sandbox")

OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {colour: blue, size: large, "not.a.word": dotted}
binaryData: {bytes: AAEC/w==}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {user: me, password: "pa ss"}
"""

class Configuration(Story):
    def reads(self, name, command, container="", spec="", volumes="", classes=CLASSES):
        """What a pod that runs this once has written, which must be the same in each of the classes."""
        outputs = []
        for level in classes:
            self.apply(pod(name, command, container, f"restartPolicy: Never\n  runtimeClassName: {level}\n  {spec}", volumes))
            try:
                ended = self.ended(name)
            except AssertionError as error:
                raise AssertionError(f"{error}:\n{self.kubectl.ok('describe', 'pod', name)}") from error
            out = self.kubectl.ok("logs", name)
            assert ended["exitCode"] == 0, f"{level}: {ended} {out}"
            outputs.append(out)
            self.kubectl.ok("delete", "pod", name)
        assert len(set(outputs)) == 1, outputs
        return outputs[0]

    def sources(self):
        self.apply(OBJECTS)

    # ---- the stories

    def variables(self):
        """env, envFrom with a prefix, $(VAR), fields and resources; what is optional may be missing."""
        self.sources()
        text = pod("vars", 'env | grep ^T_ | sort; echo "$1 $2"', """envFrom:
        - {prefix: T_C_, configMapRef: {name: conf}}
        - {prefix: T_S_, secretRef: {name: keys}}
        - {configMapRef: {name: nobody, optional: true}}
      env:
        - {name: T_PLAIN, value: plain}
        - {name: T_EXPANDED, value: "$(T_PLAIN) $(T_C_colour) $$(T_PLAIN) $(NOBODY)"}
        - {name: T_LATER, value: "$(T_Z)"}
        - {name: T_Z, value: z}
        - {name: T_C_size, value: overridden}
        - {name: T_KEY, valueFrom: {configMapKeyRef: {name: conf, key: colour}}}
        - {name: T_SECRET, valueFrom: {secretKeyRef: {name: keys, key: password}}}
        - {name: T_MAYBE, valueFrom: {secretKeyRef: {name: keys, key: nothing, optional: true}}}
        - {name: T_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: T_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: T_LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
        - {name: T_NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
        - {name: T_NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: T_ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
        - {name: T_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
        - {name: T_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: T_IPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}
        - {name: T_HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
        - {name: T_CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
        - {name: T_MILLI, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
        - {name: T_MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        - {name: T_BYTES, valueFrom: {resourceFieldRef: {resource: requests.memory}}}
      resources: {limits: {cpu: 1500m, memory: 64Mi}, requests: {cpu: 250m, memory: 32Mi}}
      args: ["sh", "$(T_PLAIN)", "$$(T_PLAIN)"]""", "restartPolicy: Never")
        text = text.replace("labels: {app: vars}", "labels: {app: vars}, annotations: {note: noted}")
        self.apply(text)
        assert self.ended("vars")["exitCode"] == 0
        made = self.kubectl.get("pod", "vars")
        *lines, arguments = self.kubectl.ok("logs", "vars").splitlines()
        got = dict(line.split("=", 1) for line in lines)
        assert arguments == "plain $(T_PLAIN)", arguments
        expected = {
            "T_C_colour": "blue", "T_C_size": "overridden", "T_S_user": "me", "T_S_password": "pa ss",
            "T_PLAIN": "plain", "T_EXPANDED": "plain blue $(T_PLAIN) $(NOBODY)", "T_LATER": "$(T_Z)", "T_Z": "z", "T_KEY": "blue",
            "T_SECRET": "pa ss", "T_NAME": "vars", "T_NAMESPACE": "default", "T_LABEL": "vars", "T_NOTE": "noted",
            "T_NODE": made["spec"]["nodeName"], "T_ACCOUNT": "default", "T_UID": made["metadata"]["uid"],
            "T_IP": made["status"]["podIP"], "T_IPS": made["status"]["podIP"], "T_HOST": made["status"]["hostIP"],
            "T_CPU": "2", "T_MILLI": "250", "T_MEMORY": "64", "T_BYTES": str(32 << 20)}
        got.pop("T_C_bytes", None)
        assert got == expected, {k: (got.get(k), expected.get(k)) for k in {*got, *expected} if got.get(k) != expected.get(k)}
        self.delete("vars")

    def files(self):
        """ConfigMap and Secret as files: all keys, chosen ones, modes, bytes; read only, and what is optional may be missing."""
        self.sources()
        out = self.reads(
            "files", "cd /etc/app; ls; cat colour; echo; od -An -tx1 bytes; ls /etc/some /etc/some/deep /etc/maybe; "
            "cat /etc/some/deep/word; echo; stat -Lc %a /etc/some/deep/word /etc/some/open /etc/keys/user; cat /etc/keys/password; "
            "echo; exec 2> /dev/null; (echo x > /etc/app/new) || echo refused; (echo x > /etc/app/colour) || echo refused",
            "volumeMounts: [{name: app, mountPath: /etc/app}, {name: some, mountPath: /etc/some}, {name: keys, mountPath: /etc/keys}, "
            "{name: maybe, mountPath: /etc/maybe}]", volumes="""
    {name: app, configMap: {name: conf}}, {name: maybe, configMap: {name: nobody, optional: true}},
    {name: some, configMap: {name: conf, defaultMode: 0444, items: [{key: colour, path: deep/word, mode: 0440}, {key: size, path: open}]}},
    {name: keys, secret: {secretName: keys, defaultMode: 0400}}""")
        lines = out.splitlines()
        assert lines[:4] == ["bytes", "colour", "not.a.word", "size"], out
        assert lines[4:6] == ["blue", " 00 01 02 ff"], out
        assert "word" in lines and "open" in lines, out
        assert lines[-7:-2] == ["blue", "440", "444", "400", "pa ss"], out
        assert lines[-2:] == ["refused", "refused"], out
        self.apply(pod("lacks", "true", "volumeMounts: [{name: v, mountPath: /v}]", "",
                       "{name: v, configMap: {name: conf, items: [{key: missing, path: x}]}}"))
        self.described("lacks", r"FailedMount.*references non-existent config key: missing")
        self.delete("lacks")

    def projections(self):
        """Several sources in one volume: keys, fields and resources."""
        self.sources()
        out = self.reads(
            "mixes", "cd /all; ls; cat conf/colour; echo; cat user; echo; cat labels; echo; cat limit; echo",
            "resources: {limits: {cpu: 250m}}\n      volumeMounts: [{name: all, mountPath: /all}]", volumes="""
    {name: all, projected: {sources: [{configMap: {name: conf, items: [{key: colour, path: conf/colour}]}},
      {secret: {name: keys, items: [{key: user, path: user}]}}, {configMap: {name: nobody, optional: true}},
      {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}},
        {path: limit, resourceFieldRef: {containerName: main, resource: limits.cpu, divisor: 1m}}]}}]}}""")
        assert out == 'conf\nlabels\nlimit\nuser\nblue\nme\napp="mixes"\n250\n', out

    def tokens(self):
        """A pod speaks with the API by its token, as its account; when the pod is gone, nobody does. Other audiences are no use there."""
        self.kubectl.ok("create", "serviceaccount", "robot")
        for level in CLASSES:
            self.apply(pod("speaks", "exec sleep 1000", "volumeMounts: [{name: t, mountPath: /var/run/tokens}]",
                           f"runtimeClassName: {level}\n  serviceAccountName: robot", """
    {name: t, projected: {sources: [{serviceAccountToken: {path: api, expirationSeconds: 600}},
      {serviceAccountToken: {path: vault, audience: vault}},
      {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}]}}"""))
            self.kubectl.ok("wait", "--for=condition=Ready", "pod/speaks", "--timeout=20s")
            uid = self.kubectl.get("pod", "speaks")["metadata"]["uid"]
            folder, token, vault = self.kubectl.ok("exec", "speaks", "--", "sh", "-c", """
                cd /var/run/tokens; ls | tr '\\n' ' '; echo; cat api; echo; cat vault""").splitlines()
            assert folder == "api ca.crt vault ", folder
            # With the authority that the pod was given, and no client certificate.
            authority = self.kubectl.ok("exec", "speaks", "--", "cat", "/var/run/tokens/ca.crt")
            status, who = self.ask(authority, token)
            assert status == 201, who
            user = who["status"]["userInfo"]
            assert user["username"] == "system:serviceaccount:default:robot", user
            assert user["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"], user
            assert user["extra"]["authentication.kubernetes.io/pod-uid"] == [uid], user
            assert self.ask(authority, vault)[0] == 401
            assert self.ask(authority, token[:-4] + "AAAA")[0] == 401
            self.delete("speaks")
            assert self.ask(authority, token)[0] == 401
        self.kubectl.ok("delete", "serviceaccount", "robot")

    def ask(self, authority, token):
        """Who the API says the bearer of a token is: the status and the answer."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.server.port}/apis/authentication.k8s.io/v1/selfsubjectreviews", b"{}",
            {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=authority)))
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def scratch(self):
        """emptyDirs are shared by the containers of a pod, outlive their restarts and not the pod; in memory when asked."""
        for level in CLASSES:
            self.apply(pod("shares", "if test -e /data/there; then cat /data/there /fast/there; exec sleep 1000; fi; "
                           "while ! test -e /data/ready; do sleep 0.05; done; echo kept > /data/there; echo fast > /fast/there; exit 1",
                           "volumeMounts: [{name: data, mountPath: /data}, {name: fast, mountPath: /fast}]",
                           f"""runtimeClassName: {level}
  initContainers:
    - name: makes
      image: busybox
      command: [sh, -c, "touch /elsewhere/ready; stat -f -c %T /fast"]
      volumeMounts: [{{name: data, mountPath: /elsewhere}}, {{name: fast, mountPath: /fast}}]""",
                           "{name: data, emptyDir: {}}, {name: fast, emptyDir: {medium: Memory, sizeLimit: 10Mi}}"))
            wait_until(lambda: self.kubectl("logs", "shares")[1] == "kept\nfast\n", "the second run to see what the first left")
            assert self.kubectl.ok("logs", "shares", "-c", "makes") == "tmpfs\n"
            uid = self.kubectl.get("pod", "shares")["metadata"]["uid"]
            self.delete("shares")
            wait_until(lambda: not os.path.exists(os.path.join(self.server.data, "pods", uid)), "its files to go")
            wait_until(lambda: not [d for d, _, _ in os.walk("/dev/shm") if uid in d], "its memory to be given back")

    def places(self):
        """hostPath of every type, subPath, subPathExpr and readOnly."""
        with tempfile.TemporaryDirectory() as outside, socket.socket(socket.AF_UNIX) as listener:
            os.chmod(outside, 0o777)
            listener.bind(f"{outside}/socket")
            with open(f"{outside}/file", "w") as file:
                file.write("host\n")
            kinds = [("file", "File"), ("made/here", "DirectoryOrCreate"), ("made.txt", "FileOrCreate"), ("socket", "Socket"),
                     ("", "Directory")]
            volumes = ", ".join(f"{{name: v{i}, hostPath: {{path: {outside}/{path}, type: {kind}}}}}"
                                for i, (path, kind) in enumerate(kinds))
            mounts = ", ".join(f"{{name: v{i}, mountPath: /host/v{i}}}" for i in range(len(kinds)))
            self.apply(pod("hosts", "cat /host/v0; test -S /host/v3 && echo socket; test -c /host/null && echo device; "
                           "echo in > /host/v1/in; echo more >> /host/v2; ls /host/v4; echo x > /host/readonly/x || echo refused",
                           f"volumeMounts: [{mounts}, {{name: device, mountPath: /host/null}}, "
                           "{name: v4, mountPath: /host/readonly, readOnly: true}]",
                           "restartPolicy: Never", volumes + ", {name: device, hostPath: {path: /dev/null, type: CharDevice}}"))
            assert self.ended("hosts")["exitCode"] == 0, self.kubectl.ok("logs", "hosts")
            out = self.kubectl.ok("logs", "hosts").splitlines()
            assert out[:3] == ["host", "socket", "device"] and out[3:7] == ["file", "made", "made.txt", "socket"], out
            assert "refused" in out[7:] and not os.path.exists(f"{outside}/x"), out
            assert open(f"{outside}/made/here/in").read() == "in\n" and open(f"{outside}/made.txt").read() == "more\n"
            self.delete("hosts")
            for path, kind, why in (("file", "Directory", "is not a directory"), ("socket", "File", "is not a file"),
                                    ("file", "Socket", "is not a socket"),
                                    ("nothing", "Directory", "does not exist|is not a directory")):
                self.apply(pod("wrong", "true", "", "", f"{{name: v, hostPath: {{path: {outside}/{path}, type: {kind}}}}}"))
                self.described("wrong", rf"FailedMount.*hostPath type check failed: {outside}/{path} ({why})")
                self.delete("wrong")
        self.sources()
        out = self.reads("subs", "cat /app/colour; echo; cat /one; echo; echo mine > /own/file; cat /all/subs/file; ls /all",
                         """env: [{name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
      volumeMounts: [{name: conf, mountPath: /app/colour, subPath: colour}, {name: conf, mountPath: /one, subPath: size, readOnly: true},
        {name: data, mountPath: /own, subPathExpr: $(WHO)}, {name: data, mountPath: /all}]""",
                         volumes="{name: conf, configMap: {name: conf}}, {name: data, emptyDir: {}}")
        assert out == "blue\nlarge\nmine\nsubs\n", out

    def updates(self):
        """Files change together: who reads two of them through ..data never sees one old and one new."""
        self.kubectl.ok("create", "configmap", "pair", "--from-literal=a=0", "--from-literal=b=0")
        watch = ("import os, time\nseen = []\nwhile not os.path.exists('/data/stop'):\n  d = os.open('/etc/pair/..data', os.O_RDONLY)\n"
                 "  try:\n    a, b = (os.read(os.open(n, os.O_RDONLY, dir_fd=d), 9) for n in 'ab')\n"
                 "  except FileNotFoundError:\n    continue\n"
                 "  finally:\n    os.close(d)\n  assert a == b, (a, b)\n  if a not in seen: seen.append(a); print(a.decode(), flush=True)\n"
                 "  for f in range(3, 64):\n    try: os.close(f)\n    except OSError: pass\n")
        for level in CLASSES:
            self.kubectl.ok("patch", "configmap", "pair", "-p", '{"data":{"a":"0","b":"0"}}')
            text = pod("pairs", "", "volumeMounts: [{name: pair, mountPath: /etc/pair}, {name: data, mountPath: /data}]",
                       f"restartPolicy: Never\n  runtimeClassName: {level}",
                       "{name: pair, configMap: {name: pair}}, {name: data, emptyDir: {}}")
            self.apply(text.replace('command: ["sh", "-c", ""]', 'command: ["/usr/bin/python3", "-c", %s]' % json.dumps(watch)))
            for word in range(1, 9):
                wait_until(lambda: f"{word - 1}" in self.kubectl("logs", "pairs")[1].split(), f"the word {word - 1}")
                self.kubectl.ok("patch", "configmap", "pair", "-p", json.dumps({"data": {"a": str(word), "b": str(word)}}))
            wait_until(lambda: "8" in self.kubectl.ok("logs", "pairs").split(), "the last word")
            self.kubectl.ok("exec", "pairs", "--", "touch", "/data/stop")
            assert self.ended("pairs")["exitCode"] == 0, self.kubectl.ok("logs", "pairs")
            assert self.kubectl.ok("logs", "pairs").split() == [str(word) for word in range(9)]
            self.kubectl.ok("delete", "pod", "pairs")
        self.kubectl.ok("delete", "configmap", "pair")

    def labels(self):
        """The downward API's files follow labels and annotations."""
        self.apply(pod("shown", "while :; do cat /info/labels; echo; sleep 0.1; done", "volumeMounts: [{name: info, mountPath: /info}]", "",
                       "{name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}"))
        wait_until(lambda: self.kubectl("logs", "shown", "--tail=1")[1] == 'app="shown"\n', "the labels")
        self.kubectl.ok("label", "pod", "shown", "stage=two")
        wait_until(lambda: re.search('app="shown"\nstage="two"\n', self.kubectl.ok("logs", "shown", "--tail=4")), "the new label")
        self.delete("shown")


STORIES = ["variables", "files", "projections", "tokens", "scratch", "places", "updates", "labels"]


if __name__ == "__main__":
    sys.exit(tell(Configuration, STORIES))
