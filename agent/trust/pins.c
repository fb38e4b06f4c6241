/* What is pinned by hand or by enrolment. */
#include <string.h>

#include "agent/trust/trust.h"
#include "base/crypto/keytext.h"
#include "base/crypto/secret.h"
#include "base/keyfile/keyfile.h"
#include "base/mem/own.h"

static sl_code read_one(const char *flag, const char *path, const char *kind, uint8_t *out,
			size_t size, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = keyfile_read_path(path, KEYFILE_PUBLIC, &text, err);
	if (code != SL_OK) {
		return sl_err_wrap(err, "--%s", flag);
	}
	code = sl_key_parse(text, kind, out, size, err);
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "--%s '%s'", flag, path);
}

static bool is_given(const char *path)
{
	return path != NULL && path[0] != '\0';
}

sl_code trust_read_pin(const char *manifest, const char *recovery, const char *release,
		       struct trust_pin *ret_pin, struct sl_err *err)
{
	struct trust_pin pin = {.epoch = 0};
	uint8_t named[4 + SL_SIGN_PUBLIC_BYTES] = {0};
	sl_code code = SL_OK;
	if (is_given(manifest)) {
		code = read_one("manifest-key", manifest, SL_KEY_MANIFEST_PUBLIC, named,
				sizeof(named), err);
		pin.epoch = sl_get_be32(named);
		memcpy(pin.manifest_key, named + 4, SL_SIGN_PUBLIC_BYTES);
	}
	if (code == SL_OK && is_given(recovery)) {
		code = read_one("recovery-key", recovery, SL_KEY_RECOVERY_PUBLIC, pin.recovery_key,
				SL_SIGN_PUBLIC_BYTES, err);
		pin.recovery_given = true;
	}
	pin.release_none = is_given(release) && strcmp(release, "none") == 0;
	if (code == SL_OK && is_given(release) && !pin.release_none) {
		code = read_one("release-key", release, SL_KEY_RELEASE_PUBLIC, pin.release_key,
				SL_SIGN_PUBLIC_BYTES, err);
		pin.release_given = true;
	}
	if (code == SL_OK) {
		*ret_pin = pin;
	}
	return code;
}

static bool pin_manifest_key(struct state_trust *trust, const struct trust_pin *pin)
{
	bool same = pin->epoch == trust->given_epoch &&
		    memcmp(pin->manifest_key, trust->given_key, SL_SIGN_PUBLIC_BYTES) == 0;
	if (pin->epoch == 0 || same) {
		return false;
	}
	trust->epoch = trust->given_epoch = trust->recovered_epoch = pin->epoch;
	memcpy(trust->manifest_key, pin->manifest_key, SL_SIGN_PUBLIC_BYTES);
	memcpy(trust->given_key, pin->manifest_key, SL_SIGN_PUBLIC_BYTES);
	trust->order_open = true;
	trust->proven_unix_ms = 0;
	return true;
}

/* True: `known` and `key` became something else. */
static bool replace(bool *known, uint8_t *key, bool wanted, const uint8_t *with)
{
	if (*known == wanted && (!wanted || memcmp(key, with, SL_SIGN_PUBLIC_BYTES) == 0)) {
		return false;
	}
	*known = wanted;
	memcpy(key, with, SL_SIGN_PUBLIC_BYTES);
	return true;
}

bool trust_pin(struct state *state, const struct trust_pin *pin)
{
	struct state_trust *trust = &state->trust;
	bool changed = pin_manifest_key(trust, pin);
	if (pin->recovery_given) {
		changed |=
		    replace(&trust->recovery_known, trust->recovery_key, true, pin->recovery_key);
	}
	if (pin->release_given || pin->release_none) {
		changed |= replace(&trust->release_known, trust->release_key, pin->release_given,
				   pin->release_key);
	}
	return changed;
}
