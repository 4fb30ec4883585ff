"""What schemathesis is told beyond the description of the control API: to ask for nothing without end."""

import schemathesis


@schemathesis.hook
def before_call(context, case, **options):
    """Streams that go on would be waited for until the time is over."""
    if case.query and case.query.get("follow") in ("true", "1", "", True):
        case.query["follow"] = "false"
