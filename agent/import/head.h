/* head: the start of a bundle file (base/git/bundle_file.h), read and checked by form.
 *
 * Pure. Whoever wrote the file may be anybody: names are of the form that folders may be made of,
 * ids and digest of theirs, and that is all that is sure. */
#ifndef SL_AGENT_HEAD_H
#define SL_AGENT_HEAD_H

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/git/bundle_file.h"
#include "base/mem/arena.h"
#include "sluice/v1/agent.pb-c.h"

enum { HEAD_BYTES_MAX = BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES + BUNDLE_FILE_HEAD_MAX };

/* `start`: the file's first HEAD_BYTES_MAX bytes, or all when it has fewer. SL_INVALID_ARGUMENT
 * names the field and its rule. The head lies in the arena and has its bundle. */
SL_MUST_USE sl_code head_read(struct sl_bytes start, struct sl_arena *arena,
			      Sluice__V1__BundleHead **ret_head, struct sl_err *err);

#endif
