// @kubernetes/client-node against a wherry server: get, list, create, patch, delete, watch, streams of pods, and its own
// informer, which the test restarts the server under: it writes "restart" on stdout and waits for a line on stdin.
//
//   node client_test.mjs KUBECONFIG

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { PassThrough, Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromFile(process.argv[2]);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const namespace = 'default';

async function until(what, check, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await sleep(50);
  }
}

async function refused(code, promise) {
  try {
    await promise;
  } catch (error) {
    assert.equal(error.code, code, String(error));
    return typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
  }
  assert.fail(`not refused with ${code}`);
}

async function objects() {
  const made = await core.createNamespacedConfigMap({
    namespace, body: { metadata: { name: 'a' }, data: { k: '1' } },
  });
  assert.ok(made.metadata.uid && made.metadata.creationTimestamp instanceof Date);
  const status = await refused(409, core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'a' } } }));
  assert.equal(status.reason, 'AlreadyExists');
  const patched = await core.patchNamespacedConfigMap({
    name: 'a', namespace, body: [{ op: 'replace', path: '/data/k', value: '2' }],
  });
  assert.deepEqual(patched.data, { k: '2' });
  await refused(409, core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made }));
  const merged = await core.patchNamespacedConfigMap(
    { name: 'a', namespace, body: { data: { k: '3' } } },
    k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch),
  );
  assert.deepEqual(merged.data, { k: '3' });
  await core.deleteNamespacedConfigMap({ name: 'a', namespace });
  await refused(404, core.readNamespacedConfigMap({ name: 'a', namespace }));
}

async function apply() {
  // What `kubectl apply` of a client does with any kind: read, create or patch, by apiVersion and kind alone.
  const api = k8s.KubernetesObjectApi.makeApiClient(config);
  const spec = {
    apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'sleeper', namespace },
    spec: {
      selector: { matchLabels: { app: 'sleeper' } },
      template: {
        metadata: { labels: { app: 'sleeper' } },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'main', image: 'busybox', command: ['sleep', '1000'] }],
        },
      },
    },
  };
  await refused(404, api.read(spec));
  await api.create(spec);
  await until('two ready pods', async () =>
    (await apps.readNamespacedDaemonSet({ name: 'sleeper', namespace })).status.numberReady === 2);
  const pods = await core.listNamespacedPod({ namespace, labelSelector: 'app=sleeper' });
  assert.deepEqual(pods.items.map((pod) => pod.spec.nodeName).sort(), ['node-1', 'node-2']);
  await api.delete(spec);
  await until('the pods to go', async () =>
    (await core.listNamespacedPod({ namespace, labelSelector: 'app=sleeper' })).items.length === 0);
}

// Collects what is written to it.
class Sink extends Writable {
  text = '';
  _write(chunk, _, done) {
    this.text += chunk;
    done();
  }
}

const sum = (data) => createHash('sha256').update(data).digest('hex');

// A pod that repeats what its stdin says, and what clients of its port 7000 say.
async function speaker() {
  const script = 'import socketserver, sys, threading\n'
    + 'class Echo(socketserver.BaseRequestHandler):\n'
    + '    def handle(self):\n'
    + '        while data := self.request.recv(65536): self.request.sendall(data)\n'
    + 'server = socketserver.ThreadingTCPServer(("", 7000), Echo)\n'
    + 'threading.Thread(target=server.serve_forever, daemon=True).start()\n'
    + 'print("up", flush=True)\n'
    + 'for line in sys.stdin: print("heard", line, end="", flush=True)\n';
  await core.createNamespacedPod({
    namespace,
    body: {
      metadata: { name: 'speaker' },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'main', image: 'any', stdin: true, command: ['/usr/bin/python3', '-c', script] }],
      },
    },
  });
  await until('the pod to speak', async () => {
    const pod = await core.readNamespacedPod({ name: 'speaker', namespace });
    return pod.status.phase === 'Running' && (await core.readNamespacedPodLog({ name: 'speaker', namespace })).includes('up');
  });
}

