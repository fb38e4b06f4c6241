/* What gitsync knows of each repository in memory: who is busy, how the last contact went, whose
 * mirror is to go. */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "server/gitsync/gitsync_internal.h"

/* --- busy repositories; caller holds the lock ------------------------------------ */

bool gitsync_is_busy(const struct gitsync *g, const char *repository_id)
{
	for (const struct busy *b = g->busy; b != NULL; b = b->next) {
		if (strcmp(b->repository_id, repository_id) == 0) {
			return true;
		}
	}
	return false;
}

static struct busy *name_new(const char *repository_id)
{
	struct busy *b = calloc(1, sizeof(*b));
	if (b != NULL) {
		sl_text_copy(b->repository_id, sizeof(b->repository_id), repository_id);
	}
	return b;
}

bool gitsync_claim(struct gitsync *g, const char *repository_id)
{
	struct busy *b = gitsync_is_busy(g, repository_id) ? NULL : name_new(repository_id);
	if (b == NULL) {
		return false;
	}
	b->next = g->busy;
	g->busy = b;
	g->stats.running++;
	return true;
}

void gitsync_set_idle(struct gitsync *g, const char *repository_id)
{
	for (struct busy **at = &g->busy; *at != NULL; at = &(*at)->next) {
		if (strcmp((*at)->repository_id, repository_id) == 0) {
			struct busy *b = *at;
			*at = b->next;
			free(b);
			g->stats.running--;
			break;
		}
	}
	g->wakes++; /* what waited for this repository may go on */
	pthread_cond_broadcast(&g->wake);
}

/* --- contacts ------------------------------------------------------------------------ */

static struct contact *contact_of(struct gitsync *g, const char *repository_id, bool make)
{
	for (struct contact *c = g->contacts; c != NULL; c = c->next) {
		if (strcmp(c->repository_id, repository_id) == 0) {
			return c;
		}
	}
	struct contact *c = make ? calloc(1, sizeof(*c)) : NULL;
	if (c != NULL) {
		sl_text_copy(c->repository_id, sizeof(c->repository_id), repository_id);
		c->next = g->contacts;
		g->contacts = c;
	}
	return c;
}

void gitsync_note_contact(struct gitsync *g, const char *repository_id,
			  const struct git_result *result)
{
	pthread_mutex_lock(&g->lock);
	struct contact *c = contact_of(g, repository_id, true);
	gitsync_news_meet(g, repository_id);
	if (c != NULL) {
		c->at_ms = sl_clock_unix_ms();
		c->failure = result->failure;
		sl_text_copy(c->text, sizeof(c->text), result->text);
	}
	if (result->failure == GIT_OK) {
		g->stats.done++;
	} else {
		g->stats.failed++;
	}
	pthread_mutex_unlock(&g->lock);
}

/* Counts the rows of one kind. */
static void count_owed(const struct store_view *view, struct record_key prefix,
		       const char *repository_id, uint32_t *ret_owed, uint32_t *ret_parked)
{
	SL_AUTO(store_walk_end) struct store_walk walk;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	store_walk_begin(&walk, view, TABLE_OWED, key_bytes(&prefix), STORE_FORWARD);
	while (store_walk_next(&walk)) {
		Sluice__Store__V1__OwedRecord *owed = NULL;
		if (record_unpack(&arena, walk.value, &sluice__store__v1__owed_record__descriptor,
				  &owed, NULL) == SL_OK &&
		    strcmp(owed->repository_id, repository_id) == 0) {
			(*ret_owed)++;
			*ret_parked += owed->parked ? 1 : 0;
		}
		sl_arena_fini(&arena);
	}
}

static void count_repository(const struct store_view *view, uint32_t workspace,
			     const char *repository_id, Sluice__V1__RepositoryContact *contact)
{
	struct record_key tags =
	    KEY(workspace, key_u32(k, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_PUBLISH));
	struct record_key commits =
	    KEY(workspace, key_u32(k, SLUICE__STORE__V1__OWED_KIND__OWED_KIND_COMMIT),
		key_text(k, repository_id));
	count_owed(view, tags, repository_id, &contact->owed, &contact->parked);
	count_owed(view, commits, repository_id, &contact->owed_commits, &contact->parked_commits);
}

