/* Drafts that agents of development instances push: the orders, the answers, and the working copies
 * that they tell of. */
#include <stdlib.h>
#include <string.h>

#include "base/log/log.h"
#include "base/mem/own.h"
#include "server/fleet/fleet_internal.h"
#include "server/records/pushes.h"

SL_DEFINE_AUTO(const struct store_view *, store_view_end);

enum { FILES_MAX = 10, FILE_TEXT_MAX = 300, WORK_TEXT_MAX = 500, WORK_ARENA_MAX = 64 << 10 };

/* --- orders ------------------------------------------------------------------------------ */

static struct fleet_push *push_new(const struct push_order *order)
{
	size_t size = sluice__v1__agent_push__get_packed_size(order->message);
	struct fleet_push *push = calloc(1, sizeof(*push) + size);
	if (push != NULL) {
		push->size = size;
		(void)sluice__v1__agent_push__pack(order->message, push->bytes);
		sl_text_copy(push->instance_id, sizeof(push->instance_id), order->instance_id);
		sl_text_copy(push->operation, sizeof(push->operation), order->message->operation);
	}
	return push;
}

sl_code fleet_push_read(struct fleet *fleet, const struct store_view *view, struct fleet_app *app,
			struct sl_arena *arena, struct sl_err *err)
{
	struct push_order order = {.instance_id = ""};
	free(SL_TAKE(app->push));
	sl_code code = push_order_get(view, arena, app->workspace, app->record,
				      fleet_unix_ms(fleet), &order, err);
	if (code == SL_OK) {
		app->push = push_new(&order);
		return app->push != NULL ? SL_OK : sl_err_no_memory(err);
	}
	return code == SL_NOT_FOUND ? SL_OK : code;
}

bool fleet_push_is_for(const struct fleet_app *app, const struct fleet_unit *unit)
{
	return app->push != NULL && strcmp(app->push->instance_id, unit->id) == 0;
}

/* Without one the agent comes to the host as nobody; why is in the log. */
static void add_login(struct fleet *fleet, const struct fleet_unit *unit,
		      const struct store_view *view, struct sl_buf *box,
		      Sluice__V1__AgentPush *message)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	uint64_t revision = 0;
	const struct fleet_login_request request = {.workspace = unit->workspace,
						    .identity_id = unit->record->identity_id,
						    .repository_id = message->repository_id,
						    .push = true};
	sl_code code = fleet->options.login == NULL
			   ? SL_NOT_FOUND
			   : fleet->options.login(fleet->options.login_ctx, view, &request, box,
						  &revision, &err);
	if (code == SL_OK) {
		message->login = (ProtobufCBinaryData){.data = box->data, .len = box->size};
	} else if (code != SL_NOT_FOUND || err.code != SL_OK) {
		log_error("login-not-told", "instance=%s repository=%s error=%s",
			  unit->record->name, message->repository_id, SL_QUOTE(err.msg));
	}
}

static bool tell(struct fleet *fleet, struct fleet_session *session, const struct fleet_push *push)
{
	SL_AUTO(store_view_end_auto) const struct store_view *view = NULL;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	SL_AUTO(sl_buf_fini) struct sl_buf box = {0};
	sl_arena_init(&arena, 0);
	Sluice__V1__AgentPush *message =
	    sluice__v1__agent_push__unpack(sl_arena_protobuf(&arena), push->size, push->bytes);
	if (message == NULL || store_view_begin(fleet->options.store, &view, NULL) != SL_OK) {
		return false;
	}
	add_login(fleet, session->unit, view, &box, message);
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_PUSH;
	response.push = message;
	if (fleet_session_send(session, &response, 0) != SL_OK) {
		return false;
	}
	log_info("push-ordered", "instance=%s operation=%s", session->unit->record->name,
		 push->operation);
	sl_text_copy(session->told_push, sizeof(session->told_push), push->operation);
	return true;
}

