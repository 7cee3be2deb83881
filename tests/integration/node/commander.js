#!/usr/bin/env node
// commander.js: npm's redis-commander, the browser for keys that a guide starts beside its Redis, driven over the HTTP API that its own
// page uses: browse, read, edit and delete every type. Empties the server.
'use strict';
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { there, withBrowser } = require('./lib/browser.js');
const { load, main, options, Skip, test, until, within } = require('./lib/tap.js');

const Redis = load('ioredis');
const program = path.join(path.resolve(options.modules), 'node_modules/redis-commander/bin/redis-commander.js');

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

// Runs fn(page, redis) with Redis Commander up. page.get(PATH) and page.send(METHOD, PATH, FIELDS): what it answers; CONN in a path
// stands for its name of the connection.
async function withCommander(fn) {
  const redis = new Redis({ host: options.host, port: options.port, password: options.password || undefined });
  redis.on('error', () => {});
  await redis.flushall();
  const port = await freePort();
  const login = options.password ? ['--redis-password', options.password] : [];
  const child = spawn(process.execPath, [program, '--redis-host', options.host, '--redis-port', String(options.port), ...login,
    '--address', '127.0.0.1', '--port', String(port), '--nosave', '--noload'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += data));
  const ended = once(child, 'exit');
  const base = `http://127.0.0.1:${port}`;
  let id = '';
  const page = {
    base,
    text: async (where, request) => {
      const answer = await fetch(base + where.replace('CONN', encodeURIComponent(id)), request);
      assert.ok(answer.ok, `${where}: ${answer.status} ${log.slice(-500)}`);
      return answer.text();
    },
    get: async (where) => JSON.parse(await page.text(where)),
    send: (method, where, fields = {}) => page.text(where, { method, body: new URLSearchParams({ connectionId: id, ...fields }) }),
  };
  try {
    await until(() => page.get('/apiv2/connection').catch(() => false), 20, 'Redis Commander does not serve');
    let server;
    await until(async () => (server = (await page.get('/apiv2/server/info')).data[0]) && !server.disabled, 10, 'not connected');
    id = server.connectionId;
    await fn(page, redis, server);
  } catch (error) {
    error.message += `\n${log.slice(-1000)}`;
    throw error;
  } finally {
    child.kill();
    await within(10, ended, 'Redis Commander does not end');
    redis.disconnect();
  }
}

test('the page, the server, the tree of keys, every type', () =>
  withCommander(async (page, redis, server) => {
    assert.match(await page.text('/'), /Redis Commander/);
    assert.equal(server.info.find(({ key }) => key === 'Redis version').value.split('.')[0], '7');
    await redis.mset('user:1', 'Ann', 'user:2', 'Bob', 'user:old:3', 'Cid', 'plain', 'grün');
    await redis.hset('hash', 'field', 'value');
    await redis.rpush('list', 'a', 'b');
    await redis.sadd('set', 'member');
    await redis.zadd('zset', 1.5, 'member');
    const entry = await redis.xadd('stream', '*', 'field', 'value');
    await redis.expire('plain', 1000);
    const tree = Object.fromEntries((await page.get('/apiv2/keystree/CONN')).data.map(({ keyName, rel, count }) => [keyName, rel ?? count]));
    assert.deepEqual(tree, { hash: 'hash', list: 'list', plain: 'string', set: 'set', stream: 'stream', 'user:': 3, zset: 'zset' });
    assert.deepEqual((await page.get('/apiv2/keystree/CONN/user:')).data.map(({ text }) => text), ['1', '2', 'old:* (1)']);
    const read = (key) => page.get(`/apiv2/key/CONN/${key}`);
    const plain = await read('plain');
    assert.deepEqual([plain.type, plain.value, plain.ttl > 990], ['string', 'grün', true]);
    assert.deepEqual((await read('hash')).data, { field: 'value' });
    assert.deepEqual((await read('list')).items.map(({ value }) => value), ['a', 'b']);
    assert.deepEqual((await read('set')).members, ['member']);
    assert.deepEqual((await read('zset')).items.map(({ score, value }) => [score, value]), [['1.5', 'member']]);
    assert.deepEqual((await read('stream')).items.map(({ timestamp, field, value }) => [timestamp, field, value]), [[entry, 'field', 'value']]);
    assert.equal((await read('none')).type, 'none');
  }));

