"""Talks through a topic, by WebSockets and by server-sent events, and comes back to it.

    python topics.py HOST:PORT

The server has the topics `/rooms/*`, in which all may publish. Prints a line for each check, and fails at the first
that fails.
"""

import asyncio
import base64
import http.client
import json
import os
import sys

from websockets.asyncio.client import ClientConnection, connect

from variants import VARIANTS, agreed, client_extensions, counting

SECONDS = 60


def client(address, path, variant="default"):
    return connect(
        f"ws://{address}{path}",
        proxy=None,
        compression=None,
        extensions=client_extensions(variant),
        create_connection=counting(ClientConnection),
    )


async def check_conversation(address, variant):
    """What either sends, both get: with and without compression."""
    path = f"/rooms/{variant}"
    messages = ["né ", "", os.urandom(1000), "one\r\ntwo\n", b"", "compressible " * 10_000, bytes(100_000)]
    async with client(address, path, variant) as one, client(address, path, "none") as other:
        # Who has been heard was there.
        for websocket in [one, other]:
            await websocket.send("here")
            for reader in [one, other]:
                assert await reader.recv() == "here"
        before = [websocket.received_bytes for websocket in [one, other]]
        for number, message in enumerate(messages):
            await [one, other][number % 2].send(message)
            for reader in [one, other]:
                assert await reader.recv() == message, f"{message[:20]} came changed"
        took = [websocket.received_bytes - start for websocket, start in zip([one, other], before)]
        length = sum(len(message.encode() if isinstance(message, str) else message) for message in messages)
        assert took[1] > length, took
        if VARIANTS[variant] is None:
            assert agreed(one) == "none" and took[0] == took[1], (agreed(one), took)
        else:
            assert "PerMessageDeflate" in agreed(one) and took[0] < length / 20, (agreed(one), took)


async def enveloped(websocket):
    return json.loads(await websocket.recv())


def position(said):
    return f"{said['epoch']}:{said['offset']}"


async def check_resume(address):
    """Who was away gets what there was, and is told whether that is all."""
    path = "/rooms/resume"
    async with client(address, path) as speaker:
        async with client(address, f"{path}?envelope=json") as reader:
            begun = (await enveloped(reader))["subscribed"]
            assert begun["offset"] == 0 and "recovered" not in begun, begun
            await speaker.send("seen")
            last = await enveloped(reader)
            assert last["data"] == "seen" and last["epoch"] == begun["epoch"], last
        missed = ["missed", b"\x00\xff", "né\r\n"]
        assert await speaker.recv() == "seen"
        for message in missed:
            await speaker.send(message)
            assert await speaker.recv() == message
        async with client(address, f"{path}?envelope=json&since={position(last)}") as reader:
            begun = (await enveloped(reader))["subscribed"]
            assert begun == {"epoch": last["epoch"], "offset": last["offset"], "recovered": True}, begun
            await speaker.send("after")
            offsets = [last["offset"]]
            for message in [*missed, "after"]:
                said = await enveloped(reader)
                got = said["data"] if "data" in said else base64.b64decode(said["base64"])
                assert got == message, said
                offsets.append(said["offset"])
            assert offsets == sorted(set(offsets)), offsets
        # Of a history that there is not any more.
        async with client(address, f"{path}?envelope=json&since=0000000000000000:1") as reader:
            begun = (await enveloped(reader))["subscribed"]
            assert begun["recovered"] is False and begun["epoch"] == last["epoch"], begun
            assert (await enveloped(reader))["data"] == "seen"


class Events:
    """A stream of server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has it."""

    def __init__(self, address, path, last=None):
        self.connection = http.client.HTTPConnection(address, timeout=SECONDS)
        self.last = last
        resume = {"Last-Event-ID": last} if last else {}
        self.connection.request("GET", path, headers={"Accept": "text/event-stream", **resume})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.status
        assert self.response.headers["Content-Type"] == "text/event-stream", self.response.headers

    def next(self):
        """The next event, as its type and its data."""
        kind, data = "message", []
        while line := self.response.readline().decode():
            field, _, value = line.removesuffix("\n").partition(":")
            value = value.removeprefix(" ")
            if line == "\n":
                if data:
                    return kind, "\n".join(data)
                kind = "message"
            elif field == "event":
                kind = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last = value
        raise AssertionError("the stream has ended")

    def close(self):
        self.response.close()
        self.connection.close()


def publish(address, path, body, media="text/plain"):
    connection = http.client.HTTPConnection(address, timeout=SECONDS)
    connection.request("POST", path, body, {"Content-Type": media})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    assert response.status == 200, (response.status, answer)
    assert response.headers["Topic-Position"] == position(json.loads(answer)), response.headers
    return position(json.loads(answer))


async def check_events(address):
    """Published by POST, and read by what Python has."""
    path = "/rooms/events"
    events = Events(address, path)
    kind, data = events.next()
    assert kind == "subscribed" and json.loads(data)["offset"] == 0, (kind, data)
    at = publish(address, path, "né\n\ntwo".encode())
    assert events.next() == ("message", "né\n\ntwo") and events.last == at, events.last
    events.close()
    publish(address, path, bytes(range(256)), "application/octet-stream")
    publish(address, path, b"")
    events = Events(address, path, last=at)
    kind, data = events.next()
    assert kind == "subscribed" and json.loads(data)["recovered"] is True, (kind, data)
    assert events.next() == ("binary", base64.b64encode(bytes(range(256))).decode())
    assert events.next() == ("message", "")
    at = publish(address, path, b"after")
    assert events.next() == ("message", "after") and events.last == at, events.last
    events.close()


async def main(address):
    checks = {f"conversation, {variant}": check_conversation(address, variant) for variant in VARIANTS}
    checks |= {"resume": check_resume(address), "events": check_events(address)}
    for name, check in checks.items():
        await asyncio.wait_for(check, SECONDS)
        print(f"{name}: ok", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
