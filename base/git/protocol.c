#include "base/git/protocol_internal.h"

#include <string.h>

#include "base/mem/own.h"

enum field_kind {
	TEXT,    /* const char *: NULL is left out; points into the record when read */
	CHARS,   /* char[size] */
	NUMBER,  /* uint64_t */
	NUMBER4, /* unsigned or an enum */
	FLAG,    /* bool */
	LETTER,  /* char */
	HASH,    /* uint8_t[SL_HASH_BYTES] */
	HASH_AT, /* const uint8_t *: NULL is left out */
};

struct field {
	enum field_kind kind;
	size_t at, size;
};

#define FIELD(type, kind, name)                                                                    \
	{                                                                                          \
		kind, offsetof(struct type, name), sizeof(((struct type *)0)->name)                \
	}
#define JOB(kind, name) FIELD(git_job, kind, name)
#define RESULT(kind, name) FIELD(git_result, kind, name)

static const struct field job_fields[] = {
    JOB(NUMBER4, op),
    JOB(TEXT, mirror),
    JOB(TEXT, url),
    JOB(FLAG, allow_local),
    JOB(TEXT, login.user),
    JOB(TEXT, login.password),
    JOB(TEXT, login.ssh_key),
    JOB(TEXT, login.ssh_phrase),
    JOB(TEXT, login.host_keys),
    JOB(TEXT, login.ca_pem),
    JOB(TEXT, revision),
    JOB(TEXT, ref),
    JOB(TEXT, commit),
    JOB(TEXT, path),
    JOB(TEXT, other_commit),
    JOB(TEXT, other_path),
    JOB(TEXT, message),
    JOB(TEXT, staging),
    JOB(TEXT, author),
    JOB(TEXT, operation),
    JOB(TEXT, move_from),
    JOB(TEXT, record_path),
    JOB(TEXT, record),
    JOB(TEXT, archive),
    JOB(TEXT, folder),
    JOB(FLAG, look),
    JOB(FLAG, writable),
    JOB(FLAG, onto),
    JOB(TEXT, want_tree),
    JOB(HASH_AT, want_digest),
    JOB(NUMBER, unix_s),
    JOB(NUMBER, limits.files),
    JOB(NUMBER, limits.bytes),
    JOB(NUMBER, limits.file_bytes),
    JOB(NUMBER4, limits.depth),
    JOB(NUMBER4, limits.name_bytes),
    JOB(NUMBER4, limits.path_bytes),
    JOB(NUMBER, limits.pack_bytes),
    JOB(NUMBER, limits.pack_objects),
    JOB(NUMBER, limits.part_bytes),
    JOB(NUMBER4, deadline_ms),
    JOB(FLAG, sync_each),
};

static const struct field result_fields[] = {
    RESULT(NUMBER4, failure),      RESULT(NUMBER4, rule),
    RESULT(CHARS, text),           RESULT(CHARS, commit),
    RESULT(CHARS, tree),           RESULT(CHARS, ref),
    RESULT(HASH, digest),          RESULT(NUMBER, files),
    RESULT(NUMBER, bytes),         RESULT(NUMBER, fetched_objects),
    RESULT(NUMBER, fetched_bytes), RESULT(CHARS, subject),
    RESULT(CHARS, author),         RESULT(NUMBER, commit_unix_s),
    RESULT(FLAG, diff_cut),        RESULT(CHARS, tip),
    RESULT(FLAG, log_cut),         RESULT(FLAG, unchanged),
    RESULT(CHARS, given),          RESULT(FLAG, apps_cut),
};

static const struct field log_fields[] = {
    FIELD(git_log_entry, CHARS, commit), FIELD(git_log_entry, CHARS, subject),
    FIELD(git_log_entry, CHARS, author), FIELD(git_log_entry, NUMBER, unix_s),
    FIELD(git_log_entry, NUMBER, files),
};

static const struct field app_fields[] = {
    FIELD(git_app, CHARS, name),         FIELD(git_app, CHARS, path),
    FIELD(git_app, CHARS, version),      FIELD(git_app, CHARS, last.commit),
    FIELD(git_app, CHARS, last.subject), FIELD(git_app, CHARS, last.author),
    FIELD(git_app, NUMBER, last.unix_s), FIELD(git_app, NUMBER, last.files),
};

static const struct field progress_fields[] = {
    FIELD(git_progress, NUMBER, done_objects),   FIELD(git_progress, NUMBER, total_objects),
    FIELD(git_progress, NUMBER, received_bytes), FIELD(git_progress, NUMBER, written_files),
    FIELD(git_progress, NUMBER, written_bytes),  FIELD(git_progress, NUMBER, done_parts),
    FIELD(git_progress, NUMBER, total_parts),
};

