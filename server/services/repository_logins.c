/* Credentials of repositories: set, made, rotated. */
#include "server/services/repository_logins.h"

#include <string.h>

#include "base/git/git.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync.h"
#include "server/logins/logins.h"
#include "server/records/wire.h"
#include "server/services/noun_checks.h"

/* --- what comes in ----------------------------------------------------------------------- */

static struct login_new new_of(const Sluice__V1__RepositoryCredentials *credentials)
{
	return (struct login_new){.user = credentials->user,
				  .token = credentials->token,
				  .ssh_key = credentials->ssh_key};
}

/* Unset is fine. */
static sl_code check_credentials(const Sluice__V1__RepositoryCredentials *credentials,
				 const char *url, struct sl_err *err)
{
	if (credentials == NULL) {
		return SL_OK;
	}
	const struct login_new wanted = new_of(credentials);
	return logins_check(&wanted, url, err);
}

static sl_code check_host(const char *known_hosts, const char *ca_pem, const char *url,
			  struct sl_err *err)
{
	char keys[GIT_HOST_KEYS_SIZE];
	if (strlen(known_hosts) > LOGIN_PEM_MAX || strlen(ca_pem) > LOGIN_PEM_MAX) {
		return check_refused(strlen(ca_pem) > LOGIN_PEM_MAX ? "ca_pem" : "known_hosts",
				     "must have at most 32 KiB", err);
	}
	if (ca_pem[0] != '\0' && strstr(ca_pem, "-----BEGIN CERTIFICATE-----") == NULL) {
		return check_refused("ca_pem", "must hold certificates as PEM", err);
	}
	return known_hosts[0] == '\0' ? SL_OK : git_host_keys_read(known_hosts, url, keys, err);
}

sl_code repository_logins_check_new(const Sluice__V1__CreateRepositoryRequest *request,
				    struct sl_err *err)
{
	sl_code code = check_credentials(request->push, request->url, err);
	code = code != SL_OK ? code : check_credentials(request->pull, request->url, err);
	return code != SL_OK ? code
			     : check_host(request->known_hosts, request->ca_pem, request->url, err);
}

/* --- filling a record ------------------------------------------------------------------------ */

struct wanted {
	const Sluice__V1__RepositoryCredentials *push, *pull;
	const char *known_hosts, *ca_pem;
};

static sl_code fill_host(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository,
			 const struct wanted *wanted, struct sl_err *err)
{
	char keys[GIT_HOST_KEYS_SIZE];
	if (wanted->known_hosts[0] != '\0') {
		sl_code code = git_host_keys_read(wanted->known_hosts, repository->url, keys, err);
		if (code != SL_OK) {
			return code;
		}
		repository->host_keys = sl_arena_strdup(d->arena, keys);
		repository->login_revision = d->revision;
	}
	if (wanted->ca_pem[0] != '\0') {
		repository->ca_pem = (char *)wanted->ca_pem;
		repository->login_revision = d->revision;
	}
	return SL_OK;
}

static sl_code fill(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository,
		    const struct wanted *wanted, struct sl_err *err)
{
	SL_AUTO(vault_key_fini) struct vault_key key = {.number = 0};
	const struct {
		const Sluice__V1__RepositoryCredentials *credentials;
		enum login_slot slot;
	} rows[] = {{wanted->push, LOGIN_PUSH}, {wanted->pull, LOGIN_PULL}};
	sl_code code = fill_host(d, repository, wanted, err);
	for (size_t i = 0; code == SL_OK && i < SL_COUNT(rows); i++) {
		if (rows[i].credentials != NULL) {
			const struct login_new login = new_of(rows[i].credentials);
			code = logins_check(&login, repository->url, err);
			code = code != SL_OK ? code
					     : logins_set(service_vault(d), d, repository,
							  rows[i].slot, &login, &key, err);
		}
	}
	return code;
}

sl_code repository_logins_complete(void *ctx, struct decision *d,
				   Sluice__Store__V1__RepositoryRecord *repository,
				   struct sl_err *err)
{
	const Sluice__V1__CreateRepositoryRequest *request = ctx;
	const struct wanted wanted = {.push = request->push,
				      .pull = request->pull,
				      .known_hosts = request->known_hosts,
				      .ca_pem = request->ca_pem};
	return fill(d, repository, &wanted, err);
}

void repository_logins_forget(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository)
{
	for (int slot = 0; slot < LOGIN_SLOTS; slot++) {
		logins_forget(d, repository, (enum login_slot)slot);
	}
}

/* --- SetRepository --- */

sl_code repository_set_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__SetRepositoryRequest *request = message;
	sl_code code = check_reference("repository", request->repository, err);
	if (code == SL_OK && request->url[0] != '\0') {
		code = check_url("url", request->url, err);
	}
	if (code == SL_OK && ((request->push != NULL && request->forget_push) ||
			      (request->pull != NULL && request->forget_pull) ||
			      (request->ca_pem[0] != '\0' && request->forget_ca))) {
		code = check_refused("forget", "must not be said of what is set too", err);
	}
	return code;
}

/* Scheme, host and port, and for ssh the user. */
static size_t host_part(const char *url)
{
	const char *rest = strstr(url, "://");
	rest = rest == NULL ? url : rest + 3;
	return (size_t)(rest - url) + strcspn(rest, "/");
}