bool fleet_pushes_tell(struct fleet *fleet, struct fleet_session *session)
{
	for (size_t i = 0; i < session->slot_count; i++) {
		const struct fleet_app *app = session->slots[i].app;
		if (fleet_push_is_for(app, session->unit) &&
		    strcmp(app->push->operation, session->told_push) != 0 &&
		    !tell(fleet, session, app->push)) {
			return false;
		}
	}
	return true;
}

/* --- answers -------------------------------------------------------------------------------- */

struct answer {
	struct store_cmd cmd;
	uint32_t workspace;
	uint64_t now_ms;
	char instance_id[FLEET_ID_ROOM];
	struct sl_arena arena; /* owns the message */
	struct sl_arena decide;
	const Sluice__V1__AgentPushed *message;
};

static void answer_free(struct answer *answer)
{
	if (answer == NULL) {
		return;
	}
	sl_err_clear(&answer->cmd.err);
	sl_arena_fini(&answer->arena);
	sl_arena_fini(&answer->decide);
	free(answer);
}

SL_DEFINE_AUTO(struct answer *, answer_free);

static sl_code decide(struct store_cmd *cmd, const struct store_view *view,
		      struct store_changes *changes, struct sl_err *err)
{
	struct answer *answer = SL_CONTAINER_OF(cmd, struct answer, cmd);
	sl_arena_fini(&answer->decide); /* it may be asked again */
	struct decision d =
	    decision_own("fleet", "fleet", view, changes, &answer->decide, answer->now_ms);
	d.workspace = answer->workspace;
	sl_code code = pushes_decide_answer(&d, answer->instance_id, answer->message, err);
	return decision_own_end(&d, code, err);
}

/* What was not written is told again: by the agent on its next stream, or nobody waits for it any
 * more when the order's time is over. */
static void done(struct store_cmd *cmd)
{
	SL_AUTO(answer_free_auto) struct answer *answer = SL_CONTAINER_OF(cmd, struct answer, cmd);
	if (cmd->code != SL_OK) {
		log_warn("push-answer-lost", "operation=%s error=%s", answer->message->operation,
			 SL_QUOTE(cmd->err.msg));
	}
}

static struct answer *answer_new(const Sluice__V1__AgentPushed *message)
{
	struct answer *answer = calloc(1, sizeof(*answer));
	size_t size = sluice__v1__agent_pushed__get_packed_size(message);
	if (answer == NULL) {
		return NULL;
	}
	sl_arena_init(&answer->arena, 0);
	sl_arena_init(&answer->decide, 0);
	answer->cmd = (struct store_cmd){.decide = decide, .done = done, .err = SL_ERR_INIT};
	uint8_t *bytes = sl_arena_alloc(&answer->arena, size);
	if (bytes != NULL) {
		(void)sluice__v1__agent_pushed__pack(message, bytes);
		answer->message = sluice__v1__agent_pushed__unpack(
		    sl_arena_protobuf(&answer->arena), size, bytes);
	}
	if (answer->message == NULL) {
		answer_free(answer);
		return NULL;
	}
	return answer;
}

void fleet_push_answered(struct fleet *fleet, struct fleet_session *session,
			 const Sluice__V1__AgentPushed *message)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(answer_free_auto) struct answer *answer = answer_new(message);
	pthread_mutex_lock(&fleet->lock);
	bool heard = answer != NULL && !fleet->stopped && !fleet->recovering &&
		     session->unit != NULL && strlen(message->app_id) < FLEET_ID_ROOM;
	if (heard) {
		answer->workspace = session->unit->workspace;
		answer->now_ms = fleet_unix_ms(fleet);
		memcpy(answer->instance_id, session->unit->id, sizeof(answer->instance_id));
		log_info("push-answered", "instance=%s operation=%.40s failure=%s commit=%.40s",
			 session->unit->record->name, message->operation,
			 SL_QUOTE(message->failure), message->commit);
	}
	pthread_mutex_unlock(&fleet->lock);
	if (heard && store_submit(fleet->options.store, &answer->cmd, &err) == SL_OK) {
		(void)SL_TAKE(answer); /* done() has it */
	}
}

