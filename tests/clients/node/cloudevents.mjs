// Sends events with the JavaScript SDK: in the binary, the structured and the batch mode, and the first of them again.
// Environment: URL (where to publish), TOKEN. A failure exits non-zero.
import { CloudEvent, CONSTANTS, emitterFor, HTTP, Mode } from "cloudevents";

const { URL: url, TOKEN } = process.env;

const made = (id) =>
  new CloudEvent({ id, source: "/javascript", type: "sdk.event", subject: `javascript ${id} ünï`, data: { sent: id } });

const post = async ({ headers, body }) => {
  // fetch takes header values of Latin-1 alone, and the SDK leaves them as they are.
  const answer = await fetch(url, { method: "POST", body, headers: { ...headers, Authorization: `Bearer ${TOKEN}` } });
  if (answer.status !== 204) throw new Error(`${answer.status}: ${await answer.text()}`);
  return answer.headers.get("Idempotency-Replayed");
};

await emitterFor(post, { mode: Mode.BINARY })(made("binary"));
await emitterFor(post, { mode: Mode.STRUCTURED })(made("structured"));
if ((await post(HTTP.binary(made("binary")))) === null) throw new Error("the second binary event is no replay");
// The SDK reads batches, and leaves the writing of them to its user.
await post({
  headers: { "Content-Type": CONSTANTS.MIME_CE_BATCH },
  body: JSON.stringify([made("batch-1"), made("batch-2")]),
});
