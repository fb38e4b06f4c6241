/* The table of tables: every method of the API, bound to how its kind is handled. */
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/services/service_internal.h"

static const struct {
	const struct service_method *rows;
	size_t count;
} tables[] = {
    {workspace_methods, SL_COUNT(workspace_methods)},
    {environment_methods, SL_COUNT(environment_methods)},
    {repository_methods, SL_COUNT(repository_methods)},
    {app_methods, SL_COUNT(app_methods)},
    {version_methods, SL_COUNT(version_methods)},
    {promotion_methods, SL_COUNT(promotion_methods)},
    {release_methods, SL_COUNT(release_methods)},
    {fleet_methods, SL_COUNT(fleet_methods)},
    {agent_methods, SL_COUNT(agent_methods)},
    {watch_methods, SL_COUNT(watch_methods)},
    {admin_methods, SL_COUNT(admin_methods)},
};

const char *const services_names[] = {
    "sluice.v1.AdminService",       "sluice.v1.AgentService",      "sluice.v1.AppService",
    "sluice.v1.EnvironmentService", "sluice.v1.FleetService",      "sluice.v1.PromotionService",
    "sluice.v1.ReleaseService",     "sluice.v1.RepositoryService", "sluice.v1.VersionService",
    "sluice.v1.WatchService",       "sluice.v1.WorkspaceService",  NULL,
};

enum { METHODS_MAX = 96 };
static struct service_bound bound[METHODS_MAX];
static struct rpc_method rpc_methods[METHODS_MAX];

static void bind_row(size_t at, const struct service_method *row)
{
	bool one_kind = (row->read != NULL) + (row->decide != NULL) + (row->start != NULL) +
			    (row->stream != NULL) ==
			1;
	if (at == METHODS_MAX || row->verb == ACCESS_NONE || !one_kind) {
		abort(); /* a row that says too little must not serve */
	}
	bound[at] = (struct service_bound){
	    .method = row,
	    .name = strrchr(row->path, '/') + 1,
	    .workspace = protobuf_c_message_descriptor_get_field_by_name(row->request, "workspace"),
	    .write = protobuf_c_message_descriptor_get_field_by_name(row->request, "write"),
	    .result = protobuf_c_message_descriptor_get_field_by_name(row->response, "result"),
	};
	if ((row->decide != NULL) != (bound[at].write != NULL && bound[at].result != NULL)) {
		abort(); /* mutating methods, and only they, take WriteOptions and give a
			    WriteResult */
	}
	rpc_methods[at] = (struct rpc_method){
	    .path = row->path,
	    .row = &bound[at],
	    .stream = row->stream,
	    .hot = row->hot,
	    .waits = row->start != NULL,
	};
	if (row->stream == NULL) {
		rpc_methods[at].handle = row->read != NULL     ? service_handle_read
					 : row->decide != NULL ? service_handle_write
							       : service_handle_start;
	}
}

const struct rpc_method *services_rpc_methods(size_t *ret_count)
{
	size_t count = 0;
	for (size_t i = 0; i < SL_COUNT(tables); i++) {
		for (size_t j = 0; j < tables[i].count; j++) {
			bind_row(count++, &tables[i].rows[j]);
		}
	}
	*ret_count = count;
	return rpc_methods;
}
