/* Targets: contract_parse.
 * Property: no crash; what is refused has a rule, and what is taken keeps every rule: lists in
 * order, each name once and of its form, kinds that there are, no path that leaves the bundle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/contract/contract.h"

static void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void check_order(const struct contract_names *names, size_t max)
{
	check(names->count <= max);
	for (size_t i = 1; i < names->count; i++) {
		check(strcmp(names->items[i - 1], names->items[i]) < 0);
	}
}

static void check_names(const struct contract_names *names)
{
	check_order(names, CONTRACT_NAMES_MAX);
	for (size_t i = 0; i < names->count; i++) {
		check(contract_is_name(names->items[i]));
	}
}

static void check_sources(const struct contract *contract)
{
	check(contract->source_count <= CONTRACT_SOURCES_MAX);
	for (size_t i = 0; i < contract->source_count; i++) {
		const struct contract_source *source = &contract->sources[i];
		check(contract_is_name(source->name) && contract_is_kind(source->kind));
		check(i == 0 || strcmp(source[-1].name, source->name) < 0);
	}
}

static void check_path(const char *path)
{
	char slashed[CONTRACT_PATH_MAX + 3];
	check(path[0] != '\0' && strlen(path) <= CONTRACT_PATH_MAX);
	(void)snprintf(slashed, sizeof(slashed), "/%s/", path);
	check(strstr(slashed, "/../") == NULL && strstr(slashed, "/./") == NULL &&
	      strstr(slashed, "//") == NULL && strchr(path, '\\') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_arena arena;
	struct contract *contract = NULL;
	enum contract_rule rule = CONTRACT_RULE_COUNT;
	sl_arena_init(&arena, 0);
	if (contract_parse(&arena, SL_BYTES(data, size), &contract, &rule, NULL) != SL_OK) {
		check(contract == NULL && rule < CONTRACT_RULE_COUNT);
		sl_arena_fini(&arena);
		return 0;
	}
	check(size <= CONTRACT_BYTES_MAX);
	check_names(&contract->constants);
	check_names(&contract->secrets);
	check_sources(contract);
	check_order(&contract->render, CONTRACT_RENDER_MAX);
	for (size_t i = 0; i < contract->render.count; i++) {
		check_path(contract->render.items[i]);
	}
	sl_arena_fini(&arena);
	return 0;
}