static const struct field diff_fields[] = {
    FIELD(git_diff_entry, LETTER, change),
    FIELD(git_diff_entry, TEXT, path),
    FIELD(git_diff_entry, NUMBER, old_bytes),
    FIELD(git_diff_entry, NUMBER, new_bytes),
};

_Static_assert(sizeof(enum git_op) == sizeof(unsigned), "NUMBER4 carries enums");

static void append(struct protocol_record *record, const void *data, size_t size)
{
	if (record->failed || size > sizeof(record->data) - record->size) {
		record->failed = true;
		return;
	}
	memcpy(record->data + record->size, data, size);
	record->size += size;
}

static void put_bytes(struct protocol_record *record, size_t tag, const void *data, size_t size)
{
	uint8_t head[5] = {(uint8_t)tag};
	sl_put_be32(head + 1, (uint32_t)size);
	append(record, head, sizeof(head));
	append(record, data, size);
}

static void put_field(struct protocol_record *record, size_t tag, const struct field *field,
		      const uint8_t *at)
{
	uint64_t number = 0;
	const void *pointer = NULL;
	uint8_t wide[8];
	switch (field->kind) {
	case TEXT:
		memcpy(&pointer, at, sizeof(pointer));
		if (pointer != NULL) {
			put_bytes(record, tag, pointer, strlen(pointer) + 1);
		}
		return;
	case HASH_AT:
		memcpy(&pointer, at, sizeof(pointer));
		if (pointer != NULL) {
			put_bytes(record, tag, pointer, SL_HASH_BYTES);
		}
		return;
	case CHARS:
		put_bytes(record, tag, at, strnlen((const char *)at, field->size - 1));
		return;
	case HASH:
		put_bytes(record, tag, at, field->size);
		return;
	case NUMBER:
	case NUMBER4:
	case FLAG:
	case LETTER:
		memcpy(&number, at,
		       field->size); /* little-endian machines only: Debian's amd64 and arm64 */
		sl_put_be64(wide, number);
		put_bytes(record, tag, wide, sizeof(wide));
		return;
	}
}

static void put_struct(struct protocol_record *record, enum protocol_kind kind,
		       const struct field *fields, size_t count, const void *from)
{
	record->size = 0;
	record->failed = false;
	append(record, &(uint8_t){(uint8_t)kind}, 1);
	for (size_t i = 0; i < count; i++) {
		put_field(record, i + 1, &fields[i], (const uint8_t *)from + fields[i].at);
	}
}

static bool get_text(const struct field *field, struct sl_bytes value, uint8_t *at)
{
	if (field->kind == CHARS) {
		if (value.size >= field->size || memchr(value.data, '\0', value.size) != NULL) {
			return false;
		}
		memcpy(at, value.data, value.size);
		at[value.size] = '\0';
		return true;
	}
	if (value.size == 0 ||
	    memchr(value.data, '\0', value.size) != value.data + value.size - 1) {
		return false;
	}
	memcpy(at, &value.data, sizeof(value.data));
	return true;
}

static bool get_number(const struct field *field, struct sl_bytes value, uint8_t *at)
{
	if (value.size != 8) {
		return false;
	}
	uint64_t number = sl_get_be64(value.data);
	bool fits = field->kind == NUMBER || (field->kind == NUMBER4 && number <= UINT32_MAX) ||
		    (field->kind == FLAG && number <= 1) ||
		    (field->kind == LETTER && number <= 0x7f);
	if (fits) {
		memcpy(at, &number, field->size);
	}
	return fits;
}

static bool get_field(const struct field *field, struct sl_bytes value, uint8_t *at)
{
	switch (field->kind) {
	case TEXT:
	case CHARS:
		return get_text(field, value, at);
	case HASH:
	case HASH_AT:
		if (value.size != SL_HASH_BYTES) {
			return false;
		}
		if (field->kind == HASH) {
			memcpy(at, value.data, value.size);
		} else {
			memcpy(at, &value.data, sizeof(value.data));
		}
		return true;
	default:
		return get_number(field, value, at);
	}
}

