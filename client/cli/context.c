#include "client/cli/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/mem/own.h"

enum { SERVER_MAX = 300, WORKSPACE_MAX = 64 };

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

void context_fini(struct context *context)
{
	free(context->server);
	free(context->workspace);
	*context = (struct context){0};
}

static const char *from_environment(const char *flag, const char *variable)
{
	const char *value = flag != NULL && flag[0] != '\0' ? flag : getenv(variable);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* NULL: there is no home to look in, or no memory. */
static char *file_path(void)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char *path = NULL;
	int length = -1;
	if (config != NULL && config[0] == '/') {
		length = asprintf(&path, "%s/sluice/context.json", config);
	} else if (home != NULL && home[0] != '\0') {
		length = asprintf(&path, "%s/.config/sluice/context.json", home);
	}
	return length >= 0 ? path : NULL;
}

static sl_code check_keys(const struct sl_json *root, const char *path, struct sl_err *err)
{
	const char *key = NULL;
	while ((key = sl_json_next_key(root, key)) != NULL) {
		if (strcmp(key, "server") != 0 && strcmp(key, "workspace") != 0) {
			return sl_err_set(err, SL_INVALID_ARGUMENT,
					  "%s: unknown key '%.64s' (it takes server and workspace)",
					  path, key);
		}
	}
	return SL_OK;
}

static sl_code copy_values(const struct sl_json *root, const char *path, struct context *context,
			   struct sl_err *err)
{
	const char *server = NULL;
	const char *workspace = NULL;
	sl_code code = check_keys(root, path, err);
	if (code != SL_OK) {
		return code;
	}
	code = sl_json_get_text(root, "server", SERVER_MAX, &server, err);
	code = code != SL_OK ? code
			     : sl_json_get_text(root, "workspace", WORKSPACE_MAX, &workspace, err);
	if (code != SL_OK) {
		return sl_err_wrap(err, "%s", path);
	}
	if (context->server == NULL && server != NULL && server[0] != '\0') {
		context->server = strdup(server);
	}
	if (context->workspace == NULL && workspace != NULL) {
		context->workspace = strdup(workspace);
	}
	return SL_OK;
}

static sl_code read_file(struct context *context, struct sl_err *err)
{
	SL_AUTO(sl_free_auto) char *path = file_path();
	SL_AUTO(sl_json_free_auto) struct sl_json *root = NULL;
	if (path == NULL) {
		return SL_OK;
	}
	sl_code code = sl_json_read_file(path, &root, err);
	if (code == SL_NOT_FOUND) {
		sl_err_clear(err);
		return SL_OK;
	}
	if (code != SL_OK) {
		return code;
	}
	return copy_values(root, path, context, err);
}

sl_code context_find(const char *server_flag, const char *workspace_flag,
		     struct context *ret_context, struct sl_err *err)
{
	SL_AUTO(context_fini) struct context context = {0};
	const char *server = from_environment(server_flag, "SLUICE_SERVER");
	const char *workspace = from_environment(workspace_flag, "SLUICE_WORKSPACE");
	context.server = server != NULL ? strdup(server) : NULL;
	context.workspace = workspace != NULL ? strdup(workspace) : NULL;
	if (server == NULL || workspace == NULL) {
		sl_code code = read_file(&context, err);
		if (code != SL_OK) {
			return code;
		}
	}
	if (context.server == NULL) {
		context.server = strdup(CONTEXT_SERVER_DEFAULT);
	}
	if (context.workspace == NULL) {
		context.workspace = strdup("");
	}
	if (context.server == NULL || context.workspace == NULL) {
		return sl_err_no_memory(err);
	}
	*ret_context = context;
	context = (struct context){0};
	return SL_OK;
}
