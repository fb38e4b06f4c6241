/* names: rules of the texts that people choose: paths in repositories, Git revisions, names of
 * config, names made from URLs.
 *
 * Pure. (Names of things and versions: server/services/service.h, check_name().) */
#ifndef SL_SERVER_RULES_NAMES_H
#define SL_SERVER_RULES_NAMES_H

#include <stddef.h>

#define NAME_MAX_BYTES 50       /* of apps, repositories, ... */
#define APP_PATH_MAX_BYTES 1000 /* of a folder in a repository */
#define REVISION_MAX_BYTES 200  /* of a branch, tag or commit id */

/* NULL if `path` is a folder in a repository: "." (the root), or parts joined by "/", none of them
 * empty, "." or "..", no control bytes, 1 to APP_PATH_MAX_BYTES bytes. Otherwise the rule that it
 * breaks; static. */
const char *path_broken_rule(const char *path);

/* NULL if `revision` may name a branch, a tag or a commit: the characters that Git allows in refs,
 * 1 to REVISION_MAX_BYTES bytes, no leading "-". Otherwise the rule that it breaks; static. */
const char *revision_broken_rule(const char *revision);

/* NULL if `name` may name a constant or a secret: `[A-Za-z_][A-Za-z0-9_]{0,49}`. Otherwise the rule
 * that it breaks; static. */
const char *config_name_broken_rule(const char *name);

/* A name by the rule from the last part of a URL's path: lower case, ".git" cut off, everything
 * else that is not allowed becomes "-"; "repository" when nothing is left. */
void name_from_url(char out[static NAME_MAX_BYTES + 1], const char *url);

/* The same from what something is called elsewhere: "My App" is "my-app"; "app" when nothing is
 * left. */
void name_from_text(char out[static NAME_MAX_BYTES + 1], const char *text);

/* `<base>-<number>`, the base cut as needed. */
void name_numbered(char out[static NAME_MAX_BYTES + 1], const char *base, unsigned number);

#endif
