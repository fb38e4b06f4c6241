/* Config of what is served: judged when anything of it changes, written before a flip, and written
 * anew under what is served. What is judged here is decided on by agent/reconcile. */
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/crypto/secret.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "base/template/template.h"

enum { AGAIN_MS = 5000 };
#define WAITING "the config of this environment has not come from the server yet"

/* What one version sees. */
struct sight {
	struct sl_arena arena;
	struct settings *settings;
	struct settings_view view;
	bool asks;    /* it requires or renders something */
	bool told;    /* what it requires is told: by a manifest with a stamp */
	bool current; /* what is told is held */
};

static void sight_fini(struct sight *sight)
{
	settings_free(sight->settings);
	sl_arena_fini(&sight->arena);
}

static const Sluice__V1__ManifestApp *want_of(const struct loop *loop, const struct run *run)
{
	return manifest_app(loop->manifest, run->app->id);
}

/* What it is to activate: of this content, since a draft's may have been set anew; NULL: nothing.
 */
static struct state_version *wanted_of(const struct loop *loop, const struct run *run)
{
	const Sluice__V1__ManifestApp *want = want_of(loop, run);
	const Sluice__V1__Bundle *bundle =
	    want != NULL ? manifest_bundle(want, want->activate) : NULL;
	return bundle != NULL ? reconcile_version(run->app, bundle) : NULL;
}

/* Is what the manifest names held? */
static bool is_current(const struct loop *loop, const Sluice__V1__ManifestApp *want)
{
	const uint8_t *held = held_stamp(&loop->held, want->app_id);
	return held != NULL && want->config.len == SL_HASH_BYTES &&
	       memcmp(held, want->config.data, SL_HASH_BYTES) == 0;
}

/* NULL: it has none. A bundle's rules were checked when it was fetched. */
static const struct contract *read_contract(const struct loop *loop, const struct run *run,
					    const struct state_version *version,
					    struct sl_arena *arena)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) uint8_t *text = NULL;
	char folder[ACTIVATE_PATH_SIZE];
	struct contract *contract = NULL;
	size_t size = 0;
	activate_folder_path(loop->dir, run->app->slug, version->folder, folder);
	sl_code code =
	    state_read_file(folder, CONTRACT_FILE, CONTRACT_BYTES_MAX, &text, &size, &err);
	code = code == SL_OK ? contract_parse(arena, SL_BYTES(text, size), &contract, NULL, &err)
			     : code;
	if (code != SL_OK && code != SL_NOT_FOUND) {
		log_warn("contract", "app=%s version=%s why=%s", run->app->slug, version->name,
			 SL_QUOTE(err.msg));
	}
	return code == SL_OK ? contract : NULL;
}

static sl_code look(const struct loop *loop, const struct run *run,
		    const struct state_version *version, struct sight *ret_sight,
		    struct sl_err *err)
{
	const Sluice__V1__ManifestApp *want = want_of(loop, run);
	*ret_sight = (struct sight){.settings = NULL};
	sl_arena_init(&ret_sight->arena, 0);
	const struct contract *contract = read_contract(loop, run, version, &ret_sight->arena);
	if (contract == NULL || want == NULL) {
		return SL_OK;
	}
	bool requires =
	    contract->constants.count + contract->secrets.count + contract->source_count > 0;
	ret_sight->asks = requires || contract->render.count > 0;
	ret_sight->told = !requires || want->config.len > 0;
	ret_sight->current = !requires || is_current(loop, want);
	ret_sight->view =
	    (struct settings_view){.contract = contract, .overrides = loop->overrides};
	if (!requires || !ret_sight->current) {
		return SL_OK;
	}
	sl_code code = held_open(&loop->held, want->app_id, &ret_sight->settings, err);
	ret_sight->view.settings = ret_sight->settings;
	return code;
}

/* --- files ------------------------------------------------------------------------------------ */

struct set {
	const char *dir, *slug, *folder;
	const char *path; /* where it is written; NULL: it is only compared */
	bool differs;
};

static sl_code put_file(struct set *set, const char *path, const char *text, size_t size,
			struct sl_err *err)
{
	struct sl_bytes data = SL_BYTES(text, size);
	if (set->path != NULL) {
		return activate_config_write(set->path, path, data, err);
	}
	set->differs =
	    set->differs || !activate_config_is(set->dir, set->slug, set->folder, path, data);
	return SL_OK;
}

