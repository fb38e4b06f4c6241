/* Targets: join_parse, join_text.
 * Property: what parses has every text, none empty, and parses again from what is written of it. */
#include <stdlib.h>
#include <string.h>

#include "base/join/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct join join = {0}, again = {0};
	if (join_parse(SL_BYTES(data, size), &join, NULL) != SL_OK) {
		return 0;
	}
	char *text = join_text(&join);
	if (text == NULL || join_parse(sl_bytes_text(text), &again, NULL) != SL_OK ||
	    strcmp(join.token, again.token) != 0 || strcmp(join.ca, again.ca) != 0 ||
	    again.server[0] == '\0' || strcmp(join.instance, again.instance) != 0) {
		abort();
	}
	free(text);
	join_fini(&join);
	join_fini(&again);
	return 0;
}
