/* TestSource: an agent looks whether it reaches a data source.
 *
 *   writer thread:    what can be refused without an agent is; else fleet has it look
 *   fleet's answer:   is cut to what an agent may say, and becomes the answer to that
 *   writer thread:    the result is kept with the data source, in one command */
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/mem/own.h"
#include "server/fleet/fleet.h"
#include "server/records/identities.h"
#include "server/records/instances.h"
#include "server/services/noun_checks.h"
#include "server/services/source.h"
#include "server/settings/sources.h"

enum { TIMEOUT_MIN_MS = 1000, TIMEOUT_MAX_MS = 60000, TIMEOUT_DEFAULT_MS = 15000 };
enum { TEXT_MAX = 200, HOST_MAX = 253, NAMES_MAX = 10 };
#define LAST_SECOND 253402300799 /* of the year 9999 */

/* What an agent is asked; in the write's arena. */
struct question {
	struct service_write *write;
	const char *instance_id;
	struct sl_bytes box;
	uint64_t revision; /* of the options that are in it */
	uint32_t timeout_ms;
};

/* What came of it; likewise. */
struct answer {
	enum fleet_tested how;
	uint64_t revision;
	Sluice__V1__SourceTest *test; /* of FLEET_TESTED */
};

static const struct answer no_memory = {.how = FLEET_TEST_TOO_MANY};

sl_code source_test_check(const void *message, struct sl_err *err)
{
	const Sluice__V1__TestSourceRequest *request = message;
	uint32_t timeout = request->timeout_ms;
	sl_code code = source_check_name("source", request->source, err);
	code = code != SL_OK ? code : check_reference("instance", request->instance, err);
	return code != SL_OK || timeout == 0 ||
		       (timeout >= TIMEOUT_MIN_MS && timeout <= TIMEOUT_MAX_MS)
		   ? code
		   : check_refused("timeout_ms", "must be 1000 to 60000, or 0", err);
}

/* --- what it is about --- */

struct about {
	Sluice__Store__V1__SourceRecord *source;
	Sluice__Store__V1__InstanceRecord *instance;
	Sluice__Store__V1__SourceSettingRecord *setting; /* in the instance's environment */
};

static sl_code find(struct decision *d, const Sluice__V1__TestSourceRequest *request,
		    struct about *about, struct sl_err *err)
{
	const struct rights *rights = d->rights != NULL ? d->rights : &rights_everything;
	sl_code code = instance_find(d->view, d->arena, d->workspace, request->instance,
				     &about->instance, err);
	code = code != SL_OK ? code
			     : source_find(d->view, d->arena, d->workspace, request->source,
					   &about->source, err);
	if (code != SL_OK) {
		return code;
	}
	about->setting = source_setting_in(about->source, about->instance->environment);
	if (!source_is_seen(rights, about->source) && about->setting == NULL) {
		return source_not_found(request->source, err);
	}
	const char *environment = environment_name(about->instance->environment);
	if (!source_setting_is_there(about->setting)) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_CONFIG_NOT_FOUND,
				      "data source '%s' is not set in %s, where instance '%s' is",
				      about->source->name, environment, about->instance->name);
	}
	return decision_expect(d, "data source", about->source->name, about->setting->revision,
			       err);
}

/* --- asking --- */

static sl_code seal(struct decision *d, const struct about *about, struct sl_bytes *ret_box,
		    struct sl_err *err)
{
	SL_AUTO(sl_buf_fini) struct sl_buf box = {0};
	Sluice__Store__V1__IdentityRecord *identity = NULL;
	const struct wire in = wire_of(d);
	const struct source_asked asked = {
	    .in = &in, .record = about->source, .environment = about->instance->environment};
	sl_code code = identity_of_instance(d->view, d->arena, about->instance, &identity, err);
	if (code == SL_OK &&
	    (identity == NULL || identity->box_key.len != IDENTITY_BOX_KEY_BYTES)) {
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_AGENT_OFFLINE,
				      "no agent has enrolled as instance '%s', so there is no key "
				      "to seal anything to",
				      about->instance->name);
	}
	code = code != SL_OK ? code
			     : sources_box(service_vault(d), &asked,
					   SL_BYTES(identity->box_key.data, identity->box_key.len),
					   &box, err);
	if (code == SL_OK) {
		ret_box->data = sl_arena_dup(d->arena, box.data, box.size);
		ret_box->size = box.size;
	}
	return code;
}

sl_code source_test_ask(struct decision *d, const void *message, const void **ret_question,
			struct sl_err *err)
{
	const Sluice__V1__TestSourceRequest *request = message;
	struct about about = {.source = NULL};
	struct question *question = SL_ARENA_NEW(d->arena, struct question);
	sl_code code = question != NULL ? find(d, request, &about, err) : sl_err_no_memory(err);
	if (code != SL_OK) {
		return code;
	}
	question->instance_id = about.instance->id;
	question->revision = about.setting->revision;
	question->timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : TIMEOUT_DEFAULT_MS;
	*ret_question = question;
	return seal(d, &about, &question->box, err);
}

/* --- what an agent may say --- */

static char *clean(struct sl_arena *arena, const char *text, int max)
{
	char *copy = sl_arena_printf(arena, "%.*s", max, text);
	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		*c = *c < ' ' || *c > '~' ? '?' : *c;
	}
	return copy;
}

static Google__Protobuf__Timestamp *clean_time(struct sl_arena *arena,
					       const Google__Protobuf__Timestamp *from)
{
	bool fine = from != NULL && from->seconds > 0 && from->seconds <= LAST_SECOND;
	return fine ? wire_time(arena, (uint64_t)from->seconds * 1000) : NULL;
}

