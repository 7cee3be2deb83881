#!/usr/bin/env node
// ioredis.js: npm's ioredis as applications use it. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const { load, main, options, test, until, within } = require('./lib/tap.js');

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

test('MULTI: replies in their place, an error inside, EXECABORT, WATCH', () =>
  withClient(async (redis) =>
    withClient(async (other) => {
      await redis.del('m', 'l');
      assert.deepEqual(await redis.multi().set('m', '1').incr('m').rpush('l', 'a', 'b').lrange('l', 0, -1).exec(), [
        [null, 'OK'], [null, 2], [null, 2], [null, ['a', 'b']],
      ]);
      const [[none, ok], [error]] = await redis.multi().set('m', 'x').incr('m').exec();
      assert.deepEqual([none, ok], [null, 'OK']);
      assert.match(error.message, /not an integer/);
      await assert.rejects(redis.multi().set('m', '7').call('NOSUCH').exec(), /EXECABORT Transaction discarded/);
      assert.equal(await redis.get('m'), 'x');
      await redis.watch('m');
      await other.set('m', 'changed');
      assert.equal(await redis.multi().set('m', 'lost').exec(), null);
      await redis.watch('m');
      assert.deepEqual(await redis.multi().get('m').exec(), [[null, 'changed']]);
      await redis.multi({ pipeline: false });
      assert.equal(await redis.set('m', 1), 'QUEUED');
      await redis.discard();
      assert.equal(await redis.get('m'), 'changed');
    })));

test('50 clients count with WATCH and MULTI: no update is lost', async () => {
  const clients = Array.from({ length: 50 }, () => new Redis(address));
  try {
    await clients[0].set('watched', 0);
    await Promise.all(clients.map(async (redis) => {
      for (let done = 0; done < 5;) {
        await redis.watch('watched');
        const value = Number(await redis.get('watched'));
        if (await redis.multi().set('watched', value + 1).exec()) done++;
      }
    }));
    assert.equal(await clients[0].get('watched'), '250');
  } finally {
    clients.forEach((redis) => redis.disconnect());
  }
});

test('SUBSCRIBE and PSUBSCRIBE: 2000 messages in their order, again after a reconnect', () =>
  withClient(async (redis) =>
    withClient(async (subscriber) => {
      const messages = [];
      const matched = [];
      subscriber.on('message', (channel, text) => messages.push([channel, text]));
      subscriber.on('pmessage', (pattern, channel, text) => matched.push([pattern, channel, text]));
      assert.equal(await subscriber.subscribe('news', 'other'), 2);
      assert.equal(await subscriber.psubscribe('n?ws', 'none*'), 4);
      assert.deepEqual(await redis.pubsub('NUMSUB', 'news', 'none'), ['news', 1, 'none', 0]);
      const pipeline = redis.pipeline();
      for (let n = 0; n < 2000; n++) pipeline.publish(n % 2 ? 'news' : 'other', n);
      const counts = (await pipeline.exec()).map(([, count]) => count);
      assert.ok(counts.every((count, n) => count === (n % 2 ? 2 : 1)));
      await until(() => messages.length === 2000 && matched.length === 1000);
      assert.deepEqual(messages, Array.from({ length: 2000 }, (_, n) => [n % 2 ? 'news' : 'other', String(n)]));
      assert.ok(matched.every(([pattern, channel, text], n) => pattern === 'n?ws' && channel === 'news' && text === String(2 * n + 1)));
      assert.ok((await redis.client('KILL', 'TYPE', 'pubsub')) >= 1);
      await until(async () => (await redis.publish('news', 'after')) === 2);
      await until(() => messages.some(([, text]) => text === 'after'));
      assert.equal(await subscriber.unsubscribe('news', 'other'), 2);
      assert.equal(await subscriber.punsubscribe('n?ws', 'none*'), 0);
      assert.equal(await subscriber.ping(), 'PONG');
    }, { retryStrategy: () => 20 })));

