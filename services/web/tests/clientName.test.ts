import { expect, test } from "vitest";
import { clientName } from "@/features/account/clientName";

test.each([
  [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Chrome on Linux",
  ],
  ["Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604", "Safari on iOS"],
  ["notifyx-client/0.1.0 (Darwin)", "Command line or Python client on macOS"],
  ["x".repeat(200), "x".repeat(40)],
  ["", "Unknown client"],
])("a user agent has a name: %s", (userAgent, name) => {
  expect(clientName(userAgent)).toBe(name);
});
