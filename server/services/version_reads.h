/* version_reads: the methods of VersionService that only look: Get, List, ListVersionFacts,
 * ListVersionNotes, DiffVersions. */
#ifndef SL_SERVER_VERSION_READS_H
#define SL_SERVER_VERSION_READS_H

#include "server/services/service.h"

sl_code version_get_check(const void *request, struct sl_err *err);
sl_code version_get_read(struct service_read *read, const void *request, void *response,
			 struct sl_err *err);
sl_code version_list_check(const void *request, struct sl_err *err);
sl_code version_list_read(struct service_read *read, const void *request, void *response,
			  struct sl_err *err);
/* version_past.c: what stays when versions and apps are gone. */
sl_code version_facts_check(const void *request, struct sl_err *err);
sl_code version_facts_read(struct service_read *read, const void *request, void *response,
			   struct sl_err *err);
sl_code version_notes_check(const void *request, struct sl_err *err);
sl_code version_notes_read(struct service_read *read, const void *request, void *response,
			   struct sl_err *err);
sl_code version_diff_check(const void *request, struct sl_err *err);
/* Answers from a thread of gitsync's. */
void version_diff_start(struct service_call *call, const void *request);

#endif
