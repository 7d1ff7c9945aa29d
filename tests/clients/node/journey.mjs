// Joins a topic, publishes to it, receives what it published, acknowledges it, and joins again after what it has seen.
// Environment: CLIENT (a package that exports Socket), WEBSOCKET ("none" takes it away), SOCKET_URL, TOKEN, TOPIC.
import assert from "node:assert/strict";

const { CLIENT, WEBSOCKET, SOCKET_URL, TOKEN, TOPIC } = process.env;
if (WEBSOCKET === "none") delete globalThis.WebSocket; // as on Node.js before 22
globalThis.window ??= globalThis; // where the older clients look for WebSocket

const client = await import(CLIENT);
const { Socket } = client.Socket ? client : client.default; // the older ones are CommonJS
const title = `from ${CLIENT}`;

const within = (what, start) =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`timed out: ${what}`)), 60_000);
    start((value) => (clearTimeout(late), resolve(value)), reject);
  });

const reply = (what, push) =>
  within(what, (resolve, reject) =>
    push.receive("ok", resolve).receive("error", (reason) => reject(new Error(`${what}: ${JSON.stringify(reason)}`))),
  );

// The official client sends authToken beside the URL; the older ones know parameters alone.
const connected = () => {
  const socket = new Socket(SOCKET_URL, { authToken: TOKEN, params: { token: TOKEN }, timeout: 60_000 });
  socket.connect();
  return socket;
};

const socket = connected();
const channel = socket.channel(`topic:${TOPIC}`, {});
const received = within("notification", (resolve) => channel.on("notification", resolve));
await reply("join", channel.join());
const published = await reply("publish", channel.push("publish", { title }));
const notification = await received;
assert.deepEqual([notification.id, notification.title], [published.id, title]);
const acked = await reply("ack", channel.push("ack", { up_to: notification.seq }));
assert.equal(acked.acked_up_to, notification.seq);
await reply("leave", channel.leave());

const again = connected().channel(`topic:${TOPIC}`, { since: notification.seq - 1 });
const resumed = within("the same notification", (resolve) => again.on("notification", resolve));
await reply("join again", again.join());
assert.equal((await resumed).seq, notification.seq);
console.log(`received ${notification.seq}`);
process.exit(0);
