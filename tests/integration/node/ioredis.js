#!/usr/bin/env node
// ioredis.js: npm's ioredis as applications use it. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const { load, main, options, test, within } = require('./lib/tap.js');

const Redis = load('ioredis');
const address = { host: options.host, port: options.port, password: options.password || undefined };

// Runs fn with a client and closes it whatever happens.
async function withClient(fn, extra = {}) {
  const redis = new Redis({ ...address, ...extra });
  redis.on('error', () => {}); // the command that fails says it
  try {
    return await fn(redis);
  } finally {
    redis.disconnect();
  }
}

test('connects, passes the ready check, answers PING', () =>
  withClient(async (redis) => {
    await within(10, once(redis, 'ready'), 'not ready');
    assert.equal(await redis.ping(), 'PONG');
    assert.equal(await redis.flushall(), 'OK');
    assert.match(await redis.info('persistence'), /^loading:0\r?$/m);
  }));

test('URL with a database', async () => {
  const login = options.password ? `:${options.password}@` : '';
  const redis = new Redis(`redis://${login}${options.host}:${options.port}/4`);
  await redis.set('where', 'db4');
  await withClient(async (other) => assert.equal(await other.get('where'), 'db4'), { db: 4 });
  await withClient(async (other) => assert.equal(await other.get('where'), null));
  redis.disconnect();
});

test('a pipeline of 10000 commands keeps its order', () =>
  withClient(async (redis) => {
    const pipeline = redis.pipeline();
    for (let i = 0; i < 5000; i++) pipeline.set(`p${i}`, i).get(`p${i}`);
    const replies = await pipeline.exec();
    assert.equal(replies.length, 10000);
    for (let i = 0; i < 5000; i++) assert.deepEqual(replies[2 * i + 1], [null, String(i)]);
  }));

test('auto-pipelining', () =>
  withClient(
    async (redis) => {
      const replies = await Promise.all(Array.from({ length: 2000 }, (_, i) => redis.set(`a${i}`, i).then(() => redis.get(`a${i}`))));
      assert.deepEqual(replies, Array.from({ length: 2000 }, (_, i) => String(i)));
    },
    { enableAutoPipelining: true },
  ));

test('binary keys and values', () =>
  withClient(async (redis) => {
    for (const size of [0, 1, 1459, 1460, 1461, 65536, 1 << 20, 4 << 20]) {
      const key = Buffer.concat([Buffer.from([0, 255, 13, 10]), Buffer.from(String(size))]);
      const value = crypto.randomBytes(size);
      assert.equal(await redis.set(key, value), 'OK');
      assert.ok(value.equals(await redis.getBuffer(key)));
    }
  }));

test('TTL and SET options', () =>
  withClient(async (redis) => {
    assert.equal(await redis.set('t', 1, 'EX', 100, 'NX'), 'OK');
    assert.ok((await redis.ttl('t')) > 90);
    assert.equal(await redis.set('t', 2, 'NX'), null);
    assert.equal(await redis.set('t', 3, 'KEEPTTL', 'GET'), '1');
    assert.ok((await redis.pttl('t')) > 90000);
    await redis.psetex('t', 30, 'x');
    await within(5, (async () => { while (await redis.exists('t')); })(), 'not expired');
    assert.equal(await redis.ttl('t'), -2);
  }));

test('errors name the command', () =>
  withClient(async (redis) => {
    await redis.set('word', 'abc');
    await assert.rejects(redis.incr('word'), /ERR value is not an integer or out of range/);
    await assert.rejects(redis.call('NOSUCH', 'x'), /ERR unknown command/);
  }));

test('reconnects after CLIENT KILL and goes on', () =>
  withClient(async (admin) =>
    withClient(
      async (redis) => {
        for (let round = 0; round < 3; round++) {
          const id = await redis.client('ID');
          const closed = once(redis, 'close');
          assert.equal(await admin.client('KILL', 'ID', id), 1);
          await within(10, closed, 'not closed');
          assert.equal(await redis.incr('after'), round + 1);
        }
      },
      { retryStrategy: () => 20 },
    )));

test('commands given while offline are sent later', async () => {
  const redis = new Redis({ ...address, lazyConnect: true });
  const early = [redis.set('offline', 'queued'), redis.get('offline')];
  assert.deepEqual(await Promise.all(early), ['OK', 'queued']);
  redis.disconnect();
});

test('HELLO 3 is answered', () =>
  withClient(async (redis) => {
    const raw = await redis.call('HELLO', '2');
    assert.ok(raw.includes('proto') && raw.includes('version'));
  }));

test('scanStream sees every key', () =>
  withClient(async (redis) => {
    await redis.flushdb();
    await redis.mset(...Array.from({ length: 2000 }, (_, i) => [`s:${i}`, i]).flat());
    const seen = new Set();
    for await (const keys of redis.scanStream({ match: 's:*', count: 100 })) keys.forEach((key) => seen.add(key));
    assert.equal(seen.size, 2000);
  }, { db: 6 }));

test('QUIT is answered before the connection closes', async () => {
  const redis = new Redis(address);
  const ended = once(redis, 'end');
  assert.equal(await redis.quit(), 'OK');
  await within(10, ended, 'not ended');
});

main('ioredis');
