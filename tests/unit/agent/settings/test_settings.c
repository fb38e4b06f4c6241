/* settings: what is sealed to this agent is read within its bounds, a version sees what it requires
 * and nothing else, and values stand in files so that they end neither their string nor their line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/settings/settings.h"
#include "base/crypto/secret.h"
#include "base/json/json.h"
#include "tests/lib/tmpdir.h"

#define APP "app_aaaaaaaaaaaaaaaaaaaa"
#define INSTANCE "ins_aaaaaaaaaaaaaaaaaaaa"
#define STAMP "1111111111111111111111111111111111111111111111111111111111111111"
#define END ".|" APP "|" INSTANCE "|" STAMP "|"

static uint8_t stamp[SL_HASH_BYTES];
static const struct settings_owner owner = {.app_id = APP, .instance_id = INSTANCE, .stamp = stamp};

/* A document, with | for each NUL. */
static char *document(const char *text, size_t *ret_size)
{
	*ret_size = strlen(text);
	char *bytes = sl_secret_text(text, *ret_size);
	assert_non_null(bytes);
	for (size_t i = 0; i < *ret_size; i++) {
		bytes[i] = bytes[i] == '|' ? '\0' : bytes[i];
	}
	return bytes;
}

static sl_code parse(const char *text, struct settings **ret_settings, struct sl_err *err)
{
	size_t size = 0;
	char *bytes = document(text, &size);
	return settings_parse(bytes, size, &owner, ret_settings, err);
}

static void test_settings_documents(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says; /* NULL: it is one */
	} rows[] = {
	    {END, NULL},
	    {"c|A|1|s|B||o|main|redis|host|h|" END, NULL},
	    {"", "must end with its app"},
	    {"c|A|1|", "must end with its app"},
	    {"c|A|1|" END "c|B|2|", "must end with its app"},
	    {"c|A|1|.|" APP "|" INSTANCE "|", "must end with its app"},
	    {"c|A|1|.|" APP "|" INSTANCE "|" STAMP, "must end with its app"},
	    {"c|A|1|.|" APP "|" INSTANCE "|11|", "must end with its app"},
	    {".|app_bbbbbbbbbbbbbbbbbbbb|" INSTANCE "|" STAMP "|", "of another app"},
	    {".|" APP "|ins_bbbbbbbbbbbbbbbbbbbb|" STAMP "|", "of another app"},
	    {"x|A|1|" END, "begin with c, s, o or ."},
	    {"|A|1|" END, "begin with c, s, o or ."},
	    {"cc|A|1|" END, "begin with c, s, o or ."},
	    {"c|A", "name and value of each"},
	    {"o|main|redis|host|", "source, kind, option and value"},
	    {"c|A.B|1|" END, "'A.B' must be [A-Za-z_]"},
	    {"c||1|" END, "'' must be [A-Za-z_]"},
	    {"s|A|\xff|" END, "'A' must have a value of UTF-8"},
	    {"o|main|oracle|host|h|" END, "'main' must be of a kind"},
	    {"o|main|redis||h|" END, "'main' must have options"},
	    {"o|../x|redis|host|h|" END, "'../x' must be [A-Za-z_]"},
	    {"o|main|redis|host|\xc3|" END, "'main' must be UTF-8"},
	    {"c|A|1|c|A|1|" END, "'A' must be there once"},
	    {"c|A|1|s|A|1|" END, "'A' must be there once"},
	    {"o|main|redis|host|h|o|main|redis|host|h|" END, "'main' must be there once"},
	    {"o|main|redis|host|h|o|main|mysql|port|1|" END, "'main' must be of one kind"},
	};
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		SL_AUTO(settings_free_auto) struct settings *settings = NULL;
		sl_code code = parse(rows[i].text, &settings, &err);
		bool as_said = rows[i].says == NULL ? code == SL_OK
						    : code != SL_OK && settings == NULL &&
							  strstr(err.msg, rows[i].says) != NULL;
		if (!as_said) {
			fail_msg("row %zu: %s", i, err.msg);
		}
	}
}

static void test_settings_values_are_bounded(void **state)
{
	(void)state;
	for (size_t size = SETTINGS_VALUE_MAX; size <= SETTINGS_VALUE_MAX + 1; size++) {
		SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
		SL_AUTO(settings_free_auto) struct settings *settings = NULL;
		SL_AUTO(sl_free_auto) char *value = calloc(1, size + 1);
		SL_AUTO(sl_free_auto) char *text = NULL;
		memset(value, 'x', size);
		assert_true(asprintf(&text, "c|A|%s|" END, value) > 0);
		assert_int_equal(parse(text, &settings, &err),
				 size <= SETTINGS_VALUE_MAX ? SL_OK : SL_INVALID_ARGUMENT);
	}
}

