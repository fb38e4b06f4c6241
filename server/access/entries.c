/* What is kept of identities: one slot each by the hash of their id, replaced when it is old.
 *
 * An entry is found by identity and as of a generation. A view on an older generation than the
 * slot's (a reader beside the writer) loads for itself and leaves the slot alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/own.h"
#include "server/access/access_internal.h"
#include "server/records/principals.h"

enum { ENTRY_BYTES_MAX = 1 << 20 };

void access_entry_unref(struct access_entry *entry)
{
	if (entry != NULL && atomic_fetch_sub(&entry->refs, 1) == 1) {
		sl_arena_fini(&entry->arena);
		free(entry);
	}
}

SL_DEFINE_AUTO(struct access_entry *, access_entry_unref);

static struct access_entry **slot_of(struct access *access, const char *identity_id)
{
	uint32_t hash = 2166136261u;
	for (; *identity_id != '\0'; identity_id++) {
		hash = (hash ^ (uint8_t)*identity_id) * 16777619u;
	}
	return &access->slots[hash % ACCESS_CACHE_SLOTS];
}

/* --- loading -------------------------------------------------------------------------- */

static sl_code refuse(struct access_entry *entry, enum sl_reason reason, const char *why)
{
	entry->reason = reason;
	entry->refused = why;
	return SL_OK;
}

static sl_code load_principal(struct access_entry *entry, const struct store_view *view,
			      struct sl_err *err)
{
	struct access_caller *caller = &entry->caller;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	sl_code code = principal_get(view, &entry->arena, caller->workspace, caller->subject_id,
				     &principal, err);
	if (code == SL_NOT_FOUND) {
		return refuse(entry, SL_REASON_IDENTITY_REVOKED, "the principal is removed");
	}
	if (code != SL_OK) {
		return code;
	}
	if (principal->disabled_ms != 0) {
		return refuse(entry, SL_REASON_IDENTITY_REVOKED, "the principal is disabled");
	}
	bool bot = principal->kind == SLUICE__V1__PRINCIPAL_KIND__PRINCIPAL_KIND_BOT;
	caller->kind = bot ? ACCESS_BOT : ACCESS_PERSON;
	(void)snprintf(caller->principal, sizeof(caller->principal), "%s", principal->name);
	return principal_rights(view, &entry->arena, caller->workspace, principal, &entry->rights,
				err);
}

/* Nothing stays in the entry's arena: agents have no rights, and there are thousands of them.
 * Whether the instance still counts is fleet's to say: its agent must hear that it is removed. */
static sl_code load_instance(struct access_entry *entry, const struct store_view *view,
			     struct sl_arena *scratch, struct sl_err *err)
{
	struct access_caller *caller = &entry->caller;
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	sl_code code =
	    instance_get(view, scratch, caller->workspace, caller->subject_id, &instance, err);
	caller->kind = ACCESS_INSTANCE;
	(void)snprintf(caller->principal, sizeof(caller->principal), "agent:%s",
		       code == SL_OK ? instance->name : caller->subject_id);
	return code == SL_NOT_FOUND ? SL_OK : code;
}

static sl_code load(struct access_entry *entry, const struct store_view *view,
		    const struct ca_identity *name, struct sl_err *err)
{
	SL_AUTO(sl_arena_fini) struct sl_arena scratch;
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	struct access_caller *caller = &entry->caller;
	sl_arena_init(&scratch, ENTRY_BYTES_MAX);
	memcpy(caller->subject_id, name->subject, sizeof(caller->subject_id));
	memcpy(caller->identity_id, name->identity, sizeof(caller->identity_id));
	sl_code code = identity_get(view, &scratch, name->identity, &identity, err);
	if (code == SL_NOT_FOUND) {
		return refuse(entry, SL_REASON_IDENTITY_REVOKED,
			      "the identity of the client certificate is not known here");
	}
	if (code != SL_OK) {
		return code;
	}
	bool instance = identity->kind == SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_AGENT;
	if (instance != (name->kind == CA_AGENT) ||
	    strcmp(identity->subject_id, name->subject) != 0) {
		return refuse(entry, SL_REASON_IDENTITY_MALFORMED,
			      "the client certificate's identity is of another subject");
	}
	if (identity->revoked_ms != 0) {
		return refuse(entry, SL_REASON_IDENTITY_REVOKED,
			      "the identity of the client certificate is revoked");
	}
	caller->workspace = identity->workspace;
	return instance ? load_instance(entry, view, &scratch, err)
			: load_principal(entry, view, err);
}

/* --- finding ----------------------------------------------------------------------------- */

static bool is_of(const struct access_entry *entry, const struct ca_identity *name,
		  uint64_t generation)
{
	const struct access_caller *caller = &entry->caller;
	return entry->generation == generation &&
	       strcmp(caller->identity_id, name->identity) == 0 &&
	       strcmp(caller->subject_id, name->subject) == 0;
}

/* A slot changes hands for another identity, or for what is newer. */
static void keep(struct access *access, struct access_entry *entry)
{
	struct access_entry **slot = slot_of(access, entry->caller.identity_id);
	struct access_entry *old = entry;
	pthread_mutex_lock(&access->lock);
	if (*slot == NULL || (*slot)->generation <= entry->generation ||
	    strcmp((*slot)->caller.identity_id, entry->caller.identity_id) != 0) {
		atomic_fetch_add(&entry->refs, 1);
		old = *slot;
		*slot = entry;
	} else {
		old = NULL;
	}
	pthread_mutex_unlock(&access->lock);
	access_entry_unref(old);
}

sl_code access_entry_get(struct access *access, const struct store_view *view,
			 const struct ca_identity *name, struct access_entry **ret_entry,
			 struct sl_err *err)
{
	uint64_t generation = 0;
	sl_code code = access_generation(view, &generation, err);
	if (code != SL_OK) {
		return code;
	}
	pthread_mutex_lock(&access->lock);
	struct access_entry *found = *slot_of(access, name->identity);
	found = found != NULL && is_of(found, name, generation) ? found : NULL;
	if (found != NULL) {
		atomic_fetch_add(&found->refs, 1);
	}
	pthread_mutex_unlock(&access->lock);
	if (found != NULL) {
		*ret_entry = found;
		return SL_OK;
	}
	SL_AUTO(access_entry_unref_auto) struct access_entry *entry = calloc(1, sizeof(*entry));
	if (entry == NULL) {
		return sl_err_no_memory(err);
	}
	atomic_init(&entry->refs, 1);
	entry->generation = generation;
	sl_arena_init(&entry->arena, ENTRY_BYTES_MAX);
	code = load(entry, view, name, err);
	if (code == SL_OK) {
		keep(access, entry);
		*ret_entry = SL_TAKE(entry);
	}
	return code;
}
