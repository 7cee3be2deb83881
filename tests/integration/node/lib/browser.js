// browser.js: a headless Chromium, spoken to over its pipe of the DevTools protocol (messages of JSON, each ended by a NUL).
'use strict';
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { until, within } = require('./tap.js');

const there = () => spawnSync('chromium', ['--version']).status === 0;

// Runs fn(tab) with a page open at url. tab.run(EXPRESSION): its value in the page; tab.sees(EXPRESSION, SECONDS): waits until it is true;
// tab.picture(): PNG. Dialogs of the page are agreed to, their texts are in tab.dialogs.
async function withBrowser(url, fn) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'browser-'));
  const child = spawn('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe', '--window-size=1200,800',
    `--user-data-dir=${home}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  const waiting = new Map();
  const dialogs = [];
  let last = 0;
  let session;
  let text = '';
  const send = (method, params = {}) =>
    within(60, new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      child.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId: session })}\0`);
    }), `${method}: no answer`);
  child.stdio[3].on('error', () => {}); // it has ended: who waits says so
  child.stdio[4].on('data', (data) => {
    const messages = (text += data).split('\0');
    text = messages.pop();
    for (const { id, result, error, method, params } of messages.map((one) => JSON.parse(one))) {
      if (method === 'Page.javascriptDialogOpening') {
        dialogs.push(params.message);
        send('Page.handleJavaScriptDialog', { accept: true }).catch(() => {});
      }
      if (error) waiting.get(id)?.reject(new Error(error.message));
      else waiting.get(id)?.resolve(result);
    }
  });
  const run = async (expression) => {
    const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  };
  try {
    const { targetInfos } = await send('Target.getTargets');
    session = (await send('Target.attachToTarget', { targetId: targetInfos.find(({ type }) => type === 'page').targetId, flatten: true })).sessionId;
    await send('Page.enable');
    await send('Page.navigate', { url });
    await fn({
      run,
      dialogs,
      sees: (expression, seconds = 60) => until(() => run(expression), seconds, `not seen: ${expression}`),
      picture: async () => Buffer.from((await send('Page.captureScreenshot')).data, 'base64'),
    });
  } finally {
    session = undefined;
    await send('Browser.close').catch(() => child.kill());
    await within(20, ended, 'the browser does not end').catch(() => child.kill('SIGKILL'));
    await until(() => { // its helpers may write still
      try {
        fs.rmSync(home, { recursive: true, force: true });
        return true;
      } catch {
        return false;
      }
    }, 20, `${home} cannot be removed`);
  }
}

module.exports = { there, withBrowser };
