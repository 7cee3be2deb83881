#!/usr/bin/env node
// limits.js: rate limits against the clock (rate-limiter-flexible on ioredis and node-redis, rate-limit-redis) and locks
// (redlock). Empties the server.
'use strict';
const assert = require('node:assert/strict');
const { load, main, options, test, until } = require('./lib/tap.js');

const { BurstyRateLimiter, RateLimiterQueue, RateLimiterRedis } = load('rate-limiter-flexible');
const { RedisStore } = load('rate-limit-redis');
const { createClient } = load('redis');
const Redis = load('ioredis');
const { default: Redlock, ExecutionError } = load('redlock');
const address = { host: options.host, port: options.port, password: options.password || undefined };

// Runs fn(client) with ioredis.
async function withIoredis(fn) {
  const client = new Redis({ ...address, enableOfflineQueue: true });
  client.on('error', () => {});
  try {
    await client.flushall();
    await fn(client);
  } finally {
    client.disconnect();
  }
}

async function withNodeRedis(fn) {
  const client = createClient({ socket: { host: options.host, port: options.port }, password: address.password });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.flushAll();
    await fn(client);
  } finally {
    client.destroy();
  }
}

const WINDOW = 3; // s: 50 requests are over long before, also on a machine that is busy

// How many of `count` attempts at once the limiter lets through.
async function passed(limiter, key, count) {
  const all = await Promise.allSettled(Array.from({ length: count }, () => limiter.consume(key)));
  for (const one of all) if (one.status === 'rejected') assert.ok('msBeforeNext' in one.reason, one.reason);
  return all.filter((one) => one.status === 'fulfilled').length;
}

async function limiterKeepsItsWindow(limiter, ttl) {
  const begin = performance.now();
  assert.equal(await passed(limiter, 'ann', 50), 10);
  assert.equal(await passed(limiter, 'bob', 5), 5);
  const { remainingPoints, consumedPoints, msBeforeNext } = await limiter.get('bob');
  assert.deepEqual([remainingPoints, consumedPoints], [5, 5]);
  assert.ok(msBeforeNext > 0 && msBeforeNext <= 1000 * WINDOW, String(msBeforeNext));
  assert.ok((await ttl('limit:ann')) <= 1000 * WINDOW);
  let refused = 0;
  await until(() => limiter.consume('ann').then(() => true, () => (refused++, false)), 20, 'the window did not end');
  const waited = performance.now() - begin;
  assert.ok(waited >= 1000 * WINDOW - 50 && waited < 20000 && refused > 0, `a new window after ${waited} ms`);
}

test('rate-limiter-flexible on ioredis: 10 points a window', () =>
  withIoredis((storeClient) =>
    limiterKeepsItsWindow(new RateLimiterRedis({ storeClient, points: 10, duration: WINDOW, keyPrefix: 'limit' }), (key) => storeClient.pttl(key))));

test('rate-limiter-flexible on node-redis: 10 points a window', () =>
  withNodeRedis((storeClient) =>
    limiterKeepsItsWindow(new RateLimiterRedis({ storeClient, useRedisPackage: true, points: 10, duration: WINDOW, keyPrefix: 'limit' }), (key) => storeClient.pTTL(key))));

test('rate-limiter-flexible: penalty, reward, block, delete, a limiter without end', () =>
  withIoredis(async (storeClient) => {
    const limiter = new RateLimiterRedis({ storeClient, points: 5, duration: 60, blockDuration: 30 });
    await limiter.penalty('ann', 3);
    await limiter.reward('ann', 1);
    assert.equal((await limiter.consume('ann')).remainingPoints, 2);
    assert.equal(await passed(limiter, 'ann', 10), 2);
    assert.ok((await limiter.get('ann')).msBeforeNext <= 30000);
    assert.equal(await limiter.delete('ann'), true);
    assert.equal(await limiter.get('ann'), null);
    await limiter.block('bob', 100);
    assert.equal(await passed(limiter, 'bob', 1), 0);
    await limiter.set('cid', 4, 60);
    assert.equal((await limiter.consume('cid')).remainingPoints, 0);
    const ever = new RateLimiterRedis({ storeClient, points: 2, duration: 0, keyPrefix: 'ever' });
    assert.equal(await passed(ever, 'ann', 5), 2);
    assert.equal(await storeClient.ttl('ever:ann'), -1);
  }));

