/* versions: blocked, unblocked, noted. */
#include <string.h>

#include "server/records/releases.h"
#include "server/records/versions.h"
#include "server/records/versions_internal.h"
#include "server/records/wire.h"

/* --- facts of the environment that the version is in ------------------------------------- */

static sl_code load_facts(struct decision *d, const Sluice__Store__V1__VersionRecord *version,
			  Sluice__Store__V1__FactsRecord **ret_facts, struct sl_err *err)
{
	struct wire wire = wire_of(d);
	sl_code code = facts_get(&wire, version, version->environment, ret_facts, err);
	return code != SL_NOT_FOUND
		   ? code
		   : sl_err_set(err, SL_DATA_LOSS,
				"version '%s' is in %s without facts of its coming", version->id,
				environment_name(version->environment));
}

static void put_facts(struct decision *d, const Sluice__Store__V1__VersionRecord *version,
		      const Sluice__Store__V1__FactsRecord *facts)
{
	struct record_key key =
	    facts_key(d->workspace, version->app_id, version->number, version->environment);
	decision_put(d, TABLE_FACTS, &key, &facts->base);
}

static void lift_blocks(const struct decision *d, Sluice__Store__V1__FactsRecord *facts)
{
	for (size_t i = 0; i < facts->n_blocks; i++) {
		if (facts->blocks[i]->lifted_ms == 0) {
			facts->blocks[i]->lifted_ms = d->now_ms;
			facts->blocks[i]->lifted_by = (char *)d->principal;
		}
	}
}

static sl_code add_block(struct decision *d, Sluice__Store__V1__FactsRecord *facts,
			 Sluice__Store__V1__BlockRecord *block, struct sl_err *err)
{
	Sluice__Store__V1__BlockRecord **blocks =
	    SL_ARENA_ARRAY(d->arena, Sluice__Store__V1__BlockRecord *, facts->n_blocks + 1);
	if (blocks == NULL) {
		return records_out_of_memory(err);
	}
	if (facts->n_blocks > 0) {
		memcpy(blocks, facts->blocks, facts->n_blocks * sizeof(*blocks));
	}
	blocks[facts->n_blocks++] = block;
	facts->blocks = blocks;
	return SL_OK;
}

/* --- block ----------------------------------------------------------------------------------- */

/* Pointer and manifests never disagree: what becomes of the release is said in the same call. */
static sl_code decide_release(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			      const Sluice__Store__V1__VersionRecord *version,
			      const struct version_recall *recall, uint32_t *ret_released,
			      struct sl_err *err)
{
	struct release_outcome outcome = {0};
	sl_code code = SL_OK;
	if (recall->keep_serving) {
		return SL_OK;
	}
	if (recall->withdraw) {
		code = releases_decide_withdraw_in(d, app, &outcome, err);
	} else if (recall->rollback_to[0] != '\0') {
		const char *to =
		    strcmp(recall->rollback_to, "previous") == 0 ? "" : recall->rollback_to;
		code = releases_decide_rollback_in(d, app, to, &outcome, err);
	} else {
		code =
		    sl_err_because(err, SL_FAILED_PRECONDITION, SL_REASON_RELEASED_NEEDS_DECISION,
				   "version '%s' of app '%s' is released: recalling it needs one "
				   "of rollback_to, withdraw "
				   "and keep_serving",
				   version->name, app->name);
	}
	if (code == SL_OK) {
		*ret_released = outcome.released;
	}
	return code;
}

static sl_code put_block(struct decision *d, Sluice__Store__V1__VersionRecord *version,
			 Sluice__V1__BlockMode mode, struct sl_err *err)
{
	Sluice__Store__V1__FactsRecord *facts = NULL;
	Sluice__Store__V1__BlockRecord *block =
	    SL_ARENA_NEW(d->arena, Sluice__Store__V1__BlockRecord);
	if (block == NULL) {
		return records_out_of_memory(err);
	}
	sl_code code = load_facts(d, version, &facts, err);
	if (code != SL_OK) {
		return code;
	}
	sluice__store__v1__block_record__init(block);
	block->mode = mode;
	block->reason = (char *)d->reason;
	block->at_ms = d->now_ms;
	block->by = (char *)d->principal;
	lift_blocks(d, facts);
	code = add_block(d, facts, block, err);
	if (code != SL_OK) {
		return code;
	}
	put_facts(d, version, facts);
	version->block = block;
	version_put(d, version);
	return SL_OK;
}

