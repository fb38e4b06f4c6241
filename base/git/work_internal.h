/* work: one job inside the child, from its record to its result.
 *
 * Every function that can fail returns an enum git_failure; the first failure
 * is written once, by work_fail(), at the place that knows most, and handed
 * up unchanged. One thread. libgit2_internal.h comes with it, so include it first. */
#ifndef SL_BASE_GIT_WORK_INTERNAL_H
#define SL_BASE_GIT_WORK_INTERNAL_H

#include "base/git/libgit2_internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/git/protocol_internal.h"
#include "base/git/tree_parse.h"
#include "base/mem/arena.h"
#include "base/mem/own.h"

struct work {
	const struct git_job
	    *job; /* texts are never NULL but for credentials, ca_pem, want_digest */
	struct git_result *result; /* failure, rule and text are set by work_fail() alone */
	git_repository *repo;      /* owned */
	git_odb *odb;              /* owned */
	int staging;               /* checkout: the empty folder's descriptor, compare: the one to
				      look at; else, or when there is none, -1 */
	char url[200];             /* without credentials, for texts */
	struct git_progress progress;
	uint64_t told_mono_ms;         /* when progress was last sent */
	struct protocol_record record; /* to the parent */
};

/* Does the job; what came of it is in work->result. */
void work_run(struct work *work);

