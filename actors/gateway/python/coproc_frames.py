"""Frames between a worker and the gateway: the length of the payload, the number of the call (4 bytes each,
little-endian), the kind (1 byte), the payload."""

import json
import os
import socket
import struct
import threading

HELLO, DISPATCH, REPLY, ERROR, EVENT, LOG, GET = 1, 2, 3, 4, 5, 6, 7
SET, TRIGGER, VALUE, LANE, DRAIN, SLOW, CANCEL, READY = 8, 9, 10, 11, 12, 13, 14, 15

HEAD = struct.Struct("<IIB")
LENGTH = struct.Struct("<I")
# How much is read at once, in bytes.
READ = 256 << 10


def frame(number, kind, payload=b""):
    """A frame as bytes."""
    return HEAD.pack(len(payload), number, kind) + payload


def pair(first, second):
    """Two parts as one payload."""
    first = first.encode()
    return LENGTH.pack(len(first)) + first + second


def connect(**more):
    """A connection to the gateway, which knows whose it is."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(os.environ["COPROC_PYTHON_SOCKET"])
    hello = {"worker": os.environ["COPROC_PYTHON_WORKER"], "pid": os.getpid()}
    hello.update(more)
    made.sendall(frame(0, HELLO, json.dumps(hello).encode()))
    return made


class Connection:
    """A connection that frames come in over, and answers go out."""

    def __init__(self, made):
        self.socket = made
        self.rest = b""
        # What is to be sent; only whoever has the turn touches it.
        self.out = []
        self._sending = threading.Lock()

    def receive(self):
        """All frames that have come as a whole; `None` at the end."""
        data = self.socket.recv(READ)
        if not data:
            return None
        if self.rest:
            self.rest += data
            data = self.rest
        frames, at, end = [], 0, len(data)
        while end - at >= 9:
            length, number, kind = HEAD.unpack_from(data, at)
            begin = at + 9
            if end - begin < length:
                break
            at = begin + length
            frames.append((number, kind, bytes(data[begin:at])))
        if at < end:
            if data is self.rest:
                del data[:at]
            else:
                self.rest = bytearray(data[at:])
        else:
            self.rest = b""
        return frames

    def send(self, data):
        """Sends frames as a whole. A gateway that is gone is heard of elsewhere."""
        try:
            with self._sending:
                self.socket.sendall(data)
        except OSError:
            pass


class Control(Connection):
    """The connection that the worker made itself: further ones come over it."""

    def __init__(self, made):
        super().__init__(made)
        self.came = []

    def receive(self):
        room = socket.CMSG_SPACE(16 * 4)
        data, ancillary, _, _ = self.socket.recvmsg(READ, room)
        if not data:
            return None
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                for (number,) in struct.iter_unpack("i", content[: len(content) // 4 * 4]):
                    os.set_inheritable(number, False)
                    self.came.append(Connection(socket.socket(fileno=number)))
        data = self.rest + data
        whole = len(data) // 9 * 9
        self.rest = data[whole:]
        # Frames without payloads are all that comes here.
        return [(number, kind, b"") for _, number, kind in HEAD.iter_unpack(data[:whole])]
