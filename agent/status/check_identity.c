/* Who the agent is: DIR/identity, made by `sluice-agent enroll`. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/status/check.h"
#include "base/clock/clock.h"
#include "base/mem/own.h"
#include "base/tls/tls.h"

bool check_has_identity(const char *dir)
{
	SL_AUTO(sl_free_auto) char *path = NULL;
	struct stat found;
	if (asprintf(&path, "%s/identity", dir) < 0) {
		path = NULL;
		return false;
	}
	return lstat(path, &found) == 0;
}

/* The key lies in it: it is for the agent's user alone. */
static bool check_mode(struct check *check, const char *path, const struct stat *found)
{
	unsigned mode = (unsigned)found->st_mode & 07777u;
	if (!S_ISREG(found->st_mode)) {
		check_say(check, CHECK_FAIL, "identity", "'%s' is no file of its own", path);
		return false;
	}
	if ((mode & 077u) != 0) {
		check_say(check, CHECK_FAIL, "identity",
			  "'%s' has mode %04o: others can reach the key, it must be 0600", path,
			  mode);
	}
	if (found->st_uid != geteuid()) {
		check_say(check, CHECK_FAIL, "identity",
			  "'%s' is of user %u, and this is user %u: run this as the agent's user",
			  path, (unsigned)found->st_uid, (unsigned)geteuid());
	}
	return true;
}

static void check_dates(struct check *check, const struct identity *identity)
{
	uint64_t now = sl_clock_unix_ms();
	char until[SL_CLOCK_TEXT_SIZE], due[SL_CLOCK_TEXT_SIZE];
	(void)sl_clock_text(until, identity->not_after_ms);
	if (identity_is_over(identity, now)) {
		check_say(check, CHECK_FAIL, "identity",
			  "the certificate ended at %s: a running agent renews it at the door %s, "
			  "for 90 days; after that: sluice instance rejoin %s",
			  until, identity->door, identity->instance);
		return;
	}
	bool late = identity_is_due(identity, now);
	check_say(check, late ? CHECK_WARN : CHECK_OK, "identity",
		  "instance %s (%s), identity %s, certificate until %s, %s %s", identity->instance,
		  identity->environment, identity->identity_id, until,
		  late ? "to be renewed since" : "renewed from",
		  sl_clock_text(due, identity_due_ms(identity)));
}

/* What the agent goes by is in its state once it has run. */
static void check_pins(struct check *check, const struct identity *identity)
{
	const struct state_trust *trust = &check->state->trust;
	uint32_t epoch = trust->epoch != 0 ? trust->epoch : identity->key_epoch;
	bool recovery = trust->recovery_known || identity->recovery_known;
	if (epoch == 0) {
		check_say(
		    check, CHECK_FAIL, "pins",
		    "no manifest key is pinned: what a server with keys says is not believed; "
		    "enrol again, or run with --manifest-key");
		return;
	}
	check_say(check, recovery ? CHECK_OK : CHECK_WARN, "pins", "manifest key of epoch %u%s%s",
		  epoch,
		  recovery ? ", recovery key"
			   : "; no recovery key: a lost manifest key has to be pinned by hand",
		  trust->release_known ? ", release key" : "");
}

void check_identity(struct check *check)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_free_auto) char *path = NULL;
	struct stat found;
	if (asprintf(&path, "%s/identity", check->dir) < 0) {
		path = NULL;
		return;
	}
	if (lstat(path, &found) != 0) {
		bool none = errno == ENOENT;
		check_say(check, none ? CHECK_WARN : CHECK_FAIL, "identity", "'%s': %s", path,
			  none ? "the agent has not enrolled" : strerror(errno));
		return;
	}
	if (!check_mode(check, path, &found)) {
		return;
	}
	if (identity_load(check->dir, &check->identity, &err) != SL_OK) {
		check_say(check, CHECK_FAIL, "identity", "%s", err.msg);
		return;
	}
	check_dates(check, check->identity);
	check_pins(check, check->identity);
}
