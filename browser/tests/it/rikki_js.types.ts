// What TypeScript is to take, and, marked, what it is not.
import { Topic, type GapEvent } from "/rikki.js";

const topic = new Topic("/chat?last=10", {
  token: async signal => (await fetch("/token", { signal })).text(),
  queue: 65536,
});
new Topic(new URL("/chat", location.href), { token: () => null });
topic.onmessage = ({ data, time, lastEventId }) => {
  const taken: [string | ArrayBuffer, number, string] = [data, time, lastEventId];
  console.log(taken);
};
topic.onmessage = null;
topic.addEventListener("open", ({ recovered }) => console.log(recovered === false));
topic.addEventListener("gap", (event: GapEvent) => console.log((event.missed ?? 0) + 1));
topic.addEventListener("close", ({ code, retry }) => console.log(code + (retry ?? 0)), { once: true });
topic.addEventListener("presence", ({ joined: [{ user }] }) => console.log(user.length));
topic.addEventListener("other", event => console.log(event.type));
const sent: Promise<void> = topic.send(new Uint8Array(3));
void sent.then(() => topic.send("text"));
if (topic.readyState === Topic.OPEN) topic.close(4000, "bye");
topic.connect();
const position: string | null = topic.position;
console.log(position, topic.url.length + topic.bufferedAmount);

// @ts-expect-error: it is told, not set
topic.position = "00c0ffee00c0ffee:42";
// @ts-expect-error: there is no such option
new Topic("/chat", { retries: 1 });
// @ts-expect-error: it is a text or bytes
void topic.send(1);
