#include "agent/import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/identity.h"
#include "agent/import/head.h"
#include "agent/manifest/manifest.h"
#include "agent/pull/pull.h"
#include "agent/reconcile/reconcile.h"
#include "agent/state/state.h"
#include "base/clock/clock.h"
#include "base/file/file.h"
#include "base/mem/own.h"

enum { LOOK_MS = 1000, SWEEP_BUDGET = 1000 };

struct import {
	const struct agent_config *config;
	char *dir, *file; /* owned; absolute */
	struct sl_arena arena;
	Sluice__V1__BundleHead *head;   /* in the arena */
	struct state *state;            /* owned */
	Sluice__V1__Manifest *manifest; /* owned; NULL: none yet */
	struct pull *pull;              /* owned */
	bool named;                     /* the manifest names what the file says it is */
};

static void import_fini(struct import *import)
{
	pull_free(import->pull);
	manifest_free(import->manifest);
	state_free(import->state);
	sl_arena_fini(&import->arena);
	free(import->dir);
	free(import->file);
}

/* --- what there is ------------------------------------------------------------------------- */

/* Files that somebody else made the agent could neither write to nor remove. */
static sl_code check_owner(const struct import *import, struct sl_err *err)
{
	struct stat st;
	if (stat(import->dir, &st) != 0) {
		return sl_err_set(err, SL_INTERNAL, "'%s': %s", import->dir, strerror(errno));
	}
	return st.st_uid == geteuid()
		   ? SL_OK
		   : sl_err_set(err, SL_FAILED_PRECONDITION,
				"'%s' belongs to user %u: run this as that user, not as user %u",
				import->dir, (unsigned)st.st_uid, (unsigned)geteuid());
}

static sl_code open_paths(struct import *import, const char *file, struct sl_err *err)
{
	import->dir = realpath(import->config->state_dir, NULL);
	if (import->dir == NULL) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "state folder '%s': %s: enrol the agent first",
				  import->config->state_dir, strerror(errno));
	}
	import->file = realpath(file, NULL);
	return import->file != NULL
		   ? check_owner(import, err)
		   : sl_err_set(err, SL_INVALID_ARGUMENT, "'%s': %s", file, strerror(errno));
}

static sl_code read_head(struct import *import, struct sl_err *err)
{
	uint8_t *start = sl_arena_alloc(&import->arena, HEAD_BYTES_MAX);
	SL_AUTO(sl_fd_auto) int fd = open(import->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t got = fd < 0 || start == NULL ? -1 : pread(fd, start, HEAD_BYTES_MAX, 0);
	if (got < 0) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "'%s': %s", import->file,
				  strerror(errno));
	}
	sl_code code = head_read(SL_BYTES(start, (size_t)got), &import->arena, &import->head, err);
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "'%s'", import->file);
}

/* An agent that has enrolled and never ran has no state yet. */
static sl_code new_state(struct import *import, struct sl_err *err)
{
	SL_AUTO(identity_free_auto) struct identity *identity = NULL;
	if (identity_load(import->dir, &identity, err) != SL_OK) {
		sl_err_clear(err);
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'%s' is no agent's yet: enrol it, or run it once", import->dir);
	}
	import->state = state_new();
	struct state *state = import->state;
	return state != NULL &&
		       state_text(state->workspace, STATE_SLUG_SIZE, identity->workspace) &&
		       state_text(state->instance, STATE_SLUG_SIZE, identity->instance)
		   ? SL_OK
		   : sl_err_no_memory(err);
}

static sl_code load(struct import *import, struct sl_err *err)
{
	sl_code code = state_load(import->dir, &import->state, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		code = new_state(import, err);
	}
	code = code != SL_OK ? code : manifest_of_state(import->state, &import->manifest, err);
	if (code == SL_OK && import->manifest != NULL) {
		code = reconcile_merge(import->state, import->manifest, err);
	}
	return code;
}

/* --- where it goes --- */

static sl_code find_app(struct import *import, struct state_app **ret_app, struct sl_err *err)
{
	const Sluice__V1__BundleHead *head = import->head;
	struct state_app *app = state_app_by_id(import->state, head->app_id);
	if (app == NULL) {
		app = state_app_by_slug(import->state, head->slug);
		app = app != NULL ? app : state_app_add(import->state, "", head->slug);
	}
	if (app == NULL) {
		return sl_err_no_memory(err);
	}
	bool other = app->id[0] != '\0' && strcmp(app->id, head->app_id) != 0;
	if (other || strcmp(app->slug, head->slug) != 0) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the file is of app %s ('%s'); here, '%s' is app %s",
				  head->app_id, head->slug, app->slug, app->id);
	}
	*ret_app = app;
	return SL_OK;
}

