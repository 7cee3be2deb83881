#!/usr/bin/env node
// cache.js: caches as applications keep them: keyv with @keyv/redis, and answers of a language model of 4 KB to 1 MB with their
// TTL on ioredis and node-redis. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { load, main, options, test, until } = require('./lib/tap.js');

const { Keyv } = load('keyv');
const { default: KeyvRedis } = load('@keyv/redis');
const { createClient } = load('redis');
const Redis = load('ioredis');
const address = { host: options.host, port: options.port, password: options.password || undefined };
const login = options.password ? `:${encodeURIComponent(options.password)}@` : '';
const url = `redis://${login}${options.host}:${options.port}`;

// Runs fn(keyv, redis): a cache in a namespace, and a client that looks behind it.
async function withKeyv(fn, more = {}) {
  const redis = new Redis(address);
  redis.on('error', () => {});
  await redis.flushall();
  const keyv = new Keyv(new KeyvRedis(url), { namespace: 'app', useKeyPrefix: false, ...more });
  const errors = [];
  keyv.on('error', (error) => errors.push(error));
  try {
    await fn(keyv, redis);
  } finally {
    await keyv.disconnect();
    redis.disconnect();
  }
  assert.deepEqual(errors, []);
}

test('keyv: values of all kinds, TTL, deletion', () =>
  withKeyv(async (keyv, redis) => {
    for (const [key, value] of Object.entries({ text: 'grün', number: 1.5, no: false, list: [1, [2]], object: { a: { b: null } }, empty: '' })) {
      assert.equal(await keyv.set(key, value), true);
      assert.deepEqual(await keyv.get(key), value);
    }
    assert.equal(await keyv.get('none'), undefined);
    await keyv.set('brief', 'x', 1500);
    const [key] = await redis.keys('*brief');
    const ttl = await redis.pttl(key);
    assert.ok(ttl > 0 && ttl <= 1500, `TTL ${ttl}`);
    await until(async () => (await keyv.get('brief')) === undefined, 5, 'not over');
    assert.equal(await redis.exists(key), 0);
    assert.equal(await keyv.delete('text'), true);
    assert.equal(await keyv.delete('text'), false);
    assert.equal(await keyv.has('number'), true);
  }));

test('keyv: many at once, iteration, clear of one namespace leaves the other', () =>
  withKeyv(async (keyv, redis) => {
    const other = new Keyv(new KeyvRedis(url), { namespace: 'other' });
    await other.set('stays', 1);
    const entries = Array.from({ length: 500 }, (_, n) => ({ key: `k${n}`, value: { n } }));
    await keyv.setMany(entries);
    assert.deepEqual(await keyv.getMany(entries.map(({ key }) => key)), entries.map(({ value }) => value));
    assert.deepEqual(await keyv.deleteMany(['k0', 'k1']), true);
    const seen = new Map();
    for await (const [key, value] of keyv.iterator(keyv.namespace)) seen.set(key, value);
    assert.equal(seen.size, 498);
    await keyv.clear();
    assert.equal(await keyv.get('k5'), undefined);
    assert.equal(await other.get('stays'), 1);
    assert.equal(await redis.dbsize(), 1);
    await other.disconnect();
  }));

// Answers of a model: text in words, so many bytes each.
const WORDS = ['the', 'model', 'answers', 'façade', '“quoted”', '\n', '```js', '漢字', '0.17'];
function answer(bytes, seed) {
  const parts = [];
  for (let n = seed, length = 0; length < bytes; n = (n * 31 + 7) % 1009) {
    parts.push(WORDS[n % WORDS.length].repeat(1 + (n % 40)));
    length += Buffer.byteLength(parts.at(-1));
  }
  return parts.join(' ');
}
const SIZES = [4096, 4096, 8192, 16384, 40000, 65536, 131072, 262144, 524288, 1048576];
const answers = SIZES.map((size, n) => {
  const text = answer(size, n + 1);
  return { key: `cache:prompt:${crypto.createHash('sha256').update(text).digest('hex')}`, text };
});

// S3: SET cache:prompt:hash "LLM response" EX 86400, and what a pool of web workers makes of it.
async function cachedAnswers(calls) {
  await Promise.all(answers.map(({ key, text }) => calls.set(key, text)));
  for (const { key, text } of answers) {
    assert.equal(await calls.get(key), text);
    const ttl = await calls.ttl(key);
    assert.ok(ttl > 86300 && ttl <= 86400, `TTL ${ttl}`);
  }
  const found = await calls.mget([...answers.map(({ key }) => key), 'cache:prompt:none']);
  assert.deepEqual(found.map((text) => text && text.length), [...answers.map(({ text }) => text.length), null]);
  assert.ok(found.slice(0, -1).every((text, n) => text === answers[n].text));
  const rounds = await Promise.all(Array.from({ length: 200 }, (_, n) => calls.get(answers[n % answers.length].key)));
  assert.ok(rounds.every((text, n) => text === answers[n % answers.length].text));
  assert.equal(await calls.del(answers.map(({ key }) => key)), answers.length);
}

test('answers of 4 KB to 1 MB with a TTL of a day, GET and MGET: ioredis', async () => {
  const redis = new Redis(address);
  redis.on('error', () => {});
  try {
    await cachedAnswers({
      set: (key, text) => redis.set(key, text, 'EX', 86400),
      get: (key) => redis.get(key),
      mget: (keys) => redis.mget(keys),
      ttl: (key) => redis.ttl(key),
      del: (keys) => redis.del(keys),
    });
  } finally {
    redis.disconnect();
  }
});

for (const RESP of [2, 3])
  test(`answers of 4 KB to 1 MB with a TTL of a day, GET and MGET: node-redis, RESP${RESP}`, async () => {
    const client = createClient({ url, RESP });
    client.on('error', () => {});
    await client.connect();
    try {
      await cachedAnswers({
        set: (key, text) => client.set(key, text, { EX: 86400 }),
        get: (key) => client.get(key),
        mget: (keys) => client.mGet(keys),
        ttl: (key) => client.ttl(key),
        del: (keys) => client.del(keys),
      });
    } finally {
      client.destroy();
    }
  });

test('answers that come in parts (APPEND), of which a range is read; 20 readers while they are written anew', async () => {
  const redis = new Redis(address);
  const readers = Array.from({ length: 20 }, () => new Redis(address));
  const all = [redis, ...readers];
  all.forEach((client) => client.on('error', () => {}));
  try {
    const text = answer(300000, 5);
    const bytes = Buffer.from(text);
    await redis.del('stream');
    for (let at = 0; at < bytes.length; at += 3000) await redis.append('stream', bytes.subarray(at, at + 3000));
    assert.ok(bytes.equals(await redis.getBuffer('stream')));
    assert.ok(bytes.subarray(100000, 200001).equals(await redis.getrangeBuffer('stream', 100000, 200000)));
    const versions = new Set(['a', 'b', 'c'].map((letter) => letter.repeat(200000)));
    await redis.set('anew', 'a'.repeat(200000));
    let going = true;
    const reads = readers.map(async (client) => {
      let count = 0;
      for (; going || count === 0; count++) assert.ok(versions.has(await client.get('anew')), 'a mixture of two versions');
      return count;
    });
    for (let round = 0; round < 60; round++) await redis.set('anew', 'abc'[round % 3].repeat(200000), 'EX', 100);
    going = false;
    assert.ok((await Promise.all(reads)).every((count) => count > 0));
  } finally {
    all.forEach((client) => client.disconnect());
  }
});

main('cache');
