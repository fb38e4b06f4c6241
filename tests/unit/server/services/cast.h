/* cast: a world with an app that has a version in each environment, and people: whoever comes,
 * calls what is tried. */
#ifndef SL_TESTS_CAST_H
#define SL_TESTS_CAST_H

#include "tests/unit/server/services/calls.h"

/* A request of a method, and where its verb counts for it. */
struct sample {
	const char *method, *fields;
	const char *environment; /* "": any, or all of them; NULL: none, see the row's scope */
	bool bare;               /* needs parts that are not here: only refusals are tried */
};

struct cast {
	struct world *w;
	struct access *closed; /* asks for certificates */
	struct rpc_peer_identity peer;
	uint32_t acme;
};

void cast_begin(struct cast *c);
void cast_end(struct cast *c);

/* Calls come from the holder of a certificate for this subject from now on. Its identity's id. */
const char *cast_come_as(struct cast *c, uint32_t workspace, const char *subject, bool agent,
			 bool revoked);
/* A principal with these grants, and its certificate. Its id. */
const char *cast_come_with(struct cast *c, uint32_t workspace, const char *const *grants,
			   size_t count);

sl_code cast_try(struct cast *c, const struct sample *sample);
/* What the last call came to; `who` is for the message. */
void cast_must_be(const struct cast *c, const struct sample *sample, const char *who, sl_code code,
		  enum sl_reason reason);
/* The store's revision. */
uint64_t cast_head(struct cast *c);

#endif
