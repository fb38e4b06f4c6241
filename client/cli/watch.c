/* sluice watch: what changes, as it changes. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "client/cli/commands.h"

enum { LOOK_MS = 250 };

struct watch_flags {
	uint64_t from;
	const char *app, *environment, *instance;
	struct sl_flag_list kinds;
};
#define WATCH(field) offsetof(struct watch_flags, field)
static const struct sl_flag watch_flags[] = {
    {.name = "from",
     .kind = SL_FLAG_INT,
     .offset = WATCH(from),
     .placeholder = "REV",
     .help = "Begin after this revision; without it, or with 0, from now on."},
    {.name = "app",
     .kind = SL_FLAG_TEXT,
     .offset = WATCH(app),
     .max = 64,
     .help = "Only this app."},
    {.name = "env",
     .kind = SL_FLAG_TEXT,
     .offset = WATCH(environment),
     .max = 64,
     .help = "Only this environment, and what belongs to none."},
    {.name = "instance",
     .kind = SL_FLAG_TEXT,
     .offset = WATCH(instance),
     .max = 64,
     .placeholder = "NAME",
     .help = "Only this instance."},
    {.name = "kind",
     .kind = SL_FLAG_LIST,
     .offset = WATCH(kinds),
     .max = 32,
     .help = "Only these: workspace, repository, app, version, note, promotion, release, "
	     "selection, instance, status; may be repeated."},
    {.name = NULL},
};

/* Set by SIGINT and SIGTERM. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

/* 0: there is no such kind. */
static Sluice__V1__EventKind kind_of(const char *name)
{
	const ProtobufCEnumDescriptor *kinds = &sluice__v1__event_kind__descriptor;
	for (unsigned i = 0; i < kinds->n_values; i++) {
		char text[TEXT_SIZE];
		if (kinds->values[i].value != 0 &&
		    strcasecmp(name, text_enum(text, kinds, kinds->values[i].value)) == 0) {
			return (Sluice__V1__EventKind)kinds->values[i].value;
		}
	}
	return SLUICE__V1__EVENT_KIND__EVENT_KIND_UNSPECIFIED;
}

static const char *content_word(const Sluice__V1__Version *v)
{
	static char text[TEXT_SIZE];
	return v->content != NULL
		   ? text_enum(text, &sluice__v1__content_state__descriptor, (int)v->content->state)
		   : "-";
}

static void put_status(const Sluice__V1__InstanceStatus *s, char *text, size_t size)
{
	char phase[TEXT_SIZE];
	(void)snprintf(text, size, "%s %s %s: %s%s%s", s->instance, s->app, cli_ref(s->subject),
		       text_enum(phase, &sluice__v1__phase__descriptor, (int)s->phase),
		       s->error[0] != '\0' ? ": " : "", s->error);
}

static void put_version(const Sluice__V1__Version *v, char *text, size_t size)
{
	char state[TEXT_SIZE];
	char published[TEXT_SIZE];
	(void)snprintf(text, size, "%s %s in %s, %s, content %s, in Git %s", v->app, v->name,
		       v->environment,
		       text_enum(state, &sluice__v1__version_state__descriptor, (int)v->state),
		       content_word(v),
		       text_enum(published, &sluice__v1__publication_state__descriptor,
				 v->publication != NULL ? (int)v->publication->state : 0));
}

/* What the event is about, in a few words. */
static void describe(const Sluice__V1__Event *e, char *text, size_t size)
{
	char word[TEXT_SIZE];
	text[0] = '\0';
	switch (e->object_case) {
	case SLUICE__V1__EVENT__OBJECT_WORKSPACE:
		(void)snprintf(text, size, "%s", e->workspace->name);
		break;
	case SLUICE__V1__EVENT__OBJECT_REPOSITORY:
		(void)snprintf(text, size, "%s %s", e->repository->name, e->repository->url);
		break;
	case SLUICE__V1__EVENT__OBJECT_APP:
		(void)snprintf(text, size, "%s", e->app->name);
		break;
	case SLUICE__V1__EVENT__OBJECT_VERSION:
		put_version(e->version, text, size);
		break;
	case SLUICE__V1__EVENT__OBJECT_NOTE:
		(void)snprintf(text, size, "%s %s in %s: %s", e->note->app,
			       cli_ref(e->note->version), e->note->environment, e->note->text);
		break;
	case SLUICE__V1__EVENT__OBJECT_PROMOTION:
		(void)snprintf(text, size, "%s %s: %s -> %s", e->promotion->app,
			       cli_ref(e->promotion->version), e->promotion->from,
			       e->promotion->to);
		break;
	case SLUICE__V1__EVENT__OBJECT_RELEASE:
		(void)snprintf(text, size, "%s: %s, %s -> %s", e->release->app,
			       text_enum(word, &sluice__v1__release_change_kind__descriptor,
					 (int)e->release->kind),
			       cli_ref(e->release->from), cli_ref(e->release->to));
		break;
	case SLUICE__V1__EVENT__OBJECT_SELECTION:
		(void)snprintf(text, size, "%s %s in %s %s", e->selection->app,
			       cli_ref(e->selection->version), e->selection->environment,
			       e->selection->instance);
		break;
	case SLUICE__V1__EVENT__OBJECT_INSTANCE:
		(void)snprintf(text, size, "%s in %s%s", e->instance->name,
			       e->instance->environment, e->instance->paused ? ", paused" : "");
		break;
	case SLUICE__V1__EVENT__OBJECT_STATUS:
		put_status(e->status, text, size);
		break;
	case SLUICE__V1__EVENT__OBJECT_CONFIG:
		(void)snprintf(
		    text, size, "%s (%s)", e->config->name,
		    text_enum(word, &sluice__v1__config_kind__descriptor, (int)e->config->kind));
		break;
	case SLUICE__V1__EVENT__OBJECT_POLICY:
		(void)snprintf(text, size, "%s: contract %s", e->policy->environment,
			       text_enum(word, &sluice__v1__gate_strictness__descriptor,
					 (int)e->policy->contract));
		break;
	case SLUICE__V1__EVENT__OBJECT_SOURCE:
		(void)snprintf(text, size, "%s (%s)", e->source->name, e->source->kind);
		break;
	default:
		break;
	}
}

