/* sluice plan, promote: what an act would find, and the act. */
#include <string.h>

#include "base/clock/clock.h"
#include "client/cli/commands.h"

struct plan_flags {
	const char *to;
	bool release, rollback;
};
#define PLAN(field) offsetof(struct plan_flags, field)
static const struct sl_flag plan_flags[] = {
    {.name = "to",
     .kind = SL_FLAG_TEXT,
     .offset = PLAN(to),
     .max = 64,
     .placeholder = "ENV",
     .help = "Plan the promotion to this environment."},
    {.name = "release", .kind = SL_FLAG_BOOL, .offset = PLAN(release), .help = "Plan the release."},
    {.name = "rollback",
     .kind = SL_FLAG_BOOL,
     .offset = PLAN(rollback),
     .help = "Plan the rollback; without V to the previous release."},
    {.name = NULL},
};

struct promote_flags {
	const char *to;
	bool wait;
};
static const struct sl_flag promote_flags[] = {
    {.name = "to",
     .kind = SL_FLAG_TEXT,
     .offset = offsetof(struct promote_flags, to),
     .max = 64,
     .placeholder = "ENV",
     .help = "The environment wanted, the next one after the version's; without it that one."},
    {.name = "wait",
     .kind = SL_FLAG_BOOL,
     .offset = offsetof(struct promote_flags, wait),
     .help = "Wait until the instances there serve it; where only what is released is served, "
	     "until they have it on disk."},
    {.name = NULL},
};

static enum text_color gate_color(Sluice__V1__GateState state)
{
	switch (state) {
	case SLUICE__V1__GATE_STATE__GATE_STATE_PASS:
		return TEXT_GOOD;
	case SLUICE__V1__GATE_STATE__GATE_STATE_WARN:
	case SLUICE__V1__GATE_STATE__GATE_STATE_WAIT:
		return TEXT_BUSY;
	default:
		return TEXT_BAD;
	}
}

static void put_gate(struct table *table, const Sluice__V1__Gate *gate)
{
	char state[TEXT_SIZE];
	char at[TEXT_SIZE];
	const char *clears = text_time(at, gate->clears_at);
	const char *who = gate->cleared_by;
	table_put(table, TEXT_STRONG, "%s", gate->id);
	table_put(table, gate_color(gate->state), "%s",
		  text_enum(state, &sluice__v1__gate_state__descriptor, (int)gate->state));
	table_put(table, TEXT_PLAIN, "%s", gate->reason);
	table_put(table, TEXT_PLAIN, "%s%s%s", who, who[0] != '\0' && clears[0] != '\0' ? ", " : "",
		  clears);
}

static const char *verb_of(Sluice__V1__PlanAction action)
{
	switch (action) {
	case SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE:
		return "Release";
	case SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK:
		return "Roll back to";
	default:
		return "Promote";
	}
}

static void show_title(const struct cli *cli, const Sluice__V1__Plan *plan)
{
	bool moves = plan->action == SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE;
	cli_paint(cli, TEXT_STRONG, "%s %s %s", verb_of(plan->action), plan->app,
		  cli_ref(plan->version));
	if (moves) {
		cli_say(cli, ": %s -> %s\n", plan->source, plan->target);
	} else {
		cli_say(cli, ": in %s\n", plan->target);
	}
}

/* Pins of single instances, as far as they are told. */
static void show_pins(const struct cli *cli, const char *app, const char *environment,
		      Sluice__V1__Selection *const *pins, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cli_say(cli,
			"a pin keeps %s running on %s; lift it with: sluice select %s --auto --env "
			"%s --instance %s\n",
			cli_ref(pins[i]->version), pins[i]->instance, app, environment,
			pins[i]->instance);
	}
}

