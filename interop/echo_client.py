"""Drives an echo server with every variant of compression and checks what comes back.

    python echo_client.py URL MODE [CA]

MODE is how the server compresses, from a message of one byte on: off, shared or dedicated. It takes messages of up to
4 MiB. CA is the PEM file of the authority to trust. Prints a line for each variant, and fails at the first that fails.
"""

import asyncio
import os
import ssl
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from variants import VARIANTS, agreed, client_extensions, counting, json_message

SIZES = [0, 1, 125, 126, 65_535, 65_536, 1_000_000]
MAX_MESSAGE = 4 * 1024 * 1024
SECONDS = 60


class Server:
    """The server under test."""

    def __init__(self, url, mode, ca=None):
        self.url = url
        self.mode = mode
        self.ssl = ssl.create_default_context(cafile=ca) if ca else None

    def connect(self, variant, max_size=2 * MAX_MESSAGE):
        return connect(
            self.url,
            ssl=self.ssl,
            proxy=None,
            compression=None,
            extensions=client_extensions(variant),
            create_connection=counting(ClientConnection),
            max_size=max_size,
        )


async def echoed(websocket, message):
    await websocket.send(message)
    assert await websocket.recv() == message, f"{len(message)} bytes came back changed"


def check_agreed(websocket, variant, mode):
    parameters = VARIANTS[variant]
    if mode == "off" or parameters is None:
        assert agreed(websocket) == "none", agreed(websocket)
        return
    shared = mode == "shared"
    # Remote is the server.
    expected = (
        f"PerMessageDeflate(remote_no_context_takeover={shared or 'server_no_context_takeover' in parameters}, "
        f"local_no_context_takeover={shared or 'client_no_context_takeover' in parameters}, "
        f"remote_max_window_bits={parameters.get('server_max_window_bits', 15)}, "
        f"local_max_window_bits={parameters.get('client_max_window_bits', 15)})"
    )
    assert agreed(websocket) == expected, f"{agreed(websocket)} instead of {expected}"


async def check_json(websocket):
    """Many similar messages; returns how many bytes come in for each byte of them."""
    messages = [json_message(number) for number in range(1000)]
    before = websocket.received_bytes
    sending = asyncio.create_task(send_all(websocket, messages))
    for message in messages:
        assert await websocket.recv() == message
    await sending
    return (websocket.received_bytes - before) / sum(map(len, messages))


async def send_all(websocket, messages):
    for message in messages:
        await websocket.send(message)


def check_ratio(ratio, websocket):
    if agreed(websocket) == "none":
        assert ratio > 1, ratio
    elif websocket.protocol.extensions[0].remote_no_context_takeover:
        assert 0.5 < ratio < 0.9, ratio
    else:
        assert ratio < 0.35, ratio


async def check_variant(server, variant):
    async with server.connect(variant) as websocket:
        check_agreed(websocket, variant, server.mode)
        for size in SIZES:
            await echoed(websocket, os.urandom(size))
            await echoed(websocket, "né ".ljust(size, "x")[: size - 1] if size > 2 else "x" * size)
        await websocket.send(["in ", "", "f\u00f6ur ", "pieces"])
        assert await websocket.recv() == "in f\u00f6ur pieces"
        await (await websocket.ping(b"are you there?"))
        ratio = await check_json(websocket)
        check_ratio(ratio, websocket)
        await websocket.close(4001, "bye")
        assert websocket.protocol.close_rcvd.code == 4001, websocket.protocol.close_rcvd
    print(f"{variant}: ok, {ratio:.3f} bytes received for a byte of JSON", flush=True)


async def check_limits(server, variant):
    websocket = await server.connect(variant)
    await echoed(websocket, os.urandom(MAX_MESSAGE))
    await refused(websocket, os.urandom(MAX_MESSAGE + 1))
    assert websocket.protocol.close_rcvd.code == 1009, websocket.protocol.close_rcvd
    # Large when it has been decompressed.
    websocket = await server.connect(variant)
    await refused(websocket, bytes(MAX_MESSAGE + 1))
    assert websocket.protocol.close_rcvd.code == 1009, websocket.protocol.close_rcvd
    # What we refuse. The library reads nothing after its Close, not even the answer.
    websocket = await server.connect(variant, max_size=1000)
    await echoed(websocket, os.urandom(1000))
    await refused(websocket, os.urandom(1001))
    assert websocket.protocol.close_sent.code == 1009, websocket.protocol.close_sent
    print(f"{variant}: ok, limits", flush=True)


async def refused(websocket, message):
    """Sends what ends the connection, and waits for the end."""
    # How sending fails depends on when, and after the end even `close` may fail with an AttributeError (15.0.1).
    sending = asyncio.create_task(websocket.send(message))
    try:
        await websocket.recv()
    except ConnectionClosedError:
        return
    finally:
        await websocket.wait_closed()
        await asyncio.gather(sending, return_exceptions=True)
    raise AssertionError(f"{len(message)} bytes were not refused")


async def main(server):
    for variant in VARIANTS:
        await asyncio.wait_for(check_variant(server, variant), SECONDS)
    for variant in ["none", "default"]:
        await asyncio.wait_for(check_limits(server, variant), SECONDS)


if __name__ == "__main__":
    asyncio.run(main(Server(*sys.argv[1:])))
