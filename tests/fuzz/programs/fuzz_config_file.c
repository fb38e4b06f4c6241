/* Targets: the file that `sluice config apply` is given, before anything is done with it:
 * config_file_check.
 * Property: no crash; a file is refused with a text that says why, or taken without one; asked
 * again, the answer is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/json/json.h"
#include "base/mem/own.h"
#include "client/cli/config_value.h"

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void json_free(struct sl_json **root)
{
	sl_json_free(*root);
}

static enum cli_exit check(const struct sl_json *root, struct sl_err *err)
{
	static char *const names[] = {"development", "staging", "production"};
	enum { COUNT = 3 };
	Sluice__V1__Environment environments[COUNT], *environment_list[COUNT];
	Sluice__V1__DataSource held = SLUICE__V1__DATA_SOURCE__INIT, *sources[] = {&held};
	Sluice__V1__ListEnvironmentsResponse list = SLUICE__V1__LIST_ENVIRONMENTS_RESPONSE__INIT;
	Sluice__V1__ListConfigNamesResponse configs = SLUICE__V1__LIST_CONFIG_NAMES_RESPONSE__INIT;
	Sluice__V1__ListSourcesResponse source_list = SLUICE__V1__LIST_SOURCES_RESPONSE__INIT;
	for (size_t i = 0; i < COUNT; i++) {
		sluice__v1__environment__init(&environments[i]);
		environments[i].name = names[i];
		environment_list[i] = &environments[i];
	}
	held.name = (char *)"held";
	held.kind = (char *)"postgres";
	list.environments = environment_list;
	list.n_environments = COUNT;
	source_list.sources = sources;
	source_list.n_sources = 1;
	const struct config_lists lists = {.names = &configs, .sources = &source_list};
	return config_file_check(root, &list, &lists, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_err_clear) struct sl_err again = SL_ERR_INIT;
	SL_AUTO(json_free) struct sl_json *root = NULL;
	if (sl_json_parse(SL_BYTES(data, size), &root, &err) != SL_OK) {
		return 0;
	}
	enum cli_exit code = check(root, &err);
	expect((code == CLI_DONE) == (err.msg[0] == '\0'));
	expect(code == CLI_DONE || code == CLI_USAGE || code == CLI_REFUSED);
	expect(check(root, &again) == code && strcmp(err.msg, again.msg) == 0);
	return 0;
}