static void show_around(const struct cli *cli, const Sluice__V1__Plan *plan)
{
	cli_say(cli, "%s runs %s now; %u of %u instances have %s on disk\n", plan->target,
		plan->current != NULL ? cli_ref(plan->current) : "nothing", plan->staged,
		plan->instances, cli_ref(plan->version));
	for (size_t i = 0; i < plan->n_skipped; i++) {
		cli_say(cli, "skipped: %s\n", plan->skipped[i]);
	}
	if (plan->pinned != NULL) {
		cli_say(cli,
			"a pin keeps %s running there; lift it with: sluice select %s --auto --env "
			"%s\n",
			cli_ref(plan->pinned), plan->app, plan->target);
	}
	show_pins(cli, plan->app, plan->target, plan->pinned_instances, plan->n_pinned_instances);
}

int cli_show_plan(const struct cli *cli, const Sluice__V1__Plan *plan)
{
	static const char *const headings[] = {"GATE", "STATE", "REASON", "CLEARED BY", NULL};
	show_title(cli, plan);
	struct table *table = cli_talk_table(cli, headings);
	for (size_t i = 0; i < plan->n_gates; i++) {
		put_gate(table, plan->gates[i]);
	}
	if (cli_end_table(table) != CLI_DONE) {
		return CLI_FAILED;
	}
	show_around(cli, plan);
	return plan->allowed ? CLI_DONE : CLI_REFUSED;
}

static int plan_call(struct cli *cli, const struct cli_plan *plan,
		     Sluice__V1__PlanResponse **ret_response)
{
	Sluice__V1__PlanRequest request = SLUICE__V1__PLAN_REQUEST__INIT;
	cli->app = plan->app;
	cli->version = plan->version;
	cli->environment = plan->environment;
	request.workspace = cli->workspace;
	request.action = plan->action;
	request.app = cli_str(plan->app);
	request.version = cli_str(plan->version != NULL ? plan->version : "");
	request.environment = cli_str(plan->environment != NULL ? plan->environment : "");
	return CLI_CALL(cli, plan, &request, ret_response) ? CLI_DONE : cli_fail(cli);
}

int cli_plan(struct cli *cli, const struct cli_plan *plan, Sluice__V1__Plan **ret_plan)
{
	Sluice__V1__PlanResponse *response = NULL;
	int code = plan_call(cli, plan, &response);
	if (code != CLI_DONE) {
		return code;
	}
	code = cli_show_plan(cli, response->plan);
	if (code == CLI_REFUSED) {
		(void)cli_printed_json(cli, &response->base);
		return cli_complain(CLI_REFUSED, "a gate holds it back: nothing was changed");
	}
	*ret_plan = response->plan;
	return code;
}

static int plan_run(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct plan_flags *flags = config;
	Sluice__V1__PlanResponse *response = NULL;
	const char *version = args->count > 1 ? args->items[1] : NULL;
	if ((flags->to[0] != '\0') + flags->release + flags->rollback != 1) {
		return cli_complain(CLI_USAGE,
				    "plan takes exactly one of --to ENV, --release and --rollback");
	}
	if (version == NULL && !flags->rollback) {
		return cli_complain(CLI_USAGE, "only plan --rollback may leave out the version");
	}
	const struct cli_plan plan = {
	    .action = flags->release    ? SLUICE__V1__PLAN_ACTION__PLAN_ACTION_RELEASE
		      : flags->rollback ? SLUICE__V1__PLAN_ACTION__PLAN_ACTION_ROLLBACK
					: SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE,
	    .app = args->items[0],
	    .version = version,
	    .environment = flags->to,
	};
	int code = plan_call(cli, &plan, &response);
	if (code != CLI_DONE) {
		return code;
	}
	if (cli_printed(cli, &response->base, cli_ref(response->plan->version))) {
		return response->plan->allowed ? CLI_DONE : CLI_REFUSED;
	}
	return cli_show_plan(cli, response->plan);
}

