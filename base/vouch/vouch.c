#include "base/vouch/vouch.h"

#include <string.h>

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

size_t vouch_release(const char *app_id, const char *version_id,
		     const uint8_t digest[static SL_HASH_BYTES],
		     uint8_t out[static VOUCH_RELEASE_MAX])
{
	size_t app = strlen(app_id) + 1, version = strlen(version_id) + 1;
	if (app + version + SL_HASH_BYTES > VOUCH_RELEASE_MAX) {
		return 0;
	}
	memcpy(out, app_id, app);
	memcpy(out + app, version_id, version);
	memcpy(out + app + version, digest, SL_HASH_BYTES);
	return app + version + SL_HASH_BYTES;
}

void vouch_audit_head(const struct vouch_audit_head *head,
		      uint8_t out[static VOUCH_AUDIT_HEAD_BYTES])
{
	sl_put_be32(out, head->epoch);
	sl_put_be64(out + 4, head->at_ms);
	sl_put_be64(out + 12, head->sequence);
	memcpy(out + 20, head->hash, SL_HASH_BYTES);
}
