/* let_in DIR TOKEN OUT SECONDS: logs in with an access token while no server has DIR, as the door
 * does while one has: OUT.key, and OUT.pem that is good for so long. Prints the certificate's name.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "server/ca/ca.h"
#include "server/records/bootstrap.h"
#include "server/records/identities.h"
#include "server/records/principals.h"
#include "server/store/store.h"

struct entry {
	struct store_cmd cmd;
	struct sl_arena arena;
	struct login login;
	uint32_t workspace;
	uint64_t now_ms;
	pthread_mutex_t lock; /* guards done */
	pthread_cond_t wake;
	bool done;
};

static void must(sl_code code, const struct sl_err *err)
{
	if (code != SL_OK) {
		(void)fprintf(stderr, "let_in: %s: %s\n", sl_code_name(code), err->msg);
		exit(EXIT_FAILURE);
	}
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct entry *entry = SL_CONTAINER_OF(cmd, struct entry, cmd);
	struct decision d = {
	    .view = view,
	    .changes = changes,
	    .arena = &entry->arena,
	    .revision = store_changes_revision(changes),
	    .now_ms = entry->now_ms,
	    .workspace = entry->workspace,
	    .workspace_name = "default",
	    .principal = "admin",
	    .method = "Login",
	    .reason = "",
	};
	sl_code code = logins_decide(&d, &entry->login, err);
	if (code == SL_OK) {
		decision_log(&d, NULL);
	}
	return code;
}

static void done(struct store_cmd *cmd)
{
	struct entry *entry = SL_CONTAINER_OF(cmd, struct entry, cmd);
	pthread_mutex_lock(&entry->lock);
	entry->done = true;
	pthread_cond_signal(&entry->wake);
	pthread_mutex_unlock(&entry->lock);
}

static void run(struct store *store, struct entry *entry)
{
	struct sl_err err = SL_ERR_INIT;
	must(store_submit(store, &entry->cmd, &err), &err);
	pthread_mutex_lock(&entry->lock);
	while (!entry->done) {
		pthread_cond_wait(&entry->wake, &entry->lock);
	}
	pthread_mutex_unlock(&entry->lock);
	must(entry->cmd.code, &entry->cmd.err);
}

static void put(const char *out, const char *end, const char *text)
{
	char *path = NULL;
	int fd = asprintf(&path, "%s%s", out, end) > 0
		     ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
		     : -1;
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		perror(out);
		exit(EXIT_FAILURE);
	}
	(void)close(fd);
	free(path);
}

/* Whose token it is. */
static void find_principal(struct store *store, const struct ca *ca, const char *token,
			   struct entry *entry)
{
	struct sl_err err = SL_ERR_INIT;
	const struct store_view *view = NULL;
	struct access_token_login login = {.token = NULL};
	must(store_view_begin(store, &view, &err), &err);
	must(access_token_login(view, &entry->arena, ca_token_key(ca), token, entry->now_ms, &login,
				&err),
	     &err);
	entry->login.token_id = sl_arena_strdup(&entry->arena, login.token->id);
	entry->login.principal_id = sl_arena_strdup(&entry->arena, login.principal->id);
	entry->workspace = login.token->workspace;
	store_view_end(view);
}

/* Makes key and certificate, and notes them. */
static void log_in(struct store *store, struct ca *ca, struct entry *entry, const char *out,
		   uint64_t until_ms)
{
	struct sl_err err = SL_ERR_INIT;
	struct ca_identity identity = {.kind = CA_PRINCIPAL};
	struct sl_id id = sl_id_new("idn");
	uint8_t serial[TLS_SERIAL_BYTES], fingerprint[TLS_FINGERPRINT_BYTES];
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(sl_secret_text_auto) char *key_pem = NULL;
	SL_AUTO(sl_free_auto) char *pem = NULL;
	char uri[TLS_URI_MAX + 1];
	sl_text_copy(identity.subject, sizeof(identity.subject), entry->login.principal_id);
	sl_text_copy(identity.identity, sizeof(identity.identity), id.text);
	tls_serial_new(serial);
	must(tls_key_new(&key, &err), &err);
	must(tls_key_fingerprint(key, fingerprint, &err), &err);
	entry->login.identity_id = id.text;
	entry->login.peer = "let_in";
	entry->login.cert = (struct identity_cert){
	    .public_key_hash = fingerprint,
	    .serial = serial,
	    .serial_size = sizeof(serial),
	    .not_after_ms = until_ms,
	};
	run(store, entry);
	must(ca_issue(ca, &identity, key, serial, (struct ca_life){entry->now_ms, until_ms}, &pem,
		      &err),
	     &err);
	must(tls_key_pem(key, &key_pem, &err), &err);
	put(out, ".pem", pem);
	put(out, ".key", key_pem);
	(void)puts(ca_identity_uri(uri, &identity));
}

int main(int argc, char **argv)
{
	enum { WORDS = 5, QUEUE_MAX = 4 };
	if (argc != WORDS || !sl_crypto_init()) {
		return EXIT_FAILURE;
	}
	struct sl_err err = SL_ERR_INIT;
	struct entry entry = {
	    .cmd = {.decide = decide, .done = done, .err = SL_ERR_INIT},
	    .lock = PTHREAD_MUTEX_INITIALIZER,
	    .wake = PTHREAD_COND_INITIALIZER,
	    .now_ms = sl_clock_unix_ms(),
	};
	const struct ca_options ca_options = {.data = argv[1]};
	const struct store_options options = {
	    .path = argv[1],
	    .map_bytes = 1 << 30,
	    .queue_max = QUEUE_MAX,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	struct ca *ca = NULL;
	struct store *store = NULL;
	sl_arena_init(&entry.arena, 0);
	must(ca_open(&ca_options, entry.now_ms, &ca, &err), &err);
	must(store_open(&options, &store, &err), &err);
	find_principal(store, ca, argv[2], &entry);
	log_in(store, ca, &entry, argv[3], entry.now_ms + (strtoull(argv[4], NULL, 10) * 1000));
	store_free(store);
	ca_free(ca);
	sl_arena_fini(&entry.arena);
	return EXIT_SUCCESS;
}
