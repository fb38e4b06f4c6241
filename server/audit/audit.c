/* A kind of attempt lives from its first one until a window has passed without another:
 *
 *   first ---> WAITING (count > 0, due) ---> recorded: SILENT (count 0, due) ---> forgotten
 *                 ^                                         |
 *                 '-------------- another ------------------'
 *
 * A rule's refusal is recorded by its own command, and so begins SILENT. */
#include "server/audit/audit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/crypto/crypto.h"

enum { WINDOW_MS = 60000, FIRST_MS = 1000, KEY_BYTES = 16, OTHERS = AUDIT_ALIKE_MAX };

struct alike {
	uint8_t key[KEY_BYTES];
	uint64_t count;             /* not recorded yet */
	uint64_t first_ms, last_ms; /* of those */
	uint64_t due_ms;            /* monotonic */
	struct sl_buf entry;        /* of the first of those, packed */
};

struct audit {
	struct store *store;
	unsigned window_ms, first_ms;
	pthread_mutex_t lock; /* guards what follows */
	struct alike alike[AUDIT_ALIKE_MAX + 1];
	size_t count;     /* told apart */
	bool with_others; /* alike[OTHERS] is in use */
};

sl_code audit_new(const struct audit_options *options, struct audit **ret_audit, struct sl_err *err)
{
	struct audit *audit = calloc(1, sizeof(*audit));
	if (audit == NULL) {
		return sl_err_no_memory(err);
	}
	audit->store = options->store;
	audit->window_ms = options->window_ms != 0 ? options->window_ms : WINDOW_MS;
	audit->first_ms = options->first_ms != 0 ? options->first_ms : FIRST_MS;
	pthread_mutex_init(&audit->lock, NULL);
	*ret_audit = audit;
	return SL_OK;
}

void audit_free(struct audit *audit)
{
	if (audit == NULL) {
		return;
	}
	for (size_t i = 0; i <= AUDIT_ALIKE_MAX; i++) {
		sl_buf_fini(&audit->alike[i].entry);
	}
	pthread_mutex_destroy(&audit->lock);
	free(audit);
}

/* --- attempts --------------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static void key_of_attempt(const struct audit_attempt *attempt, uint8_t key[static KEY_BYTES])
{
	struct sl_hasher hasher;
	uint8_t hash[SL_HASH_BYTES], numbers[8];
	const char *texts[] = {or_empty(attempt->principal), or_empty(attempt->method)};
	sl_put_be32(numbers, attempt->workspace);
	sl_put_be32(numbers + 4, (uint32_t)attempt->reason);
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, numbers, sizeof(numbers));
	for (size_t i = 0; i < SL_COUNT(texts); i++) {
		sl_hasher_add(&hasher, texts[i], strlen(texts[i]) + 1);
	}
	sl_hasher_end(&hasher, hash);
	memcpy(key, hash, KEY_BYTES);
}

static struct alike *find(struct audit *audit, const uint8_t key[static KEY_BYTES])
{
	for (size_t i = 0; i < audit->count; i++) {
		if (memcmp(audit->alike[i].key, key, KEY_BYTES) == 0) {
			return &audit->alike[i];
		}
	}
	return audit->count == AUDIT_ALIKE_MAX && audit->with_others ? &audit->alike[OTHERS] : NULL;
}

static struct alike *add(struct audit *audit, const uint8_t key[static KEY_BYTES])
{
	bool room = audit->count < AUDIT_ALIKE_MAX;
	struct alike *alike = &audit->alike[room ? audit->count++ : OTHERS];
	audit->with_others = audit->with_others || !room;
	alike->count = 0;
	memcpy(alike->key, key, KEY_BYTES);
	return alike;
}

/* Without memory the count is right and the details are missing. */
static void remember(const struct audit *audit, struct alike *alike,
		     const struct audit_attempt *attempt)
{
	bool others = alike == &audit->alike[OTHERS];
	Sluice__V1__AuditRefusal refusal = SLUICE__V1__AUDIT_REFUSAL__INIT;
	Sluice__V1__AuditEntry entry = SLUICE__V1__AUDIT_ENTRY__INIT;
	refusal.denied = attempt->denied;
	refusal.reason = (char *)(others ? "" : sl_reason_name(attempt->reason));
	refusal.text = (char *)(others ? "more kinds of attempts than are told apart"
				       : or_empty(attempt->text));
	entry.refusal = &refusal;
	entry.workspace = others ? 0 : attempt->workspace;
	entry.workspace_name = (char *)(others ? "" : or_empty(attempt->workspace_name));
	entry.principal = (char *)(others ? "others" : or_empty(attempt->principal));
	entry.method = (char *)(others ? "" : or_empty(attempt->method));
	if (!others) {
		entry.caller = (Sluice__V1__AuditCaller *)(uintptr_t)attempt->caller;
		entry.object = (Sluice__V1__AuditObject *)(uintptr_t)attempt->object;
	}
	size_t size = sluice__v1__audit_entry__get_packed_size(&entry);
	uint8_t *bytes = malloc(size + 1);
	sl_buf_clear(&alike->entry);
	if (bytes != NULL) {
		(void)sluice__v1__audit_entry__pack(&entry, bytes);
		sl_buf_append(&alike->entry, bytes, size);
	}
	free(bytes);
}

