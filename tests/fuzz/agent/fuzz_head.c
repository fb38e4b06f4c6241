/* Targets: head_read, which reads the start of a bundle file.
 * Property: no crash; what passes has names and ids that folders and keys may be made of, and reads
 * the same again from its own bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/import/head.h"
#include "base/crypto/crypto.h"
#include "base/pb/pb.h"

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static int is_harmless(const char *text, size_t max)
{
	return text[0] != '\0' && strlen(text) <= max && text[0] != '.' &&
	       strchr(text, '/') == NULL;
}

static void expect_same(const Sluice__V1__BundleHead *head, struct sl_arena *arena)
{
	struct sl_bytes packed = pb_pack(arena, &head->base);
	uint8_t *start = sl_arena_alloc(arena, HEAD_BYTES_MAX + packed.size);
	Sluice__V1__BundleHead *again = NULL;
	const size_t before = BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES;
	if (sl_arena_failed(arena) || packed.size > BUNDLE_FILE_HEAD_MAX) {
		return;
	}
	memcpy(start, BUNDLE_FILE_MAGIC, BUNDLE_FILE_MAGIC_BYTES);
	sl_put_be32(start + BUNDLE_FILE_MAGIC_BYTES, (uint32_t)packed.size);
	memcpy(start + before, packed.data, packed.size);
	expect(head_read(SL_BYTES(start, before + packed.size), arena, &again, NULL) == SL_OK);
	expect(strcmp(again->slug, head->slug) == 0 &&
	       strcmp(again->bundle->commit, head->bundle->commit) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_arena arena;
	struct sl_err err = SL_ERR_INIT;
	Sluice__V1__BundleHead *head = NULL;
	sl_arena_init(&arena, 8 << 20);
	if (head_read(SL_BYTES(data, size), &arena, &head, &err) == SL_OK) {
		const Sluice__V1__Bundle *bundle = head->bundle;
		expect(is_harmless(head->slug, 50) && is_harmless(head->app_id, 31) &&
		       is_harmless(bundle->version, 25) && is_harmless(bundle->version_id, 31) &&
		       is_harmless(bundle->repository_id, 31));
		expect(bundle->digest.len == SL_HASH_BYTES && strlen(bundle->commit) == 40 &&
		       strlen(bundle->tree) == 40);
		expect_same(head, &arena);
	} else {
		expect(err.msg[0] != '\0');
	}
	sl_err_clear(&err);
	sl_arena_fini(&arena);
	return 0;
}