static Sluice__V1__SourceCertificate *clean_cert(struct sl_arena *arena,
						 const Sluice__V1__SourceCertificate *from)
{
	Sluice__V1__SourceCertificate *to =
	    from == NULL ? NULL : SL_ARENA_NEW(arena, Sluice__V1__SourceCertificate);
	if (to == NULL) {
		return NULL;
	}
	sluice__v1__source_certificate__init(to);
	to->subject = clean(arena, from->subject, TEXT_MAX);
	to->issuer = clean(arena, from->issuer, TEXT_MAX);
	to->name_count = from->name_count;
	to->not_before = clean_time(arena, from->not_before);
	to->not_after = clean_time(arena, from->not_after);
	to->verified = from->verified;
	to->verify_error = clean(arena, from->verify_error, TEXT_MAX);
	to->names = SL_ARENA_ARRAY(arena, char *, NAMES_MAX);
	for (size_t i = 0; to->names != NULL && i < from->n_names && i < NAMES_MAX; i++) {
		to->names[to->n_names++] = clean(arena, from->names[i], HOST_MAX);
	}
	return to;
}

static Sluice__V1__SourceTest *clean_test(struct sl_arena *arena,
					  const Sluice__V1__SourceTest *from)
{
	Sluice__V1__SourceTest *to = SL_ARENA_NEW(arena, Sluice__V1__SourceTest);
	if (to == NULL) {
		return NULL;
	}
	sluice__v1__source_test__init(to);
	bool known =
	    from->reached <= SLUICE__V1__SOURCE_TEST_STEP__SOURCE_TEST_STEP_TLS &&
	    from->failure <= SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_AGENT_FAILED &&
	    (from->failure != SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_UNSPECIFIED ||
	     from->reached >= SLUICE__V1__SOURCE_TEST_STEP__SOURCE_TEST_STEP_CONNECT);
	if (!known) {
		to->failure = SLUICE__V1__SOURCE_TEST_FAILURE__SOURCE_TEST_FAILURE_AGENT_FAILED;
		to->text = (char *)"the agent's answer is none that it could give";
		return to;
	}
	to->reached = from->reached;
	to->failure = from->failure;
	to->text = clean(arena, from->text, TEXT_MAX);
	to->resolve_us = from->resolve_us;
	to->connect_us = from->connect_us;
	to->tls_us = from->tls_us;
	to->protocol = clean(arena, from->protocol, TEXT_MAX);
	to->certificate = clean_cert(arena, from->certificate);
	return to;
}

static void found(void *ctx, enum fleet_tested how, const Sluice__V1__SourceTest *test)
{
	const struct question *question = ctx;
	struct sl_arena *arena = service_write_arena(question->write);
	struct answer *answer = SL_ARENA_NEW(arena, struct answer);
	if (answer != NULL) {
		answer->how = how;
		answer->revision = question->revision;
		answer->test = how == FLEET_TESTED ? clean_test(arena, test) : NULL;
	}
	bool whole = answer != NULL && !sl_arena_failed(arena);
	service_write_answer(question->write, whole ? answer : &no_memory);
}

void source_test_find(struct service_write *write, const struct services *services,
		      const void *asked)
{
	struct question *question =
	    sl_arena_dup(service_write_arena(write), asked, sizeof(*question));
	if (question == NULL) {
		service_write_answer(write, &no_memory);
		return;
	}
	question->write = write;
	fleet_test_source(services->fleet,
			  &(struct fleet_source_test){.instance_id = question->instance_id,
						      .box = question->box,
						      .timeout_ms = question->timeout_ms,
						      .done = found,
						      .ctx = question});
}

/* --- keeping it --- */

/* Why there is no result. */
static sl_code refused(enum fleet_tested how, const char *instance, struct sl_err *err)
{
	switch (how) {
	case FLEET_TEST_OFFLINE:
		return sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_AGENT_OFFLINE,
				      "the agent of instance '%s' is not connected: nobody can "
				      "look from there",
				      instance);
	case FLEET_TEST_LATE:
		return sl_err_because(err, SL_DEADLINE_EXCEEDED, SL_REASON_WAIT_TIMEOUT,
				      "the agent of instance '%s' did not answer in time: one of "
				      "an older version cannot test data sources",
				      instance);
	case FLEET_TEST_LOST:
		return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_AGENT_OFFLINE,
				      "the agent of instance '%s' went away while it looked",
				      instance);
	case FLEET_TEST_STOPPING:
		return sl_err_because(err, SL_UNAVAILABLE, SL_REASON_STOPPING,
				      "the server is stopping");
	case FLEET_TESTED:
	case FLEET_TEST_TOO_MANY:
		break;
	}
	return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_TOO_MANY,
			      "the agent of instance '%s' is at other tests already: try again",
			      instance);
}

sl_code source_test_decide(struct decision *d, const void *message, void *reply, struct sl_err *err)
{
	const Sluice__V1__TestSourceRequest *request = message;
	Sluice__V1__TestSourceResponse *response = reply;
	const struct answer *answer = d->answer != NULL ? d->answer : &no_memory;
	struct about about = {.source = NULL};
	sl_code code = find(d, request, &about, err);
	if (code != SL_OK) {
		return code;
	}
	if (answer->how != FLEET_TESTED) {
		return refused(answer->how, about.instance->name, err);
	}
	Sluice__V1__SourceTest *test = sl_arena_dup(d->arena, answer->test, sizeof(*test));
	if (test == NULL) {
		return sl_err_no_memory(err);
	}
	test->instance_id = about.instance->id;
	test->instance = about.instance->name;
	test->at = wire_time(d->arena, d->now_ms);
	test->by = (char *)d->principal;
	test->revision = answer->revision;
	about.setting->test = test;
	source_put_tested(d, about.source, about.instance->environment);
	response->test = test;
	return SL_OK;
}
