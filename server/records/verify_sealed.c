/* verify: what is sealed. No key is needed: forms, keys that are there, and owners that know the
 * value. */
#include <string.h>

#include "server/records/logins.h"
#include "server/records/verify_internal.h"

enum { MASTER_ID_BYTES = 16, WRAPPED_BYTES = 72, SEALED_BYTES_MIN = 40 };

static void check_key(struct verify *v)
{
	Sluice__Store__V1__WorkspaceKeyRecord *r =
	    verify_unpack(v, &sluice__store__v1__workspace_key_record__descriptor);
	struct verify_key key = verify_key_of(v);
	(void)verify_key_u32(&key);
	uint32_t number = verify_key_u32(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	verify_revision(v, r->revision);
	if (r->number != number || number == 0) {
		verify_fault(v, "is stored under the key of another");
	}
	if (r->master_id.len != MASTER_ID_BYTES || r->wrapped.len != WRAPPED_BYTES) {
		verify_fault(v, "is no wrapped key");
	}
}

/* The value's name is "<repository id>/<which>". */
static void check_login(struct verify *v, uint32_t ws, const char *name, uint64_t revision)
{
	char id[64];
	size_t bytes = strcspn(name, "/");
	Sluice__Store__V1__RepositoryRecord *repository = NULL;
	if (bytes >= sizeof(id) || name[bytes] == '\0') {
		verify_fault(v, "is named after no repository");
		return;
	}
	memcpy(id, name, bytes);
	id[bytes] = '\0';
	if (repository_get(v->view, &v->arena, ws, id, &repository, NULL) != SL_OK) {
		verify_fault(v, "refers to a repository that is not there");
		return;
	}
	const Sluice__Store__V1__LoginRecord *login = login_by_name(repository, name + bytes + 1);
	if (login == NULL || login->sealed_revision != revision) {
		verify_fault(v, "is not what its repository knows");
	}
}

static void check_sealed(struct verify *v)
{
	Sluice__Store__V1__SealedRecord *r =
	    verify_unpack(v, &sluice__store__v1__sealed_record__descriptor);
	struct verify_key key = verify_key_of(v);
	uint32_t ws = verify_key_u32(&key);
	uint32_t kind = verify_key_u32(&key);
	const char *name = verify_key_id(&key);
	(void)verify_key_u32(&key);
	if (!verify_key_end(v, &key) || r == NULL) {
		return;
	}
	struct record_key sealed_with = KEY(ws, key_u32(k, r->key_number));
	verify_need(v, TABLE_WORKSPACE_KEYS, &sealed_with, "a workspace's key");
	verify_revision(v, r->revision);
	if (r->sealed.len < SEALED_BYTES_MIN) {
		verify_fault(v, "is no sealed value");
	}
	if (kind == SEALED_REPOSITORY_LOGIN) {
		check_login(v, ws, name, r->revision);
	} else {
		verify_fault(v, "is of kind %u, which nobody owns", kind);
	}
}

const struct verify_check verify_sealed[2] = {
    {TABLE_WORKSPACE_KEYS, check_key},
    {TABLE_SEALED, check_sealed},
};
