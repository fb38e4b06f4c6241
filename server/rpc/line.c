#include "server/rpc/line.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "server/rpc/pace.h"

struct place {
	int fd;
	uint64_t since_us;
	STAILQ_ENTRY(place) link;
};

STAILQ_HEAD(places, place);

/* An address of which somebody waits. */
struct caller {
	uint64_t address;
	size_t count;
	struct places waiting; /* the oldest first */
	TAILQ_ENTRY(caller) link;
};

TAILQ_HEAD(callers, caller);

struct line {
	struct line_rules rules;
	struct pace pace;
	uint64_t next_us;
	size_t count;
	struct callers turns; /* whose turn it is comes first */
	struct callers unused;
	struct places empty;
	struct place *all_places;
	struct caller *all_callers; /* as many: each may be of another address */
};

sl_code line_new(const struct line_rules *rules, struct line **ret_line, struct sl_err *err)
{
	struct line *line = calloc(1, sizeof(*line));
	if (line == NULL) {
		return sl_err_no_memory(err);
	}
	line->rules = *rules;
	line->pace = pace_of(rules->per_second, rules->burst);
	line->all_places = calloc(rules->places, sizeof(*line->all_places));
	line->all_callers = calloc(rules->places, sizeof(*line->all_callers));
	if (line->all_places == NULL || line->all_callers == NULL) {
		line_free(line);
		return sl_err_no_memory(err);
	}
	TAILQ_INIT(&line->turns);
	TAILQ_INIT(&line->unused);
	STAILQ_INIT(&line->empty);
	for (size_t i = 0; i < rules->places; i++) {
		STAILQ_INSERT_TAIL(&line->empty, &line->all_places[i], link);
		TAILQ_INSERT_TAIL(&line->unused, &line->all_callers[i], link);
	}
	*ret_line = line;
	return SL_OK;
}

void line_free(struct line *line)
{
	if (line != NULL) {
		free(line->all_places);
		free(line->all_callers);
		free(line);
	}
}

size_t line_length(const struct line *line)
{
	return line->count;
}

/* --- who ---------------------------------------------------------------------------- */

static uint64_t address_v4(uint32_t address)
{
	return UINT64_C(1) << 32 | address; /* no network of IPv6 begins like this */
}

uint64_t line_address(const struct sockaddr *from)
{
	if (from->sa_family == AF_INET) {
		return address_v4(
		    ((const struct sockaddr_in *)(const void *)from)->sin_addr.s_addr);
	}
	if (from->sa_family != AF_INET6) {
		return 0;
	}
	const uint8_t *bytes = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr.s6_addr;
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	return sl_bytes_equal(SL_BYTES(bytes, sizeof(mapped)), SL_BYTES(mapped, sizeof(mapped)))
		   ? address_v4(htonl(sl_get_be32(bytes + sizeof(mapped))))
		   : sl_get_be64(bytes);
}

static struct caller *caller_of(struct line *line, uint64_t address)
{
	struct caller *caller = NULL;
	TAILQ_FOREACH(caller, &line->turns, link)
	{
		if (caller->address == address) {
			return caller;
		}
	}
	caller = TAILQ_FIRST(&line->unused);
	TAILQ_REMOVE(&line->unused, caller, link);
	TAILQ_INSERT_TAIL(&line->turns, caller, link);
	caller->address = address;
	caller->count = 0;
	STAILQ_INIT(&caller->waiting);
	return caller;
}

/* --- coming and leaving ------------------------------------------------------------- */

/* The oldest of an address leaves. */
static int leave(struct line *line, struct caller *caller)
{
	struct place *place = STAILQ_FIRST(&caller->waiting);
	STAILQ_REMOVE_HEAD(&caller->waiting, link);
	STAILQ_INSERT_TAIL(&line->empty, place, link);
	line->count--;
	if (--caller->count == 0) {
		TAILQ_REMOVE(&line->turns, caller, link);
		TAILQ_INSERT_TAIL(&line->unused, caller, link);
	}
	return place->fd;
}

static struct caller *largest(struct line *line)
{
	struct caller *most = TAILQ_FIRST(&line->turns), *caller = NULL;
	TAILQ_FOREACH(caller, &line->turns, link)
	{
		most = caller->count > most->count ? caller : most;
	}
	return most;
}

int line_join(struct line *line, int fd, const struct sockaddr *from, uint64_t now_us)
{
	int gone = line->count == line->rules.places ? leave(line, largest(line)) : -1;
	struct caller *caller = caller_of(line, line_address(from));
	struct place *place = STAILQ_FIRST(&line->empty);
	STAILQ_REMOVE_HEAD(&line->empty, link);
	*place = (struct place){.fd = fd, .since_us = now_us};
	STAILQ_INSERT_TAIL(&caller->waiting, place, link);
	caller->count++;
	line->count++;
	return gone;
}

/* --- turns --------------------------------------------------------------------------- */

uint64_t line_turn_in(const struct line *line, uint64_t now_us)
{
	return line->count == 0 ? UINT64_MAX : pace_wait(&line->pace, line->next_us, now_us);
}

int line_first(const struct line *line, uint64_t now_us)
{
	return line_turn_in(line, now_us) == 0
		   ? STAILQ_FIRST(&TAILQ_FIRST(&line->turns)->waiting)->fd
		   : -1;
}

void line_skip(struct line *line)
{
	(void)leave(line, TAILQ_FIRST(&line->turns));
}

void line_serve(struct line *line, uint64_t now_us)
{
	struct caller *caller = TAILQ_FIRST(&line->turns);
	line->next_us = pace_after(&line->pace, line->next_us, now_us);
	if (caller->count > 1) {
		TAILQ_REMOVE(&line->turns, caller, link);
		TAILQ_INSERT_TAIL(&line->turns, caller, link);
	}
	(void)leave(line, caller);
}

/* --- patience ------------------------------------------------------------------------- */

/* NULL: nobody waits. */
static struct caller *oldest(const struct line *line)
{
	struct caller *first = TAILQ_FIRST(&line->turns), *caller = NULL;
	TAILQ_FOREACH(caller, &line->turns, link)
	{
		uint64_t since_us = STAILQ_FIRST(&caller->waiting)->since_us;
		first = since_us < STAILQ_FIRST(&first->waiting)->since_us ? caller : first;
	}
	return first;
}

uint64_t line_late_in(const struct line *line, uint64_t now_us)
{
	const struct caller *caller = oldest(line);
	if (caller == NULL) {
		return UINT64_MAX;
	}
	uint64_t until_us = STAILQ_FIRST(&caller->waiting)->since_us + line->rules.patience_us;
	return until_us > now_us ? until_us - now_us : 0;
}

int line_late(struct line *line, uint64_t now_us)
{
	return line_late_in(line, now_us) == 0 ? leave(line, oldest(line)) : -1;
}
