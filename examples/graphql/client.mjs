// Starts the server that is named, and tries it with the client of others: node client.mjs target/debug/graphql

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

const limit = setTimeout(() => {
  server.kill("SIGKILL");
  throw new Error("it took longer than 30 s");
}, 30_000);

const server = spawn(process.argv[2], ["http://127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
const exited = once(server, "exit");
const [line] = await once(createInterface(server.stdout), "line");
const url = line.replace("Serving on ", "");

const closed = [];
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  retryAttempts: 0,
  on: { closed: (event) => closed.push([event.code, event.wasClean]) },
});

try {
  const query = client.iterate({ query: '{ greeting(name: "Ada") }' });
  assert.deepEqual((await query.next()).value, { data: { greeting: "Hello, Ada!" } });
  console.log("ok: a query");

  const seen = [];
  for await (const result of client.iterate({ query: "subscription { count(to: 3) }" })) {
    seen.push(result.data.count);
  }
  assert.deepEqual(seen, [1, 2, 3]);
  console.log("ok: a subscription that ends");

  // Two on one connection, of which one is given up.
  const [kept, given] = [1, 2].map(() => client.iterate({ query: "subscription { count }" }));
  assert.equal((await kept.next()).value.data.count, 1);
  assert.equal((await given.next()).value.data.count, 1);
  await given.return();
  assert.equal((await kept.next()).value.data.count, 2);
  console.log("ok: two subscriptions, of which one is given up");

  const wrong = client.iterate({ query: "subscription { nothing }" });
  assert.match((await wrong.next()).value.errors[0].message, /Unknown field "nothing"/);
  console.log("ok: a subscription that cannot be");

  await assert.rejects(once(new WebSocket(url, ["mqtt"]), "open"), /Server sent no subprotocol/);
  console.log("ok: no subprotocol in common");

  // By its own rules the client may try again after 1001; told not to, it passes that on.
  server.kill("SIGTERM");
  const ended = await (async () => {
    for (;;) if ((await kept.next()).done) return "done";
  })().catch((event) => event.code);
  assert.equal(ended, 1001);
  assert.deepEqual(closed.at(-1), [1001, true]);
  assert.deepEqual(await exited, [0, null]);
  console.log("ok: a drain");
} finally {
  clearTimeout(limit);
  server.kill();
  await client.dispose();
}
