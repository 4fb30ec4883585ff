/* Hooks that do what tests ask for, and what no hook should. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coproc.h"

static struct CoProcessMessage with(struct CoProcessMessage object, const char *more, int length)
{
    struct CoProcessMessage reply = { malloc(object.length + length), object.length + length };
    memcpy(reply.p_data, object.p_data, object.length);
    memcpy((char *)reply.p_data + object.length, more, length);
    return reply;
}

/* The object with a header `X-Native`. */
static struct CoProcessMessage set(struct CoProcessMessage object, const char *value)
{
    char more[128];
    int length = strlen(value);
    memcpy(more, "\x1a\0\x12\0\x0a\x08X-Native\x12\0", 16);
    more[1] = 14 + length;
    more[3] = 12 + length;
    more[15] = length;
    memcpy(more + 16, value, length);
    return with(object, more, 16 + length);
}

static int is(struct CoProcessMessage object, const char *name)
{
    char field[64];
    int length = snprintf(field, sizeof field, "\x12%c%s", (char)strlen(name), name);
    return memmem(object.p_data, object.length, field, length) != NULL;
}

int CoProcessInit(void)
{
    CoProcessLog("native hooks are ready", "warning");
    return 0;
}

struct CoProcessMessage CoProcessDispatch(struct CoProcessMessage object)
{
    if (is(object, "Set"))
        return set(object, "from C");
    if (is(object, "Null"))
        return (struct CoProcessMessage){ NULL, 17 };
    if (is(object, "Garbage"))
        return (struct CoProcessMessage){ memset(malloc(9), 0xff, 9), 9 };
    if (is(object, "Negative"))
        return (struct CoProcessMessage){ malloc(9), -1 };
    if (is(object, "Beyond"))
        return (struct CoProcessMessage){ object.p_data, object.length + 1 };
    if (is(object, "Inside"))
        return (struct CoProcessMessage){ (char *)object.p_data + 1, -5 };
    if (is(object, "End"))
        return (struct CoProcessMessage){ (char *)object.p_data + object.length, 0 };
    if (is(object, "Empty"))
        return (struct CoProcessMessage){ malloc(1), 0 };
    if (is(object, "Overrun")) {
        volatile char *eight = malloc(8);
        eight[object.length > 8 ? 8 : 0] = 1;
        free((void *)eight);
    }
    if (is(object, "Ask")) {
        char *before = TykGetData("native-key");
        TykStoreData("native-key", "kept", 60);
        char *after = TykGetData("native-key");
        char text[64];
        snprintf(text, sizeof text, "%s-%s", before, after);
        free(before);
        free(after);
        TykTriggerEvent("HostDown", "from C");
        TykTriggerEvent(NULL, NULL);
        CoProcessLog("a line from C", "error");
        CoProcessLog(NULL, NULL);
        return set(object, text);
    }
    return object;
}

void CoProcessDispatchEvent(char *event_json)
{
    char *name = strstr(event_json, "\"Message\":\"");
    char line[64];
    snprintf(line, sizeof line, "heard %.6s", name ? name + 11 : "nothing");
    CoProcessLog(line, "info");
    event_json[0] = 0;
}

void CoProcessReload(void)
{
    CoProcessLog("reloaded in C", "info");
}