/* The entry that it becomes: the one that the manifest made, or one that awaits a manifest. */
static sl_code find_version(struct import *import, struct state_app *app,
			    struct state_version **ret_version, struct sl_err *err)
{
	char folder[STATE_FOLDER_SIZE];
	const Sluice__V1__Bundle *bundle = import->head->bundle;
	struct state_version *version = app->id[0] != '\0' ? reconcile_version(app, bundle) : NULL;
	import->named = version != NULL;
	if (version == NULL) {
		(void)state_folder(folder, bundle->version, bundle->digest.data);
		version = state_version_by_folder(app, folder);
		version = version != NULL
			      ? version
			      : state_version_add(app, "", bundle->version, bundle->digest.data);
	}
	if (version == NULL) {
		return sl_err_no_memory(err);
	}
	bool same = version->digest_known &&
		    memcmp(version->digest, bundle->digest.data, SL_HASH_BYTES) == 0;
	if (!same) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "folder '%s' of app '%s' holds something else", version->folder,
				  app->slug);
	}
	*ret_version = version;
	return SL_OK;
}

/* --- the pull --- */

static sl_code stage(struct import *import, struct sl_err *err)
{
	const struct agent_config *config = import->config;
	const struct pull_options options = {
	    .dir = import->dir,
	    .limits = agent_config_limits(config),
	    .deadline_ms = (unsigned)config->git_deadline_ms,
	    .disk_reserve = config->disk_reserve,
	    .sync_each = strcmp(config->sync, "each") == 0,
	    .file = import->file,
	    .app_id = import->head->app_id,
	};
	sl_code code = pull_start(&options, import->head->bundle, &import->pull, err);
	if (code != SL_OK) {
		return code;
	}
	while (!pull_step(import->pull, &code, err)) {
		struct pollfd news = {.fd = pull_fd(import->pull), .events = POLLIN};
		(void)poll(&news, 1, LOOK_MS);
	}
	return code;
}

/* A folder that is in the way is nobody's: the state knows all that are whole. */
static sl_code place(const struct import *import, const struct state_app *app,
		     const struct state_version *version, struct sl_err *err)
{
	const char *staged = pull_staging(import->pull);
	sl_code code = activate_place(import->dir, staged, app->slug, version->folder, err);
	if (code != SL_ALREADY_EXISTS) {
		return code;
	}
	sl_err_clear(err);
	code = activate_discard(import->dir, app->slug, version->folder, err);
	return code != SL_OK ? code
			     : activate_place(import->dir, staged, app->slug, version->folder, err);
}

static sl_code put(struct import *import, FILE *out, struct sl_err *err)
{
	struct state_app *app = NULL;
	struct state_version *version = NULL;
	sl_code code = find_app(import, &app, err);
	code = code != SL_OK ? code : find_version(import, app, &version, err);
	if (code != SL_OK) {
		return code;
	}
	bool there = version->on_disk && activate_has(import->dir, app->slug, version->folder);
	if (!there) {
		code = stage(import, err);
		code = code != SL_OK ? code : place(import, app, version, err);
		version->on_disk = true;
		version->outcome = STATE_OPEN;
		version->print_known = false;
		version->imported_unix_ms = import->named ? 0 : sl_clock_unix_ms();
		version->error[0] = '\0';
		version->transient = false;
		code = code != SL_OK ? code : state_save(import->dir, import->state, err);
	}
	if (code == SL_OK) {
		(void)fprintf(
		    out, "%s %s: %s in apps/%s/versions/%s; %s\n", app->slug,
		    import->head->bundle->version, there ? "was" : "is", app->slug, version->folder,
		    import->named ? "the manifest names it" : "no manifest has named it yet");
	}
	return code;
}

sl_code import_bundle(const struct agent_config *config, const char *file, FILE *out,
		      struct sl_err *err)
{
	int lock = -1;
	SL_AUTO(import_fini) struct import import = {.config = config};
	sl_arena_init(&import.arena, 0);
	sl_code code = open_paths(&import, file, err);
	code = code != SL_OK ? code : read_head(&import, err);
	code = code != SL_OK ? code : state_lock(import.dir, &lock, err);
	if (code != SL_OK) {
		return code;
	}
	code = load(&import, err);
	if (code == SL_OK && strcmp(import.head->workspace, import.state->workspace) != 0) {
		code = sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the file is of workspace '%.64s', this agent of '%s'",
				  import.head->workspace, import.state->workspace);
	}
	code = code != SL_OK ? code : activate_prepare(import.dir, err);
	code = code != SL_OK ? code : put(&import, out, err);
	while (!activate_sweep(import.dir, NULL, SWEEP_BUDGET)) {
	}
	(void)close(lock);
	return code;
}
