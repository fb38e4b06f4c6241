/* make: a new server's keys: all of them or none.
 *
 * They are made in DIR/keys.part, to which the caller adds what is not a matter of
 * certificates, and become DIR/keys by one rename. No threads. */
#ifndef SL_SERVER_CA_MAKE_H
#define SL_SERVER_CA_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/own.h"

struct ca_make {
	const char *data;         /* DIR; made when it is not there; borrowed until free */
	const char *const *names; /* hosts that the server is reached by, beside loopback */
	size_t name_count;        /* 0: this machine's name */
	const char *master_key;   /* a file that holds the master key already; "": none */
	uint64_t now_ms;
};

struct ca_draft;

/* SL_ALREADY_EXISTS: the folder has keys. */
SL_MUST_USE sl_code ca_draft_new(const struct ca_make *make, struct ca_draft **ret_draft,
				 struct sl_err *err);
/* The folder that becomes DIR/keys: its descriptor, and its path; borrowed until free. */
int ca_draft_folder(const struct ca_draft *draft);
const char *ca_draft_path(const struct ca_draft *draft);
/* Where the master key lies; NULL: in the folder. */
const char *ca_draft_master_key(const struct ca_draft *draft);
/* From now on they are the server's keys. */
SL_MUST_USE sl_code ca_draft_keep(struct ca_draft *draft, struct sl_err *err);
/* What was not kept is wiped away. NULL is fine. */
void ca_draft_free(struct ca_draft *draft);
SL_DEFINE_AUTO(struct ca_draft *, ca_draft_free);

/* Where a master key lies outside the folder: `file` unless it is "", else systemd's credential
 * sluice-master-key. NULL: nowhere. The caller frees it. */
char *ca_master_key_elsewhere(const char *file);
/* That the file at `path` is one, and nobody else's. */
SL_MUST_USE sl_code ca_master_key_check(const char *path, struct sl_err *err);

#endif
