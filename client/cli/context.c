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
	login_context_free(context->login);
	*context = (struct context){0};
}

const char *context_or_environment(const char *flag, const char *variable)
{
	const char *value = flag != NULL && flag[0] != '\0' ? flag : getenv(variable);
	return value != NULL && value[0] != '\0' ? value : NULL;
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
	SL_AUTO(sl_free_auto) char *path = context_path("context.json");
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

/* The one that was named, or the one in use if that is of the server that was named. */
static sl_code find_login(const struct context_wish *wish, const char *server,
			  struct login_context **ret_login, struct sl_err *err)
{
	const char *named = context_or_environment(wish->context, "SLUICE_CONTEXT");
	if (named != NULL) {
		sl_code code = context_load(named, ret_login, err);
		return code != SL_NOT_FOUND
			   ? code
			   : sl_err_set(err, SL_INVALID_ARGUMENT, CONTEXT_NOT_FOUND, named);
	}
	SL_AUTO(sl_free_auto) char *current = NULL;
	SL_AUTO(login_context_free_auto) struct login_context *login = NULL;
	sl_code code = wish->own_tls ? SL_OK : context_current(&current, err);
	if (code != SL_OK || current == NULL) {
		return code;
	}
	code = context_load(current, &login, err);
	if (code == SL_NOT_FOUND) { /* a link that leads nowhere */
		sl_err_clear(err);
		return SL_OK;
	}
	if (code == SL_OK && (server == NULL || strcmp(server, login->server) == 0)) {
		*ret_login = SL_TAKE(login);
	}
	return code;
}

static sl_code fill_rest(struct context *context, struct sl_err *err)
{
	const struct login_context *login = context->login;
	if (login == NULL && (context->server == NULL || context->workspace == NULL)) {
		sl_code code = read_file(context, err);
		if (code != SL_OK) {
			return code;
		}
	}
	if (context->server == NULL) {
		context->server = strdup(login != NULL ? login->server : CONTEXT_SERVER_DEFAULT);
	}
	if (context->workspace == NULL) {
		context->workspace = strdup(login != NULL ? login->workspace : "");
	}
	return context->server != NULL && context->workspace != NULL ? SL_OK
								     : sl_err_no_memory(err);
}

sl_code context_find(const struct context_wish *wish, struct context *ret_context,
		     struct sl_err *err)
{
	SL_AUTO(context_fini) struct context context = {0};
	const char *server = context_or_environment(wish->server, "SLUICE_SERVER");
	const char *workspace = context_or_environment(wish->workspace, "SLUICE_WORKSPACE");
	context.server = server != NULL ? strdup(server) : NULL;
	context.workspace = workspace != NULL ? strdup(workspace) : NULL;
	sl_code code = find_login(wish, server, &context.login, err);
	code = code != SL_OK ? code : fill_rest(&context, err);
	if (code == SL_OK) {
		*ret_context = context;
		context = (struct context){0};
	}
	return code;
}
