/* Those who wait for an app. They are looked at on the queue thread, at a tick, when their app was
 * touched; touches are counters by app, so that reports and commits cost one addition and need no
 * lock. */
#include "server/fleet/fleet_internal.h"

enum { LOOK_AT_LEAST_MS = 1000 }; /* liveness changes without a word */

void fleet_touch(struct fleet *fleet, const char *app_id)
{
	atomic_fetch_add_explicit(&fleet->touches[fleet_bucket(app_id, FLEET_TOUCH_BUCKETS)], 1,
				  memory_order_relaxed);
}

static bool look(struct fleet *fleet, struct fleet_wait *wait, uint64_t now)
{
	wait->seen = atomic_load_explicit(
	    &fleet->touches[fleet_bucket(wait->app_id, FLEET_TOUCH_BUCKETS)], memory_order_relaxed);
	wait->looked_mono_ms = now;
	return wait->look(wait, FLEET_WAIT_LOOK);
}

void fleet_wait_add(struct fleet *fleet, struct fleet_wait *wait)
{
	pthread_mutex_lock(&fleet->wait_lock);
	bool over = fleet->waits_stopped ? wait->look(wait, FLEET_WAIT_STOPPING)
					 : look(fleet, wait, fleet_mono_ms(fleet));
	if (!over) {
		wait->next = fleet->waits;
		fleet->waits = wait;
		atomic_fetch_add(&fleet->wait_count, 1);
	}
	pthread_mutex_unlock(&fleet->wait_lock);
}

/* True when it is over. */
static bool step(struct fleet *fleet, struct fleet_wait *wait, uint64_t now)
{
	unsigned touches = atomic_load_explicit(
	    &fleet->touches[fleet_bucket(wait->app_id, FLEET_TOUCH_BUCKETS)], memory_order_relaxed);
	bool expired = now >= wait->deadline_mono_ms;
	if (touches == wait->seen && !expired && now < wait->looked_mono_ms + LOOK_AT_LEAST_MS) {
		return false;
	}
	return look(fleet, wait, now) || (expired && wait->look(wait, FLEET_WAIT_EXPIRED));
}

void fleet_waits_tick(struct fleet *fleet)
{
	uint64_t now = fleet_mono_ms(fleet);
	pthread_mutex_lock(&fleet->wait_lock);
	for (struct fleet_wait **at = &fleet->waits; *at != NULL;) {
		struct fleet_wait *wait = *at, *next = wait->next;
		if (step(fleet, wait, now)) {
			*at = next;
			atomic_fetch_sub(&fleet->wait_count, 1);
			continue;
		}
		at = &wait->next;
	}
	pthread_mutex_unlock(&fleet->wait_lock);
}

void fleet_waits_stop(struct fleet *fleet)
{
	pthread_mutex_lock(&fleet->wait_lock);
	fleet->waits_stopped = true;
	while (fleet->waits != NULL) {
		struct fleet_wait *wait = fleet->waits;
		fleet->waits = wait->next;
		(void)wait->look(wait, FLEET_WAIT_STOPPING);
		atomic_fetch_sub(&fleet->wait_count, 1);
	}
	pthread_mutex_unlock(&fleet->wait_lock);
}
