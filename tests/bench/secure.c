#include "tests/bench/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <grpc/grpc_security.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/clock/clock.h"
#include "base/crypto/box.h"
#include "base/crypto/secret.h"
#include "base/id/id.h"
#include "base/mem/own.h"
#include "base/tls/hooks.h"
#include "server/ca/ca.h"
#include "server/records/identities.h"
#include "tests/bench/die.h"
#include "tests/bench/steps.h"
#include "tests/lib/process.h"

enum { INIT_MS = 120000, NAME_BYTES = 64, PORTS = 65536 };
#define LIFE_MS (UINT64_C(24) * 3600 * 1000)

/* A certificate, its key, and what the store is told of it. */
struct certificate {
	char *pem, *key; /* owned */
	struct ca_identity identity;
	struct sl_id token; /* the agent's join token, on its way to be spent */
	char instance[NAME_BYTES];
	uint8_t serial[TLS_SERIAL_BYTES], fingerprint[TLS_FINGERPRINT_BYTES];
	uint64_t not_after_ms;
	const struct sl_token_key *token_key;
};

/* One folder's. Folders are few, and stay until the end. */
struct keys {
	struct keys *next;
	char *folder, *trust;
	struct certificate admin, *agents;
	unsigned agent_count;
	SSL_CTX *context; /* of those who dial by themselves; NULL: nobody did yet */
};

static struct keys *all;
static struct keys *served[PORTS]; /* NULL: in the clear */

static struct keys *keys_of(const char *folder)
{
	struct keys *keys = all;
	while (keys != NULL && strcmp(keys->folder, folder) != 0) {
		keys = keys->next;
	}
	return keys;
}

bool secure_has_keys(const char *folder)
{
	return keys_of(folder) != NULL;
}

static struct ca *open_ca(const char *folder)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	const struct ca_options options = {.data = folder};
	struct ca *ca = NULL;
	need_ok(ca_open(&options, sl_clock_unix_ms(), &ca, &err), &err, folder);
	return ca;
}

/* A key, and the certificate that makes its holder `subject`. */
static void issue(struct ca *ca, enum ca_kind kind, const char *subject, struct certificate *made)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(sl_secret_text_auto) char *secret = NULL;
	struct sl_id id = sl_id_new("idn");
	uint64_t now_ms = sl_clock_unix_ms();
	made->identity.kind = kind;
	(void)snprintf(made->identity.subject, sizeof(made->identity.subject), "%s", subject);
	(void)snprintf(made->identity.identity, sizeof(made->identity.identity), "%s", id.text);
	made->not_after_ms = now_ms + LIFE_MS;
	tls_serial_new(made->serial);
	sl_code code = tls_key_new(&key, &err);
	code = code != SL_OK ? code : tls_key_fingerprint(key, made->fingerprint, &err);
	code = code != SL_OK ? code : tls_key_pem(key, &secret, &err);
	code = code != SL_OK
		   ? code
		   : ca_issue(ca, &made->identity, key, made->serial,
			      (struct ca_life){now_ms, made->not_after_ms}, &made->pem, &err);
	need_ok(code, &err, "a client certificate");
	made->key = need(strdup(secret)); /* ten thousand are too many for locked memory */
}

static struct identity_cert kept_of(const struct certificate *made)
{
	return (struct identity_cert){
	    .public_key_hash = made->fingerprint,
	    .serial = made->serial,
	    .serial_size = sizeof(made->serial),
	    .not_after_ms = made->not_after_ms,
	};
}

/* --- the bench itself ------------------------------------------------------------------- */

static sl_code log_in(struct decision *d, const struct step *step, struct sl_err *err)
{
	const struct certificate *admin = step->subject;
	const struct login login = {
	    .token_id = "",
	    .principal_id = admin->identity.subject,
	    .identity_id = admin->identity.identity,
	    .peer = "bench",
	    .cert = kept_of(admin),
	};
	return logins_decide(d, &login, err);
}

