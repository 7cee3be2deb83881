// tap.js: a list of checks reported as TAP, for Node's clients. Each script: --host --port --password --modules DIR
// (DIR/node_modules holds what package.json names; see install).
'use strict';
const { parseArgs } = require('node:util');
const { createRequire } = require('node:module');
const path = require('node:path');

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.77.2' },
    port: { type: 'string', default: '6379' },
    password: { type: 'string', default: '' },
    modules: { type: 'string', default: path.join(__dirname, '..') },
    only: { type: 'string', default: '' },
  },
});
options.port = Number(options.port);

class Skip extends Error {}

const tests = [];

// Bounds are written for a machine that has nothing else to do.
const PATIENCE = 3;

// A check that has to end within `limit` seconds.
function test(name, run, limit = 60) {
  tests.push({ name, run, limit });
}

function within(seconds, promise, what = 'no end') {
  seconds *= PATIENCE;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} after ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Waits until condition() is true, looking often; fails when it never was.
async function until(condition, seconds = 10, what = 'it never was') {
  seconds *= PATIENCE;
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what} in ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function main(suite) {
  const chosen = tests.filter((t) => t.name.includes(options.only));
  let failed = 0;
  console.log(`TAP version 13\n1..${chosen.length}`);
  for (const [index, { name, run, limit }] of chosen.entries()) {
    const title = `${index + 1} - ${suite}: ${name}`;
    try {
      await within(limit, run());
      console.log(`ok ${title}`);
    } catch (error) {
      if (error instanceof Skip) {
        console.log(`ok ${title} # SKIP ${error.message}`);
        continue;
      }
      failed++;
      console.log(`not ok ${title}`);
      console.log(String(error.stack || error).replace(/^/gm, '# '));
    }
  }
  process.exit(failed ? 1 : 0);
}

module.exports = {
  Skip,
  load: (name) => createRequire(path.join(path.resolve(options.modules), 'package.json'))(name),
  main,
  options,
  test,
  until,
  within,
};
