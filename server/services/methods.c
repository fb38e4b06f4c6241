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
    {bundle_methods, SL_COUNT(bundle_methods)},
    {watch_methods, SL_COUNT(watch_methods)},
    {admin_methods, SL_COUNT(admin_methods)},
    {access_methods, SL_COUNT(access_methods)},
    {audit_methods, SL_COUNT(audit_methods)},
    {identity_methods, SL_COUNT(identity_methods)},
    {config_methods, SL_COUNT(config_methods)},
};

const char *const services_names[] = {
    "sluice.v1.AccessService",      "sluice.v1.AdminService",
    "sluice.v1.AgentService",       "sluice.v1.AppService",
    "sluice.v1.AuditService",       "sluice.v1.ConfigService",
    "sluice.v1.EnvironmentService", "sluice.v1.FleetService",
    "sluice.v1.IdentityService",    "sluice.v1.PromotionService",
    "sluice.v1.ReleaseService",     "sluice.v1.RepositoryService",
    "sluice.v1.VersionService",     "sluice.v1.WatchService",
    "sluice.v1.WorkspaceService",   NULL,
};

enum { METHODS_MAX = 160 };
static struct service_bound bound[METHODS_MAX];
static struct rpc_method rpc_methods[METHODS_MAX];

static const ProtobufCFieldDescriptor *field(const ProtobufCMessageDescriptor *type,
					     const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(type, name);
}

/* Those that a right is asked about must be texts. */
static const ProtobufCFieldDescriptor *text_field(const ProtobufCMessageDescriptor *type,
						  const char *name)
{
	const ProtobufCFieldDescriptor *found = field(type, name);
	bool text = found != NULL && found->type == PROTOBUF_C_TYPE_STRING &&
		    found->label != PROTOBUF_C_LABEL_REPEATED;
	return text ? found : NULL;
}

/* A row whose right cannot be found in its request must not serve. */
static bool scope_is_said(const struct service_bound *row)
{
	const struct service_method *method = row->method;
	bool app = row->app != NULL || (row->makes != NULL && method->scope == ACCESS_APP);
	switch (method->where) {
	case ACCESS_IN_FIELD:
		if (row->environment == NULL) {
			return false;
		}
		break;
	case ACCESS_IN_CURRENT:
	case ACCESS_IN_TARGET:
		if (row->app == NULL || row->version == NULL) {
			return false;
		}
		break;
	default:
		break;
	}
	return method->scope != ACCESS_SCOPE_NONE && (method->scope != ACCESS_APP || app) &&
	       (method->scope != ACCESS_ONE_INSTANCE || row->instance != NULL) &&
	       (method->scope != ACCESS_ONE_AGENT) == (method->verb != ACCESS_AGENT);
}

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
	    .workspace = field(row->request, "workspace"),
	    .write = field(row->request, "write"),
	    .result = field(row->response, "result"),
	    .secret = text_field(row->response, "secret"),
	    .app = text_field(row->request, "app"),
	    .version = text_field(row->request, "version"),
	    .instance = text_field(row->request, "instance"),
	    .environment = text_field(row->request, "environment"),
	    .to = text_field(row->request, "to"),
	    .makes = text_field(row->request, "name"),
	};
	if (!scope_is_said(&bound[at])) {
		abort();
	}
	if ((row->ask != NULL) != (row->find != NULL) ||
	    (row->ask != NULL && row->decide == NULL)) {
		abort();
	}
	if ((row->decide != NULL) != (bound[at].write != NULL && bound[at].result != NULL)) {
		abort(); /* mutating methods, and only they, take WriteOptions and give a
			    WriteResult */
	}
	rpc_methods[at] = (struct rpc_method){
	    .path = row->path,
	    .row = &bound[at],
	    .stream = row->stream,
	    .hot = row->hot,
	    .waits = row->start != NULL || row->find != NULL,
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

const struct service_bound *service_bound_named(const char *path)
{
	for (size_t i = 0; i < METHODS_MAX && bound[i].method != NULL; i++) {
		if (strcmp(bound[i].method->path, path) == 0) {
			return &bound[i];
		}
	}
	abort(); /* the rows are bound before anything is served */
}
