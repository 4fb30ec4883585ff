"""What makes a function a hook. The name of the hook is that of the function."""

import inspect

from tyk.request import TykCoProcessRequest

__all__ = ["Hook", "Pre", "Post", "PostKeyAuth", "CustomKeyCheck", "Event"]


class Hook:
    """A hook; what it is called with depends on how many parameters it has: `(request, session, spec)`,
    `(request, session, metadata, spec)` or `(request, response, session, metadata, spec)`."""

    def __init__(self, f):
        self.f = f
        self.name = f.__name__
        self.arg_count = len(inspect.signature(f).parameters)
        self.__doc__ = f.__doc__
        called = {3: self._three, 4: self._four, 5: self._five}
        if self.arg_count not in called:
            raise TypeError(
                "hook '%s' has %d parameters: 3, 4 or 5 are known" % (self.name, self.arg_count)
            )
        self.run = called[self.arg_count]

    def __call__(self, *arguments, **named):
        return self.f(*arguments, **named)

    def _three(self, object):
        request, session = self.f(
            TykCoProcessRequest(object.request), object.session, object.spec
        )

    def _four(self, object):
        session = object.session
        request, session, metadata = self.f(
            TykCoProcessRequest(object.request), session, session.metadata, object.spec
        )

    def _five(self, object):
        session = object.session
        self.f(
            TykCoProcessRequest(object.request),
            object.response,
            session,
            session.metadata,
            object.spec,
        )


class Pre(Hook):
    """A hook from before there was `Hook`."""


class Post(Hook):
    """A hook from before there was `Hook`."""


class PostKeyAuth(Hook):
    """A hook from before there was `Hook`."""


class CustomKeyCheck(Hook):
    """A hook from before there was `Hook`."""


class Event:
    """A handler of events: `(event, spec)`, or only the first; both are what JSON makes of the payload."""

    def __init__(self, f):
        self.f = f
        self.name = f.__name__
        self.arg_count = len(inspect.signature(f).parameters)

    def __call__(self, *arguments, **named):
        return self.f(*arguments, **named)

    def run(self, payload):
        self.f(*(payload["message"], payload.get("spec", {}))[: self.arg_count])
