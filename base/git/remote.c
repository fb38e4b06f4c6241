#include "base/git/remote_internal.h"

#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/git/credentials_internal.h"
#include "base/git/text_internal.h"
#include "base/git/url_internal.h"
#include "base/git/wire_internal.h"

enum { HELD_NAME = 96 };

int remote_refuse(struct remote *remote, int rc, enum git_failure failure, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(remote->why, sizeof(remote->why), fmt, args);
	va_end(args);
	remote->refused = failure;
	git_error_set_str(GIT_ERROR_CALLBACK, remote->why); /* else an older error is read */
	return rc;
}

static int on_fetched(const git_indexer_progress *stats, void *payload)
{
	struct remote *remote = payload;
	struct work *work = remote->work;
	const struct git_limits *limits = &work->job->limits;
	work->progress.done_objects = stats->indexed_objects;
	work->progress.total_objects = stats->total_objects;
	uint64_t bytes = work->result->fetched_bytes + stats->received_bytes;
	uint64_t objects = work->result->fetched_objects + stats->total_objects;
	work->progress.received_bytes = bytes;
	work_tell(work);
	if (bytes > limits->pack_bytes) {
		remote->refused_rule = GIT_RULE_TOO_MANY_BYTES;
		return remote_refuse(remote, GIT_EUSER, GIT_BUNDLE_TOO_BIG,
				     "the fetch has more than %llu bytes",
				     (unsigned long long)limits->pack_bytes);
	}
	if (objects > limits->pack_objects) {
		remote->refused_rule = GIT_RULE_TOO_MANY_FILES;
		return remote_refuse(remote, GIT_EUSER, GIT_BUNDLE_TOO_BIG,
				     "the fetch has %llu objects, more than %llu",
				     (unsigned long long)objects,
				     (unsigned long long)limits->pack_objects);
	}
	return 0;
}

/* Progress overwrites itself with \r: what a \r ends is dropped, the newest is kept. */
static int on_said(const char *text, int bytes, void *payload)
{
	struct remote *remote = payload;
	size_t used = strlen(remote->said);
	for (int i = 0; i < bytes; i++) {
		if (used + 2 >= sizeof(remote->said)) {
			memmove(remote->said, remote->said + used / 2, used - used / 2);
			used -= used / 2;
		}
		remote->said[used++] = text[i] == '\0' ? ' ' : text[i];
		remote->said[used] = '\0';
		if (text[i] == '\r') {
			char *line = memrchr(remote->said, '\n', used);
			used = line == NULL ? 0 : (size_t)(line - remote->said) + 1;
			remote->said[used] = '\0';
		}
	}
	return 0;
}

static int on_ref_pushed(const char *ref, const char *status, void *payload)
{
	struct remote *remote = payload;
	if (status != NULL) {
		(void)snprintf(remote->ref_refused, sizeof(remote->ref_refused), "%s: %s", ref,
			       status);
	}
	return 0;
}

static void set_callbacks(git_remote_callbacks *callbacks, struct remote *remote)
{
	callbacks->credentials = credentials_on_ask;
	callbacks->certificate_check = credentials_on_certificate;
	callbacks->transfer_progress = on_fetched;
	callbacks->sideband_progress = on_said;
	callbacks->push_update_reference = on_ref_pushed;
	callbacks->payload = remote;
}

static enum git_failure fail(struct remote *remote, int rc, const char *verb)
{
	char doing[260];
	(void)snprintf(doing, sizeof(doing), "%s '%s'", verb, remote->work->url);
	if (remote->refused == GIT_OK) {
		remote->refused = wire_refused(remote->why, sizeof(remote->why));
	}
	if (remote->refused != GIT_OK) {
		return work_break(remote->work, remote->refused, remote->refused_rule, "%s: %s",
				  doing, remote->why);
	}
	enum git_failure failure = work_fail_git(remote->work, remote->phase, rc, doing);
	remote_add_words(remote);
	return failure;
}

static bool is_progress(const char *line)
{
	static const char *const begins[] = {
	    "Enumerating objects", "Counting objects", "Compressing objects", "Total ",
	    "Delta compression",   "Writing objects",  "Resolving deltas",    "Unpacking objects"};
	for (size_t i = 0; i < SL_COUNT(begins); i++) {
		if (strncmp(line, begins[i], strlen(begins[i])) == 0) {
			return true;
		}
	}
	return false;
}

