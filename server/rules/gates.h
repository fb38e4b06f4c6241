/* gates: may this version take this step, and if not, why not.
 *
 * The one evaluator behind Plan, Promote, Release and Rollback. Pure: everything
 * that a gate looks at comes in as plain values (records/plans.h gathers them from
 * a snapshot), everything that it finds goes out as a list, every gate in it, in
 * the order of enum gate_kind. A gate that nothing configures is left out.
 *
 *   PROMOTE   permission, order, not-blocked, content, unchanged, contract
 *   RELEASE   permission, in-production, not-blocked, contract, prefetched
 *   ROLLBACK  permission, in-production, not-blocked, released-before
 *
 * Texts lie in the arena that the caller gives; a list whose arena has failed must
 * not be used. Any thread. */
#ifndef SL_SERVER_RULES_GATES_H
#define SL_SERVER_RULES_GATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"
#include "base/mem/arena.h"

/* Numbers are those of sluice.v1 (checked in records/plans.c). */
enum gates_action { GATES_PROMOTE = 1, GATES_RELEASE = 2, GATES_ROLLBACK = 3 };

enum gate_kind {
	GATE_PERMISSION = 1,
	GATE_ORDER = 2,
	GATE_IN_PRODUCTION = 3,
	GATE_NOT_BLOCKED = 4,
	GATE_CONTENT = 5,
	GATE_UNCHANGED = 6,
	GATE_CONTRACT = 7,
	GATE_VERIFIED = 8,
	GATE_SOAK = 9,
	GATE_CHECKS = 10,
	GATE_APPROVALS = 11,
	GATE_PREFETCHED = 12,
	GATE_FREEZE = 13,
	GATE_HOLD = 14,
	GATE_RELEASED_BEFORE = 15,
};

enum gate_state { GATE_PASS = 1, GATE_WARN = 2, GATE_WAIT = 3, GATE_BLOCK = 4 };

enum gates_content { GATES_RESOLVING = 1, GATES_READY = 2, GATES_FAILED = 3 };
enum gates_publication {
	GATES_NOT_OWED = 1,
	GATES_OWED = 2,
	GATES_PUBLISHED = 3,
	GATES_PARKED = 4
};

enum { GATES_EVIDENCE_MAX = 2, GATES_MAX = 16 };

struct gate {
	const char *id; /* "not-blocked"; static */
	enum gate_kind kind;
	enum gate_state state;
	const char *reason;                       /* names thing, value and rule */
	const char *cleared_by;                   /* ""; or who or what can clear it */
	uint64_t clears_at_ms;                    /* 0: not known, or it lets through */
	const char *evidence[GATES_EVIDENCE_MAX]; /* "commit=3f2a..." */
	size_t evidence_count;
};

struct gates {
	struct gate items[GATES_MAX];
	size_t count;
};

/* An environment as gates see it. */
struct gates_environment {
	uint32_t rank;    /* 0: none */
	const char *name; /* "staging" */
};

/* What gates look at. Strings are never NULL but where it says so, and borrowed for
 * as long as the gates are used. */
struct gates_input {
	enum gates_action action;
	const char *version_id, *version; /* id, name */
	struct gates_environment source;  /* the one that it is in */
	struct gates_environment next;    /* the one after it; rank 0: it is in the last */
	struct gates_environment target;  /* the one that the act is about */

	const char *verb; /* of the right that the act takes, "promote"; NULL: it takes none */
	const char *principal, *app; /* who asks, for what: name, slug */
	bool permitted;
	const char *const *holders; /* when it is not: who may act, the first by name */
	size_t holder_count;        /* of those named */
	size_t holder_total;        /* of all */

	bool blocked;
	bool recalled; /* the block's mode is RECALL */
	const char *block_reason, *blocked_by;

	enum gates_content content;
	bool content_retries;       /* FAILED, and tried again by itself */
	const char *content_reason; /* "BRANCH_NOT_FOUND"; "" */
	const char *content_text;   /* the same for people; "" */
	uint64_t content_next_ms;   /* next attempt; 0: not known */
	const char *commit;         /* hex; "" */
	struct sl_bytes digest;     /* size 0: not known */

	enum gates_publication publication;
	const char *tag;              /* "refs/tags/..."; "" */
	const char *published_commit; /* hex; "" */
	const char *publish_text;     /* why the last attempt failed; "" */
	uint32_t publish_attempts;
	uint64_t publish_next_ms; /* next attempt; 0: not known */

	const char *base; /* name of the version it derives from; NULL: none, or it is gone */
	struct sl_bytes base_digest; /* size 0: not known */

	size_t required; /* things that it requires of its environment (sluice.json); 0: none */
	const char *const *lacking; /* "secret KEY": of those that the target lacks, the first */
	size_t lacking_count;       /* of those named */
	bool contract_blocks;       /* the target's policy: it holds back, and does not only warn */
	size_t lacking_total;       /* of all */

	uint32_t instances; /* RELEASE: of the target that the app is placed on */
	uint32_t staged;    /* of those, with the version on disk, verified */

	bool released_before; /* ROLLBACK */
};

/* Fills *ret_gates; false when the arena has failed. */
bool gates_evaluate(const struct gates_input *input, struct sl_arena *arena,
		    struct gates *ret_gates);

bool gate_lets_through(const struct gate *gate); /* PASS or WARN */
bool gates_allow(const struct gates *gates);     /* all of them do */

/* The plan hash: BLAKE2b-256 over
 *
 *   "sluice-plan-1"     13 bytes
 *   action              4 bytes, as all numbers big-endian
 *   version id          length (4 bytes), bytes
 *   digest              length (4 bytes; 0: not known), bytes
 *   source, target      rank of each, 4 bytes
 *   number of gates     4 bytes
 *   for each, in order: id (length 4 bytes, bytes), state (4 bytes)
 *   policy revision     8 bytes; 0 as long as there are no policies
 *
 * Times, texts and evidence are left out: a plan holds until what it says changes. */
void gates_plan_hash(const struct gates_input *input, const struct gates *gates,
		     uint64_t policy_revision, uint8_t ret_hash[static SL_HASH_BYTES]);

#endif
