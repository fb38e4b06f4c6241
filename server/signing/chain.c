#include "server/signing/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/secret.h"
#include "base/keyfile/keyfile.h"
#include "base/mem/own.h"

static const char *const by_names[] = {[SIGNING_FIRST] = "first",
				       [SIGNING_BY_PREVIOUS] = "previous",
				       [SIGNING_BY_RECOVERY] = "recovery"};

void chain_fini(struct chain *chain)
{
	free(SL_TAKE(chain->keys));
	chain->count = 0;
}

static void chain_auto(struct chain *chain)
{
	chain_fini(chain);
}

/* Does the key's announcement hold, as the next of this chain? */
static bool is_announced(const struct chain *chain, const struct signing_key *key)
{
	uint8_t words[VOUCH_KEY_BYTES];
	const struct signing_key *last = chain->count == 0 ? NULL : chain_last(chain);
	const uint8_t *by = chain->recovery;
	if (key->by == SIGNING_FIRST) {
		return last == NULL && key->epoch > 0;
	}
	if (key->by == SIGNING_BY_PREVIOUS) {
		if (last == NULL || key->epoch != last->epoch + 1) {
			return false;
		}
		by = last->public_key;
	}
	vouch_key(key->epoch, key->public_key, words);
	return (last == NULL || key->epoch > last->epoch) &&
	       sl_sign_is_valid(SL_BYTES(by, SL_SIGN_PUBLIC_BYTES), VOUCH_KEY,
				SL_BYTES(words, sizeof(words)),
				SL_BYTES(key->signature, SL_SIGNATURE_BYTES));
}

sl_code chain_add(struct chain *chain, const struct signing_key *key, struct sl_err *err)
{
	if (!is_announced(chain, key)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "manifest key of epoch %" PRIu32
				  " is not announced by the key before it, nor by the recovery key",
				  key->epoch);
	}
	if (chain->count == CHAIN_MAX) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "a chain has at most %d manifest keys", CHAIN_MAX);
	}
	struct signing_key *keys = realloc(chain->keys, (chain->count + 1) * sizeof(*keys));
	if (keys == NULL) {
		return sl_err_no_memory(err);
	}
	chain->keys = keys;
	chain->keys[chain->count++] = *key;
	return SL_OK;
}

/* --- reading --------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_value)
{
	char *end = NULL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	*ret_value = value;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && value <= max;
}

static bool parse_by(const char *text, enum signing_by *ret_by)
{
	for (size_t i = 0; i < SL_COUNT(by_names); i++) {
		if (strcmp(by_names[i], text) == 0) {
			*ret_by = (enum signing_by)i;
			return true;
		}
	}
	return false;
}

static bool parse_line(char *line, struct signing_key *ret_key)
{
	enum { EPOCH, SINCE, BY, KEY, SIGNATURE, FIELDS };
	char *fields[FIELDS] = {NULL}, *rest = NULL;
	uint8_t named[4 + SL_SIGN_PUBLIC_BYTES];
	uint64_t epoch = 0;
	for (size_t i = 0; i < FIELDS; i++) {
		fields[i] = strtok_r(i == 0 ? line : NULL, " \t", &rest);
		if (fields[i] == NULL) {
			return false;
		}
	}
	struct signing_key key = {.epoch = 0};
	bool fine = parse_number(fields[EPOCH], UINT32_MAX, &epoch) &&
		    parse_number(fields[SINCE], UINT64_MAX, &key.since_ms) &&
		    parse_by(fields[BY], &key.by) &&
		    sl_key_parse(fields[KEY], SL_KEY_MANIFEST_PUBLIC, named, sizeof(named),
				 &(struct sl_err)SL_ERR_INIT) == SL_OK &&
		    sl_get_be32(named) == epoch &&
		    (key.by == SIGNING_FIRST ||
		     sl_unhex(key.signature, SL_SIGNATURE_BYTES, fields[SIGNATURE]));
	key.epoch = (uint32_t)epoch;
	memcpy(key.public_key, named + 4, SL_SIGN_PUBLIC_BYTES);
	*ret_key = key;
	return fine;
}

static sl_code parse(char *text, struct chain *chain, struct sl_err *err)
{
	char *rest = NULL;
	unsigned number = 0;
	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		struct signing_key key;
		number++;
		if (line[0] == '#') {
			continue;
		}
		if (!parse_line(line, &key)) {
			return sl_err_set(err, SL_DATA_LOSS, "line %u is not a key of a chain",
					  number);
		}
		sl_code code = chain_add(chain, &key, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return chain->count > 0 ? SL_OK : sl_err_set(err, SL_DATA_LOSS, "no key in it");
}

sl_code chain_read_recovery(const char *dir, struct chain *ret_chain, struct sl_err *err)
{
	struct chain chain = {.keys = NULL};
	sl_code code = keyfile_read_key(dir, RECOVERY_FILE, KEYFILE_SECRET, SL_KEY_RECOVERY_PUBLIC,
					chain.recovery, SL_SIGN_PUBLIC_BYTES, err);
	if (code == SL_OK) {
		*ret_chain = chain;
	}
	return code;
}

sl_code chain_read(const char *dir, struct chain *ret_chain, struct sl_err *err)
{
	SL_AUTO(chain_auto) struct chain chain = {.keys = NULL};
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = keyfile_read(dir, CHAIN_FILE, KEYFILE_SECRET, &text, err);
	if (code != SL_OK) {
		return code;
	}
	code = chain_read_recovery(dir, &chain, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? (err->code = SL_FAILED_PRECONDITION) : code;
	}
	code = parse(text, &chain, err);
	if (code != SL_OK) {
		return sl_err_wrap(err, "key file '%s/" CHAIN_FILE "'", dir);
	}
	*ret_chain = chain;
	chain.keys = NULL;
	return SL_OK;
}

/* --- writing --------------------------------------------------------------------------- */

static void put_line(struct sl_buf *buf, const struct signing_key *key)
{
	char text[SL_KEY_TEXT_SIZE], hex[2 * SL_SIGNATURE_BYTES + 1];
	bool first = key->by == SIGNING_FIRST;
	sl_buf_printf(buf, "%" PRIu32 " %" PRIu64 " %s %s %s\n", key->epoch, key->since_ms,
		      by_names[key->by], signing_public_text(key, text),
		      first ? "-" : sl_hex(hex, key->signature, SL_SIGNATURE_BYTES));
}

sl_code chain_write(const char *dir, const struct chain *chain, struct sl_err *err)
{
	SL_AUTO(sl_buf_fini) struct sl_buf buf = {0};
	sl_buf_printf(&buf, "# epoch  since (unix ms)  announced by  key  signature\n");
	for (size_t i = 0; i < chain->count; i++) {
		put_line(&buf, &chain->keys[i]);
	}
	sl_buf_append(&buf, "", 1);
	if (buf.failed) {
		return sl_err_no_memory(err);
	}
	return keyfile_replace(dir, CHAIN_FILE, KEYFILE_SECRET, (const char *)buf.data, err);
}

char *signing_public_text(const struct signing_key *key, char out[static SL_KEY_TEXT_SIZE])
{
	uint8_t named[4 + SL_SIGN_PUBLIC_BYTES];
	vouch_key(key->epoch, key->public_key, named);
	return sl_key_text(out, SL_KEY_MANIFEST_PUBLIC, SL_BYTES(named, sizeof(named)));
}
