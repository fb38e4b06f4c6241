/* Visits to hosts wait in memory: nothing is owed for them, but who asked is answered, whatever
 * happens. */
#include <string.h>

#include "server/gitsync/gitsync_internal.h"

/* The first visit whose repository is idle, which gets busy; NULL: none. */
static struct visit *take(struct gitsync *g)
{
	struct visit *taken = NULL;
	pthread_mutex_lock(&g->lock);
	for (struct visit **at = &g->visits; *at != NULL; at = &(*at)->next) {
		if (gitsync_claim(g, (*at)->repository_id)) {
			taken = *at;
			*at = taken->next;
			break;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

bool gitsync_visit_one(struct gitsync *g)
{
	struct visit *visit = take(g);
	if (visit == NULL) {
		return false;
	}
	char repository_id[sizeof(visit->repository_id)];
	memcpy(repository_id, visit->repository_id, sizeof(repository_id));
	visit->run(g, visit);
	pthread_mutex_lock(&g->lock);
	gitsync_set_idle(g, repository_id);
	pthread_mutex_unlock(&g->lock);
	return true;
}

void gitsync_visits_fini(struct gitsync *g)
{
	while (g->visits != NULL) {
		struct visit *visit = g->visits;
		g->visits = visit->next;
		visit->run(g, visit);
	}
}

bool gitsync_visit_add(struct gitsync *g, struct visit *visit)
{
	pthread_mutex_lock(&g->lock);
	bool added = !gitsync_is_stopping(g);
	if (added) {
		struct visit **end = &g->visits;
		while (*end != NULL) {
			end = &(*end)->next;
		}
		visit->next = NULL;
		*end = visit;
		g->wakes++;
		pthread_cond_broadcast(&g->wake);
	}
	pthread_mutex_unlock(&g->lock);
	return added;
}
