// The journey of two people on three devices, by the official Phoenix client, unmodified.
// Environment: SOCKET_URL, ALICE_TOKEN, BOB_TOKEN, BOB_ID, TOPIC. Prints one line a step; any failure exits non-zero.
import assert from "node:assert/strict";
import { Socket } from "phoenix";

const { SOCKET_URL, ALICE_TOKEN, BOB_TOKEN, BOB_ID, TOPIC } = process.env;
const DEADLINE = 60_000;

/** Rejects when `promise` has not settled in time, naming what was waited for. */
const within = (promise, what) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out: ${what}`)), DEADLINE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const connect = (token) =>
  within(
    new Promise((resolve, reject) => {
      const socket = new Socket(SOCKET_URL, { authToken: token, timeout: DEADLINE });
      socket.onOpen(() => resolve(socket));
      socket.onError((error) => reject(new Error(`socket error: ${error?.message ?? error}`)));
      socket.connect();
    }),
    "connect",
  );

const answer = (push, what) =>
  within(
    new Promise((resolve, reject) => {
      push.receive("ok", resolve);
      push.receive("error", (response) => reject(Object.assign(new Error(`${what} refused`), { response })));
      push.receive("timeout", () => reject(new Error(`${what} timed out`)));
    }),
    what,
  );

const refusal = async (push, what) => {
  try {
    await answer(push, what);
  } catch (error) {
    if (error.response) return error.response;
    throw error;
  }
  throw new Error(`${what} was not refused`);
};

/** Records an event's payloads and lets a test wait until some condition holds on them. */
const record = (channel, event) => {
  const seen = [];
  const waiting = new Set();
  channel.on(event, (payload) => {
    seen.push(payload);
    for (const check of [...waiting]) check();
  });
  const until = (condition, what) =>
    within(
      new Promise((resolve) => {
        const check = () => {
          if (!condition(seen)) return;
          waiting.delete(check);
          resolve(seen);
        };
        waiting.add(check);
        check();
      }),
      what,
    );
  return { seen, until };
};

let steps = 0;
const step = (text) => console.log(`ok ${(steps += 1)} - ${text}`);
const seqs = (recorded) => recorded.seen.map((item) => item.seq);

// connect with authToken, on three devices
const [laptop, phone, bob] = await Promise.all([connect(ALICE_TOKEN), connect(ALICE_TOKEN), connect(BOB_TOKEN)]);
step("three devices connect with authToken");

// the user's own channel
const me = { laptop: laptop.channel("user:me"), phone: phone.channel("user:me"), bob: bob.channel("user:me") };
const unread = { laptop: record(me.laptop, "unread"), phone: record(me.phone, "unread") };
const direct = record(me.bob, "notification");
await Promise.all(Object.values(me).map((channel) => answer(channel.join(), "join user:me")));
const created = await answer(me.laptop.push("create_topic", { name: TOPIC, title: "A journey" }), "create_topic");
assert.equal(created.name, TOPIC);
step("a topic is created from the socket");

// join: params may be a function, which is how a client resumes
let lastSeen;
const onLaptop = laptop.channel(`topic:${TOPIC}`, () => (lastSeen === undefined ? {} : { since: lastSeen }));
const onPhone = phone.channel(`topic:${TOPIC}`);
const onBob = bob.channel(`topic:${TOPIC}`);
const got = {
  laptop: record(onLaptop, "notification"),
  phone: record(onPhone, "notification"),
  bob: record(onBob, "notification"),
};
onLaptop.on("notification", ({ seq }) => (lastSeen = seq));
const ackedOnPhone = record(onPhone, "acked");
const joined = await answer(onLaptop.join(), "join");
assert.deepEqual([joined.last_seq, joined.unread, joined.truncated], [0, 0, false]);
await Promise.all([answer(onPhone.join(), "join"), answer(onBob.join(), "join")]);
await answer(onLaptop.push("subscribe", { email: "never" }), "subscribe");
await answer(onBob.push("subscribe", { email: "never" }), "subscribe");
step("everybody joins and subscribes");

// publish and receive
const published = await answer(onLaptop.push("publish", { title: "Hello", body: "first", data: { n: 1 } }), "publish");
assert.equal(published.seq, 1);
for (const [who, recorded] of Object.entries(got)) {
  const [first] = await recorded.until((seen) => seen.length === 1, `first notification at ${who}`);
  assert.equal(first.id, published.id);
  assert.deepEqual([first.topic, first.seq, first.title, first.body], [TOPIC, 1, "Hello", "first"]);
  assert.deepEqual(first.data, { n: 1 });
}
step("a publish reaches every device");

// the same key is the same notification; another body under it is refused
const keyed = { body: "once", key: "k-1" };
const first = await answer(onLaptop.push("publish", keyed), "publish with key");
const again = await answer(onLaptop.push("publish", keyed), "publish with key again");
assert.equal(again.seq, first.seq);
assert.equal((await refusal(onLaptop.push("publish", { ...keyed, body: "other" }), "other body")).code, "idempotency_conflict");
step("an idempotency key publishes once");

// unread counts are the same on both devices, live
const counts = (recorded, wanted) =>
  recorded.until((seen) => seen.filter((item) => item.topic === TOPIC).at(-1)?.unread === wanted, `unread ${wanted}`);
await Promise.all([counts(unread.laptop, 2), counts(unread.phone, 2)]);
const acked = await answer(onLaptop.push("ack", { up_to: 1 }), "ack");
assert.deepEqual([acked.acked_up_to, acked.unread], [1, 1]);
await ackedOnPhone.until((seen) => seen.at(-1)?.unread === 1, "acked on the phone");
await Promise.all([counts(unread.laptop, 1), counts(unread.phone, 1)]);
const all = await answer(onPhone.push("ack", { seqs: [2] }), "ack from the phone");
assert.deepEqual([all.acked_up_to, all.unread], [2, 0]);
await Promise.all([counts(unread.laptop, 0), counts(unread.phone, 0)]);
step("two devices of one user see the same unread count, live");

// refusals are replies
assert.equal((await refusal(onBob.push("publish", { body: "no" }), "publish by a stranger")).code, "not_a_publisher");
assert.ok((await refusal(onBob.push("publish", { body: 7 }), "a wrong type")).reason);
assert.ok((await refusal(onBob.push("dance", {}), "an unknown event")).reason);
assert.ok((await refusal(bob.channel("topic:no-such-topic").join(), "join nothing")).reason);
step("what is refused is answered");

// leave, miss three, rejoin with since
await answer(onLaptop.leave(), "leave");
for (let n = 0; n < 3; n += 1) await answer(onPhone.push("publish", { body: `missed ${n}` }), "publish");
await got.phone.until((seen) => seen.length === 5, "five on the phone");
assert.equal(got.laptop.seen.length, 2);
const rejoined = laptop.channel(`topic:${TOPIC}`, { since: lastSeen });
const resumed = record(rejoined, "notification");
const state = await answer(rejoined.join(), "rejoin with since");
assert.deepEqual([state.last_seq, state.truncated], [5, false]);
await resumed.until((seen) => seen.length === 3, "the three that were missed");
assert.deepEqual(seqs(resumed), [3, 4, 5]);
step("leave, and rejoin with since, leaves no gap");

// history
const page = await answer(onPhone.push("history", { before: 4, limit: 2 }), "history");
assert.deepEqual(page.items.map((item) => item.seq), [2, 3]);
step("history pages backwards");

// a broken connection comes back by itself and resumes
let cursor = 5;
const steady = phone.channel(`topic:${TOPIC}`, () => ({ since: cursor }));
await answer(onPhone.leave(), "leave on the phone");
const afterBreak = record(steady, "notification");
steady.on("notification", ({ seq }) => (cursor = seq));
await answer(steady.join(), "join on the phone");
phone.conn.close(4999, "cable pulled");
await answer(rejoined.push("publish", { body: "while the phone was away" }), "publish");
await afterBreak.until((seen) => seen.length === 1, "the one published meanwhile");
assert.deepEqual(seqs(afterBreak), [6]);
step("a broken connection resumes by itself");

// direct message
const sent = await answer(me.laptop.push("send", { to: BOB_ID, body: "just for you" }), "send");
const [message] = await direct.until((seen) => seen.length === 1, "the direct message");
assert.deepEqual([message.id, message.body], [sent.id, "just for you"]);
step("a direct message reaches its user");

// the token can be renewed in place
await answer(me.laptop.push("access_token", { token: ALICE_TOKEN }), "renew the token");
assert.ok((await refusal(me.laptop.push("access_token", { token: BOB_TOKEN }), "another user's token")).code);
step("the access token is renewed in place, by its own user only");

assert.deepEqual(seqs(got.bob).sort((a, b) => a - b), [1, 2, 3, 4, 5, 6]);
step("nothing was lost or doubled for a quiet device");
for (const socket of [laptop, phone, bob]) socket.disconnect();
console.log(`1..${steps}`);
