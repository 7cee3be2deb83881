#!/usr/bin/env node
// client_cache.js: the cache that node-redis keeps in the client (RESP3 and CLIENT TRACKING), alone and over a pool: what was read comes from
// memory, what another client changes does not, whichever way it changes. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const { load, main, options, test, until, within } = require('./lib/tap.js');

const { createClient, createClientPool, BasicClientSideCache, BasicPooledClientSideCache } = load('redis');
const login = options.password ? `:${encodeURIComponent(options.password)}@` : '';
const url = `redis://${login}${options.host}:${options.port}`;
const limits = { ttl: 0, maxEntries: 0, evictPolicy: 'LRU', recordStats: true };

// Runs fn(client, cache, other): a client with a cache, and another one without.
async function withCache(fn) {
  const cache = new BasicClientSideCache(limits);
  const client = createClient({ url, RESP: 3, clientSideCache: cache });
  const other = createClient({ url, RESP: 3 });
  for (const c of [client, other]) c.on('error', () => {});
  try {
    await within(10, Promise.all([client.connect(), other.connect()]), 'not connected');
    // The library forgets what it has asked for, but not that it has, when all is invalid: a reply that is on its way then stays for ever.
    const forgotten = once(cache, 'invalidate');
    await other.flushAll();
    await within(10, forgotten, 'FLUSHALL is not told');
    return await fn(client, cache, other);
  } finally {
    client.destroy();
    other.destroy();
  }
}

// How many of the reads went to the server: calls of the command as it counts them.
async function calls(other, name) {
  const found = (await other.info('commandstats')).match(new RegExp(`cmdstat_${name}:calls=(\\d+)`));
  return found ? Number(found[1]) : 0;
}

test('what was read is not asked for again', () =>
  withCache(async (client, cache, other) => {
    await other.set('k', 'v');
    await other.hSet('h', 'f', '1');
    const before = await calls(other, 'get');
    for (let i = 0; i < 100; i++) {
      assert.equal(await client.get('k'), 'v');
      assert.deepEqual({ ...(await client.hGetAll('h')) }, { f: '1' });
    }
    assert.equal((await calls(other, 'get')) - before, 1);
    assert.equal(cache.stats().hitCount, 198);
    assert.equal(cache.stats().missCount, 2);
  }));

const changes = {
  'SET': (c) => c.set('k', 'new'),
  'INCR of another type of value': (c) => c.multi().del('k').incr('k').exec(),
  'DEL': (c) => c.del('k'),
  'UNLINK': (c) => c.unlink('k'),
  'RENAME away': (c) => c.rename('k', 'gone'),
  'RENAME onto it': (c) => c.rename('another', 'k'),
  'a script': (c) => c.eval("return redis.call('SET', KEYS[1], 'new')", { keys: ['k'] }),
  'EXEC': (c) => c.multi().set('k', 'new').set('another', 'x').exec(),
  'expiry': (c) => c.pExpire('k', 20),
  'FLUSHALL': (c) => c.flushAll(),
  'MSET of many': (c) => c.mSet(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [i ? `m${i}` : 'k', 'new']))),
  'COPY onto it': (c) => c.copy('another', 'k', { REPLACE: true }),
};
for (const [name, change] of Object.entries(changes)) {
  test(`a change by ${name} is seen`, () =>
    withCache(async (client, cache, other) => {
      await other.set('k', 'v');
      await other.set('another', 'other value');
      for (let i = 0; i < 3; i++) assert.equal(await client.get('k'), 'v');
      await change(other);
      await until(async () => (await client.get('k')) !== 'v', 10, `still the old value after ${name}`);
      const now = await other.get('k');
      await until(async () => (await client.get('k')) === now, 10, 'not the present value');
    }));
}

test('own writes are seen at once', () =>
  withCache(async (client) => {
    for (let i = 0; i < 200; i++) {
      await client.set('k', String(i));
      assert.equal(await client.get('k'), String(i));
    }
  }));

test('200 keys under 5000 changes by another client end in the present values', () =>
  withCache(async (client, cache, other) => {
    const name = (i) => `key:${i % 200}`;
    // The library keeps a null whose invalidation comes in the same read as the reply: there is none here.
    await Promise.all(Array.from({ length: 200 }, (_, i) => other.set(name(i), 'first')));
    const reads = (async () => {
      for (let i = 0; i < 5000; i++) await client.get(name(i * 7));
    })();
    for (let i = 0; i < 5000; i += 50) await Promise.all(Array.from({ length: 50 }, (_, k) => other.set(name(i + k), String(i + k))));
    await reads;
    for (let i = 0; i < 200; i++) {
      const now = await other.get(name(i));
      await until(async () => (await client.get(name(i))) === now, 10, `${name(i)} is old`);
    }
    assert.ok(cache.stats().hitCount > 0);
  }));

test('a pool of clients with one cache', async () => {
  const cache = new BasicPooledClientSideCache(limits);
  const pool = createClientPool({ url, RESP: 3 }, { minimum: 4, maximum: 4, clientSideCache: cache });
  pool.on('error', () => {});
  await within(10, pool.connect(), 'not connected');
  const other = await createClient({ url }).on('error', () => {}).connect();
  try {
    await other.set('k', 'v');
    for (let i = 0; i < 20; i++) assert.deepEqual(await Promise.all(Array.from({ length: 8 }, () => pool.get('k'))), Array(8).fill('v'));
    assert.ok(cache.stats().hitCount > 100);
    await other.set('k', 'new');
    await until(async () => (await Promise.all(Array.from({ length: 8 }, () => pool.get('k')))).every((v) => v === 'new'), 10, 'still the old value');
  } finally {
    pool.destroy();
    other.destroy();
  }
});

test('after the connection is cut nothing old is told', () =>
  withCache(async (client, cache, other) => {
    await other.set('k', 'v');
    assert.equal(await client.get('k'), 'v');
    const id = await client.clientId();
    await other.set('k', 'new').then(() => other.clientKill({ filter: 'ID', id }));
    await until(() => client.get('k').then((v) => v === 'new', () => false), 20, 'still the old value');
  }));

main('node-redis client cache');
