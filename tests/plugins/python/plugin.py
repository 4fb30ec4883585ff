"""A plugin server in Python, as its users write them.

`plugin.py STUBS ADDRESS`: STUBS is the folder with the code that grpcio-tools made of a schema, of whatever
age; ADDRESS is what grpc can bind. It says `ready`, then one line for each event.
"""

import sys
import time
from concurrent import futures

import grpc

stubs, address = sys.argv[1:]
sys.path.insert(0, stubs)

import coprocess_pb2 as messages
import coprocess_pb2_grpc as services


def set_header(call):
    call.request.set_headers["Testheader"] = "testvalue"
    call.request.delete_headers.append("Deletethisheader")


def params(call):
    call.request.delete_params.append("remove")
    call.request.add_params["customparam"] = "customvalue"


def body(call):
    call.request.raw_body = call.request.raw_body.upper()


def refuse(call):
    call.request.return_overrides.response_code = 401
    call.request.return_overrides.response_error = "custom error message"


def token(call):
    key = call.request.headers.get("Authorization", "")
    if key in ("", "bad"):
        return
    call.session.rate = 100
    call.session.per = 1
    call.session.id_extractor_deadline = int(time.time()) + 60
    call.metadata["token"] = key


def tell_metadata(call):
    for key, value in call.session.metadata.items():
        assert call.metadata[key] == value
        call.request.set_headers["X-" + key] = value


def new_body(call):
    call.response.raw_body = b"newbody"
    call.response.headers["X-Python"] = "yes"


def wrong(call):
    raise ValueError("as asked")


HOOKS = {
    "SetHeader": set_header,
    "Params": params,
    "Body": body,
    "Refuse": refuse,
    "Token": token,
    "TellMetadata": tell_metadata,
    "NewBody": new_body,
    "Wrong": wrong,
}


class Dispatcher(services.DispatcherServicer):
    def Dispatch(self, request, context):
        HOOKS.get(request.hook_name, lambda call: None)(request)
        return request

    def DispatchEvent(self, request, context):
        print(request.payload, flush=True)
        return messages.EventReply()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
services.add_DispatcherServicer_to_server(Dispatcher(), server)
server.add_insecure_port(address)
server.start()
print("ready", flush=True)
server.wait_for_termination()
