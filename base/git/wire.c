#include "base/git/wire_internal.h"

#include <git2/sys/stream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/git/url_internal.h"
#include "base/tls/dial.h"

enum { WAIT_MS = 30000 }; /* the job's deadline is the other bound */

/* Of the one job of this process. */
static struct wire {
	struct url url;
	struct tls_trust *trust; /* NULL: http */
	enum git_failure refused;
	char why[256];
} wire;

struct stream {
	git_stream base; /* first: libgit2 hands us this */
	struct tls_dial *dial;
	char *host, *port; /* owned */
	git_cert_x509 cert;
};

static int fail(enum git_failure failure, const char *why)
{
	wire.refused = failure;
	(void)snprintf(wire.why, sizeof(wire.why), "%s", why);
	git_error_set_str(GIT_ERROR_NET, wire.why);
	return -1;
}

enum git_failure wire_refused(char *why, size_t room)
{
	enum git_failure refused = wire.refused;
	if (refused != GIT_OK) {
		(void)snprintf(why, room, "%s", wire.why);
	}
	wire.refused = GIT_OK;
	return refused;
}

static bool is_host_of_job(const struct stream *s)
{
	char port[8];
	(void)snprintf(port, sizeof(port), "%u", wire.url.port);
	return strcmp(s->host, wire.url.host) == 0 && strcmp(s->port, port) == 0 &&
	       (s->base.encrypted != 0) == (wire.trust != NULL);
}

static int on_connect(git_stream *base)
{
	struct stream *s = (struct stream *)(void *)base;
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (!is_host_of_job(s)) {
		char why[200];
		(void)snprintf(why, sizeof(why),
			       "the host sends us to '%.100s' port %.8s%s, where no credentials go",
			       s->host, s->port, s->base.encrypted ? "" : " without TLS");
		return fail(GIT_REPOSITORY_MOVED, why);
	}
	const struct tls_dial_options options = {
	    .host = s->host, .port = s->port, .trust = wire.trust, .wait_ms = WAIT_MS};
	sl_code code = tls_dial_new(&options, &s->dial, &err);
	if (code == SL_OK) {
		return 0;
	}
	return fail(code == SL_UNAUTHENTICATED ? GIT_CERTIFICATE_REFUSED
					       : GIT_REPOSITORY_UNREACHABLE,
		    err.msg);
}

static int on_certificate(git_cert **ret_cert, git_stream *base)
{
	struct stream *s = (struct stream *)(void *)base;
	struct sl_bytes der = tls_dial_certificate(s->dial);
	s->cert = (git_cert_x509){.parent.cert_type = GIT_CERT_X509,
				  .data = (void *)(uintptr_t)der.data,
				  .len = der.size};
	*ret_cert = &s->cert.parent;
	return 0;
}

static ssize_t on_read(git_stream *base, void *out, size_t size)
{
	struct stream *s = (struct stream *)(void *)base;
	ptrdiff_t got = tls_dial_read(s->dial, out, size);
	return got >= 0 ? got
			: fail(GIT_REPOSITORY_UNREACHABLE,
			       "the connection broke, or nothing came for 30 s");
}

static ssize_t on_write(git_stream *base, const char *data, size_t size, int flags)
{
	struct stream *s = (struct stream *)(void *)base;
	(void)flags;
	ptrdiff_t sent = tls_dial_write(s->dial, data, size);
	return sent >= 0 ? sent
			 : fail(GIT_REPOSITORY_UNREACHABLE,
				"the connection broke, or nothing was taken for 30 s");
}

static int on_close(git_stream *base)
{
	struct stream *s = (struct stream *)(void *)base;
	tls_dial_free(SL_TAKE(s->dial));
	return 0;
}

static void on_free(git_stream *base)
{
	struct stream *s = (struct stream *)(void *)base;
	(void)on_close(base);
	free(s->host);
	free(s->port);
	free(s);
}

static int stream_new(git_stream **ret_stream, const char *host, const char *port, bool encrypted)
{
	struct stream *s = calloc(1, sizeof(*s));
	if (s == NULL || (s->host = strdup(host)) == NULL || (s->port = strdup(port)) == NULL) {
		if (s != NULL) {
			on_free(&s->base);
		}
		git_error_set_oom();
		return -1;
	}
	s->base = (git_stream){
	    .version = GIT_STREAM_VERSION,
	    .encrypted = encrypted,
	    .connect = on_connect,
	    .certificate = on_certificate,
	    .read = on_read,
	    .write = on_write,
	    .close = on_close,
	    .free = on_free,
	};
	*ret_stream = &s->base;
	return 0;
}

static int on_tls(git_stream **ret_stream, const char *host, const char *port)
{
	return stream_new(ret_stream, host, port, true);
}

static int on_plain(git_stream **ret_stream, const char *host, const char *port)
{
	return stream_new(ret_stream, host, port, false);
}

bool wire_open(struct work *work)
{
	static git_stream_registration tls = {.version = GIT_STREAM_VERSION, .init = on_tls};
	static git_stream_registration plain = {.version = GIT_STREAM_VERSION, .init = on_plain};
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	if (url_parse(work->job->url, &wire.url, NULL) != SL_OK ||
	    (wire.url.scheme != URL_HTTPS && wire.url.scheme != URL_HTTP)) {
		return true; /* ssh takes libgit2's own sockets for granted */
	}
	if (wire.url.scheme == URL_HTTPS &&
	    tls_trust_new(work->job->login.ca_pem, &wire.trust, &err) != SL_OK) {
		(void)work_fail(work, GIT_CERTIFICATE_REFUSED, "'%s': %s", work->url, err.msg);
		return false;
	}
	if (git_stream_register(GIT_STREAM_TLS, &tls) != 0 ||
	    git_stream_register(GIT_STREAM_STANDARD, &plain) != 0) {
		(void)work_fail(work, GIT_WORKER_FAILED, "libgit2 takes no streams");
		return false;
	}
	return true;
}
