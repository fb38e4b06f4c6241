/* What admission writes, as commands of the store. */
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/admission/admission_internal.h"
#include "server/records/workspaces.h"

/* The name for records: "alice", "agent:prod-1". */
static sl_code name_of(const struct store_view *view, struct sl_arena *arena,
		       const Sluice__Store__V1__IdentityRecord *identity, const char **ret_name,
		       struct sl_err *err)
{
	Sluice__Store__V1__InstanceRecord *instance = NULL;
	Sluice__Store__V1__PrincipalRecord *principal = NULL;
	if (identity->kind == SLUICE__STORE__V1__IDENTITY_KIND__IDENTITY_KIND_AGENT) {
		sl_code code = instance_get(view, arena, identity->workspace, identity->subject_id,
					    &instance, err);
		*ret_name = code == SL_OK ? sl_arena_printf(arena, "agent:%s", instance->name)
					  : identity->subject_id;
		return code == SL_NOT_FOUND ? SL_OK : code;
	}
	sl_code code =
	    principal_get(view, arena, identity->workspace, identity->subject_id, &principal, err);
	if (code == SL_NOT_FOUND || (code == SL_OK && principal->disabled_ms != 0)) {
		return sl_err_because(err, SL_UNAUTHENTICATED, SL_REASON_IDENTITY_REVOKED,
				      "the principal of identity %s is gone or disabled",
				      identity->id);
	}
	*ret_name = code == SL_OK ? principal->name : "";
	return code;
}

/* A renewal is of the workspace and the name that its identity has. */
static sl_code find_whose(struct command *command, struct decision *d, struct sl_err *err)
{
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	if (command->kind != COMMAND_RENEW) {
		return SL_OK;
	}
	sl_code code =
	    identity_get(d->view, d->arena, command->renewal.identity_id, &identity, err);
	if (code != SL_OK) {
		return code == SL_NOT_FOUND ? SL_OK : code; /* the command says so itself */
	}
	d->workspace = identity->workspace;
	return name_of(d->view, d->arena, identity, &d->principal, err);
}

/* For replies, and for the audit record: who asks for those of a workspace asks by its name. */
static sl_code name_workspace(struct command *command, struct decision *d, struct sl_err *err)
{
	char *name = NULL;
	if (d->workspace == 0) {
		return SL_OK; /* of an identity that is unknown: the command says so itself */
	}
	sl_code code = workspace_name(d->view, d->arena, d->workspace, &name, err);
	if (code == SL_NOT_FOUND) {
		return sl_err_set(err, SL_DATA_LOSS, "a workspace has no name");
	}
	if (code == SL_OK) {
		d->workspace_name = command->workspace_name = name;
	}
	return code;
}

static sl_code decide_kind(struct command *command, struct decision *d, struct sl_err *err)
{
	switch (command->kind) {
	case COMMAND_ENROLL:
		return enrolments_decide(d, &command->enrolment, &command->instance, err);
	case COMMAND_LOGIN: {
		sl_code code = access_token_use(d, command->login.token_id, err);
		return code != SL_OK ? code : logins_decide(d, &command->login, err);
	}
	case COMMAND_RENEW:
		return renewals_decide(d, &command->renewal, &command->outcome, err);
	case COMMAND_ALERT:
		return alerts_decide(d, &command->alert, err);
	}
	return SL_INTERNAL;
}

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct command *command = SL_CONTAINER_OF(cmd, struct command, cmd);
	struct decision d = decision_own(command->principal, command->method, view, changes,
					 command->arena, command->now_ms);
	d.workspace = command->workspace;
	sl_code code = find_whose(command, &d, err);
	code = code != SL_OK ? code : name_workspace(command, &d, err);
	code = code != SL_OK ? code : decide_kind(command, &d, err);
	return decision_own_end(&d, code, err);
}

static void done(struct store_cmd *cmd)
{
	struct command *command = SL_CONTAINER_OF(cmd, struct command, cmd);
	command->done(command);
}

static void prepare(struct command *command)
{
	command->now_ms = sl_clock_unix_ms();
	command->cmd = (struct store_cmd){.decide = decide, .done = done};
}

sl_code command_submit(struct admission *admission, struct command *command, struct sl_err *err)
{
	prepare(command);
	return store_submit(admission->options.store, &command->cmd, err);
}

static sl_code refuse_copy(struct command *command, struct sl_err *err)
{
	if (command->kind == COMMAND_RENEW && command->outcome == RENEWAL_COPIED) {
		log_warn("renewal-copied", "identity=%s counter=%lu peer=%s",
			 command->renewal.identity_id, (unsigned long)command->renewal.counter,
			 command->renewal.peer);
		return renewal_refuse_copy(&command->renewal, err);
	}
	return SL_OK;
}

sl_code command_result(struct command *command, struct sl_err *err)
{
	if (command->cmd.code != SL_OK) {
		sl_err_move(err, &command->cmd.err);
		return command->cmd.code;
	}
	return refuse_copy(command, err);
}

sl_code command_run(struct admission *admission, struct sl_arena *arena, struct command *command,
		    struct sl_err *err)
{
	prepare(command);
	command->arena = arena;
	sl_code code = store_run(admission->options.store, &command->cmd, err);
	return code != SL_OK ? code : refuse_copy(command, err);
}
