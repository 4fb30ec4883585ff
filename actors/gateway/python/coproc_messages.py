"""The messages that hooks see, made of one table: by the package `protobuf` where it is there, else in
plain Python. Both look the same to hooks."""

import sys
import types

# Name, number and type of each field. `a<b>` is a map from texts, `[a]` a list.
SCHEMA = {
    "StringSlice": "items 1 [string]",
    "Header": "key 1 string, values 2 [string]",
    "ReturnOverrides": "response_code 1 int32, response_error 2 string, headers 3 map<string>, "
    "override_error 4 bool, response_body 5 string",
    "MiniRequestObject": "headers 1 map<string>, set_headers 2 map<string>, delete_headers 3 [string], "
    "body 4 string, url 5 string, params 6 map<string>, add_params 7 map<string>, "
    "extended_params 8 map<string>, delete_params 9 [string], return_overrides 10 ReturnOverrides, "
    "method 11 string, request_uri 12 string, scheme 13 string, raw_body 14 bytes, "
    "repeated_headers 1000 [Header]",
    "ResponseObject": "status_code 1 int32, raw_body 2 bytes, body 3 string, headers 4 map<string>, "
    "multivalue_headers 5 [Header]",
    "AccessSpec": "url 1 string, methods 2 [string]",
    "AccessDefinition": "api_name 1 string, api_id 2 string, versions 3 [string], "
    "allowed_urls 4 [AccessSpec]",
    "BasicAuthData": "password 1 string, hash 2 string",
    "JWTData": "secret 1 string",
    "Monitor": "trigger_limits 1 [double]",
    "SessionState": "last_check 1 int64, allowance 2 double, rate 3 double, per 4 double, "
    "expires 5 int64, quota_max 6 int64, quota_renews 7 int64, quota_remaining 8 int64, "
    "quota_renewal_rate 9 int64, access_rights 10 map<AccessDefinition>, org_id 11 string, "
    "oauth_client_id 12 string, oauth_keys 13 map<string>, basic_auth_data 14 BasicAuthData, "
    "jwt_data 15 JWTData, hmac_enabled 16 bool, hmac_secret 17 string, is_inactive 18 bool, "
    "apply_policy_id 19 string, data_expires 20 int64, monitor 21 Monitor, "
    "enable_detailed_recording 22 bool, metadata 23 map<string>, tags 24 [string], alias 25 string, "
    "last_updated 26 string, id_extractor_deadline 27 int64, session_lifetime 28 int64, "
    "apply_policies 29 [string], certificate 30 string, max_query_depth 31 int64, key_id 32 string, "
    "post_expiry_action 33 string, post_expiry_grace_period 34 int64",
    "Object": "hook_type 1 HookType, hook_name 2 string, request 3 MiniRequestObject, "
    "session 4 SessionState, metadata 5 map<string>, spec 6 map<string>, response 7 ResponseObject",
    "Event": "payload 1 string",
    "EventReply": "",
}

HOOK_TYPES = ["Unknown", "Pre", "Post", "PostKeyAuth", "CustomKeyCheck", "Response"]

# The modules that plugins know them in.
MODULES = {
    "coprocess_common_pb2": ["StringSlice", "Header"],
    "coprocess_mini_request_object_pb2": ["MiniRequestObject"],
    "coprocess_object_pb2": ["Object", "Event", "EventReply"],
    "coprocess_response_object_pb2": ["ResponseObject", "Header"],
    "coprocess_return_overrides_pb2": ["ReturnOverrides"],
    "coprocess_session_state_pb2": [
        "AccessSpec",
        "AccessDefinition",
        "BasicAuthData",
        "JWTData",
        "Monitor",
        "SessionState",
    ],
}


def fields(text):
    """Name, number, shape (`one`, `list` or `map`) and type of each field."""
    for field in filter(None, text.split(", ")):
        name, number, kind = field.split(" ")
        shape = "one"
        if kind.startswith("["):
            shape, kind = "list", kind[1:-1]
        elif kind.startswith("map<"):
            shape, kind = "map", kind[4:-1]
        yield name, int(number), shape, kind


def of_protobuf():
    """The classes, made by `protobuf`. In a pool of their own, so that hooks may bring messages of the
    same names."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    proto = descriptor_pb2.FieldDescriptorProto
    scalars = {
        "string": proto.TYPE_STRING,
        "bytes": proto.TYPE_BYTES,
        "bool": proto.TYPE_BOOL,
        "int32": proto.TYPE_INT32,
        "int64": proto.TYPE_INT64,
        "double": proto.TYPE_DOUBLE,
    }
    file = descriptor_pb2.FileDescriptorProto(
        name="coprocess.proto", package="coprocess", syntax="proto3"
    )
    enum = file.enum_type.add(name="HookType")
    for number, name in enumerate(HOOK_TYPES):
        enum.value.add(name=name, number=number)

    def typed(field, kind):
        if kind in scalars:
            field.type = scalars[kind]
        else:
            field.type = proto.TYPE_ENUM if kind == "HookType" else proto.TYPE_MESSAGE
            field.type_name = ".coprocess." + kind

    for message, text in SCHEMA.items():
        made = file.message_type.add(name=message)
        for name, number, shape, kind in fields(text):
            label = proto.LABEL_OPTIONAL if shape == "one" else proto.LABEL_REPEATED
            field = made.field.add(name=name, number=number, label=label)
            if shape != "map":
                typed(field, kind)
                continue
            entry = "".join(word.capitalize() for word in name.split("_")) + "Entry"
            nested = made.nested_type.add(name=entry)
            nested.options.map_entry = True
            nested.field.add(
                name="key", number=1, label=proto.LABEL_OPTIONAL, type=proto.TYPE_STRING
            )
            typed(nested.field.add(name="value", number=2, label=proto.LABEL_OPTIONAL), kind)
            field.type = proto.TYPE_MESSAGE
            field.type_name = ".coprocess." + message + "." + entry
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if not hasattr(pool, "AddSerializedFile") else pool.AddSerializedFile(
        file.SerializeToString()
    )

    def made_of(name):
        found = pool.FindMessageTypeByName("coprocess." + name)
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(found)
        return message_factory.MessageFactory(pool).GetPrototype(found)

    return {name: made_of(name) for name in SCHEMA}


def make():
    """The classes by their names, by what they are made, and what is to be said about that."""
    try:
        import google.protobuf
        from google.protobuf.internal import api_implementation

        made = "protobuf %s (%s)" % (google.protobuf.__version__, api_implementation.Type())
        return of_protobuf(), made, ""
    except ModuleNotFoundError:
        why = "there is no package `protobuf`"
    except Exception as error:
        # One that is not for this Python.
        why = "the package `protobuf` cannot be used: %s: %s" % (type(error).__name__, error)
    import coproc_plain

    return coproc_plain.classes(SCHEMA, fields), "messages in plain Python", why


CLASSES, MAKER, LACK = make()


def publish():
    """Has plugins find the modules."""
    enum = types.SimpleNamespace(
        Name=HOOK_TYPES.__getitem__,
        Value=HOOK_TYPES.index,
        keys=lambda: list(HOOK_TYPES),
        values=lambda: list(range(len(HOOK_TYPES))),
    )
    for number, name in enumerate(HOOK_TYPES):
        setattr(enum, name, number)
    for module, names in MODULES.items():
        made = types.ModuleType(module)
        for name in names:
            setattr(made, name, CLASSES[name])
        if module == "coprocess_common_pb2":
            made.HookType = enum
            for number, name in enumerate(HOOK_TYPES):
                setattr(made, name, number)
        sys.modules[module] = made
