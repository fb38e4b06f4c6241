#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/reconcile/reconcile.h"
#include "agent/state/state.h"
#include "agent/status/status.h"
#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/own.h"

SL_DEFINE_AUTO(struct state *, state_free);
SL_DEFINE_AUTO(Sluice__V1__Manifest *, manifest_free);

enum { PHASE_TEXT_SIZE = 32 };

struct row {
	const struct state_app *app;
	const char *serves; /* name of the version, or its folder; "-": nothing */
	const char *wants;
	const char *phase;
	const char *error;
	unsigned percent;
	bool orphaned;
	bool held; /* what it wants waits for Pull */
};

/* What is looked at. */
struct look {
	const struct state *state;
	const Sluice__V1__Manifest *manifest;
	bool running;
	bool is_pulling; /* `pulling` says what */
	struct state_pulling pulling;
};

static const char *phase_name(Sluice__V1__Phase phase)
{
	const ProtobufCEnumValue *value =
	    protobuf_c_enum_descriptor_get_value(&sluice__v1__phase__descriptor, (int)phase);
	return value != NULL ? value->name + strlen("PHASE_") : "?";
}

static struct row row_of(const struct look *look, const struct state_app *app)
{
	const Sluice__V1__Manifest *manifest = look->manifest;
	struct reconcile_input in = {.state = look->state, .manifest = manifest};
	struct reconcile_activity activity = {
	    .activating = app->flip.reason != STATE_FLIP_NONE,
	    .pulling = look->is_pulling ? state_version_by_id(app, look->pulling.version_id) : NULL,
	    .verifying = look->pulling.is_verifying,
	    .percent = look->pulling.percent,
	};
	struct reconcile_view view = reconcile_view(&in, app, &activity);
	const struct state_version *active = state_active(app);
	const Sluice__V1__ManifestApp *want = manifest_app(manifest, app->id);
	const Sluice__V1__Bundle *bundle =
	    want != NULL ? manifest_bundle(want, want->activate) : NULL;
	return (struct row){
	    .app = app,
	    .serves = active == NULL            ? "-"
		      : active->name[0] != '\0' ? active->name
						: active->folder,
	    .wants = bundle != NULL ? bundle->version : "-",
	    .phase = view.subject == NULL ? "-" : phase_name(view.phase),
	    .error = view.error,
	    .percent = view.percent,
	    .orphaned = view.orphaned,
	    .held = view.held,
	};
}

static void print_line(FILE *out, const char *name, const char *value)
{
	(void)fprintf(out, "%-12s %s\n", name, value);
}

static void print_head(FILE *out, const struct look *look)
{
	const struct state *state = look->state;
	char text[SL_CLOCK_TEXT_SIZE], line[128];
	(void)snprintf(line, sizeof(line), "%s%s%s", state->instance,
		       state->instance_id[0] != '\0' ? " " : "", state->instance_id);
	print_line(out, "instance", line);
	print_line(out, "workspace", state->workspace);
	print_line(out, "environment", state->environment[0] != '\0' ? state->environment : "-");
	print_line(out, "agent", look->running ? "running" : "not running");
	if (state->removed) {
		print_line(out, "server", "removed this instance: serving only");
	} else if (state->connected_unix_ms == 0) {
		print_line(out, "server", "never reached");
	} else {
		(void)snprintf(line, sizeof(line), "last connected at %s",
			       sl_clock_text(text, state->connected_unix_ms));
		print_line(out, "server", line);
	}
	(void)snprintf(line, sizeof(line), "sequence %" PRIu64 ", valid until %s", state->sequence,
		       sl_clock_text(text, state->expires_unix_ms));
	print_line(out, "manifest", state->manifest != NULL ? line : "none");
	if (look->manifest != NULL &&
	    look->manifest->pull == SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL) {
		print_line(out, "pull", "MANUAL: what is missing is fetched after sluice pull");
	}
	if (state->last_error[0] != '\0') {
		(void)fprintf(out, "%-12s %s (%s)\n", "last error", state->last_error,
			      sl_clock_text(text, state->last_error_unix_ms));
	}
}

