#include "server/records/verify.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "server/records/audit.h"
#include "server/records/verify_internal.h"

enum { FAULTS_SHOWN = 50, TEXT_MAX = 100 };

/* --- faults ---------------------------------------------------------------- */

static void print_key(FILE *out, struct sl_bytes key)
{
	for (size_t i = 0; i < key.size; i++) {
		if (isgraph(key.data[i]) && key.data[i] != '\\') {
			(void)fputc(key.data[i], out);
			continue;
		}
		(void)fprintf(out, "\\%02x", key.data[i]);
	}
}

void verify_fault(struct verify *v, const char *fmt, ...)
{
	v->faults++;
	if (v->faults > FAULTS_SHOWN) {
		return;
	}
	(void)fprintf(v->out, "%s ", record_table_names[v->table]);
	print_key(v->out, v->key);
	(void)fputs(": ", v->out);
	va_list args;
	va_start(args, fmt);
	(void)vfprintf(v->out, fmt, args);
	va_end(args);
	(void)fputc('\n', v->out);
}

static void log_fault(struct verify *v, const char *what, uint64_t number, const char *text)
{
	if (++v->faults <= FAULTS_SHOWN) {
		(void)fprintf(v->out, "%s %lu: %s\n", what, (unsigned long)number, text);
	}
}

/* --- parts of keys ------------------------------------------------------------ */

struct verify_key verify_key_of(const struct verify *v)
{
	return (struct verify_key){.at = v->key.data, .end = v->key.data + v->key.size};
}

uint32_t verify_key_u32(struct verify_key *r)
{
	if (r->failed || r->end - r->at < 4) {
		r->failed = true;
		return 0;
	}
	r->at += 4;
	return sl_get_be32(r->at - 4);
}

uint64_t verify_key_u64(struct verify_key *r)
{
	uint64_t high = verify_key_u32(r);
	return high << 32 | verify_key_u32(r);
}

const char *verify_key_text(struct verify_key *r)
{
	const uint8_t *nul = r->failed ? NULL : memchr(r->at, 0, (size_t)(r->end - r->at));
	if (nul == NULL) {
		r->failed = true;
		return "";
	}
	const char *text = (const char *)r->at;
	r->at = nul + 1;
	return text;
}

const char *verify_key_id(struct verify_key *r)
{
	const char *text = verify_key_text(r);
	if (strlen(text) > TEXT_MAX) {
		r->failed = true;
		return "";
	}
	return text;
}

bool verify_key_end(struct verify *v, const struct verify_key *r)
{
	if (r->failed || r->at != r->end) {
		verify_fault(v, "has a malformed key");
		return false;
	}
	return true;
}

bool verify_texts_fit(struct verify *v, ...)
{
	bool fit = true;
	va_list texts;
	va_start(texts, v);
	for (const char *text = va_arg(texts, const char *); text != NULL;
	     text = va_arg(texts, const char *)) {
		fit = fit && strlen(text) <= TEXT_MAX;
	}
	va_end(texts);
	if (!fit) {
		verify_fault(v, "has a name or id of more than %d bytes", TEXT_MAX);
	}
	return fit;
}

void verify_stored_as(struct verify *v, const struct record_key *key)
{
	if (!sl_bytes_equal(key_bytes(key), v->key)) {
		verify_fault(v, "is stored under the key of another");
	}
}

/* --- what is referred to --------------------------------------------------------- */

void *verify_unpack(struct verify *v, const ProtobufCMessageDescriptor *type)
{
	void *record = protobuf_c_message_unpack(type, sl_arena_protobuf(&v->arena), v->value.size,
						 v->value.data);
	if (record == NULL) {
		verify_fault(v, "%zu bytes are not a %s", v->value.size, type->short_name);
	}
	return record;
}

bool verify_is_there(const struct verify *v, enum record_table table, const struct record_key *key,
		     struct sl_bytes *ret_value)
{
	struct sl_bytes value;
	return store_get(v->view, table, key_bytes(key), ret_value == NULL ? &value : ret_value,
			 NULL) == SL_OK;
}

