// Publishes and receives on one topic by the official Phoenix client, unmodified, while gateways are killed.
// Environment: SOCKET_URL, TOKEN, TOPIC, TRANSPORT (websocket, longpoll), COUNT. Prints "at N" after every twentieth
// answer and goes on when it gets a line. Prints at the end, as JSON, the seqs it received, those its publishes were
// answered with, and how often it was cut off.
import { LongPoll, Socket } from "phoenix";

const { SOCKET_URL, TOKEN, TOPIC, TRANSPORT } = process.env;
const COUNT = Number(process.env.COUNT);
const PUSH_TIMEOUT = 2_000;

const socket = new Socket(SOCKET_URL, {
  authToken: TOKEN,
  ...(TRANSPORT === "longpoll" ? { transport: LongPoll } : {}),
});
const received = [];
const answered = {};
let seen;
let cut = 0;
let begun = false;

socket.onError(() => {
  cut += 1;
});
socket.connect();

const channel = socket.channel(`topic:${TOPIC}`, () => (seen ? { since: seen } : {}));

const finish = () => {
  if (received.length < COUNT || Object.keys(answered).length < COUNT) return;
  console.log(JSON.stringify({ received, answered, cut }));
  process.exit(0);
};

channel.on("notification", ({ seq, body }) => {
  seen = seq;
  received.push([seq, body]);
  finish();
});

const publish = (number) => {
  const body = `message ${number}`;
  const again = () => publish(number);
  channel
    .push("publish", { body, key: `key-${number}` }, PUSH_TIMEOUT)
    .receive("ok", ({ seq }) => {
      answered[body] = seq;
      if (number < COUNT && number % 20 === 0) {
        process.stdin.once("data", () => publish(number + 1));
        console.log(`at ${number}`);
      } else if (number < COUNT) {
        publish(number + 1);
      }
      finish();
    })
    .receive("error", again)
    .receive("timeout", again);
};

channel.join().receive("ok", () => {
  if (begun) return;
  begun = true;
  publish(1);
});