static void move(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository,
		 const char *url)
{
	size_t before = host_part(repository->url), after = host_part(url);
	if (before != after || strncmp(repository->url, url, after) != 0) {
		repository_logins_forget(d, repository);
		repository->host_keys = repository->ca_pem = (char *)"";
		repository->login_revision = d->revision;
	}
	repository->url = (char *)url;
}

static void forget(struct decision *d, Sluice__Store__V1__RepositoryRecord *repository,
		   const Sluice__V1__SetRepositoryRequest *request)
{
	if (request->forget_push) {
		logins_forget(d, repository, LOGIN_PUSH);
		logins_forget(d, repository, LOGIN_NEXT_PUSH);
	}
	if (request->forget_pull) {
		logins_forget(d, repository, LOGIN_PULL);
		logins_forget(d, repository, LOGIN_NEXT_PULL);
	}
	if (request->forget_ca) {
		repository->ca_pem = (char *)"";
		repository->login_revision = d->revision;
	}
}

static sl_code find(struct decision *d, const char *name,
		    Sluice__Store__V1__RepositoryRecord **ret_repository, struct sl_err *err)
{
	sl_code code = repository_find(d->view, d->arena, d->workspace, name, ret_repository, err);
	return code != SL_OK ? code
			     : decision_expect(d, "repository", (*ret_repository)->name,
					       (*ret_repository)->revision, err);
}

sl_code repository_set_decide(struct decision *d, const void *message, void *reply,
			      struct sl_err *err)
{
	const Sluice__V1__SetRepositoryRequest *request = message;
	Sluice__V1__SetRepositoryResponse *response = reply;
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	uint32_t resolving = 0, publishing = 0;
	const struct wanted wanted = {.push = request->push,
				      .pull = request->pull,
				      .known_hosts = request->known_hosts,
				      .ca_pem = request->ca_pem};
	sl_code code = find(d, request->repository, &repository, err);
	if (code != SL_OK) {
		return code;
	}
	if (request->url[0] != '\0') {
		move(d, repository, request->url);
	}
	forget(d, repository, request);
	code = check_host(request->known_hosts, request->ca_pem, repository->url, err);
	code = code != SL_OK ? code : fill(d, repository, &wanted, err);
	if (code != SL_OK) {
		return code;
	}
	repositories_put(d, repository);
	response->repository = wire_repository(d->arena, repository);
	return repositories_decide_refresh(d, repository, &resolving, &publishing, err);
}

void repository_set_after(const struct services *services, const void *reply)
{
	const Sluice__V1__SetRepositoryResponse *response = reply;
	gitsync_look(services->gitsync, response->repository->id, response->repository->url);
}

/* --- keys --- */

static sl_code check_use(Sluice__V1__LoginUse use, struct sl_err *err)
{
	bool known = use == SLUICE__V1__LOGIN_USE__LOGIN_USE_PUSH ||
		     use == SLUICE__V1__LOGIN_USE__LOGIN_USE_PULL;
	return known ? SL_OK : check_refused("use", "must be PUSH or PULL", err);
}

static enum login_slot slot_of(Sluice__V1__LoginUse use, bool next)
{
	if (use == SLUICE__V1__LOGIN_USE__LOGIN_USE_PUSH) {
		return next ? LOGIN_NEXT_PUSH : LOGIN_PUSH;
	}
	return next ? LOGIN_NEXT_PULL : LOGIN_PULL;
}

sl_code repository_generate_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__GenerateRepositoryKeyRequest *request = message;
	sl_code code = check_reference("repository", request->repository, err);
	return code != SL_OK ? code : check_use(request->use, err);
}

sl_code repository_generate_decide(struct decision *d, const void *message, void *reply,
				   struct sl_err *err)
{
	const Sluice__V1__GenerateRepositoryKeyRequest *request = message;
	Sluice__V1__GenerateRepositoryKeyResponse *response = reply;
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	const char *public = NULL;
	sl_code code = find(d, request->repository, &repository, err);
	if (code == SL_OK && strncmp(repository->url, "ssh://", 6) != 0) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_KEY_REFUSED,
				      "repository '%s' is not reached by ssh, so no key opens it: "
				      "its url is %s",
				      repository->name, repository->url);
	}
	if (code != SL_OK) {
		return code;
	}
	response->waits = *login_at(repository, slot_of(request->use, false)) != NULL;
	code = logins_generate(service_vault(d), d, repository,
			       slot_of(request->use, response->waits), &public, err);
	if (code == SL_OK) {
		repositories_put(d, repository);
		response->public_key = (char *)public;
		response->repository = wire_repository(d->arena, repository);
	}
	return code;
}

sl_code repository_rotate_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__RotateRepositoryKeyRequest *request = message;
	sl_code code = check_reference("repository", request->repository, err);
	return code != SL_OK ? code : check_use(request->use, err);
}

sl_code repository_rotate_decide(struct decision *d, const void *message, void *reply,
				 struct sl_err *err)
{
	const Sluice__V1__RotateRepositoryKeyRequest *request = message;
	Sluice__V1__RotateRepositoryKeyResponse *response = reply;
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	sl_code code = find(d, request->repository, &repository, err);
	code = code != SL_OK
		   ? code
		   : logins_move(service_vault(d), d, repository, slot_of(request->use, true),
				 slot_of(request->use, false), err);
	if (code == SL_OK) {
		repositories_put(d, repository);
		response->repository = wire_repository(d->arena, repository);
	}
	return code;
}
