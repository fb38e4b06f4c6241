/* sealing: what fleet has sealed for agents: logins and values of config. Part of main.c's wiring.
 */
#ifndef SL_SERVER_SEALING_H
#define SL_SERVER_SEALING_H

#include "server/fleet/fleet.h"
#include "server/settings/boxes.h"

struct sealing {
	struct vault *vault; /* borrowed */
	struct boxes *boxes; /* owned */
	bool insecure;       /* agents have no identity: they are believed which key is theirs */
};

SL_MUST_USE sl_code sealing_init(struct sealing *sealing, struct vault *vault, bool insecure,
				 struct sl_err *err);
void sealing_fini(struct sealing *sealing); /* {0} is fine */

/* fleet_options.login and .config; ctx: struct sealing *. */
sl_code sealing_login(void *ctx, const struct store_view *view,
		      const struct fleet_login_request *request, struct sl_buf *ret_box,
		      uint64_t *ret_revision, struct sl_err *err);
sl_code sealing_config(void *ctx, const struct store_view *view,
		       const struct fleet_config_request *request, struct sl_buf *ret_box,
		       struct sl_err *err);

#endif
