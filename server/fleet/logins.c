/* How agents log in to repositories: told once on each stream, before the manifest that needs it,
 * and again when it changes. */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

static struct fleet_told_login *told_of(struct fleet_session *session, const char *repository_id)
{
	for (size_t i = 0; i < session->login_count; i++) {
		if (strcmp(session->logins[i].repository_id, repository_id) == 0) {
			return &session->logins[i];
		}
	}
	struct fleet_told_login *logins =
	    realloc(session->logins, (session->login_count + 1) * sizeof(*logins));
	if (logins == NULL) {
		return NULL;
	}
	session->logins = logins;
	struct fleet_told_login *told = &logins[session->login_count++];
	*told = (struct fleet_told_login){.revision = 0};
	sl_text_copy(told->repository_id, sizeof(told->repository_id), repository_id);
	return told;
}

static bool send_login(struct fleet_session *session, const char *repository_id, uint64_t revision,
		       const struct sl_buf *box)
{
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__AgentLogin login = SLUICE__V1__AGENT_LOGIN__INIT;
	login.repository_id = (char *)repository_id;
	login.revision = revision;
	login.box = (ProtobufCBinaryData){.data = box->data, .len = box->size};
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_LOGIN;
	response.login = &login;
	return fleet_session_send(session, &response, 0) == SL_OK;
}

/* False: not now. What cannot be opened is told of, once, and the agent waits for it. */
static bool tell_one(struct fleet *fleet, struct fleet_session *session,
		     const struct store_view *view, const struct fleet_entry *entry)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_buf_fini) struct sl_buf box = {0};
	uint64_t revision = 0;
	struct fleet_told_login *told = told_of(session, entry->repository_id);
	if (told == NULL || told->revision >= entry->login) {
		return told != NULL;
	}
	const struct fleet_login_request request = {
	    .workspace = session->unit->workspace,
	    .identity_id = session->unit->record->identity_id,
	    .repository_id = entry->repository_id,
	};
	sl_code code =
	    fleet->options.login(fleet->options.login_ctx, view, &request, &box, &revision, &err);
	if (code != SL_OK) {
		if (code != SL_NOT_FOUND || err.code != SL_OK) {
			log_error("login-not-told", "instance=%s repository=%s error=%s",
				  session->unit->record->name, entry->repository_id,
				  SL_QUOTE(err.msg));
		}
		told->revision = entry->login;
		return true;
	}
	if (!send_login(session, entry->repository_id, revision, &box)) {
		return false;
	}
	told->revision = revision;
	return true;
}

bool fleet_logins_tell(struct fleet *fleet, struct fleet_session *session)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	for (size_t i = 0; fleet->options.login != NULL && i < session->slot_count; i++) {
		const struct fleet_entry *entry = session->slots[i].entry;
		if (entry->login == 0) {
			continue;
		}
		if (view == NULL && store_view_begin(fleet->options.store, &view, NULL) != SL_OK) {
			return false;
		}
		if (!tell_one(fleet, session, view, entry)) {
			return false;
		}
	}
	return true;
}
