/* moves: what the services of promotions, releases and pins share. */
#ifndef SL_SERVER_SERVICES_MOVES_H
#define SL_SERVER_SERVICES_MOVES_H

#include "server/records/wire.h"
#include "server/services/service.h"

/* Empty, or 32 bytes. */
SL_MUST_USE sl_code moves_check_hash(const ProtobufCBinaryData *plan_hash, struct sl_err *err);

/* A page of an index whose keys end with a revision, newest first. */
struct moves_list {
	const Sluice__V1__PageRequest *page; /* may be NULL */
	enum record_table table;
	struct record_key prefix;
	const char *scope; /* names the list, for the page token */
	/* What is found, in the arena. */
	uint64_t *revisions;
	size_t count;
	Sluice__V1__PageInfo *info;
};
SL_MUST_USE sl_code moves_list_revisions(const struct service_read *read, struct moves_list *list,
					 struct sl_err *err);

/* The three of FleetService that are about pins (selection.c); the fleet's table refers to them. */
SL_MUST_USE sl_code selection_select_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code selection_select_decide(struct decision *d, const void *message, void *reply,
					    struct sl_err *err);
SL_MUST_USE sl_code selection_clear_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code selection_clear_decide(struct decision *d, const void *message, void *reply,
					   struct sl_err *err);
SL_MUST_USE sl_code selection_list_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code selection_list_read(struct service_read *read, const void *message, void *reply,
					struct sl_err *err);

#endif
