/* What this host says instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/settings/settings_internal.h"
#include "base/crypto/secret.h"
#include "base/keyfile/keyfile.h"

extern char **environ;

#define CONST_PREFIX "SLUICE_CONST__"
#define SECRET_PREFIX "SLUICE_SECRET__"

struct override {
	struct override *next;
	char *text; /* owned, secret: name, NUL, value */
	const char *name, *value;
	bool secret;
};

struct overrides {
	struct override *first;
};

static void override_free(struct override *override)
{
	if (override != NULL) {
		sl_secret_free(override->text);
		free(override);
	}
}
SL_DEFINE_AUTO(struct override *, override_free);

void overrides_free(struct overrides *overrides)
{
	while (overrides != NULL && overrides->first != NULL) {
		struct override *gone = overrides->first;
		overrides->first = gone->next;
		override_free(gone);
	}
	free(overrides);
}

const char *overrides_value(const struct overrides *overrides, bool secret, const char *name)
{
	const struct override *at = overrides != NULL ? overrides->first : NULL;
	while (at != NULL && (at->secret != secret || strcmp(at->name, name) != 0)) {
		at = at->next;
	}
	return at != NULL ? at->value : NULL;
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_override(const char *line)
{
	return begins(line, CONST_PREFIX) || begins(line, SECRET_PREFIX);
}

static sl_code refuse(struct sl_err *err, const char *name, const char *rule)
{
	return sl_err_set(err, SL_INVALID_ARGUMENT, "override '%.60s': %s", name, rule);
}

/* Of "SLUICE_CONST__NAME=VALUE", `size` bytes. */
static sl_code add(struct overrides *overrides, const char *line, size_t size, struct sl_err *err)
{
	SL_AUTO(override_free_auto) struct override *new = calloc(1, sizeof(*new));
	if (new == NULL || (new->text = sl_secret_text(line, size)) == NULL) {
		return sl_err_no_memory(err);
	}
	new->secret = begins(new->text, SECRET_PREFIX);
	char *name = new->text + strlen(new->secret ? SECRET_PREFIX : CONST_PREFIX);
	char *equals = strchr(name, '=');
	if (equals == NULL) {
		return refuse(err, "", "must be NAME=VALUE");
	}
	*equals = '\0';
	new->name = name;
	new->value = equals + 1;
	if (!contract_is_name(name)) {
		return refuse(err, name, "the name must be [A-Za-z_][A-Za-z0-9_]{0,49}");
	}
	const char *rule = settings_broken_rule(new->value);
	if (rule != NULL) {
		return refuse(err, name, rule);
	}
	if (overrides_value(overrides, new->secret, name) == NULL) {
		new->next = overrides->first;
		overrides->first = SL_TAKE(new);
	}
	return SL_OK;
}

static void take_out(char *variable)
{
	char name[sizeof(SECRET_PREFIX) + CONTRACT_NAME_MAX];
	size_t name_size = strcspn(variable, "="), size = strlen(variable);
	sl_text_copy(name, name_size < sizeof(name) ? name_size + 1 : sizeof(name), variable);
	(void)unsetenv(name);
	if (size > name_size) {
		sl_wipe(variable + name_size + 1, size - name_size - 1);
	}
}

static sl_code take_environment(struct overrides *overrides, struct sl_err *err)
{
	char **at = environ;
	while (*at != NULL) {
		char *variable = *at;
		if (!is_override(variable)) {
			at++;
			continue;
		}
		sl_code code = add(overrides, variable, strlen(variable), err);
		if (code != SL_OK) {
			return code;
		}
		take_out(variable); /* the next one is at its place now */
	}
	return SL_OK;
}

static sl_code add_line(struct overrides *overrides, const char *line, size_t size,
			struct sl_err *err)
{
	if (size == 0 || *line == '#') {
		return SL_OK;
	}
	return is_override(line) ? add(overrides, line, size, err)
				 : sl_err_set(err, SL_INVALID_ARGUMENT,
					      "must be " CONST_PREFIX "NAME=VALUE or " SECRET_PREFIX
					      "NAME=VALUE");
}

static sl_code read_file(struct overrides *overrides, const char *file, struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	sl_code code = keyfile_read_path(file, KEYFILE_SECRET, &text, err);
	if (code != SL_OK) {
		return code;
	}
	size_t number = 0, size = 0;
	for (const char *line = text; code == SL_OK && *line != '\0';
	     line += size + (line[size] == '\n')) {
		size = strcspn(line, "\n");
		number++;
		code = add_line(overrides, line, size, err);
	}
	return code == SL_OK ? SL_OK : sl_err_wrap(err, "'%.200s', line %zu", file, number);
}

sl_code overrides_load(const char *file, struct overrides **ret_overrides, struct sl_err *err)
{
	SL_AUTO(overrides_free_auto) struct overrides *overrides = calloc(1, sizeof(*overrides));
	if (overrides == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = take_environment(overrides, err);
	code = code == SL_OK && file[0] != '\0' ? read_file(overrides, file, err) : code;
	if (code == SL_OK) {
		*ret_overrides = SL_TAKE(overrides);
	}
	return code;
}
