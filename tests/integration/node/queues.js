#!/usr/bin/env node
// queues.js: npm's bullmq and bull as applications use them: dozens of Lua scripts over keys that they do not declare, cmsgpack
// and cjson, streams with XREAD BLOCK, BZPOPMIN, BRPOPLPUSH, Pub/Sub. JOBS=N: of the first check (2000). Empties the server.
'use strict';
const assert = require('node:assert/strict');
const util = require('node:util');
const { load, main, options, test, until } = require('./lib/tap.js');

const { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } = load('bullmq');
const Bull = load('bull');
const Redis = load('ioredis');
const address = { host: options.host, port: options.port, password: options.password || undefined };
const connection = { ...address, maxRetriesPerRequest: null };
const EMPTY = { waiting: 0, active: 0, delayed: 0, failed: 0, prioritized: 0, paused: 0 };
const JOBS = Number(process.env.JOBS ?? 2000);
let queues = 0;

const range = (count, of = (n) => n) => Array.from({ length: count }, (_, n) => of(n));

async function emptied() {
  const redis = new Redis(address);
  await redis.flushall().finally(() => redis.disconnect());
}

// Runs fn with what a queue of its own is made of and closes it all, whatever happens. An error of a connection fails the check.
async function withQueue(fn) {
  const name = `queue-${++queues}`;
  await emptied();
  const open = [];
  const errors = [];
  const keep = (part) => {
    part.on('error', (error) => errors.push(error));
    open.push(part);
    return part;
  };
  try {
    await fn({
      name,
      queue: keep(new Queue(name, { connection })),
      flows: () => keep(new FlowProducer({ connection })),
      worker: (work, more = {}) => keep(new Worker(name, work, { connection, ...more })),
      events: () => keep(new QueueEvents(name, { connection, lastEventId: '0-0' })),
    });
  } finally {
    await Promise.all(open.reverse().map((part) => part.close()));
  }
  assert.deepEqual(errors, []);
}

// Waits for the counts of all states to be those of `want` and nothing else.
async function counted(queue, want) {
  const wanted = { completed: 0, ...EMPTY, ...want };
  let counts;
  await until(async () => {
    counts = await queue.getJobCounts('completed', ...Object.keys(EMPTY));
    return util.isDeepStrictEqual(counts, wanted);
  }).catch(() => assert.deepEqual(counts, wanted));
}

test(`bullmq: ${JOBS} jobs, four workers of 25 at once: each done once, none lost`, () =>
  withQueue(async ({ queue, worker, events }) => {
    const told = new Map();
    events().on('completed', ({ jobId, returnvalue }) => told.set(jobId, Number(returnvalue)));
    const done = new Map();
    let stalled = 0; // taken for lost, and given out again: happens when this process gets no core for half a minute
    const shares = range(4, () => 0);
    shares.forEach((_, who) =>
      worker(
        async (job) => {
          done.set(job.data.n, (done.get(job.data.n) ?? 0) + 1);
          shares[who]++;
          assert.equal(job.data.text, 'ö'.repeat(job.data.n % 300));
          if (job.data.n % 10 === 0) await job.updateProgress(50);
          return job.data.n * 2;
        },
        { concurrency: 25 },
      ).on('stalled', () => stalled++));
    for (let from = 0; from < JOBS; from += 500)
      await queue.addBulk(range(500, (n) => ({ name: 'job', data: { n: from + n, text: 'ö'.repeat((from + n) % 300) } })));
    await until(() => told.size === JOBS, JOBS / 40, 'not all completed');
    assert.equal(done.size, JOBS);
    const twice = [...done].filter(([, times]) => times !== 1);
    assert.ok(twice.length <= stalled, `done more than once: ${JSON.stringify(twice)}, ${stalled} stalled`);
    assert.ok(shares.every((share) => share > 0), `a worker had nothing to do: ${shares}`);
    await counted(queue, { completed: JOBS });
    for (const job of await queue.getJobs(['completed'])) {
      assert.equal(job.returnvalue, job.data.n * 2);
      assert.equal(told.get(job.id), job.returnvalue);
    }
  }), 20 + JOBS / 40);

test('bullmq: delayed jobs come in the order of their times and not before', () =>
  withQueue(async ({ queue, worker }) => {
    const came = [];
    worker(async (job) => came.push([job.opts.delay, Date.now() - job.timestamp]));
    const delays = range(30, (n) => ((n * 7) % 30) * 30);
    await queue.addBulk(delays.map((delay) => ({ name: 'later', data: {}, opts: { delay } })));
    await until(() => came.length === 30, 15, 'not all came');
    for (const [delay, after] of came) assert.ok(after >= delay, `after ${after} ms instead of ${delay}`);
    const order = came.map(([delay]) => delay);
    assert.deepEqual(order, delays.slice().sort((a, b) => a - b));
  }));

