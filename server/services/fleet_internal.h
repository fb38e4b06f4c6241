/* Shared by fleet.c and the files of its larger methods: status.c, explain.c, updates.c,
 * wait.c. */
#ifndef SL_SERVER_SERVICES_FLEET_INTERNAL_H
#define SL_SERVER_SERVICES_FLEET_INTERNAL_H

#include "server/fleet/fleet.h"
#include "server/records/desired_load.h"
#include "server/services/service.h"

/* One app as it is meant to run, for putting beside what instances say. Lies in the arena. */
struct app_look {
	struct sl_arena *arena;
	const Sluice__Store__V1__AppRecord *app;
	struct desired_app desired;
	struct desired_choice choices[ENV_COUNT + 1]; /* of whole environments */
	bool instance_pins;                           /* some instance has a pin of its own */
	/* For versions that do not count any more, but that instances still speak of. */
	const struct store_view *view; /* borrowed: as long as the look is used */
	uint32_t workspace;
	struct app_look_memory *memory; /* of some of them */
};
SL_MUST_USE sl_code app_look_load(const struct store_view *view, struct sl_arena *arena,
				  uint32_t workspace, const Sluice__Store__V1__AppRecord *app,
				  struct app_look *ret_look, struct sl_err *err);
/* What the instance is to activate: number, 0: nothing. */
uint32_t app_look_number(const struct app_look *look,
			 const Sluice__Store__V1__InstanceRecord *instance);
/* Its id; "": nothing. */
const char *app_look_id(const struct app_look *look, uint32_t number);
/* For people; NULL: nothing. A version that is gone has its id only. */
Sluice__V1__VersionRef *app_look_ref(const struct app_look *look, uint32_t number);
Sluice__V1__VersionRef *app_look_ref_of_id(const struct app_look *look, const char *id);
/* NULL: "", or it is gone. */
const Sluice__Store__V1__VersionRecord *app_look_version_of_id(const struct app_look *look,
							       const char *id);
/* All of it copied into the arena: usable after the visit. NULL: out of memory. */
Sluice__V1__InstanceStatus *app_look_status(const struct app_look *look,
					    const struct fleet_standing *standing);

/* The version that the instance is told to have and does not: number, 0: none. */
uint32_t app_look_update(const struct app_look *look, const struct fleet_standing *standing);
/* The same, where it waits for Pull; NULL: it does not. */
const Sluice__Store__V1__VersionRecord *app_look_held(const struct app_look *look,
						      const struct fleet_standing *standing);

/* updates.c */
SL_MUST_USE sl_code updates_list_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code updates_list_read(struct service_read *read, const void *message, void *reply,
				      struct sl_err *err);
SL_MUST_USE sl_code updates_check_check(const void *message, struct sl_err *err);
void updates_check_start(struct service_call *call, const void *message);
SL_MUST_USE sl_code updates_pull_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code updates_pull_decide(struct decision *d, const void *message, void *reply,
					struct sl_err *err);

SL_MUST_USE sl_code status_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code status_read(struct service_read *read, const void *message, void *reply,
				struct sl_err *err);
/* Fills in response->concerns; without memory the read's arena has failed. */
void concerns_list(struct service_read *read, uint32_t environment,
		   Sluice__V1__GetStatusResponse *response);
SL_MUST_USE sl_code working_copy_push_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code working_copy_push_decide(struct decision *d, const void *message, void *reply,
					     struct sl_err *err);
SL_MUST_USE sl_code working_copy_break_lease_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code working_copy_break_lease_decide(struct decision *d, const void *message,
						    void *reply, struct sl_err *err);
SL_MUST_USE sl_code explain_check(const void *message, struct sl_err *err);
SL_MUST_USE sl_code explain_read(struct service_read *read, const void *message, void *reply,
				 struct sl_err *err);
SL_MUST_USE sl_code wait_check(const void *message, struct sl_err *err);
void wait_start(struct service_call *call, const void *message);

const char *phase_name(Sluice__V1__Phase phase);          /* "HEALTHY"; static */
const char *liveness_name(Sluice__V1__Liveness liveness); /* "ONLINE"; static */

#endif
