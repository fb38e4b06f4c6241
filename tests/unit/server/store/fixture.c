#include "tests/unit/server/store/fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "tests/lib/tmpdir.h"

static const char *const table_names[] = {[APPS] = "apps", [NODES] = "nodes"};
static atomic_uint answered;

void fixture_init(struct fixture *f)
{
	*f = (struct fixture){.path = tmpdir_new()};
	f->options = (struct store_options){
	    .path = f->path,
	    .map_bytes = 16 << 20,
	    .queue_max = 4096,
	    .tables = table_names,
	    .table_count = TABLES,
	};
}

void fixture_open(struct fixture *f)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (store_open(&f->options, &f->store, &err) != SL_OK) {
		fail_msg("open: %s", err.msg);
	}
}

void fixture_reopen(struct fixture *f)
{
	store_free(SL_TAKE(f->store));
	fixture_open(f);
}

void fixture_fini(struct fixture *f)
{
	store_free(SL_TAKE(f->store));
	tmpdir_free(SL_TAKE(f->path));
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_init(f);
	fixture_open(f);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_fini(*state);
	free(*state);
	return 0;
}

static bool sees(const struct store_view *view, const char *key)
{
	struct sl_bytes value;
	return store_get(view, APPS, sl_bytes_text(key), &value, NULL) == SL_OK;
}

static void put_value(const struct write *w, struct store_changes *changes)
{
	struct sl_bytes key = sl_bytes_text(w->put);
	if (w->value_bytes == 0) {
		store_changes_put(changes, APPS, key,
				  sl_bytes_text(w->value != NULL ? w->value : "v"));
		return;
	}
	SL_AUTO(sl_free_auto) char *value = malloc(w->value_bytes);
	if (value == NULL) {
		abort();
	}
	memset(value, 'x', w->value_bytes);
	store_changes_put(changes, APPS, key, SL_BYTES(value, w->value_bytes));
}

static void make_changes(const struct write *w, struct store_changes *changes)
{
	if (w->put != NULL) {
		put_value(w, changes);
	}
	if (w->delete != NULL) {
		store_changes_delete(changes, APPS, sl_bytes_text(w->delete));
	}
	if (w->refusal != NULL) {
		store_changes_refusal(changes, sl_bytes_text(w->refusal));
	}
	if (w->meta != NULL) {
		store_changes_put_meta(changes, w->meta, sl_bytes_text(w->meta));
	}
	if (w->floor != 0) {
		store_changes_set_floor(changes, w->floor);
	}
	if (!w->nothing) {
		store_changes_log(changes, sl_bytes_text(w->put != NULL ? w->put : "record"));
	}
}

static void hold(const struct write *w)
{
	if (w->entered != NULL) {
		(void)sem_post(w->entered);
	}
	while (w->hold != NULL && sem_wait(w->hold) != 0) {
	}
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct write *w = SL_CONTAINER_OF(cmd, struct write, cmd);
	w->decided++;
	w->saw = store_view_revision(view);
	w->promised = store_changes_revision(changes);
	hold(w);
	if ((w->must_see != NULL && !sees(view, w->must_see)) ||
	    (w->must_miss != NULL && sees(view, w->must_miss))) {
		return sl_err_set(err, SL_ABORTED, "does not see what it must");
	}
	make_changes(w, changes);
	if (w->with_own_check && sees(view, w->put)) {
		return sl_err_set(err, SL_ABORTED, "sees its own change");
	}
	return w->refuse == SL_OK ? SL_OK
				  : sl_err_because(err, w->refuse, SL_REASON_NAME_TAKEN, "refused");
}

static void done(struct store_cmd *cmd)
{
	struct write *w = SL_CONTAINER_OF(cmd, struct write, cmd);
	w->order = atomic_fetch_add(&answered, 1) + 1;
	(void)sem_post(&w->finished);
}

sl_code write_submit(struct fixture *f, struct write *w)
{
	w->cmd.decide = decide;
	w->cmd.done = done;
	(void)sem_init(&w->finished, 0, 0);
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = store_submit(f->store, &w->cmd, &err);
	if (code != SL_OK) {
		sl_err_move(&w->cmd.err, &err);
	}
	return code;
}

sl_code write_wait(struct write *w)
{
	while (sem_wait(&w->finished) != 0) {
	}
	return w->cmd.code;
}

