/* boxes: what agents are told of values: opened once for the many instances of an environment that
 * require the same, sealed for each of them.
 *
 * What is open lies in secret memory, of BOXES_OPEN_MAX apps at most, and is
 * forgotten a moment after the last one who needed it. Threads: any; one lock
 * inside. */
#ifndef SL_SERVER_SETTINGS_BOXES_H
#define SL_SERVER_SETTINGS_BOXES_H

#include "base/contract/contract.h"
#include "base/crypto/box.h"
#include "server/records/required.h"
#include "server/vault/vault.h"

enum { BOXES_OPEN_MAX = 4, BOXES_OPEN_MS = 1000 };

struct boxes;

/* The vault is borrowed for life. */
SL_MUST_USE sl_code boxes_new(struct vault *vault, struct boxes **ret_boxes, struct sl_err *err);
void boxes_free(struct boxes *boxes); /* NULL is fine */

/* Whose values, for whom. */
struct box_wish {
	uint32_t workspace, environment;
	const char *app_id, *instance_id;
	struct sl_bytes required; /* by the app's bundles: a packed Contract */
	const uint8_t *stamp;     /* required_stamp() of that: SL_HASH_BYTES */
	const uint8_t *to;        /* SL_BOX_PUBLIC_BYTES */
};
/* AgentConfig.box. SL_ABORTED: the view has not what the stamp is of. SL_RESOURCE_EXHAUSTED: more
 * than CONTRACT_VALUES_MAX bytes. SL_FAILED_PRECONDITION / VAULT_LOCKED. */
SL_MUST_USE sl_code boxes_seal(struct boxes *boxes, const struct store_view *view,
			       const struct box_wish *wish, struct sl_buf *ret_box,
			       struct sl_err *err);

/* Often: forgets what was not needed for BOXES_OPEN_MS. */
void boxes_tick(struct boxes *boxes, uint64_t mono_ms);

#endif
