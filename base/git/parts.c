/* Parts: a big bundle in steps, so that a cut connection costs one of them.
 *
 * A fetch that is cut leaves nothing: libgit2 throws the pack away. So beside the ref of a big
 * bundle lie REF.part-01-of-NN to REF.part-NN-of-NN, a chain of commits: each has the one before as
 * its parent, and the bundle's first files as its tree, some part_bytes more with each; the last
 * has them all and is the ref's commit but for that parent. Who fetches them one by one finds what
 * it has at the next try, and in the end writes the parentless commit itself: its id proves that it
 * is the one, whatever the others were. A delta (delta.c) of many bytes has such parts, too, the
 * first on top of what the delta is on top of, and each with all files that this has. Nothing
 * depends on parts: a chain that is not whole, or leads elsewhere, is as none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes/bytes.h"
#include "base/git/fetch_internal.h"

enum { PARTS_MAX = REMOTE_UPDATES_MAX, NUMBER_DIGITS = 2 };

/* False: too long for a ref. */
static bool name_part(char name[static GIT_REF_MAX], const char *ref, unsigned number,
		      unsigned count)
{
	return snprintf(name, GIT_REF_MAX, "%s.part-%02u-of-%02u", ref, number, count) <
	       GIT_REF_MAX;
}

/* --- publishing ------------------------------------------------------------------- */

/* Files that need not be sent, by their ids. */
struct known {
	git_oid *ids; /* owned; in order */
	size_t count;
};

static int compare_ids(const void *a, const void *b)
{
	return git_oid_cmp(a, b);
}

static enum git_failure read_known(struct work *work, const git_oid *base, struct known *ret_known)
{
	SL_AUTO(bundle_fini) struct bundle bundle = {0};
	git_oid tree;
	char hex[GIT_OID_TEXT];
	enum git_failure failure =
	    commit_folder(work, git_oid_tostr(hex, sizeof(hex), base), "", &tree);
	failure = failure != GIT_OK ? failure : bundle_read(work, &tree, &bundle);
	if (failure != GIT_OK) {
		return failure;
	}
	ret_known->ids = calloc(bundle.count, sizeof(git_oid));
	if (ret_known->ids == NULL) {
		return work_fail(work, GIT_OUT_OF_MEMORY, "out of memory for a list of files");
	}
	for (; ret_known->count < bundle.count; ret_known->count++) {
		ret_known->ids[ret_known->count] = bundle.files[ret_known->count].id;
	}
	qsort(ret_known->ids, ret_known->count, sizeof(git_oid), compare_ids);
	return GIT_OK;
}

static bool is_known(const struct known *known, const git_oid *id)
{
	return known->count > 0 &&
	       bsearch(id, known->ids, known->count, sizeof(*id), compare_ids) != NULL;
}

static uint64_t bytes_of(const struct bundle_file *file, const struct known *known)
{
	return is_known(known, &file->id) ? 0 : file->size;
}

struct division {
	struct known known;
	size_t ends[PARTS_MAX]; /* of each part, as a number of files */
	unsigned count;         /* 0: the bundle is not big */
};

static void division_fini(struct division *division)
{
	free(division->known.ids);
}

/* Any two neighbours have more than a sixteenth of all, so there are fewer than PARTS_MAX. */
static void divide(const struct bundle *bundle, uint64_t part_bytes, struct division *division)
{
	uint64_t total = 0, bytes = 0;
	for (size_t i = 0; i < bundle->count; i++) {
		total += bytes_of(&bundle->files[i], &division->known);
	}
	if (total / 2 <= part_bytes) {
		return;
	}
	uint64_t least = total / (PARTS_MAX / 2) + 1,
		 size = part_bytes > least ? part_bytes : least;
	for (size_t i = 0; i < bundle->count; i++) {
		uint64_t more = bytes_of(&bundle->files[i], &division->known);
		if (bytes > 0 && bytes + more > size) {
			division->ends[division->count++] = i;
			bytes = 0;
		}
		bytes += more;
	}
	division->ends[division->count++] = bundle->count;
	division->count = division->count > 1 ? division->count : 0;
}

/* What a part has of the bundle: its first files, and all that need not be sent. */
struct selection {
	struct work *work;
	const struct known *known;
	size_t left; /* first files still to come. Git has them in the bundle's order */
};

