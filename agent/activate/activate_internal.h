/* activate_internal: what the files of agent/activate share. */
#ifndef SL_AGENT_ACTIVATE_INTERNAL_H
#define SL_AGENT_ACTIVATE_INTERNAL_H

#include "agent/activate/activate.h"

struct activate_path {
	char text[ACTIVATE_PATH_SIZE];
};
/* "dir/a/b/c"; b and c may be "". */
struct activate_path activate_path_of(const char *dir, const char *a, const char *b, const char *c);
/* "dir/apps/<slug>/rest" */
struct activate_path activate_app_path(const char *dir, const char *slug, const char *rest);

/* Of errno. */
sl_code activate_io_error(struct sl_err *err, const char *doing, const char *path);
SL_MUST_USE sl_code activate_sync_dir(const char *path, struct sl_err *err);

/* The config of one version. */
void activate_config_remove(const char *dir, const char *slug, const char *folder);

/* Removes an entry below `parent` with everything in it, whatever its modes. */
void activate_remove_tree(int parent, const char *name);

#endif
