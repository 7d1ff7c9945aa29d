"""What `helm test` runs: one notification from publish to acknowledgement, through the entry point, as its user."""

import asyncio
import base64
import json
import os
import sys
import uuid

import aiohttp

API = os.environ["API"].rstrip("/")
SOCKET = os.environ["SOCKET"].rstrip("/")
EMAIL, PASSWORD = os.environ["ADMIN_EMAIL"], os.environ["ADMIN_PASSWORD"]
TOPIC = f"helm-test-{uuid.uuid4().hex[:12]}"
DEADLINE = 60


async def answer(socket, ref):
    """The reply to the message `ref`; what else comes is kept by the caller."""
    pushes = []
    while True:
        _, got, _, event, payload = await socket.receive_json(timeout=20)
        if event == "phx_reply" and got == ref:
            if payload["status"] != "ok":
                raise SystemExit(f"The socket refused: {payload['response']}")
            return payload["response"], pushes
        pushes.append((event, payload))


async def journey():
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
        form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
        async with session.post(f"{API}/api/v1/token", data=form) as response:
            token = (await response.json())["access_token"]
        print("logged in")
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{API}/api/v1/topics", json={"name": TOPIC}, headers=headers):
            print(f"made the topic {TOPIC}")
        try:
            shown = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
            protocols = ("phoenix", f"base64url.bearer.phx.{shown}")
            async with session.ws_connect(f"{SOCKET}/websocket?vsn=2.0.0", protocols=protocols) as socket:
                topic = f"topic:{TOPIC}"
                await socket.send_json(["1", "1", topic, "phx_join", {}])
                await answer(socket, "1")
                print("joined it through the socket")
                await socket.send_json(["1", "2", topic, "publish", {"body": "from helm test"}])
                published, pushes = await answer(socket, "2")
                while not any(event == "notification" for event, _ in pushes):
                    _, _, _, event, payload = await socket.receive_json(timeout=20)
                    pushes.append((event, payload))
                received = next(payload for event, payload in pushes if event == "notification")
                if (received["seq"], received["body"]) != (published["seq"], "from helm test"):
                    raise SystemExit(f"Something else was received: {json.dumps(received)}")
                print("published, and received it")
                await socket.send_json(["1", "3", topic, "ack", {"up_to": published["seq"]}])
                acked, _ = await answer(socket, "3")
                if acked["unread"] != 0:
                    raise SystemExit(f"It is still unread: {json.dumps(acked)}")
                print("acknowledged it")
        finally:
            async with session.delete(f"{API}/api/v1/topics/{TOPIC}", headers=headers):
                print("deleted the topic")


async def main():
    async with asyncio.timeout(DEADLINE):
        await journey()


try:
    asyncio.run(main())
except (aiohttp.ClientError, TimeoutError, KeyError, TypeError) as error:
    sys.exit(f"Notifyx does not work from here ({API}): {type(error).__name__}: {error}")
