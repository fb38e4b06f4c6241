#include "tests/bench/calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/id/id.h"
#include "tests/bench/calls_internal.h"
#include "tests/bench/die.h"
#include "tests/bench/seed.h"

const unsigned round_keys[ROUND_STEPS] = {
    [ROUND_CREATE] = 7,
    [ROUND_STAGING] = 7,
    [ROUND_PRODUCTION] = 6,
    [ROUND_RELEASE] = 5,
};

struct calls *calls_new(const char *name, int port, unsigned connections, unsigned outstanding)
{
	struct calls *calls = need(calloc(1, sizeof(*calls)));
	calls->slots = need(calloc(outstanding, sizeof(*calls->slots)));
	calls->target = (struct load_target){
	    .name = name,
	    .port = port,
	    .connections = connections,
	    .outstanding = outstanding,
	    .ctx = calls,
	};
	calls->apps = SEED_APPS;
	calls->versions = SEED_VERSIONS;
	(void)snprintf(calls->run, sizeof(calls->run), "%.6s", sl_id_new("run").text + 4);
	return calls;
}

void calls_pack(struct load_request *request, unsigned method, const ProtobufCMessage *message)
{
	request->method = method;
	if (protobuf_c_message_get_packed_size(message) > sizeof(request->data)) {
		die("a request is larger than %zu bytes", sizeof(request->data));
	}
	request->size = protobuf_c_message_pack(message, request->data);
}

uint64_t calls_spread(uint64_t n)
{
	n = (n ^ (n >> 31)) * 0x9e3779b97f4a7c15u;
	return n ^ (n >> 29);
}

void calls_on_shape(struct calls *calls, unsigned apps, unsigned versions)
{
	calls->apps = apps;
	calls->versions = versions;
}

uint64_t calls_made(const struct calls *calls)
{
	return calls->count;
}

struct load_target *calls_target(struct calls *calls)
{
	return &calls->target;
}

void calls_free(struct calls *calls)
{
	if (calls != NULL) {
		free(calls->slots);
		free(calls);
	}
}
