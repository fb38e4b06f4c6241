/* certs key | certs issue KEY ISSUER_PEM ISSUER_KEY [name=value ...]: PEM on stdout, of files.
 *
 * ISSUER_PEM and ISSUER_KEY "-": of itself. Names: cn, uri (twice at most), dns, ip, eku, from and
 * until (seconds from now), ca (with any value). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/certs.h"

enum { FILE_MAX = 64 << 10 };

/* NULL for "-". */
static char *read_text(const char *path)
{
	if (strcmp(path, "-") == 0) {
		return NULL;
	}
	FILE *file = fopen(path, "re");
	char *text = calloc(1, FILE_MAX);
	if (file == NULL || text == NULL || fread(text, 1, FILE_MAX - 1, file) == 0) {
		(void)fprintf(stderr, "certs: cannot read '%s'\n", path);
		abort();
	}
	(void)fclose(file);
	return text;
}

static void take(struct certs_shape *shape, char *word)
{
	char *value = strchr(word, '=');
	if (value == NULL) {
		abort();
	}
	*value++ = '\0';
	const struct {
		const char *name;
		const char **to;
	} texts[] = {
	    {"cn", &shape->common_name}, {"uri", &shape->uris[shape->uris[0] != NULL]},
	    {"dns", &shape->dns},        {"ip", &shape->ip},
	    {"eku", &shape->eku},
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i].name, word) == 0) {
			*texts[i].to = value;
			return;
		}
	}
	if (strcmp(word, "from") == 0) {
		shape->from_s = strtoll(value, NULL, 10);
	} else if (strcmp(word, "until") == 0) {
		shape->until_s = strtoll(value, NULL, 10);
	} else if (strcmp(word, "ca") == 0) {
		shape->is_ca = true;
	} else {
		abort();
	}
}

int main(int argc, char **argv)
{
	enum { ISSUE_WORDS = 5 };
	if (argc == 2 && strcmp(argv[1], "key") == 0) {
		char *key = certs_key();
		(void)fputs(key, stdout);
		free(key);
		return EXIT_SUCCESS;
	}
	if (argc < ISSUE_WORDS || strcmp(argv[1], "issue") != 0) {
		return EXIT_FAILURE;
	}
	struct certs_shape shape = {.common_name = NULL};
	for (int i = ISSUE_WORDS; i < argc; i++) {
		take(&shape, argv[i]);
	}
	char *key = read_text(argv[2]), *issuer = read_text(argv[3]), *signer = read_text(argv[4]);
	char *pem = certs_issue(&shape, key, issuer, signer);
	(void)fputs(pem, stdout);
	free(key);
	free(issuer);
	free(signer);
	free(pem);
	return EXIT_SUCCESS;
}
