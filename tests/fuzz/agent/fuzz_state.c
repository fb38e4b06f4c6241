/* Targets: the agent's state file: state_decode, state_encode.
 * Property: no crash; what is read holds only names that can be one folder's, is written, and is
 * read again as the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/state/state_internal.h"
#include "base/mem/own.h"

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void check_name(const char *name)
{
	expect(strchr(name, '/') == NULL && name[0] != '.');
}

static void check_app(const struct state_app *app)
{
	check_name(app->slug);
	check_name(app->active);
	check_name(app->previous);
	check_name(app->flip.to);
	check_name(app->flip.from);
	for (size_t i = 0; i < app->version_count; i++) {
		check_name(app->versions[i]->folder);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	struct state *state = NULL, *same = NULL;
	sl_arena_init(&arena, 0);
	if (state_decode(SL_BYTES(data, size), &state, &err) != SL_OK) {
		expect(err.msg[0] != '\0');
		return 0;
	}
	for (size_t i = 0; i < state->app_count; i++) {
		check_app(state->apps[i]);
	}
	struct sl_bytes first, second;
	expect(state_encode(state, &arena, &first, &err) == SL_OK);
	expect(state_decode(first, &same, &err) == SL_OK);
	expect(state_encode(same, &arena, &second, &err) == SL_OK && sl_bytes_equal(first, second));
	state_free(state);
	state_free(same);
	return 0;
}
