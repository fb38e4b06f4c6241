/* promote_bot: a bot in C on libsluice. It promotes to the last environment every version
 * that has come to the one before it and is published in Git.
 *
 *   bazel build //client/examples:promote_bot
 *   bazel-bin/client/examples/promote_bot [HOST:PORT] [WORKSPACE]
 *
 * SLUICE_TLS_CA, SLUICE_TLS_CERT and SLUICE_TLS_KEY name the files of a context (`sluice login`;
 * `sluice context show` says where they are); without them it speaks to a server with --insecure.
 *
 * It shows how a bot stays right whatever happens:
 *   - it lists first and watches from the list's revision: nothing falls between the two;
 *   - the watch resumes by itself; when the server has compacted what was missed, it lists anew;
 *   - it plans before it acts and names the plan and the environment that it believes the
 *     version to be in: if somebody was faster, nothing happens twice;
 *   - its certificate is renewed by whatever runs `sluice` with that context; the bot reads it anew
 *     when the old one is over.
 * Ends on SIGINT and SIGTERM with 0; with 1 when the server refuses to be watched. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/client.h"

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

struct bot {
	const char *server;
	sluice_client *client;
	char cert[8192]; /* the one in use; "": none */
	char *workspace;
	char from[64], to[64]; /* the last two environments */
};

static void complain(const char *doing, sluice_error *error)
{
	(void)fprintf(stderr, "promote_bot: %s: %s: %s\n", doing, sluice_code_name(error->code),
		      error->message);
	for (size_t i = 0; i < sluice_error_violation_count(error); i++) {
		sluice_violation gate = sluice_error_violation(error, i);
		(void)fprintf(stderr, "promote_bot:   %s: %s\n", gate.type, gate.description);
	}
	sluice_error_clear(error);
}

/* "" unless the variable names a file that fits. */
static void read_pem(const char *variable, char *out, size_t size)
{
	const char *path = getenv(variable);
	FILE *file = path != NULL ? fopen(path, "re") : NULL;
	size_t length = file != NULL ? fread(out, 1, size - 1, file) : 0;
	out[length] = '\0';
	if (file != NULL) {
		(void)fclose(file);
	}
}

/* With the certificate that is there now. SLUICE_UNAUTHENTICATED: it is over, too. */
static int connect_anew(struct bot *bot, sluice_error *error)
{
	char ca[8192], key[2048];
	read_pem("SLUICE_TLS_CA", ca, sizeof(ca));
	read_pem("SLUICE_TLS_CERT", bot->cert, sizeof(bot->cert));
	read_pem("SLUICE_TLS_KEY", key, sizeof(key));
	const sluice_options options = {
	    .user_agent = "promote_bot/1",
	    .ca_pem = ca[0] != '\0' ? ca : NULL,
	    .cert_pem = bot->cert[0] != '\0' ? bot->cert : NULL,
	    .key_pem = key[0] != '\0' ? key : NULL,
	};
	sluice_client *client = NULL;
	int code = sluice_client_new(bot->server, &options, &client, error);
	if (code == SLUICE_OK) {
		sluice_client_free(bot->client);
		bot->client = client;
	}
	return code;
}

/* The last two by rank, whatever they are called. */
static bool find_environments(struct bot *bot)
{
	Sluice__V1__ListEnvironmentsRequest request = SLUICE__V1__LIST_ENVIRONMENTS_REQUEST__INIT;
	Sluice__V1__ListEnvironmentsResponse *response = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	request.workspace = bot->workspace;
	if (sluice_list_environments(bot->client, NULL, &request, &response, &error) != SLUICE_OK) {
		complain("list environments", &error);
		return false;
	}
	size_t count = response->n_environments;
	if (count >= 2) {
		(void)snprintf(bot->from, sizeof(bot->from), "%s",
			       response->environments[count - 2]->name);
		(void)snprintf(bot->to, sizeof(bot->to), "%s",
			       response->environments[count - 1]->name);
	}
	sluice_message_free(response);
	return count >= 2;
}

static void act(struct bot *bot, const Sluice__V1__Plan *plan)
{
	Sluice__V1__WriteOptions write = SLUICE__V1__WRITE_OPTIONS__INIT;
	Sluice__V1__PromoteRequest request = SLUICE__V1__PROMOTE_REQUEST__INIT;
	Sluice__V1__PromoteResponse *response = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	write.reason = (char *)"promoted by promote_bot";
	request.workspace = bot->workspace;
	request.write = &write; /* the library adds a request id: retries take effect once */
	request.app = plan->app_id;
	request.version = plan->version->id;
	request.from = bot->from;
	request.to = bot->to;
	request.plan_hash = plan->plan_hash;
	int code = sluice_promote(bot->client, NULL, &request, &response, &error);
	if (code != SLUICE_OK) {
		complain("promote", &error); /* ABORTED: somebody was faster; the watch tells */
		return;
	}
	(void)printf("promoted %s %s to %s at revision %llu\n", plan->app, plan->version->name,
		     bot->to, (unsigned long long)response->promotion->revision);
	(void)fflush(stdout);
	sluice_message_free(response);
}

static void consider(struct bot *bot, const Sluice__V1__Version *version)
{
	const Sluice__V1__Publication *publication = version->publication;
	if (strcmp(version->environment, bot->from) != 0 || publication == NULL ||
	    publication->state != SLUICE__V1__PUBLICATION_STATE__PUBLICATION_STATE_PUBLISHED) {
		return;
	}
	Sluice__V1__PlanRequest request = SLUICE__V1__PLAN_REQUEST__INIT;
	Sluice__V1__PlanResponse *response = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	request.workspace = bot->workspace;
	request.action = SLUICE__V1__PLAN_ACTION__PLAN_ACTION_PROMOTE;
	request.app = version->app_id;
	request.version = version->id;
	request.environment = bot->to;
	if (sluice_plan(bot->client, NULL, &request, &response, &error) != SLUICE_OK) {
		complain("plan", &error);
		return;
	}
	if (response->plan->allowed) {
		act(bot, response->plan);
	}
	sluice_message_free(response);
}

