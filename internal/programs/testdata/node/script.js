// What TestNode runs: JSON, buffers, zlib, worker threads, crypto and an HTTP server that requests itself,
// on a port of the kernel's choice. Each part prints one line.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const assert = require('assert');
const crypto = require('crypto');
const http = require('http');
const zlib = require('zlib');
const { promisify } = require('util');

const sha = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

function objects(from, n) {
  const out = [];
  for (let i = from; i < from + n; i++) {
    out.push({ id: i, name: `name ${i} \u00e9\u4e16`, tags: [`t${i % 7}`, `t${i % 11}`], nested: { a: i * 2, b: [i, null, true] } });
  }
  return out;
}

if (!isMainThread) {
  // A worker: its own heap, its own buffers, some transferred back.
  const part = JSON.parse(JSON.stringify(objects(workerData.from, workerData.n)));
  const sum = part.reduce((s, o) => s + o.nested.a, 0);
  const buffer = new ArrayBuffer(1 << 20);
  new Uint8Array(buffer).fill(workerData.index);
  const packed = zlib.gunzipSync(zlib.gzipSync(JSON.stringify(part)));
  parentPort.postMessage({ sum, digest: sha(packed), buffer }, [buffer]);
  return;
}

function json() {
  const all = objects(0, 60000);
  const text = JSON.stringify(all);
  const back = JSON.parse(text);
  assert.deepStrictEqual(back[59999], all[59999]);
  console.log('json', text.length, sha(text), sha(JSON.stringify(back)));
}

function buffers() {
  let total = 0;
  const kept = [];
  for (let i = 0; i < 20000; i++) {
    const size = (i * 7919) % 20000;
    const b = Buffer.alloc(size, i & 255);
    if (i % 10 === 0) kept.push(b);
    total += b.length ? b[b.length - 1] : 0;
  }
  for (let i = 0; i < 40; i++) Buffer.allocUnsafe(8 << 20).fill(i);
  const joined = Buffer.concat(kept);
  console.log('buffers', total, joined.length, sha(joined), Buffer.from(joined.toString('base64'), 'base64').equals(joined));
}

async function compression() {
  const data = Buffer.from(objects(0, 20000).map((o) => JSON.stringify(o)).join('\n'));
  const pairs = [['gzip', 'gunzip'], ['deflateRaw', 'inflateRaw'], ['deflate', 'inflate']];
  const jobs = [];
  for (let i = 0; i < 12; i++) {
    const [pack, unpack] = pairs[i % 3];
    const part = data.subarray(i * 1000, data.length - i * 1000);
    jobs.push(promisify(zlib[pack])(part).then(promisify(zlib[unpack])).then((out) => assert(out.equals(part))));
  }
  const br = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } };
  jobs.push(promisify(zlib.brotliCompress)(data, br).then(promisify(zlib.brotliDecompress)).then((out) => assert(out.equals(data))));
  await Promise.all(jobs);
  console.log('zlib', data.length, sha(data), jobs.length);
}

async function workers() {
  let sum = 0;
  let bytes = 0;
  const digests = [];
  for (let round = 0; round < 3; round++) {
    const results = await Promise.all([0, 1, 2, 3].map((index) => new Promise((resolve, reject) => {
      const w = new Worker(__filename, { workerData: { index, from: index * 5000, n: 5000 } });
      let result;
      w.on('message', (m) => { result = m; });
      w.on('error', reject);
      w.on('exit', (code) => (code === 0 ? resolve(result) : reject(new Error(`worker ended with ${code}`))));
    })));
    for (const [i, r] of results.entries()) {
      sum += r.sum;
      digests.push(r.digest);
      bytes += new Uint8Array(r.buffer).reduce((s, b) => s + b, 0) / (i || 1);
    }
  }
  console.log('workers', sum, bytes, sha(digests.join()));
}

async function server() {
  const s = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (c) => chunks.push(c));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      response.setHeader('x-digest', sha(body));
      response.end(Buffer.concat([body, Buffer.from(request.url)]));
    });
  });
  await new Promise((resolve) => s.listen(0, '127.0.0.1', resolve));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 50 });
  const ask = (i) => new Promise((resolve, reject) => {
    const body = Buffer.alloc((i * 131) % 60000, i & 255);
    const request = http.request({ port: s.address().port, host: '127.0.0.1', path: `/r${i}`, method: 'POST', agent }, (response) => {
      const chunks = [];
      response.on('data', (c) => chunks.push(c));
      response.on('end', () => {
        const got = Buffer.concat(chunks);
        assert.strictEqual(response.headers['x-digest'], sha(body));
        assert(got.equals(Buffer.concat([body, Buffer.from(`/r${i}`)])));
        resolve(got.length);
      });
    });
    request.on('error', reject);
    request.end(body);
  });
  let total = 0;
  for (let i = 0; i < 3000; i += 100) {
    const lengths = await Promise.all(Array.from({ length: 100 }, (_, k) => ask(i + k)));
    total += lengths.reduce((a, b) => a + b, 0);
  }
  agent.destroy();
  await new Promise((resolve) => s.close(resolve));
  console.log('http', total);
}

(async () => {
  json();
  buffers();
  await compression();
  await workers();
  await server();
})().catch((e) => { console.error(e); process.exit(1); });
