#include "server/records/history.h"

#include <string.h>

#include "base/id/id.h"

static bool is_wanted(const Sluice__V1__Event *event, Sluice__V1__EventKind kind,
		      const char *app_id)
{
	return event->kind == kind && (app_id == NULL || strcmp(event->app_id, app_id) == 0);
}

sl_code history_event(const struct wire *in, uint64_t revision, Sluice__V1__EventKind kind,
		      const char *app_id, Sluice__V1__Event **ret_event, struct sl_err *err)
{
	struct sl_bytes value;
	Sluice__Store__V1__LogRecord *record = NULL;
	sl_code code = store_get_log(in->view, revision, &value, err);
	code = code != SL_OK
		   ? code
		   : record_unpack(in->arena, value, &sluice__store__v1__log_record__descriptor,
				   &record, err);
	if (code != SL_OK) {
		return code;
	}
	for (size_t i = 0; record->workspace == in->workspace && i < record->n_events; i++) {
		if (is_wanted(record->events[i], kind, app_id)) {
			*ret_event = record->events[i];
			return SL_OK;
		}
	}
	return SL_NOT_FOUND;
}

sl_code history_app_id(const struct wire *in, const char *name_or_id, const char **ret_app_id,
		       struct sl_err *err)
{
	if (sl_id_is(name_or_id, "app")) {
		struct record_key key = KEY(in->workspace, key_text(k, name_or_id));
		struct sl_bytes value;
		sl_code code =
		    store_get(in->view, TABLE_DELETED_APPS, key_bytes(&key), &value, err);
		if (code != SL_NOT_FOUND) {
			*ret_app_id = name_or_id;
			return code;
		}
	}
	Sluice__Store__V1__AppRecord *app = NULL;
	sl_code code = app_find(in->view, in->arena, in->workspace, name_or_id, &app, err);
	if (code == SL_OK) {
		*ret_app_id = app->id;
	}
	return code;
}
