#include "base/failpoint/failpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	char name[32];   /* empty: no failpoint does anything */
	char action[8];  /* crash, sleep */
	unsigned at, ms; /* the pass, or every so many of them; how long it sleeps */
} plan;
static pthread_once_t planned = PTHREAD_ONCE_INIT;
static atomic_uint passes;

static void read_plan(void)
{
	const char *text = getenv("SL_FAILPOINT");
	if (text == NULL) {
		return;
	}
	/* NOLINTBEGIN(cert-err34-c): a test wrote it; a number beyond all passes never strikes */
	int fields =
	    sscanf(text, "%31[a-z-]:%7[a-z]:%u:%u", plan.name, plan.action, &plan.at, &plan.ms);
	/* NOLINTEND(cert-err34-c) */
	bool crash = fields == 3 && strcmp(plan.action, "crash") == 0;
	bool sleeps = fields == 4 && strcmp(plan.action, "sleep") == 0;
	if ((!crash && !sleeps) || plan.at == 0) {
		(void)fprintf(stderr, "SL_FAILPOINT='%s': NAME:crash:N or NAME:sleep:N:MS\n", text);
		abort();
	}
}

static void sleep_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	while (nanosleep(&left, &left) != 0) {
	}
}

void sl_failpoint_pass(const char *name)
{
	(void)pthread_once(&planned, read_plan);
	if (strcmp(name, plan.name) != 0) {
		return;
	}
	unsigned pass = atomic_fetch_add(&passes, 1) + 1;
	bool crash = plan.action[0] == 'c';
	if (crash ? pass != plan.at : pass % plan.at != 0) {
		return;
	}
	(void)fprintf(stderr, "failpoint name=%s action=%s pass=%u\n", name, plan.action, pass);
	if (crash) {
		(void)kill(getpid(), SIGKILL);
	}
	sleep_ms(plan.ms);
}
