"""What hooks ask of the gateway. Each thread has a connection of its own for it, on which things are done
one after another: what was stored is there when it is asked for."""

import os
import socket
import sys
import threading

import coproc_frames as frames

# How long the gateway may take for data, in seconds.
PATIENCE = 2.0

_own = threading.local()


def _connection():
    made = getattr(_own, "connection", None)
    if made is None:
        made = frames.connect()
        made.settimeout(PATIENCE)
        _own.connection = made
    return made


def _drop():
    made = getattr(_own, "connection", None)
    if made is not None:
        _own.connection = None
        made.close()


def tell(kind, payload):
    """Says something that has no answer."""
    try:
        _connection().sendall(frames.frame(0, kind, payload))
    except OSError as error:
        _drop()
        print("the gateway cannot be told: %s" % error, file=sys.stderr, flush=True)


def get(name):
    """Data that were stored; empty where there are none."""
    try:
        connection = _connection()
        connection.sendall(frames.frame(0, frames.GET, name.encode()))
        length, _, _ = frames.HEAD.unpack(_exactly(connection, frames.HEAD.size))
        return _exactly(connection, length)
    except (OSError, EOFError, socket.timeout) as error:
        # What is still to come is no answer to what is asked next.
        _drop()
        print("the gateway cannot be asked: %s" % error, file=sys.stderr, flush=True)
        return b""


def _exactly(connection, length):
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError("it ended")
        data += piece
    return bytes(data)


# What a process asks that a hook has forked is not answered to the hook.
os.register_at_fork(after_in_child=_drop)