/* "FETCHING 40 %" */
static const char *phase_text(char text[static PHASE_TEXT_SIZE], const struct row *row)
{
	(void)snprintf(text, PHASE_TEXT_SIZE, row->percent > 0 ? "%s %u %%" : "%s", row->phase,
		       row->percent);
	return text;
}

/* NULL: nothing is told of it. */
static Sluice__V1__HeldConfig *config_of(const struct state_app *app)
{
	return app->config_size == 0
		   ? NULL
		   : sluice__v1__held_config__unpack(NULL, app->config_size, app->config);
}

static void print_modified(FILE *out, const struct state_modified *modified)
{
	for (size_t i = 0; modified != NULL && i < modified->file_count; i++) {
		(void)fprintf(out, "  modified: %s\n", modified->files[i]);
	}
	if (modified != NULL && modified->count > modified->file_count) {
		(void)fprintf(out, "  and %" PRIu64 " more\n",
			      modified->count - modified->file_count);
	}
}

static void print_texts(FILE *out, const char *what, char **texts, size_t named, uint32_t count)
{
	for (size_t i = 0; i < named; i++) {
		(void)fprintf(out, "  %s: %s\n", what, texts[i]);
	}
	if (count > named) {
		(void)fprintf(out, "  %s: and %zu more\n", what, count - named);
	}
}

/* What its phase does not say. */
static void print_config(FILE *out, const struct state_app *app)
{
	Sluice__V1__HeldConfig *config = config_of(app);
	if (config == NULL) {
		return;
	}
	print_texts(out, "missing", config->missing, config->n_missing, config->missing_count);
	print_texts(out, "override", config->overrides, config->n_overrides,
		    config->override_count);
	sluice__v1__held_config__free_unpacked(config, NULL);
}

static void print_table(FILE *out, const struct look *look)
{
	const struct state *state = look->state;
	print_head(out, look);
	(void)fprintf(out, "\n%-24s %-26s %-26s %-15s %s\n", "APP", "SERVES", "WANTS", "PHASE",
		      "ERROR");
	for (size_t i = 0; i < state->app_count; i++) {
		struct row row = row_of(look, state->apps[i]);
		char phase[PHASE_TEXT_SIZE];
		(void)fprintf(out, "%-24s %-26s %-26s %-15s %s%s%s%s\n", row.app->slug, row.serves,
			      row.wants, phase_text(phase, &row), row.orphaned ? "(orphaned) " : "",
			      row.held ? "an update is available (MANUAL) " : "",
			      row.app->modified != NULL ? "MODIFIED " : "", row.error);
		print_modified(out, row.app->modified);
		print_config(out, row.app);
	}
}

static void put_texts(struct sl_json_writer *json, const char *key, char **texts, size_t count)
{
	sl_json_open_list(json, key);
	for (size_t i = 0; i < count; i++) {
		sl_json_put_text(json, NULL, texts[i]);
	}
	sl_json_close(json);
}

static void put_config(struct sl_json_writer *json, const struct state_app *app)
{
	Sluice__V1__HeldConfig *config = config_of(app);
	char hex[2 * SL_HASH_BYTES + 1] = "";
	if (config == NULL) {
		return;
	}
	if (config->stamp.len == SL_HASH_BYTES) {
		(void)sl_hex(hex, config->stamp.data, SL_HASH_BYTES);
	}
	sl_json_open_object(json, "config");
	sl_json_put_text(json, "stamp", hex);
	put_texts(json, "missing", config->missing, config->n_missing);
	sl_json_put_uint(json, "missingCount", config->missing_count);
	put_texts(json, "overrides", config->overrides, config->n_overrides);
	sl_json_put_uint(json, "overrideCount", config->override_count);
	sl_json_put_text(json, "error", config->error);
	sl_json_close(json);
	sluice__v1__held_config__free_unpacked(config, NULL);
}

