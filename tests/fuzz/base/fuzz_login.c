/* Targets: login_file_parse, login_file_text.
 * Property: what parses has every text, none empty, and is one line that parses to the same. */
#include <stdlib.h>
#include <string.h>

#include "base/join/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct login_file file = {0}, again = {0};
	if (login_file_parse(SL_BYTES(data, size), &file, NULL) != SL_OK) {
		return 0;
	}
	char *text = login_file_text(&file);
	if (text == NULL || strchr(text, '\n') != text + strlen(text) - 1 ||
	    login_file_parse(sl_bytes_text(text), &again, NULL) != SL_OK ||
	    strcmp(file.token, again.token) != 0 || strcmp(file.ca, again.ca) != 0 ||
	    strcmp(file.door, again.door) != 0 || again.server[0] == '\0') {
		abort();
	}
	free(text);
	login_file_fini(&file);
	login_file_fini(&again);
	return 0;
}
