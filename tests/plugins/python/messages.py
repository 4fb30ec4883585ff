"""Whether messages in plain Python are what those of `protobuf` are: what one writes the other reads, and what
hooks do to them comes to the same. `messages.py FOLDER`, the folder with the Python side."""

import random
import sys

sys.path.insert(0, sys.argv[1])

import coproc_messages
import coproc_plain

PROTOBUF = coproc_messages.of_protobuf()
PLAIN = coproc_plain.classes(coproc_messages.SCHEMA, coproc_messages.fields)
TEXTS = ["", "a", "X-Header", "caf\u00e9 \U0001f600", "x" * 200, "\0"]


def value(kind, chance):
    if kind == "string":
        return chance.choice(TEXTS)
    if kind == "bytes":
        return bytes(chance.randrange(256) for _ in range(chance.choice([0, 1, 300])))
    if kind == "bool":
        return chance.random() < 0.5
    if kind == "double":
        return chance.choice([0.0, 1.5, -2.0, 1e300])
    if kind == "HookType":
        return chance.randrange(6)
    bits = 31 if kind == "int32" else 63
    return chance.choice([0, 1, -1, 127, 128, 300, -(1 << bits), (1 << bits) - 1])


def fill(both, name, chance):
    """Does the same to both."""
    for field, _, shape, kind in coproc_messages.fields(coproc_messages.SCHEMA[name]):
        if chance.random() < 0.4:
            continue
        times = chance.randrange(3)
        parts = [getattr(one, field) for one in both]
        if kind in coproc_messages.SCHEMA:
            if shape == "one":
                fill(parts, kind, chance)
            for number in range(times if shape != "one" else 0):
                made = [p.add() if shape == "list" else p["k%d" % number] for p in parts]
                fill(made, kind, chance)
        elif shape == "one":
            new = value(kind, chance)
            for one in both:
                setattr(one, field, new)
        else:
            for _ in range(times):
                key, new = chance.choice(TEXTS), value(kind, chance)
                for part in parts:
                    if shape == "map":
                        part[key] = new
                    else:
                        part.append(new)


for seed in range(400):
    chance = random.Random(seed)
    for name in coproc_messages.SCHEMA:
        of_protobuf, plain = PROTOBUF[name](), PLAIN[name]()
        fill([of_protobuf, plain], name, chance)
        # What either writes, both read as the same.
        for written in (of_protobuf.SerializeToString(), plain.SerializeToString()):
            read = PLAIN[name].FromString(written)
            assert PROTOBUF[name].FromString(written) == of_protobuf, (seed, name)
            # Untouched, as it is read, and once all was looked at.
            assert PROTOBUF[name].FromString(read.SerializeToString()) == of_protobuf, (seed, name)
            repr(read)
            assert PROTOBUF[name].FromString(read.SerializeToString()) == of_protobuf, (seed, name)
        again = [PROTOBUF[name].FromString(written), PLAIN[name].FromString(written)]
        fill(again, name, chance)
        assert PROTOBUF[name].FromString(again[1].SerializeToString()) == again[0], (seed, name)
        # Whatever comes instead is an error or a message, and never anything else.
        broken = bytearray(written)
        for _ in range(min(3, len(broken))):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            repr(PLAIN[name].FromString(bytes(broken)))
        except (coproc_plain.DecodeError, RecursionError):
            pass

# What neither knows survives.
unknown = b"\xfa\x7f\x01a" + b"\xf8\x7f\x05"
plain = PLAIN["Object"].FromString(unknown)
plain.hook_name = "h"
assert plain.SerializeToString().endswith(unknown)

# Neither the order in which fields were set nor that of a map counts, and all else does.
for make in (PROTOBUF, PLAIN):
    one, other = make["Object"](hook_name="h", hook_type=1), make["Object"](hook_type=1, hook_name="h")
    for key in ("a", "b"):
        one.metadata[key] = "1"
    for key in ("b", "a"):
        other.metadata[key] = "1"
    one.request.body = other.request.body = "b"
    assert one == other and one == make["Object"].FromString(other.SerializeToString())
    other.session.SetInParent()
    assert one != other and one != make["Event"]()
    assert make["Object"]() != make["Object"].FromString(unknown)

# A part that is longer than what it is part of: what comes next is not its.
for broken in (b"\x2a\x05\x0a\x01a\x12\x05", b"\x1a\x02\x22\x05", b"\x22\x02\x08\xff"):
    for make, error in ((PROTOBUF, Exception), (PLAIN, coproc_plain.DecodeError)):
        try:
            repr(make["Object"].FromString(broken + b"\x12\x06abcdef"))
        except error:
            continue
        raise AssertionError("read: %r" % broken)

# What is wrong is refused by both.
for make in (PROTOBUF, PLAIN):
    object = make["Object"]()
    assert not object.HasField("session")
    assert object.session.metadata.get("a") is None and not object.HasField("session")
    object.session.metadata["token"] = "t"
    assert object.HasField("session")
    for wrong in (
        lambda: setattr(object, "hook_name", 1),
        lambda: setattr(object, "unknown", 1),
        lambda: setattr(object, "request", object.request),
        lambda: object.HasField("unknown"),
        lambda: object.HasField("hook_name"),
        lambda: object.request.set_headers.__setitem__("a", 1),
        lambda: object.request.delete_headers.append(1),
        lambda: setattr(object.request.return_overrides, "response_code", 1 << 31),
    ):
        try:
            wrong()
        except (TypeError, AttributeError, ValueError):
            continue
        raise AssertionError("taken")
    rights = object.session.access_rights
    rights["id"].CopyFrom(make["AccessDefinition"](api_id="id", versions=["Default"]))
    assert rights["id"].versions == ["Default"]
print("alike")