/* Where users see what is released, a promoted version runs nowhere yet: it is staged. */
static int wait_for_it(struct cli *cli, const Sluice__V1__PromoteResponse *response)
{
	const Sluice__V1__Promotion *promotion = response->promotion;
	if (response->pinned != NULL) {
		cli_say(cli, "not waiting: the pin keeps %s running in %s\n",
			cli_ref(response->pinned), promotion->to);
		return CLI_DONE;
	}
	const Sluice__V1__Environment *environment = cli_environment(cli, promotion->to);
	if (environment == NULL) {
		return cli_fail(cli);
	}
	const struct cli_wait wait = {
	    .condition = environment->serves_users
			     ? SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED
			     : SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED,
	    .app = cli->app,
	    .version = promotion->version->id,
	    .environment = promotion->to,
	};
	return cli_wait(cli, &wait, NULL);
}

static void tell_promotion(const struct cli *cli, const Sluice__V1__PromoteResponse *response)
{
	const Sluice__V1__Promotion *p = response->promotion;
	cli_say(cli, "%s %s is in %s now\n", p->app, cli_ref(p->version), p->to);
	if (response->pinned != NULL) {
		cli_say(cli,
			"a pin keeps %s running there; lift it with: sluice select %s --auto --env "
			"%s\n",
			cli_ref(response->pinned), p->app, p->to);
	}
	show_pins(cli, p->app, p->to, response->pinned_instances, response->n_pinned_instances);
}

static int promote(struct cli *cli, const struct sl_args *args, void *config)
{
	const struct promote_flags *flags = config;
	const struct cli_plan wanted = {.action = SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE,
					.app = args->items[0],
					.version = args->items[1],
					.environment = flags->to};
	Sluice__V1__Plan *plan = NULL;
	int code = cli_plan(cli, &wanted, &plan);
	if (code != CLI_DONE) {
		return code;
	}
	enum cli_exit go = cli_confirm(cli, "Promote %s %s from %s to %s?", plan->app,
				       cli_ref(plan->version), plan->source, plan->target);
	if (go != CLI_DONE) {
		return go;
	}
	Sluice__V1__PromoteRequest request = SLUICE__V1__PROMOTE_REQUEST__INIT;
	Sluice__V1__PromoteResponse *response = NULL;
	request.workspace = cli->workspace;
	request.write = &cli->write;
	request.app = plan->app_id;
	request.version = plan->version->id;
	request.from = plan->source;
	request.to = plan->target;
	request.plan_hash = plan->plan_hash;
	if (!CLI_CALL(cli, promote, &request, &response)) {
		return cli_fail(cli);
	}
	if (cli->output == CLI_TABLE) {
		tell_promotion(cli, response);
	}
	code = flags->wait ? wait_for_it(cli, response) : CLI_DONE;
	(void)cli_printed(cli, &response->base, cli_ref(response->promotion->version));
	return code;
}

const struct cli_command cli_cmd_plan = {
    .about = {.name = "plan",
	      .synopsis = "APP V --to ENV|--release|--rollback",
	      .summary = "Show what a promotion, release or rollback would find: all gates",
	      .description = "Changes nothing. Ends with 2 when a gate holds the act back.",
	      .args_min = 1,
	      .args_max = 2,
	      .flags = plan_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice plan shop v2 --to staging", "May v2 go to staging?"},
		      {"sluice plan shop v2 --release", "May users see v2?"},
		      {"sluice plan shop --rollback", "Where would a rollback go?"},
		      {NULL, NULL}}},
    .run = plan_run,
    .config_size = sizeof(struct plan_flags),
};
const struct cli_command cli_cmd_promote = {
    .about = {.name = "promote",
	      .synopsis = "APP V --to ENV",
	      .summary = "Move a version to the next environment",
	      .description =
		  "Shows the plan with all its gates, asks on a terminal unless --yes, then acts "
		  "on exactly that plan: when "
		  "something changed in between, nothing happens and the exit code is 3.",
	      .args_min = 2,
	      .args_max = 2,
	      .flags = promote_flags,
	      .examples =
		  (const struct sl_example[]){{"sluice promote shop v2 --to staging --wait",
					       "Ask, promote, and wait until staging serves it."},
					      {NULL, NULL}}},
    .run = promote,
    .config_size = sizeof(struct promote_flags),
};
