"""Talks to the topics of the command with centrifuge-python, and comes back to them.

    python centrifugo.py RIKKI

Starts that program as it needs it. Prints a line for each check, and fails if one of them does.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import tempfile
import time

from centrifuge import Client, ClientEventHandler, ReplyError, SubscriptionEventHandler

SECONDS = 30
KEY = b"a key that is of no use elsewhere"
PATH = "/connection/websocket"


class Log:
    """What comes of a client or of a subscription, by the name of its handler."""

    def __init__(self, base):
        self.came = {}
        log = self

        class Handler(base):
            def __getattribute__(self, name):
                if not name.startswith("on_"):
                    return super().__getattribute__(name)

                async def note(context):
                    log.queue(name).put_nowait(context)

                return note

        self.handler = Handler()

    def queue(self, name):
        return self.came.setdefault(name, asyncio.Queue())

    async def next(self, name):
        return await self.queue("on_" + name).get()


class Server:
    """The command, with these flags, on a free port or on one that it had before."""

    def __init__(self, program, folder):
        self.program, self.folder, self.process = program, folder, None

    async def start(self, *flags, port=0):
        arguments = ["--log", "warn", "--listen", f"ws://127.0.0.1:{port}", *flags, self.folder]
        self.process = await asyncio.create_subprocess_exec(self.program, *arguments, stdout=asyncio.subprocess.PIPE)
        while line := await self.process.stdout.readline():
            if line.startswith(b"Starting WS listener on ws://"):
                self.port = int(line.split(b"/")[2].split(b":")[1])
                return self
        raise AssertionError("the server has not started")

    def url(self, port=None):
        return f"ws://127.0.0.1:{port or self.port}{PATH}"

    async def kill(self):
        self.process.kill()
        await self.process.wait()


class Proxy:
    """A way to a port that can be cut."""

    async def start(self, port):
        self.writers = []

        async def copy(reader, writer):
            self.writers.append(writer)
            try:
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            except OSError:
                pass
            writer.close()

        async def serve(reader, writer):
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(copy(reader, other_writer), copy(other_reader, writer))

        self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


def token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    claims = {"exp": int(time.time()) + 3600, **claims}
    head = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
    return (head + b"." + part(hmac.new(KEY, head, hashlib.sha256).digest())).decode()


def connect_to(url, **options):
    log = Log(ClientEventHandler)
    return Client(url, events=log.handler, min_reconnect_delay=0.02, max_reconnect_delay=0.2, **options), log


async def subscribe(client, channel, **options):
    log = Log(SubscriptionEventHandler)
    subscription = client.new_subscription(channel, events=log.handler, min_resubscribe_delay=0.02, **options)
    await subscription.subscribe()
    return subscription, log


async def check_talk(server):
    await server.start("--topic", "/rooms/*,publish,presence")
    client, log = connect_to(server.url(), data={"hello": 1})
    await client.connect()
    connected = await log.next("connected")
    subscription, events = await subscribe(client, "rooms/a", join_leave=True)
    assert (await events.next("subscribed")).recoverable
    assert (await events.next("join")).info.client == connected.client
    values = [{"text": "né\n"}, [1.5, None], "text", 17, {"deep": [[[{}]]]}]
    for value in values:
        await subscription.publish(value)
    for offset, value in enumerate(values, 1):
        publication = (await events.next("publication")).pub
        assert (publication.data, publication.offset) == (value, offset), publication
    history = await subscription.history(limit=2, reverse=True)
    assert [publication.offset for publication in history.publications] == [5, 4], history
    presence = await subscription.presence()
    assert list(presence.clients) == [connected.client], presence
    stats = await subscription.presence_stats()
    assert (stats.num_clients, stats.num_users) == (1, 1), stats
    for call, code in [(client.rpc("nothing", {}), 108), (client.publish("nothing", {}), 102)]:
        try:
            await call
        except ReplyError as error:
            assert error.code == code, error
        else:
            raise AssertionError("no error came")
    await subscription.unsubscribe()
    await events.next("unsubscribed")
    await client.disconnect()


async def check_cut(server):
    await server.start("--topic", "/chat,publish")
    proxy = await Proxy().start(server.port)
    client, log = connect_to(server.url(proxy.port))
    writer, _ = connect_to(server.url())
    await writer.connect()
    await client.connect()
    await log.next("connecting")
    _, events = await subscribe(client, "chat", recoverable=True)
    await events.next("subscribed")
    last = 0
    for _ in range(3):
        for number in range(20):
            if number == 10:
                proxy.cut()
                await log.next("connecting")
            last += 1
            await writer.publish("chat", last)
        subscribed = await events.next("subscribed")
        assert (subscribed.was_recovering, subscribed.recovered) == (True, True), subscribed
    for number in range(1, last + 1):
        publication = (await events.next("publication")).pub
        assert (publication.data, publication.offset) == (number, number), publication
    await client.disconnect()
    await writer.disconnect()
    proxy.server.close()


async def check_kill(server):
    await server.start("--topic", "/chat,publish")
    client, log = connect_to(server.url())
    await client.connect()
    await log.next("connecting")
    subscription, events = await subscribe(client, "chat", recoverable=True)
    await events.next("subscribed")
    await subscription.publish("before")
    await events.next("publication")
    await server.kill()
    await log.next("connecting")
    await server.start("--topic", "/chat,publish", port=server.port)
    subscribed = await events.next("subscribed")
    assert (subscribed.was_recovering, subscribed.recovered) == (True, False), subscribed
    await subscription.publish("after")
    assert (await events.next("publication")).pub.offset == 1
    await client.disconnect()


async def check_tokens(server):
    flags = ["--topic", "/chat", "--topic", "/rooms/*", "--topic-jwt-key", os.path.join(server.folder, "jwt.key")]
    await server.start(*flags)
    asked = {"connection": 0, "subscription": 0}

    def expires(kind):
        asked[kind] += 1
        return int(time.time()) + (2 if asked[kind] < 3 else 3600)

    async def for_connection():
        return token(sub="ada", subscribe=["chat"], exp=expires("connection"))

    async def for_subscription(channel):
        return token(sub="ada", channel=channel, exp=expires("subscription"))

    client, log = connect_to(server.url(), token=token(sub="ada", exp=int(time.time()) - 5), get_token=for_connection)
    await client.connect()
    assert (await log.next("error")).error.code == 109
    await log.next("connected")
    _, events = await subscribe(client, "rooms/a", get_token=for_subscription)
    await events.next("subscribed")
    while min(asked.values()) < 3:
        await asyncio.sleep(0.05)
    await client.history("chat", limit=1)
    assert log.queue("on_connected").empty() and events.queue("on_unsubscribed").empty()
    assert events.queue("on_error").empty(), events.queue("on_error").get_nowait()
    await client.disconnect()


async def check_closes(server):
    key = os.path.join(server.folder, "jwt.key")
    flags = ["--topic", "/chat,publish", "--max-message", "100KiB"]

    def says(text):
        return lambda client, _: client._conn.send(text)

    async def end(_, server):
        server.process.terminate()

    cases = [
        (flags, {}, end, "connecting", 1),
        ([*flags, "--drain-code", "1012"], {}, end, "connecting", 1),
        ([*flags, "--topic-memory", "20KiB"], {}, says(" " * 50_000 + "{}"), "connecting", 1),
        (flags, {}, says(" " * 200_000), "connecting", 3),
        ([*flags, "--topic-jwt-key", key], {"token": "wrong"}, None, "disconnected", 3500),
        (flags, {}, says('{"id":1'), "disconnected", 3501),
        (flags, {}, says(b"x"), "disconnected", 3506),
        ([*flags, "--topic-jwt-key", key], {"token": token(channel="chat")}, None, "disconnected", 3507),
        (flags, {}, says('{"send":{}}'), "disconnected", 3508),
    ]
    for flags, options, act, event, code in cases:
        await server.start(*flags)
        client, log = connect_to(server.url(), **options)
        await client.connect()
        await log.next("connecting")
        if act:
            await log.next("connected")
            await act(client, server)
        context = await log.next(event)
        assert context.code == code, (flags, context)
        if event == "connecting" and act is not end:
            await log.next("connected")
        await client.disconnect()
        if server.process.returncode is None:
            await server.kill()


async def run(name, check, program, folder):
    server = Server(program, folder)
    try:
        await check(server)
        print(f"{name}: ok", flush=True)
    finally:
        if server.process and server.process.returncode is None:
            await server.kill()


async def main():
    checks = {name[6:]: check for name, check in globals().items() if name.startswith("check_")}
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "jwt.key"), "wb") as file:
            file.write(KEY)
        runs = [run(name, check, sys.argv[1], folder) for name, check in checks.items()]
        await asyncio.wait_for(asyncio.gather(*runs), SECONDS)


asyncio.run(main())