static void count_one(const struct audit *audit, struct alike *alike,
		      const struct audit_attempt *attempt)
{
	if (alike->count++ == 0) {
		remember(audit, alike, attempt);
		alike->first_ms = attempt->now_ms;
	}
	alike->last_ms = attempt->now_ms;
}

void audit_denied(struct audit *audit, const struct audit_attempt *attempt)
{
	uint8_t key[KEY_BYTES];
	uint64_t now = sl_clock_mono_ms();
	key_of_attempt(attempt, key);
	pthread_mutex_lock(&audit->lock);
	struct alike *alike = find(audit, key);
	if (alike == NULL) {
		alike = add(audit, key);
		alike->due_ms = now + audit->first_ms;
	}
	count_one(audit, alike, attempt);
	pthread_mutex_unlock(&audit->lock);
}

bool audit_refused(struct audit *audit, const struct audit_attempt *attempt)
{
	if (audit == NULL) {
		return true;
	}
	uint8_t key[KEY_BYTES];
	uint64_t now = sl_clock_mono_ms();
	key_of_attempt(attempt, key);
	pthread_mutex_lock(&audit->lock);
	struct alike *alike = find(audit, key);
	bool first = alike == NULL || (alike->count == 0 && now >= alike->due_ms);
	if (alike == NULL) {
		alike = add(audit, key);
	}
	if (first && alike != &audit->alike[OTHERS]) {
		alike->due_ms = now + audit->window_ms;
	} else {
		first = false;
		count_one(audit, alike, attempt);
	}
	pthread_mutex_unlock(&audit->lock);
	return first;
}

/* --- recording -------------------------------------------------------------------------- */

struct flush {
	struct store_cmd cmd;
	struct audit *audit;
	size_t count;
	struct alike items[]; /* copies, each with an entry of its own */
};

static void flush_free(struct flush *flush)
{
	for (size_t i = 0; i < flush->count; i++) {
		sl_buf_fini(&flush->items[i].entry);
	}
	sl_err_clear(&flush->cmd.err);
	free(flush);
}

static sl_code flush_decide(struct store_cmd *cmd, const struct store_view *view,
			    struct store_changes *changes, struct sl_err *err)
{
	const struct flush *flush = SL_CONTAINER_OF(cmd, struct flush, cmd);
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	(void)view;
	sl_arena_init(&arena, 0);
	for (size_t i = 0; i < flush->count; i++) {
		const struct alike *item = &flush->items[i];
		Sluice__V1__AuditEntry *entry = NULL;
		sl_code code = record_unpack(&arena, SL_BYTES(item->entry.data, item->entry.size),
					     &sluice__v1__audit_entry__descriptor, &entry, err);
		if (code != SL_OK) {
			return code;
		}
		audit_counted(&arena, changes, entry, item->count, item->first_ms, item->last_ms);
	}
	return sl_arena_failed(&arena) ? sl_err_no_memory(err) : SL_OK;
}

