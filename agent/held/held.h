/* held: the config of each app as the server told it last: sealed, so on disk as it came.
 *
 *   DIR/config/<app id>            an AgentConfig, 0600; only the key of this instance opens it
 *   DIR/box.key                    that key, of an agent that has no identity with one
 *
 * Each file is replaced as a whole. Threads: one. */
#ifndef SL_AGENT_HELD_H
#define SL_AGENT_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/settings/settings.h"
#include "base/crypto/box.h"
#include "base/err/err.h"
#include "sluice/v1/agent.pb-c.h"

struct held_item;

/* {0} is empty. */
struct held {
	const char *dir;           /* absolute; borrowed */
	const char *instance_id;   /* borrowed; may be filled in later */
	const uint8_t *box_secret; /* SL_BOX_SECRET_BYTES; borrowed */
	struct held_item *items;   /* owned */
};

/* The key of an agent without identity, made when there is none; sl_secret_free() it. */
SL_MUST_USE sl_code held_key(const char *dir, uint8_t **ret_box_secret, struct sl_err *err);

/* Reads what is on disk. What does not open is removed: it was sealed to another key. */
SL_MUST_USE sl_code held_load(struct held *held, struct sl_err *err);
void held_fini(struct held *held);

/* Takes it in the place of the one before, once it opens; the caller has checked who vouches for
 * it. SL_FAILED_PRECONDITION, SL_INVALID_ARGUMENT: it does not, or it is malformed. */
SL_MUST_USE sl_code held_take(struct held *held, const Sluice__V1__AgentConfig *message,
			      struct sl_err *err);
/* Writes what is not on disk yet. SL_RESOURCE_EXHAUSTED: the disk is full; try again. */
SL_MUST_USE sl_code held_keep(struct held *held, struct sl_err *err);
/* Whether there is something to keep. */
bool held_is_due(const struct held *held);

/* SL_HASH_BYTES, borrowed until the next take; NULL: none is held. */
const uint8_t *held_stamp(const struct held *held, const char *app_id);
SL_MUST_USE sl_code held_open(const struct held *held, const char *app_id,
			      struct settings **ret_settings, struct sl_err *err);

/* Of an app that is gone. */
void held_forget(struct held *held, const char *app_id);
/* Of all apps that `is_known` does not know. */
void held_sweep(struct held *held, bool (*is_known)(const char *app_id, void *ctx), void *ctx);

#endif
