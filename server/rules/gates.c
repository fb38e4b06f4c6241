#include "server/rules/gates.h"

/* What is being filled. */
struct evaluation {
	const struct gates_input *in;
	struct sl_arena *arena;
	struct gates *gates;
};

/* A gate with `reason` made by sl_arena_printf(); it lets through until told otherwise. */
static struct gate *add(struct evaluation *e, enum gate_kind kind, const char *id,
			enum gate_state state, const char *reason)
{
	struct gate *gate = &e->gates->items[e->gates->count++];
	*gate = (struct gate){
	    .id = id, .kind = kind, .state = state, .reason = reason, .cleared_by = ""};
	return gate;
}

static void evidence(struct evaluation *e, struct gate *gate, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0' && gate->evidence_count < GATES_EVIDENCE_MAX) {
		gate->evidence[gate->evidence_count++] =
		    sl_arena_printf(e->arena, "%s=%s", name, value);
	}
}

static void evidence_digest(struct evaluation *e, struct gate *gate)
{
	char hex[2 * SL_HASH_BYTES + 1] = "";
	if (e->in->digest.size == SL_HASH_BYTES) {
		(void)sl_hex(hex, e->in->digest.data, e->in->digest.size);
	}
	evidence(e, gate, "digest", hex);
}

/* --- any act: who ------------------------------------------------------------ */

/* "3 who may: ann, bob, carol" */
static const char *holders_text(const struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->holder_total == 0) {
		return "nobody has that right: an administrator can grant it";
	}
	const char *names = "";
	for (size_t i = 0; names != NULL && i < in->holder_count; i++) {
		names =
		    sl_arena_printf(e->arena, "%s%s%s", names, i > 0 ? ", " : "", in->holders[i]);
	}
	return sl_arena_printf(e->arena, "%zu who may: %s%s", in->holder_total, names,
			       in->holder_count < in->holder_total ? ", ..." : "");
}

static void permission(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->verb == NULL) {
		return;
	}
	struct gate *gate = add(
	    e, GATE_PERMISSION, "permission", in->permitted ? GATE_PASS : GATE_BLOCK,
	    sl_arena_printf(e->arena, "'%s' %s the right to %s app %s in %s", in->principal,
			    in->permitted ? "has" : "lacks", in->verb, in->app, in->target.name));
	gate->cleared_by = in->permitted ? "" : holders_text(e);
}

/* --- promote ---------------------------------------------------------------- */

static void order(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->target.rank == in->next.rank && in->next.rank != 0) {
		add(e, GATE_ORDER, "order", GATE_PASS,
		    sl_arena_printf(e->arena, "%s comes right after %s", in->target.name,
				    in->source.name));
		return;
	}
	if (in->target.rank <= in->source.rank) {
		struct gate *gate =
		    add(e, GATE_ORDER, "order", GATE_BLOCK,
			sl_arena_printf(
			    e->arena, "version %s is in %s already, and there is no way back to %s",
			    in->version, in->source.name, in->target.name));
		gate->cleared_by = "nobody: there is no demotion";
		return;
	}
	struct gate *gate = add(
	    e, GATE_ORDER, "order", GATE_BLOCK,
	    sl_arena_printf(e->arena,
			    "version %s is in %s, and from there the one step is to %s, not to %s",
			    in->version, in->source.name, in->next.name, in->target.name));
	gate->cleared_by = sl_arena_printf(e->arena, "promoting it to %s first", in->next.name);
}

static void content_ready(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->content == GATES_READY) {
		struct gate *gate = add(
		    e, GATE_CONTENT, "content", GATE_PASS,
		    sl_arena_printf(e->arena, "the content of version %s is READY", in->version));
		evidence(e, gate, "commit", in->commit);
		evidence_digest(e, gate);
		return;
	}
	bool clears_itself = in->content == GATES_RESOLVING || in->content_retries;
	const char *reason =
	    in->content == GATES_RESOLVING
		? sl_arena_printf(e->arena,
				  "the content of version %s is still being looked up in Git",
				  in->version)
		: sl_arena_printf(e->arena, "the content of version %s could not be had: %s%s%s",
				  in->version, in->content_reason,
				  in->content_text[0] != '\0' ? ": " : "", in->content_text);
	struct gate *gate =
	    add(e, GATE_CONTENT, "content", clears_itself ? GATE_WAIT : GATE_BLOCK, reason);
	gate->cleared_by = clears_itself
			       ? "the next attempt, by itself"
			       : "mending what is wrong, then setting the version's content";
	gate->clears_at_ms = clears_itself ? in->content_next_ms : 0;
	evidence(e, gate, "reason", in->content_reason);
}

