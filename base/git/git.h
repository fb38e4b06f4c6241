/* git: Git work in a confined, killable child process.
 *
 * libgit2 has no time-outs and parses what strangers send. So each job runs in
 * a child: the same binary re-executed as `git-worker` (main() hands over to
 * git_worker_main()), one job read from a socket pair, progress and one result
 * written to it; killed at its deadline; confined by Landlock, seccomp and
 * rlimits to the folders of its job. A crash, a kill or a time-out is just a
 * failed attempt. Only base/git includes <git2.h>.
 *
 * The mirror keeps every commit that was fetched, as refs/sluice/keep/ID. Jobs
 * may share a mirror once the first one that made it is done. After
 * GIT_MIRROR_CORRUPT remove it and fetch again. Nothing is ever repacked. */
#ifndef SL_BASE_GIT_H
#define SL_BASE_GIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/contract/contract.h"
#include "base/crypto/crypto.h"
#include "base/err/err.h"

#define GIT_OID_TEXT 41  /* 40 hex digits and NUL (SHA-1) */
#define GIT_URL_MAX 1024 /* bytes with NUL */
#define GIT_REF_MAX 256
#define GIT_PATH_MAX 1024

enum git_op {
	/* Finds what `revision` means on the remote: a ref ("refs/..."), a branch, a
	 * tag (in this order), a full commit id of 40 lower-case hex digits; "":
	 * the branch `ref` ("main" or "refs/heads/main"), which is BRANCH_NOT_FOUND
	 * when missing, or the remote's default branch when `ref` is empty too.
	 * Fetches it into the mirror and inspects the folder `path`. Result: commit,
	 * tree, ref, digest, files, bytes, the commit's message, author and time, sluice.json. */
	GIT_RESOLVE,
	/* Inspects the folder `path` of `commit`, which the mirror has. No network. */
	GIT_INSPECT,
	/* Makes the parentless commit of (`commit`, `path`) with `message` and
	 * `unix_s`, author and committer `sluice <sluice@localhost>`, and pushes it
	 * to `ref`, never forced. There with the same tree: success. With another:
	 * TAG_TAKEN. Result: published commit. Byte-determined: a retry makes the same id.
	 * `other_commit` ("": none), what was published before it, makes a delta on top of that
	 * beside the ref (delta.c); a big bundle gets parts there, too (parts.c). The text says why
	 * there are none. */
	GIT_PUBLISH,
	/* Fetches `ref` alone into the mirror and checks that it is `commit` (when
	 * given: else any). When the remote's ref moved on, or the mirror already
	 * has `commit`, that is enough: what counts is that the mirror has it. When it has what
	 * a delta beside the ref is on top of, only what changed is fetched. Of a big bundle what
	 * has come stays when the connection is cut: the next job goes on from the last whole part.
	 */
	GIT_FETCH,
	/* Writes the folder `path` ("" = the root) of `commit` below `staging`, an
	 * empty folder, view-only (0444/0555, staging itself too: it can still be
	 * renamed within its folder) or, `writable`, for its owner to work in (0644/0755), beneath
	 * its descriptor, syncs it, and compares tree id and digest when given. Nothing outside
	 * staging is touched. After a failure staging may hold anything: remove it. No network. */
	GIT_CHECKOUT,
	/* Lists what differs from (commit, path) to (other_commit, other_path): 'A' is in the other
	   only. No network. */
	GIT_DIFF,
	/* Asks the remote for its refs: can it be reached, what is the default branch, or the
	   branch `ref` (result: ref and commit). */
	GIT_LS,
	/* Asks as one who pushes, and pushes nothing: will the host talk to it? */
	GIT_LS_PUSH,
	/* Puts one commit onto the branch `ref` ("main", "refs/heads/main"; "": the default
	 * one; of an empty repository: main) and pushes it, never forced. On top of the tip, folder
	 * `move_from` becomes `path`, the files of `archive` or `folder` become folder `path`, and
	 * file `record_path` holds `record`; each but the last only when given. Author `author`,
	 * committer `sluice <sluice@localhost>`, time `unix_s`, `message` and the trailer
	 * `Sluice-Operation: OPERATION`: a commit with it that the branch has already is the one.
	 * When nothing would change there is no commit. Whoever pushes in between is fetched, and
	 * it is done again on top of that. With content, what changed below `path` since
	 * `other_commit`
	 * ("": nothing counts) in the same files is, unless `onto`, a CONFLICT, listed in `log`, as
	 * is a folder at `path` that `move_from` would replace. `commit` ("": none) was on the
	 * branch before: when it is not any more that is HISTORY_REWRITTEN, and nothing is written.
	 * With `look` nothing is made: the commit with the trailer is looked for, then `revision`
	 * ("": none) on the branch; neither is there: COMMIT_GONE.
	 * Result: commit (with nothing changed the tip), tip, ref, `unchanged`; with content
	 * `given`, and with content or `look` what RESOLVE says of the folder. */
	GIT_COMMIT,
	/* Lists what differs from the folder `want_tree` to the files of `folder`, as DIFF. What no
	 * bundle may have there is BUNDLE_REFUSED. No network. */
	GIT_COMPARE,
	/* Lists the commits that changed the folder `path`, newest first, from `other_commit`
	 * back to `commit` ("": to the first) and to those in `revision` (ids, spaces between;
	 * those that the mirror lacks are passed over), at most GIT_LOG_MAX. No network. */
	GIT_LOG,
	/* Counts for each line of `record` (path, tab, ids with spaces between; "\n" between lines)
	 * the commits from `other_commit` back to the ids that changed the folder. One entry of
	 * `diff` a line, in their order: new_bytes is the number, at most GIT_LOG_MAX, old_bytes is
	 * 1 when there may be more. No network. */
	GIT_COUNT,
	/* Lists what differs in the folder `staging` on disk from the folder `path` of `commit` as
	 * CHECKOUT wrote it: 'A' was added, 'D' is gone, 'M' is another content, mode or kind (a
	 * link, a mount); "." is the folder itself. The first GIT_VERIFY_MAX by path; result:
	 * files, how many there are. With none the digest is compared when given. Nothing is
	 * written. No network. */
	GIT_VERIFY,
	/* Finds and fetches a commit as RESOLVE does, and lists the apps that it has, by path, each
	 * with the newest commit that changed its folder: those that .sluice/apps/<app id>.json (as
	 * COMMIT's `record`: name, path, version) and ToolJet's .meta/meta.json name; when there
	 * are none, the folders in apps/, else those of the root. Names of folders that are not
	 * there are left out. Result: commit, ref, apps. */
	GIT_APPS,
	/* Completes the bundle file `archive` (bundle_file.h), which has its start already, with
	 * the folder `path` of `commit`. The same start and folder make the same bytes. No network.
	 */
	GIT_EXPORT,
	/* Puts what the bundle file `archive` holds into the mirror, which is made when missing:
	 * `commit`, the trees down to `path` and that folder, which is tree `want_tree` when that
	 * is given. A file that is not whole, or is of something else, is DIGEST_MISMATCH and
	 * leaves nothing that anybody would find. Commits with parents are not kept reachable: the
	 * parents are missing. No network. */
	GIT_UNPACK,
};