test('bullmq: retries with back-off, jobs that fail for good, retried by hand', () =>
  withQueue(async ({ queue, worker }) => {
    let broken = true;
    const tries = new Map();
    worker(
      async (job) => {
        tries.set(job.name, (tries.get(job.name) ?? 0) + 1);
        if (job.name === 'hopeless') throw new UnrecoverableError('no use');
        if (job.name === 'broken' && broken) throw new Error('broken');
        if (job.name.startsWith('shaky') && job.attemptsMade < 2) throw new Error('again');
      },
      { concurrency: 10 },
    );
    const opts = { attempts: 3, backoff: { type: 'fixed', delay: 30 } };
    await queue.addBulk([...range(50, (n) => `shaky${n}`), 'hopeless', 'broken'].map((name) => ({ name, data: {}, opts })));
    await until(async () => (await queue.getFailedCount()) === 2 && (await queue.getCompletedCount()) === 50, 15, 'not all ended');
    assert.ok(range(50).every((n) => tries.get(`shaky${n}`) === 3), 'not three attempts each');
    assert.deepEqual([tries.get('hopeless'), tries.get('broken')], [1, 3]);
    const failed = await queue.getFailed();
    assert.deepEqual(failed.map((job) => job.failedReason).sort(), ['broken', 'no use']);
    broken = false;
    await failed.find((job) => job.name === 'broken').retry();
    await until(async () => (await queue.getCompletedCount()) === 51, 10, 'the retried job did not end');
  }));

test('bullmq: priorities, LIFO, pause and resume', () =>
  withQueue(async ({ queue, worker }) => {
    const order = [];
    await queue.pause();
    worker(async (job) => order.push(job.name));
    for (const [name, opts] of [
      ['low', { priority: 10 }], ['plain 1', {}], ['high', { priority: 1 }], ['low too', { priority: 10 }],
      ['plain 2', {}], ['first', { lifo: true }], ['middle', { priority: 5 }],
    ]) await queue.add(name, {}, opts);
    assert.ok(await queue.isPaused());
    assert.deepEqual(order, []);
    await queue.resume();
    await until(() => order.length === 7, 10, 'not all done');
    assert.deepEqual(order, ['first', 'plain 1', 'plain 2', 'high', 'middle', 'low', 'low too']);
  }));

test('bullmq: a rate limit of 20 jobs in 300 ms over two workers', () =>
  withQueue(async ({ queue, worker }) => {
    const times = [];
    const limiter = { max: 20, duration: 300 };
    const begin = performance.now();
    range(2, () => worker(async () => times.push(performance.now()), { concurrency: 5, limiter }));
    await queue.addBulk(range(70, () => ({ name: 'limited', data: {} })));
    await until(() => times.length === 70, 20, 'not all done');
    // The 21st starts a window after the first at the earliest, and so on.
    for (let n = 20; n < 70; n += 20) assert.ok(times[n] - begin >= n / 20 * 300 - 5, `job ${n} after ${times[n] - begin} ms`);
    await counted(queue, { completed: 70 });
  }));

test('bullmq: a flow: the parent runs after its children and sees their results', () =>
  withQueue(async ({ name, queue, worker, flows }) => {
    const results = [];
    worker(
      async (job) => {
        if (job.name === 'child') return job.data.n * job.data.n;
        results.push(Object.values(await job.getChildrenValues()).sort((a, b) => a - b));
        return 'whole';
      },
      { concurrency: 4 },
    );
    const children = range(20, (n) => ({ name: 'child', queueName: name, data: { n } }));
    const tree = await flows().add({ name: 'parent', queueName: name, data: {}, children });
    await until(async () => (await tree.job.getState()) === 'completed', 15, 'the parent did not end');
    assert.deepEqual(results, [range(20, (n) => n * n)]);
    await counted(queue, { completed: 21 });
  }));

test('bullmq: a scheduler repeats a job; the same job given again is not added', () =>
  withQueue(async ({ queue, worker }) => {
    const ticks = [];
    worker(async (job) => ticks.push(job.name));
    await queue.upsertJobScheduler('clock', { every: 100 }, { name: 'tick', data: {} });
    await until(() => ticks.length >= 4, 15, 'four ticks');
    assert.equal(await queue.removeJobScheduler('clock'), true);
    assert.deepEqual(await queue.getJobSchedulers(), []);
    const [a, b] = [await queue.add('once', {}, { jobId: 'same', delay: 60000 }), await queue.add('once', {}, { jobId: 'same' })];
    assert.equal(a.id, b.id);
    const first = await queue.add('only', {}, { deduplication: { id: 'd' }, delay: 60000 });
    assert.equal((await queue.add('only', {}, { deduplication: { id: 'd' } })).id, first.id);
    await counted(queue, { completed: await queue.getCompletedCount(), delayed: 2 });
  }));

test('bullmq: the job of a worker that went without a word is taken up by another', () =>
  withQueue(async ({ queue, worker }) => {
    let given;
    const lost = worker(() => new Promise(() => (given = true)), { lockDuration: 400, skipLockRenewal: true, skipStalledCheck: true });
    const job = await queue.add('stalls', {});
    await until(() => given, 10, 'the first worker did not start');
    await lost.close(true);
    let stalled = 0;
    const other = worker(async () => 'rescued', { stalledInterval: 200, lockDuration: 400 });
    other.on('stalled', () => stalled++);
    await until(async () => (await job.getState()) === 'completed', 15, 'nobody took it up');
    assert.equal(stalled, 1);
    assert.equal((await queue.getJob(job.id)).returnvalue, 'rescued');
  }));

