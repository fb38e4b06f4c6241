/* Targets: stored records and their way to API messages. The first byte picks the record.
 * Property: no crash; a record that unpacks becomes a message that packs, or none for want of
 * memory only. */
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem/own.h"
#include "server/records/wire.h"

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

/* What a note is about. */
static const Sluice__Store__V1__AppRecord noted_app = SLUICE__STORE__V1__APP_RECORD__INIT;
static const Sluice__Store__V1__VersionRecord noted_version =
    SLUICE__STORE__V1__VERSION_RECORD__INIT;

/* Through the generated types, so that each way is the one that the server goes. */
#define WIRE(name, lower, call)                                                                    \
	static const ProtobufCMessage *name(struct sl_arena *arena, size_t size,                   \
					    const uint8_t *data)                                   \
	{                                                                                          \
		ProtobufCMessage *record =                                                         \
		    protobuf_c_message_unpack(&sluice__store__v1__##lower##__descriptor,           \
					      sl_arena_protobuf(arena), size, data);               \
		return record == NULL ? NULL : (const ProtobufCMessage *)(call);                   \
	}
WIRE(workspace, workspace_record, wire_workspace(arena, (void *)record))
WIRE(repository, repository_record, wire_repository(arena, (void *)record))
WIRE(version_ref, version_record, wire_version_ref(arena, (void *)record))
WIRE(content, content_record, wire_content(arena, (void *)record, "apps/x"))
WIRE(block, block_record, wire_block(arena, (void *)record))
WIRE(publication, publication_record, wire_publication(arena, (void *)record))
WIRE(facts, facts_record, wire_facts(arena, ENV_STAGING, (void *)record))
WIRE(note, note_record, wire_note(arena, 7, (void *)record, &noted_app, &noted_version))
WIRE(instance, instance_record, wire_instance(arena, (void *)record))
/* These are read and written as they are. */
WIRE(app, app_record, record)
WIRE(version, version_record, record)
WIRE(owed, owed_record, record)
WIRE(release, release_record, record)
WIRE(entry, release_entry_record, record)
WIRE(selection, selection_record, record)
WIRE(retry, retry_record, record)
WIRE(status, status_record, record)
WIRE(opened, opened_record, record)
WIRE(logged, log_record, record)

static const ProtobufCMessage *audited(struct sl_arena *arena, size_t size, const uint8_t *data)
{
	return protobuf_c_message_unpack(&sluice__v1__audit_entry__descriptor,
					 sl_arena_protobuf(arena), size, data);
}

static const ProtobufCMessage *(*const ways[])(struct sl_arena *, size_t, const uint8_t *) = {
    workspace, repository, version_ref, content, block,  publication, facts,
    note,      instance,   app,         version, owed,   release,     entry,
    selection, retry,      status,      opened,  logged, audited,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || data[0] >= SL_COUNT(ways)) {
		return 0;
	}
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	sl_arena_init(&arena, 0);
	const ProtobufCMessage *message = ways[data[0]](&arena, size - 1, data + 1);
	if (message != NULL) {
		size_t packed = protobuf_c_message_get_packed_size(message);
		uint8_t *bytes = sl_arena_alloc(&arena, packed + 1);
		expect(bytes != NULL && protobuf_c_message_pack(message, bytes) == packed);
	}
	expect(!sl_arena_failed(&arena));
	return 0;
}
