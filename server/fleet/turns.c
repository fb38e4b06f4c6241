/* Whose turn it is to fetch from a Git host: so many agents at once, the others in the order in
 * which they came.
 *
 *   nothing --wish--> waiting --turn--> fetching --empty wish, end of the stream, too long-->
 * nothing
 */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "server/fleet/fleet_internal.h"

enum {
	HOST_SIZE = 256,
	TURN_MAX_MS = 15 * 60 * 1000, /* longer than any job takes: then its end was lost */
};

/* One that somebody fetches from, or waits for. */
struct fleet_host {
	TAILQ_ENTRY(fleet_host) link;
	struct fleet_sessions fetching, waiting; /* oldest first */
	unsigned fetching_count, waiting_count;
	char name[HOST_SIZE];
};

static struct fleet_host *host_of(struct fleet *fleet, const char *name)
{
	struct fleet_host *host = NULL;
	TAILQ_FOREACH(host, &fleet->hosts, link)
	{
		if (strcmp(host->name, name) == 0) {
			return host;
		}
	}
	host = calloc(1, sizeof(*host));
	if (host != NULL) {
		TAILQ_INIT(&host->fetching);
		TAILQ_INIT(&host->waiting);
		memcpy(host->name, name, strlen(name) + 1);
		TAILQ_INSERT_TAIL(&fleet->hosts, host, link);
	}
	return host;
}

static sl_code send_turn(struct fleet_session *session, struct fleet_host *host)
{
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	Sluice__V1__FetchTurn turn = SLUICE__V1__FETCH_TURN__INIT;
	turn.host = host->name;
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_FETCH_TURN;
	response.fetch_turn = &turn;
	return fleet_session_send(session, &response, 0);
}

/* To whom it cannot be said now is asked again at a tick, behind the others. */
static void give_turns(struct fleet *fleet, struct fleet_host *host)
{
	unsigned most = fleet->options.fetches_per_host;
	for (unsigned left = host->waiting_count;
	     left > 0 && (most == 0 || host->fetching_count < most); left--) {
		struct fleet_session *session = TAILQ_FIRST(&host->waiting);
		TAILQ_REMOVE(&host->waiting, session, turn_link);
		if (send_turn(session, host) != SL_OK) {
			TAILQ_INSERT_TAIL(&host->waiting, session, turn_link);
			continue;
		}
		host->waiting_count--;
		host->fetching_count++;
		session->turn_mono_ms = fleet_mono_ms(fleet);
		TAILQ_INSERT_TAIL(&host->fetching, session, turn_link);
	}
}

void fleet_turn_drop(struct fleet *fleet, struct fleet_session *session)
{
	struct fleet_host *host = session->host;
	if (host == NULL) {
		return;
	}
	bool had = session->turn_mono_ms != 0;
	TAILQ_REMOVE(had ? &host->fetching : &host->waiting, session, turn_link);
	*(had ? &host->fetching_count : &host->waiting_count) -= 1;
	session->host = NULL;
	session->turn_mono_ms = 0;
	if (host->fetching_count + host->waiting_count == 0) {
		TAILQ_REMOVE(&fleet->hosts, host, link);
		free(host);
		return;
	}
	give_turns(fleet, host);
}

void fleet_turn_wish(struct fleet *fleet, struct fleet_session *session, const char *name)
{
	bool same = session->host != NULL && strcmp(session->host->name, name) == 0;
	if (same || strlen(name) >= HOST_SIZE) {
		return; /* it is on the list; or no agent's word */
	}
	fleet_turn_drop(fleet, session);
	struct fleet_host *host = name[0] != '\0' ? host_of(fleet, name) : NULL;
	if (host == NULL) {
		return; /* done; or, without memory, it asks again with the next stream */
	}
	session->host = host;
	TAILQ_INSERT_TAIL(&host->waiting, session, turn_link);
	host->waiting_count++;
	give_turns(fleet, host);
}

void fleet_turns_tick(struct fleet *fleet)
{
	struct fleet_host *host = TAILQ_FIRST(&fleet->hosts);
	uint64_t now = fleet_mono_ms(fleet);
	while (host != NULL) {
		struct fleet_host *next = TAILQ_NEXT(host, link);
		struct fleet_session *oldest = TAILQ_FIRST(&host->fetching);
		give_turns(fleet, host);
		if (oldest != NULL && now >= oldest->turn_mono_ms + TURN_MAX_MS) {
			log_warn("fetch-turn-lost", "instance=%s host=%s",
				 oldest->unit == NULL ? "" : oldest->unit->record->name,
				 SL_QUOTE(host->name));
			fleet_turn_drop(fleet, oldest); /* host may be gone */
		}
		host = next;
	}
}

void fleet_turns_count(const struct fleet *fleet, uint32_t *ret_fetching, uint32_t *ret_waiting)
{
	const struct fleet_host *host = NULL;
	*ret_fetching = *ret_waiting = 0;
	TAILQ_FOREACH(host, &fleet->hosts, link)
	{
		*ret_fetching += host->fetching_count;
		*ret_waiting += host->waiting_count;
	}
}