void verify_need(struct verify *v, enum record_table table, const struct record_key *key,
		 const char *what)
{
	if (!verify_is_there(v, table, key, NULL)) {
		verify_fault(v, "refers to %s that is not there", what);
	}
}

void verify_need_index(struct verify *v, enum record_table index, const struct record_key *key,
		       struct sl_bytes wanted)
{
	struct sl_bytes value;
	if (!verify_is_there(v, index, key, &value)) {
		verify_fault(v, "is missing in %s", record_table_names[index]);
	} else if (!sl_bytes_equal(value, wanted)) {
		verify_fault(v, "%s points elsewhere", record_table_names[index]);
	}
}

void verify_need_version(struct verify *v, uint32_t workspace, const char *app_id, uint32_t number)
{
	struct record_key key = KEY(workspace, key_text(k, app_id), key_u32(k, number));
	verify_need(v, TABLE_VERSIONS, &key, "a version");
}

bool verify_app_lives(const struct verify *v, uint32_t workspace, const char *app_id)
{
	struct record_key key = KEY(workspace, key_text(k, app_id));
	return verify_is_there(v, TABLE_APPS, &key, NULL);
}

void verify_need_app_ever(struct verify *v, uint32_t workspace, const char *app_id)
{
	struct record_key key = KEY(workspace, key_text(k, app_id));
	if (!verify_app_lives(v, workspace, app_id)) {
		verify_need(v, TABLE_DELETED_APPS, &key, "an app");
	}
}

void verify_revision(struct verify *v, uint64_t revision)
{
	if (revision == 0 || revision > v->head) {
		verify_fault(v, "has revision %lu, the head is %lu", (unsigned long)revision,
			     (unsigned long)v->head);
	}
}

void verify_environment(struct verify *v, uint32_t environment)
{
	if (environment < 1 || environment > ENV_COUNT) {
		verify_fault(v, "is of environment %u", environment);
	}
}

/* --- the walk ------------------------------------------------------------------------- */

/* Everything but the workspaces themselves and what strangers name lies in one. */
static bool in_workspace(struct verify *v)
{
	if (v->table == TABLE_WORKSPACES || v->table == TABLE_WORKSPACE_NUMBERS ||
	    v->table == TABLE_ACCESS_TOKENS || v->table == TABLE_IDENTITIES ||
	    v->table == TABLE_JOIN_TOKENS) {
		return true;
	}
	struct verify_key key = verify_key_of(v);
	struct record_key number = key_of(verify_key_u32(&key));
	if (key.failed || !verify_is_there(v, TABLE_WORKSPACE_NUMBERS, &number, NULL)) {
		verify_fault(v, "is of no workspace");
		return false;
	}
	return true;
}

static sl_code verify_table(struct verify *v, const struct verify_check *check, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	v->table = check->table;
	store_walk_begin(&walk, v->view, check->table, SL_BYTES_NONE, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		v->checked++;
		v->key = walk.key;
		v->value = walk.value;
		if (in_workspace(v)) {
			check->check(v);
		}
		sl_arena_fini(&v->arena);
	}
	return store_walk_result(&walk, err);
}

static bool log_record_is_right(struct verify *v, const struct store_walk *walk, uint64_t revision)
{
	Sluice__Store__V1__LogRecord *record = sluice__store__v1__log_record__unpack(
	    sl_arena_protobuf(&v->arena), walk->value.size, walk->value.data);
	bool right = record != NULL && record->revision == revision && revision <= v->head;
	for (size_t i = 0; right && i < record->n_events; i++) {
		right = record->events[i]->object_case != SLUICE__V1__EVENT__OBJECT__NOT_SET;
	}
	sl_arena_fini(&v->arena);
	return right;
}

