"""Hooks of the API `orders`: who may come in, and what the upstream learns of it."""

import json
import os
import uuid

from gateway import TykGateway as tyk
from tyk.decorators import Event, Hook

with open(os.path.join(os.path.dirname(__file__), "tokens.json")) as file:
    TOKENS = json.load(file)


@Hook
def number_requests(request, session, spec):
    if request.get_header("X-Request-Id") is None:
        request.add_header("X-Request-Id", str(uuid.uuid4()))
    return request, session


@Hook
def check_token(request, session, metadata, spec):
    token = request.get_header("Authorization")
    if token in TOKENS:
        # At most 100 requests in ten seconds.
        session.rate = 100
        session.per = 10
        metadata["token"] = token
        metadata["who"] = TOKENS[token]
    return request, session, metadata


@Hook
def say_who_asks(request, session, spec):
    request.delete_header("Authorization")
    request.add_header("X-Who", session.metadata["who"])
    return request, session


@Event
def refused(event, spec):
    tyk.log("somebody at %s was refused" % event["Meta"]["Origin"], "warning")
