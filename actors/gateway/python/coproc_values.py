"""Values in messages in plain Python: what may be set, lists and maps. They refuse what `protobuf` refuses."""

_KINDS = {"string": str, "bytes": bytes, "bool": int, "int32": int, "int64": int, "HookType": int}


def checked(kind, name, value):
    """A value of the right type."""
    if kind == "double":
        if isinstance(value, (int, float)):
            return float(value)
    elif kind == "string" and isinstance(value, bytes):
        return value.decode()
    elif isinstance(value, _KINDS[kind]):
        if kind == "bool":
            return bool(value)
        bits = {"int32": 31, "HookType": 31, "int64": 63}.get(kind)
        if bits and not -(1 << bits) <= value < 1 << bits:
            raise ValueError("%s: %r is out of range" % (name, value))
        return value
    elif kind == "bytes" and isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise TypeError("%s: %r is no %s" % (name, value, kind))


class List(list):
    """Values of one type."""

    __slots__ = ("kind",)

    def append(self, value):
        list.append(self, checked(self.kind, "a value", value))

    def extend(self, values):
        for value in values:
            self.append(value)

    MergeFrom = extend


class Messages(list):
    """Messages of one type."""

    __slots__ = ("kind",)

    def add(self, **values):
        made = self.kind(**values)
        list.append(self, made)
        return made

    def append(self, value):
        if not isinstance(value, self.kind):
            raise TypeError("%r is no %s" % (value, self.kind.__name__))
        self.add().CopyFrom(value)

    def extend(self, values):
        for value in values:
            self.append(value)

    MergeFrom = extend


class Map(dict):
    """Texts by texts. As in `protobuf`, one that is not there is empty, and is there once it was asked
    for."""

    __slots__ = ()

    def __setitem__(self, key, value):
        if type(key) is not str or type(value) is not str:
            key, value = checked("string", "a key", key), checked("string", "a value", value)
        dict.__setitem__(self, key, value)

    def __missing__(self, key):
        self[key] = ""
        return ""

    def update(self, *others, **values):
        for key, value in dict(*others, **values).items():
            self[key] = value

    MergeFrom = update


class MessageMap(dict):
    """Messages by texts; one that is not there is made."""

    __slots__ = ("kind",)

    def __missing__(self, key):
        made = self.kind()
        dict.__setitem__(self, checked("string", "a key", key), made)
        return made

    def __setitem__(self, key, value):
        raise ValueError("messages in maps are changed, and not set: use CopyFrom")

    def get_or_create(self, key):
        return self[key]

    def MergeFrom(self, other):
        for key, value in other.items():
            self[key].CopyFrom(value)