void remote_add_words(const struct remote *remote)
{
	struct git_result *result = remote->work->result;
	const char *between = "; the host says: ";
	for (const char *line = remote->said; *line != '\0';) {
		size_t bytes = strcspn(line, "\n"), used = strlen(result->text);
		if (bytes > 0 && !is_progress(line)) {
			(void)snprintf(result->text + used, sizeof(result->text) - used, "%s%.*s",
				       between, (int)bytes, line);
			between = " ";
		}
		line += bytes + (line[bytes] == '\n');
	}
	text_clean_self(result->text, sizeof(result->text));
}

/* A public name may lead to a private address. The address can change until
 * libgit2 looks it up again: the port rule and least rights are what is left then. */
static enum git_failure check_addresses(struct work *work)
{
	struct url url;
	if (work->job->allow_local || url_parse(work->job->url, &url, NULL) != SL_OK) {
		return GIT_OK;
	}
	struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
	int rc = getaddrinfo(url.host, NULL, &hints, &found);
	if (rc != 0) {
		return work_fail(work, GIT_REPOSITORY_UNREACHABLE, "reach '%s': look up '%s': %s",
				 work->url, url.host, gai_strerror(rc));
	}
	bool local = false;
	for (struct addrinfo *one = found; one != NULL; one = one->ai_next) {
		local = local || url_address_is_local(one->ai_addr);
	}
	freeaddrinfo(found);
	if (local) {
		return work_fail(work, GIT_REPOSITORY_UNREACHABLE,
				 "reach '%s': '%s' has a loopback, link-local or private address, "
				 "which needs --allow-local-repos",
				 work->url, url.host);
	}
	return GIT_OK;
}

