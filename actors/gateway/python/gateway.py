"""The gateway, as hooks know it."""

import struct

import coproc_calls
import coproc_frames


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class TykGateway:
    """What a hook may ask of the gateway."""

    @staticmethod
    def store_data(key, value, ttl=0):
        """Keeps data for `ttl` seconds; for ever if that is not above zero."""
        life = struct.pack("<q", int(ttl)) + _bytes(value)
        coproc_calls.tell(coproc_frames.SET, coproc_frames.pair(_text(key), life))

    @staticmethod
    def get_data(key):
        """Data that were stored, as bytes; empty where there are none."""
        return coproc_calls.get(_text(key))

    @staticmethod
    def trigger_event(name, payload):
        """Fires an event, for handlers of the gateway's own."""
        fired = coproc_frames.pair(_text(name), _bytes(payload))
        coproc_calls.tell(coproc_frames.TRIGGER, fired)

    @staticmethod
    def log(message, level="info"):
        """Logs a line: `debug`, `info`, `warning` or `error`."""
        line = coproc_frames.pair(_text(level), _bytes(message))
        coproc_calls.tell(coproc_frames.LOG, line)

    @staticmethod
    def log_error(message):
        """Logs a line about an error."""
        TykGateway.log(message, "error")