enum { GIT_LOG_MAX = 200, GIT_VERIFY_MAX = 20, GIT_APPS_MAX = 1000 };

/* Why content could not be had: SEMANTICS' closed list, and what only a worker meets. */
enum git_failure {
	GIT_OK = 0,
	GIT_REPOSITORY_UNREACHABLE, /* the one that is worth retrying: also killed at the deadline
				       (jobs without network: WORKER_FAILED) */
	GIT_LOGIN_REFUSED,
	GIT_REPOSITORY_EMPTY,
	GIT_BRANCH_NOT_FOUND,
	GIT_REVISION_NOT_FOUND,
	GIT_COMMIT_GONE,
	GIT_PATH_NOT_FOUND,
	GIT_PATH_NOT_A_FOLDER,
	GIT_BUNDLE_EMPTY,
	GIT_BUNDLE_REFUSED, /* `rule` says which */
	GIT_BUNDLE_TOO_BIG, /* `rule` says which limit */
	GIT_TAG_TAKEN,
	GIT_PUSH_REFUSED,
	GIT_CONFLICT,            /* somebody else changed the same */
	GIT_HISTORY_REWRITTEN,   /* the branch no longer has what it had */
	GIT_WRITE_REFUSED,       /* these credentials may read only */
	GIT_REF_PROTECTED,       /* a rule or hook of the host refuses this ref */
	GIT_HOST_KEY_UNKNOWN,    /* no ssh host key is accepted yet */
	GIT_HOST_KEY_CHANGED,    /* the host shows another one than those accepted */
	GIT_CERTIFICATE_REFUSED, /* https: not trusted, not for this name, or not in time */
	GIT_REPOSITORY_MOVED,    /* the host sends us to another host, port or scheme */
	GIT_DIGEST_MISMATCH,     /* checkout, unpack: not the bundle that was named */
	GIT_MIRROR_CORRUPT,      /* remove the mirror and fetch anew */
	GIT_DISK_FULL,
	GIT_OUT_OF_MEMORY, /* also when the kernel killed the worker: try again */
	GIT_WORKER_FAILED, /* the worker itself crashed or could not start: try again */
	GIT_FAILURE_COUNT
};
const char *git_failure_name(enum git_failure failure); /* "REPOSITORY_UNREACHABLE"; static */
bool git_failure_is_transient(enum git_failure failure);

