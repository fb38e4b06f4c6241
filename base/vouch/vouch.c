#include "base/vouch/vouch.h"

#include <string.h>

void vouch_tree(uint32_t size, const uint8_t root[static SL_HASH_BYTES],
		uint8_t out[static VOUCH_TREE_BYTES])
{
	sl_put_be32(out, size);
	memcpy(out + 4, root, SL_HASH_BYTES);
}

void vouch_key(uint32_t epoch, const uint8_t public_key[static SL_SIGN_PUBLIC_BYTES],
	       uint8_t out[static VOUCH_KEY_BYTES])
{
	sl_put_be32(out, epoch);
	memcpy(out + 4, public_key, SL_SIGN_PUBLIC_BYTES);
}

void vouch_refresh(const struct vouch_refresh *refresh, uint8_t out[static VOUCH_REFRESH_BYTES])
{
	sl_put_be32(out, refresh->epoch);
	sl_put_be64(out + 4, refresh->sequence);
	sl_put_be64(out + 12, refresh->expires_s);
	memcpy(out + 20, refresh->digest, SL_HASH_BYTES);
}

/* Both ids with their NULs and room for `more` bytes; 0: too long. */
static size_t put_ids(const char *first, const char *second, size_t more, size_t room, uint8_t *out)
{
	size_t first_size = strlen(first) + 1, second_size = strlen(second) + 1;
	if (first_size + second_size + more > room) {
		return 0;
	}
	memcpy(out, first, first_size);
	memcpy(out + first_size, second, second_size);
	return first_size + second_size;
}

size_t vouch_release(const char *app_id, const char *version_id,
		     const uint8_t digest[static SL_HASH_BYTES],
		     uint8_t out[static VOUCH_RELEASE_MAX])
{
	size_t at = put_ids(app_id, version_id, SL_HASH_BYTES, VOUCH_RELEASE_MAX, out);
	if (at == 0) {
		return 0;
	}
	memcpy(out + at, digest, SL_HASH_BYTES);
	return at + SL_HASH_BYTES;
}

void vouch_audit_head(const struct vouch_audit_head *head,
		      uint8_t out[static VOUCH_AUDIT_HEAD_BYTES])
{
	sl_put_be32(out, head->epoch);
	sl_put_be64(out + 4, head->at_ms);
	sl_put_be64(out + 12, head->sequence);
	memcpy(out + 20, head->hash, SL_HASH_BYTES);
}

size_t vouch_config(const struct vouch_config *config, uint8_t out[static VOUCH_CONFIG_MAX])
{
	size_t at =
	    put_ids(config->instance_id, config->app_id, 2 * SL_HASH_BYTES, VOUCH_CONFIG_MAX, out);
	if (at == 0) {
		return 0;
	}
	memcpy(out + at, config->stamp, SL_HASH_BYTES);
	sl_hash(out + at + SL_HASH_BYTES, config->box.data, config->box.size, NULL, 0);
	return at + 2 * SL_HASH_BYTES;
}