static void test_settings_open_with_one_key_only(void **state)
{
	(void)state;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(settings_free_auto) struct settings *settings = NULL;
	uint8_t secret[SL_BOX_SECRET_BYTES], public[SL_BOX_PUBLIC_BYTES], box[400];
	size_t size = 0, count = 0;
	char *bytes = document("c|A|1|" END, &size);
	sl_random(secret, sizeof(secret));
	sl_box_public(secret, public);
	assert_true(sl_box_seal(public, SL_BYTES(bytes, size), box));
	sl_secret_free(bytes);
	struct sl_bytes sealed = SL_BYTES(box, size + SL_BOX_EXTRA_BYTES);
	assert_int_equal(settings_open(secret, sealed, &owner, &settings, &err), SL_OK);
	const struct settings_item *items = settings_items(settings, &count);
	assert_int_equal(count, 1);
	assert_string_equal(items[0].value, "1");
	struct settings *none = NULL;
	for (size_t i = 0; i < sealed.size; i++) {
		box[i] ^= 1;
		assert_int_equal(settings_open(secret, sealed, &owner, &none, NULL),
				 SL_FAILED_PRECONDITION);
		box[i] ^= 1;
	}
	secret[0] ^= 8;
	assert_int_equal(settings_open(secret, sealed, &owner, &none, NULL),
			 SL_FAILED_PRECONDITION);
	assert_int_equal(
	    settings_open(secret, SL_BYTES(box, SL_BOX_EXTRA_BYTES), &owner, &none, NULL),
	    SL_INVALID_ARGUMENT);
	assert_null(none);
}

/* --- views ---------------------------------------------------------------------------------- */

struct fixture {
	struct sl_arena arena;
	struct settings *settings;
	struct overrides *overrides;
	struct settings_view view;
	char *dir;
	struct sl_err err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	sl_arena_init(&f->arena, 0);
	f->dir = tmpdir_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	settings_free(f->settings);
	overrides_free(f->overrides);
	sl_err_clear(&f->err);
	sl_arena_fini(&f->arena);
	tmpdir_free(f->dir);
	free(f);
	return 0;
}

/* What is told, and what is required. */
static void see(struct fixture *f, const char *told, const char *requires)
{
	struct contract *contract = NULL;
	settings_free(f->settings);
	f->settings = NULL;
	assert_int_equal(parse(told, &f->settings, &f->err), SL_OK);
	assert_int_equal(
	    contract_parse(&f->arena, sl_bytes_text(requires), &contract, NULL, &f->err), SL_OK);
	f->view = (struct settings_view){
	    .contract = contract, .settings = f->settings, .overrides = f->overrides};
}

static const char *all(struct fixture *f, const struct settings_texts *texts)
{
	char *text = sl_arena_strdup(&f->arena, "");
	for (size_t i = 0; i < texts->count && i < SETTINGS_MISSING_MAX; i++) {
		text =
		    sl_arena_printf(&f->arena, "%s%s%s", text, i > 0 ? ", " : "", texts->items[i]);
	}
	return text;
}

#define REQUIRES                                                                                   \
	"{\"requires\": {\"constants\": [\"API_URL\", \"EMPTY\"], \"secrets\": [\"API_KEY\"],"     \
	" \"data_sources\": [{\"name\": \"main\", \"kind\": \"postgres\"}]}}"

static void test_settings_say_what_is_missing(void **state)
{
	static const struct {
		const char *told, *missing;
	} rows[] = {
	    {END, "constant API_URL, constant EMPTY, secret API_KEY, data source main (postgres)"},
	    {"c|API_URL|u|c|EMPTY||s|API_KEY|k|o|main|postgres|host|h|" END, ""},
	    {"s|API_URL|u|c|EMPTY||c|API_KEY|k|o|main|redis|host|h|" END,
	     "constant API_URL (is a secret), secret API_KEY (is a constant), data source main "
	     "(postgres, is redis)"},
	    {"c|OTHER|u|c|EMPTY||s|API_KEY|k|o|man|postgres|host|h|o|maino|postgres|host|h|" END,
	     "constant API_URL, data source main (postgres)"},
	};
	struct fixture *f = *state;
	struct settings_texts texts;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		see(f, rows[i].told, REQUIRES);
		settings_missing(&f->view, &texts);
		assert_string_equal(all(f, &texts), rows[i].missing);
	}
	f->view.settings = NULL;
	settings_missing(&f->view, &texts);
	assert_int_equal(texts.count, 4);
}

#define TOLD                                                                                       \
	"c|API_URL|https://a/\"x\"|c|EMPTY||c|FOREIGN|no|s|API_KEY|k$`|"                           \
	"o|main|postgres|host|db|o|main|postgres|kind|odd|o|main|postgres|port|5432|"              \
	"o|other|redis|host|no|" END

