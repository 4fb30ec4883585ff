"""Messages in plain Python, for interpreters without the package `protobuf`. They behave alike where hooks
can tell: absent texts are empty, absent messages are empty ones that are there once something is put into
them, and fields that nobody knows survive."""

import struct

from coproc_values import List, Map, MessageMap, Messages, checked

_DOUBLE = struct.Struct("<d")

_DEFAULTS = {"string": "", "bytes": b"", "bool": False, "int32": 0, "int64": 0, "double": 0.0, "HookType": 0}
_WIRES = {"string": 2, "bytes": 2, "bool": 0, "int32": 0, "int64": 0, "HookType": 0, "double": 1}


class DecodeError(Exception):
    """Bytes are no message."""


# What reading beyond the end and the like comes to.
_BROKEN = (IndexError, struct.error, UnicodeDecodeError)


def varint(data, at):
    """A number, and what comes after it."""
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at + 1
        shift += 7
        if shift > 63:
            raise DecodeError("a number is too long")


def put_varint(out, value):
    """Appends a number; one below zero as it is in 64 bits."""
    if value < 0:
        value += 1 << 64
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


class Field:
    """A field of a message."""

    __slots__ = ("name", "number", "shape", "kind", "message", "later", "tag", "wire")

    def __init__(self, name, number, shape, kind, message):
        self.name, self.number, self.shape, self.kind, self.message = name, number, shape, kind, message
        self.later = shape == "map" or message is not None
        packs = shape == "list" and kind == "double"
        self.wire = 2 if shape == "map" or message or packs else _WIRES[kind]
        tag = bytearray()
        put_varint(tag, number << 3 | self.wire)
        self.tag = bytes(tag)

    def empty(self):
        """A value for one that is not there."""
        if self.shape == "one":
            return self.message() if self.message else _DEFAULTS[self.kind]
        if self.shape == "map":
            made = MessageMap() if self.message else Map()
        else:
            made = Messages() if self.message else List()
        if self.message or self.shape == "list":
            made.kind = self.message or self.kind
        return made


