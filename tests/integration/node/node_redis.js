#!/usr/bin/env node
// node_redis.js: npm's redis (node-redis) as applications use it. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { load, main, options, test, until, within } = require('./lib/tap.js');

const { createClient, createClientPool, defineScript, MultiErrorReply, RESP_TYPES, WatchError } = load('redis');
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

for (const RESP of [2, 3]) {
  test(`RESP${RESP}: MULTI, WATCH`, () =>
    withClient(async (client) =>
      withClient(async (other) => {
        await client.del(['m', 'h', 'z']);
        const [set, count, fields, hash, score] = await client.multi().set('m', '1').incr('m').hSet('h', { a: '1', b: '2' }).hGetAll('h')
          .zAdd('z', { score: 1.5, value: 'one' }).exec();
        assert.deepEqual([set, count, fields, { ...hash }, score], ['OK', 2, 2, { a: '1', b: '2' }, 1]);
        assert.deepEqual(await client.zRangeWithScores('z', 0, -1), [{ value: 'one', score: 1.5 }]);
        await client.watch('m');
        await other.set('m', 'changed');
        await assert.rejects(client.multi().set('m', 'lost').exec(), WatchError);
        assert.equal(await client.get('m'), 'changed');
        await client.watch('m');
        assert.deepEqual(await client.multi().get('m').exec(), ['changed']);
        await assert.rejects(client.multi().incr('m').get('m').exec(), (error) => error instanceof MultiErrorReply && error.replies[1] === 'changed');
        assert.deepEqual(await client.multi().set('m', 'y').get('m').execAsPipeline(), ['OK', 'y']);
      }, { RESP }), { RESP }));

  test(`RESP${RESP}: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE`, () =>
    withClient(async (client) =>
      withClient(async (subscriber) => {
        const got = { plain: [], pattern: [], sharded: [] };
        await subscriber.subscribe('news', (text) => got.plain.push(text));
        await subscriber.pSubscribe('n*', (text, channel) => got.pattern.push(`${channel} ${text}`));
        await subscriber.sSubscribe('shard', (text) => got.sharded.push(text));
        const counts = await Promise.all(Array.from({ length: 500 }, (_, n) => client.publish('news', String(n))));
        assert.ok(counts.every((count) => count === 2));
        for (let n = 0; n < 20; n++) assert.equal(await client.sPublish('shard', String(n)), 1);
        await until(() => got.plain.length === 500 && got.pattern.length === 500 && got.sharded.length === 20);
        assert.deepEqual(got.plain, Array.from({ length: 500 }, (_, n) => String(n)));
        assert.deepEqual(got.pattern, got.plain.map((text) => `news ${text}`));
        if (RESP === 3) assert.equal(await subscriber.get('none'), null); // a subscriber may ask in RESP3
        await subscriber.unsubscribe('news');
        assert.equal(await client.publish('news', 'x'), 1);
        await subscriber.pUnsubscribe();
        await subscriber.sUnsubscribe('shard');
        assert.equal(await client.publish('news', 'x'), 0);
        assert.equal(String(await subscriber.ping()), 'PONG');
      }, { RESP }), { RESP }));

  test(`RESP${RESP}: hashes, sets, sorted sets, streams as the library gives them`, () =>
    withClient(async (client) => {
      await client.del(['h', 's', 'z', 'x', 'g']);
      await client.hSet('h', { name: 'Ann', age: '7' });
      assert.deepEqual({ ...(await client.hGetAll('h')) }, { name: 'Ann', age: '7' });
      assert.equal(await client.sAdd('s', ['a', 'b', 'a']), 2);
      assert.deepEqual([...(await client.sMembers('s'))].sort(), ['a', 'b']);
      assert.deepEqual(await client.smIsMember('s', ['a', 'c']), [1, 0]);
      await client.zAdd('z', [{ score: 100, value: 'player1' }, { score: 200, value: 'player2' }, { score: Infinity, value: 'best' }]);
      assert.deepEqual(await client.zRangeWithScores('z', 0, -1), [
        { value: 'player1', score: 100 }, { value: 'player2', score: 200 }, { value: 'best', score: Infinity },
      ]);
      assert.deepEqual([await client.zScore('z', 'player1'), await client.zScore('z', 'none')], [100, null]);
      assert.deepEqual(await client.zPopMax('z'), { value: 'best', score: Infinity });
      const id = await client.xAdd('x', '*', { field: 'value' });
      await client.xGroupCreate('x', 'g', '0');
      const read = await client.xReadGroup('g', 'c', { key: 'x', id: '>' }, { COUNT: 1 });
      if (RESP === 3) assert.deepEqual({ ...read }, { x: [[id, ['field', 'value']]] }); // as it came: RESP3's map
      else assert.deepEqual([read[0].name, read[0].messages[0].id, { ...read[0].messages[0].message }], ['x', id, { field: 'value' }]);
      assert.equal((await client.xPending('x', 'g')).pending, 1);
      assert.equal(await client.xAck('x', 'g', id), 1);
      assert.equal((await client.xInfoStream('x')).length, 1);
      await client.geoAdd('g', { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' });
      assert.equal(Math.round((await client.geoPos('g', 'Palermo'))[0].longitude), 13);
    }, { RESP }));
}

test('defineScript: EVALSHA, then EVAL after NOSCRIPT', () =>
  withClient(
    async (client) => {
      await client.scriptFlush();
      await client.del('lua');
      assert.deepEqual([await client.addTo('lua', 5), await client.addTo('lua', 5)], [5, 10]);
      assert.deepEqual(await client.multi().addTo('lua', 1).get('lua').exec(), [11, '11']);
    },
    {
      scripts: {
        addTo: defineScript({
          NUMBER_OF_KEYS: 1,
          SCRIPT: "return redis.call('incrby', KEYS[1], ARGV[1])",
          parseCommand: (parser, key, by) => (parser.pushKey(key), parser.push(String(by))),
          transformReply: (reply) => reply,
        }),
      },
    },
  ));

test('a pool: blocking pops beside other commands, transactions of 100 callers', async () => {
  const pool = createClientPool({ url }, { minimum: 2, maximum: 10 });
  pool.on('error', () => {});
  await pool.connect();
  try {
    await pool.del(['todo', 'sum']);
    const waiting = Array.from({ length: 5 }, () => pool.execute((client) => client.blPop('todo', 10)));
    await Promise.all(Array.from({ length: 100 }, () => pool.multi().incr('sum').incr('sum').exec()));
    assert.equal(await pool.get('sum'), '200');
    for (let n = 0; n < 5; n++) await pool.rPush('todo', String(n));
    assert.deepEqual((await Promise.all(waiting)).map(({ element }) => element).sort(), ['0', '1', '2', '3', '4']);
  } finally {
    await pool.close();
  }
});

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
