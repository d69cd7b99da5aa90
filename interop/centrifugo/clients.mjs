// Clients of centrifuge-js on the topics of the command: `node clients.mjs RIKKI` starts that program as it needs it.
//
// Prints a line for each check, and fails if one of them does. They run at the same time.

import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {createHmac} from 'node:crypto';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import net from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';

import {Centrifuge} from 'centrifuge';
import {WebSocket} from 'ws';

const [program] = process.argv.slice(2);
const SECONDS = 30;
const KEY = 'a key that is of no use elsewhere';
const folder = mkdtempSync(join(tmpdir(), 'centrifugo-'));
writeFileSync(join(folder, 'jwt.key'), KEY);
writeFileSync(join(folder, 'publish.key'), 'publish-key');
const JWT = ['--topic-jwt-key', join(folder, 'jwt.key')];
const servers = new Set();

/** The command, with these flags, on a free port or on one that it had before. */
async function start(flags, port = 0) {
  const listen = ['--log', 'warn', '--listen', `ws://127.0.0.1:${port}`];
  const child = spawn(program, [...listen, ...flags, folder], {stdio: ['ignore', 'pipe', 'inherit']});
  servers.add(child);
  for await (const line of createInterface({input: child.stdout})) {
    const found = line.match(/Starting WS listener on ws:\/\/127\.0\.0\.1:(\d+)/);
    if (found) {
      child.stdout.resume();
      return {child, port: Number(found[1]), url: `ws://127.0.0.1:${found[1]}/connection/websocket`};
    }
  }
  throw new Error('the server has not started');
}

