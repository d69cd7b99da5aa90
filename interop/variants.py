"""What the client and the server of these tests have in common."""

import json

from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

# The ways to negotiate compression, as the parameters of RFC 7692 section 7.1. None is for not at all.
VARIANTS = {
    "none": None,
    "default": {},
    "server-forgets": {"server_no_context_takeover": True},
    "client-forgets": {"client_no_context_takeover": True},
    "both-forget": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}
for bits in range(9, 16):
    VARIANTS[f"window-{bits}"] = {"server_max_window_bits": bits, "client_max_window_bits": bits}


def client_extensions(variant):
    parameters = VARIANTS[variant]
    return None if parameters is None else [ClientPerMessageDeflateFactory(**parameters)]


def server_extensions(variant):
    parameters = VARIANTS[variant]
    return None if parameters is None else [ServerPerMessageDeflateFactory(**parameters)]


def counting(connection):
    """A class of connections that count the bytes they receive, below the frames and above TLS."""

    class Counting(connection):
        received_bytes = 0

        def data_received(self, data):
            self.received_bytes += len(data)
            super().data_received(data)

    return Counting


def agreed(websocket):
    """What was agreed on, seen from here: a text, the same for both sides' tests."""
    extensions = websocket.protocol.extensions
    return extensions[0].__repr__() if extensions else "none"


def json_message(number):
    """One of many similar messages."""
    levels = [{"level": level, "price": 100 + number - level, "size": 10 * number} for level in range(1, 4)]
    return json.dumps({"event": "quote", "symbol": f"RIKK{number % 7}", "bids": levels})
