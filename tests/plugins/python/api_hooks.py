"""What schemathesis is told beyond the description of the control API: to ask for nothing without end, and
to leave the main process alone, whose end is the end of all."""

import schemathesis


@schemathesis.hook
def before_call(context, case, **options):
    if case.query and case.query.get("follow") in ("true", "1", "", True):
        case.query["follow"] = "false"
    if case.path_parameters and case.path_parameters.get("name") == "main":
        case.path_parameters["name"] = "agent"