sl_code write_run(struct fixture *f, struct write *w)
{
	sl_code code = write_submit(f, w);
	return code != SL_OK ? code : write_wait(w);
}

void write_batch(struct fixture *f, struct write *writes, size_t count)
{
	sem_t held, entered;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&entered, 0, 0);
	struct write gate = {
	    .nothing = true, .hold = &held, .entered = &entered, .cmd.shrinks = true};
	assert_int_equal(write_submit(f, &gate), SL_OK);
	while (sem_wait(&entered) != 0) {
	}
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(write_submit(f, &writes[i]), SL_OK);
	}
	(void)sem_post(&held);
	(void)write_wait(&gate);
	for (size_t i = 0; i < count; i++) {
		(void)write_wait(&writes[i]);
	}
	write_clear(&gate);
}

void write_clear(struct write *w)
{
	sl_err_clear(&w->cmd.err);
}

void write_clear_all(struct write *writes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		write_clear(&writes[i]);
	}
}

uint64_t put(struct fixture *f, const char *key, const char *value)
{
	struct write w = {.put = key, .value = value};
	assert_int_equal(write_run(f, &w), SL_OK);
	return w.cmd.revision;
}

static const struct store_view *view_open(struct fixture *f)
{
	const struct store_view *view = NULL;
	assert_int_equal(store_view_begin(f->store, &view, NULL), SL_OK);
	return view;
}

bool has(struct fixture *f, const char *key, const char *value)
{
	const struct store_view *view = view_open(f);
	struct sl_bytes found;
	bool yes = store_get(view, APPS, sl_bytes_text(key), &found, NULL) == SL_OK;
	yes = yes && (value == NULL || sl_bytes_equal(found, sl_bytes_text(value)));
	store_view_end(view);
	return yes;
}

static char *walked(struct store_walk *walk, bool numbers, size_t *ret_count)
{
	struct sl_buf text = {0};
	size_t count = 0;
	for (; store_walk_next(walk); count++) {
		const char *space = count == 0 ? "" : " ";
		if (numbers) {
			sl_buf_printf(&text, "%s%llu", space,
				      (unsigned long long)sl_get_be64(walk->key.data));
		} else {
			sl_buf_printf(&text, "%s%.*s", space, (int)walk->key.size,
				      (const char *)walk->key.data);
		}
	}
	assert_int_equal(store_walk_result(walk, NULL), SL_OK);
	sl_buf_append(&text, "", 1);
	if (ret_count != NULL) {
		*ret_count = count;
	}
	return (char *)text.data;
}

char *keys(struct fixture *f, unsigned table, const char *prefix, enum store_direction direction)
{
	const struct store_view *view = view_open(f);
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, table, sl_bytes_text(prefix), direction);
	char *text = walked(&walk, false, NULL);
	store_walk_end(&walk);
	store_view_end(view);
	return text;
}

char *log_revisions(struct fixture *f, uint64_t first, enum store_direction direction)
{
	const struct store_view *view = view_open(f);
	struct store_walk walk;
	store_walk_log(&walk, view, first, direction);
	char *text = walked(&walk, true, NULL);
	store_walk_end(&walk);
	store_view_end(view);
	return text;
}

size_t count_log(struct fixture *f)
{
	const struct store_view *view = view_open(f);
	struct store_walk walk;
	size_t count = 0;
	store_walk_log(&walk, view, 0, STORE_FORWARD);
	free(walked(&walk, true, &count));
	store_walk_end(&walk);
	store_view_end(view);
	return count;
}

size_t count_refusals(struct fixture *f)
{
	const struct store_view *view = view_open(f);
	struct store_audit_walk walk;
	size_t count = 0;
	store_audit_begin(&walk, view, 0, STORE_FORWARD);
	while (store_audit_next(&walk)) {
		count += !walk.record.change;
	}
	assert_int_equal(store_audit_result(&walk, NULL), SL_OK);
	store_audit_end(&walk);
	store_view_end(view);
	return count;
}

struct store_stats stats(struct fixture *f)
{
	struct store_stats s;
	store_stats_read(f->store, &s);
	return s;
}

uint64_t view_revision(struct fixture *f)
{
	const struct store_view *view = view_open(f);
	uint64_t revision = store_view_revision(view);
	store_view_end(view);
	return revision;
}

uint64_t view_floor(struct fixture *f)
{
	const struct store_view *view = view_open(f);
	uint64_t floor = store_view_floor(view);
	store_view_end(view);
	return floor;
}
