#include "server/metrics/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem/own.h"
#include "server/metrics/metrics_internal.h"

#define CONNECTIONS_MAX 16
#define IDLE_SECONDS 10

struct metrics_value {
	struct metrics_value *next;
	const struct metrics_family *family; /* borrowed, like the labels */
	const struct metrics_label *labels;
	size_t label_count;
	_Atomic int64_t number;
};

struct collector {
	struct collector *next;
	metrics_collect_fn *collect;
	void *ctx; /* borrowed */
};

struct metrics {
	struct MHD_Daemon *daemon;
	int port;
	atomic_bool ready;
	struct metrics_calls *calls;
	pthread_mutex_t lock; /* guards the two list heads; what they lead to stays as it is */
	struct metrics_value *values; /* owned */
	struct collector *collectors; /* owned */
};

SL_DEFINE_AUTO(struct metrics *, metrics_free);

/* --- the page ------------------------------------------------------------------------ */

static void add_values(const struct metrics_value *value, struct metrics_page *page)
{
	for (; value != NULL; value = value->next) {
		metrics_page_sample(
		    page, value->family, value->labels, value->label_count,
		    (double)atomic_load_explicit(&value->number, memory_order_relaxed));
	}
}

static bool write_page(struct metrics *metrics, struct sl_buf *out)
{
	pthread_mutex_lock(&metrics->lock);
	const struct metrics_value *values = metrics->values;
	const struct collector *collectors = metrics->collectors;
	pthread_mutex_unlock(&metrics->lock);
	struct metrics_page page = {0};
	metrics_calls_collect(metrics->calls, &page);
	add_values(values, &page);
	for (; collectors != NULL; collectors = collectors->next) {
		collectors->collect(collectors->ctx, &page);
	}
	bool whole = metrics_page_write(&page, out);
	metrics_page_fini(&page);
	return whole;
}

/* --- HTTP ----------------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
			      struct sl_bytes body)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(body.size, (void *)body.data, MHD_RESPMEM_MUST_COPY);
	if (response == NULL) {
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	enum MHD_Result result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
				   const char *text)
{
	return answer(connection, status, "text/plain; charset=utf-8", sl_bytes_text(text));
}

static enum MHD_Result answer_page(struct metrics *metrics, struct MHD_Connection *connection)
{
	SL_AUTO(sl_buf_fini) struct sl_buf page = {0};
	if (!write_page(metrics, &page)) {
		return answer_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	}
	return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
		      sl_buf_bytes(&page));
}

/* NOLINTNEXTLINE(readability-function-size): microhttpd's signature */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *body,
				  size_t *body_size, void **state)
{
	struct metrics *metrics = ctx;
	(void)version;
	(void)body;
	(void)state;
	*body_size = 0; /* nothing here takes one */
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	}
	if (strcmp(url, "/metrics") == 0) {
		return answer_page(metrics, connection);
	}
	if (strcmp(url, "/healthz") == 0) {
		return answer_text(connection, MHD_HTTP_OK, "ok\n");
	}
	if (strcmp(url, "/readyz") == 0) {
		bool ready = atomic_load(&metrics->ready);
		return answer_text(connection, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
				   ready ? "ready\n" : "not ready\n");
	}
	return answer_text(connection, MHD_HTTP_NOT_FOUND,
			   "there are /metrics, /healthz and /readyz\n");
}

/* --- life ------------------------------------------------------------------------------ */

union address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

/* "127.0.0.1:9443" or "[::1]:9443": numeric, and nothing that others could reach. */
static bool parse_loopback(const char *listen, union address *ret_address)
{
	char host[64];
	const char *colon = strrchr(listen, ':');
	if (colon == NULL || (size_t)(colon - listen) >= sizeof(host) || colon[1] < '0' ||
	    colon[1] > '9') {
		return false;
	}
	char *end = NULL;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port > UINT16_MAX) {
		return false;
	}
	(void)snprintf(host, sizeof(host), "%.*s", (int)(colon - listen), listen);
	*ret_address = (union address){0};
	if (inet_pton(AF_INET, host, &ret_address->in4.sin_addr) == 1) {
		ret_address->in4.sin_family = AF_INET;
		ret_address->in4.sin_port = htons((uint16_t)port);
		return ntohl(ret_address->in4.sin_addr.s_addr) >> 24 == 127;
	}
	size_t length = strlen(host);
	if (length < 2 || host[0] != '[' || host[length - 1] != ']') {
		return false;
	}
	host[length - 1] = '\0';
	ret_address->in6.sin6_family = AF_INET6;
	ret_address->in6.sin6_port = htons((uint16_t)port);
	return inet_pton(AF_INET6, host + 1, &ret_address->in6.sin6_addr) == 1 &&
	       IN6_IS_ADDR_LOOPBACK(&ret_address->in6.sin6_addr);
}