static bool is_selected(struct selection *selection, const git_oid *file)
{
	if (selection->left > 0) {
		selection->left--;
		return true;
	}
	return is_known(selection->known, file);
}

/* Writes the tree of what is selected of a tree; *ret_empty: that is nothing. */
static enum git_failure select_tree(struct selection *selection, const git_oid *tree,
				    git_oid *ret_tree, bool *ret_empty)
{
	struct work *work = selection->work;
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	SL_AUTO(sl_buf_fini) struct sl_buf bytes = {0};
	int rc = git_odb_read(&object, work->odb, tree);
	if (rc != 0) {
		return work_fail_git(work, ERROR_MIRROR, rc, "read a folder's tree");
	}
	struct sl_bytes rest = SL_BYTES(git_odb_object_data(object), git_odb_object_size(object));
	struct tree_entry entry;
	const uint8_t *begin = rest.data;
	for (; (selection->left > 0 || selection->known->count > 0) &&
	       tree_parse_next(&rest, &entry) == TREE_PARSE_ENTRY;
	     begin = rest.data) {
		bool folder = (entry.mode & S_IFMT) == S_IFDIR, skipped = false;
		git_oid id;
		(void)git_oid_fromraw(&id, entry.id);
		enum git_failure failure =
		    folder ? select_tree(selection, &id, &id, &skipped) : GIT_OK;
		if (failure != GIT_OK) {
			return failure;
		}
		if (folder ? !skipped : is_selected(selection, &id)) {
			sl_buf_append(&bytes, begin, (size_t)(entry.id - begin));
			sl_buf_append(&bytes, id.id, TREE_ID_BYTES);
		}
	}
	*ret_empty = bytes.size == 0;
	rc = bytes.failed
		 ? GIT_ERROR
		 : git_odb_write(ret_tree, work->odb, bytes.data, bytes.size, GIT_OBJECT_TREE);
	return rc == 0 ? GIT_OK : work_fail_git(work, ERROR_MIRROR, rc, "write a part's tree");
}

/* The chain's commits, in the mirror. */
static enum git_failure write_chain(struct work *work, const struct parts *parts,
				    const struct division *division,
				    struct remote_update updates[static PARTS_MAX])
{
	const git_oid *below = parts->base;
	for (unsigned i = 0; i < division->count; i++) {
		struct selection selection = {
		    .work = work, .known = &division->known, .left = division->ends[i]};
		git_oid tree = *parts->tree;
		bool empty = false;
		enum git_failure failure = i + 1 < division->count
					       ? select_tree(&selection, &tree, &tree, &empty)
					       : GIT_OK;
		failure = failure != GIT_OK ? failure
					    : commit_write(work, &tree, below, "sluice",
							   work->job->message, &updates[i].commit);
		if (failure != GIT_OK) {
			return failure;
		}
		below = &updates[i].commit;
	}
	return GIT_OK;
}

enum git_failure parts_publish(struct work *work, const struct parts *parts)
{
	SL_AUTO(division_fini) struct division division = {.count = 0};
	struct remote_update updates[PARTS_MAX];
	const struct remote host = {.work = work};
	/* A folder's repository gives no parts: libgit2 copies all that a ref leads to. */
	if (parts->bundle->bytes / 2 <= work->job->limits.part_bytes || remote_is_local(&host)) {
		return GIT_OK;
	}
	enum git_failure failure =
	    parts->base != NULL ? read_known(work, parts->base, &division.known) : GIT_OK;
	if (failure != GIT_OK) {
		return failure;
	}
	divide(parts->bundle, work->job->limits.part_bytes, &division);
	for (unsigned i = 0; i < division.count; i++) {
		if (!name_part(updates[i].to, parts->ref, i + 1, division.count)) {
			return GIT_OK;
		}
	}
	if (division.count == 0) {
		return GIT_OK;
	}
	failure = write_chain(work, parts, &division, updates);
	return failure != GIT_OK ? failure : remote_push_missing(work, updates, division.count);
}

/* --- fetching --------------------------------------------------------------------- */

struct chain {
	const char *ref;
	const git_oid *base; /* NULL: none */
	unsigned count;
	git_oid ids[PARTS_MAX];
};

/* All parts of a chain of that many. */
static bool take_chain(const struct remote *remote, unsigned count, struct chain *chain)
{
	char name[GIT_REF_MAX];
	chain->count = 0;
	while (chain->count < count && name_part(name, chain->ref, chain->count + 1, count)) {
		const git_remote_head *head = remote_find(remote, name);
		if (head == NULL) {
			return false;
		}
		chain->ids[chain->count++] = head->oid;
	}
	return chain->count == count;
}

