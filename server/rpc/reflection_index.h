/* reflection_index: what a FileDescriptorSet declares, findable by name.
 *
 * Private to server/rpc. Built once; read-only, so any thread may look. Names
 * and numbers are copied, files point into the set's own bytes. */
#ifndef SL_SERVER_RPC_REFLECTION_INDEX_H
#define SL_SERVER_RPC_REFLECTION_INDEX_H

#include "base/bytes/bytes.h"
#include "base/err/err.h"
#include "base/mem/arena.h"

struct reflection_file {
	const char *name;
	struct sl_bytes bytes; /* a serialized FileDescriptorProto, borrowed from the set */
	size_t *imports;       /* indexes of files that the set has */
	size_t import_count;
};

struct reflection_symbol {
	const char *name; /* "sluice.v1.AppService.CreateApp" */
	size_t file;
};

struct reflection_extension {
	const char *extended; /* the message's full name */
	int32_t number;
	size_t file;
};

struct reflection_index {
	struct sl_arena arena; /* holds all that follows */
	struct reflection_file *files;
	struct reflection_symbol *symbols;       /* sorted by name */
	struct reflection_extension *extensions; /* sorted by message and number */
	size_t file_count, symbol_count, extension_count;
};

/* `set` is borrowed until fini. SL_INVALID_ARGUMENT: not a FileDescriptorSet. */
SL_MUST_USE sl_code reflection_index_init(struct reflection_index *index, struct sl_bytes set,
					  struct sl_err *err);
void reflection_index_fini(struct reflection_index *index);

#define REFLECTION_NONE SIZE_MAX
/* Each returns an index into files, or REFLECTION_NONE. */
size_t reflection_file_named(const struct reflection_index *index, const char *name);
size_t reflection_file_of_symbol(const struct reflection_index *index, const char *symbol);
size_t reflection_file_of_extension(const struct reflection_index *index, const char *extended,
				    int32_t number);

/* Sets `in` (file_count flags, all false before) for the file and for all that
 * it imports, directly or not. */
void reflection_closure(const struct reflection_index *index, size_t file, bool *in);

#endif