/** A way to a port that can be cut. */
async function proxy(port) {
  const streams = new Set();
  const server = net.createServer((one) => {
    const other = net.connect(port, '127.0.0.1');
    for (const [from, to] of [[one, other], [other, one]]) {
      streams.add(from);
      from.on('error', () => {}).on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${server.address().port}/connection/websocket`,
    cut() {
      streams.forEach((stream) => stream.destroy());
      streams.clear();
    },
    close() {
      this.cut();
      server.close();
    },
  };
}

/** What comes of an emitter, in its order: `next` gives the first that is of a name and was not given yet. */
class Log {
  constructor(emitter, names) {
    [this.came, this.wakers] = [[], []];
    for (const name of names) {
      emitter.on(name, (context) => {
        this.came.push([name, context]);
        this.wakers.splice(0).forEach((wake) => wake());
      });
    }
  }

  async next(name) {
    for (;;) {
      const index = this.came.findIndex(([came]) => came === name);
      if (index >= 0) return this.came.splice(index, 1)[0][1];
      await new Promise((wake) => this.wakers.push(wake));
    }
  }

  /** What has come of a name and was not given yet. */
  all(name) {
    return this.came.filter(([came]) => came === name).map(([, context]) => context);
  }
}

const clients = new Set();

function client(url, options = {}) {
  const quick = {websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200};
  const centrifuge = new Centrifuge(url, {...quick, ...options});
  clients.add(centrifuge);
  const names = ['connecting', 'connected', 'disconnected', 'error', 'subscribed', 'publication', 'unsubscribed'];
  return [centrifuge, new Log(centrifuge, names)];
}

function subscription(centrifuge, channel, options = {}) {
  const quick = {minResubscribeDelay: 20, maxResubscribeDelay: 200};
  const sub = centrifuge.newSubscription(channel, {...quick, ...options});
  const log = new Log(sub, ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error']);
  sub.subscribe();
  return [sub, log];
}

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = `${part({alg: 'HS256', typ: 'JWT'})}.${part({exp: now() + 3600, ...claims})}`;
  return `${head}.${createHmac('sha256', KEY).update(head).digest('base64url')}`;
}

const now = () => Math.floor(Date.now() / 1000);

const checks = {
  async 'messages, history, presence and calls'() {
    const {url} = await start(['--topic', '/rooms/*,publish,presence']);
    const [one, log] = client(url);
    const [sub, events] = subscription(one, 'rooms/a', {joinLeave: true});
    one.connect();
    const {client: number} = await log.next('connected');
    const {streamPosition, recoverable, wasRecovering} = await events.next('subscribed');
    assert.deepEqual([streamPosition.offset, recoverable, wasRecovering], [0, true, false]);
    assert.equal((await events.next('join')).info.client, number);
    const [two, other] = client(url);
    const [, otherEvents] = subscription(two, 'rooms/a');
    two.connect();
    await otherEvents.next('subscribed');
    assert.equal((await events.next('join')).info.client, (await other.next('connected')).client);
    const values = [{text: 'né\n'}, [1.5, null], 'text', 17, '', {deep: [[[{}]]]}];
    for (const value of values) await sub.publish(value);
    for (const each of [events, otherEvents]) {
      for (const [index, value] of values.entries()) {
        const {data, offset, channel} = await each.next('publication');
        assert.deepEqual([data, offset, channel], [value, index + 1, 'rooms/a']);
      }
    }
    const history = await sub.history({limit: 2, reverse: true});
    assert.deepEqual(history.publications.map(({offset}) => offset), [6, 5]);
    const {publications} = await sub.history({limit: 10, since: {offset: 4, epoch: history.epoch}});
    assert.deepEqual(publications.map(({data}) => data), values.slice(4));
    assert.equal(Object.keys((await sub.presence()).clients).length, 2);
    assert.deepEqual(await sub.presenceStats(), {numClients: 2, numUsers: 1});
    await assert.rejects(one.rpc('nothing', {}), {code: 108});
    await assert.rejects(one.publish('nothing', {}), {code: 102});
    two.disconnect();
    await events.next('leave');
    sub.unsubscribe();
    await events.next('unsubscribed');
    sub.subscribe();
    await events.next('subscribed');
  },

  async 'recovery after a cut'() {
    const {url, port} = await start(['--topic', '/chat,publish']);
    const way = await proxy(port);
    const [one, log] = client(way.url);
    const [, events] = subscription(one, 'chat');
    const [writer] = client(url);
    writer.connect();
    one.connect();
    await events.next('subscribed');
    let last = 0;
    for (let round = 0; round < 5; round += 1) {
      for (let count = 0; count < 20; count += 1) {
        if (count === 10) {
          way.cut();
          await log.next('connecting');
        }
        await writer.publish('chat', (last += 1));
      }
      const {wasRecovering, recovered} = await events.next('subscribed');
      assert.deepEqual([wasRecovering, recovered], [true, true]);
    }
    for (let number = 1; number <= last; number += 1) {
      const {data, offset} = await events.next('publication');
      assert.deepEqual([data, offset], [number, number]);
    }
    way.close();
  },

  async 'the server is killed'() {
    const flags = ['--topic', '/chat,publish'];
    let server = await start(flags);
    const [one, log] = client(server.url);
    const [sub, events] = subscription(one, 'chat');
    one.connect();
    const {streamPosition: before} = await events.next('subscribed');
    await sub.publish('before');
    await events.next('publication');
    server.child.kill('SIGKILL');
    await once(server.child, 'exit');
    await log.next('connecting');
    server = await start(flags, server.port);
    const {streamPosition: behind, wasRecovering, recovered} = await events.next('subscribed');
    assert.deepEqual([wasRecovering, recovered, behind.offset], [true, false, 0]);
    assert.notEqual(behind.epoch, before.epoch);
    await sub.publish('after');
    assert.deepEqual(await events.next('publication'), {channel: 'chat', data: 'after', offset: 1});
  },

  async 'a position that is gone'() {
    const {url} = await start(['--topic', '/chat,publish']);
    const [one] = client(url);
    let asked = 0;
    const getState = async () => (asked += 1) === 1 ? {offset: 7, epoch: 'gone'} : (await one.history('chat', {}));
    const [, events] = subscription(one, 'chat', {getState});
    one.connect();
    const {recovered} = await events.next('subscribed');
    assert.deepEqual([asked, recovered], [2, true]);
  },

  async 'tokens are refreshed'() {
    const {url} = await start(['--topic', '/chat', '--topic', '/rooms/*', ...JWT]);
    let asked = 0;
    const getToken = async () => token({sub: 'ada', subscribe: ['chat'], exp: (asked += 1) < 3 ? now() + 2 : now() + 3600});
    const [one, log] = client(url, {token: token({sub: 'ada', exp: now() - 5}), getToken});
    let askedForSub = 0;
    const [, events] = subscription(one, 'rooms/a', {
      getToken: async ({channel}) => {
        askedForSub += 1;
        return token({sub: 'ada', channel, exp: now() + (askedForSub < 3 ? 2 : 3600)});
      },
    });
    const [, others] = subscription(one, 'chat');
    one.connect();
    assert.equal((await log.next('error')).error.code, 109);
    const {client: number} = await log.next('connected');
    await events.next('subscribed');
    await others.next('subscribed');
    while (asked < 3 || askedForSub < 3) await new Promise((wake) => setTimeout(wake, 50));
    await one.history('chat', {limit: 1});
    assert.deepEqual([one._client, log.all('connecting').length], [number, 1], 'it has not come back');
    assert.deepEqual(events.all('unsubscribed'), []);
    const [, denied] = subscription(one, 'rooms/b');
    assert.equal((await denied.next('unsubscribed')).code, 103);
  },

  async 'subscriptions that the server makes'() {
    const {url, port} = await start(['--topic', '/chat', '--publish-key', join(folder, 'publish.key'), ...JWT]);
    const way = await proxy(port);
    const [one, log] = client(way.url, {token: token({sub: 'ada', channels: ['chat'], info: {name: 'Ada'}})});
    one.connect();
    assert.equal((await log.next('subscribed')).channel, 'chat');
    const publish = (body) => fetch(`http://127.0.0.1:${port}/chat`,
      {method: 'POST', body, headers: {authorization: 'Bearer publish-key'}});
    assert.equal((await publish('{"n":1}')).status, 200);
    assert.deepEqual((await log.next('publication')).data, {n: 1});
    way.cut();
    await log.next('connecting');
    await publish('two');
    const {recovered} = await log.next('subscribed');
    assert.equal(recovered, true);
    assert.equal((await log.next('publication')).data, 'two');
    // One that the client makes itself goes on with it.
    const [, events] = subscription(one, 'chat');
    await events.next('subscribed');
    await publish('three');
    assert.equal((await events.next('publication')).data, 'three');
    way.close();
  },

  // What brings each Close about; whether the client comes back, and what it is told.
  async 'closes'() {
    const flags = ['--topic', '/chat,publish', '--max-message', '100KiB'];
    const cases = [
      ['1001', flags, {}, (_, {child}) => child.kill('SIGTERM'), 'connecting', 1],
      ['1012', [...flags, '--drain-code', '1012'], {}, (_, {child}) => child.kill('SIGTERM'), 'connecting', 1],
      ['1013', [...flags, '--topic-memory', '20KiB'], {}, (one) => send(one, `${' '.repeat(50_000)}{}`), 'connecting', 1],
      ['1009', flags, {}, (one) => send(one, ' '.repeat(200_000)), 'disconnected', 3],
      ['3008', ['--topic', '/chat,publish,policy=close,bytes=300KiB', '--topic-memory', '64MiB'], {}, flood, 'connecting', 3008],
      ['3500', [...flags, ...JWT], {token: 'wrong'}, null, 'disconnected', 3500],
      ['3500 without a token', [...flags, ...JWT], {}, null, 'disconnected', 3500],
      ['3501', flags, {}, (one) => send(one, '{"id":1'), 'disconnected', 3501],
      ['3503', [...flags, '--max-message-rate', '3'], {}, many, 'disconnected', 3503],
      ['3506', flags, {}, (one) => send(one, Buffer.from('x')), 'disconnected', 3506],
      ['3507', [...flags, ...JWT], {token: token({channel: 'chat'})}, null, 'disconnected', 3507],
      ['3508', flags, {}, (one) => one.send({}), 'disconnected', 3508],
    ];
    await Promise.all(cases.map(async ([name, flags, options, act, event, code]) => {
      const server = await start(flags);
      const [one, log] = client(server.url, options);
      one.connect();
      await log.next('connecting');
      if (act) {
        await log.next('connected');
        await act(one, server);
      }
      assert.equal((await log.next(event)).code, code, name);
      if (event === 'connecting' && !server.child.killed) await log.next('connected');
      assert.equal(one.state, event === 'connecting' ? (server.child.killed ? 'connecting' : 'connected') : event, name);
    }));
  },

  async 'a client that says nothing'() {
    const {url} = await start(['--topic', '/chat']);
    const socket = new WebSocket(url);
    const [code, reason] = await once(socket, 'close');
    assert.deepEqual([code, String(reason)], [3502, 'stale']);
  },
};

/** Sends what the client itself would not. */
function send(centrifuge, data) {
  centrifuge._transport.send(data);
}

/** Sends more in a second than it may. */
function many(centrifuge) {
  for (let count = 0; count < 10; count += 1) send(centrifuge, '{}');
}

/** Publishes more than a client takes that does not read. */
async function flood(centrifuge, {port}) {
  const [, events] = subscription(centrifuge, 'chat');
  await events.next('subscribed');
  const socket = centrifuge._transport._transport._socket;
  socket.pause();
  for (let count = 0; count < 200; count += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/chat`, {method: 'POST', body: 'x'.repeat(100_000)});
    assert.equal(answer.status, 200);
  }
  socket.resume();
}

const late = setTimeout(() => {
  console.log('too late');
  process.exit(1);
}, SECONDS * 1000);
const outcomes = await Promise.all(Object.entries(checks).map(async ([name, check]) => {
  try {
    await check();
    console.log(`ok: ${name}`);
    return true;
  } catch (error) {
    console.log(`failed: ${name}: ${error.stack}`);
    return false;
  }
}));
clearTimeout(late);
clients.forEach((centrifuge) => centrifuge.disconnect());
servers.forEach((child) => child.kill('SIGKILL'));
rmSync(folder, {recursive: true});
process.exit(outcomes.every(Boolean) ? 0 : 1);
