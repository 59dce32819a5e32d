// @kubernetes/client-node against a wherry server: get, list, create, patch, delete, watch, and its own informer, which the
// test restarts the server under: it writes "restart" on stdout and waits for a line on stdin.
//
//   node client_test.mjs KUBECONFIG

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Readable, Writable } from 'node:stream';
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

// exec over v5.channel.k8s.io … v1, whichever the server likes best: output, input and the exit code.
async function streams(pod) {
  const chunks = { out: '', err: '' };
  const collect = (name) => new Writable({ write(chunk, _, done) { chunks[name] += chunk; done(); } });
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(config).exec(namespace, pod, undefined, ['sh', '-c', 'read line; echo got $line; echo err >&2; exit 3'],
      collect('out'), collect('err'), Readable.from(['something\n']), false, resolve).catch(reject);
  });
  assert.deepEqual(chunks, { out: 'got something\n', err: 'err\n' });
  assert.equal(status.status, 'Failure');
  assert.equal(status.reason, 'NonZeroExitCode');
  assert.equal(status.details.causes[0].message, '3');
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
  await streams(pods.items[0].metadata.name);
  await api.delete(spec);
  await until('the pods to go', async () =>
    (await core.listNamespacedPod({ namespace, labelSelector: 'app=sleeper' })).items.length === 0);
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

for (const check of [objects, apply, watching, informer]) {
  await check();
  console.log(`ok ${check.name}`);
}
process.exit(0);