static void find_admin(struct steps *steps, char id[static SL_ID_SIZE])
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	const struct store_view *view = NULL;
	Sluice__Store__V1__PrincipalRecord *admin = NULL;
	sl_arena_init(&arena, 0);
	sl_code code = store_view_begin(steps_store(steps), &view, &err);
	code = code != SL_OK
		   ? code
		   : principal_find(view, &arena, WORKSPACE_DEFAULT, "admin", &admin, &err);
	need_ok(code, &err, "the first principal");
	(void)snprintf(id, SL_ID_SIZE, "%s", admin->id);
	store_view_end(view);
}

static void run_init(const char *folder)
{
	SL_AUTO(sl_free_auto) char *program = process_runfile("server/sluiced");
	SL_AUTO(sl_free_auto) char *words = NULL;
	const char *const args[] = {"init", "--data", folder, NULL};
	const struct process_options options = {.program = program, .args = args};
	if (process_run(&options, INIT_MS, NULL, &words) != 0) {
		die("sluiced init: %s", words);
	}
}

void secure_init(const char *folder)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct keys *keys = need(calloc(1, sizeof(*keys)));
	char admin[SL_ID_SIZE];
	run_init(folder);
	struct ca *ca = open_ca(folder);
	struct steps *steps = steps_open(folder);
	keys->folder = need(strdup(folder));
	need_ok(ca_trust(ca, &keys->trust, &err), &err, folder);
	find_admin(steps, admin);
	issue(ca, CA_PRINCIPAL, admin, &keys->admin);
	steps_add(steps,
		  &(struct step){.decide = log_in, .method = "Login", .subject = &keys->admin});
	steps_close(steps);
	ca_free(ca);
	keys->next = all;
	all = keys;
}

/* --- agents ------------------------------------------------------------------------------- */

static sl_code invite(struct decision *d, const struct step *step, struct sl_err *err)
{
	struct certificate *agent = step->subject;
	const struct invitation_wish wish = {
	    .instance = agent->instance, .ttl_ms = INVITATION_TTL_MS, .key = agent->token_key};
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__JoinTokenRecord *token = NULL;
	char *text = NULL;
	sl_code code = invitations_decide(d, &wish, &instance, &token, &text, err);
	if (code == SL_OK) {
		(void)snprintf(agent->token.text, sizeof(agent->token.text), "%s", token->id);
	}
	return code;
}

static sl_code enrol(struct decision *d, const struct step *step, struct sl_err *err)
{
	static const uint8_t box_secret[SL_BOX_SECRET_BYTES] = {1};
	uint8_t box_key[IDENTITY_BOX_KEY_BYTES];
	const struct certificate *agent = step->subject;
	sl_box_public(box_secret, box_key);
	const struct enrolment enrolment = {
	    .token_id = agent->token.text,
	    .identity_id = agent->identity.identity,
	    .peer = "bench",
	    .box_key = box_key,
	    .cert = kept_of(agent),
	};
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	return enrolments_decide(d, &enrolment, &instance, err);
}

static void find_instance(const struct store_view *view, struct certificate *agent,
			  char id[static SL_ID_SIZE])
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_arena_init(&arena, 0);
	need_ok(instance_find(view, &arena, WORKSPACE_DEFAULT, agent->instance, &instance, &err),
		&err, "an agent's instance");
	(void)snprintf(id, SL_ID_SIZE, "%s", instance->id);
}

/* The commands are the door's: a join token, and its spending. */
static void enrol_all(const struct keys *keys, struct ca *ca, const char *prefix)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct steps *steps = steps_open(keys->folder);
	const struct store_view *view = NULL;
	need_ok(store_view_begin(steps_store(steps), &view, &err), &err, keys->folder);
	for (unsigned i = 0; i < keys->agent_count; i++) {
		struct certificate *agent = &keys->agents[i];
		char id[SL_ID_SIZE];
		(void)snprintf(agent->instance, sizeof(agent->instance), "%s-%u", prefix, i);
		agent->token_key = ca_token_key(ca);
		find_instance(view, agent, id);
		issue(ca, CA_AGENT, id, agent);
	}
	store_view_end(view);
	for (unsigned i = 0; i < keys->agent_count; i++) {
		struct step step = {.decide = invite,
				    .method = "CreateJoinToken",
				    .count = i,
				    .subject = &keys->agents[i]};
		steps_add(steps, &step);
		step.decide = enrol;
		step.method = "Enroll";
		steps_add(steps, &step);
	}
	steps_close(steps);
}

