#!/usr/bin/env node
// node_redis.js: npm's redis (node-redis) as applications use it. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { load, main, options, test, within } = require('./lib/tap.js');

const { createClient, RESP_TYPES } = load('redis');
const login = options.password ? `:${encodeURIComponent(options.password)}@` : '';
const url = `redis://${login}${options.host}:${options.port}`;

// Runs fn with a connected client and closes it whatever happens.
async function withClient(fn, extra = {}) {
  const client = createClient({ url, ...extra });
  client.on('error', () => {}); // the command that fails says it
  try {
    await within(10, client.connect(), 'not connected');
    return await fn(client);
  } finally {
    client.destroy();
  }
}

for (const RESP of [2, 3]) {
  test(`RESP${RESP}: connects, answers PING, tells its version`, () =>
    withClient(async (client) => {
      assert.equal(await client.ping(), 'PONG');
      assert.equal(await client.flushAll(), 'OK');
      const hello = await client.hello(RESP);
      assert.equal(hello.proto ?? hello[5], RESP);
    }, { RESP }));

  test(`RESP${RESP}: replies are parsed`, () =>
    withClient(async (client) => {
      await client.set('k', 'v');
      assert.equal(await client.get('k'), 'v');
      assert.equal(await client.get('none'), null);
      assert.deepEqual({ ...(await client.configGet('databases')) }, { databases: '16' });
      assert.match(await client.info('server'), /redis_version:/);
      assert.deepEqual(await client.mGet(['k', 'none']), ['v', null]);
      assert.equal(Number(await client.incrByFloat('f', 1.5)), 1.5);
    }, { RESP }));
}

test('10000 commands given at once are pipelined in order', () =>
  withClient(async (client) => {
    const replies = await Promise.all(Array.from({ length: 10000 }, (_, i) => client.incr('sequence')));
    assert.deepEqual(replies, Array.from({ length: 10000 }, (_, i) => i + 1));
  }));

test('binary values', () =>
  withClient(async (client) => {
    const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    for (const size of [0, 1, 1460, 65536, 4 << 20]) {
      const value = crypto.randomBytes(size);
      await client.set('binary', value);
      assert.ok(value.equals(await binary.get('binary')));
    }
  }));

test('SET options and TTL', () =>
  withClient(async (client) => {
    assert.equal(await client.set('t', '1', { EX: 100, NX: true }), 'OK');
    assert.equal(await client.set('t', '2', { NX: true }), null);
    assert.ok((await client.ttl('t')) > 90);
    assert.equal(await client.set('t', '3', { KEEPTTL: true, GET: true }), '1');
    assert.equal(await client.getDel('t'), '3');
    assert.equal(await client.ttl('t'), -2);
  }));

test('errors', () =>
  withClient(async (client) => {
    await client.set('word', 'abc');
    await assert.rejects(client.incr('word'), /value is not an integer or out of range/);
    await assert.rejects(client.sendCommand(['NOSUCH']), /unknown command/);
  }));

test('reconnects after CLIENT KILL; commands wait in the offline queue', () =>
  withClient(async (admin) =>
    withClient(
      async (client) => {
        const id = await client.clientId();
        const again = new Promise((resolve) => client.once('reconnecting', resolve));
        assert.equal(await admin.clientKill({ filter: 'ID', id }), 1);
        await within(10, again, 'no reconnect');
        assert.equal(await within(10, client.set('after', '1'), 'no reply'), 'OK');
        assert.notEqual(await client.clientId(), id);
      },
      { socket: { reconnectStrategy: () => 20 } },
    )));

test('scanIterator sees every key', () =>
  withClient(async (client) => {
    await client.flushDb();
    await client.mSet(Array.from({ length: 2000 }, (_, i) => [`s:${i}`, String(i)]));
    const seen = new Set();
    for await (const keys of client.scanIterator({ MATCH: 's:*', COUNT: 100 })) [keys].flat().forEach((key) => seen.add(key));
    assert.equal(seen.size, 2000);
  }, { database: 7 }));

test('20 connections at once', async () => {
  const clients = Array.from({ length: 20 }, () => createClient({ url, socket: { reconnectStrategy: false } }));
  for (const client of clients) client.on('error', () => {}); // connect() says it
  try {
    await Promise.all(clients.map((client) => client.connect()));
    await Promise.all(clients.map((client, i) => client.set(`pool:${i}`, String(i))));
    const replies = await Promise.all(clients.map((client, i) => client.get(`pool:${i}`)));
    assert.deepEqual(replies, clients.map((_, i) => String(i)));
  } finally {
    for (const client of clients) if (client.isOpen) client.destroy();
  }
});

main('node-redis');
