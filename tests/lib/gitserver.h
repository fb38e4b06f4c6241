/* gitserver: a Git host for tests: every repository below one folder, over
 * git:// (git daemon) or smart HTTP and HTTPS (nginx, fcgiwrap, git http-backend),
 * on a loopback port. Anybody may push. Trouble of the test itself aborts with a
 * message. Threads: one at a time per server. */
#ifndef SL_TESTS_GITSERVER_H
#define SL_TESTS_GITSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gitserver_kind { GITSERVER_GIT, GITSERVER_HTTP, GITSERVER_HTTPS };

struct gitserver_options {
	enum gitserver_kind kind;
	const char *root;     /* folder with the bare repositories; copied */
	const char *user;     /* HTTP: who may come at all; NULL: everybody */
	const char *password; /* its password */
	const char
	    *reader; /* HTTP: who may come with the same password, and not push; NULL: nobody */
	const char *names; /* HTTPS: what the certificate is for; NULL: "DNS:localhost" */
};

struct gitserver;

/* Starts it and waits until it answers. */
struct gitserver *gitserver_new(const struct gitserver_options *options);
/* Ends what was started. NULL is fine. */
void gitserver_free(struct gitserver *server);

/* "git://127.0.0.1:PORT/NAME", "http://..." or "https://localhost:PORT/NAME", for a repository
 * `name` below root. Returns `url`.
 */
#define GITSERVER_URL_SIZE 300
char *gitserver_url(const struct gitserver *server, const char *name,
		    char url[static GITSERVER_URL_SIZE]);
uint16_t gitserver_port(const struct gitserver *server);

/* HTTPS (TLS 1.3 only): the certificate, which is its own authority; the caller frees it. */
char *gitserver_ca_pem(const struct gitserver *server);

/* Away: nobody listens on the port. start: back, on the same port. */
void gitserver_stop(struct gitserver *server);
void gitserver_start(struct gitserver *server);

/* Stalled: connections are taken and nothing is answered, until it goes on. */
void gitserver_pause(struct gitserver *server);
void gitserver_resume(struct gitserver *server);

/* A loopback port at which nobody listens now. */
uint16_t gitserver_free_port(void);
/* Until somebody listens there; false: nobody in time. */
bool gitserver_wait(uint16_t port, unsigned timeout_ms);

#endif