/* A rendered file of that name takes the place of ours. */
static bool is_rendered(const struct contract *contract, const char *name)
{
	size_t size = strlen(name);
	for (size_t i = 0; i < contract->render.count; i++) {
		const char *path = contract->render.items[i];
		if (strncmp(path, name, size) == 0 && (path[size] == '\0' || path[size] == '/')) {
			return true;
		}
	}
	return false;
}

static sl_code put_rendered(const struct settings_view *view, struct set *set, const char *path,
			    struct sl_err *err)
{
	SL_AUTO(sl_free_auto) uint8_t *text = NULL;
	SL_AUTO(sl_secret_text_auto) char *rendered = NULL;
	char folder[ACTIVATE_PATH_SIZE];
	size_t size = 0;
	activate_folder_path(set->dir, set->slug, set->folder, folder);
	sl_code code = state_read_file(folder, path, TEMPLATE_BYTES_MAX, &text, &size, err);
	code = code == SL_OK
		   ? settings_render(view, path, SL_BYTES(text, size), &rendered, &size, err)
		   : code;
	return code == SL_OK ? put_file(set, path, rendered, size, err) : code;
}

static sl_code put_own(const struct settings_view *view, struct set *set, const char *name,
		       sl_code (*make)(const struct settings_view *view, char **ret_text,
				       size_t *ret_size, struct sl_err *err),
		       struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	size_t size = 0;
	if (is_rendered(view->contract, name)) {
		return SL_OK;
	}
	sl_code code = make(view, &text, &size, err);
	return code == SL_OK ? put_file(set, name, text, size, err) : code;
}

static sl_code put_files(const struct settings_view *view, struct set *set, struct sl_err *err)
{
	sl_code code = put_own(view, set, "config.json", settings_json, err);
	code = code == SL_OK ? put_own(view, set, "env", settings_env, err) : code;
	for (size_t i = 0; code == SL_OK && i < view->contract->render.count; i++) {
		code = put_rendered(view, set, view->contract->render.items[i], err);
	}
	return code;
}

/* Are the version's files on disk as they should be? */
static sl_code compare(const struct loop *loop, const struct run *run,
		       const struct state_version *version, const struct settings_view *view,
		       bool *ret_differs, struct sl_err *err)
{
	struct set set = {.dir = loop->dir, .slug = run->app->slug, .folder = version->folder};
	sl_code code = put_files(view, &set, err);
	*ret_differs = set.differs;
	return code;
}

static sl_code write_set(const struct loop *loop, const struct run *run,
			 const struct state_version *version, const struct settings_view *view,
			 struct sl_err *err)
{
	const char *slug = run->app->slug;
	char path[ACTIVATE_PATH_SIZE];
	struct set set = {.dir = loop->dir, .slug = slug, .folder = version->folder, .path = path};
	sl_code code = activate_config_begin(loop->dir, slug, version->folder, path, err);
	code = code == SL_OK ? put_files(view, &set, err) : code;
	return code == SL_OK ? activate_config_place(loop->dir, slug, version->folder, path, err)
			     : code;
}

sl_code values_place(struct loop *loop, struct run *run, const struct state_version *version,
		     struct sl_err *err)
{
	SL_AUTO(sight_fini) struct sight sight;
	bool differs = false;
	sl_code code = look(loop, run, version, &sight, err);
	if (code != SL_OK || !sight.asks || !sight.told) {
		return code;
	}
	if (!sight.current) {
		return sl_err_set(err, SL_UNAVAILABLE, WAITING);
	}
	code = compare(loop, run, version, &sight.view, &differs, err);
	if (code != SL_OK || !differs) {
		return code;
	}
	code = write_set(loop, run, version, &sight.view, err);
	if (code == SL_OK) {
		log_info("config-written", "app=%s folder=%s", run->app->slug, version->folder);
	} else {
		values_sweep(loop, run); /* what is half written */
	}
	return code;
}

/* Kept for: what is served or may be next, and the way back. */
static bool is_set_wanted(const char *folder, void *ctx)
{
	const struct run *run = ctx;
	const struct state_app *app = run->app;
	const struct state_version *version = state_version_by_folder(app, folder);
	return strcmp(folder, app->active) == 0 || strcmp(folder, app->previous) == 0 ||
	       strcmp(folder, app->flip.to) == 0 || strcmp(folder, app->flip.from) == 0 ||
	       (version != NULL && strcmp(version->id, app->wanted_id) == 0);
}

