#include "server/logins/logins.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto/box.h"
#include "base/git/ssh_key.h"
#include "base/mem/own.h"
#include "server/records/identities.h"

/* --- coming in --------------------------------------------------------------------------- */

static sl_code refuse(struct sl_err *err, const char *field, const char *rule)
{
	sl_code code =
	    sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED, "%s %s", field, rule);
	sl_err_field(err, field, rule);
	return code;
}

static bool is_header_safe(const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f) {
			return false;
		}
	}
	return true;
}

sl_code logins_check(const struct login_new *wanted, const char *url, struct sl_err *err)
{
	char public[GIT_SSH_PUBLIC_SIZE];
	bool ssh = strncmp(url, "ssh://", 6) == 0;
	bool web = strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
	bool token = wanted->token[0] != '\0', key = wanted->ssh_key[0] != '\0';
	if (token == key) {
		return refuse(err, "credentials", "must be either a token or an ssh key");
	}
	if (key && !ssh) {
		return refuse(err, "ssh_key", "is for ssh:// repositories");
	}
	if (token && !web) {
		return refuse(err, "token", "is for https:// repositories");
	}
	if (strlen(wanted->token) > LOGIN_TOKEN_MAX || !is_header_safe(wanted->token)) {
		return refuse(err, "token",
			      "must have at most 4096 bytes without spaces and control characters");
	}
	if (strlen(wanted->user) > 100 || !is_header_safe(wanted->user) ||
	    strchr(wanted->user, ':') != NULL) {
		return refuse(err, "user", "must have at most 100 bytes, no space and no ':'");
	}
	sl_code code = key ? git_ssh_key_check(wanted->ssh_key, public, err) : SL_OK;
	if (code != SL_OK) {
		sl_err_field(err, "ssh_key", "must be Ed25519 or ECDSA, as ssh-keygen writes it");
	}
	return code;
}

/* --- sealing ------------------------------------------------------------------------------- */

static struct vault_place place_of(uint32_t workspace,
				   const Sluice__Store__V1__RepositoryRecord *repository,
				   enum login_slot slot, char name[static VAULT_NAME_MAX])
{
	(void)snprintf(name, VAULT_NAME_MAX, "%.40s/%s", repository->id, login_slot_name(slot));
	return (struct vault_place){
	    .workspace = workspace, .kind = SEALED_REPOSITORY_LOGIN, .name = name};
}

static sl_code new_record(struct decision *d, const struct login_new *wanted,
			  Sluice__Store__V1__LoginRecord **ret_record, struct sl_err *err)
{
	char public[GIT_SSH_PUBLIC_SIZE] = "";
	Sluice__Store__V1__LoginRecord *record =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__LoginRecord);
	bool key = wanted->ssh_key[0] != '\0';
	sl_code code = key ? git_ssh_key_check(wanted->ssh_key, public, err) : SL_OK;
	if (code != SL_OK || record == NULL) {
		return code != SL_OK ? code : sl_err_no_memory(err);
	}
	sluice__store__v1__login_record__init(record);
	record->kind =
	    key ? SLUICE__V1__LOGIN_KIND__LOGIN_KIND_KEY : SLUICE__V1__LOGIN_KIND__LOGIN_KIND_TOKEN;
	record->user = sl_arena_strdup(d->arena, wanted->user);
	record->public_key = sl_arena_strdup(d->arena, public);
	record->sealed_revision = d->revision;
	record->at_ms = d->now_ms;
	record->by = (char *)d->principal;
	*ret_record = record;
	return record->user != NULL && record->public_key != NULL ? SL_OK : sl_err_no_memory(err);
}

