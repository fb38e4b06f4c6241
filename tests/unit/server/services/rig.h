/* rig: a whole way of a call in one process: client/rpc, server/rpc, the services' rows, a real
 * store. No fleet and no gitsync: methods that need them are for other tests.
 *
 * Threads: the test's, but for rig_call(), which any may use with a slot of its own. */
#ifndef SL_TESTS_SERVICES_RIG_H
#define SL_TESTS_SERVICES_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>

#include "base/mem/own.h"
#include "client/rpc/rpc.h"
#include "server/config/config.h"
#include "server/services/requests.h"
#include "server/services/service.h"
#include "server/watch/watch.h"

struct rig {
	char *path;
	struct server_config config;
	struct services services;
	struct rpc_server *rpc;
	pthread_t thread;
	struct crpc_channel *channel;
	uint64_t map_bytes;
	uint64_t reserve_bytes; /* of the disk */
	unsigned queue_max;
	unsigned progress_ms, stall_ms; /* of watch */
	bool with_watch;
};

/* Fills in what is 0; starts everything on a new folder. */
void rig_start(struct rig *rig);
/* Ends everything, in sluiced's order; the folder stays. rig_resume() starts again on it. */
void rig_stop(struct rig *rig);
void rig_resume(struct rig *rig);
/* rig_stop() if needed, verifies the store (must be sound) and removes it. */
void rig_end(struct rig *rig);

/* One call: its outcome and everything that was returned. */
struct rig_slot {
	sl_code code;
	struct sl_err err;
	struct sl_arena arena;
	void *response; /* NULL unless SL_OK */
};
void rig_slot_init(struct rig_slot *slot);
void rig_slot_fini(struct rig_slot *slot);
/* `request` is any API request; the method is found by the request's type. Forgets what the slot
 * held. */
sl_code rig_call(struct rig *rig, struct rig_slot *slot, const ProtobufCMessage *request);
/* Any bytes. */
sl_code rig_call_bytes(struct rig *rig, struct rig_slot *slot, const char *name,
		       struct sl_bytes bytes);
/* Metadata of the slot's error; "" when it is not there. */
const char *rig_meta(const struct rig_slot *slot, const char *key);

/* A command of the test's own; rig_command_run() waits for its answer. */
struct rig_command {
	struct store_cmd cmd;
	sl_code (*decide)(struct rig_command *c, struct decision *d, struct sl_err *err);
	const void *in;
	unsigned decided; /* how often */
	struct sl_arena arena;
	sem_t finished;
};
void rig_command_submit(struct rig *rig, struct rig_command *c);
sl_code rig_command_wait(struct rig_command *c);
sl_code rig_command_run(struct rig *rig, struct rig_command *c);

/* Holds the writer in a command of its own, so that what comes meanwhile is one batch. */
struct rig_hold {
	struct rig_command command;
	sem_t held, release;
};
void rig_hold(struct rig *rig, struct rig_hold *hold);
void rig_release(struct rig_hold *hold);
/* Waits until so many commands queue behind the held one. */
void rig_await_queued(struct rig *rig, unsigned count);

uint64_t rig_revision(struct rig *rig);
/* Raises the compaction floor; the log below is pruned as far as kept replies allow. */
void rig_raise_floor(struct rig *rig, uint64_t floor);

#endif
