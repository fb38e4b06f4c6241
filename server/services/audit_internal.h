/* Shared by the files of AuditService. */
#ifndef SL_SERVER_SERVICES_AUDIT_INTERNAL_H
#define SL_SERVER_SERVICES_AUDIT_INTERNAL_H

#include "server/services/service.h"
#include "sluice/v1/audit.pb-c.h"

/* In the arena; without memory the arena has failed. */
ProtobufCBinaryData audit_wire_bytes(struct sl_arena *arena, const uint8_t *data, size_t size);
Sluice__V1__AuditPoint *audit_wire_point(struct sl_arena *arena,
					 const struct store_audit_point *point);

SL_MUST_USE sl_code audit_head_read(struct service_read *read, const void *message, void *reply,
				    struct sl_err *err);

#endif
