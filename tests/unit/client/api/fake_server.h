/* fake_server: a Sluice server of a few methods that answers as the test says and remembers
 * what it was asked. Runs in a thread of its own. */
#ifndef SL_TESTS_FAKE_SERVER_H
#define SL_TESTS_FAKE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err/err.h"
#include "sluice/v1/admin.pb-c.h"

struct fake_server;

/* What a call is answered with: `code` OK or an error of that code and reason. */
struct fake_answer {
	sl_code code;
	enum sl_reason reason;
};

/* On the port, 0: any. Aborts on failure. */
struct fake_server *fake_server_start(int port);
int fake_server_port(const struct fake_server *server);
/* Streams end with UNAVAILABLE; then it is gone. NULL is fine. */
void fake_server_stop(struct fake_server *server);

/* The next answers of GetApp, Promote and WaitFor, in order; after them all is well. Any thread. */
void fake_server_answer(struct fake_server *server, const struct fake_answer *answers,
			unsigned count);
/* GetApp does not answer at all until the server stops. */
void fake_server_hold(struct fake_server *server);

/* How many calls came (GetApp, Promote, WaitFor). */
unsigned fake_server_calls(struct fake_server *server);
/* The request id of the i-th of them ("" for reads); a copy in `text`. */
#define FAKE_ID_SIZE 80
void fake_server_request_id(struct fake_server *server, unsigned i, char text[static FAKE_ID_SIZE]);

/* Watch: streams opened so far, and from which revision the i-th asked. */
unsigned fake_server_watches(struct fake_server *server);
uint64_t fake_server_watched_from(struct fake_server *server, unsigned i);
/* Each stream sends this many changes after its from_revision; the i-th then ends as ends[i]
 * says (OUT_OF_RANGE: at once, without changes), those after `count` stay open. */
void fake_server_watch_plan(struct fake_server *server, unsigned changes,
			    const struct fake_answer *ends, unsigned count);

/* Before it has read the request: this many changes from revision 1 on, and the end. */
void fake_server_watch_hastily(struct fake_server *server, unsigned changes,
			       struct fake_answer end);

/* Each backup is these messages (borrowed until the server stops), then `end`. */
void fake_server_backup_plan(struct fake_server *server, const Sluice__V1__BackupResponse *messages,
			     unsigned count, struct fake_answer end);

#endif
