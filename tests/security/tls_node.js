#!/usr/bin/env node
// tls_node.js: ioredis and node-redis over TLS as a guide sets them up (rediss://, tls: { ca }): data, reconnecting, a client's own
// certificate, and what they say when it goes wrong: another authority, another name, no certificate, no TLS at all.
// CERTIFICATES: the folder that make_certificates.sh has filled; PLAIN_PORT: the port without TLS, over which directives are set.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { load, main, options, test, until, within } = require('../integration/node/lib/tap.js');

const Redis = load('ioredis');
const { createClient, RESP_TYPES } = load('redis');
const { host, port } = options;
const file = (name) => fs.readFileSync(path.join(process.env.CERTIFICATES, name));
const ca = file('ca.pem');
const shown = (name) => ({ cert: file(`${name}.pem`), key: file(`${name}.key`) });

// The same few verbs of both libraries: call(...words), get as bytes, close; broken rejects when the connection does.
const libraries = {
  ioredis: async (tls, extra = {}) => {
    const redis = new Redis(`${tls ? 'rediss' : 'redis'}://${extra.user || ''}${host}:${extra.port || port}/0`, {
      ...(tls ? { tls } : {}), maxRetriesPerRequest: 0, retryStrategy: extra.again ? () => 20 : () => null, lazyConnect: true,
    });
    let first; // "Connection is closed." says less than what closed it
    redis.on('error', (error) => (first ??= error));
    try {
      await within(10, redis.connect(), 'not connected');
    } catch (error) {
      redis.disconnect();
      throw first || error;
    }
    return {
      call: (...words) => redis.call(...words), get: (key) => redis.getBuffer(key), broken: new Promise(() => {}), close: () => redis.disconnect(),
      subscribe: async (channel, fn) => { redis.on('messageBuffer', (_, text) => fn(text)); await redis.subscribe(channel); },
    };
  },
  'node-redis': async (tls, extra = {}) => {
    const client = createClient({
      url: `${tls ? 'rediss' : 'redis'}://${extra.user || ''}${host}:${extra.port || port}/0`,
      socket: { ...(tls || {}), connectTimeout: 10000, reconnectStrategy: extra.again ? () => 20 : false },
    });
    const broken = new Promise((_, reject) => client.on('error', reject)); // a request may wait for ever then
    broken.catch(() => {});
    try {
      await within(10, Promise.race([client.connect(), broken]), 'not connected');
    } catch (error) {
      if (client.isOpen) client.destroy();
      throw error;
    }
    const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    return {
      call: (...words) => client.sendCommand(words.map((word) => (Buffer.isBuffer(word) ? word : String(word)))),
      get: (key) => bytes.get(key), broken, close: () => client.destroy(),
      subscribe: (channel, fn) => client.subscribe(channel, fn, true),
    };
  },
};

async function using(open, tls, fn, extra) {
  const client = await open(tls, extra);
  try {
    return await fn(client);
  } finally {
    client.close();
  }
}

async function directives(...pairs) {
  await using(libraries.ioredis, null, async (admin) => assert.equal(await admin.call('CONFIG', 'SET', ...pairs), 'OK'), { port: Number(process.env.PLAIN_PORT) });
}

for (const [name, open] of Object.entries(libraries)) {
  test(`${name}: rediss:// with a CA, values of all sizes about a record`, () =>
    using(open, { ca }, async (client) => {
      assert.equal(await client.call('PING'), 'PONG');
      for (const size of [0, 1, 1460, 16383, 16384, 16385, 65537, 4 << 20]) {
        const value = crypto.randomBytes(size);
        assert.equal(await client.call('SET', 'tls:node', value), 'OK');
        assert.ok(value.equals(await client.get('tls:node')), `${size} bytes`);
      }
    }));

  for (const version of ['TLSv1.2', 'TLSv1.3'])
    test(`${name}: ${version}, 5000 requests at once in their order`, () =>
      using(open, { ca, minVersion: version, maxVersion: version }, async (client) => {
        await client.call('DEL', 'tls:sequence');
        const replies = await Promise.all(Array.from({ length: 5000 }, () => client.call('INCR', 'tls:sequence')));
        assert.deepEqual(replies, Array.from({ length: 5000 }, (_, i) => i + 1));
      }));

  test(`${name}: a message of 100 KB, a script's reply of 1 MB`, () =>
    using(open, { ca }, (listener) =>
      using(open, { ca }, async (client) => {
        const text = crypto.randomBytes(100000), heard = [];
        await listener.subscribe('tls:channel', (message) => heard.push(message));
        await client.call('PUBLISH', 'tls:channel', text);
        await until(() => heard.length === 1, 10, 'no message');
        assert.ok(text.equals(heard[0]));
        assert.equal((await client.call('EVAL', "return string.rep('x', 1000000)", 0)).length, 1000000);
      })));

  test(`${name}: comes back after CLIENT KILL`, () =>
    using(open, { ca }, (client) =>
      using(open, { ca }, async (admin) => {
        for (let round = 0; round < 3; round++) {
          const id = await client.call('CLIENT', 'ID');
          assert.equal(await admin.call('CLIENT', 'KILL', 'ID', id), 1);
          await until(() => client.call('CLIENT', 'ID').then((now) => now !== id, () => false), 10, 'not connected again');
        }
      }), { again: true }));

  test(`${name}: the certificate's DNS name as servername`, () =>
    using(open, { ca, servername: 'box.example' }, async (client) => assert.equal(await client.call('PING'), 'PONG')));

  const fails = (tls, expected, extra) =>
    assert.rejects(using(open, tls, (client) => within(10, Promise.race([client.call('PING'), client.broken]), 'no answer'), extra), (error) => {
      const said = [error.code, error.message, ...(error.errors || []).map(String)].join(' ');
      assert.match(said, expected);
      return true;
    });

  test(`${name}: an authority that it does not know`, () => fails({ ca: file('stranger.pem') }, /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE/));
  test(`${name}: no CA at all`, () => fails({}, /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE/));
  test(`${name}: a name that is not among the altnames`, () => fails({ ca, servername: 'elsewhere.example' }, /ERR_TLS_CERT_ALTNAME_INVALID|does not match certificate's altnames/));
  test(`${name}: only versions that are refused`, () =>
    fails({ ca, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, /PROTOCOL_VERSION|protocol version|UNSUPPORTED_PROTOCOL/i));
  test(`${name}: without TLS on the port with it`, () => fails(null, /this port speaks TLS|[Cc]losed/));
  test(`${name}: with TLS on the port without it`, () => fails({ ca }, /WRONG_VERSION_NUMBER|wrong version number/, { port: Number(process.env.PLAIN_PORT) }));

  test(`${name}: certificates of clients, asked for`, async () => {
    await directives('tls-auth-clients', 'yes');
    try {
      // TLS 1.3: the client is done before the server has looked, so that it hears of it with the first reply.
      const refused = /CERTIFICATE_REQUIRED|certificate required|UNKNOWN_CA|unknown ca|HANDSHAKE_FAILURE|handshake failure|ECONNRESET|[Cc]onnection (is )?closed|Socket closed/;
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
        await fails({ ca, maxVersion }, refused);
        await fails({ ca, maxVersion, ...shown('stranger') }, refused);
        await using(open, { ca, maxVersion, ...shown('app') }, async (client) => assert.equal(await client.call('PING'), 'PONG'));
      }
    } finally {
      await directives('tls-auth-clients', 'no');
    }
  });

  test(`${name}: the box goes on after all that`, () => using(open, { ca }, async (client) => assert.equal(await client.call('PING'), 'PONG')));
}

main('tls-node');
