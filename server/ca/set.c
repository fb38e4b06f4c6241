/* The six files that must fit together. */
#include <string.h>

#include "server/ca/ca_internal.h"

const char *const ca_file_names[CA_FILES] = {
    [CA_PEM] = "ca.pem",         [CA_KEY] = "ca.key",     [SERVER_PEM] = "server.pem",
    [SERVER_KEY] = "server.key", [DOOR_PEM] = "door.pem", [DOOR_KEY] = "door.key",
};

void ca_set_free(struct ca_set *set)
{
	if (set == NULL) {
		return;
	}
	for (int i = 0; i < CA_FILES; i++) {
		sl_secret_free(set->texts[i]);
	}
	free(set);
}

/* That the key is the certificate's. */
static sl_code check_pair(const struct ca_set *set, enum ca_file pem, enum ca_file key,
			  struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *of_cert = NULL;
	SL_AUTO(tls_key_free_auto) struct tls_key *of_file = NULL;
	if (tls_cert_key(sl_bytes_text(set->texts[pem]), &of_cert, err) != SL_OK) {
		return sl_err_wrap(err, "'%s'", ca_file_names[pem]);
	}
	if (tls_key_read(sl_bytes_text(set->texts[key]), &of_file, err) != SL_OK) {
		return sl_err_wrap(err, "'%s'", ca_file_names[key]);
	}
	if (!tls_key_equal(of_cert, of_file)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "'%s' is not the key of '%s'",
				  ca_file_names[key], ca_file_names[pem]);
	}
	return SL_OK;
}

static sl_code check_use(const struct ca_set *set, enum ca_file pem, struct sl_err *err)
{
	struct tls_cert cert;
	if (tls_cert_read(sl_bytes_text(set->texts[pem]), &cert, err) != SL_OK) {
		return sl_err_wrap(err, "'%s'", ca_file_names[pem]);
	}
	if (pem == CA_PEM ? !cert.is_ca : cert.is_ca || !cert.for_server) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "'%s' is not made for %s",
				  ca_file_names[pem],
				  pem == CA_PEM ? "signing certificates" : "servers");
	}
	return SL_OK;
}

static sl_code check(const struct ca_set *set, struct sl_err *err)
{
	for (int pem = CA_PEM; pem < CA_FILES; pem += 2) {
		sl_code code = check_pair(set, (enum ca_file)pem, (enum ca_file)(pem + 1), err);
		code = code != SL_OK ? code : check_use(set, (enum ca_file)pem, err);
		if (code != SL_OK) {
			return code;
		}
	}
	return SL_OK;
}

/* When a certificate is to be renewed: reading one takes millions of instructions, and the answer
 * is asked for every second. */
static void find_due(struct ca_set *set, enum ca_file pem)
{
	struct tls_cert cert;
	struct sl_bytes text = sl_bytes_text(set->texts[pem]);
	if (tls_cert_check(text, sl_bytes_text(set->texts[CA_PEM]), TLS_SERVER, 0, NULL) != SL_OK ||
	    tls_cert_read(text, &cert, NULL) != SL_OK) {
		set->due_ms[pem] = UINT64_MAX; /* somebody else's: theirs to renew */
		return;
	}
	set->due_ms[pem] = cert.not_after_ms - (cert.not_after_ms - cert.not_before_ms) / 3;
	set->early_ms[pem] = cert.not_before_ms;
}

sl_code ca_set_read(int folder, struct ca_set **ret_set, struct sl_err *err)
{
	SL_AUTO(ca_set_free_auto) struct ca_set *set = calloc(1, sizeof(*set));
	if (set == NULL) {
		return sl_err_no_memory(err);
	}
	for (int i = 0; i < CA_FILES; i++) {
		size_t size = 0;
		sl_code code = ca_file_read(folder, ca_file_names[i], &set->texts[i], &size, err);
		if (code != SL_OK) {
			return code;
		}
	}
	sl_code code = check(set, err);
	if (code == SL_OK) {
		find_due(set, SERVER_PEM);
		find_due(set, DOOR_PEM);
		*ret_set = SL_TAKE(set);
	}
	return code;
}

bool ca_set_is_due(const struct ca_set *set, enum ca_file pem, uint64_t now_ms)
{
	return now_ms > set->due_ms[pem] || now_ms < set->early_ms[pem];
}

sl_code ca_make_server(const char *ca_pem, const struct tls_key *ca_key, const struct tls_key *key,
		       const struct ca_hosts *hosts, uint64_t now_ms, char **ret_pem,
		       struct sl_err *err)
{
	struct tls_cert ca;
	sl_code code = tls_cert_read(sl_bytes_text(ca_pem), &ca, err);
	if (code != SL_OK) {
		return code;
	}
	uint64_t until_ms = now_ms + (CA_SERVER_LIFE_DAYS * CA_DAY_MS);
	const struct tls_spec spec = {
	    .use = TLS_SERVER,
	    .common_name = "Sluice server",
	    .hosts = hosts->items,
	    .host_count = hosts->count,
	    .not_before_ms = now_ms - CA_SKEW_MS,
	    .not_after_ms = until_ms < ca.not_after_ms ? until_ms : ca.not_after_ms,
	};
	return tls_issue(sl_bytes_text(ca_pem), ca_key, &spec, key, ret_pem, err);
}

sl_code ca_set_renew(const struct ca_set *set, enum ca_file pem, uint64_t now_ms, char **ret_pem,
		     struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *ca_key = NULL;
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	struct sl_arena arena;
	struct ca_hosts hosts = {NULL, 0};
	sl_arena_init(&arena, 0);
	struct sl_bytes text = sl_bytes_text(set->texts[pem]);
	sl_code code = tls_cert_key(text, &key, err);
	code = code != SL_OK ? code : tls_key_read(sl_bytes_text(set->texts[CA_KEY]), &ca_key, err);
	code = code != SL_OK ? code : tls_cert_hosts(text, &arena, &hosts.items, &hosts.count, err);
	code = code != SL_OK
		   ? code
		   : ca_make_server(set->texts[CA_PEM], ca_key, key, &hosts, now_ms, ret_pem, err);
	sl_arena_fini(&arena);
	return code;
}
