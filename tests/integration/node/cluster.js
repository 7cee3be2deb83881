#!/usr/bin/env node
// cluster.js: ioredis' Cluster and node-redis' createCluster against a Redis Cluster, or a box with `cluster-view workers` (--port: of the
// first worker). Empties the servers. With a server that is no cluster: skipped.
'use strict';
const assert = require('node:assert/strict');
const { load, main, options, Skip, test, until, within } = require('./lib/tap.js');

const Redis = load('ioredis');
const { createClient, createCluster } = load('redis');
const address = { host: options.host, port: options.port };
const many = Array.from({ length: 1000 }, (_, i) => i);

async function needCluster() {
  const one = new Redis({ ...address, lazyConnect: true });
  try {
    await one.connect();
    if (/cluster_enabled:0/.test(await one.info('cluster'))) throw new Skip('no cluster at this port');
  } finally {
    one.disconnect();
  }
}

// Runs fn with ioredis' Cluster and closes it whatever happens.
async function withIoredis(fn, extra = {}) {
  await needCluster();
  const cluster = new Redis.Cluster([address], { redisOptions: { password: options.password || undefined }, ...extra });
  cluster.on('error', () => {});
  try {
    await within(20, until(() => cluster.status === 'ready', 20), 'not ready');
    return await fn(cluster);
  } finally {
    cluster.disconnect();
  }
}

async function withNodeRedis(fn, extra = {}) {
  await needCluster();
  const cluster = createCluster({ rootNodes: [{ socket: address }], defaults: { password: options.password || undefined }, ...extra });
  cluster.on('error', () => {});
  await cluster.connect();
  try {
    return await fn(cluster);
  } finally {
    cluster.destroy();
  }
}

test('ioredis: keys of all slots, each where the map says', () =>
  withIoredis(async (cluster) => {
    await Promise.all(cluster.nodes('master').map((node) => node.flushall()));
    await Promise.all(many.map((i) => cluster.set(`k${i}`, i)));
    assert.deepEqual(await Promise.all(many.map((i) => cluster.get(`k${i}`))), many.map(String));
    const sizes = await Promise.all(cluster.nodes('master').map((node) => node.dbsize()));
    assert.equal(sizes.reduce((a, b) => a + b), 1000);
    const keys = (await Promise.all(cluster.nodes('master').map((node) => node.keys('*')))).flat();
    assert.equal(new Set(keys).size, 1000);
    assert.equal(keys.length, 1000);
  }));

test('ioredis: auto-pipelining', () =>
  withIoredis(async (cluster) => {
    const replies = await Promise.all(many.map((i) => cluster.incr(`k${i}`)));
    assert.deepEqual(replies, many.map((i) => i + 1));
  }, { enableAutoPipelining: true }));

test('ioredis: a pipeline of one slot, MULTI of one slot, EVALSHA', () =>
  withIoredis(async (cluster) => {
    for (const i of many.slice(0, 50)) {
      const replies = await cluster.pipeline().set(`{p${i}}a`, i).incr(`{p${i}}b`).mget(`{p${i}}a`, `{p${i}}b`).del(`{p${i}}b`).exec();
      assert.deepEqual(replies, [[null, 'OK'], [null, 1], [null, [String(i), '1']], [null, 1]]);
      assert.deepEqual(await cluster.multi().set(`{p${i}}a`, 'x').get(`{p${i}}a`).exec(), [[null, 'OK'], [null, 'x']]);
    }
    cluster.defineCommand('addto', { numberOfKeys: 1, lua: 'return redis.call("incrby", KEYS[1], ARGV[1])' });
    assert.deepEqual(await Promise.all(many.slice(0, 200).map((i) => cluster.addto(`s${i}`, i))), many.slice(0, 200));
    await assert.rejects(cluster.mget('a', 'b'), /CROSSSLOT|same slot/);
  }));

test('ioredis: a streaming scan of every node', () =>
  withIoredis(async (cluster) => {
    const seen = [];
    for (const node of cluster.nodes('master')) for await (const keys of node.scanStream({ match: 'k*', count: 100 })) seen.push(...keys);
    assert.equal(seen.length, 1000);
    assert.equal(new Set(seen).size, 1000);
  }));

test('ioredis: Pub/Sub, also sharded', () =>
  withIoredis(async (cluster) => {
    const got = [];
    await withIoredis(async (subscriber) => {
      subscriber.on('message', (channel, message) => got.push([channel, message]));
      subscriber.on('smessage', (channel, message) => got.push([channel, message]));
      await subscriber.subscribe('news');
      await subscriber.ssubscribe('shard news');
      await cluster.publish('news', 'one');
      await cluster.spublish('shard news', 'two');
      await until(() => got.length >= 2, 10, 'no messages');
    }, { shardedSubscribers: true });
    assert.deepEqual(got.sort(), [['news', 'one'], ['shard news', 'two']]);
  }));

for (const RESP of [2, 3]) {
  test(`node-redis, RESP${RESP}: keys of all slots, each where the map says`, () =>
    withNodeRedis(async (cluster) => {
      await Promise.all(cluster.masters.map(async (node) => (await cluster.nodeClient(node)).flushAll()));
      await Promise.all(many.map((i) => cluster.set(`k${i}`, i)));
      assert.deepEqual(await Promise.all(many.map((i) => cluster.get(`k${i}`))), many.map(String));
      const sizes = await Promise.all(cluster.masters.map(async (node) => (await cluster.nodeClient(node)).dbSize()));
      assert.equal(sizes.reduce((a, b) => a + b), 1000);
      let seen = 0;
      for (const node of cluster.masters)
        for await (const keys of (await cluster.nodeClient(node)).scanIterator({ MATCH: 'k*', COUNT: 100 })) seen += keys.length;
      assert.equal(seen, 1000);
    }, { RESP }));

  test(`node-redis, RESP${RESP}: MULTI of one slot, MGET of one and of several`, () =>
    withNodeRedis(async (cluster) => {
      for (const i of many.slice(0, 50)) {
        assert.deepEqual(await cluster.multi().set(`{m${i}}a`, 'x').get(`{m${i}}a`).exec(), ['OK', 'x']);
        assert.deepEqual(await cluster.mGet([`{m${i}}a`, `{m${i}}b`]), ['x', null]);
      }
      await assert.rejects(cluster.mGet(['a', 'b']), /CROSSSLOT/);
    }, { RESP }));

  test(`node-redis, RESP${RESP}: Pub/Sub, also sharded`, () =>
    withNodeRedis(async (cluster) => {
      const got = [];
      await cluster.subscribe('news', (message) => got.push(message));
      await cluster.sSubscribe('shard news', (message) => got.push(message));
      await cluster.publish('news', 'one');
      await cluster.sPublish('shard news', 'two');
      await until(() => got.length >= 2, 10, 'no messages');
      assert.deepEqual(got.sort(), ['one', 'two']);
    }, { RESP }));
}

test('a client that does not know the map is told', async () => {
  await needCluster();
  const client = createClient({ socket: address });
  client.on('error', () => {});
  await client.connect();
  try {
    const slots = await client.sendCommand(['CLUSTER', 'SLOTS']);
    const answers = await Promise.all(many.slice(0, 50).map((i) => client.get(`k${i}`).then(() => '', (error) => error.message)));
    assert.equal(answers.some((text) => text.startsWith('MOVED ')), slots.length > 1);
    await assert.rejects(client.select(1), /SELECT is not allowed in cluster mode/);
  } finally {
    client.destroy();
  }
});

main('cluster');
