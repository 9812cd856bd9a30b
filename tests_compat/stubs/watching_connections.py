"""Loaded with -p: notes in the file COMPAT_CONNECTIONS each host that the process connects to or looks up."""

import os
import sys

_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")


def _note(event, arguments):
    if event in _EVENTS:
        # No further event comes of it: the file has been opened before.
        _file.write(f"{event} {arguments!r}\n")
        _file.flush()


_file = open(os.environ["COMPAT_CONNECTIONS"], "a", encoding="utf-8")  # noqa: SIM115 - for the process' life
sys.addaudithook(_note)
