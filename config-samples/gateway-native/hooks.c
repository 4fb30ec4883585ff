/* A hook in C: sets a header of each request. Build it with the header beside it or in its folder:
 * cc -shared -fPIC -I ../../include -o hooks.so hooks.c */
#include <stdlib.h>
#include <string.h>

#include "coproc.h"

/* What is behind a message is merged into it: the field 3 of the object (the request) with a field 2
 * (set_headers), an entry of a map from `X-Native` to `yes`. A real hook has its protobuf library do this. */
static const char stamp[] = "\x1a\x11\x12\x0f\x0a\x08X-Native\x12\x03yes";

int CoProcessInit(void)
{
    CoProcessLog("hooks in C are ready", "info");
    return 0;
}

struct CoProcessMessage CoProcessDispatch(struct CoProcessMessage object)
{
    struct CoProcessMessage reply = { malloc(object.length + sizeof stamp - 1), 0 };
    if (reply.p_data) {
        memcpy(reply.p_data, object.p_data, object.length);
        memcpy((char *)reply.p_data + object.length, stamp, sizeof stamp - 1);
        reply.length = object.length + sizeof stamp - 1;
    }
    return reply;
}