static bool get_struct(const struct protocol_record *record, enum protocol_kind kind,
		       const struct field *fields, size_t count, void *to)
{
	if (protocol_kind_of(record) != kind) {
		return false;
	}
	struct sl_bytes rest = SL_BYTES(record->data + 1, record->size - 1);
	while (rest.size > 0) {
		size_t tag = rest.data[0],
		       size = rest.size < 5 ? SIZE_MAX : sl_get_be32(rest.data + 1);
		if (tag == 0 || tag > count || rest.size < 5 || size > rest.size - 5) {
			return false;
		}
		const struct field *field = &fields[tag - 1];
		if (!get_field(field, SL_BYTES(rest.data + 5, size), (uint8_t *)to + field->at)) {
			return false;
		}
		rest = SL_BYTES(rest.data + 5 + size, rest.size - 5 - size);
	}
	return true;
}

enum protocol_kind protocol_kind_of(const struct protocol_record *record)
{
	return record->size == 0 ? (enum protocol_kind)0 : (enum protocol_kind)record->data[0];
}

void protocol_put_job(struct protocol_record *record, const struct git_job *job)
{
	put_struct(record, PROTOCOL_JOB, job_fields, SL_COUNT(job_fields), job);
}

void protocol_put_progress(struct protocol_record *record, const struct git_progress *progress)
{
	put_struct(record, PROTOCOL_PROGRESS, progress_fields, SL_COUNT(progress_fields), progress);
}

void protocol_put_diff_entry(struct protocol_record *record, const struct git_diff_entry *entry)
{
	put_struct(record, PROTOCOL_DIFF_ENTRY, diff_fields, SL_COUNT(diff_fields), entry);
}

void protocol_put_log_entry(struct protocol_record *record, const struct git_log_entry *entry)
{
	put_struct(record, PROTOCOL_LOG_ENTRY, log_fields, SL_COUNT(log_fields), entry);
}

void protocol_put_app(struct protocol_record *record, const struct git_app *app)
{
	put_struct(record, PROTOCOL_APP, app_fields, SL_COUNT(app_fields), app);
}

void protocol_put_json(struct protocol_record *record, const void *data, size_t size)
{
	put_struct(record, PROTOCOL_SLUICE_JSON, NULL, 0, "");
	append(record, data, size);
}

void protocol_put_result(struct protocol_record *record, const struct git_result *result)
{
	put_struct(record, PROTOCOL_RESULT, result_fields, SL_COUNT(result_fields), result);
}

bool protocol_get_job(const struct protocol_record *record, struct git_job *ret_job)
{
	struct git_job job = {0};
	if (!get_struct(record, PROTOCOL_JOB, job_fields, SL_COUNT(job_fields), &job)) {
		return false;
	}
	*ret_job = job;
	return true;
}

bool protocol_get_progress(const struct protocol_record *record, struct git_progress *ret_progress)
{
	struct git_progress progress = {0};
	if (!get_struct(record, PROTOCOL_PROGRESS, progress_fields, SL_COUNT(progress_fields),
			&progress)) {
		return false;
	}
	*ret_progress = progress;
	return true;
}

bool protocol_get_diff_entry(const struct protocol_record *record, struct git_diff_entry *ret_entry)
{
	struct git_diff_entry entry = {0};
	if (!get_struct(record, PROTOCOL_DIFF_ENTRY, diff_fields, SL_COUNT(diff_fields), &entry) ||
	    entry.path == NULL || entry.change == '\0' || strchr("ADM", entry.change) == NULL) {
		return false;
	}
	*ret_entry = entry;
	return true;
}

bool protocol_get_log_entry(const struct protocol_record *record, struct git_log_entry *ret_entry)
{
	struct git_log_entry entry = {.unix_s = 0};
	if (!get_struct(record, PROTOCOL_LOG_ENTRY, log_fields, SL_COUNT(log_fields), &entry)) {
		return false;
	}
	*ret_entry = entry;
	return true;
}

bool protocol_get_app(const struct protocol_record *record, struct git_app *ret_app)
{
	struct git_app app = {.name = ""};
	if (!get_struct(record, PROTOCOL_APP, app_fields, SL_COUNT(app_fields), &app)) {
		return false;
	}
	*ret_app = app;
	return true;
}

struct sl_bytes protocol_get_json(const struct protocol_record *record)
{
	return SL_BYTES(record->data + 1, record->size - 1);
}

bool protocol_get_result(const struct protocol_record *record, struct git_result *ret_result)
{
	struct git_result result = {0};
	if (!get_struct(record, PROTOCOL_RESULT, result_fields, SL_COUNT(result_fields), &result) ||
	    (unsigned)result.failure >= GIT_FAILURE_COUNT ||
	    (unsigned)result.rule >= GIT_RULE_COUNT) {
		return false;
	}
	*ret_result = result;
	return true;
}