/* The tag is owed and being tried, or parked. */
static void content_owed(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	bool parked = in->publication == GATES_PARKED;
	const char *how = in->publish_attempts == 0 ? "not tried yet" : in->publish_text;
	struct gate *gate =
	    add(e, GATE_CONTENT, "content", parked ? GATE_BLOCK : GATE_WAIT,
		sl_arena_printf(e->arena, "version %s is not published: %s is %s (%u attempts%s%s)",
				in->version, in->tag,
				parked ? "refused by the Git host" : "still owed to Git",
				in->publish_attempts, how[0] != '\0' ? ": " : "", how));
	gate->cleared_by = parked ? "mending what the Git host refuses, then RefreshRepository"
				  : "the next attempt, by itself";
	gate->clears_at_ms = parked ? 0 : in->publish_next_ms;
	evidence(e, gate, "tag", in->tag);
}

static void content_published(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->publication == GATES_PUBLISHED) {
		struct gate *gate =
		    add(e, GATE_CONTENT, "content", GATE_PASS,
			sl_arena_printf(e->arena, "version %s is published in Git", in->version));
		evidence(e, gate, "commit", in->published_commit);
		evidence_digest(e, gate);
		return;
	}
	if (in->publication == GATES_NOT_OWED) {
		struct gate *gate =
		    add(e, GATE_CONTENT, "content", GATE_BLOCK,
			sl_arena_printf(e->arena,
					"version %s is a draft: nothing of it is published in Git",
					in->version));
		gate->cleared_by = "sealing it, or promoting it out of the first environment";
		return;
	}
	content_owed(e);
}

static void content(struct evaluation *e)
{
	if (e->in->target.rank > 2) {
		content_published(e);
	} else {
		content_ready(e);
	}
}

static void unchanged(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->base == NULL) {
		add(e, GATE_UNCHANGED, "unchanged", GATE_PASS,
		    sl_arena_printf(e->arena, "version %s derives from no other that is there",
				    in->version));
		return;
	}
	if (in->digest.size == 0 || in->base_digest.size == 0) {
		add(e, GATE_UNCHANGED, "unchanged", GATE_PASS,
		    sl_arena_printf(e->arena,
				    "versions %s and %s cannot be compared before both are READY",
				    in->version, in->base));
		return;
	}
	if (!sl_bytes_equal(in->digest, in->base_digest)) {
		add(e, GATE_UNCHANGED, "unchanged", GATE_PASS,
		    sl_arena_printf(e->arena, "version %s differs from %s, which it derives from",
				    in->version, in->base));
		return;
	}
	struct gate *gate =
	    add(e, GATE_UNCHANGED, "unchanged", GATE_WARN,
		sl_arena_printf(e->arena,
				"version %s has the very content of %s, which it derives from",
				in->version, in->base));
	evidence_digest(e, gate);
}

/* --- any act ---------------------------------------------------------------- */

/* "secret KEY, data source main (postgres) and 2 more" */
static const char *lacking_text(const struct evaluation *e)
{
	const struct gates_input *in = e->in;
	const char *text = "";
	for (size_t i = 0; text != NULL && i < in->lacking_count; i++) {
		text = sl_arena_printf(e->arena, "%s%s%s", text, i > 0 ? ", " : "", in->lacking[i]);
	}
	return in->lacking_count == in->lacking_total
		   ? text
		   : sl_arena_printf(e->arena, "%s and %zu more", text,
				     in->lacking_total - in->lacking_count);
}

static void contract(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->required == 0) {
		return;
	}
	if (in->lacking_total == 0) {
		add(e, GATE_CONTRACT, "contract", GATE_PASS,
		    sl_arena_printf(e->arena, "%s has all %zu that version %s requires",
				    in->target.name, in->required, in->version));
		return;
	}
	struct gate *gate =
	    add(e, GATE_CONTRACT, "contract", in->contract_blocks ? GATE_BLOCK : GATE_WARN,
		sl_arena_printf(e->arena, "%s lacks what version %s requires: %s", in->target.name,
				in->version, lacking_text(e)));
	gate->cleared_by = sl_arena_printf(
	    e->arena, "setting it in %s; the app is not ready there before", in->target.name);
	evidence(e, gate, "lacking",
		 sl_arena_printf(e->arena, "%zu/%zu", in->lacking_total, in->required));
}

static void not_blocked(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (!in->blocked) {
		add(e, GATE_NOT_BLOCKED, "not-blocked", GATE_PASS,
		    sl_arena_printf(e->arena, "nothing blocks version %s", in->version));
		return;
	}
	bool told = in->block_reason[0] != '\0';
	struct gate *gate =
	    add(e, GATE_NOT_BLOCKED, "not-blocked", GATE_BLOCK,
		sl_arena_printf(e->arena, "version %s is %s by %s%s%s", in->version,
				in->recalled ? "recalled" : "blocked", in->blocked_by,
				told ? ": " : "", told ? in->block_reason : ""));
	gate->cleared_by = "UnblockVersion";
}

