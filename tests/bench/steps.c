#include "tests/bench/steps.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/id/id.h"
#include "base/mem/own.h"
#include "server/records/bootstrap.h"
#include "server/records/workspaces.h"
#include "tests/bench/die.h"

enum { WINDOW = 4096, KEPT_BYTES = 16, SECRET_BYTES = 32, ID_PREFIX = 4 };

struct steps {
	struct store *store;
	sem_t room; /* commands that may still be queued */
};

/* A step on its way. */
struct queued {
	struct store_cmd cmd;
	struct steps *steps;
	struct step step;
	struct sl_arena arena;
	struct sl_id ids[DECISION_IDS];
	uint64_t now_ms;
	uint8_t request_key[KEPT_BYTES], payload_hash[KEPT_BYTES], secret[SECRET_BYTES];
};

/* A reply about as large as those of the calls that do the same: the event's object again. */
static struct sl_bytes reply_of(struct decision *d)
{
	if (d->event_count == 0) {
		return SL_BYTES_NONE;
	}
	const ProtobufCMessage *event = &d->events[d->event_count - 1]->base;
	uint8_t *bytes = sl_arena_alloc(d->arena, protobuf_c_message_get_packed_size(event) + 1);
	return bytes == NULL ? SL_BYTES_NONE
			     : SL_BYTES(bytes, protobuf_c_message_pack(event, bytes));
}

static sl_code decided(struct store_cmd *cmd, const struct store_view *view,
		       struct store_changes *changes, struct sl_err *err)
{
	struct queued *queued = SL_CONTAINER_OF(cmd, struct queued, cmd);
	struct decision d = {
	    .view = view,
	    .changes = changes,
	    .arena = &queued->arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = queued->now_ms,
	    .workspace_name = "default",
	    .principal = "bench",
	    .method = queued->step.method,
	    .reason = "",
	    .object = SLUICE__V1__AUDIT_OBJECT__INIT,
	    .secret = queued->secret,
	};
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		d.ids[i] = queued->ids[i].text + ID_PREFIX;
	}
	sl_code code = workspace_find(view, "default", &d.workspace, err);
	code = code != SL_OK ? code : queued->step.decide(&d, &queued->step, err);
	if (code == SL_OK) {
		const struct decision_reply kept = {
		    .request_key = SL_BYTES(queued->request_key, KEPT_BYTES),
		    .payload_hash = SL_BYTES(queued->payload_hash, KEPT_BYTES),
		    .reply = reply_of(&d),
		};
		decision_log(&d, &kept);
	}
	return code;
}

static void done(struct store_cmd *cmd)
{
	struct queued *queued = SL_CONTAINER_OF(cmd, struct queued, cmd);
	if (cmd->code != SL_OK) {
		die("%s of app %u, version %u: %s", queued->step.method, queued->step.app,
		    queued->step.version, cmd->err.msg);
	}
	(void)sem_post(&queued->steps->room);
	sl_arena_fini(&queued->arena);
	free(queued);
}

static void take_room(struct steps *steps)
{
	while (sem_wait(&steps->room) != 0) {
	}
}

void steps_add(struct steps *steps, const struct step *step)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct queued *queued = need(malloc(sizeof(*queued)));
	queued->step = *step;
	queued->steps = steps;
	queued->cmd = (struct store_cmd){.decide = decided, .done = done, .err = SL_ERR_INIT};
	queued->now_ms = sl_clock_unix_ms();
	sl_arena_init(&queued->arena, 0);
	for (unsigned i = 0; i < DECISION_IDS; i++) {
		queued->ids[i] = sl_id_new("new");
	}
	sl_random(queued->request_key, KEPT_BYTES);
	sl_random(queued->payload_hash, KEPT_BYTES);
	sl_random(queued->secret, SECRET_BYTES);
	take_room(steps);
	need_ok(store_submit(steps->store, &queued->cmd, &err), &err, step->method);
}

void steps_wait(struct steps *steps)
{
	for (unsigned i = 0; i < WINDOW; i++) {
		take_room(steps);
	}
	for (unsigned i = 0; i < WINDOW; i++) {
		(void)sem_post(&steps->room);
	}
}

struct store *steps_store(struct steps *steps)
{
	return steps->store;
}

struct steps *steps_open(const char *path)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct store_options options = {
	    .path = path,
	    .map_bytes = (uint64_t)64 << 30,
	    .queue_max = WINDOW,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	struct steps *steps = need(calloc(1, sizeof(*steps)));
	(void)sem_init(&steps->room, 0, WINDOW);
	need_ok(store_open(&options, &steps->store, &err), &err, path);
	need_ok(records_bootstrap(steps->store, sl_clock_unix_ms(), &err), &err, path);
	return steps;
}

void steps_close(struct steps *steps)
{
	steps_wait(steps);
	store_free(steps->store);
	(void)sem_destroy(&steps->room);
	free(steps);
}