test('keyspace notifications tell of SET, EXPIRE, DEL and of a key that is over', () =>
  withClient(async (redis) =>
    withClient(async (subscriber) => {
      const events = [];
      subscriber.on('pmessage', (_, channel, text) => events.push(`${channel.split(':')[1]} ${text}`));
      await redis.config('SET', 'notify-keyspace-events', 'KEA');
      await subscriber.psubscribe('__keyspace@0__:ev*');
      await redis.set('ev', 1);
      await redis.pexpire('ev', 20);
      await until(() => events.length === 3);
      await redis.set('ev2', 1);
      await redis.del('ev2');
      await until(() => events.length === 5);
      await redis.config('SET', 'notify-keyspace-events', '');
      assert.deepEqual(events, ['ev set', 'ev expire', 'ev expired', 'ev2 set', 'ev2 del']);
    })));

test('defineCommand: EVALSHA, then EVAL after NOSCRIPT; inside pipelines and transactions', () =>
  withClient(async (redis) => {
    redis.defineCommand('addTo', { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
    await redis.script('FLUSH');
    await redis.del('lua');
    assert.deepEqual([await redis.addTo('lua', 5), await redis.addTo('lua', 5)], [5, 10]);
    assert.deepEqual(await redis.pipeline().addTo('lua', 1).get('lua').exec(), [[null, 11], [null, '11']]);
    assert.deepEqual(await redis.multi().addTo('lua', 1).get('lua').exec(), [[null, 12], [null, '12']]);
    assert.deepEqual(await Promise.all(Array.from({ length: 100 }, () => redis.addTo('lua', 1))), Array.from({ length: 100 }, (_, n) => n + 13));
  }));

test('a stream and a group: five readers, every entry acknowledged once', async () => {
  const readers = Array.from({ length: 5 }, () => new Redis(address));
  await withClient(async (redis) => {
    await redis.del('events');
    await redis.xgroup('CREATE', 'events', 'group', '$', 'MKSTREAM');
    const seen = [];
    const reading = readers.map(async (reader, who) => {
      for (;;) {
        const reply = await reader.xreadgroup('GROUP', 'group', `c${who}`, 'COUNT', 10, 'BLOCK', 300, 'STREAMS', 'events', '>');
        if (!reply) return;
        for (const [id, fields] of reply[0][1]) {
          seen.push(Number(fields[1]));
          assert.equal(await reader.xack('events', 'group', id), 1);
        }
      }
    });
    for (let n = 0; n < 500; n++) await redis.xadd('events', 'MAXLEN', '~', 10000, '*', 'n', n, 'text', 'x'.repeat(n));
    await Promise.all(reading);
    assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 500 }, (_, n) => n));
    assert.equal((await redis.xpending('events', 'group'))[0], 0);
  }).finally(() => readers.forEach((reader) => reader.disconnect()));
});

test('a queue of two lists (BRPOPLPUSH, LREM) with workers that wait; timeouts', async () => {
  const workers = Array.from({ length: 4 }, () => new Redis(address));
  await withClient(async (redis) => {
    await redis.del('todo', 'doing');
    const done = [];
    const working = workers.map(async (worker) => {
      for (let task; (task = await worker.brpoplpush('todo', 'doing', 1)) !== null;) {
        done.push(Number(task));
        assert.equal(await worker.lrem('doing', 1, task), 1);
      }
    });
    for (let n = 0; n < 400; n++) await redis.lpush('todo', n);
    await Promise.all(working);
    assert.deepEqual(done.sort((a, b) => a - b), Array.from({ length: 400 }, (_, n) => n));
    assert.equal(await redis.llen('doing'), 0);
  }).finally(() => workers.forEach((worker) => worker.disconnect()));
});

test('hscanStream, sscanStream, zscanStream see every element', () =>
  withClient(async (redis) => {
    await redis.del('h', 's', 'z');
    const names = Array.from({ length: 1000 }, (_, n) => `e${n}`);
    await redis.pipeline().hset('h', names.flatMap((name, n) => [name, n])).sadd('s', names).zadd('z', ...names.flatMap((name, n) => [n / 2, name])).exec();
    for (const [call, step] of [['hscanStream', 2], ['sscanStream', 1], ['zscanStream', 2]]) {
      const seen = new Set();
      for await (const part of redis[call](call[0], { match: 'e*', count: 50 })) part.forEach((word, n) => n % step === 0 && seen.add(word));
      assert.equal(seen.size, 1000, call);
    }
  }));

test('QUIT is answered before the connection closes', async () => {
  const redis = new Redis(address);
  const ended = once(redis, 'end');
  assert.equal(await redis.quit(), 'OK');
  await within(10, ended, 'not ended');
});

main('ioredis');
