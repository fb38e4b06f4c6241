/* workspaces: the commands that make and remove workspaces. */
#ifndef SL_SERVER_WORKSPACES_H
#define SL_SERVER_WORKSPACES_H

#include "server/records/records.h"

/* SL_NOT_FOUND / WORKSPACE_NOT_FOUND. */
SL_MUST_USE sl_code workspace_get(const struct store_view *view, struct sl_arena *arena,
				  const char *name,
				  Sluice__Store__V1__WorkspaceRecord **ret_workspace,
				  struct sl_err *err);

/* The name of number, in the arena. SL_NOT_FOUND: there was no such number. */
SL_MUST_USE sl_code workspace_name(const struct store_view *view, struct sl_arena *arena,
				   uint32_t number, char **ret_name, struct sl_err *err);

/* SL_ALREADY_EXISTS / NAME_TAKEN. */
SL_MUST_USE sl_code workspaces_create(struct decision *d, const char *name,
				      Sluice__Store__V1__WorkspaceRecord **ret_workspace,
				      struct sl_err *err);

/* SL_FAILED_PRECONDITION / WORKSPACE_IN_USE: `default`, or one that still holds something. */
SL_MUST_USE sl_code workspaces_delete(struct decision *d, const char *name, struct sl_err *err);

#endif
