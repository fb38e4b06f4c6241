/* Shared by the targets; see calls.h. */
#ifndef SL_BENCH_CALLS_INTERNAL_H
#define SL_BENCH_CALLS_INTERNAL_H

#include <protobuf-c/protobuf-c.h>

#include "tests/bench/calls.h"

struct calls {
	struct load_target target;
	struct calls_slot {
		unsigned step;   /* of the round */
		unsigned app;    /* sluiced: the slot's app of this round */
		uint64_t rounds; /* begun */
	} * slots;
	uint64_t count;          /* requests made */
	size_t bytes;            /* of a change's value */
	unsigned apps, versions; /* of the seeded store */
	char run[16];            /* makes names and request ids of this object unlike all others */
};

struct calls *calls_new(const char *name, int port, unsigned connections, unsigned outstanding);
/* Packs the message as the request of target.methods[method]. */
void calls_pack(struct load_request *request, unsigned method, const ProtobufCMessage *message);
/* The same sequence in every run; evenly spread. */
uint64_t calls_spread(uint64_t n);

#endif
