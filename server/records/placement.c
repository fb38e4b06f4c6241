#include "server/records/placement.h"

#include <string.h>

/* --- rows ---------------------------------------------------------------------------- */

static struct record_key row_key(uint32_t workspace, uint32_t environment, const char *label,
				 const char *value, const char *id)
{
	struct record_key key = key_of(workspace);
	key_u32(&key, environment);
	key_text(&key, label);
	key_text(&key, value);
	if (id != NULL) {
		key_text(&key, id);
	}
	return key;
}

void placement_rows(uint32_t workspace, const Sluice__Store__V1__InstanceRecord *instance,
		    void (*each)(void *ctx, const struct record_key *key), void *ctx)
{
	struct record_key key = row_key(workspace, instance->environment, "", "", instance->id);
	each(ctx, &key);
	for (size_t i = 0; i < instance->n_labels; i++) {
		key = row_key(workspace, instance->environment, instance->labels[i]->key,
			      instance->labels[i]->value, instance->id);
		each(ctx, &key);
	}
}

/* What is done to the rows of one instance. */
struct rows {
	struct decision *d;
	uint8_t revision[8];
};

static void put_row(void *ctx, const struct record_key *key)
{
	const struct rows *rows = ctx;
	decision_put_bytes(rows->d, TABLE_INSTANCES_BY_LABEL, key,
			   SL_BYTES(rows->revision, sizeof(rows->revision)));
}

static void delete_row(void *ctx, const struct record_key *key)
{
	const struct rows *rows = ctx;
	decision_delete(rows->d, TABLE_INSTANCES_BY_LABEL, key);
}

void placement_put(struct decision *d, const Sluice__Store__V1__InstanceRecord *instance)
{
	struct rows rows = {.d = d};
	sl_put_be64(rows.revision, instance->revision);
	placement_rows(d->workspace, instance, put_row, &rows);
}

void placement_delete(struct decision *d, const Sluice__Store__V1__InstanceRecord *instance)
{
	struct rows rows = {.d = d};
	placement_rows(d->workspace, instance, delete_row, &rows);
}

/* --- stores of before ------------------------------------------------------------------- */

bool placement_is_indexed(const struct store_view *view)
{
	return table_has_rows(view, TABLE_INSTANCES_BY_LABEL);
}

sl_code placement_index_all(struct decision *d, struct sl_err *err)
{
	if (placement_is_indexed(d->view)) {
		return SL_OK;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, d->view, TABLE_INSTANCES, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__InstanceRecord *instance = NULL;
		sl_code code =
		    record_unpack(d->arena, walk.value,
				  &sluice__store__v1__instance_record__descriptor, &instance, err);
		if (code != SL_OK) {
			return code;
		}
		d->workspace = sl_get_be32(walk.key.data);
		placement_put(d, instance);
	}
	return store_walk_result(&walk, err);
}

/* --- the walk ------------------------------------------------------------------------------ */

static void begin_environment(struct placed *p)
{
	const Sluice__Store__V1__AppRecord *app = p->app;
	bool labelled = app->n_placement > 0;
	struct record_key prefix =
	    row_key(p->workspace, p->environment, labelled ? app->placement[0]->key : "",
		    labelled ? app->placement[0]->value : "", NULL);
	p->prefix_size = prefix.size;
	store_walk_begin(&p->walk, p->view, TABLE_INSTANCES_BY_LABEL, key_bytes(&prefix),
			 STORE_FORWARD);
}

void placed_begin(struct placed *p, const struct store_view *view, uint32_t workspace,
		  const Sluice__Store__V1__AppRecord *app, uint32_t environment)
{
	*p = (struct placed){.view = view,
			     .app = app,
			     .workspace = workspace,
			     .environment = environment != 0 ? environment : 1,
			     .last = environment != 0 ? environment : ENV_COUNT,
			     .err = SL_ERR_INIT};
	begin_environment(p);
}

/* The first label is what the walk is over; these are the others. */
static bool has_other_labels(struct placed *p)
{
	for (size_t i = 1; i < p->app->n_placement && p->code == SL_OK; i++) {
		struct sl_bytes value;
		struct record_key key =
		    row_key(p->workspace, p->environment, p->app->placement[i]->key,
			    p->app->placement[i]->value, p->id);
		sl_code code =
		    store_get(p->view, TABLE_INSTANCES_BY_LABEL, key_bytes(&key), &value, &p->err);
		if (code == SL_NOT_FOUND) {
			return false;
		}
		p->code = code;
	}
	return p->code == SL_OK;
}

/* Takes the row apart; false: no row of ours looks like this. */
static bool read_row(struct placed *p)
{
	struct sl_bytes key = p->walk.key, value = p->walk.value;
	if (key.size <= p->prefix_size || key.data[key.size - 1] != '\0' || value.size != 8) {
		p->code =
		    sl_err_set(&p->err, SL_DATA_LOSS, "a row of instances_by_label is malformed");
		return false;
	}
	p->id = (const char *)key.data + p->prefix_size;
	p->revision = sl_get_be64(value.data);
	return true;
}

bool placed_next(struct placed *p)
{
	while (p->code == SL_OK) {
		if (store_walk_next(&p->walk)) {
			if (read_row(p) && has_other_labels(p)) {
				return true;
			}
			continue;
		}
		p->code = store_walk_result(&p->walk, &p->err);
		if (p->code != SL_OK || p->environment == p->last) {
			return false;
		}
		store_walk_end(&p->walk);
		p->environment++;
		begin_environment(p);
	}
	return false;
}

sl_code placed_result(struct placed *p, struct sl_err *err)
{
	if (p->code != SL_OK && err != NULL) {
		sl_err_move(err, &p->err);
	}
	return p->code;
}

void placed_end(struct placed *p)
{
	store_walk_end(&p->walk);
	sl_err_clear(&p->err);
}
