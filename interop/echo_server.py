"""Echo servers, one for each variant of compression, until standard input ends.

    python echo_server.py MAX_MESSAGE [CERTIFICATE KEY]

Prints `listening VARIANT URL` for each, and one line of JSON for each connection that has ended. The text message
`close CODE REASON` makes a server close.
"""

import asyncio
import json
import ssl
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from variants import VARIANTS, agreed, counting, server_extensions


async def echo(websocket):
    payload = 0
    try:
        async for message in websocket:
            payload += len(message)
            if isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await websocket.close(int(code), reason)
            else:
                await websocket.send(message)
    except ConnectionClosed:
        pass  # With an error: the report says which.
    closed = {"sent": websocket.protocol.close_sent, "received": websocket.protocol.close_rcvd}
    report = {name: close and [close.code, close.reason] for name, close in closed.items()}
    report.update(agreed=agreed(websocket), payload=payload, bytes=websocket.received_bytes)
    print(json.dumps(report), flush=True)


async def main(max_message, certificate=None, key=None):
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    for variant in VARIANTS:
        server = await serve(
            echo,
            "127.0.0.1",
            0,
            ssl=tls,
            compression=None,
            extensions=server_extensions(variant),
            create_connection=counting(ServerConnection),
            max_size=int(max_message),
        )
        port = server.sockets[0].getsockname()[1]
        print(f"listening {variant} {'wss' if tls else 'ws'}://localhost:{port}/", flush=True)
    # Whoever started this holds the other end.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
