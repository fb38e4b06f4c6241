/* The rows of FleetService over a real fleet and store: shape, act, read, page, explain, wait.
 * Streams are faked by agents.h, calls that answer later by the service_call_*() below. */
#include "tests/unit/server/fleet/agents.h"

#include "server/config/config.h"
#include "server/services/service.h"

#define TAGS SLUICE__V1__PUBLISH_MODE__PUBLISH_MODE_TAGS
#define HEALTHY SLUICE__V1__PHASE__PHASE_HEALTHY
#define CONVERGED SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONVERGED
#define STAGED SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_STAGED
#define CONTENT SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_CONTENT
#define PUBLISHED SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_PUBLISHED

static struct server_config config = {.page_max = 1000};
static struct services services = {.config = &config};

/* --- a call that answers later --------------------------------------------------------- */

struct service_call {
	struct sl_arena *arena;
	bool finished, cancelled;
	sl_code code;
	enum sl_reason reason;
	Sluice__V1__WaitForResponse *response; /* a copy */
};

struct sl_arena *service_call_arena(struct service_call *call)
{
	return call->arena;
}

const struct services *service_call_services(const struct service_call *call)
{
	(void)call;
	return &services;
}

uint32_t service_call_workspace(const struct service_call *call)
{
	(void)call;
	return STEPS_WORKSPACE;
}

bool service_call_is_cancelled(const struct service_call *call)
{
	return call->cancelled;
}

uint64_t service_call_deadline_mono_ms(const struct service_call *call)
{
	(void)call;
	return agents_mono_ms + 60000; /* the fleet's clock is the test's */
}

void service_call_finish(struct service_call *call, sl_code code, const struct sl_err *err,
			 const ProtobufCMessage *response)
{
	assert_false(call->finished);
	call->finished = true;
	call->code = code;
	call->reason = err == NULL ? SL_REASON_NONE : err->reason;
	if (code == SL_OK) {
		size_t size = protobuf_c_message_get_packed_size(response);
		uint8_t *bytes = sl_arena_alloc(call->arena, size + 1);
		(void)protobuf_c_message_pack(response, bytes);
		call->response = sluice__v1__wait_for_response__unpack(
		    sl_arena_protobuf(call->arena), size, bytes);
	}
}

/* --- calling rows ------------------------------------------------------------------------ */

struct call {
	const struct service_method *row;
	const void *request;
	void *response;
};

static sl_code call_decide(struct decision *d, struct steps *s, const void *in, struct sl_err *err)
{
	(void)s;
	const struct call *call = in;
	return call->row->decide(d, call->request, call->response, err);
}

static const struct service_method *row_of(const ProtobufCMessageDescriptor *request)
{
	for (size_t i = 0; i < SL_COUNT(fleet_methods); i++) {
		if (fleet_methods[i].request == request) {
			return &fleet_methods[i];
		}
	}
	fail_msg("no row takes %s", request->name);
	return NULL;
}

/* The response, or NULL with the refusal in a->s->err. */
static void *try(struct agents *a, const ProtobufCMessage *request)
{
	struct steps *s = a->s;
	const struct service_method *row = row_of(request->descriptor);
	struct call call = {.row = row, .request = request};
	call.response = sl_arena_alloc(&s->arena, row->response->sizeof_message);
	protobuf_c_message_init(row->response, call.response);
	services.store = s->store;
	services.fleet = a->fleet;
	sl_err_clear(&s->err);
	sl_code code = row->check == NULL ? SL_OK : row->check(request, &s->err);
	if (code == SL_OK && row->decide != NULL) {
		code = steps_run(s, call_decide, &call);
		(void)agents_follow(a);
	} else if (code == SL_OK) {
		struct service_read read = {.services = &services,
					    .caller = &access_anonymous,
					    .rights = &rights_everything,
					    .arena = &s->arena,
					    .workspace = STEPS_WORKSPACE,
					    .workspace_name = "default",
					    .principal = "ann"};
		assert_int_equal(store_view_begin(s->store, &read.view, &s->err), SL_OK);
		code = row->read(&read, request, call.response, &s->err);
		store_view_end(read.view);
	}
	return code == SL_OK ? call.response : NULL;
}

