/* Targets: protocol_get_job, protocol_get_progress, protocol_get_diff_entry, protocol_get_app,
 * protocol_get_result.
 * Property: no crash; texts end inside the record or their array, enums are in range, and what was
 * read and is written again is read as the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/git/protocol_internal.h"

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void check_result(const struct protocol_record *record)
{
	static struct protocol_record again;
	struct git_result result, same;
	if (!protocol_get_result(record, &result)) {
		return;
	}
	expect((unsigned)result.failure < GIT_FAILURE_COUNT &&
	       (unsigned)result.rule < GIT_RULE_COUNT);
	expect(strnlen(result.text, sizeof(result.text)) < sizeof(result.text));
	expect(strnlen(result.commit, sizeof(result.commit)) < sizeof(result.commit));
	protocol_put_result(&again, &result);
	expect(!again.failed && protocol_get_result(&again, &same));
	expect(memcmp(&result.digest, &same.digest, SL_HASH_BYTES) == 0 &&
	       result.files == same.files);
	expect(strcmp(result.text, same.text) == 0 && result.failure == same.failure);
}

static void check_text(const struct protocol_record *record, const char *text)
{
	if (text != NULL) {
		size_t left = (size_t)(record->data + record->size - (const uint8_t *)text);
		expect(left <= record->size && strnlen(text, left) < left);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct protocol_record record;
	struct git_job job;
	struct git_progress progress;
	struct git_diff_entry entry;
	struct git_app app;
	if (size == 0 || size > sizeof(record.data)) {
		return 0;
	}
	memcpy(record.data, data, size);
	record.size = size;
	if (protocol_get_job(&record, &job)) {
		check_text(&record, job.mirror);
		check_text(&record, job.login.password);
		check_text(&record, job.message);
	}
	if (protocol_get_diff_entry(&record, &entry)) {
		expect(entry.path != NULL && strchr("ADM", entry.change) != NULL);
		check_text(&record, entry.path);
	}
	if (protocol_get_app(&record, &app)) {
		expect(strnlen(app.path, sizeof(app.path)) < sizeof(app.path));
		expect(strnlen(app.last.commit, GIT_OID_TEXT) < GIT_OID_TEXT);
	}
	(void)protocol_get_progress(&record, &progress);
	check_result(&record);
	return 0;
}
