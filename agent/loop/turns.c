/* The agent's turn to fetch from a Git host, where the server gives turns.
 *
 * What is wanted and what the server was told of it are compared at each step, so a message that
 * could not go, or a new stream, costs nothing. Without a stream nobody gives turns: it fetches. */
#include <stdio.h>
#include <string.h>

#include "agent/loop/loop_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"

enum { AGAIN_MS = 100 };

static bool are_given(const struct loop *loop)
{
	return loop->turn.given && loop->session != NULL && session_is_live(loop->session);
}

void turns_step(struct loop *loop)
{
	struct turn *turn = &loop->turn;
	Sluice__V1__SyncRequest request = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__FetchWish wish = SLUICE__V1__FETCH_WISH__INIT;
	if (!are_given(loop) || strcmp(turn->wanted, turn->told) == 0) {
		return;
	}
	wish.host = turn->wanted;
	request.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_FETCH_WISH;
	request.fetch_wish = &wish;
	if (!session_send(loop->session, &request)) {
		loop_wake_at(loop, sl_clock_mono_ms() + AGAIN_MS);
		return;
	}
	turn->has = false;
	turn->asked_mono_ms = sl_clock_mono_ms();
	memcpy(turn->told, turn->wanted, sizeof(turn->told));
}

bool turns_take(struct loop *loop, const char *url)
{
	struct turn *turn = &loop->turn;
	git_url_host(url, turn->wanted);
	turns_step(loop);
	return !are_given(loop) || turn->wanted[0] == '\0' ||
	       (turn->has && strcmp(turn->wanted, turn->told) == 0);
}

void turns_end(struct loop *loop)
{
	loop->turn.wanted[0] = '\0';
	turns_step(loop);
}

void turns_begin_stream(struct loop *loop, bool given)
{
	loop->turn.given = given;
	loop->turn.told[0] = '\0';
	loop->turn.has = false;
}

void turns_hear(struct loop *loop, const Sluice__V1__FetchTurn *message)
{
	struct turn *turn = &loop->turn;
	if (strcmp(message->host, turn->told) != 0 || turn->told[0] == '\0') {
		return; /* of a wish that is over: it was taken back */
	}
	log_debug("fetch-turn", "host=%s waited_ms=%lu", turn->told,
		  (unsigned long)(sl_clock_mono_ms() - turn->asked_mono_ms));
	turn->has = true;
}