static void put_event(const struct cli *cli, const Sluice__V1__Change *change,
		      const Sluice__V1__Event *e)
{
	char text[1024];
	char at[TEXT_SIZE];
	char kind[TEXT_SIZE];
	char type[TEXT_SIZE];
	describe(e, text, sizeof(text));
	for (char *c = text; *c != '\0'; c++) {
		*c = *c == '\n' ? ' ' : *c; /* one line per event */
	}
	bool gone = e->type == SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED;
	cli_say(cli, "%llu  %s  ", (unsigned long long)change->revision, text_time(at, change->at));
	cli_paint(cli, gone ? TEXT_BAD : TEXT_GOOD, "%s %s",
		  text_enum(kind, &sluice__v1__event_kind__descriptor, (int)e->kind),
		  text_enum(type, &sluice__v1__event_type__descriptor, (int)e->type));
	cli_say(cli, "  %s", text);
	cli_paint(cli, TEXT_FAINT, "  (%s by %s%s%s)\n", change->method, change->by,
		  change->reason[0] != '\0' ? ": " : "", change->reason);
}

static void put_change(const struct cli *cli, const Sluice__V1__Change *change)
{
	if (cli->output == CLI_JSON) {
		SL_AUTO(sl_free_auto)
		char *text = sl_json_from_message(&change->base, SL_JSON_COMPACT, false);
		(void)puts(text != NULL ? text : "null");
	} else if (cli->output == CLI_NAME) {
		(void)printf("%llu\n", (unsigned long long)change->revision);
	} else {
		for (size_t i = 0; i < change->n_events; i++) {
			put_event(cli, change, change->events[i]);
		}
	}
	(void)fflush(stdout);
}

static bool add_kinds(struct cli *cli, const struct sl_flag_list *kinds,
		      Sluice__V1__WatchRequest *request)
{
	request->kinds = SL_ARENA_ARRAY(&cli->arena, Sluice__V1__EventKind, kinds->count + 1);
	for (size_t i = 0; request->kinds != NULL && i < kinds->count; i++) {
		request->kinds[i] = kind_of(kinds->items[i]);
		if (request->kinds[i] == SLUICE__V1__EVENT_KIND__EVENT_KIND_UNSPECIFIED) {
			(void)cli_complain(
			    CLI_USAGE,
			    "'%s' is not a kind of event; sluice watch --help lists them",
			    kinds->items[i]);
			return false;
		}
	}
	request->n_kinds = kinds->count;
	return request->kinds != NULL;
}

SL_DEFINE_AUTO(sluice_watch *, sluice_watch_close);

/* Anew where the one before stands, with a certificate that lasts: a stream ends with the one that
 * it was opened with. */
static bool reopen(struct cli *cli, Sluice__V1__WatchRequest *request, sluice_watch **watch)
{
	if (*watch != NULL) {
		request->from_revision = sluice_watch_revision(*watch);
		sluice_watch_close(SL_TAKE(*watch));
	}
	return sluice_watch_open(cli_client(cli), request, watch, &cli->error) == SLUICE_OK;
}

/* Until a signal, --timeout or an end that cannot be mended. */
static int follow(struct cli *cli, Sluice__V1__WatchRequest *request)
{
	SL_AUTO(sluice_watch_close_auto) sluice_watch *watch = NULL;
	while (!interrupted && !ferror(stdout)) {
		Sluice__V1__WatchResponse *response = NULL;
		if ((watch == NULL || cli_renews_in_ms(cli) == 0) &&
		    !reopen(cli, request, &watch)) {
			return cli_fail(cli);
		}
		if (sluice_watch_next(watch, LOOK_MS, &response, &cli->error) != SLUICE_OK) {
			return cli_fail(cli);
		}
		for (size_t i = 0; response != NULL && i < response->n_changes; i++) {
			put_change(cli, response->changes[i]);
		}
		sluice_message_free(response);
	}
	return CLI_DONE;
}

static int run(struct cli *cli, const struct sl_args *args, void *config)
{
	(void)args;
	const struct watch_flags *flags = config;
	Sluice__V1__WatchRequest request = SLUICE__V1__WATCH_REQUEST__INIT;
	cli->app = flags->app;
	request.workspace = cli->workspace;
	request.from_revision = flags->from;
	request.app = cli_str(flags->app);
	request.environment = cli_str(flags->environment);
	request.instance = cli_str(flags->instance);
	if (!add_kinds(cli, &flags->kinds, &request)) {
		return CLI_USAGE;
	}
	catch_signals();
	return follow(cli, &request);
}

const struct cli_command cli_cmd_watch = {
    .about = {.name = "watch",
	      .synopsis = "",
	      .summary = "Print what changes, one line per event, until Ctrl-C",
	      .description = "A connection that breaks is resumed without losing or repeating "
			     "anything. With -o json each line is one "
			     "change: all events of one revision. Ctrl-C ends it with 0.",
	      .flags = watch_flags,
	      .examples =
		  (const struct sl_example[]){
		      {"sluice watch --app shop --kind promotion --kind release",
		       "Follow one app's way to users."},
		      {NULL, NULL}}},
    .run = run,
    .config_size = sizeof(struct watch_flags),
};