// Output, errors apart, input, and how it ended.
async function executes() {
  const run = async (command, input, tty = false) => {
    const out = new Sink(), err = new Sink();
    const status = await new Promise((resolve, reject) => {
      new k8s.Exec(config).exec(namespace, 'speaker', 'main', command, out, tty ? null : err,
        input === undefined ? null : Readable.from([input]), tty, resolve).catch(reject);
    });
    return [status, out.text, err.text];
  };
  const [failed, out, err] = await run(['sh', '-c', 'read line; echo got $line; echo err >&2; exit 3'], 'something\n');
  assert.deepEqual([out, err], ['got something\n', 'err\n']);
  assert.equal(failed.status, 'Failure');
  assert.equal(failed.reason, 'NonZeroExitCode');
  assert.equal(failed.details.causes[0].message, '3');
  const [ended, plain] = await run(['echo', 'plain']);
  assert.deepEqual([ended.status, plain], ['Success', 'plain\n']);
  const [ended2, terminal] = await run(['tty'], undefined, true);
  assert.equal(ended2.status, 'Success');
  assert.match(terminal, /^\/dev\/pts\/\d+\r\n$/);
  // Not only text, and more than one message: the end of the input ends cat.
  const data = randomBytes(1 << 20).toString('base64');
  const [ended3, back] = await run(['head', '-c', String(data.length)], data);
  assert.deepEqual([ended3.status, sum(back)], ['Success', sum(data)]);
}

async function attaches() {
  const out = new Sink(), err = new Sink(), input = new PassThrough();
  const socket = await new k8s.Attach(config).attach(namespace, 'speaker', 'main', out, err, input, false);
  input.write('one\n');
  await until('what was said', () => out.text === 'heard one\n');
  input.write('two\n');
  await until('what was said then', () => out.text === 'heard one\nheard two\n');
  socket.close();
}

async function forwards() {
  const forward = new k8s.PortForward(config);
  const server = createServer((socket) => { forward.portForward(namespace, 'speaker', [7000], socket, null, socket); });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const talk = async () => {
    const data = randomBytes(4 << 20);
    const socket = createConnection(server.address().port, '127.0.0.1');
    const pieces = [];
    let size = 0;
    socket.on('data', (piece) => { pieces.push(piece); size += piece.length; });
    socket.write(data);
    await until('everything to come back', () => size >= data.length, 60);
    socket.destroy();
    assert.equal(sum(Buffer.concat(pieces)), sum(data));
  };
  await Promise.all([talk(), talk(), talk()]);
  server.close();
}

async function logs() {
  const logger = new k8s.Log(config);
  const sink = new Sink();
  const request = await logger.log(namespace, 'speaker', 'main', sink, { follow: true, tailLines: 2, timestamps: false });
  await until('the last lines', () => sink.text === 'heard one\nheard two\n');
  const input = new PassThrough();
  const socket = await new k8s.Attach(config).attach(namespace, 'speaker', 'main', new Sink(), new Sink(), input, false);
  input.write('three\n');
  await until('the line that came', () => sink.text === 'heard one\nheard two\nheard three\n');
  request.abort();
  socket.close();
  const stamped = await core.readNamespacedPodLog({ name: 'speaker', namespace, tailLines: 1, timestamps: true });
  assert.match(stamped, /^\d{4}-\d\d-\d\dT[\d:.]+Z heard three\n$/);
  await core.deleteNamespacedPod({ name: 'speaker', namespace, gracePeriodSeconds: 0 });
}

async function watching() {
  const list = await core.listNamespacedConfigMap({ namespace });
  const seen = [];
  const watch = new k8s.Watch(config);
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  let ended;
  const end = new Promise((resolve) => { ended = resolve; });
  const request = await watch.watch(path, { resourceVersion: list.metadata.resourceVersion, allowWatchBookmarks: true },
    (type, object) => { if (type !== 'BOOKMARK') seen.push(`${type} ${object.metadata.name}`); }, ended);
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'w' } } });
  await core.deleteNamespacedConfigMap({ name: 'w', namespace });
  await until('two events', () => seen.length >= 2);
  request.abort();
  await end;
  assert.deepEqual(seen, ['ADDED w', 'DELETED w']);
}

async function informer() {
  const labelSelector = 'informed=yes';
  const put = (name) => core.createNamespacedConfigMap({ namespace, body: { metadata: { name, labels: { informed: 'yes' } } } });
  const made = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`,
    () => core.listNamespacedConfigMap({ namespace, labelSelector }), labelSelector);
  const names = () => made.list(namespace).map((item) => item.metadata.name).sort().join(' ');
  let stopping = false;
  // The library's advice: on an error, start again after a moment.
  made.on('error', () => { if (!stopping) setTimeout(() => made.start().catch(() => made.emit?.('error')), 100); });
  await put('one');
  await made.start();
  await until('the list', () => names() === 'one');

  console.log('restart');
  const input = createInterface({ input: process.stdin });
  await once(input, 'line');
  input.close();

  await put('two');
  await until('the informer to catch up after the restart', () => names() === 'one two');
  await core.deleteNamespacedConfigMap({ name: 'one', namespace });
  await until('the informer to see the deletion', () => names() === 'two');
  stopping = true;
  await made.stop();
}

for (const check of [objects, apply, speaker, executes, attaches, forwards, logs, watching, informer]) {
  await check();
  console.log(`ok ${check.name}`);
}
process.exit(0);