static bool find_chain(const struct remote *remote, struct chain *chain)
{
	static const char first[] = ".part-01-of-";
	size_t bytes = strlen(chain->ref), more = sizeof(first) - 1;
	for (size_t i = 0; i < remote->ref_count; i++) {
		const char *name = remote->refs[i]->name;
		if (strncmp(name, chain->ref, bytes) != 0 ||
		    strncmp(name + bytes, first, more) != 0 ||
		    strlen(name + bytes + more) != NUMBER_DIGITS) {
			continue;
		}
		unsigned long count = strtoul(name + bytes + more, NULL, 10);
		if (count > 1 && count <= PARTS_MAX && take_chain(remote, (unsigned)count, chain)) {
			return true;
		}
	}
	return false;
}

/* True when the part is there, with all that it says to be on top of. */
static bool is_part(struct work *work, const struct chain *chain, unsigned i)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	const git_oid *below = i > 0 ? &chain->ids[i - 1] : chain->base;
	return git_commit_lookup(&commit, work->repo, &chain->ids[i]) == 0 &&
	       git_commit_parentcount(commit) == (below != NULL) &&
	       (below == NULL || git_oid_equal(git_commit_parent_id(commit, 0), below)) &&
	       mirror_has_whole(work, &chain->ids[i]);
}

static unsigned count_held(struct work *work, const struct chain *chain)
{
	unsigned held = 0;
	while (held < chain->count && is_part(work, chain, held)) {
		held++;
	}
	return held;
}

/* *ret_came: it is a part of the chain and whole. A host that gives nothing of it is a host without
 * parts; one that gives a piece was cut off. */
static enum git_failure fetch_part(struct remote *remote, const struct chain *chain, unsigned i,
				   bool *ret_came)
{
	struct work *work = remote->work;
	const git_oid *below = i > 0 ? &chain->ids[i - 1] : chain->base;
	uint64_t bytes = work->result->fetched_bytes;
	char name[GIT_REF_MAX], spec[GIT_REF_MAX + 32];
	(void)name_part(name, chain->ref, i + 1, chain->count);
	(void)snprintf(spec, sizeof(spec), "+%s:refs/sluice/fetch", name);
	remote_close(remote);
	enum git_failure failure = remote_open_telling(remote, work, below);
	const git_remote_head *head = failure == GIT_OK ? remote_find(remote, name) : NULL;
	*ret_came = false;
	if (head == NULL || !git_oid_equal(&head->oid, &chain->ids[i])) {
		return failure;
	}
	failure = remote_download(remote, (char *[]){spec}, 1);
	if (failure == GIT_REPOSITORY_UNREACHABLE && work->result->fetched_bytes == bytes) {
		work_forgive(work);
		return GIT_OK;
	}
	*ret_came = failure == GIT_OK && is_part(work, chain, i);
	return failure;
}

static void tell_parts(struct work *work, unsigned done, unsigned total)
{
	work->progress.done_parts = done;
	work->progress.total_parts = total;
	work->progress.done_objects = work->progress.total_objects = 0;
	work_tell(work);
}

enum git_failure parts_fetch(struct remote *remote, const struct parts *parts, const git_oid *want,
			     bool *ret_found)
{
	struct work *work = remote->work;
	struct chain chain = {.ref = parts->ref, .base = parts->base};
	*ret_found = false;
	if (remote_is_local(remote) || !find_chain(remote, &chain)) {
		return GIT_OK;
	}
	enum git_failure failure = GIT_OK;
	unsigned done = count_held(work, &chain);
	for (bool came = true; came && done < chain.count; done += came) {
		tell_parts(work, done, chain.count);
		mirror_note_held(work, want, 100 * done / chain.count);
		failure = fetch_part(remote, &chain, done, &came);
		if (failure != GIT_OK) {
			return failure;
		}
	}
	if (done == chain.count && delta_write_parentless(work, &chain.ids[done - 1], want) &&
	    mirror_has_whole(work, want)) {
		*ret_found = true;
		return mirror_keep(work, want);
	}
	tell_parts(work, 0, 0);
	mirror_note_held(work, want, 0);
	return fetch_reconnect(remote);
}