/* --- release, rollback ------------------------------------------------------ */

static void in_production(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->source.rank == in->target.rank) {
		add(e, GATE_IN_PRODUCTION, "in-production", GATE_PASS,
		    sl_arena_printf(e->arena, "version %s is in %s", in->version, in->target.name));
		return;
	}
	struct gate *gate = add(
	    e, GATE_IN_PRODUCTION, "in-production", GATE_BLOCK,
	    sl_arena_printf(e->arena, "version %s is in %s, and only what is in %s can be released",
			    in->version, in->source.name, in->target.name));
	gate->cleared_by = sl_arena_printf(e->arena, "promoting it to %s", in->target.name);
}

static void prefetched(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->instances == 0) {
		add(e, GATE_PREFETCHED, "prefetched", GATE_PASS,
		    sl_arena_printf(e->arena, "%s has no instance that the app is placed on",
				    in->target.name));
		return;
	}
	bool all = in->staged >= in->instances;
	struct gate *gate =
	    add(e, GATE_PREFETCHED, "prefetched", all ? GATE_PASS : GATE_WARN,
		sl_arena_printf(e->arena, "%u of %u instances have version %s STAGED%s", in->staged,
				in->instances, in->version,
				all ? "" : ": the others flip when they have it"));
	evidence(e, gate, "staged", sl_arena_printf(e->arena, "%u/%u", in->staged, in->instances));
}

static void released_before(struct evaluation *e)
{
	const struct gates_input *in = e->in;
	if (in->released_before) {
		add(e, GATE_RELEASED_BEFORE, "released-before", GATE_PASS,
		    sl_arena_printf(e->arena, "version %s has been released before", in->version));
		return;
	}
	struct gate *gate =
	    add(e, GATE_RELEASED_BEFORE, "released-before", GATE_BLOCK,
		sl_arena_printf(e->arena,
				"version %s has never been released, so there is no way back to it",
				in->version));
	gate->cleared_by = "Release instead of Rollback";
}

bool gates_evaluate(const struct gates_input *input, struct sl_arena *arena,
		    struct gates *ret_gates)
{
	ret_gates->count = 0;
	struct evaluation e = {.in = input, .arena = arena, .gates = ret_gates};
	permission(&e);
	switch (input->action) {
	case GATES_PROMOTE:
		order(&e);
		not_blocked(&e);
		content(&e);
		unchanged(&e);
		contract(&e);
		break;
	case GATES_RELEASE:
		in_production(&e);
		not_blocked(&e);
		contract(&e);
		prefetched(&e);
		break;
	case GATES_ROLLBACK:
		in_production(&e);
		not_blocked(&e);
		released_before(&e);
		break;
	}
	return !sl_arena_failed(arena);
}

bool gate_lets_through(const struct gate *gate)
{
	return gate->state == GATE_PASS || gate->state == GATE_WARN;
}

bool gates_allow(const struct gates *gates)
{
	for (size_t i = 0; i < gates->count; i++) {
		if (!gate_lets_through(&gates->items[i])) {
			return false;
		}
	}
	return true;
}

/* --- hash ------------------------------------------------------------------- */

static void hash_u32(struct sl_hasher *hasher, uint32_t number)
{
	uint8_t bytes[4];
	sl_put_be32(bytes, number);
	sl_hasher_add(hasher, bytes, sizeof(bytes));
}

static void hash_bytes(struct sl_hasher *hasher, struct sl_bytes bytes)
{
	hash_u32(hasher, (uint32_t)bytes.size);
	sl_hasher_add(hasher, bytes.data, bytes.size);
}

void gates_plan_hash(const struct gates_input *input, const struct gates *gates,
		     uint64_t policy_revision, uint8_t ret_hash[static SL_HASH_BYTES])
{
	static const char domain[] = "sluice-plan-1";
	struct sl_hasher hasher;
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, domain, sizeof(domain) - 1);
	hash_u32(&hasher, (uint32_t)input->action);
	hash_bytes(&hasher, sl_bytes_text(input->version_id));
	hash_bytes(&hasher, input->digest);
	hash_u32(&hasher, input->source.rank);
	hash_u32(&hasher, input->target.rank);
	hash_u32(&hasher, (uint32_t)gates->count);
	for (size_t i = 0; i < gates->count; i++) {
		hash_bytes(&hasher, sl_bytes_text(gates->items[i].id));
		hash_u32(&hasher, (uint32_t)gates->items[i].state);
	}
	uint8_t policy[8];
	sl_put_be64(policy, policy_revision);
	sl_hasher_add(&hasher, policy, sizeof(policy));
	sl_hasher_end(&hasher, ret_hash);
}
