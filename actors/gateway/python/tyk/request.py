"""A request as hooks see it."""


class TykCoProcessRequest:
    """The request's message, and short ways to say what is to be changed."""

    __slots__ = ("object",)

    def __init__(self, object):
        self.object = object

    def add_header(self, key, value):
        """Sets a header."""
        self.object.set_headers[key] = value

    def delete_header(self, key):
        """Removes a header."""
        self.object.delete_headers.append(key)

    def add_param(self, key, value):
        """Sets a parameter of the query."""
        self.object.add_params[key] = value

    def delete_param(self, key):
        """Removes a parameter of the query."""
        self.object.delete_params.append(key)

    def get_header(self, key):
        """A header, by its exact name; `None` where it is not there."""
        headers = self.object.headers
        return headers[key] if key in headers else None