static void test_settings_files_of_a_version(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_secret_text_auto) char *json = NULL;
	SL_AUTO(sl_secret_text_auto) char *env = NULL;
	struct sl_json *root = NULL;
	size_t size = 0;
	see(f, TOLD, REQUIRES);
	assert_int_equal(settings_json(&f->view, &json, &size, &f->err), SL_OK);
	assert_string_equal(json, "{\n"
				  "  \"constants\": {\n"
				  "    \"API_URL\": \"https://a/\\\"x\\\"\",\n"
				  "    \"EMPTY\": \"\"\n"
				  "  },\n"
				  "  \"secrets\": {\n"
				  "    \"API_KEY\": \"k$`\"\n"
				  "  },\n"
				  "  \"sources\": {\n"
				  "    \"main\": {\n"
				  "      \"kind\": \"postgres\",\n"
				  "      \"host\": \"db\",\n"
				  "      \"port\": \"5432\"\n"
				  "    }\n"
				  "  }\n"
				  "}\n");
	assert_int_equal(size, strlen(json));
	assert_int_equal(sl_json_parse(SL_BYTES(json, size), &root, &f->err), SL_OK);
	sl_json_free(root);
	assert_int_equal(settings_env(&f->view, &env, &size, &f->err), SL_OK);
	assert_string_equal(env, "API_URL=\"https://a/\\\"x\\\"\"\nEMPTY=\"\"\n"
				 "API_KEY=\"k\\$\\`\"\n"
				 "MAIN_HOST=\"db\"\nMAIN_KIND=\"odd\"\nMAIN_PORT=\"5432\"\n");
}

static void test_settings_env_has_each_name_once(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_secret_text_auto) char *env = NULL;
	size_t size = 0;
	see(f,
	    "c|A_HOST|mine|o|A|redis|host|one|o|a|redis|host|two|o|a|redis|b_c|three|"
	    "o|a_b|redis|c|four|" END,
	    "{\"requires\": {\"constants\": [\"A_HOST\"], \"data_sources\": ["
	    "{\"name\": \"A\", \"kind\": \"redis\"}, {\"name\": \"a\", \"kind\": \"redis\"},"
	    "{\"name\": \"a_b\", \"kind\": \"redis\"}]}}");
	assert_int_equal(settings_env(&f->view, &env, &size, &f->err), SL_OK);
	assert_string_equal(env, "A_HOST=\"mine\"\nA_B_C=\"three\"\n");
}

static void test_settings_of_nothing(void **state)
{
	struct fixture *f = *state;
	SL_AUTO(sl_secret_text_auto) char *json = NULL;
	SL_AUTO(sl_secret_text_auto) char *env = NULL;
	size_t size = 0;
	see(f, END, "{}");
	f->view.settings = NULL;
	assert_int_equal(settings_json(&f->view, &json, &size, &f->err), SL_OK);
	assert_string_equal(json,
			    "{\n  \"constants\": {},\n  \"secrets\": {},\n  \"sources\": {}\n}\n");
	assert_int_equal(settings_env(&f->view, &env, &size, &f->err), SL_OK);
	assert_string_equal(env, "");
}

static void test_settings_render_what_is_declared(void **state)
{
	static const struct {
		const char *path, *text, *becomes, *says;
	} rows[] = {
	    {"a.json", "{\"u\": {{constants.API_URL}}}", "{\"u\": \"https://a/\\\"x\\\"\"}", ""},
	    {"a.txt", "{{ secrets.API_KEY }} {{sources.main.host}}", "k$` db", ""},
	    {".env", "U={{constants.API_URL}}\n", "U=\"https://a/\\\"x\\\"\"\n", ""},
	    {"b/a.txt", "\n{{constants.FOREIGN}}", NULL, "b/a.txt: line 2: {{constants.FOREIGN}}"},
	    {"a.txt", "{{constants.FOREIGN}}", NULL, "TEMPLATE_UNDECLARED"},
	    {"a.txt", "{{sources.other.host}}", NULL, "TEMPLATE_UNDECLARED"},
	    {"a.txt", "{{secrets.API_URL}}", NULL, "TEMPLATE_WRONG_KIND"},
	    {"a.txt", "{{constants.EMPTY}}", NULL, "TEMPLATE_EMPTY"},
	    {"a.txt", "{{sources.main.hots}}", NULL, "TEMPLATE_UNKNOWN"},
	    {"a.txt", "{{constants.API_URL", NULL, "TEMPLATE_UNCLOSED"},
	};
	struct fixture *f = *state;
	see(f, TOLD, REQUIRES);
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		SL_AUTO(sl_secret_text_auto) char *text = NULL;
		size_t size = 0;
		sl_err_clear(&f->err);
		sl_code code = settings_render(&f->view, rows[i].path, sl_bytes_text(rows[i].text),
					       &text, &size, &f->err);
		assert_int_equal(code == SL_OK, rows[i].becomes != NULL);
		if (rows[i].becomes != NULL) {
			assert_string_equal(text, rows[i].becomes);
		} else if (strstr(f->err.msg, rows[i].says) == NULL) {
			fail_msg("row %zu: %s", i, f->err.msg);
		}
	}
	see(f, END, REQUIRES);
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	size_t size = 0;
	assert_int_not_equal(settings_render(&f->view, "a", sl_bytes_text("{{secrets.API_KEY}}"),
					     &text, &size, &f->err),
			     SL_OK);
}

