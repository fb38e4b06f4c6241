/* wire: records as API messages, for replies and events alike.
 *
 * Everything returned lies in the arena; texts are borrowed from the record,
 * which lies there too. NULL only when the arena has failed. Inside a decision
 * the view does not see the command's own changes: functions that would have to
 * read them take the fresh record as a parameter (NULL: read it). */
#ifndef SL_SERVER_WIRE_H
#define SL_SERVER_WIRE_H

#include "server/records/records.h"
#include "sluice/v1/app.pb-c.h"
#include "sluice/v1/config.pb-c.h"
#include "sluice/v1/fleet.pb-c.h"
#include "sluice/v1/repository.pb-c.h"
#include "sluice/v1/version.pb-c.h"
#include "sluice/v1/workspace.pb-c.h"

struct wire {
	const struct store_view *view;
	struct sl_arena *arena;
	uint32_t workspace;
};
/* Those of a decision. */
struct wire wire_of(const struct decision *d);

/* NULL for 0: the field stays unset. */
Google__Protobuf__Timestamp *wire_time(struct sl_arena *arena, uint64_t unix_ms);

Sluice__V1__Workspace *wire_workspace(struct sl_arena *arena,
				      const Sluice__Store__V1__WorkspaceRecord *record);
/* How its values are, in each environment, and not what they are. */
Sluice__V1__ConfigName *wire_config_name(struct sl_arena *arena,
					 const Sluice__Store__V1__ConfigNameRecord *record);
Sluice__V1__EnvironmentPolicy *wire_policy(struct sl_arena *arena,
					   const Sluice__Store__V1__PolicyRecord *record);
/* Likewise its options. */
Sluice__V1__DataSource *wire_source(struct sl_arena *arena,
				    const Sluice__Store__V1__SourceRecord *record);
Sluice__V1__Repository *wire_repository(struct sl_arena *arena,
					const Sluice__Store__V1__RepositoryRecord *record);
/* released_version: number of the released version; UINT32_MAX: read it. */
Sluice__V1__App *wire_app(const struct wire *w, const Sluice__Store__V1__AppRecord *record,
			  uint32_t released_version);
Sluice__V1__VersionRef *wire_version_ref(struct sl_arena *arena,
					 const Sluice__Store__V1__VersionRecord *record);
/* By number; NULL when there is no such version (or 0). */
Sluice__V1__VersionRef *wire_version_ref_get(const struct wire *w, const char *app_id,
					     uint32_t number);
Sluice__V1__Version *wire_version(const struct wire *w,
				  const Sluice__Store__V1__VersionRecord *record,
				  const Sluice__Store__V1__AppRecord *app,
				  const Sluice__Store__V1__PublicationRecord *publication,
				  uint32_t released_version);
Sluice__V1__CommitInfo *wire_commit(struct sl_arena *arena,
				    const Sluice__Store__V1__CommitRecord *record);
Sluice__V1__Content *wire_content(struct sl_arena *arena,
				  const Sluice__Store__V1__ContentRecord *record, const char *path);
Sluice__V1__Block *wire_block(struct sl_arena *arena, const Sluice__Store__V1__BlockRecord *record);
Sluice__V1__Publication *wire_publication(struct sl_arena *arena,
					  const Sluice__Store__V1__PublicationRecord *record);
Sluice__V1__VersionFacts *wire_facts(struct sl_arena *arena, uint32_t environment,
				     const Sluice__Store__V1__FactsRecord *record);
Sluice__V1__VersionNote *wire_note(struct sl_arena *arena, uint64_t revision,
				   const Sluice__Store__V1__NoteRecord *record,
				   const Sluice__Store__V1__AppRecord *app,
				   const Sluice__Store__V1__VersionRecord *version);
/* Copied: they may outlive the record. */
Sluice__V1__InstanceAlert **wire_alerts(struct sl_arena *arena,
					const Sluice__Store__V1__InstanceRecord *record,
					size_t *ret_count);
/* Without `agent`, which only fleet knows, and `identity`. */
Sluice__V1__Instance *wire_instance(struct sl_arena *arena,
				    const Sluice__Store__V1__InstanceRecord *record);
Sluice__V1__InstanceIdentity *
wire_instance_identity(struct sl_arena *arena, const Sluice__Store__V1__IdentityRecord *record);

#endif
