/* Hooks in native code for coproc's gateway: what a shared object has to have, and what it may call.
 *
 * Objects and events are those of `coprocess.proto`. Functions are called from several threads at once, and each
 * call holds the thread that serves the request until it returns. */
#ifndef COPROC_H
#define COPROC_H

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes: a protobuf `coprocess.Object`. */
struct CoProcessMessage {
    void *p_data;
    int length;
};

/* ---- What the shared object has. ---- */

/* Called once, before all others. Anything but 0: it is not ready, and the gateway does not start. */
int CoProcessInit(void);

/* Called for each hook; the object's `hook_name` says for which. The object is there until the function returns
 * and may be written to. What is returned is either the object or a part of it, or memory of malloc() that the
 * gateway frees. A null `p_data` and what is no object are errors of the hook. */
struct CoProcessMessage CoProcessDispatch(struct CoProcessMessage object);

/* Optional. Called for each event, with JSON; the text is there until the function returns. */
void CoProcessDispatchEvent(char *event_json);

/* Optional. Called when the gateway's config is reloaded. The shared object itself is never loaded again. */
void CoProcessReload(void);

/* ---- What it may call, from any thread, from CoProcessInit on. Texts end with a zero byte. ---- */

/* Keeps a text in the gateway's store for `ttl` seconds; 0 and less: for ever. */
extern void TykStoreData(char *key, char *value, int ttl);

/* A text that was kept, and an empty one where there is none. The caller frees it with free(). */
extern char *TykGetData(char *key);

/* Fires an event: the handlers that `gateway.event_handlers` names are called. */
extern void TykTriggerEvent(char *event_name, char *payload);

/* Writes a line to the log. The level is `debug`, `warning` or `error`; all others are info. */
extern void CoProcessLog(char *msg, char *level);

#ifdef __cplusplus
}
#endif

#endif
