#include "server/records/release_stack.h"

#include <string.h>

#include "base/mem/own.h"
#include "server/records/desired_load.h"
#include "server/rules/releases.h"

/* One look through a stack. */
struct look {
	const struct wire *in;
	const char *app_id;
};

struct record_key release_entry_key(uint32_t workspace, const char *app_id, uint32_t depth)
{
	return KEY(workspace, key_text(k, app_id), key_u32(k, depth));
}

/* Entries from `depth` (included) down to the oldest. */
static void walk_down(struct store_walk *walk, const struct look *look, uint32_t depth)
{
	struct record_key prefix = KEY(look->in->workspace, key_text(k, look->app_id));
	struct record_key from = release_entry_key(look->in->workspace, look->app_id, depth);
	store_walk_begin(walk, look->in->view, TABLE_RELEASE_STACK, key_bytes(&prefix),
			 STORE_BACKWARD);
	store_walk_from(walk, key_bytes(&from));
}

static sl_code read_entry(const struct look *look, const struct store_walk *walk,
			  Sluice__Store__V1__ReleaseEntryRecord **ret_record, uint32_t *ret_depth,
			  struct sl_err *err)
{
	*ret_depth = sl_get_be32(walk->key.data + walk->key.size - 4);
	return record_unpack(look->in->arena, walk->value,
			     &sluice__store__v1__release_entry_record__descriptor, ret_record, err);
}

static sl_code entry_of(const struct look *look,
			const Sluice__Store__V1__ReleaseEntryRecord *record, uint32_t depth,
			struct release_entry *ret_entry, struct sl_err *err)
{
	Sluice__Store__V1__VersionRecord *version = NULL;
	sl_code code = version_get(look->in->view, look->in->arena, look->in->workspace,
				   look->app_id, record->version, &version, err);
	if (code != SL_OK && code != SL_NOT_FOUND) {
		return code;
	}
	*ret_entry = (struct release_entry){
	    .version = record->version,
	    .depth = depth,
	    .missing = version == NULL,
	    .blocked = version != NULL && desired_is_blocked(version),
	};
	return SL_OK;
}

/* Adds "v2 is blocked", once. */
static void add_skipped(const struct look *look, struct release_target *target, const char *name,
			enum release_skip skip)
{
	const char *text = sl_arena_printf(look->in->arena, "%s %s", name, release_skip_text(skip));
	for (size_t i = 0; text != NULL && i < target->skipped_count; i++) {
		if (strcmp(target->skipped[i], text) == 0) {
			return;
		}
	}
	/* Room doubles at powers of two. */
	size_t count = target->skipped_count;
	if ((count & (count - 1)) == 0) {
		char **grown = SL_ARENA_ARRAY(look->in->arena, char *, count == 0 ? 1 : count * 2);
		if (grown != NULL && count > 0) {
			memcpy(grown, target->skipped, count * sizeof(*grown));
		}
		target->skipped = grown;
	}
	if (!sl_arena_failed(look->in->arena)) {
		target->skipped[target->skipped_count++] = (char *)text;
	}
}

static sl_code find_previous(const struct look *look,
			     const Sluice__Store__V1__ReleaseRecord *release,
			     struct release_target *target, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	walk_down(&walk, look, release->depth - 1);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__ReleaseEntryRecord *record = NULL;
		struct release_entry entry;
		uint32_t depth = 0;
		sl_code code = read_entry(look, &walk, &record, &depth, err);
		code = code != SL_OK ? code : entry_of(look, record, depth, &entry, err);
		if (code != SL_OK) {
			return code;
		}
		enum release_skip skip = release_skip(&entry, release->version);
		if (skip == RELEASE_SKIP_NOT) {
			target->version = entry.version;
			target->depth = entry.depth;
			return SL_OK;
		}
		if (skip != RELEASE_SKIP_RELEASED) {
			add_skipped(look, target, record->version_name, skip);
		}
	}
	return store_walk_result(&walk, err);
}

sl_code release_stack_previous(const struct wire *in, const char *app_id,
			       const Sluice__Store__V1__ReleaseRecord *release,
			       struct release_target *ret_target, struct sl_err *err)
{
	struct look look = {.in = in, .app_id = app_id};
	struct release_target target = {0};
	sl_code code = release != NULL && release->depth > 1
			   ? find_previous(&look, release, &target, err)
			   : SL_OK;
	if (code != SL_OK) {
		return code;
	}
	if (sl_arena_failed(in->arena)) {
		return sl_err_no_memory(err);
	}
	*ret_target = target;
	return SL_OK;
}

sl_code release_stack_find(const struct wire *in, const char *app_id,
			   const Sluice__Store__V1__ReleaseRecord *release, uint32_t version,
			   uint32_t *ret_depth, struct sl_err *err)
{
	*ret_depth = 0;
	if (release == NULL || release->depth == 0) {
		return SL_OK;
	}
	struct look look = {.in = in, .app_id = app_id};
	SL_AUTO(store_walk_end) struct store_walk walk;
	walk_down(&walk, &look, release->depth);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__ReleaseEntryRecord *record = NULL;
		uint32_t depth = 0;
		sl_code code = read_entry(&look, &walk, &record, &depth, err);
		if (code != SL_OK) {
			return code;
		}
		if (record->version == version) {
			*ret_depth = depth;
			return SL_OK;
		}
	}
	return store_walk_result(&walk, err);
}