/* Rules that a bundle can break; a name each, for errors and tests. */
enum git_rule {
	GIT_RULE_NONE = 0,
	GIT_RULE_NAME_EMPTY,
	GIT_RULE_NAME_DOT,
	GIT_RULE_NAME_DOT_DOT,
	GIT_RULE_NAME_SLASH,
	GIT_RULE_NAME_BACKSLASH,
	GIT_RULE_NAME_CONTROL,
	GIT_RULE_NAME_NOT_UTF8,
	GIT_RULE_NAME_TOO_LONG,
	GIT_RULE_NAME_DOT_GIT,
	GIT_RULE_NAME_TWIN,
	GIT_RULE_PATH_TOO_LONG,
	GIT_RULE_TOO_DEEP,
	GIT_RULE_TOO_MANY_FILES,
	GIT_RULE_TOO_MANY_BYTES,
	GIT_RULE_FILE_TOO_BIG,
	GIT_RULE_LINK,
	GIT_RULE_GITLINK,
	GIT_RULE_SPECIAL_FILE,
	GIT_RULE_MALFORMED,   /* a tree object that is none */
	GIT_RULE_LFS_POINTER, /* the file itself is not in Git; found where content is resolved */
	GIT_RULE_CONTRACT,    /* and further: an enum contract_rule of its sluice.json */
	GIT_RULE_COUNT = GIT_RULE_CONTRACT + CONTRACT_RULE_COUNT
};
const char *git_rule_name(enum git_rule rule); /* "NAME_DOT_DOT"; static */

struct git_limits {
	uint64_t files;      /* 0 in any: the default below */
	uint64_t bytes;      /* of all files together */
	uint64_t file_bytes; /* of one */
	unsigned depth;      /* folders within folders */
	unsigned name_bytes, path_bytes;
	uint64_t pack_bytes, pack_objects; /* of all that a job fetches */
	uint64_t part_bytes; /* of files, in a part of a bundle of more than two (parts.c) */
};
#define GIT_LIMITS_DEFAULT                                                                         \
	{                                                                                          \
		.files = 100000, .bytes = 2ull << 30, .file_bytes = 1ull << 30, .depth = 64,       \
		.name_bytes = 255, .path_bytes = 1024, .pack_bytes = 4ull << 30,                   \
		.pack_objects = 2000000, .part_bytes = 32ull << 20                                 \
	}