/* --- overrides -------------------------------------------------------------------------------- */

static const char *write_file(struct fixture *f, const char *text, unsigned mode)
{
	const char *path = sl_arena_printf(&f->arena, "%s/overrides", f->dir);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void load(struct fixture *f, const char *file)
{
	overrides_free(f->overrides);
	f->overrides = NULL;
	assert_int_equal(overrides_load(file, &f->overrides, &f->err), SL_OK);
}

static void test_overrides_win_and_count_as_set(void **state)
{
	struct fixture *f = *state;
	struct settings_texts texts;
	SL_AUTO(sl_secret_text_auto) char *env = NULL;
	size_t size = 0;
	const char *file = write_file(f,
				      "# of this host\n\nSLUICE_CONST__EMPTY=full\n"
				      "SLUICE_SECRET__API_KEY=file\nSLUICE_CONST__FOREIGN=x",
				      0600);
	assert_int_equal(setenv("SLUICE_SECRET__API_KEY", "mine=own", 1), 0);
	const char *held = getenv("SLUICE_SECRET__API_KEY");
	load(f, file);
	assert_null(getenv("SLUICE_SECRET__API_KEY"));
	assert_int_equal(held[0], '\0'); /* nor does a list of processes show it */
	assert_int_equal(held[7], '\0');
	see(f, "c|API_URL|u|c|EMPTY||" END, REQUIRES);
	settings_missing(&f->view, &texts);
	assert_string_equal(all(f, &texts), "data source main (postgres)");
	settings_overridden(&f->view, &texts);
	assert_string_equal(all(f, &texts), "constant EMPTY, secret API_KEY");
	assert_int_equal(settings_env(&f->view, &env, &size, &f->err), SL_OK);
	assert_string_equal(env, "API_URL=\"u\"\nEMPTY=\"full\"\nAPI_KEY=\"mine=own\"\n");
	assert_null(overrides_value(f->overrides, true, "EMPTY")); /* it is a constant's */
}

static void test_overrides_that_are_refused(void **state)
{
	static const struct {
		const char *text, *says;
		unsigned mode;
	} rows[] = {
	    {"SLUICE_CONST__A=1\n", "0600", 0640},
	    {"SLUICE_CONST__A=1\nA=1\n", "line 2: must be SLUICE_CONST__NAME=VALUE", 0600},
	    {"SLUICE_CONST__A\n", "must be NAME=VALUE", 0600},
	    {"SLUICE_CONST__A-B=1\n", "'A-B': the name must be", 0600},
	    {"SLUICE_SECRET__A=\xff\n", "UTF-8", 0600},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < SL_COUNT(rows); i++) {
		const char *file = write_file(f, rows[i].text, rows[i].mode);
		sl_err_clear(&f->err);
		assert_int_not_equal(overrides_load(file, &f->overrides, &f->err), SL_OK);
		if (strstr(f->err.msg, rows[i].says) == NULL) {
			fail_msg("row %zu: %s", i, f->err.msg);
		}
	}
	sl_err_clear(&f->err);
	assert_int_equal(setenv("SLUICE_CONST__A.B", "1", 1), 0);
	assert_int_equal(overrides_load("", &f->overrides, &f->err), SL_INVALID_ARGUMENT);
	assert_int_equal(unsetenv("SLUICE_CONST__A.B"), 0);
	assert_null(f->overrides);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_settings_documents),
	    cmocka_unit_test(test_settings_values_are_bounded),
	    cmocka_unit_test(test_settings_open_with_one_key_only),
	    TEST(test_settings_say_what_is_missing),
	    TEST(test_settings_files_of_a_version),
	    TEST(test_settings_env_has_each_name_once),
	    TEST(test_settings_of_nothing),
	    TEST(test_settings_render_what_is_declared),
	    TEST(test_overrides_win_and_count_as_set),
	    TEST(test_overrides_that_are_refused),
	};
	if (!sl_crypto_init() || !sl_unhex(stamp, sizeof(stamp), STAMP)) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