static enum git_failure reach(struct remote *remote, git_repository *repository)
{
	enum error_phase phase = remote->phase;
	enum git_failure failure = check_addresses(remote->work);
	if (failure != GIT_OK) {
		return failure;
	}
	git_remote_connect_options opts;
	(void)git_remote_connect_options_init(&opts, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
	set_callbacks(&opts.callbacks, remote);
	opts.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	git_remote_create_options create;
	(void)git_remote_create_options_init(&create, GIT_REMOTE_CREATE_OPTIONS_VERSION);
	create.repository = repository;
	/* What the mirror's own configuration says must not lead to another host. */
	create.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	git_error_clear();
	int rc = git_remote_create_with_opts(&remote->handle, remote->work->job->url, &create);
	if (rc == 0) {
		rc = git_remote_connect_ext(
		    remote->handle, phase == ERROR_PUSH ? GIT_DIRECTION_PUSH : GIT_DIRECTION_FETCH,
		    &opts);
	}
	rc = rc != 0 ? rc : git_remote_ls(&remote->refs, &remote->ref_count, remote->handle);
	return rc == 0 ? GIT_OK : fail(remote, rc, "reach");
}

enum git_failure remote_open(struct remote *remote, struct work *work, enum error_phase phase)
{
	*remote = (struct remote){.work = work, .phase = phase};
	return reach(remote, work->repo);
}

enum git_failure remote_open_telling(struct remote *remote, struct work *work, const git_oid *have)
{
	*remote = (struct remote){.work = work, .phase = ERROR_FETCH};
	enum git_failure failure = mirror_open_telling(work, have, &remote->telling);
	return failure != GIT_OK ? failure : reach(remote, remote->telling);
}

void remote_close(struct remote *remote)
{
	git_remote_free(remote->handle); /* hangs up */
	git_repository_free(remote->telling);
	remote->handle = NULL;
	remote->telling = NULL;
	remote->refs = NULL;
	remote->ref_count = 0;
}

const git_remote_head *remote_find(const struct remote *remote, const char *name)
{
	for (size_t i = 0; i < remote->ref_count; i++) {
		if (strcmp(remote->refs[i]->name, name) == 0) {
			return remote->refs[i];
		}
	}
	return NULL;
}

const git_remote_head *remote_find_id(const struct remote *remote, const git_oid *id)
{
	for (size_t i = 0; i < remote->ref_count; i++) {
		const char *name = remote->refs[i]->name;
		bool peeled = strchr(name, '^') !=
			      NULL; /* says what a tag leads to; cannot be fetched by name */
		if (git_oid_equal(&remote->refs[i]->oid, id) && !peeled &&
		    strncmp(name, "refs/", 5) == 0) {
			return remote->refs[i];
		}
	}
	return NULL;
}

enum git_failure remote_download(struct remote *remote, char **refspecs, size_t count)
{
	git_strarray specs = {.strings = refspecs, .count = count};
	git_fetch_options opts;
	(void)git_fetch_options_init(&opts, GIT_FETCH_OPTIONS_VERSION);
	set_callbacks(&opts.callbacks, remote);
	opts.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	opts.update_fetchhead = 0;
	opts.prune = GIT_FETCH_NO_PRUNE;
	opts.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	git_error_clear();
	int rc = git_remote_download(remote->handle, &specs, &opts);
	const git_indexer_progress *stats = git_remote_stats(remote->handle);
	if (stats != NULL) {
		remote->work->result->fetched_objects += stats->received_objects;
		remote->work->result->fetched_bytes += stats->received_bytes;
	}
	/* New packs are there now. */
	rc = rc != 0 ? rc : git_odb_refresh(remote->work->odb);
	return rc == 0 ? GIT_OK : fail(remote, rc, "fetch from");
}

enum git_failure remote_fail_ref(struct remote *remote)
{
	static const char *const hooks[] = {"declined", "protected", "denied", "prohibited"};
	enum git_failure failure = GIT_PUSH_REFUSED;
	for (size_t i = 0; i < SL_COUNT(hooks); i++) {
		failure =
		    strstr(remote->ref_refused, hooks[i]) != NULL ? GIT_REF_PROTECTED : failure;
	}
	failure = work_fail(remote->work, failure, "'%s' refuses %s", remote->work->url,
			    remote->ref_refused);
	remote_add_words(remote);
	return failure;
}

static enum git_failure push(struct remote *remote, const git_strarray *specs)
{
	git_push_options opts;
	(void)git_push_options_init(&opts, GIT_PUSH_OPTIONS_VERSION);
	set_callbacks(&opts.callbacks, remote);
	opts.pb_parallelism = 1;
	opts.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	git_error_clear();
	int rc = git_remote_push(remote->handle, specs, &opts);
	return rc == 0 ? GIT_OK : fail(remote, rc, "push to");
}

/* One per job: two may push the same commit at once. */
static const char *name_held(char name[static HELD_NAME], const git_oid *commit)
{
	(void)snprintf(name, HELD_NAME, "refs/sluice/outbox/%s-%d", git_oid_tostr_s(commit),
		       getpid());
	return name;
}

/* libgit2 pushes references only, so each commit has one for the time being. */
enum git_failure remote_push(struct remote *remote, const struct remote_update *updates,
			     size_t count)
{
	git_repository *repo = remote->work->repo;
	char specs[REMOTE_UPDATES_MAX][2 * GIT_REF_MAX], *list[REMOTE_UPDATES_MAX];
	char name[HELD_NAME];
	git_strarray all = {.strings = list};
	int rc = 0;
	for (; rc == 0 && all.count < count && all.count < REMOTE_UPDATES_MAX; all.count++) {
		const struct remote_update *update = &updates[all.count];
		SL_AUTO(git_reference_free_auto) git_reference *held = NULL;
		rc = git_reference_create(&held, repo, name_held(name, &update->commit),
					  &update->commit, 1, NULL);
		list[all.count] = specs[all.count];
		(void)snprintf(list[all.count], sizeof(specs[0]), "%s:%s", name,
			       update->to); /* no '+': never forced */
	}
	enum git_failure failure = rc == 0 ? push(remote, &all)
					   : work_fail_git(remote->work, ERROR_MIRROR, rc,
							   "hold the commit in the mirror");
	for (size_t i = 0; i < all.count; i++) {
		(void)git_reference_remove(repo, name_held(name, &updates[i].commit));
	}
	return failure;
}

/* Leaves those that the host does not have. */
static size_t keep_missing(const struct remote *remote, struct remote_update *updates, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (remote_find(remote, updates[i].to) == NULL) {
			updates[kept++] = updates[i];
		}
	}
	return kept;
}

enum git_failure remote_push_missing(struct work *work, struct remote_update *updates, size_t count)
{
	struct remote remote = {0};
	enum git_failure failure = remote_open(&remote, work, ERROR_PUSH);
	count = failure == GIT_OK ? keep_missing(&remote, updates, count) : 0;
	if (count > 0) {
		failure = remote_push(&remote, updates, count);
	}
	if (failure == GIT_OK && remote.ref_refused[0] != '\0') {
		failure = remote_fail_ref(&remote);
	}
	remote_close(&remote);
	return failure;
}

enum git_failure remote_push_commit(struct remote *remote, const git_oid *commit, const char *to)
{
	struct remote_update update = {.commit = *commit};
	if (remote_is_local(remote)) {
		return remote_push_local(remote, commit, to);
	}
	(void)snprintf(update.to, sizeof(update.to), "%s", to);
	return remote_push(remote, &update, 1);
}