/* Who we are to a repository's host, and by what the host is known. NULL in any: none. Borrowed. */
struct git_login {
	const char *user; /* NULL: git_login_user() of the URL */
	const char *password;
	const char *ssh_key, *ssh_phrase; /* private key's text */
	const char
	    *host_keys;     /* hex SHA-256 of the ssh host keys that are accepted, commas between */
	const char *ca_pem; /* https: the roots that count instead of the machine's */
};

/* What hosts want to see as the user beside an access token ("x-access-token", "oauth2", ...), or
 * for ssh without a user in the URL ("git"). Static. */
const char *git_login_user(const char *url);

/* Reads a known_hosts file, as `ssh-keyscan HOST` prints it, and writes to `out` what
 * git_login.host_keys takes: the keys of the URL's host and port. SL_INVALID_ARGUMENT / MALFORMED
 * names the line, or says that the file has no key of that host. */
#define GIT_HOST_KEYS_SIZE (16 * 65)
SL_MUST_USE sl_code git_host_keys_read(const char *known_hosts, const char *url,
				       char out[static GIT_HOST_KEYS_SIZE], struct sl_err *err);

/* A login as bytes, six texts each with its NUL: `out` has git_login_size() bytes. What is read
 * points into `data`; false: it is none. */
size_t git_login_size(const struct git_login *login);
void git_login_pack(const struct git_login *login, char *out);
bool git_login_unpack(const char *data, size_t size, struct git_login *ret_login);

struct git_job {
	enum git_op op;
	const char
	    *mirror; /* absolute path of the bare mirror; made by network jobs when missing */
	const char *
	    url; /* https, ssh, git, file, and http when allow_local; "" for jobs without network */
	bool allow_local;       /* file, git, http and private addresses (`--allow-local-repos`,
				   `--insecure`) */
	struct git_login login; /* never logged; wiped after the job was sent */
	const char *revision, *ref, *commit, *path, *other_commit, *other_path, *message, *staging;
	/* COMMIT; author is a name, archive the absolute path of a file (archive.h; EXPORT, UNPACK:
	 * bundle_file.h), folder of a folder (folder.h) */
	const char *author, *operation, *move_from, *record_path, *record, *archive, *folder;
	const char *want_tree;      /* hex tree id; NULL: any */
	const uint8_t *want_digest; /* SL_HASH_BYTES; NULL: any */
	uint64_t unix_s;
	struct git_limits limits; /* a field that is 0 is its default */
	unsigned deadline_ms;     /* 0: 300 000 */
	bool onto;                /* COMMIT: what both changed is as the archive has it */
	bool look;                /* COMMIT: make none */
	bool writable;            /* checkout: not view-only */
	bool sync_each;           /* checkout: fsync every file instead of one syncfs */
};

struct git_diff_entry {
	char change; /* 'A', 'D', 'M' */
	char *path;  /* owned by the result */
	uint64_t old_bytes, new_bytes;
};

/* One commit of a list. */
struct git_log_entry {
	char commit[GIT_OID_TEXT];
	char subject[256], author[128];
	uint64_t unix_s;
	uint64_t files; /* that it changed below the path */
};

/* One app of a list. Names are what strangers wrote, one line each. */
struct git_app {
	char name[201];
	char path[GIT_PATH_MAX];
	char version[64];          /* "": not said */
	struct git_log_entry last; /* commit "": none among the newest 100 000 */
};

struct git_result {
	enum git_failure failure;
	enum git_rule rule;
	char text[512]; /* what went wrong, for people: names thing, value, rule. No credential in
			   it */
	char commit[GIT_OID_TEXT]; /* resolved, fetched or published */
	char tip[GIT_OID_TEXT];    /* COMMIT: where the branch is now */
	char tree[GIT_OID_TEXT];   /* of the folder */
	char given[GIT_OID_TEXT];  /* COMMIT: tree of the content as it was given */
	char ref[GIT_REF_MAX]; /* through which it was resolved: "refs/heads/main"; "" for a bare
				  commit id */
	uint8_t digest[SL_HASH_BYTES];
	uint64_t files, bytes;
	uint64_t fetched_objects, fetched_bytes;
	char subject[256]; /* first line of the commit's message */
	char author[128];  /* "Name <mail>" */
	uint64_t commit_unix_s;
	char *sluice_json; /* the folder's sluice.json when there is one, found without fault; owned
			    */
	struct git_diff_entry *diff; /* owned */
	size_t diff_count;
	bool diff_cut;             /* more than 10 000 entries: the rest is left out */
	struct git_log_entry *log; /* LOG, and what a CONFLICT is with; owned */
	size_t log_count;
	bool log_cut;         /* more than GIT_LOG_MAX */
	struct git_app *apps; /* APPS; owned */
	size_t app_count;
	bool apps_cut;  /* more than GIT_APPS_MAX */
	bool unchanged; /* COMMIT: nothing was to be written */
};
void git_result_fini(struct git_result *result);

