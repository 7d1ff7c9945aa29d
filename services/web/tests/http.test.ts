import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { unreachable } from "@/api/errors";
import { fetchInTime, pauseAfter } from "@/api/http";

/** What the client makes of the bytes of one answer, after which the server ends the connection. */
async function answered(bytes: string): Promise<Response> {
  const server = createServer((socket) => {
    socket.once("data", () => socket.end(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await fetchInTime(new Request(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
  } finally {
    server.close();
  }
}

describe("an answer", () => {
  it("is what the server said", async () => {
    const answer = await answered('HTTP/1.1 201 Created\r\nRetry-After: 3\r\nContent-Length: 9\r\n\r\n{"seq":1}');
    expect([answer.status, answer.headers.get("Retry-After"), await answer.json()]).toEqual([201, "3", { seq: 1 }]);
    expect((await answered("HTTP/1.1 204 No Content\r\n\r\n")).status).toBe(204);
  });

  it("whose body is lost with its server was not given", async () => {
    const head = "HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n";
    await expect(answered(head)).rejects.toEqual(unreachable());
    await expect(answered(`${head}{"seq"`)).rejects.toEqual(unreachable());
    await expect(answered("")).rejects.toEqual(unreachable());
  });
});

describe("the pause after failures", () => {
  it("is longer and longer, as long as the server says, and never the same", () => {
    expect(pauseAfter(1, undefined, 1)).toBe(1000);
    expect(pauseAfter(1, undefined, 0)).toBe(500);
    expect(pauseAfter(50, undefined, 1)).toBe(15_000);
    expect(pauseAfter(1, 30, 0)).toBe(30_000);
  });
});
