#include "server/fleet/fleet_internal.h"

Sluice__V1__Liveness fleet_liveness(const struct fleet_pulse *pulse, uint64_t now_mono_ms,
				    unsigned heartbeat_ms)
{
	if (pulse->seen_mono_ms == 0) {
		return pulse->ever ? SLUICE__V1__LIVENESS__LIVENESS_OFFLINE
				   : SLUICE__V1__LIVENESS__LIVENESS_NEVER;
	}
	/* A pause lasts up to the jitter longer than a heartbeat: only then has one been missed. */
	uint64_t period = (uint64_t)heartbeat_ms * (100 + FLEET_JITTER_PERCENT) / 100;
	uint64_t silent = now_mono_ms > pulse->seen_mono_ms ? now_mono_ms - pulse->seen_mono_ms : 0;
	if (!pulse->connected && now_mono_ms >= pulse->closed_mono_ms + FLEET_CLOSED_MS) {
		return SLUICE__V1__LIVENESS__LIVENESS_OFFLINE;
	}
	if (silent > 4 * period) {
		return SLUICE__V1__LIVENESS__LIVENESS_OFFLINE;
	}
	return silent > 2 * period ? SLUICE__V1__LIVENESS__LIVENESS_LATE
				   : SLUICE__V1__LIVENESS__LIVENESS_ONLINE;
}