void values_sweep(struct loop *loop, struct run *run)
{
	activate_config_sweep(loop->dir, run->app->slug, is_set_wanted, run);
}

/* --- judging --- */

static void join(char text[static STATE_ERROR_SIZE], const struct settings_texts *missing)
{
	struct sl_buf buf = {.data = NULL};
	size_t named =
	    missing->count < SETTINGS_MISSING_MAX ? missing->count : SETTINGS_MISSING_MAX;
	sl_buf_printf(&buf, "missing ");
	for (size_t i = 0; i < named; i++) {
		sl_buf_printf(&buf, "%s%s", i > 0 ? ", " : "", missing->items[i]);
	}
	if (missing->count > named) {
		sl_buf_printf(&buf, " and %zu more", missing->count - named);
	}
	sl_buf_append(&buf, "", 1);
	state_error_text(text, buf.failed ? "config is missing" : (const char *)buf.data);
	sl_buf_fini(&buf);
}

static char **texts_of(struct sl_arena *arena, const struct settings_texts *from, size_t *ret_count)
{
	char **texts = SL_ARENA_ARRAY(arena, char *, SETTINGS_MISSING_MAX);
	*ret_count = 0;
	for (size_t i = 0; texts != NULL && i < from->count && i < SETTINGS_MISSING_MAX; i++) {
		texts[(*ret_count)++] = sl_arena_strdup(arena, from->items[i]);
	}
	return texts;
}

/* What is told of it, kept as it is told. */
static void note(const struct loop *loop, struct run *run, struct sight *sight,
		 const struct settings_texts *missing, const char *error)
{
	Sluice__V1__HeldConfig held = SLUICE__V1__HELD_CONFIG__INIT;
	struct settings_texts overridden = {.count = 0};
	struct sl_arena *arena = &sight->arena;
	const uint8_t *stamp = held_stamp(&loop->held, run->app->id);
	if (stamp != NULL) {
		held.stamp = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)stamp,
						   .len = SL_HASH_BYTES};
	}
	if (sight->asks && sight->told) {
		settings_overridden(&sight->view, &overridden);
	}
	held.missing = texts_of(arena, missing, &held.n_missing);
	held.missing_count = (uint32_t)missing->count;
	held.overrides = texts_of(arena, &overridden, &held.n_overrides);
	held.override_count = (uint32_t)overridden.count;
	held.error = sl_arena_strdup(arena, error);
	size_t size = sl_arena_failed(arena) ? 0 : sluice__v1__held_config__get_packed_size(&held);
	uint8_t *bytes = sl_arena_alloc(arena, size + 1);
	if (bytes != NULL) {
		(void)sluice__v1__held_config__pack(&held, bytes);
		(void)state_app_config(run->app, SL_BYTES(bytes, size));
	}
}

/* Says what the version lacks. True: its files are to be written anew. */
static bool judge(struct loop *loop, struct run *run, struct state_version *version, bool subject)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sight_fini) struct sight sight;
	struct settings_texts missing = {.count = 0};
	bool differs = false, active = strcmp(version->folder, run->app->active) == 0;
	char why[STATE_ERROR_SIZE] = "";
	sl_code code = look(loop, run, version, &sight, &err);
	bool sees = code == SL_OK && sight.asks && sight.told && sight.current;
	if (sees) {
		settings_missing(&sight.view, &missing);
		code = missing.count > 0 ? SL_OK
					 : compare(loop, run, version, &sight.view, &differs, &err);
	}
	if (code != SL_OK) {
		state_error_text(why, err.msg);
		run->values.look_at_ms = sl_clock_mono_ms() + AGAIN_MS;
	} else if (missing.count > 0) {
		join(why, &missing);
	} else if (sight.asks && sight.told && !sight.current) { /* what it has it keeps */
		state_error_text(why, active ? version->not_ready : WAITING);
	}
	if (strcmp(why, version->not_ready) != 0) {
		sl_log(why[0] == '\0' ? SL_LOG_INFO : SL_LOG_WARN,
		       why[0] == '\0' ? "ready" : "not-ready", "app=%s version=%s why=%s",
		       run->app->slug, version->name, SL_QUOTE(why));
		state_error_text(version->not_ready, why);
	}
	if (subject) {
		note(loop, run, &sight, &missing, code != SL_OK ? why : "");
	}
	return differs && code == SL_OK;
}

