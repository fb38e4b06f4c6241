/* What is due goes out:
 *
 *   due --look--> the agent has it
 *         |-----> body in the batch --signed--> sent, and noted as told
 *         |           together with others, or by itself: one that is alone, old agents
 *         '-----> pending: keys, logins or config did not fit in the outbox
 *
 * A batch is what is due at one moment, made and sent under the lock: nothing waits for it to fill.
 * What cannot be sent of it stays pending by itself. */
#include <string.h>

#include "base/mem/own.h"
#include "base/merkle/merkle.h"
#include "base/vouch/vouch.h"
#include "server/fleet/fleet_internal.h"

enum {
	BATCH_BYTES = 256 << 10,                    /* of bodies: one more may be above it */
	KEEP_BYTES = BATCH_BYTES / FLEET_SEND_STEP, /* of a body's room, for the next batch */
};

struct item {
	struct fleet_session *session;
	struct sl_buf body;
	uint8_t core[FLEET_CORE_BYTES], digest[SL_HASH_BYTES];
	bool in_tree;
	uint32_t leaf;
};

struct batch {
	struct fleet *fleet;
	struct item items[FLEET_SEND_STEP];
	unsigned count;
	size_t bytes;
	uint64_t expires_s;
	uint32_t leaves; /* 0: there is no tree */
	bool tree_signed;
	uint8_t nodes[MERKLE_NODES(FLEET_SEND_STEP)][SL_HASH_BYTES];
	uint8_t salts[FLEET_SEND_STEP][MERKLE_SALT_BYTES]; /* of the leaves */
	uint8_t signature[SL_SIGNATURE_BYTES];
};

_Static_assert((int)FLEET_SEND_STEP <= (int)MERKLE_LEAVES_MAX, "a batch is a tree");

static void batch_fini(struct batch *batch)
{
	for (size_t i = 0; i < FLEET_SEND_STEP; i++) {
		sl_buf_fini(&batch->items[i].body);
	}
}

/* --- signing ------------------------------------------------------------------------------ */

/* Those that may be signed together become leaves, if there are two. */
static void plant(struct batch *batch)
{
	batch->leaves = 0;
	for (unsigned i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		item->in_tree = batch->fleet->key.epoch != 0 && !item->body.failed &&
				item->session->takes_trees;
		item->leaf = batch->leaves;
		batch->leaves += item->in_tree ? 1 : 0;
	}
	batch->leaves = batch->leaves > 1 ? batch->leaves : 0;
}

static void sign_tree(struct batch *batch)
{
	uint8_t root[SL_HASH_BYTES], words[VOUCH_TREE_BYTES];
	batch->tree_signed = false;
	plant(batch);
	if (batch->leaves == 0) {
		return;
	}
	sl_random(batch->salts, batch->leaves * sizeof(batch->salts[0]));
	for (unsigned i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		if (item->in_tree) {
			merkle_leaf(batch->salts[item->leaf], item->digest,
				    batch->nodes[item->leaf]);
		}
	}
	merkle_root(batch->nodes, batch->leaves, root);
	vouch_tree(batch->leaves, root, words);
	batch->tree_signed =
	    fleet_sign(batch->fleet, VOUCH_TREE, SL_BYTES(words, sizeof(words)), batch->signature);
}

/* --- sending ------------------------------------------------------------------------------- */

static sl_code send_signed(struct batch *batch, struct item *item,
			   Sluice__V1__SignedManifest *manifest)
{
	Sluice__V1__SyncResponse response = SLUICE__V1__SYNC_RESPONSE__INIT;
	manifest->body = (ProtobufCBinaryData){.data = item->body.data, .len = item->body.size};
	response.message_case = SLUICE__V1__SYNC_RESPONSE__MESSAGE_MANIFEST;
	response.manifest = manifest;
	return fleet_session_send(item->session, &response, batch->fleet->position);
}

static sl_code send_in_tree(struct batch *batch, struct item *item)
{
	Sluice__V1__SignedManifest manifest = SLUICE__V1__SIGNED_MANIFEST__INIT;
	Sluice__V1__ManifestPath path = SLUICE__V1__MANIFEST_PATH__INIT;
	uint8_t hashes[MERKLE_PATH_MAX];
	if (!batch->tree_signed) {
		return SL_RESOURCE_EXHAUSTED;
	}
	path.salt =
	    (ProtobufCBinaryData){.data = batch->salts[item->leaf], .len = MERKLE_SALT_BYTES};
	path.index = item->leaf;
	path.size = batch->leaves;
	path.hashes.data = hashes;
	path.hashes.len = merkle_path(batch->nodes, batch->leaves, item->leaf, hashes);
	manifest.path = &path;
	manifest.signature =
	    (ProtobufCBinaryData){.data = batch->signature, .len = SL_SIGNATURE_BYTES};
	return send_signed(batch, item, &manifest);
}

