#!/usr/bin/env node
// sessions.js: sessions of a web site: express-session with connect-redis on node-redis, asked over HTTP. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const { load, main, options, test, until } = require('./lib/tap.js');

const express = load('express');
const session = load('express-session');
const { RedisStore } = load('connect-redis');
const { createClient } = load('redis');
const login = options.password ? `:${encodeURIComponent(options.password)}@` : '';
const url = `redis://${login}${options.host}:${options.port}`;

// A visitor with a jar of one cookie.
class Visitor {
  constructor(address) {
    this.address = address;
  }
  async get(path) {
    const answer = await fetch(this.address + path, { headers: this.cookie ? { cookie: this.cookie } : {} });
    const cookie = answer.headers.get('set-cookie');
    if (cookie) this.cookie = cookie.split(';')[0];
    return answer.text();
  }
  get key() { // "connect.sid=s%3AID.SIGNATURE"
    return 'sess:' + decodeURIComponent(this.cookie.split('=')[1]).slice(2).split('.')[0];
  }
}

// Runs fn(visitor(), client, store) with a site whose sessions last maxAge milliseconds.
async function withSite(maxAge, fn, extra = {}) {
  const client = createClient({ url, ...extra });
  client.on('error', () => {});
  await client.connect();
  await client.flushAll();
  const store = new RedisStore({ client, prefix: 'sess:' });
  const site = express();
  site.use(session({ store, secret: 'sesame', resave: false, saveUninitialized: false, cookie: { maxAge } }));
  site.get('/login/:name', (request, answer) => {
    Object.assign(request.session, { user: request.params.name, visits: 0, cart: [{ text: 'ü'.repeat(1000) }] });
    answer.send('welcome');
  });
  site.get('/who', (request, answer) => answer.send(request.session.user ?? 'nobody'));
  site.get('/count', (request, answer) => answer.send(String(++request.session.visits)));
  site.get('/logout', (request, answer) => request.session.destroy(() => answer.send('bye')));
  const server = site.listen(0, '127.0.0.1');
  try {
    await once(server, 'listening');
    await fn(() => new Visitor(`http://127.0.0.1:${server.address().port}`), client, store);
  } finally {
    server.closeAllConnections();
    server.close();
    client.destroy();
  }
}

for (const RESP of [2, 3])
  test(`RESP${RESP}: a session is stored with its TTL, read back, ended`, () =>
    withSite(60000, async (visitor, client) => {
      const ann = visitor();
      assert.equal(await ann.get('/who'), 'nobody');
      assert.equal(await client.dbSize(), 0);
      assert.equal(await ann.get('/login/ann'), 'welcome');
      assert.equal(await ann.get('/who'), 'ann');
      assert.equal(await visitor().get('/who'), 'nobody');
      const ttl = await client.ttl(ann.key);
      assert.ok(ttl > 50 && ttl <= 60, `TTL ${ttl}`);
      assert.equal(JSON.parse(await client.get(ann.key)).cart[0].text, 'ü'.repeat(1000));
      assert.equal(await ann.get('/logout'), 'bye');
      assert.equal(await client.exists(ann.key), 0);
      assert.equal(await ann.get('/who'), 'nobody');
    }, { RESP }));

test('a visit that changes nothing puts the TTL off (touch); one that does stores the session again', () =>
  withSite(60000, async (visitor, client) => {
    const ann = visitor();
    await ann.get('/login/ann');
    const text = await client.get(ann.key);
    await client.expire(ann.key, 5);
    assert.equal(await ann.get('/who'), 'ann');
    await until(async () => (await client.ttl(ann.key)) > 50, 10, 'the TTL was not put off');
    assert.equal(JSON.parse(await client.get(ann.key)).user, JSON.parse(text).user);
    for (let n = 1; n <= 20; n++) assert.equal(await ann.get('/count'), String(n));
    assert.equal(JSON.parse(await client.get(ann.key)).visits, 20);
  }));

test('a session that is over is gone', () =>
  withSite(1000, async (visitor, client) => {
    const ann = visitor();
    await ann.get('/login/ann');
    assert.equal(await client.exists(ann.key), 1);
    await until(async () => (await client.exists(ann.key)) === 0, 5, 'still there');
    assert.equal(await ann.get('/who'), 'nobody');
  }));

test('100 visitors at once; the store lists, counts and clears them', () =>
  withSite(60000, async (visitor, client, store) => {
    const visitors = Array.from({ length: 100 }, visitor);
    await Promise.all(visitors.map((one, n) => one.get(`/login/user${n}`)));
    for (let round = 1; round <= 3; round++)
      assert.deepEqual(await Promise.all(visitors.map((one) => one.get('/count'))), visitors.map(() => String(round)));
    assert.deepEqual(await Promise.all(visitors.map((one) => one.get('/who'))), visitors.map((_, n) => `user${n}`));
    assert.equal(await store.length(), 100);
    assert.deepEqual((await store.ids()).map((id) => `sess:${id}`).sort(), visitors.map((one) => one.key).sort());
    assert.deepEqual((await store.all()).map((one) => one.user).sort(), visitors.map((_, n) => `user${n}`).sort());
    await client.set('other', 'stays');
    await store.clear();
    assert.equal(await store.length(), 0);
    assert.equal(await client.dbSize(), 1);
  }));

main('sessions');