class Message:
    """A message. Its values are in its dictionary; those that are not there were never touched. Maps and
    messages within it stay the bytes that they came as until somebody looks at them."""

    FIELDS = {}
    NUMBERS = {}

    def __init__(self, **values):
        for name, value in values.items():
            field = self.FIELDS.get(name)
            if field is None:
                raise ValueError("%s has no field %s" % (type(self).__name__, name))
            if field.shape == "list":
                getattr(self, name).extend(value)
            elif field.shape == "map":
                getattr(self, name).MergeFrom(value)
            elif field.message:
                getattr(self, name).CopyFrom(value)
            else:
                setattr(self, name, value)

    def __getattr__(self, name):
        # Only what is not there is looked for here.
        field = self.FIELDS.get(name)
        if field is None:
            raise AttributeError("%s has no field %s" % (type(self).__name__, name))
        value = field.empty()
        own = self.__dict__
        if field.shape == "one" and not field.message:
            return value
        own[name] = value
        came = own.get("_came")
        if came and name in came:
            for data, _, start, at in came.pop(name):
                try:
                    self._put(field, value, data, start, at)
                except _BROKEN as error:
                    raise DecodeError("these bytes are no %s: %s" % (name, error)) from None
        return value

    def __setattr__(self, name, value):
        field = self.FIELDS.get(name)
        if field is None or field.shape != "one" or field.message:
            raise AttributeError("%s.%s cannot be set" % (type(self).__name__, name))
        if type(value) is not str or field.kind != "string":
            value = checked(field.kind, name, value)
        self.__dict__[name] = value

    def __eq__(self, other):
        if type(self) is not type(other) or list(self.ListFields()) != list(other.ListFields()):
            return False
        return self.__dict__.get("_rest") == other.__dict__.get("_rest")

    __hash__ = None

    def __repr__(self):
        return "%s(%r)" % (type(self).__name__, {f.name: v for f, v in self.ListFields()})

    def HasField(self, name):
        field = self.FIELDS.get(name)
        if field is None or not field.message or field.shape != "one":
            raise ValueError("%s.%s has no presence" % (type(self).__name__, name))
        value = self.__dict__.get(name)
        return value._is_there() if value is not None else name in self.__dict__.get("_came", ())

    def _is_there(self):
        own = self.__dict__
        if "_there" in own or "_rest" in own or own.get("_came"):
            return True
        for name, value in own.items():
            field = self.FIELDS.get(name)
            if field is None:
                continue
            if field.shape != "one":
                there = bool(value)
            else:
                there = field.message is None or value._is_there()
            if there:
                return True
        return False

    def SetInParent(self):
        self.__dict__["_there"] = True

    def ListFields(self):
        for name in list(self.__dict__.get("_came", ())):
            getattr(self, name)
        for field in self.FIELDS.values():
            value = self.__dict__.get(field.name)
            if field.shape == "one" and field.message:
                if value is not None and value._is_there():
                    yield field, value
            elif value:
                yield field, value

    def Clear(self):
        self.__dict__.clear()

    def ClearField(self, name):
        if name not in self.FIELDS:
            raise ValueError("%s has no field %s" % (type(self).__name__, name))
        self.__dict__.pop(name, None)
        self.__dict__.get("_came", {}).pop(name, None)

    def CopyFrom(self, other):
        if other is not self:
            self.Clear()
            self.MergeFrom(other)

    def MergeFrom(self, other):
        if type(other) is not type(self):
            raise TypeError("%r is no %s" % (other, type(self).__name__))
        self.__dict__["_there"] = True
        self.MergeFromString(other.SerializeToString())

    @classmethod
    def FromString(cls, data):
        made = cls()
        made.ParseFromString(data)
        return made

    def ParseFromString(self, data):
        self.Clear()
        return self.MergeFromString(data)

    def MergeFromString(self, data):
        try:
            self._parse(data, 0, len(data))
        except _BROKEN as error:
            raise DecodeError("these bytes are no %s: %s" % (type(self).__name__, error)) from None
        return len(data)

    def _parse(self, data, at, end):
        own, numbers = self.__dict__, self.NUMBERS
        while at < end:
            begin = at
            tag = data[at]
            at += 1
            if tag > 127:
                tag, at = varint(data, begin)
            wire = tag & 7
            if wire == 2:
                length = data[at]
                at += 1
                if length > 127:
                    length, at = varint(data, at - 1)
                start, at = at, at + length
            elif wire == 0:
                value, at = varint(data, at)
            elif wire == 1:
                value, at = _DOUBLE.unpack_from(data, at)[0], at + 8
            elif wire == 5:
                value, at = None, at + 4
            else:
                raise IndexError("there is no wire type %d" % wire)
            if at > end:
                raise IndexError("it ends too early")
            field = numbers.get(tag >> 3)
            if field is None or wire != field.wire and not (field.kind == "double" and wire == 1):
                own["_rest"] = own.get("_rest", b"") + bytes(data[begin:at])
                continue
            name, shape = field.name, field.shape
            if field.later:
                into = own.get(name)
                if into is None:
                    came = own.get("_came")
                    if came is None:
                        came = own["_came"] = {}
                    if name in came:
                        came[name].append((data, begin, start, at))
                    else:
                        came[name] = [(data, begin, start, at)]
                else:
                    self._put(field, into, data, start, at)
            else:
                kind = field.kind
                if kind == "string":
                    value = data[start:at].decode()
                elif kind == "bytes":
                    value = bytes(data[start:at])
                elif kind == "bool":
                    value = bool(value)
                elif kind == "double" and wire == 2:
                    for place in range(start, at, 8):
                        list.append(getattr(self, name), _DOUBLE.unpack_from(data, place)[0])
                    continue
                elif kind != "double" and value >> 63:
                    value -= 1 << 64
                if shape == "list":
                    list.append(getattr(self, name), value)
                else:
                    own[name] = value

    def _put(self, field, into, data, start, at):
        if field.shape == "map":
            self._entry(data, start, at, field.message, into)
        elif field.shape == "list":
            into.add()._parse(data, start, at)
        else:
            into.__dict__["_there"] = True
            into._parse(data, start, at)

    @staticmethod
    def _entry(data, at, end, message, into):
        key, value = "", None
        while at < end:
            tag = data[at]
            length = data[at + 1]
            at += 2
            if length > 127:
                length, at = varint(data, at - 1)
            piece = data[at : at + length]
            at += length
            if at > end:
                raise IndexError("it ends too early")
            if tag == 10:
                key = piece.decode()
            elif tag == 18:
                value = piece
            else:
                raise IndexError("a map has a third part")
        if message:
            into[key].ParseFromString(value or b"")
        else:
            dict.__setitem__(into, key, value.decode() if value else "")

    def SerializeToString(self):
        out = bytearray()
        self._write(out)
        return bytes(out)

    def _write(self, out):
        own = self.__dict__
        for pieces in own.get("_came", {}).values():
            for data, begin, _, at in pieces:
                out += data[begin:at]
        fields = self.FIELDS
        for name, value in own.items():
            field = fields.get(name)
            if field is None:
                continue
            if field.shape == "one" and field.message:
                if value._is_there():
                    put(out, field.tag, value.SerializeToString())
                continue
            if not value:
                continue
            kind, tag = field.kind, field.tag
            if field.shape == "map":
                for key, one in value.items():
                    one = one.SerializeToString() if field.message else one.encode()
                    key = key.encode()
                    entry = bytearray()
                    put(entry, b"\n", key)
                    put(entry, b"\x12", one)
                    put(out, tag, entry)
            elif field.shape == "list":
                if field.message:
                    for one in value:
                        put(out, tag, one.SerializeToString())
                elif kind == "double":
                    put(out, tag, b"".join(map(_DOUBLE.pack, value)))
                else:
                    for one in value:
                        put(out, tag, one.encode())
            elif kind == "string":
                put(out, tag, value.encode())
            elif kind == "bytes":
                put(out, tag, value)
            elif kind == "double":
                out += tag + _DOUBLE.pack(value)
            else:
                out += tag
                put_varint(out, value)
        out += own.get("_rest", b"")

    def ByteSize(self):
        return len(self.SerializeToString())


def put(out, tag, piece):
    """Appends bytes with their tag and their length."""
    length = len(piece)
    out += tag
    if length < 128:
        out.append(length)
    else:
        put_varint(out, length)
    out += piece


def classes(schema, fields):
    """The classes of a schema by their names."""
    made = {}
    for name, text in schema.items():
        own = {}
        for field, number, shape, kind in fields(text):
            own[field] = Field(field, number, shape, kind, made.get(kind))
        numbers = {field.number: field for field in own.values()}
        made[name] = type(name, (Message,), {"FIELDS": own, "NUMBERS": numbers})
    return made