struct git_progress {
	uint64_t done_objects, total_objects; /* of this pack */
	uint64_t received_bytes;
	uint64_t done_parts, total_parts;      /* packs, where there are several; else 0 */
	uint64_t written_files, written_bytes; /* checkout, export, unpack */
};

/* --- parent's side -------------------------------------------------------------- */

struct git_worker;

/* Checks the job (URL scheme, no leading '-', ref and path forms), starts the
 * child and sends it the job. SL_INVALID_ARGUMENT / URL_NOT_ALLOWED names the rule. The strings are
 * copied. Spawn from a thread that lives as long as the process: the child dies with it. */
SL_MUST_USE sl_code git_worker_start(const struct git_job *job, struct git_worker **ret_worker,
				     struct sl_err *err);
int git_worker_fd(const struct git_worker *worker); /* poll for POLLIN */
uint64_t git_worker_deadline_mono_ms(const struct git_worker *worker);
/* Reads what has come; true when the result is in (or the child is dead or past
 * its deadline, which is a result too: call it when poll times out). Never
 * blocks. The caller ends *ret_result with git_result_fini(); not to be called
 * again after it returned true. ret_progress may be NULL. */
bool git_worker_step(struct git_worker *worker, struct git_progress *ret_progress,
		     struct git_result *ret_result);
/* What this machine's kernel does not take from workers; NULL: nothing. Static. */
const char *git_worker_gap(void);

/* Kills the child if it runs, reaps it. NULL is fine. */
void git_worker_free(struct git_worker *worker);

/* Start, wait, free: for threads that may block. `stop` (may be NULL) is looked
 * at ten times a second; true kills the child: SL_CANCELLED. The failure is in
 * the result, which the caller ends with git_result_fini(). */
SL_MUST_USE sl_code git_run(const struct git_job *job, bool (*stop)(void *ctx), void *ctx,
			    struct git_result *ret_result, struct sl_err *err);

/* How much of a commit, in percent, a FETCH that was cut off left in the mirror, roughly. */
unsigned git_mirror_held(const char *mirror, const char *commit);

/* Removes what killed jobs left in a mirror (pack_git2_*, *.lock). No job may run on it. */
void git_mirror_sweep(const char *mirror);

/* Is this URL one that Sluice may talk to? SL_INVALID_ARGUMENT / URL_NOT_ALLOWED names the rule. No
 * look-up of names. */
SL_MUST_USE sl_code git_url_check(const char *url, bool allow_local, struct sl_err *err);

/* The host that a URL names; "": none does (file), or it is no such URL. */
enum { GIT_HOST_SIZE = 256 };
void git_url_host(const char *url, char ret_host[static GIT_HOST_SIZE]);

/* True if one name of a bundle is harmless; *ret_rule says what it breaks. Pure. */
bool git_name_check(const char *name, size_t bytes, enum git_rule *ret_rule);

/* --- child's side ----------------------------------------------------------------- */

/* main() of `PROGRAM git-worker`: does the one job of descriptor 3. Returns the
 * exit status. The worker is started from /proc/self/exe, so the main() of every
 * program (and test) that starts jobs begins with
 *
 *   if (argc > 1 && strcmp(argv[1], "git-worker") == 0) {
 *           return git_worker_main();
 *   }
 *
 * before any thread, log or library is started. */
int git_worker_main(void);

#endif