/* Returns the listening socket, or -1 with errno; *address is what it is bound to. */
static int open_listener(union address *address)
{
	socklen_t size =
	    address->any.sa_family == AF_INET ? sizeof(address->in4) : sizeof(address->in6);
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -1;
	}
	const int on = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &address->any, size) != 0 || listen(fd, CONNECTIONS_MAX) != 0 ||
	    getsockname(fd, &address->any, &size) != 0) {
		int failed = errno;
		(void)close(fd);
		errno = failed;
		return -1;
	}
	return fd;
}

static sl_code start(struct metrics *metrics, const char *listen, struct sl_err *err)
{
	union address address;
	if (!parse_loopback(listen, &address)) {
		return sl_err_because(
		    err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
		    "metrics address '%s' must be a loopback IP address and a port, "
		    "like 127.0.0.1:9443",
		    listen);
	}
	int fd = open_listener(&address);
	if (fd < 0) {
		return sl_err_set(err, SL_UNAVAILABLE, "cannot listen on '%s' for metrics: %s",
				  listen, strerror(errno));
	}
	metrics->port =
	    ntohs(address.any.sa_family == AF_INET ? address.in4.sin_port : address.in6.sin6_port);
	metrics->daemon =
	    MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0, NULL,
			     NULL, on_request, metrics, MHD_OPTION_LISTEN_SOCKET, fd,
			     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
			     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_END);
	if (metrics->daemon == NULL) {
		(void)close(fd);
		return sl_err_set(err, SL_INTERNAL, "cannot start the metrics server on '%s'",
				  listen);
	}
	return SL_OK;
}

sl_code metrics_new(const char *listen, struct metrics **ret_metrics, struct sl_err *err)
{
	SL_AUTO(metrics_free_auto) struct metrics *metrics = calloc(1, sizeof(*metrics));
	if (metrics == NULL) {
		return sl_err_no_memory(err);
	}
	pthread_mutex_init(&metrics->lock, NULL);
	metrics->calls = metrics_calls_new();
	if (metrics->calls == NULL) {
		return sl_err_no_memory(err);
	}
	sl_code code = start(metrics, listen, err);
	if (code != SL_OK) {
		return code;
	}
	*ret_metrics = SL_TAKE(metrics);
	return SL_OK;
}

int metrics_port(const struct metrics *metrics)
{
	return metrics->port;
}

void metrics_free(struct metrics *metrics)
{
	if (metrics == NULL) {
		return;
	}
	if (metrics->daemon != NULL) {
		MHD_stop_daemon(metrics->daemon); /* joins its thread, closes the socket */
	}
	while (metrics->values != NULL) {
		struct metrics_value *value = metrics->values;
		metrics->values = value->next;
		free(value);
	}
	while (metrics->collectors != NULL) {
		struct collector *collector = metrics->collectors;
		metrics->collectors = collector->next;
		free(collector);
	}
	metrics_calls_free(metrics->calls);
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

void metrics_set_ready(struct metrics *metrics, bool ready)
{
	atomic_store(&metrics->ready, ready);
}

/* --- what is counted --------------------------------------------------------------------- */

struct metrics_value *metrics_value_new(struct metrics *metrics,
					const struct metrics_family *family,
					const struct metrics_label *labels, size_t label_count)
{
	struct metrics_value *value = calloc(1, sizeof(*value));
	if (value == NULL) {
		return NULL;
	}
	value->family = family;
	value->labels = labels;
	value->label_count = label_count;
	pthread_mutex_lock(&metrics->lock);
	value->next = metrics->values;
	metrics->values = value;
	pthread_mutex_unlock(&metrics->lock);
	return value;
}

void metrics_value_add(struct metrics_value *value, int64_t by)
{
	if (value != NULL) {
		atomic_fetch_add_explicit(&value->number, by, memory_order_relaxed);
	}
}

void metrics_value_set(struct metrics_value *value, int64_t to)
{
	if (value != NULL) {
		atomic_store_explicit(&value->number, to, memory_order_relaxed);
	}
}

void metrics_call(struct metrics *metrics, const char *method, bool is_stream, sl_code code,
		  uint64_t microseconds)
{
	metrics_calls_count(metrics->calls, method, is_stream, code, microseconds);
}

sl_code metrics_collect(struct metrics *metrics, metrics_collect_fn *collect, void *ctx,
			struct sl_err *err)
{
	struct collector *collector = calloc(1, sizeof(*collector));
	if (collector == NULL) {
		return sl_err_no_memory(err);
	}
	*collector = (struct collector){.collect = collect, .ctx = ctx};
	pthread_mutex_lock(&metrics->lock);
	collector->next = metrics->collectors;
	metrics->collectors = collector;
	pthread_mutex_unlock(&metrics->lock);
	return SL_OK;
}