static void put_app(struct sl_json_writer *json, const struct row *row)
{
	const struct state_app *app = row->app;
	const struct state_version *active = state_active(app);
	sl_json_open_object(json, NULL);
	sl_json_put_text(json, "appId", app->id);
	sl_json_put_text(json, "slug", app->slug);
	sl_json_put_text(json, "activeVersionId", active != NULL ? active->id : "");
	sl_json_put_text(json, "activeVersion", active != NULL ? active->name : "");
	sl_json_put_text(json, "folder", app->active);
	sl_json_put_text(json, "wantedVersionId", app->wanted_id);
	sl_json_put_text(json, "phase", row->phase);
	sl_json_put_uint(json, "percent", row->percent);
	sl_json_put_text(json, "error", row->error);
	sl_json_put_bool(json, "orphaned", row->orphaned);
	sl_json_put_bool(json, "updateAvailable", row->held);
	if (app->work.version_id[0] != '\0') {
		sl_json_open_object(json, "workingCopy");
		sl_json_put_text(json, "versionId", app->work.version_id);
		sl_json_put_text(json, "commit", app->work.commit);
		sl_json_close(json);
	}
	put_config(json, app);
	sl_json_put_uint(json, "modified", app->modified != NULL ? app->modified->count : 0);
	sl_json_open_list(json, "modifiedFiles");
	for (size_t i = 0; app->modified != NULL && i < app->modified->file_count; i++) {
		sl_json_put_text(json, NULL, app->modified->files[i]);
	}
	sl_json_close(json);
	sl_json_open_list(json, "staged");
	for (size_t i = 0; i < app->version_count; i++) {
		if (app->versions[i]->on_disk) {
			sl_json_put_text(json, NULL, app->versions[i]->id);
		}
	}
	sl_json_close(json);
	sl_json_close(json);
}

static bool print_json(FILE *out, const struct look *look)
{
	const struct state *state = look->state;
	struct sl_json_writer json = {.style = SL_JSON_PRETTY};
	sl_json_open_object(&json, NULL);
	sl_json_put_text(&json, "instance", state->instance);
	sl_json_put_text(&json, "instanceId", state->instance_id);
	sl_json_put_text(&json, "workspace", state->workspace);
	sl_json_put_text(&json, "environment", state->environment);
	sl_json_put_bool(&json, "running", look->running);
	sl_json_put_bool(&json, "removed", state->removed);
	sl_json_put_uint(&json, "sequence", state->sequence);
	sl_json_put_uint(&json, "expiresUnixMs", state->expires_unix_ms);
	sl_json_put_uint(&json, "connectedUnixMs", state->connected_unix_ms);
	sl_json_put_text(&json, "lastError", state->last_error);
	sl_json_put_uint(&json, "lastErrorUnixMs", state->last_error_unix_ms);
	sl_json_open_list(&json, "apps");
	for (size_t i = 0; i < state->app_count; i++) {
		struct row row = row_of(look, state->apps[i]);
		put_app(&json, &row);
	}
	sl_json_close(&json);
	sl_json_close(&json);
	SL_AUTO(sl_free_auto) char *text = sl_json_finish(&json);
	return text != NULL && fputs(text, out) >= 0;
}

sl_code status_show(const struct agent_config *config, FILE *out, struct sl_err *err)
{
	SL_AUTO(state_free_auto) struct state *state = NULL;
	SL_AUTO(manifest_free_auto) Sluice__V1__Manifest *manifest = NULL;
	sl_code code = state_load(config->state_dir, &state, err);
	code = code == SL_OK ? manifest_of_state(state, &manifest, err) : code;
	if (code != SL_OK) {
		return code;
	}
	struct look look = {.state = state, .manifest = manifest};
	look.running = state_is_locked(config->state_dir);
	look.is_pulling = look.running && state_pulling_read(config->state_dir, &look.pulling);
	if (strcmp(config->output, "json") != 0) {
		print_table(out, &look);
	} else if (!print_json(out, &look)) {
		return sl_err_no_memory(err);
	}
	return SL_OK;
}