static sl_code send_alone(struct batch *batch, struct item *item)
{
	uint8_t signature[SL_SIGNATURE_BYTES];
	Sluice__V1__SignedManifest manifest = SLUICE__V1__SIGNED_MANIFEST__INIT;
	if (batch->fleet->key.epoch != 0) {
		if (!fleet_sign(batch->fleet, VOUCH_MANIFEST, sl_buf_bytes(&item->body),
				signature)) {
			return SL_RESOURCE_EXHAUSTED;
		}
		manifest.signature =
		    (ProtobufCBinaryData){.data = signature, .len = SL_SIGNATURE_BYTES};
	}
	return send_signed(batch, item, &manifest);
}

static void note_sent(const struct batch *batch, const struct item *item)
{
	struct fleet *fleet = batch->fleet;
	struct fleet_session *session = item->session;
	struct fleet_unit *unit = session->unit;
	session->pending = false;
	session->told = fleet->position;
	session->fresh_mono_ms = fleet_mono_ms(fleet);
	unit->sent_sequence = fleet->position;
	unit->sent_expires_s = batch->expires_s;
	unit->sent_epoch = fleet->key.epoch;
	memcpy(unit->sent_core, item->core, FLEET_CORE_BYTES);
	memcpy(unit->sent_digest, item->digest, SL_HASH_BYTES);
	fleet->manifests_sent++;
}

static void tell_pushes(struct fleet *fleet, struct fleet_session *session)
{
	if (!fleet_pushes_tell(fleet, session)) {
		session->pending = true; /* when the outbox is empty again, or at a tick */
	}
}

static void send_item(struct batch *batch, struct item *item)
{
	bool in_tree = item->in_tree && batch->leaves > 0;
	if (!item->body.failed &&
	    (in_tree ? send_in_tree(batch, item) : send_alone(batch, item)) == SL_OK) {
		note_sent(batch, item);
	} /* else it stays pending: when the outbox is empty again, or at a tick */
	tell_pushes(batch->fleet, item->session);
}

static void batch_send(struct batch *batch)
{
	sign_tree(batch);
	for (unsigned i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		send_item(batch, item);
		if (item->body.failed || item->body.room > KEEP_BYTES) {
			sl_buf_fini(&item->body);
		}
		sl_buf_clear(&item->body);
	}
	batch->count = 0;
	batch->bytes = 0;
}

/* --- looking ------------------------------------------------------------------------------- */

/* False: something that goes before it does not fit. */
static bool batch_add(struct batch *batch, struct fleet_session *session,
		      const uint8_t core[static FLEET_CORE_BYTES])
{
	struct fleet *fleet = batch->fleet;
	struct item *item = &batch->items[batch->count];
	session->pending = true;
	if (!fleet_keys_tell(fleet, session) || !fleet_logins_tell(fleet, session) ||
	    !fleet_configs_tell(fleet, session)) {
		return false;
	}
	item->session = session;
	memcpy(item->core, core, FLEET_CORE_BYTES);
	fleet_manifest_body(session, fleet->key.epoch, fleet->position, batch->expires_s,
			    &item->body);
	if (fleet->key.epoch != 0) {
		sl_hash(item->digest, item->body.data, item->body.size, NULL, 0);
	}
	batch->count++;
	batch->bytes += item->body.size;
	return true;
}

/* True: the batch has what the agent does not. */
static bool look_at_manifest(struct batch *batch, struct fleet_session *session)
{
	uint8_t core[FLEET_CORE_BYTES];
	struct fleet *fleet = batch->fleet;
	struct fleet_unit *unit = session->unit;
	fleet_manifest_core(session, core);
	session->pending = false;
	if (unit->sent_sequence != 0 && memcmp(core, unit->sent_core, FLEET_CORE_BYTES) == 0) {
		return false;
	}
	if (session->told < fleet->position) {
		return batch_add(batch, session, core);
	}
	/* An agent takes a sequence only once. What differs without a change of records (what it is
	 * to take down) needs a revision of its own. */
	session->pending = true;
	fleet->want_revision = fleet->want_revision || session->told == fleet->position;
	return false;
}

static void look(struct batch *batch, struct fleet_session *session)
{
	if (session->unit == NULL || session->end_mono_ms != 0 || batch->fleet->recovering) {
		return;
	}
	if (!look_at_manifest(batch, session)) {
		tell_pushes(batch->fleet, session);
	}
	if (batch->bytes >= BATCH_BYTES) {
		batch_send(batch);
	}
}

/* Under the lock. */
static void step(struct batch *batch)
{
	struct fleet *fleet = batch->fleet;
	batch->expires_s = (fleet_unix_ms(fleet) + FLEET_EXPIRY_MS) / 1000;
	for (unsigned i = 0; i < FLEET_SEND_STEP && !TAILQ_EMPTY(&fleet->due); i++) {
		struct fleet_session *session = TAILQ_FIRST(&fleet->due);
		TAILQ_REMOVE(&fleet->due, session, due_link);
		session->due = false;
		if (!fleet->stopped) {
			look(batch, session);
		}
	}
	batch_send(batch);
}

void fleet_sessions_send(struct fleet *fleet)
{
	SL_AUTO(batch_fini) struct batch batch = {.fleet = fleet};
	bool more = true;
	while (more) {
		pthread_mutex_lock(&fleet->lock);
		step(&batch);
		more = !TAILQ_EMPTY(&fleet->due);
		pthread_mutex_unlock(&fleet->lock);
	}
}