void secure_enrol(const char *folder, const char *prefix, unsigned count)
{
	struct keys *keys = keys_of(folder);
	if (keys == NULL) {
		return;
	}
	for (unsigned i = 0; i < keys->agent_count; i++) {
		free(keys->agents[i].pem);
		free(keys->agents[i].key);
	}
	free(keys->agents);
	keys->agents = need(calloc(count, sizeof(*keys->agents)));
	keys->agent_count = count;
	uint64_t started_ms = sl_clock_mono_ms();
	struct ca *ca = open_ca(folder);
	enrol_all(keys, ca, prefix);
	ca_free(ca);
	(void)fprintf(stderr, "enrolled %u agents in %lu ms\n", count,
		      (unsigned long)(sl_clock_mono_ms() - started_ms));
}

/* --- dialling -------------------------------------------------------------------------------- */

void secure_serve(int port, const char *folder)
{
	served[port] = folder != NULL ? keys_of(folder) : NULL;
}

grpc_channel_credentials *secure_credentials(int port)
{
	const struct keys *keys = served[port];
	if (keys == NULL) {
		return grpc_insecure_credentials_create();
	}
	grpc_ssl_pem_key_cert_pair pair = {.private_key = keys->admin.key,
					   .cert_chain = keys->admin.pem};
	return need(grpc_ssl_credentials_create_ex(keys->trust, &pair, NULL, NULL));
}

/* --- as the agents do ------------------------------------------------------------------------- */

/* As gRPC's: of the groups P-256 alone, since what a server is offered costs it. */
static SSL_CTX *context_new(const char *trust)
{
	SSL_CTX *context = need(SSL_CTX_new(TLS_client_method()));
	BIO *bio = need(BIO_new_mem_buf(trust, -1));
	for (X509 *root; (root = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL;) {
		(void)X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root);
		X509_free(root);
	}
	(void)BIO_free(bio);
	ERR_clear_error(); /* the end of the file is one */
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_set1_groups_list(context, "P-256") != 1 ||
	    SSL_CTX_set_alpn_protos(context, (const uint8_t *)"\x02h2", 3) != 0 ||
	    SSL_CTX_set_max_send_fragment(context, TLS_FRAME_BYTES) != 1) {
		die("OpenSSL refuses what TLS is to be like");
	}
	SSL_CTX_set_read_ahead(context, 1);
	return context;
}

static void identify(SSL *ssl, const struct certificate *own)
{
	BIO *bio = need(BIO_new_mem_buf(own->pem, -1));
	X509 *x509 = need(PEM_read_bio_X509(bio, NULL, NULL, NULL));
	(void)BIO_free(bio);
	bio = need(BIO_new_mem_buf(own->key, -1));
	EVP_PKEY *key = need(PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL));
	(void)BIO_free(bio);
	if (SSL_use_certificate(ssl, x509) != 1 || SSL_use_PrivateKey(ssl, key) != 1) {
		die("OpenSSL refuses a client certificate");
	}
	X509_free(x509);
	EVP_PKEY_free(key);
}

static SSL *tls_new(struct keys *keys, const struct certificate *own)
{
	if (keys->context == NULL) {
		keys->context = context_new(keys->trust);
	}
	SSL *ssl = need(SSL_new(keys->context));
	SSL_set_connect_state(ssl);
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1") != 1 ||
	    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) == 0) {
		die("OpenSSL refuses what TLS is to be like");
	}
	identify(ssl, own);
	return ssl;
}

SSL *secure_tls(int port)
{
	struct keys *keys = served[port];
	return keys == NULL ? NULL : tls_new(keys, &keys->admin);
}

SSL *secure_agent_tls(int port, unsigned number)
{
	struct keys *keys = served[port];
	if (keys != NULL && number >= keys->agent_count) {
		die("agent %u has no certificate", number);
	}
	return keys == NULL ? NULL : tls_new(keys, &keys->agents[number]);
}
