#include "server/records/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/id/id.h"
#include "base/pb/pb.h"

const char *const record_table_names[TABLE_COUNT] = {
#define X(table, name) [TABLE_##table] = name,
    RECORD_TABLES(X)
#undef X
};

/* --- environments ---------------------------------------------------------- */

static const struct {
	const char *name, *id;
} environments[ENV_COUNT + 1] = {
    [0] = {"", ""},
    [ENV_DEVELOPMENT] = {"development", "env_1"},
    [ENV_STAGING] = {"staging", "env_2"},
    [ENV_PRODUCTION] = {"production", "env_3"},
};

const char *environment_name(uint32_t environment)
{
	return environment <= ENV_COUNT ? environments[environment].name : "";
}

const char *environment_id(uint32_t environment)
{
	return environment <= ENV_COUNT ? environments[environment].id : "";
}

sl_code environment_find(const char *name_or_id, uint32_t *ret_environment, struct sl_err *err)
{
	for (uint32_t i = 1; i <= ENV_COUNT; i++) {
		if (strcmp(name_or_id, environments[i].name) == 0 ||
		    strcmp(name_or_id, environments[i].id) == 0) {
			*ret_environment = i;
			return SL_OK;
		}
	}
	return sl_err_because(
	    err, SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND,
	    "no environment '%.60s': there are development, staging and production", name_or_id);
}

/* --- keys ------------------------------------------------------------------ */

static void key_append(struct record_key *key, const void *data, size_t size)
{
	if (key->size + size > sizeof(key->data)) {
		abort(); /* names and paths are checked before they come here */
	}
	memcpy(key->data + key->size, data, size);
	key->size += size;
}

struct record_key key_of(uint32_t workspace)
{
	struct record_key key;
	sl_put_be32(key.data, workspace);
	key.size = 4;
	return key;
}

void key_text(struct record_key *key, const char *text)
{
	key_append(key, text, strlen(text) + 1);
}

void key_u32(struct record_key *key, uint32_t number)
{
	uint8_t bytes[4];
	sl_put_be32(bytes, number);
	key_append(key, bytes, sizeof(bytes));
}

void key_u64(struct record_key *key, uint64_t number)
{
	uint8_t bytes[8];
	sl_put_be64(bytes, number);
	key_append(key, bytes, sizeof(bytes));
}

struct sl_bytes key_bytes(const struct record_key *key)
{
	return SL_BYTES(key->data, key->size);
}

/* --- values ---------------------------------------------------------------- */

bool table_has_rows(const struct store_view *view, enum record_table table)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, table, SL_BYTES_NONE, STORE_FORWARD);
	return store_walk_next(&walk);
}

sl_code record_unpack(struct sl_arena *arena, struct sl_bytes value,
		      const ProtobufCMessageDescriptor *type, void *ret_record, struct sl_err *err)
{
	ProtobufCMessage *record = pb_unpack(type, arena, value);
	if (record == NULL && sl_arena_failed(arena)) {
		return sl_err_no_memory(err);
	}
	if (record == NULL) {
		return sl_err_set(err, SL_DATA_LOSS, "a stored %s of %zu bytes does not parse",
				  type->short_name, value.size);
	}
	*(ProtobufCMessage **)ret_record = record;
	return SL_OK;
}

sl_code record_get(const struct store_view *view, struct sl_arena *arena, enum record_table table,
		   const struct record_key *key, const ProtobufCMessageDescriptor *type,
		   void *ret_record, struct sl_err *err)
{
	struct sl_bytes value;
	sl_code code = store_get(view, table, key_bytes(key), &value, err);
	return code != SL_OK ? code : record_unpack(arena, value, type, ret_record, err);
}

/* --- look-ups -------------------------------------------------------------- */

sl_code workspace_not_found(const char *wanted, struct sl_err *err)
{
	return sl_err_because(err, SL_NOT_FOUND, SL_REASON_WORKSPACE_NOT_FOUND,
			      "no workspace '%.60s'", wanted[0] == '\0' ? "default" : wanted);
}

sl_code workspace_find(const struct store_view *view, const char *name, uint32_t *ret_workspace,
		       struct sl_err *err)
{
	const char *wanted = name[0] == '\0' ? "default" : name;
	size_t length = strlen(wanted);
	struct sl_bytes value;
	struct sl_arena arena;
	sl_code code = SL_NOT_FOUND;
	if (length <= 50) {
		code = store_get(view, TABLE_WORKSPACES, SL_BYTES(wanted, length + 1), &value, err);
	}
	if (code == SL_NOT_FOUND) {
		return workspace_not_found(wanted, err);
	}
	if (code != SL_OK) {
		return code;
	}
	sl_arena_init(&arena, 0);
	Sluice__Store__V1__WorkspaceRecord *record = NULL;
	code = record_unpack(&arena, value, &sluice__store__v1__workspace_record__descriptor,
			     &record, err);
	if (code == SL_OK) {
		*ret_workspace = record->number;
	}
	sl_arena_fini(&arena);
	return code;
}

