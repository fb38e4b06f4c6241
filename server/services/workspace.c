/* WorkspaceService: the plainest of the services, and the model for the others. */
#include "base/mem/own.h"
#include "server/records/wire.h"
#include "server/records/workspaces.h"
#include "server/services/service.h"
#include "server/vault/vault.h"
#include "sluice/v1/workspace.pb-c.h"

/* --- CreateWorkspace ---------------------------------------------------------- */

static sl_code create_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__CreateWorkspaceRequest *request = message;
	return check_name("name", request->name, err);
}

static sl_code create_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__CreateWorkspaceRequest *request = message;
	Sluice__V1__CreateWorkspaceResponse *response = reply;
	Sluice__Store__V1__WorkspaceRecord *record = NULL;
	sl_code code = workspaces_create(d, request->name, &record, err);
	if (code == SL_OK) {
		response->workspace = wire_workspace(d->arena, record);
	}
	return code;
}

/* --- GetWorkspace ---------------------------------------------------------------- */

static sl_code get_read(struct service_read *read, const void *message, void *reply,
			struct sl_err *err)
{
	(void)message; /* the generic path has resolved its one field */
	Sluice__V1__GetWorkspaceResponse *response = reply;
	Sluice__Store__V1__WorkspaceRecord *record = NULL;
	sl_code code = workspace_get(read->view, read->arena, read->workspace_name, &record, err);
	if (code == SL_OK) {
		response->workspace = wire_workspace(read->arena, record);
	}
	return code;
}

/* --- ListWorkspaces -------------------------------------------------------------- */

static sl_code list_read(struct service_read *read, const void *message, void *reply,
			 struct sl_err *err)
{
	const Sluice__V1__ListWorkspacesRequest *request = message;
	Sluice__V1__ListWorkspacesResponse *response = reply;
	struct service_page page;
	sl_code code = service_page_begin(read, request->page, "ListWorkspaces", &page, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(store_walk_end) struct store_walk walk;
	struct sl_bytes next = SL_BYTES_NONE;
	response->workspaces = SL_ARENA_ARRAY(read->arena, Sluice__V1__Workspace *, page.size);
	store_walk_begin(&walk, read->view, TABLE_WORKSPACES, SL_BYTES_NONE, STORE_FORWARD);
	store_walk_from(&walk, page.from);
	while (response->workspaces != NULL && store_walk_next(&walk)) {
		Sluice__Store__V1__WorkspaceRecord *record = NULL;
		code =
		    record_unpack(read->arena, walk.value,
				  &sluice__store__v1__workspace_record__descriptor, &record, err);
		if (code != SL_OK) {
			return code;
		}
		if (!access_enters(read->caller, read->rights, record->number)) {
			continue;
		}
		if (response->n_workspaces == page.size) {
			next = walk.key;
			break;
		}
		response->workspaces[response->n_workspaces++] =
		    wire_workspace(read->arena, record);
	}
	response->page = service_page_end(read, &page, next);
	return store_walk_result(&walk, err);
}

/* --- DeleteWorkspace ------------------------------------------------------------- */

static sl_code delete_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__DeleteWorkspaceRequest *request = message;
	return check_reference("workspace", request->workspace, err);
}

static sl_code delete_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	const Sluice__V1__DeleteWorkspaceRequest *request = message;
	(void)reply;
	return workspaces_delete(d, request->workspace, err);
}

/* --- RotateWorkspaceKey ----------------------------------------------------------------- */

static sl_code rotate_decide(struct decision *d, const void *message, void *reply,
			     struct sl_err *err)
{
	(void)message;
	(void)reply;
	return vault_rotate_workspace(service_vault(d), d, err);
}

#define ROW(method) "/sluice.v1.WorkspaceService/" #method

const struct service_method workspace_methods[5] = {
    {ROW(CreateWorkspace), ACCESS_ADMINISTER, &sluice__v1__create_workspace_request__descriptor,
     &sluice__v1__create_workspace_response__descriptor, .check = create_check,
     .decide = create_decide, .scope = ACCESS_SERVER},
    {ROW(GetWorkspace), ACCESS_VIEW, &sluice__v1__get_workspace_request__descriptor,
     &sluice__v1__get_workspace_response__descriptor, .read = get_read, .scope = ACCESS_WORKSPACE},
    {ROW(ListWorkspaces), ACCESS_VIEW, &sluice__v1__list_workspaces_request__descriptor,
     &sluice__v1__list_workspaces_response__descriptor, .read = list_read, .scope = ACCESS_ITEMS},
    {ROW(DeleteWorkspace), ACCESS_ADMINISTER, &sluice__v1__delete_workspace_request__descriptor,
     &sluice__v1__delete_workspace_response__descriptor, .check = delete_check,
     .decide = delete_decide, .shrinks = true, .scope = ACCESS_SERVER},
    {ROW(RotateWorkspaceKey), ACCESS_ADMINISTER,
     &sluice__v1__rotate_workspace_key_request__descriptor,
     &sluice__v1__rotate_workspace_key_response__descriptor, .decide = rotate_decide,
     .scope = ACCESS_WORKSPACE, .where = ACCESS_EVERYWHERE},
};