/* --- working copies ------------------------------------------------------------------------- */

static char *cut(struct sl_arena *arena, const char *text, size_t max)
{
	return sl_arena_printf(arena, "%.*s", (int)max, text);
}

Sluice__V1__WorkingCopy *fleet_working_copy_dup(struct sl_arena *arena,
						const Sluice__V1__WorkingCopy *copy)
{
	Sluice__V1__WorkingCopy *to =
	    copy == NULL ? NULL : SL_ARENA_NEW(arena, Sluice__V1__WorkingCopy);
	if (to == NULL) {
		return NULL;
	}
	sluice__v1__working_copy__init(to);
	size_t count = copy->n_files < FILES_MAX ? copy->n_files : FILES_MAX;
	to->version_id = cut(arena, copy->version_id, FLEET_ID_ROOM - 1);
	to->commit = cut(arena, copy->commit, 40);
	to->error = cut(arena, copy->error, WORK_TEXT_MAX);
	to->edited = copy->edited;
	to->behind = copy->behind;
	to->files = SL_ARENA_ARRAY(arena, char *, count + 1);
	for (size_t i = 0; to->files != NULL && i < count; i++) {
		to->files[to->n_files++] = cut(arena, copy->files[i], FILE_TEXT_MAX);
	}
	return sl_arena_failed(arena) ? NULL : to;
}

static void work_free(Sluice__V1__WorkingCopy *work)
{
	if (work != NULL) {
		sluice__v1__working_copy__free_unpacked(work, NULL);
	}
}

static bool is_same(const Sluice__V1__WorkingCopy *work, const uint8_t *bytes, size_t size)
{
	if (work == NULL || sluice__v1__working_copy__get_packed_size(work) != size) {
		return false;
	}
	SL_AUTO(sl_free_auto) uint8_t *old = malloc(size + 1);
	return old != NULL && sluice__v1__working_copy__pack(work, old) == size &&
	       memcmp(old, bytes, size) == 0;
}

bool fleet_status_set_work(struct fleet_status *status, const Sluice__V1__WorkingCopy *work)
{
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, WORK_ARENA_MAX);
	if (work == NULL) {
		bool had = status->work != NULL;
		work_free(SL_TAKE(status->work));
		return had;
	}
	const Sluice__V1__WorkingCopy *bounded = fleet_working_copy_dup(&arena, work);
	size_t size = bounded == NULL ? 0 : sluice__v1__working_copy__get_packed_size(bounded);
	uint8_t *bytes = bounded == NULL ? NULL : sl_arena_alloc(&arena, size + 1);
	if (bytes == NULL) {
		return false;
	}
	(void)sluice__v1__working_copy__pack(bounded, bytes);
	if (is_same(status->work, bytes, size)) {
		return false;
	}
	work_free(SL_TAKE(status->work));
	status->work = sluice__v1__working_copy__unpack(NULL, size, bytes);
	return true;
}

void fleet_working_copy_read(struct fleet *fleet, const char *instance_id, const char *app_id,
			     struct fleet_working_copy *ret_copy)
{
	pthread_mutex_lock(&fleet->lock);
	const struct fleet_unit *unit = fleet_unit_find(fleet, instance_id);
	const struct fleet_status *status = unit == NULL ? NULL : fleet_status_find(unit, app_id);
	ret_copy->connected = unit != NULL && fleet_unit_is_connected(fleet, unit);
	sl_text_copy(ret_copy->version_id, sizeof(ret_copy->version_id),
		     status == NULL || status->work == NULL ? "" : status->work->version_id);
	pthread_mutex_unlock(&fleet->lock);
}