test('rate-limiter-flexible: bursts; a queue of requests that waits for its turn', () =>
  withIoredis(async (storeClient) => {
    const slow = new RateLimiterRedis({ storeClient, points: 2, duration: 10, keyPrefix: 'slow' });
    const burst = new RateLimiterRedis({ storeClient, points: 5, duration: 10, keyPrefix: 'burst' });
    assert.equal(await passed(new BurstyRateLimiter(slow, burst), 'ann', 20), 7);
    const queue = new RateLimiterQueue(new RateLimiterRedis({ storeClient, points: 4, duration: 2, keyPrefix: 'queue' }), { maxQueueSize: 20 });
    const times = [];
    await Promise.all(Array.from({ length: 9 }, () => queue.removeTokens(1).then(() => times.push(performance.now()))));
    assert.ok(times[4] - times[0] > 500 && times[8] - times[0] > 2500, String(times.map((t) => t - times[0])));
  }));

for (const [name, withClient, send] of [
  ['ioredis', withIoredis, (client) => (...words) => client.call(...words)],
  ['node-redis', withNodeRedis, (client) => (...words) => client.sendCommand(words)],
])
  test(`rate-limit-redis on ${name}: SCRIPT LOAD, EVALSHA, DECR, DEL`, () =>
    withClient(async (client) => {
      const store = new RedisStore({ sendCommand: send(client), prefix: 'rl:' });
      await store.init({ windowMs: 1000 * WINDOW });
      const hits = await Promise.all(Array.from({ length: 30 }, () => store.increment('ann')));
      assert.deepEqual(hits.map((hit) => hit.totalHits).sort((a, b) => a - b), Array.from({ length: 30 }, (_, n) => n + 1));
      for (const hit of hits) assert.ok(hit.resetTime - Date.now() > -1000 && hit.resetTime - Date.now() <= 1000 * WINDOW);
      await store.decrement('ann');
      assert.equal((await store.get('ann')).totalHits, 29);
      await store.resetKey('ann');
      assert.equal((await store.increment('ann')).totalHits, 1);
      await until(async () => (await store.increment('ann')).totalHits === 1, 20, 'the window did not end');
      await client[name === 'ioredis' ? 'script' : 'scriptFlush'](...(name === 'ioredis' ? ['FLUSH'] : []));
      assert.ok((await store.increment('bob')).totalHits === 1); // loads its script again after NOSCRIPT
    }));

test('redlock: one holder at a time, over threads of work that all count', () =>
  withIoredis(async (client) => {
    const redlock = new Redlock([client], { retryCount: 2000, retryDelay: 5, retryJitter: 5 });
    let inside = 0;
    let most = 0;
    await client.set('counter', 0);
    await Promise.all(Array.from({ length: 30 }, async () => {
      const lock = await redlock.acquire(['lock:counter'], 5000);
      most = Math.max(most, ++inside);
      await client.set('counter', Number(await client.get('counter')) + 1);
      inside--;
      await lock.release();
    }));
    assert.deepEqual([most, await client.get('counter'), await client.exists('lock:counter')], [1, '30', 0]);
  }));

test('redlock: several keys, extend, expiry, a lock that is held, using()', () =>
  withIoredis(async (client) => {
    const redlock = new Redlock([client], { retryCount: 0 });
    let lock = await redlock.acquire(['lock:a', 'lock:b'], 5000);
    await assert.rejects(redlock.acquire(['lock:b', 'lock:c'], 500), ExecutionError);
    assert.equal(await client.exists('lock:c'), 0);
    lock = await lock.extend(20000);
    assert.ok((await client.pttl('lock:b')) > 10000);
    await lock.release();
    assert.equal(await client.exists('lock:a', 'lock:b'), 0);
    lock = await redlock.acquire(['lock:a'], 100);
    await until(async () => (await client.exists('lock:a')) === 0, 5, 'the lock did not expire');
    await assert.rejects(lock.extend(100), ExecutionError);
    const seen = await redlock.using(['lock:u'], 2000, { automaticExtensionThreshold: 1800 }, async (signal) => {
      const end = Date.now() + 2500;
      await until(() => Date.now() > end || signal.aborted, 5);
      return [signal.aborted, await client.exists('lock:u')];
    });
    assert.deepEqual(seen, [false, 1]);
    assert.equal(await client.exists('lock:u'), 0);
  }));

main('limits and locks');