test('edits, adds and deletes; commands by hand; export', () =>
  withCommander(async (page, redis) => {
    await page.send('POST', '/apiv2/key/CONN/text', { stringValue: 'first', keyType: 'string' });
    await page.send('POST', '/apiv2/key/CONN/text', { stringValue: 'zweite & <dritte>', keyType: 'string' });
    assert.equal(await redis.get('text'), 'zweite & <dritte>');
    for (const value of ['a', 'b', 'c']) await page.send('POST', '/apiv2/list/value', { key: 'list', value, type: 'rpush' });
    await page.send('PUT', '/apiv2/list/value', { key: 'list', index: 1, value: 'B' });
    await page.send('DELETE', '/apiv2/list/value', { key: 'list', index: 0 });
    assert.deepEqual(await redis.lrange('list', 0, -1), ['B', 'c']);
    await page.send('POST', '/apiv2/hash/field', { key: 'hash', field: 'f', value: '1' });
    await page.send('PUT', '/apiv2/hash/field', { key: 'hash', field: 'f', value: '2' });
    await page.send('POST', '/apiv2/hash/field', { key: 'hash', field: 'g', value: '3' });
    await page.send('DELETE', '/apiv2/hash/field', { key: 'hash', field: 'g' });
    assert.deepEqual(await redis.hgetall('hash'), { f: '2' });
    await page.send('POST', '/apiv2/set/member', { key: 'set', value: 'one' });
    await page.send('PUT', '/apiv2/set/member', { key: 'set', value: 'two', oldValue: 'one' });
    assert.deepEqual(await redis.smembers('set'), ['two']);
    await page.send('POST', '/apiv2/zset/member', { key: 'zset', score: 2, value: 'm' });
    await page.send('PUT', '/apiv2/zset/member', { key: 'zset', score: 3, value: 'n', oldValue: 'm' });
    assert.deepEqual(await redis.zrange('zset', 0, -1, 'WITHSCORES'), ['n', '3']);
    await page.send('POST', '/apiv2/xset/member', { key: 'stream', timestamp: '5-1', field: 'f', value: 'v' });
    assert.deepEqual(await redis.xrange('stream', '-', '+'), [['5-1', ['f', 'v']]]);
    assert.equal(JSON.parse(await page.send('POST', '/apiv2/exec/CONN', { cmd: 'incrby number 41' })).data, 41);
    assert.match(JSON.parse(await page.send('POST', '/apiv2/exec/CONN', { cmd: 'incr text' })).data, /not an integer/);
    await page.send('POST', '/apiv2/key/CONN/text?action=patch', { key: 'renamed' });
    assert.deepEqual([await redis.exists('text'), await redis.get('renamed')], [0, 'zweite & <dritte>']);
    await redis.mset('temp:1', 'x', 'temp:2', 'x', 'tempo', 'x');
    await page.send('POST', '/apiv2/keys/CONN/temp:*?action=delete');
    assert.deepEqual((await redis.keys('temp*')).sort(), ['tempo']);
    await page.send('POST', '/apiv2/key/CONN/list?action=delete');
    assert.equal(await redis.exists('list'), 0);
    await page.send('POST', '/apiv2/key/CONN/stream?action=delete'); // its export knows no streams
    const dump = await page.text('/tools/export?connection=CONN&type=redis');
    assert.match(dump, /SET "number" "?41/i);
    assert.match(dump, /ZADD "zset" "?3"? "n"/i);
  }));

// With PICTURE=FILE the last thing seen goes there.
test('in a headless Chromium: browses, edits, deletes', async () => {
  if (!there()) throw new Skip('no chromium here');
  await withCommander((page, redis) =>
    withBrowser(page.base, async (tab) => {
      await redis.mset('plain', 'grün', 'gone', 'doomed', 'user:1', 'Ann');
      await redis.zadd('zset', 1.5, 'member');
      const names = "[...document.querySelectorAll('#keyTree li a')]";
      // The tree is made anew now and then: a click may meet what is gone already.
      const choose = (name, shown) =>
        until(async () => {
          await tab.run(`${names}.find((a) => a.innerText.trim() === '${name}')?.click()`);
          return tab.sees(shown, 3).then(() => true, () => false);
        }, 60, `${name} was not shown`);
      await tab.sees("!!document.querySelector('#keyTree li a')");
      await tab.run("[...document.querySelectorAll('button, a')].find((b) => b.innerText.trim() === 'Refresh').click()");
      await choose('plain', "document.querySelector('#stringValue')?.value === 'grün'");
      await tab.run("document.querySelector('#stringValue').value = 'by a browser'; document.querySelector('#saveKeyButton').click()");
      await until(async () => (await redis.get('plain')) === 'by a browser', 30, 'not saved');
      await choose('gone', "document.querySelector('#stringValue')?.value === 'doomed'");
      await tab.run("[...document.querySelectorAll('button')].find((b) => b.innerText.trim() === 'Delete Key').click()");
      await until(async () => (await redis.exists('gone')) === 0, 30, 'not deleted');
      assert.match(tab.dialogs[0], /delete "gone"/);
      await choose('zset (1)', '/Sorted Set[^]*1.5[^]*member/.test(document.body.innerText)');
      const picture = await tab.picture();
      if (process.env.PICTURE) fs.writeFileSync(process.env.PICTURE, picture);
      assert.ok(picture.length > 10000);
    }));
}, 240);

main('redis-commander');
