/* Targets: page tokens: service_page_begin, service_page_end.
 * Property: no crash; a token is taken only if it begins with the list's own tag, and then its key
 * is short enough for the store; what a page gives out is taken back as the same key, by that list
 * and no other. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem/own.h"
#include "server/config/config.h"
#include "server/services/service.h"
#include "tests/lib/tmpdir.h"

enum { TAG_TEXT = 21 }; /* digits of a token that are tag only */

static struct server_config config = {.page_max = 1000};
static struct services services = {.config = &config};
static char *folder;

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void end(void)
{
	store_free(services.store);
	tmpdir_free(folder);
}

static void begin(void)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	folder = tmpdir_new();
	const struct store_options options = {.path = folder,
					      .map_bytes = 16 << 20,
					      .queue_max = 16,
					      .tables = record_table_names,
					      .table_count = TABLE_COUNT};
	expect(sl_crypto_init() && store_open(&options, &services.store, &err) == SL_OK &&
	       atexit(end) == 0);
}

static sl_code take(const struct service_read *read, const char *token, const char *scope,
		    struct service_page *page)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	Sluice__V1__PageRequest request = SLUICE__V1__PAGE_REQUEST__INIT;
	request.page_token = (char *)(uintptr_t)token;
	sl_code code = service_page_begin(read, &request, scope, page, &err);
	expect(code == SL_OK ||
	       (code == SL_INVALID_ARGUMENT && err.reason == SL_REASON_PAGE_TOKEN_INVALID));
	return code;
}

static void check_any(const struct service_read *read, const char *token, const char *ours)
{
	struct service_page page;
	if (take(read, token, "list", &page) != SL_OK || token[0] == '\0') {
		return;
	}
	expect(strncmp(token, ours, TAG_TEXT) == 0);
	expect(page.from.size > 0 && page.from.size <= STORE_KEY_MAX);
}

/* A token of the list, as a page gives it out. */
static const char *token_of(const struct service_read *read, struct sl_bytes key)
{
	struct service_page page;
	expect(service_page_begin(read, NULL, "list", &page, NULL) == SL_OK);
	const Sluice__V1__PageInfo *info = service_page_end(read, &page, key);
	expect(info != NULL);
	return info->next_page_token;
}

static void check_own(const struct service_read *read, struct sl_bytes key)
{
	struct service_page page;
	const char *token = token_of(read, key);
	expect(take(read, token, "list", &page) == SL_OK);
	expect(page.from.size == key.size && memcmp(page.from.data, key.data, key.size) == 0);
	expect(take(read, token, "another list", &page) == SL_INVALID_ARGUMENT);
	struct service_read elsewhere = *read;
	elsewhere.workspace_name = "other";
	expect(take(&elsewhere, token, "list", &page) == SL_INVALID_ARGUMENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (services.store == NULL) {
		begin();
	}
	const struct store_view *view = NULL;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	expect(store_view_begin(services.store, &view, NULL) == SL_OK);
	const struct service_read read = {.services = &services,
					  .view = view,
					  .arena = &arena,
					  .workspace = 1,
					  .workspace_name = "default"};
	const char *text = sl_arena_printf(&arena, "%.*s", (int)size, (const char *)data);
	const char *ours = token_of(&read, SL_BYTES((const uint8_t *)"k", 1));
	expect(text != NULL);
	check_any(&read, text, ours);
	check_any(&read, sl_arena_printf(&arena, "%.*s%s", TAG_TEXT, ours, text), ours);
	if (size > 0 && size <= STORE_KEY_MAX) {
		check_own(&read, SL_BYTES(data, size));
	}
	store_view_end(view);
	return 0;
}
