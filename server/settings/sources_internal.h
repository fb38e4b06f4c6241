/* Shared by the files of sources. */
#ifndef SL_SERVER_SETTINGS_SOURCES_INTERNAL_H
#define SL_SERVER_SETTINGS_SOURCES_INTERNAL_H

#include "server/settings/sources.h"

/* Notes in the setting what its options refer to, each once, by kind and name. */
SL_MUST_USE sl_code source_note_refs(struct decision *d,
				     Sluice__Store__V1__SourceSettingRecord *setting,
				     const struct source_change *options, size_t count,
				     struct sl_err *err);

#endif