static void consider_app(struct bot *bot, char *app)
{
	Sluice__V1__ListVersionsRequest request = SLUICE__V1__LIST_VERSIONS_REQUEST__INIT;
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	char token[1024] = "";
	page.page_token = token;
	request.workspace = bot->workspace;
	request.app = app;
	request.environment = bot->from;
	request.page = &page;
	do {
		Sluice__V1__ListVersionsResponse *response = NULL;
		sluice_error error = SLUICE_ERROR_INIT;
		if (sluice_list_versions(bot->client, NULL, &request, &response, &error) !=
		    SLUICE_OK) {
			complain("list versions", &error);
			return;
		}
		for (size_t i = 0; i < response->n_versions; i++) {
			consider(bot, response->versions[i]);
		}
		(void)snprintf(token, sizeof(token), "%s", response->page->next_page_token);
		sluice_message_free(response);
	} while (token[0] != '\0');
}

/* Looks at all that is there; *ret_revision is what to watch from. */
static bool consider_all(struct bot *bot, uint64_t *ret_revision)
{
	Sluice__V1__ListAppsRequest request = SLUICE__V1__LIST_APPS_REQUEST__INIT;
	Sluice__V1__PageRequest page = SLUICE__V1__PAGE_REQUEST__INIT;
	char token[1024] = "";
	bool first = true;
	page.page_token = token;
	request.workspace = bot->workspace;
	request.page = &page;
	do {
		Sluice__V1__ListAppsResponse *response = NULL;
		sluice_error error = SLUICE_ERROR_INIT;
		if (sluice_list_apps(bot->client, NULL, &request, &response, &error) != SLUICE_OK) {
			complain("list apps", &error);
			return false;
		}
		*ret_revision = first ? response->page->revision : *ret_revision;
		first = false;
		for (size_t i = 0; i < response->n_apps; i++) {
			consider_app(bot, response->apps[i]->id);
		}
		(void)snprintf(token, sizeof(token), "%s", response->page->next_page_token);
		sluice_message_free(response);
	} while (token[0] != '\0');
	return true;
}

static void consider_changes(struct bot *bot, const Sluice__V1__WatchResponse *response)
{
	for (size_t c = 0; c < response->n_changes; c++) {
		const Sluice__V1__Change *change = response->changes[c];
		for (size_t e = 0; e < change->n_events; e++) {
			const Sluice__V1__Event *event = change->events[e];
			if (event->object_case == SLUICE__V1__EVENT__OBJECT_VERSION &&
			    event->type != SLUICE__V1__EVENT_TYPE__EVENT_TYPE_DELETED) {
				consider(bot, event->version);
			}
		}
	}
}

/* Returns why it ended: SLUICE_OK on a signal. */
static int follow(struct bot *bot, uint64_t revision)
{
	Sluice__V1__EventKind kinds[] = {SLUICE__V1__EVENT_KIND__EVENT_KIND_VERSION};
	Sluice__V1__WatchRequest request = SLUICE__V1__WATCH_REQUEST__INIT;
	sluice_watch *watch = NULL;
	sluice_error error = SLUICE_ERROR_INIT;
	request.workspace = bot->workspace;
	request.from_revision = revision;
	request.kinds = kinds;
	request.n_kinds = 1;
	int code = sluice_watch_open(bot->client, &request, &watch, &error);
	while (code == SLUICE_OK && !stopping) {
		Sluice__V1__WatchResponse *response = NULL;
		code = sluice_watch_next(watch, 250, &response, &error);
		if (response != NULL) {
			consider_changes(bot, response);
			sluice_message_free(response);
		}
	}
	if (code != SLUICE_OK) {
		complain("watch", &error);
	}
	sluice_watch_close(watch);
	return code;
}

/* Somebody has renewed the certificate meanwhile. */
static bool renewed(struct bot *bot)
{
	char before[sizeof(bot->cert)];
	sluice_error error = SLUICE_ERROR_INIT;
	memcpy(before, bot->cert, sizeof(before));
	if (connect_anew(bot, &error) != SLUICE_OK) {
		complain("connect anew", &error);
		return false;
	}
	return strcmp(before, bot->cert) != 0;
}

static int run(struct bot *bot)
{
	if (!find_environments(bot)) {
		return 1;
	}
	(void)printf("promoting from %s to %s\n", bot->from, bot->to);
	(void)fflush(stdout);
	while (!stopping) {
		uint64_t revision = 0;
		if (!consider_all(bot, &revision)) {
			return 1;
		}
		int code = follow(bot, revision);
		if (code == SLUICE_UNAUTHENTICATED && renewed(bot)) {
			continue; /* and list anew: nothing is missed */
		}
		if (code != SLUICE_OK && code != SLUICE_OUT_OF_RANGE) {
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *server = argc > 1 ? argv[1] : getenv("SLUICE_SERVER");
	struct bot bot = {.server = server != NULL ? server : "127.0.0.1:7443",
			  .workspace = argc > 2 ? argv[2] : (char *)""};
	sluice_error error = SLUICE_ERROR_INIT;
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	if (connect_anew(&bot, &error) != SLUICE_OK) {
		complain("start", &error);
		return 1;
	}
	int code = run(&bot);
	sluice_client_free(bot.client);
	return code;
}