/* What a look-up by name or id needs to know of its noun. */
struct noun {
	const char *name, *prefix;
	enum record_table table, by_name;
	const ProtobufCMessageDescriptor *type;
	enum sl_reason not_found;
};

static const struct noun nouns[] = {
    {"repository", "rep", TABLE_REPOSITORIES, TABLE_REPOSITORIES_BY_NAME,
     &sluice__store__v1__repository_record__descriptor, SL_REASON_REPOSITORY_NOT_FOUND},
    {"app", "app", TABLE_APPS, TABLE_APPS_BY_NAME, &sluice__store__v1__app_record__descriptor,
     SL_REASON_APP_NOT_FOUND},
    {"instance", "ins", TABLE_INSTANCES, TABLE_INSTANCES_BY_NAME,
     &sluice__store__v1__instance_record__descriptor, SL_REASON_INSTANCE_NOT_FOUND},
    {"principal", "pri", TABLE_PRINCIPALS, TABLE_PRINCIPALS_BY_NAME,
     &sluice__store__v1__principal_record__descriptor, SL_REASON_PRINCIPAL_NOT_FOUND},
};
enum { NOUN_REPOSITORY, NOUN_APP, NOUN_INSTANCE, NOUN_PRINCIPAL };

enum { REFERENCE_MAX = 64 };

static sl_code not_found(const char *noun, const char *wanted, enum sl_reason reason,
			 struct sl_err *err)
{
	if (wanted[0] == '\0') {
		sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
					      "%s must be given", noun);
		sl_err_field(err, noun, "a name or an id is required");
		return code;
	}
	return sl_err_because(err, SL_NOT_FOUND, reason, "no %s '%.64s'", noun, wanted);
}

static sl_code find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		    const struct noun *noun, const char *wanted, void *ret_record,
		    struct sl_err *err)
{
	if (wanted[0] == '\0' || strlen(wanted) > REFERENCE_MAX) {
		return not_found(noun->name, wanted, noun->not_found, err);
	}
	struct record_key by_id = KEY(workspace, key_text(k, wanted));
	sl_code code = SL_NOT_FOUND;
	if (sl_id_is(wanted, noun->prefix)) {
		code = record_get(view, arena, noun->table, &by_id, noun->type, ret_record, err);
	}
	if (code != SL_NOT_FOUND) {
		return code;
	}
	struct sl_bytes id;
	code = store_get(view, noun->by_name, key_bytes(&by_id), &id, err);
	if (code == SL_OK) {
		const char *text =
		    sl_arena_printf(arena, "%.*s", (int)id.size, (const char *)id.data);
		if (text == NULL) {
			return sl_err_no_memory(err);
		}
		struct record_key key = KEY(workspace, key_text(k, text));
		code = record_get(view, arena, noun->table, &key, noun->type, ret_record, err);
	}
	return code != SL_NOT_FOUND ? code : not_found(noun->name, wanted, noun->not_found, err);
}

sl_code repository_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			const char *name_or_id,
			Sluice__Store__V1__RepositoryRecord **ret_repository, struct sl_err *err)
{
	return find(view, arena, workspace, &nouns[NOUN_REPOSITORY], name_or_id, ret_repository,
		    err);
}

sl_code app_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		 const char *name_or_id, Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	return find(view, arena, workspace, &nouns[NOUN_APP], name_or_id, ret_app, err);
}

sl_code instance_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		      const char *name_or_id, Sluice__Store__V1__InstanceRecord **ret_instance,
		      struct sl_err *err)
{
	return find(view, arena, workspace, &nouns[NOUN_INSTANCE], name_or_id, ret_instance, err);
}

sl_code principal_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		       const char *name_or_id, Sluice__Store__V1__PrincipalRecord **ret_principal,
		       struct sl_err *err)
{
	return find(view, arena, workspace, &nouns[NOUN_PRINCIPAL], name_or_id, ret_principal, err);
}

sl_code app_not_found(const char *wanted, struct sl_err *err)
{
	return not_found(nouns[NOUN_APP].name, wanted, nouns[NOUN_APP].not_found, err);
}

sl_code instance_not_found(const char *wanted, struct sl_err *err)
{
	return not_found(nouns[NOUN_INSTANCE].name, wanted, nouns[NOUN_INSTANCE].not_found, err);
}

/* The number of a version by id; SL_NOT_FOUND when it is another app's too. */
static sl_code number_by_id(const struct store_view *view, uint32_t workspace, const char *app_id,
			    const char *id, uint32_t *ret_number, struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	struct sl_bytes value;
	sl_code code = store_get(view, TABLE_VERSIONS_BY_ID, key_bytes(&key), &value, err);
	if (code != SL_OK) {
		return code;
	}
	size_t app_size = strlen(app_id) + 1;
	if (value.size != app_size + 4 || memcmp(value.data, app_id, app_size) != 0) {
		return SL_NOT_FOUND;
	}
	*ret_number = sl_get_be32(value.data + app_size);
	return SL_OK;
}