/* Notes the failure (rule: GIT_RULE_NONE mostly) and returns it. */
enum git_failure work_fail(struct work *work, enum git_failure failure, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum git_failure work_break(struct work *work, enum git_failure failure, enum git_rule rule,
			    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Takes the failure back: it can be done another way. */
void work_forgive(struct work *work);

/* Sends work->progress, ten times a second at most; dropped when the parent is slow. */
void work_tell(struct work *work);
/* Sends work->record and waits for room. False: the parent is gone. */
bool work_send(struct work *work);

/* --- errors.c: libgit2's failures become ours ------------------------------------- */

enum error_phase {
	ERROR_MIRROR, /* reading and writing the mirror */
	ERROR_FETCH,  /* talking to the remote */
	ERROR_PUSH,
};

/* What a return code of libgit2 with its class and text means. Pure. */
enum git_failure errors_meaning(enum error_phase phase, int rc, int klass, const char *text);
/* Notes the failure of the libgit2 call that just returned rc; `doing` goes in front of its words.
 */
enum git_failure work_fail_git(struct work *work, enum error_phase phase, int rc,
			       const char *doing);
enum git_failure work_fail_errno(struct work *work, const char *doing, const char *name);

/* --- mirror.c ----------------------------------------------------------------------- */

/* Opens the mirror, making it when missing (only jobs that fill it). */
enum git_failure mirror_open(struct work *work);
void mirror_close(struct work *work);
/* A repository within the mirror with the mirror's objects and `have` as its only ref (NULL: none).
 * What fetches through it tells the host of that commit alone: libgit2 tells of the newest ones of
 * all refs, and of no more once the host knows one of them. The caller frees it. */
enum git_failure mirror_open_telling(struct work *work, const git_oid *have,
				     git_repository **ret_repo);
bool mirror_has_commit(struct work *work, const git_oid *commit); /* the commit itself */
/* True when the commit and every object of its tree are there. */
bool mirror_has_whole(struct work *work, const git_oid *commit);
/* Notes what git_mirror_held() says. */
void mirror_note_held(struct work *work, const git_oid *commit, unsigned percent);
/* Keeps the commit reachable in the mirror, under a name that is its own. */
enum git_failure mirror_keep(struct work *work, const git_oid *commit);

/* --- loose.c --------------------------------------------------------------------------- */

/* From now on objects of that mirror that lie in files of their own are read by us; one mirror per
 * process. As libgit2's functions: not 0 is a failure. */
int loose_add(git_odb *odb, const char *mirror);

/* --- commit.c: from commit and path to a folder --------------------------------------- */

/* The tree at `path` ("" = the root) of the commit; COMMIT_GONE, PATH_NOT_FOUND, PATH_NOT_A_FOLDER.
 */
enum git_failure commit_folder(struct work *work, const char *commit, const char *path,
			       git_oid *ret_tree);
/* Goes down one folder: *id becomes the tree that `name` names in tree *id. PATH_NOT_FOUND and
 * PATH_NOT_A_FOLDER are not noted yet. */
enum git_failure commit_step_down(struct work *work, git_oid *id, const char *name, size_t bytes);
/* Fills the result's commit, subject, author and time. */
enum git_failure commit_describe(struct work *work, const git_oid *commit);
/* "Name <mail>" and the first line of its message, harmless to show. */
void commit_words(const git_commit *commit, char author[static 128], char subject[static 256]);
/* Writes a commit by `author` with the job's time and this message; parent may be NULL. Every byte
 * follows from what is given, so a retry makes the same id. */
enum git_failure commit_write(struct work *work, const git_oid *tree, const git_oid *parent,
			      const char *author, const char *message, git_oid *ret_commit);

/* --- history.c: which commits, between two ------------------------------------------------ */

/* Sends the commits from `to` back to `from` (NULL: the first) that changed `path`, newest first.
 */
enum git_failure history_send(struct work *work, const git_oid *from, const git_oid *to,
			      const char *path);
/* From the tip back, newest first; then without the commits of `ids` (spaces between) and what is
 * behind them. Those that the mirror does not have are passed over. */
enum git_failure history_walk(struct work *work, const git_oid *tip, git_revwalk **ret_walk);
void history_hide(struct work *work, git_revwalk *walk, const char *ids);
/* Fills `last` of each of the apps, which are in bytewise order of their paths. */
enum git_failure history_last(struct work *work, const git_oid *tip, struct git_app *apps,
			      size_t count);
/* True when `old` is `tip` or behind it. */
bool history_has(struct work *work, const git_oid *tip, const git_oid *old);
/* The commit with the job's operation in its trailer, looked for from the tip back. */
enum git_failure history_find_own(struct work *work, const git_oid *tip, bool *ret_found,
				  git_oid *ret_commit);

/* --- merge.c ----------------------------------------------------------------------------- */

/* The folder `theirs` with what `ours` changed since `base` (NULL: there was nothing), file by
 * file; CONFLICT where both changed a file, each in another way, unless the job says `onto`. */
enum git_failure merge_folders(struct work *work, const git_oid *base, const git_oid *ours,
			       const git_oid *theirs, git_oid *ret_tree);

/* --- archive.c: files on their way into Git --------------------------------------------------- */

bool content_is_given(const struct git_job *job);
/* Writes the files of the job's archive or folder into the mirror, checked by every rule; *ret_tree
 * is their folder. */
enum git_failure content_read(struct work *work, git_oid *ret_tree);
/* The same from where `file` stands, up to the end mark of a bundle file (bundle_file.h); the
 * contract is not looked at. */
enum git_failure content_read_marked(struct work *work, FILE *file, git_oid *ret_tree);
/* Walks the job's folder; when walk->take() ended it, that is GIT_OK here. */
struct git_folder_walk;
enum git_failure folder_walk(struct work *work, struct git_folder_walk *walk);

/* --- bundle.c: the files of a folder, checked against every rule ------------------------ */

struct bundle_file {
	const char *path; /* from the bundle's root; in the bundle's arena */
	git_oid id;
	uint64_t size;
	bool runnable; /* 100755 */
};

struct bundle {
	struct sl_arena arena;
	struct bundle_file *files; /* owned; in bytewise order of path */
	size_t count, room;
	const char **folders; /* owned; each after the one it lies in */
	size_t folder_count, folder_room;
	uint64_t bytes;
};

/* Reads the whole tree, no content, and checks every rule before anything is
 * done with it. Fill nothing on failure but what bundle_fini() frees. */
enum git_failure bundle_read(struct work *work, const git_oid *tree, struct bundle *ret_bundle);
void bundle_fini(struct bundle *bundle);

/* diff.c: sends what differs. */
enum git_failure diff_send(struct work *work, const struct bundle *before,
			   const struct bundle *after);

/* --- digest.c */

/* Reads one file's bytes; the caller frees *ret_object. MIRROR_CORRUPT when it is not what the tree
 * says. */
enum git_failure bundle_open(struct work *work, const struct bundle_file *file,
			     git_odb_object **ret_object);

/* The digest, file by file in the bundle's order. */
struct bundle_digest {
	struct sl_hasher all;
};
void bundle_digest_init(struct bundle_digest *digest);
void bundle_digest_add(struct bundle_digest *digest, const struct bundle_file *file,
		       const uint8_t hash[SL_HASH_BYTES]);
void bundle_digest_end(struct bundle_digest *digest, uint8_t ret_digest[SL_HASH_BYTES]);

/* --- checkout.c: the folder that a bundle is written to ------------------------------------- */

/* Modes of what was written. */
enum { STAGING_FOLDER = 0555, STAGING_FILE = 0444, STAGING_RUNNABLE = 0555 };
/* Opens a path below `dir`, whatever somebody puts in its way: no link is followed, no mount is
 * crossed, nothing above is reached. -1: errno says why. */
int staging_open(int dir, const char *path, uint64_t flags, uint64_t mode);

/* --- one file per operation --------------------------------------------------------------- */

/* Fills tree, digest, files and bytes of (commit, path), and sends sluice.json on. */
enum git_failure inspect(struct work *work, const char *commit, const char *path);
/* Checks every rule of the folder, and of its sluice.json where it has one. */
enum git_failure inspect_contract(struct work *work, const git_oid *tree);
/* Finds and fetches what the job's revision means; fills the result's ref. */
enum git_failure resolve(struct work *work, git_oid *ret_commit);
enum git_failure do_resolve(struct work *work);
enum git_failure do_fetch(struct work *work);
enum git_failure do_ls(struct work *work);
enum git_failure do_ls_push(struct work *work);
enum git_failure do_publish(struct work *work);
enum git_failure do_checkout(struct work *work);
enum git_failure do_diff(struct work *work);
enum git_failure do_count(struct work *work);
enum git_failure do_verify(struct work *work);
enum git_failure do_commit(struct work *work);
enum git_failure do_log(struct work *work);
enum git_failure do_compare(struct work *work);
enum git_failure do_apps(struct work *work);
enum git_failure do_export(struct work *work);
enum git_failure do_unpack(struct work *work);

SL_DEFINE_AUTO(git_odb_object *, git_odb_object_free);
SL_DEFINE_AUTO(git_commit *, git_commit_free);
SL_DEFINE_AUTO(git_reference *, git_reference_free);
SL_DEFINE_AUTO(git_remote *, git_remote_free);
SL_DEFINE_AUTO(git_object *, git_object_free);
SL_DEFINE_AUTO(git_tree *, git_tree_free);
SL_DEFINE_AUTO(git_tree_entry *, git_tree_entry_free);
SL_DEFINE_AUTO(git_revwalk *, git_revwalk_free);
SL_DEFINE_AUTO(git_diff *, git_diff_free);
SL_DEFINE_AUTO(git_index *, git_index_free);

#endif