static void *call(struct agents *a, const ProtobufCMessage *request)
{
	void *response = try(a, request);
	if (response == NULL) {
		fail_msg("%s: %s", request->descriptor->short_name, a->s->err.msg);
	}
	return response;
}

static void refuse(struct agents *a, const ProtobufCMessage *request, sl_code code,
		   enum sl_reason reason)
{
	assert_null(try(a, request));
	assert_int_equal(a->s->err.code, code);
	assert_int_equal(a->s->err.reason, reason);
}

/* --- instances ----------------------------------------------------------------------------- */

static void test_register_checks_every_field(void **state)
{
	struct agents *a = *state;
	Sluice__V1__RegisterInstanceRequest request = SLUICE__V1__REGISTER_INSTANCE_REQUEST__INIT;
	Sluice__V1__RegisterInstanceRequest__LabelsEntry label =
	    SLUICE__V1__REGISTER_INSTANCE_REQUEST__LABELS_ENTRY__INIT;
	Sluice__V1__RegisterInstanceRequest__LabelsEntry *labels[40];
	for (size_t i = 0; i < SL_COUNT(labels); i++) {
		labels[i] = &label;
	}
	request.name = "Not A Name";
	request.environment = "staging";
	refuse(a, &request.base, SL_INVALID_ARGUMENT, SL_REASON_NAME_INVALID);
	request.name = "stage-1";
	request.environment = "";
	refuse(a, &request.base, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request.environment = "nowhere";
	refuse(a, &request.base, SL_NOT_FOUND, SL_REASON_ENVIRONMENT_NOT_FOUND);
	request.environment = "staging";
	request.public_url = "https://a.example.org/";
	refuse(a, &request.base, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request.public_url = "https://a.example.org";
	label.key = "kind";
	label.value = "no spaces";
	request.labels = labels;
	request.n_labels = 1;
	refuse(a, &request.base, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	label.value = "web";
	request.n_labels = 40;
	refuse(a, &request.base, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request.n_labels = 1;
	Sluice__V1__RegisterInstanceResponse *response = call(a, &request.base);
	assert_string_equal(response->instance->environment, "staging");
	assert_string_equal(response->instance->labels[0]->value, "web");
	refuse(a, &request.base, SL_ALREADY_EXISTS, SL_REASON_NAME_TAKEN);
}

static void test_lists_page_by_name_and_narrow(void **state)
{
	struct agents *a = *state;
	Sluice__V1__ListInstancesRequest request = SLUICE__V1__LIST_INSTANCES_REQUEST__INIT;
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__ListInstancesRequest__LabelsEntry label =
	    SLUICE__V1__LIST_INSTANCES_REQUEST__LABELS_ENTRY__INIT;
	Sluice__V1__ListInstancesRequest__LabelsEntry *labels = &label;
	(void)agents_register(a, "c", "staging", "web");
	(void)agents_register(a, "a", "staging", "web");
	(void)agents_register(a, "b", "production", "web");
	(void)agents_register(a, "d", "staging", NULL);
	request.page = &page;
	page.page_size = 2;
	Sluice__V1__ListInstancesResponse *first = call(a, &request.base);
	assert_int_equal(first->n_instances, 2);
	assert_string_equal(first->instances[0]->name, "a");
	assert_int_equal(first->instances[0]->agent->liveness,
			 SLUICE__V1__LIVENESS__LIVENESS_NEVER);
	page.page_token = first->page->next_page_token;
	Sluice__V1__ListInstancesResponse *second = call(a, &request.base);
	assert_string_equal(second->instances[1]->name, "d");
	assert_string_equal(second->page->next_page_token, "");
	request.environment = "staging"; /* the token is of another list */
	refuse(a, &request.base, SL_INVALID_ARGUMENT, SL_REASON_PAGE_TOKEN_INVALID);
	page.page_token = "";
	page.page_size = 0;
	label.key = "kind";
	label.value = "web";
	request.labels = &labels;
	request.n_labels = 1;
	Sluice__V1__ListInstancesResponse *narrow = call(a, &request.base);
	assert_int_equal(narrow->n_instances, 2);
	assert_string_equal(narrow->instances[1]->name, "c");
}

/* --- status, explain --- */

/* prod-1 and prod-2 in production, stage-1 in staging; v1 in production, released. */
struct shop {
	struct agents *a;
	struct rpc_stream *streams[2];
	char *app_id, *version_id;
};

static void open_shop(struct shop *shop, struct agents *a)
{
	*shop = (struct shop){.a = a};
	(void)agents_register(a, "prod-2", "production", NULL);
	(void)agents_register(a, "prod-1", "production", NULL);
	(void)agents_register(a, "stage-1", "staging", NULL);
	steps_shop(a->s, TAGS);
	steps_produce(a->s, "v1");
	assert_int_equal(steps_release(a->s, "v1"), SL_OK);
	(void)agents_follow(a);
	shop->app_id = steps_app(a->s)->id;
	shop->version_id = (char *)agents_version_id(a, "v1");
	for (size_t i = 0; i < 2; i++) {
		shop->streams[i] = agents_stream(a);
		agents_hello_of(shop->streams[i], i == 0 ? "prod-1" : "prod-2");
	}
}

static void close_shop(struct shop *shop)
{
	agents_close(shop->streams[0]);
	agents_close(shop->streams[1]);
}

static void say(struct shop *shop, size_t agent, Sluice__V1__Phase phase, const char *error)
{
	bool staged = phase == HEALTHY || phase == SLUICE__V1__PHASE__PHASE_STAGED;
	Sluice__V1__AgentReport report = SLUICE__V1__AGENT_REPORT__INIT;
	report.app_id = shop->app_id;
	report.version_id = shop->version_id;
	report.phase = phase;
	report.attempt = 1;
	report.error = (char *)error;
	report.sequence = agents_revision(shop->a);
	report.active_version_id = phase == HEALTHY ? shop->version_id : "";
	report.staged_version_ids = &shop->version_id;
	report.n_staged_version_ids = staged ? 1 : 0;
	agents_report(shop->streams[agent], &report);
}

static void test_status_counts_what_runs(void **state)
{
	struct shop shop;
	open_shop(&shop, *state);
	say(&shop, 0, HEALTHY, "");
	say(&shop, 1, SLUICE__V1__PHASE__PHASE_FAILED, "no disk");
	Sluice__V1__GetStatusRequest request = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	Sluice__V1__GetStatusResponse *all = call(shop.a, &request.base);
	assert_int_equal(all->n_apps, 1);
	assert_int_equal(all->apps[0]->n_environments, 3);
	assert_string_equal(all->apps[0]->released->name, "v1");
	assert_int_equal(all->apps[0]->n_share_urls, 2);
	Sluice__V1__EnvironmentStatus *production = all->apps[0]->environments[2];
	assert_string_equal(production->selected->name, "v1");
	assert_string_equal(production->newest->name, "v1");
	assert_int_equal(production->instances, 2);
	assert_int_equal(production->ok, 1);
	assert_int_equal(production->failed, 1);
	assert_int_equal(production->staged, 1);
	assert_int_equal(production->versions, 1);
	assert_int_equal(all->apps[0]->environments[1]->unreachable, 1);

	request.app = "shop";
	request.environment = "production";
	request.with_instances = true;
	request.page = &page;
	page.page_size = 1;
	Sluice__V1__GetStatusResponse *one = call(shop.a, &request.base);
	assert_int_equal(one->n_instances, 1);
	assert_string_equal(one->instances[0]->instance, "prod-1");
	assert_true(one->instances[0]->converged);
	page.page_token = one->page->next_page_token;
	Sluice__V1__GetStatusResponse *two = call(shop.a, &request.base);
	assert_string_equal(two->instances[0]->instance, "prod-2");
	assert_string_equal(two->instances[0]->error, "no disk");
	assert_string_equal(two->instances[0]->desired->name, "v1");
	assert_false(two->instances[0]->converged);
	assert_string_equal(two->page->next_page_token, "");
	request.app = "";
	refuse(shop.a, &request.base, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	request.app = "nothing";
	refuse(shop.a, &request.base, SL_NOT_FOUND, SL_REASON_APP_NOT_FOUND);
	close_shop(&shop);
}

static Sluice__V1__ExplainResponse *explain(struct agents *a, const char *instance)
{
	Sluice__V1__ExplainRequest request = SLUICE__V1__EXPLAIN_REQUEST__INIT;
	request.app = "shop";
	request.instance = (char *)instance;
	return call(a, &request.base);
}

static const Sluice__V1__ExplainStep *step_of(const Sluice__V1__ExplainResponse *response,
					      const char *subject)
{
	for (size_t i = 0; i < response->n_steps; i++) {
		if (strcmp(response->steps[i]->subject, subject) == 0) {
			return response->steps[i];
		}
	}
	fail_msg("no step '%s'", subject);
	return NULL;
}

static void test_explain_names_the_first_broken_link(void **state)
{
	struct shop shop;
	open_shop(&shop, *state);
	say(&shop, 0, HEALTHY, "");
	say(&shop, 1, SLUICE__V1__PHASE__PHASE_FAILED, "no disk");
	Sluice__V1__ExplainResponse *good = explain(shop.a, "prod-1");
	assert_non_null(strstr(good->conclusion, "serves version 'v1'"));
	assert_string_equal(good->advice, "");
	for (size_t i = 0; i < good->n_steps; i++) {
		assert_true(good->steps[i]->ok);
	}
	Sluice__V1__ExplainResponse *failed = explain(shop.a, "prod-2");
	assert_true(step_of(failed, "release")->ok);
	assert_true(step_of(failed, "published")->ok);
	assert_false(step_of(failed, "phase")->ok);
	assert_non_null(strstr(failed->conclusion, "no disk"));
	assert_non_null(strstr(failed->advice, "RetryInstance"));
	assert_string_equal(failed->status->instance, "prod-2");
	Sluice__V1__ExplainResponse *away = explain(shop.a, "stage-1");
	assert_true(step_of(away, "eligible")->ok);
	assert_false(step_of(away, "agent")->ok);
	assert_int_equal(steps_withdraw(shop.a->s), SL_OK);
	(void)agents_follow(shop.a);
	assert_false(step_of(explain(shop.a, "prod-1"), "release")->ok);
	agents_place(shop.a, "db");
	(void)agents_follow(shop.a);
	assert_false(step_of(explain(shop.a, "prod-1"), "placement")->ok);
	close_shop(&shop);
}

static void test_a_manual_instance_shows_its_step_until_it_has_it(void **state)
{
	struct shop shop;
	open_shop(&shop, *state);
	say(&shop, 0, HEALTHY, "");
	say(&shop, 1, SLUICE__V1__PHASE__PHASE_PENDING, "");
	Sluice__V1__ListUpdatesRequest list = SLUICE__V1__LIST_UPDATES_REQUEST__INIT;
	list.instance = "prod-1";
	assert_int_equal(((Sluice__V1__ListUpdatesResponse *)call(shop.a, &list.base))->n_updates,
			 0);
	list.instance = "prod-2";
	Sluice__V1__ListUpdatesResponse *steps = call(shop.a, &list.base);
	assert_int_equal(steps->n_updates, 1);
	assert_false(steps->updates[0]->held); /* AUTO: it is at it */
	assert_null(steps->updates[0]->from);
	assert_string_equal(steps->updates[0]->to->name, "v1");
	assert_null(explain(shop.a, "prod-2")->status->update);

	Sluice__V1__UpdateInstanceRequest set = SLUICE__V1__UPDATE_INSTANCE_REQUEST__INIT;
	set.instance = "prod-2";
	set.pull = SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL;
	assert_int_equal(
	    ((Sluice__V1__UpdateInstanceResponse *)call(shop.a, &set.base))->instance->pull,
	    SLUICE__V1__PULL_MODE__PULL_MODE_MANUAL);
	assert_true(
	    ((Sluice__V1__ListUpdatesResponse *)call(shop.a, &list.base))->updates[0]->held);
	Sluice__V1__ExplainResponse *why = explain(shop.a, "prod-2");
	assert_false(step_of(why, "update")->ok);
	assert_non_null(strstr(why->conclusion, "an update is available (MANUAL)"));
	assert_string_equal(why->status->update->name, "v1");

	Sluice__V1__PullRequest pull = SLUICE__V1__PULL_REQUEST__INIT;
	pull.instance = "prod-2";
	pull.app = "shop";
	pull.version = "v1";
	pull.commit = "abc";
	refuse(shop.a, &pull.base, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	pull.commit = "0123456789012345678901234567890123456789";
	refuse(shop.a, &pull.base, SL_ABORTED, SL_REASON_STALE_EXPECTATION);
	pull.commit = steps->updates[0]->commit;
	assert_string_equal(((Sluice__V1__PullResponse *)call(shop.a, &pull.base))->version->name,
			    "v1");
	assert_false(
	    ((Sluice__V1__ListUpdatesResponse *)call(shop.a, &list.base))->updates[0]->held);
	assert_null(explain(shop.a, "prod-2")->status->update);
	say(&shop, 1, HEALTHY, "");
	assert_int_equal(((Sluice__V1__ListUpdatesResponse *)call(shop.a, &list.base))->n_updates,
			 0);
	set.pull = (Sluice__V1__PullMode)7;
	refuse(shop.a, &set.base, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED);
	close_shop(&shop);
}

/* Instance prod-1 (agent 0) is converged, prod-2 has nothing yet; both refuse the next manifest. */
static void test_what_agents_refuse_is_a_concern(void **state)
{
	struct shop shop;
	open_shop(&shop, *state);
	say(&shop, 0, HEALTHY, "");
	Sluice__V1__GetStatusRequest request = SLUICE__V1__GET_STATUS_REQUEST__INIT;
	assert_int_equal(((Sluice__V1__GetStatusResponse *)call(shop.a, &request.base))->n_concerns,
			 0);
	Sluice__V1__SyncRequest message = SLUICE__V1__SYNC_REQUEST__INIT;
	Sluice__V1__AgentRefusal refusal = SLUICE__V1__AGENT_REFUSAL__INIT;
	refusal.error_class = SLUICE__V1__ERROR_CLASS__ERROR_CLASS_MANIFEST_REFUSED;
	refusal.error = (char *)"manifest is not signed";
	refusal.count = 2;
	message.message_case = SLUICE__V1__SYNC_REQUEST__MESSAGE_REFUSAL;
	message.refusal = &refusal;
	agents_send(shop.streams[0], &message);
	agents_send(shop.streams[1], &message);
	const Sluice__V1__GetStatusResponse *told = call(shop.a, &request.base);
	assert_int_equal(told->n_concerns, 2);
	assert_string_equal(told->concerns[0]->instance, "prod-1");
	assert_string_equal(told->concerns[1]->refused, "manifest is not signed");
	assert_int_equal(told->concerns[1]->refusals, 2);
	request.environment = (char *)"staging";
	assert_int_equal(((Sluice__V1__GetStatusResponse *)call(shop.a, &request.base))->n_concerns,
			 0);
	/* What is served as it is meant to be stays right; what is not, is explained by it. */
	assert_true(step_of(explain(shop.a, "prod-1"), "trust")->ok);
	Sluice__V1__ExplainResponse *other = explain(shop.a, "prod-2");
	assert_false(step_of(other, "trust")->ok);
	assert_non_null(strstr(other->conclusion, "manifest is not signed"));
	assert_non_null(strstr(other->advice, "SECURITY.md"));
	/* An agent that starts anew is believed to be well until it says otherwise. */
	agents_close(shop.streams[1]);
	shop.streams[1] = agents_stream(shop.a);
	agents_hello_of(shop.streams[1], "prod-2");
	request.environment = (char *)"production";
	told = call(shop.a, &request.base);
	assert_int_equal(told->n_concerns, 1);
	assert_string_equal(told->concerns[0]->instance, "prod-1");
	close_shop(&shop);
}

/* --- WaitFor --- */

static struct service_call wait_for(struct agents *a, Sluice__V1__WaitForRequest *request)
{
	struct service_call made = {.arena = &a->s->arena};
	const struct service_method *row = row_of(request->base.descriptor);
	services.store = a->s->store;
	services.fleet = a->fleet;
	sl_err_clear(&a->s->err);
	if (row->check(request, &a->s->err) != SL_OK) {
		made.finished = true;
		made.code = a->s->err.code;
	}
	return made;
}

static Sluice__V1__WaitForRequest wanting(Sluice__V1__WaitCondition condition, const char *version,
					  const char *environment)
{
	Sluice__V1__WaitForRequest request = SLUICE__V1__WAIT_FOR_REQUEST__INIT;
	request.condition = condition;
	request.app = "shop";
	request.version = (char *)version;
	request.environment = (char *)environment;
	return request;
}

#define START(call, request) row_of((request)->base.descriptor)->start(&(call), request)

static void test_wait_ends_when_all_that_are_there_serve_it(void **state)
{
	struct shop shop;
	open_shop(&shop, *state);
	Sluice__V1__WaitForRequest converged = wanting(CONVERGED, "", "production"),
				   staged = wanting(STAGED, "v1", "production");
	struct service_call one = wait_for(shop.a, &converged), two = wait_for(shop.a, &staged);
	START(one, &converged);
	START(two, &staged);
	assert_false(one.finished || two.finished);
	say(&shop, 0, SLUICE__V1__PHASE__PHASE_STAGED, "");
	say(&shop, 1, SLUICE__V1__PHASE__PHASE_STAGED, "");
	fleet_tick(shop.a->fleet);
	assert_true(two.finished && two.response->done);
	assert_int_equal(two.response->ok, 2);
	assert_false(one.finished);
	say(&shop, 0, HEALTHY, "");
	agents_close(shop.streams[1]); /* the other one goes away */
	agents_mono_ms += 30000;
	agents_heartbeat(shop.streams[0], 1);
	agents_mono_ms += 30000;
	agents_heartbeat(shop.streams[0], 1);
	fleet_tick(shop.a->fleet);
	assert_true(one.finished && one.response->done);
	assert_int_equal(one.response->ok, 1);
	assert_int_equal(one.response->unreachable, 1);
	agents_close(shop.streams[0]);
}

static void test_wait_ends_when_one_fails(void **state)
{
	struct shop shop;
	open_shop(&shop, *state);
	say(&shop, 0, HEALTHY, "");
	Sluice__V1__WaitForRequest request = wanting(CONVERGED, "v1", "production");
	struct service_call one = wait_for(shop.a, &request);
	START(one, &request);
	say(&shop, 1, SLUICE__V1__PHASE__PHASE_ROLLED_BACK, "probe says 500");
	fleet_tick(shop.a->fleet);
	assert_true(one.finished && one.code == SL_OK);
	assert_false(one.response->done);
	assert_int_equal(one.response->failed, 1);
	assert_int_equal(one.response->n_failures, 1);
	assert_string_equal(one.response->failures[0]->error, "probe says 500");
	assert_non_null(strstr(one.response->text, "prod-2"));
	close_shop(&shop);
}

static void test_wait_for_nobody_is_over_at_once(void **state)
{
	struct agents *a = *state;
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	Sluice__V1__WaitForRequest request = wanting(CONVERGED, "", "production");
	struct service_call one = wait_for(a, &request);
	START(one, &request);
	assert_true(one.finished && one.response->done);
	assert_non_null(strstr(one.response->text, "no instance"));
}

static void test_wait_for_content_and_publication(void **state)
{
	struct agents *a = *state;
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	Sluice__V1__WaitForRequest content = wanting(CONTENT, "v1", ""),
				   published = wanting(PUBLISHED, "v1", "");
	struct service_call one = wait_for(a, &content), two = wait_for(a, &published);
	START(one, &content);
	START(two, &published);
	fleet_tick(a->fleet);
	assert_false(one.finished || two.finished);
	steps_ready(a->s, "v1", '1');
	steps_seal(a->s, "v1");
	(void)agents_follow(a);
	fleet_tick(a->fleet);
	assert_true(one.finished && one.response->done);
	assert_false(two.finished);
	steps_published(a->s, "v1");
	(void)agents_follow(a);
	fleet_tick(a->fleet);
	assert_true(two.finished && two.response->done);
	steps_version(a->s, "v2");
	content.version = "v2";
	struct service_call three = wait_for(a, &content);
	START(three, &content);
	steps_failed(a->s, "v2", SLUICE__V1__CONTENT_REASON__CONTENT_REASON_PATH_NOT_FOUND);
	(void)agents_follow(a);
	fleet_tick(a->fleet);
	assert_true(three.finished && three.code == SL_OK);
	assert_false(three.response->done);
}

static void test_wait_may_end_late_cancelled_or_stopping(void **state)
{
	struct agents *a = *state;
	(void)agents_register(a, "dev-1", "development", NULL);
	steps_shop(a->s, TAGS);
	(void)agents_follow(a);
	Sluice__V1__WaitForRequest request = wanting(CONVERGED, "", "development");
	struct service_call late = wait_for(a, &request), gone = wait_for(a, &request);
	START(late, &request);
	START(gone, &request);
	gone.cancelled = true;
	agents_mono_ms += 1000;
	fleet_tick(a->fleet);
	assert_true(gone.finished && gone.code == SL_CANCELLED);
	assert_false(late.finished);
	agents_mono_ms += 60000;
	fleet_tick(a->fleet);
	assert_true(late.finished && late.code == SL_DEADLINE_EXCEEDED);
	assert_int_equal(late.reason, SL_REASON_WAIT_TIMEOUT);
	struct service_call stopped = wait_for(a, &request);
	START(stopped, &request);
	fleet_stop(a->fleet);
	assert_true(stopped.finished && stopped.code == SL_UNAVAILABLE);
}

static void test_wait_checks_its_shape(void **state)
{
	struct agents *a = *state;
	Sluice__V1__WaitForRequest bad[] = {
	    wanting(SLUICE__V1__WAIT_CONDITION__WAIT_CONDITION_UNSPECIFIED, "v1", ""),
	    wanting((Sluice__V1__WaitCondition)9, "v1", ""),
	    wanting(CONVERGED, "", ""),
	    wanting(STAGED, "", "production"),
	    wanting(CONTENT, "", ""),
	    wanting(CONTENT, "v1", "production"),
	    wanting(PUBLISHED, "", ""),
	};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		struct service_call one = wait_for(a, &bad[i]);
		assert_true(one.finished && one.code == SL_INVALID_ARGUMENT);
	}
	Sluice__V1__WaitForRequest request = wanting(CONVERGED, "", "production");
	request.timeout_ms = 3600001;
	assert_int_equal(wait_for(a, &request).code, SL_INVALID_ARGUMENT);
	request.timeout_ms = 1;
	struct service_call unknown = wait_for(a, &request);
	START(unknown, &request);
	assert_true(unknown.finished && unknown.code == SL_NOT_FOUND);
	assert_int_equal(unknown.reason, SL_REASON_APP_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agents_setup, agents_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_register_checks_every_field),
	    TEST(test_lists_page_by_name_and_narrow),
	    TEST(test_status_counts_what_runs),
	    TEST(test_explain_names_the_first_broken_link),
	    TEST(test_a_manual_instance_shows_its_step_until_it_has_it),
	    TEST(test_what_agents_refuse_is_a_concern),
	    TEST(test_wait_ends_when_all_that_are_there_serve_it),
	    TEST(test_wait_ends_when_one_fails),
	    TEST(test_wait_for_nobody_is_over_at_once),
	    TEST(test_wait_for_content_and_publication),
	    TEST(test_wait_may_end_late_cancelled_or_stopping),
	    TEST(test_wait_checks_its_shape),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
