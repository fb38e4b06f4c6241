/* desired: what should run where, and what instances keep on disk.
 *
 * One answer for everybody who asks: manifests, status, plans, pins. Pure: works
 * on plain values that records/desired_load.h fills from a snapshot; no clock, no
 * I/O, nothing is allocated. Any thread.
 *
 * Environments are their numbers, and a number is a rank: 1 is the first step of
 * the path to users, DESIRED_ENVIRONMENTS the last, which runs what is released.
 * Versions are their numbers; 0 is none. */
#ifndef SL_SERVER_RULES_DESIRED_H
#define SL_SERVER_RULES_DESIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DESIRED_ENVIRONMENTS = 3, /* ranks 1..3 */
	DESIRED_NEWEST = 3,       /* versions in the last environment that are kept, by entry */
	DESIRED_LATEST = 2,       /* in the others: the one that is selected, the one before */
	DESIRED_KEEP_MAX = DESIRED_NEWEST + 2,
};

struct desired_version {
	uint32_t number;
	const char *id;       /* borrowed */
	uint32_t environment; /* the one that it is in */
	bool recalled;        /* a block of mode RECALL holds */
	bool blocked;         /* any block holds; a recalled version is blocked too */
	bool ready;           /* its content is READY */
	bool published;       /* it can be had through Git by what its publication says */
	/* Revision at which it came to environment [n]; 0: never, or before those that count. */
	uint64_t entered[DESIRED_ENVIRONMENTS + 1];
};

struct desired_pin {
	uint32_t environment;
	const char *instance_id; /* borrowed; "": the whole environment's */
	uint32_t version;
};

/* All that is to be known of one app. Arrays are borrowed. */
struct desired_input {
	/* By number, ascending. May lack those that came to an environment before as many eligible
	 * ones as desired_newest() says, unless something else here names them. */
	const struct desired_version *versions;
	size_t version_count;
	const struct desired_pin *pins; /* in any order; at most one per environment and instance */
	size_t pin_count;
	uint32_t released; /* what the release pointer says; 0: none */
	uint32_t previous; /* where Rollback would go (rules/releases.h); 0: nowhere */
};

/* What said so. */
enum desired_by {
	DESIRED_BY_NOTHING,      /* nothing is selected */
	DESIRED_BY_ENTRY,        /* the eligible version that entered the environment last */
	DESIRED_BY_PIN,          /* the environment's pin */
	DESIRED_BY_INSTANCE_PIN, /* the instance's own pin */
	DESIRED_BY_RELEASE,      /* the release pointer */
};

struct desired_choice {
	uint32_t selected; /* what is to be activated; 0: nothing */
	enum desired_by by;
	uint32_t idle_pin; /* a pin that has no effect since its version is not eligible (any more);
			      0: none */
	/* To be on disk, verified; no version twice. What is selected is the first. */
	uint32_t keep[DESIRED_KEEP_MAX];
	size_t keep_count;
};

/* Of the eligible versions that entered an environment last, as many are looked at. */
size_t desired_newest(uint32_t environment);

/* Why a version may not run in an environment. */
enum desired_bar {
	DESIRED_ELIGIBLE,
	DESIRED_NOT_THERE,     /* it is in an environment of lower rank */
	DESIRED_NOT_READY,     /* its content is not READY */
	DESIRED_NOT_PUBLISHED, /* beyond the first environment: it is not published in Git */
	DESIRED_RECALLED,
};

/* Eligible: its current environment has this one's rank or a higher one, it is
 * published (in the first environment: READY), and it is not recalled. */
enum desired_bar desired_bar(const struct desired_version *version, uint32_t environment);
bool desired_eligible(const struct desired_version *version, uint32_t environment);
/* For people, to follow "version v2 ": "is in development". Static. */
const char *desired_bar_text(enum desired_bar bar);

/* By number; NULL: there is none. */
const struct desired_version *desired_find(const struct desired_input *input, uint32_t number);

/* Nothing is selected: is what runs there to be taken down? In the last environment, yes: nothing
 * is released. Elsewhere, too, unless the one reason is that a version's content is not there yet:
 * then what runs may run on until it is. A recalled version never may. */
bool desired_takes_down(const struct desired_input *input, uint32_t environment);

/* What an instance of the environment runs and keeps. instance_id NULL or "": what
 * the environment does, leaving instances' own pins aside.
 *
 * Last environment: selected is the released version, whatever else is true of it
 * (a recall says itself what becomes of the pointer); pins have no effect. Keeps
 * released, previous, and of the eligible versions the newest three by entry.
 *
 * Elsewhere: the instance's pin, else the environment's, each only while its
 * version is eligible; else the eligible version that entered the environment
 * last, whatever environment it is in by now. Keeps the selected one and the one
 * before: with a pin in force the version that would be selected without it, else
 * (or when these are the same) the eligible one that entered second to last. */
void desired_choose(const struct desired_input *input, uint32_t environment,
		    const char *instance_id, struct desired_choice *ret_choice);

#endif
