/* activate: the folders of an instance, and the one rename that changes what it serves.
 *
 *   DIR/mirrors/<repository id>.git
 *   DIR/staging/<anything>                 being written, or being removed
 *   DIR/apps/<slug>/versions/<folder>/     whole: appears by one rename
 *   DIR/apps/<slug>/current -> versions/<folder>
 *   DIR/apps/<slug>/configs/<folder> -> .<folder>-<random>/    config of a version, a set of files
 *   DIR/apps/<slug>/work/                  working copy of a draft, its owner's to write in
 *   DIR/apps/<slug>/work.before/           the one before it
 *   DIR/saved/<slug>-<random>/             working copies of apps that are gone
 *
 * Every function leaves, at whichever instruction the machine stops, either
 * what was there before or what was asked for; what lies in staging is thrown
 * away at the next start. DIR is an absolute path. Threads: one. */
#ifndef SL_AGENT_ACTIVATE_H
#define SL_AGENT_ACTIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/err/err.h"

enum { ACTIVATE_PATH_SIZE = 4096, ACTIVATE_NAME_SIZE = 64 };

/* All functions: SL_RESOURCE_EXHAUSTED for a full disk, SL_INTERNAL otherwise; the text names the
 * path. */

/* Makes the folders that are missing. */
SL_MUST_USE sl_code activate_prepare(const char *dir, struct sl_err *err);
SL_MUST_USE sl_code activate_prepare_app(const char *dir, const char *slug, struct sl_err *err);

/* A new, empty folder below staging; its path. */
SL_MUST_USE sl_code activate_stage(const char *dir, char ret_path[static ACTIVATE_PATH_SIZE],
				   struct sl_err *err);
/* Moves a staged, synced bundle to its place, durably. SL_ALREADY_EXISTS: the place is taken. */
SL_MUST_USE sl_code activate_place(const char *dir, const char *staged, const char *slug,
				   const char *folder, struct sl_err *err);
/* Puts a staged, synced bundle in the place of what is there under its name, whatever it has
 * become, in one step, durably: who serves it serves one or the other. What was there lies in
 * staging, from where it is swept. SL_FAILED_PRECONDITION: something is mounted on it. */
SL_MUST_USE sl_code activate_replace(const char *dir, const char *staged, const char *slug,
				     const char *folder, struct sl_err *err);
bool activate_has(const char *dir, const char *slug, const char *folder);

/* Points `current` at `folder`, durably; "" removes it. */
SL_MUST_USE sl_code activate_flip(const char *dir, const char *slug, const char *folder,
				  struct sl_err *err);
/* "DIR/apps/<slug>/versions/<folder>". */
void activate_folder_path(const char *dir, const char *slug, const char *folder,
			  char ret_path[static ACTIVATE_PATH_SIZE]);
/* Where `current` points; "" when there is none, or when it points at nothing
 * that is a folder below versions/. */
void activate_current(const char *dir, const char *slug,
		      char ret_folder[static ACTIVATE_NAME_SIZE]);

/* Is `current` the link to `folder` that a flip makes? */
bool activate_link_is(const char *dir, const char *slug, const char *folder);

/* Moves a version's, an app's or a mirror's folder into staging, from where it is swept; its config
 * is removed at once.
 * Success when there is none. The caller sees to it that nobody serves it. */
SL_MUST_USE sl_code activate_discard(const char *dir, const char *slug, const char *folder,
				     struct sl_err *err);
SL_MUST_USE sl_code activate_discard_app(const char *dir, const char *slug, struct sl_err *err);
SL_MUST_USE sl_code activate_discard_mirror(const char *dir, const char *repository_id,
					    struct sl_err *err);
/* Removes at most `budget` entries of staging, but for the folder at path `keep`
 * (may be NULL). True when nothing else is left. */
bool activate_sweep(const char *dir, const char *keep, unsigned budget);

/* --- config -------------------------------------------------------------------------------- */

/* Sets of files with values in them: folders 0700, files 0600, and none of it ever elsewhere. A set
 * is made aside and is a version's by one rename; the one before stays until the sweep, for who is
 * reading it. */

/* A new, empty set; its path. */
SL_MUST_USE sl_code activate_config_begin(const char *dir, const char *slug, const char *folder,
					  char ret_set[static ACTIVATE_PATH_SIZE],
					  struct sl_err *err);
/* A file of it, synced; `path` is relative and within, with folders in it or not. */
SL_MUST_USE sl_code activate_config_write(const char *set, const char *path, struct sl_bytes data,
					  struct sl_err *err);
/* Makes the set the version's, durably. */
SL_MUST_USE sl_code activate_config_place(const char *dir, const char *slug, const char *folder,
					  const char *set, struct sl_err *err);
bool activate_config_has(const char *dir, const char *slug, const char *folder);
/* Are these the bytes of a file of the version's set? */
bool activate_config_is(const char *dir, const char *slug, const char *folder, const char *path,
			struct sl_bytes data);
/* "DIR/apps/<slug>/configs/<folder>". */
void activate_config_path(const char *dir, const char *slug, const char *folder,
			  char ret_path[static ACTIVATE_PATH_SIZE]);
/* Removes all sets that are no version's, and those of versions that `is_wanted` does not name;
 * NULL: all. */
void activate_config_sweep(const char *dir, const char *slug,
			   bool (*is_wanted)(const char *folder, void *ctx), void *ctx);

/* --- working copies ---------------------------------------------------------------------- */

void activate_work_path(const char *dir, const char *slug,
			char ret_path[static ACTIVATE_PATH_SIZE]);
bool activate_has_work(const char *dir, const char *slug);
/* Moves a staged folder to its place. What was there stays as work.before. */
SL_MUST_USE sl_code activate_place_work(const char *dir, const char *staged, const char *slug,
					struct sl_err *err);
/* Makes `work` work.before; success when there is none. */
SL_MUST_USE sl_code activate_set_work_aside(const char *dir, const char *slug, struct sl_err *err);
/* Moves it to DIR/saved, since the app's folder is to go; success when there is none. */
SL_MUST_USE sl_code activate_save_work(const char *dir, const char *slug, struct sl_err *err);

/* Calls on_name for each folder below apps/, or with a slug below its versions/. */
void activate_list(const char *dir, const char *slug, void (*on_name)(const char *name, void *ctx),
		   void *ctx);

/* "DIR/mirrors/<repository id>.git". */
void activate_mirror_path(const char *dir, const char *repository_id,
			  char ret_path[static ACTIVATE_PATH_SIZE]);

/* Bytes that this user can still write. */
SL_MUST_USE sl_code activate_free_bytes(const char *dir, uint64_t *ret_bytes, struct sl_err *err);

#endif
