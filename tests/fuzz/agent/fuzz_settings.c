/* Targets: settings_parse, settings_missing, settings_json, settings_env, settings_render: the
 * document that a server seals for an agent, and what is made of it.
 * Property: no crash; a document that is read says each thing once, in order, and all of it in its
 * form; written again from what was read it is read as the same; config.json of a version that
 * requires something of it is JSON; and where nothing is missing, config.json and env can be
 * written. */
#include <stdlib.h>
#include <string.h>

#include "agent/settings/settings.h"
#include "base/crypto/secret.h"
#include "base/json/json.h"

#define APP "app_aaaaaaaaaaaaaaaaaaaa"
#define INSTANCE "ins_aaaaaaaaaaaaaaaaaaaa"
#define REQUIRES                                                                                   \
	"{\"requires\": {\"constants\": [\"A\"], \"secrets\": [\"B\"],"                            \
	" \"data_sources\": [{\"name\": \"m\", \"kind\": \"redis\"}]}}"

static void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

static struct settings *parse(const void *data, size_t size)
{
	static const uint8_t stamp[SL_HASH_BYTES]; /* zeros */
	const struct settings_owner owner = {
	    .app_id = APP, .instance_id = INSTANCE, .stamp = stamp};
	struct settings *settings = NULL;
	char *text = sl_secret_text(data, size);
	check(text != NULL);
	sl_code code = settings_parse(text, size, &owner, &settings, NULL);
	check((code == SL_OK) == (settings != NULL));
	return settings;
}

static void put(struct sl_buf *buf, const char *text)
{
	sl_buf_append(buf, text, strlen(text) + 1);
}

static void write_again(struct sl_buf *buf, const struct settings *settings)
{
	char hex[2 * SL_HASH_BYTES + 1];
	uint8_t stamp[SL_HASH_BYTES] = {0};
	size_t count = 0;
	const struct settings_item *items = settings_items(settings, &count);
	for (size_t i = 0; i < count; i++) {
		check(contract_is_name(items[i].name));
		check(i == 0 || items[i - 1].source <= items[i].source);
		put(buf, items[i].source ? "o" : items[i].secret ? "s" : "c");
		put(buf, items[i].name);
		if (items[i].source) {
			check(contract_is_kind(items[i].kind) && contract_is_name(items[i].option));
			put(buf, items[i].kind);
			put(buf, items[i].option);
		} else {
			check(strlen(items[i].value) <= SETTINGS_VALUE_MAX);
		}
		put(buf, items[i].value);
	}
	put(buf, ".");
	put(buf, APP);
	put(buf, INSTANCE);
	put(buf, sl_hex(hex, stamp, sizeof(stamp)));
}

static bool is_same(const struct settings_item *a, const struct settings_item *b)
{
	return a->source == b->source && a->secret == b->secret && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->kind, b->kind) == 0 && strcmp(a->option, b->option) == 0 &&
	       strcmp(a->value, b->value) == 0;
}

static void check_again(const struct settings *settings)
{
	struct sl_buf buf = {.data = NULL};
	size_t count = 0, again_count = 0;
	const struct settings_item *items = settings_items(settings, &count);
	write_again(&buf, settings);
	struct settings *again = parse(buf.data, buf.size);
	const struct settings_item *again_items = settings_items(again, &again_count);
	check(again != NULL && again_count == count);
	for (size_t i = 0; i < count; i++) {
		check(is_same(&items[i], &again_items[i]));
	}
	settings_free(again);
	sl_buf_fini(&buf);
}

static void check_files(const struct settings_view *view)
{
	static const char text[] = "{\"a\": {{constants.A}}, \"b\": \"{{sources.m.host}}\"}";
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	struct settings_texts missing;
	struct sl_json *root = NULL;
	char *json = NULL, *env = NULL, *rendered = NULL;
	size_t size = 0;
	settings_missing(view, &missing);
	bool written = settings_json(view, &json, &size, &err) == SL_OK;
	sl_err_clear(&err);
	check(missing.count > 0 || written);
	if (written && size <= SL_JSON_MAX_BYTES) {
		check(sl_json_parse(SL_BYTES(json, size), &root, NULL) == SL_OK);
		sl_json_free(root);
	}
	check(settings_env(view, &env, &size, &err) == SL_OK || missing.count > 0);
	sl_err_clear(&err);
	if (settings_render(view, "a.json", sl_bytes_text(text), &rendered, &size, &err) == SL_OK &&
	    size <= SL_JSON_MAX_BYTES) {
		check(sl_json_parse(SL_BYTES(rendered, size), &root, NULL) == SL_OK);
		sl_json_free(root);
	}
	sl_secret_free(json);
	sl_secret_free(env);
	sl_secret_free(rendered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(sl_crypto_init());
	struct settings *settings = parse(data, size);
	if (settings == NULL) {
		return 0;
	}
	check_again(settings);
	struct sl_arena arena;
	struct contract *contract = NULL;
	sl_arena_init(&arena, 0);
	check(contract_parse(&arena, sl_bytes_text(REQUIRES), &contract, NULL, NULL) == SL_OK);
	const struct settings_view view = {.contract = contract, .settings = settings};
	check_files(&view);
	sl_arena_fini(&arena);
	settings_free(settings);
	return 0;
}