Sluice__V1__RepositoryContact *gitsync_contact(struct gitsync *g, const struct store_view *view,
					       struct sl_arena *arena, uint32_t workspace,
					       const char *repository_id)
{
	Sluice__V1__RepositoryContact *contact = SL_ARENA_NEW(arena, Sluice__V1__RepositoryContact);
	if (contact == NULL) {
		return NULL;
	}
	sluice__v1__repository_contact__init(contact);
	pthread_mutex_lock(&g->lock);
	const struct contact *known = contact_of(g, repository_id, false);
	if (known != NULL) {
		contact->reachable = known->failure != GIT_REPOSITORY_UNREACHABLE;
		contact->failure =
		    (char *)(known->failure == GIT_OK ? "" : git_failure_name(known->failure));
		contact->text = sl_arena_strdup(arena, known->text);
		contact->at = SL_ARENA_NEW(arena, Google__Protobuf__Timestamp);
		if (contact->at != NULL) {
			google__protobuf__timestamp__init(contact->at);
			contact->at->seconds = (int64_t)(known->at_ms / 1000u);
			contact->at->nanos = (int32_t)(known->at_ms % 1000u) * 1000000;
		}
	}
	pthread_mutex_unlock(&g->lock);
	count_repository(view, workspace, repository_id, contact);
	return sl_arena_failed(arena) ? NULL : contact;
}

/* --- repositories that are gone --------------------------------------------------------- */

/* Takes one that is idle, and makes it busy; NULL: none. */
static struct busy *take_forgotten(struct gitsync *g)
{
	struct busy *taken = NULL;
	pthread_mutex_lock(&g->lock);
	for (struct busy **at = &g->forgotten; *at != NULL; at = &(*at)->next) {
		if (gitsync_claim(g, (*at)->repository_id)) {
			taken = *at;
			*at = taken->next;
			break;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return taken;
}

/* Caller holds the lock. */
static void drop_contact(struct gitsync *g, const char *repository_id)
{
	for (struct contact **at = &g->contacts; *at != NULL; at = &(*at)->next) {
		struct contact *c = *at;
		if (strcmp(c->repository_id, repository_id) == 0) {
			*at = c->next;
			free(c);
			return;
		}
	}
}

/* Without the lock: a large mirror takes long, and calls and commits wait for nothing of it. */
void gitsync_forget_some(struct gitsync *g)
{
	for (struct busy *gone = take_forgotten(g); gone != NULL; gone = take_forgotten(g)) {
		SL_AUTO(sl_arena_fini) struct sl_arena arena;
		sl_arena_init(&arena, 0);
		char *path = gitsync_mirror_path(&arena, g->options.data, gone->repository_id);
		if (path != NULL) {
			gitsync_remove_tree(path);
		}
		pthread_mutex_lock(&g->lock);
		drop_contact(g, gone->repository_id);
		gitsync_news_drop(g, gone->repository_id);
		gitsync_set_idle(g, gone->repository_id);
		pthread_mutex_unlock(&g->lock);
		free(gone);
	}
}

void gitsync_forget(struct gitsync *g, const char *repository_id)
{
	struct busy *gone = name_new(repository_id);
	if (gone == NULL) {
		return; /* a mirror that stays costs disk, nothing else */
	}
	pthread_mutex_lock(&g->lock);
	gitsync_look_drop(g, repository_id); /* it would make the mirror anew */
	gone->next = g->forgotten;
	g->forgotten = gone;
	g->wakes++;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

static void free_names(struct busy *list)
{
	while (list != NULL) {
		struct busy *next = list->next;
		free(list);
		list = next;
	}
}

void gitsync_repositories_fini(struct gitsync *g)
{
	free_names(g->busy);
	free_names(g->forgotten);
	while (g->contacts != NULL) {
		struct contact *c = g->contacts;
		g->contacts = c->next;
		free(c);
	}
}