static sl_code number_by_name(const struct store_view *view, uint32_t workspace, const char *app_id,
			      const char *name, uint32_t *ret_number, struct sl_err *err)
{
	char lower[REFERENCE_MAX + 1];
	size_t i = 0;
	for (; name[i] != '\0' && i < REFERENCE_MAX; i++) {
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	}
	lower[i] = '\0';
	struct record_key key = KEY(workspace, key_text(k, app_id), key_text(k, lower));
	struct sl_bytes value;
	sl_code code = store_get(view, TABLE_VERSIONS_BY_NAME, key_bytes(&key), &value, err);
	if (code == SL_OK) {
		*ret_number = sl_get_be32(value.data);
	}
	return code;
}

sl_code version_find(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		     const Sluice__Store__V1__AppRecord *app, const char *name_or_id,
		     Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	uint32_t number = 0;
	sl_code code = SL_NOT_FOUND;
	if (strlen(name_or_id) <= REFERENCE_MAX && name_or_id[0] != '\0') {
		code = sl_id_is(name_or_id, "ver")
			   ? number_by_id(view, workspace, app->id, name_or_id, &number, err)
			   : number_by_name(view, workspace, app->id, name_or_id, &number, err);
	}
	if (code == SL_OK) {
		code = version_get(view, arena, workspace, app->id, number, ret_version, err);
	}
	if (code != SL_NOT_FOUND) {
		return code;
	}
	code = not_found("version", name_or_id, SL_REASON_VERSION_NOT_FOUND, err);
	return err == NULL ? code : sl_err_wrap(err, "app '%s'", app->name);
}

sl_code repository_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		       const char *id, Sluice__Store__V1__RepositoryRecord **ret_repository,
		       struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	return record_get(view, arena, TABLE_REPOSITORIES, &key,
			  &sluice__store__v1__repository_record__descriptor, ret_repository, err);
}

sl_code app_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		const char *id, Sluice__Store__V1__AppRecord **ret_app, struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	return record_get(view, arena, TABLE_APPS, &key, &sluice__store__v1__app_record__descriptor,
			  ret_app, err);
}

sl_code version_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		    const char *app_id, uint32_t number,
		    Sluice__Store__V1__VersionRecord **ret_version, struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, app_id), key_u32(k, number));
	return record_get(view, arena, TABLE_VERSIONS, &key,
			  &sluice__store__v1__version_record__descriptor, ret_version, err);
}

sl_code publication_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
			const char *app_id, uint32_t number,
			Sluice__Store__V1__PublicationRecord **ret_publication, struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, app_id), key_u32(k, number));
	return record_get(view, arena, TABLE_PUBLICATIONS, &key,
			  &sluice__store__v1__publication_record__descriptor, ret_publication, err);
}

sl_code publication_before(const struct store_view *view, struct sl_arena *arena,
			   uint32_t workspace, const char *app_id, uint32_t number,
			   Sluice__Store__V1__PublicationRecord **ret_publication,
			   struct sl_err *err)
{
	struct record_key prefix = KEY(workspace, key_text(k, app_id));
	struct record_key from = KEY(workspace, key_text(k, app_id), key_u32(k, number - 1));
	SL_AUTO(store_walk_end) struct store_walk walk;
	store_walk_begin(&walk, view, TABLE_PUBLICATIONS, key_bytes(&prefix), STORE_BACKWARD);
	store_walk_from(&walk, key_bytes(&from));
	while (store_walk_next(&walk)) {
		sl_code code = record_unpack(arena, walk.value,
					     &sluice__store__v1__publication_record__descriptor,
					     ret_publication, err);
		if (code != SL_OK ||
		    (*ret_publication)->state ==
			SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED) {
			return code;
		}
	}
	sl_code code = store_walk_result(&walk, err);
	return code != SL_OK ? code : SL_NOT_FOUND;
}

sl_code release_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		    const char *app_id, Sluice__Store__V1__ReleaseRecord **ret_release,
		    struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, app_id));
	return record_get(view, arena, TABLE_RELEASES, &key,
			  &sluice__store__v1__release_record__descriptor, ret_release, err);
}

sl_code instance_get(const struct store_view *view, struct sl_arena *arena, uint32_t workspace,
		     const char *id, Sluice__Store__V1__InstanceRecord **ret_instance,
		     struct sl_err *err)
{
	struct record_key key = KEY(workspace, key_text(k, id));
	return record_get(view, arena, TABLE_INSTANCES, &key,
			  &sluice__store__v1__instance_record__descriptor, ret_instance, err);
}