/* Everything that a judgement hangs on. */
static void see(const struct loop *loop, const struct run *run, struct values_seen *ret_seen)
{
	const Sluice__V1__ManifestApp *want = want_of(loop, run);
	const uint8_t *held = held_stamp(&loop->held, run->app->id);
	const struct state_version *wanted = wanted_of(loop, run);
	memset(ret_seen, 0, sizeof(*ret_seen));
	ret_seen->named = want != NULL;
	if (want != NULL && want->config.len == SL_HASH_BYTES) {
		memcpy(ret_seen->told, want->config.data, SL_HASH_BYTES);
	}
	if (held != NULL) {
		memcpy(ret_seen->held, held, SL_HASH_BYTES);
	}
	if (wanted != NULL && wanted->on_disk) {
		(void)state_text(ret_seen->wanted, sizeof(ret_seen->wanted), wanted->folder);
	}
	(void)state_text(ret_seen->active, sizeof(ret_seen->active), run->app->active);
}

/* Does the manifest's stamp speak of this version? */
static bool is_named(const struct loop *loop, const struct run *run,
		     const struct state_version *version)
{
	const Sluice__V1__ManifestApp *want = want_of(loop, run);
	const Sluice__V1__Bundle *bundle = want != NULL ? manifest_bundle(want, version->id) : NULL;
	return bundle != NULL && reconcile_version(run->app, bundle) == version;
}

void values_step(struct loop *loop, struct run *run)
{
	struct values_seen now;
	see(loop, run, &now);
	bool again = run->values.look_at_ms != 0 && sl_clock_mono_ms() >= run->values.look_at_ms;
	loop_wake_at(loop, again ? 0 : run->values.look_at_ms);
	if (!again && run->values.looked && memcmp(&now, &run->values.seen, sizeof(now)) == 0) {
		return;
	}
	run->values.seen = now;
	run->values.looked = true;
	run->values.look_at_ms = 0;
	run->values.reload_due = false;
	if (!now.named || reconcile_clashes(loop->state, run->app)) {
		return;
	}
	struct state_version *wanted = state_version_by_folder(run->app, now.wanted);
	struct state_version *active = state_active(run->app);
	if (active != NULL && is_named(loop, run, active)) {
		bool subject = wanted == NULL || wanted == active;
		run->values.reload_due = judge(loop, run, active, subject);
	}
	if (wanted != NULL && wanted != active) {
		(void)judge(loop, run, wanted, true);
	}
	loop->dirty = true;
}

/* --- start and end --- */

static bool is_known(const char *app_id, void *ctx)
{
	const struct loop *loop = ctx;
	return state_app_by_id(loop->state, app_id) != NULL;
}

sl_code values_start(struct loop *loop, struct sl_err *err)
{
	sl_code code = loop->identity == NULL ? held_key(loop->dir, &loop->own_key, err) : SL_OK;
	if (code != SL_OK) {
		return code;
	}
	loop->held = (struct held){
	    .dir = loop->dir,
	    .instance_id = loop->state->instance_id,
	    .box_secret = loop->identity != NULL ? loop->identity->box_secret : loop->own_key,
	};
	code = held_load(&loop->held, err);
	if (code == SL_OK) {
		held_sweep(&loop->held, is_known, loop);
	}
	for (size_t i = 0; code == SL_OK && i < loop->run_count; i++) {
		values_sweep(loop, loop->runs[i]);
	}
	return code;
}

void values_stop(struct loop *loop)
{
	held_fini(&loop->held);
	sl_secret_free(loop->own_key);
}

void values_keep(struct loop *loop)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t now = sl_clock_mono_ms();
	if (!held_is_due(&loop->held)) {
		return;
	}
	if (now >= loop->keep_at_ms && held_keep(&loop->held, &err) != SL_OK) {
		log_warn("config-not-kept", "why=%s", SL_QUOTE(err.msg));
		loop->keep_at_ms = now + AGAIN_MS;
	}
	loop_wake_at(loop, held_is_due(&loop->held) ? loop->keep_at_ms : 0);
}

sl_code values_take(struct loop *loop, const Sluice__V1__AgentConfig *config, struct sl_err *err)
{
	sl_code code = trust_check_config(loop->state, config, err);
	code = code == SL_OK ? held_take(&loop->held, config, err) : code;
	if (code == SL_OK) {
		log_info("config", "app=%.32s bytes=%zu", config->app_id, config->box.len);
		values_keep(loop);
	}
	return code;
}