static sl_code released_now(struct decision *d, const char *app_id, uint32_t *ret_released,
			    struct sl_err *err)
{
	Sluice__Store__V1__ReleaseRecord *release = NULL;
	sl_code code = release_get(d->view, d->arena, d->workspace, app_id, &release, err);
	*ret_released = code == SL_OK ? release->version : 0;
	return code == SL_NOT_FOUND ? SL_OK : code;
}

sl_code versions_decide_block(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			      Sluice__Store__V1__VersionRecord *version, Sluice__V1__BlockMode mode,
			      const struct version_recall *recall, uint32_t *ret_released,
			      struct sl_err *err)
{
	sl_code code = decision_expect(d, "version", version->name, version->revision, err);
	if (code == SL_OK) {
		code = version_check(d, VERSION_ACT_BLOCK, app, version, err);
	}
	if (code == SL_OK) {
		code = released_now(d, app->id, ret_released, err);
	}
	bool recalls_released =
	    mode == SLUICE__V1__BLOCK_MODE__BLOCK_MODE_RECALL && *ret_released == version->number;
	if (code == SL_OK && recalls_released) {
		code = decide_release(d, app, version, recall, ret_released, err);
	}
	if (code != SL_OK) {
		return code;
	}
	bool holds = version->block != NULL && version->block->mode == mode &&
		     strcmp(version->block->reason, d->reason) == 0;
	code = holds ? SL_OK : put_block(d, version, mode, err);
	if (code == SL_OK && d->changed) {
		version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, NULL,
			      *ret_released);
	}
	return code;
}

sl_code versions_decide_unblock(struct decision *d, const Sluice__Store__V1__AppRecord *app,
				Sluice__Store__V1__VersionRecord *version, struct sl_err *err)
{
	sl_code code = decision_expect(d, "version", version->name, version->revision, err);
	if (code == SL_OK) {
		code = version_check(d, VERSION_ACT_UNBLOCK, app, version, err);
	}
	if (code != SL_OK || version->block == NULL) {
		return code;
	}
	Sluice__Store__V1__FactsRecord *facts = NULL;
	code = load_facts(d, version, &facts, err);
	if (code != SL_OK) {
		return code;
	}
	lift_blocks(d, facts);
	put_facts(d, version, facts);
	version->block = NULL;
	version_put(d, version);
	version_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_UPDATED, app, version, NULL,
		      UINT32_MAX);
	return SL_OK;
}

/* --- note ------------------------------------------------------------------------------------ */

sl_code versions_decide_note(struct decision *d, const Sluice__Store__V1__AppRecord *app,
			     const Sluice__Store__V1__VersionRecord *version, const char *text,
			     Sluice__Store__V1__NoteRecord **ret_note, struct sl_err *err)
{
	Sluice__Store__V1__FactsRecord *facts = NULL;
	Sluice__Store__V1__NoteRecord *note = SL_ARENA_NEW(d->arena, Sluice__Store__V1__NoteRecord);
	if (note == NULL) {
		return records_out_of_memory(err);
	}
	sl_code code = version_check(d, VERSION_ACT_NOTE, app, version, err);
	if (code == SL_OK) {
		code = load_facts(d, version, &facts, err);
	}
	if (code != SL_OK) {
		return code;
	}
	facts->note_count++;
	put_facts(d, version, facts);
	sluice__store__v1__note_record__init(note);
	note->environment = version->environment;
	note->text = (char *)text;
	note->at_ms = d->now_ms;
	note->by = (char *)d->principal;
	struct record_key key = KEY(d->workspace, key_text(k, app->id), key_u32(k, version->number),
				    key_u64(k, d->revision));
	decision_put(d, TABLE_NOTES, &key, &note->base);
	Sluice__V1__Event *event = decision_event(d, SLUICE__V1__EVENT_TYPE__EVENT_TYPE_CREATED,
						  SLUICE__V1__EVENT_KIND__EVENT_KIND_NOTE, app->id,
						  version->environment, "");
	event->object_case = SLUICE__V1__EVENT__OBJECT_NOTE;
	event->note = wire_note(d->arena, d->revision, note, app, version);
	*ret_note = note;
	return SL_OK;
}
