#include "server/access/access.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/access/access_internal.h"
#include "server/records/records.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);
SL_DEFINE_AUTO(struct access_entry *, access_entry_unref);

sl_code access_new(const struct access_options *options, struct access **ret_access,
		   struct sl_err *err)
{
	struct access *access = calloc(1, sizeof(*access));
	if (access == NULL) {
		return sl_err_no_memory(err);
	}
	access->options = *options;
	pthread_mutex_init(&access->lock, NULL);
	*ret_access = access;
	return SL_OK;
}

void access_free(struct access *access)
{
	if (access == NULL) {
		return;
	}
	for (size_t i = 0; i < ACCESS_CACHE_SLOTS; i++) {
		access_entry_unref(access->slots[i]);
	}
	pthread_mutex_destroy(&access->lock);
	free(access);
}

const struct sl_token_key *access_token_key(const struct access *access)
{
	return access->options.token_key;
}

const char *access_kind_name(enum access_kind kind)
{
	static const char *const names[] = {[ACCESS_ANONYMOUS] = "anonymous",
					    [ACCESS_PERSON] = "person",
					    [ACCESS_BOT] = "bot",
					    [ACCESS_INSTANCE] = "agent"};
	return names[kind];
}

/* --- who -------------------------------------------------------------------------- */

static sl_code malformed(const char *what, struct sl_err *err)
{
	return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_IDENTITY_MALFORMED, "%s", what);
}

static sl_code refused(const struct access_entry *entry, struct sl_err *err)
{
	return sl_err_because(err, SL_UNAUTHENTICATED, entry->reason, "%s", entry->refused);
}

/* Who it is does not change while an identity lives, so that any entry will do; whether it still
 * lives is asked with the view that counts. */
static sl_code find(struct access *access, const struct ca_identity *name,
		    struct access_entry **ret_entry, struct sl_err *err)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	sl_code code = store_view_begin(access->options.store, &view, err);
	return code != SL_OK ? code : access_entry_get(access, view, name, ret_entry, err);
}

const struct access_caller access_anonymous = {.kind = ACCESS_ANONYMOUS, .principal = "anonymous"};

sl_code access_identify(struct access *access, const struct rpc_peer_identity *peer,
			struct access_caller *ret_caller, struct sl_err *err)
{
	if (access == NULL || (peer == NULL && access->options.open)) {
		*ret_caller = access_anonymous;
		return SL_OK;
	}
	struct ca_identity name;
	if (peer == NULL || !ca_identity_parse(peer->uri, &name)) {
		return malformed("the client certificate names no principal and no instance", err);
	}
	if (peer->not_after_ms <= sl_clock_unix_ms()) {
		return sl_err_because(
		    err, SL_UNAUTHENTICATED, SL_REASON_CERTIFICATE_EXPIRED,
		    "the client certificate has expired: renew it, or log in again");
	}
	SL_AUTO(access_entry_unref_auto) struct access_entry *entry = NULL;
	sl_code code = find(access, &name, &entry, err);
	if (code != SL_OK) {
		return code;
	}
	if (entry->refused != NULL) {
		return refused(entry, err);
	}
	*ret_caller = entry->caller;
	ret_caller->not_after_ms = peer->not_after_ms;
	return SL_OK;
}

bool access_admit(struct access *access, const struct ca_identity *identity)
{
	SL_AUTO(access_entry_unref_auto) struct access_entry *entry = NULL;
	return find(access, identity, &entry, NULL) == SL_OK && entry->refused == NULL;
}

/* --- what -------------------------------------------------------------------------- */

sl_code access_rights_begin(struct access *access, const struct store_view *view,
			    const struct access_caller *caller, struct access_hold *ret_hold,
			    struct sl_err *err)
{
	if (caller->kind == ACCESS_ANONYMOUS) {
		*ret_hold = (struct access_hold){.rights = &rights_everything};
		return SL_OK;
	}
	struct ca_identity name = {.kind =
				       caller->kind == ACCESS_INSTANCE ? CA_AGENT : CA_PRINCIPAL};
	memcpy(name.subject, caller->subject_id, sizeof(name.subject));
	memcpy(name.identity, caller->identity_id, sizeof(name.identity));
	SL_AUTO(access_entry_unref_auto) struct access_entry *entry = NULL;
	sl_code code = access_entry_get(access, view, &name, &entry, err);
	if (code != SL_OK) {
		return code;
	}
	if (entry->refused != NULL) {
		return refused(entry, err);
	}
	ret_hold->rights = &entry->rights;
	ret_hold->entry = SL_TAKE(entry);
	return SL_OK;
}

void access_rights_end(struct access_hold *hold)
{
	access_entry_unref(hold->entry);
	*hold = (struct access_hold){.rights = NULL};
}

bool access_serves(const struct access_caller *caller, const struct rights *rights)
{
	return rights->everything || (caller->workspace == WORKSPACE_DEFAULT &&
				      rights_allow_everywhere(rights, ACCESS_ADMINISTER, NULL));
}

bool access_enters(const struct access_caller *caller, const struct rights *rights,
		   uint32_t workspace)
{
	return caller->workspace == workspace || access_serves(caller, rights);
}

/* --- how often ------------------------------------------------------------------------ */

static uint64_t hash_of(const char *id)
{
	uint64_t hash = 1469598103934665603u;
	for (; *id != '\0'; id++) {
		hash = (hash ^ (uint8_t)*id) * 1099511628211u;
	}
	return hash;
}

/* The generic cell rate algorithm: a bucket as one number. Ids are random, so that two principals
 * that share a slot are rare; the one that comes last has it, and that is in its favour. */
sl_code access_limit(struct access *access, const struct access_caller *caller, struct sl_err *err)
{
	bool bounded = caller->kind == ACCESS_PERSON || caller->kind == ACCESS_BOT;
	if (access == NULL || !bounded || access->options.rate_per_s == 0) {
		return SL_OK;
	}
	uint64_t hash = hash_of(caller->subject_id), now = sl_clock_mono_us();
	uint64_t gap = 1000000u / access->options.rate_per_s;
	uint64_t tolerance = gap * access->options.rate_burst;
	struct access_limit_slot *slot = &access->limits[hash % ACCESS_LIMIT_SLOTS];
	uint64_t due = slot->subject == hash && slot->due_us > now ? slot->due_us : now;
	if (due + gap > now + gap + tolerance) {
		uint64_t wait_ms = (due - now - tolerance) / 1000 + 1;
		sl_code code = sl_err_because(
		    err, SL_RESOURCE_EXHAUSTED, SL_REASON_RATE_LIMITED,
		    "'%s' makes more than %u calls a second: try again in %lu ms",
		    caller->principal, access->options.rate_per_s, (unsigned long)wait_ms);
		sl_err_meta(err, "retry_after_ms", "%lu", (unsigned long)wait_ms);
		return code;
	}
	*slot = (struct access_limit_slot){.subject = hash, .due_us = due + gap};
	return SL_OK;
}
