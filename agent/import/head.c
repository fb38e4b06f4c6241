#include "agent/import/head.h"

#include <string.h>

#include "agent/manifest/manifest.h"
#include "base/pb/pb.h"

static sl_code none(struct sl_err *err, const char *why)
{
	return sl_err_set(err, SL_INVALID_ARGUMENT, "this is no bundle file: %s", why);
}

sl_code head_read(struct sl_bytes start, struct sl_arena *arena, Sluice__V1__BundleHead **ret_head,
		  struct sl_err *err)
{
	const size_t before = BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES;
	if (start.size < before ||
	    memcmp(start.data, BUNDLE_FILE_MAGIC, BUNDLE_FILE_MAGIC_BYTES) != 0) {
		return none(err, "it does not begin with \"sluice bundle 1\"");
	}
	size_t size = sl_get_be32(start.data + BUNDLE_FILE_MAGIC_BYTES);
	if (size > BUNDLE_FILE_HEAD_MAX || size > start.size - before) {
		return none(err, "its head is too long, or cut short");
	}
	Sluice__V1__BundleHead *head = (Sluice__V1__BundleHead *)pb_unpack(
	    &sluice__v1__bundle_head__descriptor, arena, SL_BYTES(start.data + before, size));
	if (head == NULL || head->bundle == NULL) {
		return sl_arena_failed(arena) ? sl_err_no_memory(err)
					      : none(err, "its head does not parse");
	}
	/* As the entry of a manifest, and by the same rules. */
	Sluice__V1__Bundle *keep[] = {head->bundle};
	Sluice__V1__ManifestApp app = SLUICE__V1__MANIFEST_APP__INIT;
	app.app_id = head->app_id;
	app.slug = head->slug;
	app.keep = keep;
	app.n_keep = 1;
	sl_code code = manifest_check_app(&app, err);
	if (code == SL_OK) {
		*ret_head = head;
	}
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "bundle file");
}