/* What could not be recorded is counted on. */
static void put_back(struct flush *flush)
{
	struct audit *audit = flush->audit;
	uint64_t due = sl_clock_mono_ms() + audit->first_ms;
	pthread_mutex_lock(&audit->lock);
	for (size_t i = 0; i < flush->count; i++) {
		struct alike *item = &flush->items[i];
		struct alike *alike = find(audit, item->key);
		if (alike == NULL) {
			alike = add(audit, item->key);
		}
		if (alike->count == 0) {
			alike->last_ms = item->last_ms;
		}
		sl_buf_fini(&alike->entry);
		alike->entry = item->entry;
		item->entry = (struct sl_buf){.size = 0};
		alike->first_ms = item->first_ms;
		alike->count += item->count;
		alike->due_ms = due;
	}
	pthread_mutex_unlock(&audit->lock);
}

static void flush_done(struct store_cmd *cmd)
{
	struct flush *flush = SL_CONTAINER_OF(cmd, struct flush, cmd);
	if (cmd->code != SL_OK) {
		put_back(flush);
	}
	flush_free(flush);
}

static bool is_due(const struct alike *alike, uint64_t now)
{
	return alike->count > 0 && now >= alike->due_ms;
}

/* Takes the count and its entry out of *alike. */
static void take(const struct audit *audit, struct alike *alike, struct flush *flush)
{
	flush->items[flush->count++] = *alike;
	alike->entry = (struct sl_buf){.size = 0};
	alike->count = 0;
	alike->due_ms = sl_clock_mono_ms() + audit->window_ms;
}

static void forget_silent(struct audit *audit, uint64_t now)
{
	for (size_t i = 0; i < audit->count;) {
		struct alike *alike = &audit->alike[i];
		if (alike->count > 0 || now < alike->due_ms) {
			i++;
			continue;
		}
		sl_buf_fini(&alike->entry);
		*alike = audit->alike[--audit->count];
		audit->alike[audit->count].entry = (struct sl_buf){.size = 0};
	}
	const struct alike *others = &audit->alike[OTHERS];
	audit->with_others = audit->with_others && (others->count > 0 || now < others->due_ms);
}

/* NULL: nothing is due, or there is no memory now. */
static struct flush *collect(struct audit *audit, uint64_t now)
{
	size_t due = 0;
	for (size_t i = 0; i < audit->count; i++) {
		due += is_due(&audit->alike[i], now);
	}
	bool others = audit->with_others && is_due(&audit->alike[OTHERS], now);
	due += others;
	struct flush *flush =
	    due == 0 ? NULL : calloc(1, sizeof(*flush) + due * sizeof(struct alike));
	if (flush == NULL) {
		return NULL;
	}
	*flush =
	    (struct flush){.audit = audit, .cmd = {.decide = flush_decide, .done = flush_done}};
	for (size_t i = 0; i < audit->count; i++) {
		if (is_due(&audit->alike[i], now)) {
			take(audit, &audit->alike[i], flush);
		}
	}
	if (others) {
		take(audit, &audit->alike[OTHERS], flush);
	}
	return flush;
}

static void submit(struct audit *audit, uint64_t now)
{
	pthread_mutex_lock(&audit->lock);
	struct flush *flush = collect(audit, now);
	forget_silent(audit, now);
	pthread_mutex_unlock(&audit->lock);
	if (flush != NULL && store_submit(audit->store, &flush->cmd, NULL) != SL_OK) {
		put_back(flush);
		flush_free(flush);
	}
}

void audit_tick(struct audit *audit)
{
	submit(audit, sl_clock_mono_ms());
}

void audit_flush(struct audit *audit)
{
	if (audit != NULL) {
		submit(audit, UINT64_MAX);
	}
}