/* Records are what their keys say, none is above the head, and above the floor none is missing. */
static sl_code verify_log(struct verify *v, struct sl_err *err)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	uint64_t last = store_view_floor(v->view);
	store_walk_log(&walk, v->view, 0, STORE_FORWARD);
	while (store_walk_next(&walk)) {
		v->checked++;
		uint64_t revision = sl_get_be64(walk.key.data);
		if (!log_record_is_right(v, &walk, revision)) {
			log_fault(v, "log", revision,
				  "does not parse, or says another revision than its key");
		}
		if (revision > last + 1) {
			log_fault(v, "log", last + 1, "is missing");
		}
		last = revision > last ? revision : last;
	}
	if (last < v->head) {
		log_fault(v, "log", last + 1, "is missing");
	}
	return store_walk_result(&walk, err);
}

static void on_chain_fault(void *ctx, uint64_t sequence, const char *what)
{
	log_fault(ctx, "audit", sequence, what);
}

/* Nothing of the audit sequence was cut out, changed or put elsewhere, and all of it parses. */
static sl_code verify_audit(struct verify *v, struct sl_err *err)
{
	struct store_audit_check check = {
	    .at = store_view_audit_anchor(v->view), .on_fault = on_chain_fault, .ctx = v};
	sl_code code = store_audit_check(&check, v->view, SIZE_MAX, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(store_audit_end) struct store_audit_walk walk;
	store_audit_begin(&walk, v->view, 0, STORE_FORWARD);
	while (store_audit_next(&walk)) {
		Sluice__V1__AuditEntry *entry = NULL;
		v->checked++;
		if (audit_entry(&v->arena, &walk.record, &entry, NULL) != SL_OK) {
			log_fault(v, "audit", walk.record.sequence, "does not parse");
		}
		sl_arena_fini(&v->arena);
	}
	return store_audit_result(&walk, err);
}

static sl_code verify_tables(struct verify *v, const struct verify_check *checks, size_t count,
			     struct sl_err *err)
{
	sl_code code = SL_OK;
	for (size_t i = 0; code == SL_OK && i < count; i++) {
		code = verify_table(v, &checks[i], err);
	}
	return code;
}

static sl_code verify_all(struct verify *v, struct sl_err *err)
{
	_Static_assert(SL_COUNT(verify_records) + SL_COUNT(verify_work) + SL_COUNT(verify_access) +
			       SL_COUNT(verify_identities) + SL_COUNT(verify_sealed) +
			       SL_COUNT(verify_indexes) ==
			   TABLE_COUNT,
		       "every table is checked");
	v->head = store_view_revision(v->view);
	(void)fprintf(v->out, "revision %llu\n", (unsigned long long)v->head);
	sl_code code = verify_log(v, err);
	code = code != SL_OK ? code : verify_audit(v, err);
	code =
	    code != SL_OK ? code : verify_tables(v, verify_records, SL_COUNT(verify_records), err);
	code = code != SL_OK ? code : verify_tables(v, verify_work, SL_COUNT(verify_work), err);
	code = code != SL_OK ? code : verify_tables(v, verify_access, SL_COUNT(verify_access), err);
	code = code != SL_OK
		   ? code
		   : verify_tables(v, verify_identities, SL_COUNT(verify_identities), err);
	code = code != SL_OK ? code : verify_tables(v, verify_sealed, SL_COUNT(verify_sealed), err);
	return code != SL_OK ? code
			     : verify_tables(v, verify_indexes, SL_COUNT(verify_indexes), err);
}

sl_code records_verify(const char *path, FILE *out, uint64_t *ret_checked, uint64_t *ret_faults,
		       struct sl_err *err)
{
	const struct store_options options = {
	    .path = path,
	    .read_only = true,
	    .tables = record_table_names,
	    .table_count = TABLE_COUNT,
	};
	struct store *store = NULL;
	struct verify v = {.out = out};
	sl_arena_init(&v.arena, 0);
	sl_code code = store_open(&options, &store, err);
	code = code != SL_OK ? code : store_view_begin(store, &v.view, err);
	code = code != SL_OK ? code : verify_all(&v, err);
	store_view_end(v.view);
	store_free(store);
	sl_arena_fini(&v.arena);
	*ret_checked = v.checked;
	*ret_faults = v.faults;
	return code;
}