test('bullmq: logs, progress, ranges, clean, drain, obliterate leaves no key', () =>
  withQueue(async ({ name, queue }) => {
    const redis = new Redis(address);
    try {
      const jobs = await queue.addBulk(range(120, (n) => ({ name: `j${n}`, data: { n }, opts: n < 60 ? {} : { delay: 1e6 + n } })));
      await jobs[0].log('one line');
      await jobs[0].log('another');
      assert.deepEqual(await queue.getJobLogs(jobs[0].id), { logs: ['one line', 'another'], count: 2 });
      await jobs[0].updateData({ n: 0, more: [1, { two: null }] });
      assert.deepEqual((await queue.getJob(jobs[0].id)).data, { n: 0, more: [1, { two: null }] });
      assert.deepEqual((await queue.getWaiting(10, 19)).map((job) => job.name), range(10, (n) => `j${n + 10}`));
      assert.equal((await queue.getDelayed()).length, 60);
      await jobs[119].promote();
      await jobs[1].remove();
      await counted(queue, { waiting: 60, delayed: 59 });
      assert.equal((await queue.clean(0, 0, 'delayed')).length, 59);
      await queue.drain();
      await counted(queue, {});
      await queue.obliterate();
      assert.deepEqual(await redis.keys(`bull:${name}:*`), []);
    } finally {
      redis.disconnect();
    }
  }));

// Runs fn with Bull queues of one name, each with connections of its own.
async function withBull(fn, settings = {}) {
  const name = `bull-${++queues}`;
  await emptied();
  const open = [];
  const another = () => {
    const queue = new Bull(name, { redis: address, ...settings });
    open.push(queue);
    return queue;
  };
  try {
    await fn(another(), another);
  } finally {
    await Promise.all(open.map((queue) => queue.close(true)));
  }
}

test('bull: 500 jobs, three queues of 10 at once: each done once, everyone is told', () =>
  withBull(async (queue, another) => {
    const done = new Map();
    const told = new Set();
    queue.on('global:completed', (id) => told.add(id));
    await queue.isReady();
    for (const worker of [another(), another(), another()])
      worker.process(10, async (job) => {
        done.set(job.data.n, (done.get(job.data.n) ?? 0) + 1);
        return { twice: job.data.n * 2 };
      });
    await queue.addBulk(range(500, (n) => ({ data: { n } })));
    await until(() => told.size === 500, 30, 'not all completed');
    assert.equal(done.size, 500);
    assert.ok([...done.values()].every((times) => times === 1), 'a job was done twice');
    assert.deepEqual(await queue.getJobCounts(), { waiting: 0, active: 0, completed: 500, failed: 0, delayed: 0, paused: 0 });
    for (const job of await queue.getCompleted()) assert.deepEqual(job.returnvalue, { twice: job.data.n * 2 });
  }));

test('bull: delays, attempts with back-off, priorities, repeated jobs, removal', () =>
  withBull(async (queue) => {
    const order = [];
    await queue.pause();
    await queue.add('p', { name: 'low' }, { priority: 9 });
    await queue.add('p', { name: 'high' }, { priority: 1 });
    await queue.add('p', { name: 'shaky' }, { priority: 5, attempts: 3, backoff: 20 });
    await queue.add('p', { name: 'late' }, { delay: 200 });
    await queue.add('p', { name: 'never' }, { delay: 1e7, jobId: 'never' });
    queue.process('p', async (job) => {
      order.push(job.data.name);
      if (job.data.name === 'shaky' && job.attemptsMade < 2) throw new Error('again');
    });
    await queue.resume();
    await until(async () => (await queue.getCompletedCount()) === 4, 15, 'four jobs');
    assert.deepEqual(order.slice(0, 3), ['high', 'shaky', 'low']);
    assert.equal(order.filter((name) => name === 'shaky').length, 3);
    await (await queue.getJob('never')).remove();
    let ticks = 0;
    queue.process('tick', async () => ticks++);
    await queue.add('tick', {}, { repeat: { every: 100, limit: 3 } });
    await until(() => ticks === 3, 15, 'three ticks');
    await queue.obliterate({ force: true });
    assert.deepEqual(await queue.getJobCounts(), { waiting: 0, active: 0, completed: 0, failed: 0, delayed: 0, paused: 0 });
  }));

test('bull: a rate limit', () =>
  withBull(
    async (queue) => {
      const times = [];
      const begin = performance.now();
      queue.process(5, async () => times.push(performance.now()));
      await queue.addBulk(range(25, () => ({ data: {} })));
      await until(() => times.length === 25, 20, 'not all done');
      assert.ok(times[10] - begin >= 295 && times[20] - begin >= 595, String(times.map((time) => time - begin)));
    },
    { limiter: { max: 10, duration: 300 } },
  ));

main('queues');