static const char *given(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static sl_code seal(struct vault *vault, struct decision *d, const struct vault_place *place,
		    const struct login_new *wanted, struct vault_key *key, struct sl_err *err)
{
	const struct git_login login = {.user = given(wanted->user),
					.password = given(wanted->token),
					.ssh_key = given(wanted->ssh_key)};
	size_t size = git_login_size(&login);
	SL_AUTO(sl_secret_text_auto) char *packed = sl_secret_new(size);
	if (packed == NULL) {
		return sl_err_no_memory(err);
	}
	git_login_pack(&login, packed);
	return vault_put(vault, d, place, SL_BYTES(packed, size), key, err);
}

sl_code logins_set(struct vault *vault, struct decision *d,
		   Sluice__Store__V1__RepositoryRecord *repository, enum login_slot slot,
		   const struct login_new *wanted, struct vault_key *key, struct sl_err *err)
{
	char name[VAULT_NAME_MAX];
	struct vault_place place = place_of(d->workspace, repository, slot, name);
	Sluice__Store__V1__LoginRecord *record = NULL;
	sl_code code = new_record(d, wanted, &record, err);
	code = code != SL_OK ? code : seal(vault, d, &place, wanted, key, err);
	if (code == SL_OK) {
		*login_at(repository, slot) = record;
		repository->login_revision =
		    slot == LOGIN_PULL ? d->revision : repository->login_revision;
	}
	return code;
}

void logins_forget(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository,
		   enum login_slot slot)
{
	char name[VAULT_NAME_MAX];
	struct vault_place place = place_of(d->workspace, repository, slot, name);
	if (*login_at(repository, slot) != NULL) {
		vault_remove(d, &place);
		*login_at(repository, slot) = NULL;
		repository->login_revision =
		    slot == LOGIN_PULL ? d->revision : repository->login_revision;
	}
}

sl_code logins_generate(struct vault *vault, struct decision *d,
			Sluice__Store__V1__RepositoryRecord *repository, enum login_slot slot,
			const char **ret_public, struct sl_err *err)
{
	char comment[100], public[GIT_SSH_PUBLIC_SIZE];
	SL_AUTO(sl_secret_text_auto) char *private = NULL;
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	(void)snprintf(comment, sizeof(comment), "sluice-%.50s-%s", repository->name,
		       slot == LOGIN_PUSH || slot == LOGIN_NEXT_PUSH ? "push" : "pull");
	sl_code code = git_ssh_key_new(comment, &private, public, err);
	if (code != SL_OK) {
		return code;
	}
	const struct login_new made = {.user = "", .token = "", .ssh_key = private};
	code = logins_set(vault, d, repository, slot, &made, &key, err);
	*ret_public = sl_arena_strdup(d->arena, public);
	if (code == SL_OK && *ret_public != NULL) {
		(*login_at(repository, slot))->public_key = (char *)*ret_public;
	}
	return code;
}

/* --- opening --------------------------------------------------------------------------------- */

void repository_login_fini(struct repository_login *login)
{
	sl_secret_free(SL_TAKE(login->secret));
	login->git = (struct git_login){.user = NULL};
}

static sl_code unset(const Sluice__Store__V1__RepositoryRecord *repository, enum login_slot slot,
		     struct sl_err *err)
{
	return sl_err_because(err, SL_NOT_FOUND, SL_REASON_LOGIN_NOT_FOUND,
			      "repository '%s' has no credentials '%s': they are not set, or were "
			      "forgotten by `sluiced vault reset`",
			      repository->name, login_slot_name(slot));
}

static sl_code open_slot(struct vault *vault, const struct store_view *view, uint32_t workspace,
			 Sluice__Store__V1__RepositoryRecord *repository, enum login_slot slot,
			 struct repository_login *login, struct sl_err *err)
{
	char name[VAULT_NAME_MAX];
	size_t size = 0;
	struct vault_place place = place_of(workspace, repository, slot, name);
	const Sluice__Store__V1__LoginRecord *record = *login_at(repository, slot);
	if (record == NULL) {
		return unset(repository, slot, err);
	}
	sl_code code =
	    vault_get(vault, view, &place, record->sealed_revision, &login->secret, &size, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? unset(repository, slot, err) : code;
	}
	return git_login_unpack(login->secret, size, &login->git)
		   ? SL_OK
		   : sl_err_set(err, SL_DATA_LOSS, "the credentials of repository '%s' are none",
				repository->name);
}

static void add_host(const Sluice__Store__V1__RepositoryRecord *repository,
		     struct repository_login *login)
{
	login->git.host_keys = given(repository->host_keys);
	login->git.ca_pem = given(repository->ca_pem);
}

static enum login_slot choose(Sluice__Store__V1__RepositoryRecord *repository,
			      struct login_wish wish)
{
	const enum login_slot wanted = wish.push ? LOGIN_PUSH : LOGIN_PULL;
	const enum login_slot waiting = wish.push ? LOGIN_NEXT_PUSH : LOGIN_NEXT_PULL;
	if (wish.next && *login_at(repository, waiting) != NULL) {
		return waiting;
	}
	return *login_at(repository, wanted) != NULL ? wanted : LOGIN_PUSH;
}

sl_code logins_open(struct vault *vault, const struct store_view *view, uint32_t workspace,
		    Sluice__Store__V1__RepositoryRecord *repository, struct login_wish wish,
		    struct repository_login *ret_login, struct sl_err *err)
{
	struct repository_login login = {.secret = NULL};
	enum login_slot slot = choose(repository, wish);
	sl_code code = *login_at(repository, slot) == NULL
			   ? SL_OK
			   : open_slot(vault, view, workspace, repository, slot, &login, err);
	if (code != SL_OK) {
		repository_login_fini(&login);
		return code;
	}
	add_host(repository, &login);
	*ret_login = login;
	return SL_OK;
}

sl_code logins_move(struct vault *vault, struct decision *d,
		    Sluice__Store__V1__RepositoryRecord *repository, enum login_slot next,
		    enum login_slot slot, struct sl_err *err)
{
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	const Sluice__Store__V1__LoginRecord *waiting = *login_at(repository, next);
	sl_code code = open_slot(vault, d->view, d->workspace, repository, next, &login, err);
	if (code != SL_OK) {
		return code;
	}
	const struct login_new moved = {
	    .user = login.git.user != NULL ? login.git.user : "",
	    .token = login.git.password != NULL ? login.git.password : "",
	    .ssh_key = login.git.ssh_key != NULL ? login.git.ssh_key : "",
	};
	code = logins_set(vault, d, repository, slot, &moved, &key, err);
	if (code == SL_OK) {
		(*login_at(repository, slot))->public_key = waiting->public_key;
		logins_forget(d, repository, next);
	}
	return code;
}

/* --- for agents --- */

/* The login's texts, and whose they are: so that a box is not taken for another repository's. */
static sl_code seal_box(const struct repository_login *login, const char *repository_id,
			const ProtobufCBinaryData *box_key, struct sl_buf *box, struct sl_err *err)
{
	size_t packed = git_login_size(&login->git), size = packed + strlen(repository_id) + 1;
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(size);
	SL_AUTO(sl_free_auto) uint8_t *sealed = malloc(size + SL_BOX_EXTRA_BYTES);
	if (text == NULL || sealed == NULL) {
		return sl_err_no_memory(err);
	}
	git_login_pack(&login->git, text);
	memcpy(text + packed, repository_id, size - packed);
	if (!sl_box_seal(box_key->data, SL_BYTES(text, size), sealed)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the agent's key is one that nothing can be sealed to");
	}
	sl_buf_append(box, sealed, size + SL_BOX_EXTRA_BYTES);
	return box->failed ? sl_err_no_memory(err) : SL_OK;
}

sl_code logins_box(struct vault *vault, const struct store_view *view,
		   const struct login_reader *reader, struct sl_buf *ret_box,
		   uint64_t *ret_revision, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	SL_AUTO(repository_login_fini) struct repository_login login = {.secret = NULL};
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	sl_arena_init(&arena, 0);
	sl_code code = repository_get(view, &arena, reader->workspace, reader->repository_id,
				      &repository, err);
	code =
	    code != SL_OK ? code : identity_get(view, &arena, reader->identity_id, &identity, err);
	bool needed = login_revision(repository) != 0 || (reader->push && repository->push != NULL);
	if (code != SL_OK || !needed || identity->box_key.len != SL_BOX_PUBLIC_BYTES) {
		return code != SL_OK ? code : SL_NOT_FOUND;
	}
	enum login_slot slot = reader->push ? LOGIN_PUSH : LOGIN_PULL;
	if (*login_at(repository, slot) != NULL) {
		code = open_slot(vault, view, reader->workspace, repository, slot, &login, err);
	}
	if (code != SL_OK) {
		return code;
	}
	add_host(repository, &login);
	*ret_revision = login_revision(repository);
	return seal_box(&login, reader->repository_id, &identity->box_key, ret_box, err);
}
