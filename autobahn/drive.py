"""Starts the Autobahn test suite in one of its two roles, on CPython 2.7 or on PyPy 2.7.

    drive.py SITE_PACKAGES fuzzingclient|fuzzingserver SPECIFICATION

SITE_PACKAGES is where CPython's environment keeps the suite. PyPy takes it from there as well: all of it is Python
but for OpenSSL, so PyPy cannot speak TLS. It runs the rest eight times as fast.

The client ends after its last case. The server listens on a free port of 127.0.0.1, says which, and never ends.
"""

import json
import platform
import site
import sys
import types

site_packages, role, specification = sys.argv[1:]
site.addsitedir(site_packages)

import twisted.internet

if platform.python_implementation() == "PyPy":
    # The suite imports this whether it needs it or not.
    twisted.internet.ssl = sys.modules["twisted.internet.ssl"] = types.ModuleType("ssl")

from autobahntestsuite import fuzzing
from twisted.internet import reactor

with open(specification) as text:
    settings = json.load(text)
if role == "fuzzingserver":
    port = reactor.listenTCP(0, fuzzing.FuzzingServerFactory(settings), interface="127.0.0.1")
    print("listening on ws://127.0.0.1:%d" % port.getHost().port)
    sys.stdout.flush()
else:
    fuzzing.startClient(settings)
reactor.run()
