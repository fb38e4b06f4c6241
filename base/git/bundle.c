/* Walks a bundle's trees and checks every rule before a byte is written. */
#include "base/git/work_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/git/text_internal.h"
#include "base/git/twins_internal.h"

enum {
	MODE_FILE = 0100644,
	MODE_FILE_OLD = 0100664,
	MODE_RUNNABLE = 0100755,
	MODE_FOLDER = 040000,
	MODE_LINK = 0120000,
	MODE_GITLINK = 0160000
};
enum { SHOWN_MAX = 300, TREE_BYTES_MAX = 64 << 20 };

struct walk {
	struct work *work;
	const struct git_limits *limits;
	struct bundle *bundle;
};

/* One folder on the way down. */
struct place {
	const char *path; /* "" for the root */
	unsigned depth;   /* 0 for the root */
	git_oid tree;
};

static const char *const rule_texts[GIT_RULE_CONTRACT] = {
    [GIT_RULE_NAME_EMPTY] = "a name must not be empty",
    [GIT_RULE_NAME_DOT] = "a name must not be '.'",
    [GIT_RULE_NAME_DOT_DOT] = "a name must not be '..'",
    [GIT_RULE_NAME_SLASH] = "a name must not contain '/'",
    [GIT_RULE_NAME_BACKSLASH] = "a name must not contain a backslash",
    [GIT_RULE_NAME_CONTROL] = "a name must not contain control characters",
    [GIT_RULE_NAME_NOT_UTF8] = "a name must be valid UTF-8",
    [GIT_RULE_NAME_TOO_LONG] = "a name must have at most 255 bytes",
    [GIT_RULE_NAME_DOT_GIT] = "a name must not be a spelling of '.git'",
    [GIT_RULE_LINK] = "links are not allowed",
    [GIT_RULE_GITLINK] = "gitlinks (submodules) are not allowed",
    [GIT_RULE_SPECIAL_FILE] = "only plain files (100644, 100755) and folders are allowed",
};

static enum git_failure refuse(struct walk *walk, enum git_rule rule, const struct place *at,
			       const struct tree_entry *entry)
{
	char name[SHOWN_MAX];
	text_clean(name, sizeof(name), entry->name, entry->name_bytes);
	return work_break(walk->work, GIT_BUNDLE_REFUSED, rule, "'%s%s%s' (mode %06o): %s (%s)",
			  at->path, at->path[0] == '\0' ? "" : "/", name, entry->mode,
			  rule_texts[rule], git_rule_name(rule));
}

/* What there is too much of. */
struct excess {
	enum git_rule rule;
	const char *what; /* "file number" */
	uint64_t value, limit;
};

static enum git_failure too_big(struct walk *walk, const char *path, struct excess excess)
{
	return work_break(walk->work, GIT_BUNDLE_TOO_BIG, excess.rule,
			  "'%.300s': %s %llu, at most %llu are allowed (%s)", path, excess.what,
			  (unsigned long long)excess.value, (unsigned long long)excess.limit,
			  git_rule_name(excess.rule));
}

static enum git_rule mode_rule(uint32_t mode)
{
	switch (mode) {
	case MODE_FILE:
	case MODE_FILE_OLD: /* git itself reads it as 100644 */
	case MODE_RUNNABLE:
	case MODE_FOLDER:
		return GIT_RULE_NONE;
	case MODE_LINK:
		return GIT_RULE_LINK;
	case MODE_GITLINK:
		return GIT_RULE_GITLINK;
	default:
		return GIT_RULE_SPECIAL_FILE;
	}
}

static enum git_failure check_entry(struct walk *walk, const struct place *at,
				    const struct tree_entry *entry)
{
	enum git_rule rule = GIT_RULE_NONE;
	if (!git_name_check(entry->name, entry->name_bytes, &rule)) {
		return refuse(walk, rule, at, entry);
	}
	rule = mode_rule(entry->mode);
	if (rule != GIT_RULE_NONE) {
		return refuse(walk, rule, at, entry);
	}
	if (entry->name_bytes > walk->limits->name_bytes) {
		return work_break(walk->work, GIT_BUNDLE_REFUSED, GIT_RULE_NAME_TOO_LONG,
				  "'%.200s' in '%.200s': has %zu bytes, a name must have at most "
				  "%u (NAME_TOO_LONG)",
				  entry->name, at->path, entry->name_bytes,
				  walk->limits->name_bytes);
	}
	size_t path_bytes = strlen(at->path) + (at->path[0] != '\0') + entry->name_bytes;
	if (path_bytes > walk->limits->path_bytes) {
		return work_break(
		    walk->work, GIT_BUNDLE_REFUSED, GIT_RULE_PATH_TOO_LONG,
		    "'%.300s/...': has %zu bytes, a path must have at most %u (PATH_TOO_LONG)",
		    at->path, path_bytes, walk->limits->path_bytes);
	}
	return GIT_OK;
}

static const char *join(struct walk *walk, const struct place *at, const struct tree_entry *entry)
{
	return sl_arena_printf(&walk->bundle->arena, "%s%s%.*s", at->path,
			       at->path[0] == '\0' ? "" : "/", (int)entry->name_bytes, entry->name);
}

static enum git_failure out_of_memory(struct walk *walk)
{
	return work_fail(walk->work, GIT_OUT_OF_MEMORY,
			 "out of memory while reading the bundle's trees");
}

/* Room for one more element; false: out of memory. */
static bool grow(void **array, size_t count, size_t *room, size_t element)
{
	if (count < *room) {
		return true;
	}
	size_t more = *room == 0 ? 64 : *room * 2;
	void *grown = realloc(*array, more * element);
	if (grown == NULL) {
		return false;
	}
	*array = grown;
	*room = more;
	return true;
}

/* Folders count too: trees of nothing but folders can be endless. */
static enum git_failure check_count(struct walk *walk, const char *path, bool folder)
{
	uint64_t count = folder ? walk->bundle->folder_count : walk->bundle->count;
	if (count < walk->limits->files) {
		return GIT_OK;
	}
	return too_big(walk, path,
		       (struct excess){GIT_RULE_TOO_MANY_FILES,
				       folder ? "folder number" : "file number", count + 1,
				       walk->limits->files});
}

static enum git_failure add_file(struct walk *walk, const char *path,
				 const struct tree_entry *entry)
{
	struct bundle *bundle = walk->bundle;
	struct bundle_file file = {.path = path, .runnable = entry->mode == MODE_RUNNABLE};
	(void)git_oid_fromraw(&file.id, entry->id);
	size_t size = 0;
	git_object_t type = GIT_OBJECT_INVALID;
	int rc = git_odb_read_header(&size, &type, walk->work->odb, &file.id);
	if (rc != 0) {
		return work_fail_git(walk->work, ERROR_MIRROR, rc, "read a file's header");
	}
	if (type != GIT_OBJECT_BLOB) {
		return work_fail(walk->work, GIT_MIRROR_CORRUPT,
				 "'%.300s': object %s is not a file's content", path,
				 git_oid_tostr_s(&file.id));
	}
	file.size = size;
	if (size > walk->limits->file_bytes) {
		return too_big(walk, path,
			       (struct excess){GIT_RULE_FILE_TOO_BIG, "bytes of the file:", size,
					       walk->limits->file_bytes});
	}
	if (size > walk->limits->bytes - bundle->bytes) {
		return too_big(walk, path,
			       (struct excess){GIT_RULE_TOO_MANY_BYTES,
					       "bytes of the bundle up to here:",
					       bundle->bytes + size, walk->limits->bytes});
	}
	if (!grow((void **)&bundle->files, bundle->count, &bundle->room, sizeof(file))) {
		return out_of_memory(walk);
	}
	bundle->files[bundle->count++] = file;
	bundle->bytes += size;
	return GIT_OK;
}

static enum git_failure walk_folder(struct walk *walk, const struct place *at);

static enum git_failure add_folder(struct walk *walk, const struct place *at, const char *path,
				   const struct tree_entry *entry)
{
	struct bundle *bundle = walk->bundle;
	struct place below = {.path = path, .depth = at->depth + 1};
	if (below.depth > walk->limits->depth) {
		return work_break(
		    walk->work, GIT_BUNDLE_REFUSED, GIT_RULE_TOO_DEEP,
		    "'%.300s': is folder within folder %u times, at most %u are allowed (TOO_DEEP)",
		    path, below.depth, walk->limits->depth);
	}
	if (!grow((void **)&bundle->folders, bundle->folder_count, &bundle->folder_room,
		  sizeof(char *))) {
		return out_of_memory(walk);
	}
	bundle->folders[bundle->folder_count++] = path;
	(void)git_oid_fromraw(&below.tree, entry->id);
	return walk_folder(walk, &below);
}

static enum git_failure add_entry(struct walk *walk, const struct place *at,
				  const struct tree_entry *entry)
{
	const char *path = join(walk, at, entry);
	if (path == NULL) {
		return out_of_memory(walk);
	}
	enum git_failure failure = check_count(walk, path, entry->mode == MODE_FOLDER);
	if (failure != GIT_OK) {
		return failure;
	}
	return entry->mode == MODE_FOLDER ? add_folder(walk, at, path, entry)
					  : add_file(walk, path, entry);
}

static enum git_failure check_twins(struct walk *walk, const struct place *at, struct twins *twins)
{
	const char *twin = twins_find(twins);
	if (twin == NULL) {
		return GIT_OK;
	}
	return work_break(
	    walk->work, GIT_BUNDLE_REFUSED, GIT_RULE_NAME_TWIN,
	    "'%.200s%s%.250s': two names in one folder must differ in more than case or "
	    "Unicode form (NAME_TWIN)",
	    at->path, at->path[0] == '\0' ? "" : "/", twin);
}

static enum git_failure check_folder(struct walk *walk, const struct place *at,
				     struct sl_bytes rest)
{
	SL_AUTO(twins_fini) struct twins twins = {0};
	struct tree_entry entry;
	enum tree_parse_result got = tree_parse_next(&rest, &entry);
	for (; got == TREE_PARSE_ENTRY; got = tree_parse_next(&rest, &entry)) {
		enum git_failure failure = check_entry(walk, at, &entry);
		if (failure != GIT_OK) {
			return failure;
		}
		if (!twins_add(&twins, entry.name, entry.name_bytes)) {
			return out_of_memory(walk);
		}
		if (twins.count > walk->limits->files * 2) {
			return too_big(walk, at->path,
				       (struct excess){GIT_RULE_TOO_MANY_FILES,
						       "entries of the folder:", twins.count,
						       walk->limits->files * 2});
		}
	}
	if (got == TREE_PARSE_MALFORMED) {
		return work_break(
		    walk->work, GIT_BUNDLE_REFUSED, GIT_RULE_MALFORMED,
		    "folder '%.300s': tree %s is not what Git calls a tree (MALFORMED)", at->path,
		    git_oid_tostr_s(&at->tree));
	}
	return check_twins(walk, at, &twins);
}

static enum git_failure open_tree(struct walk *walk, const struct place *at,
				  git_odb_object **ret_object)
{
	size_t size = 0;
	git_object_t type = GIT_OBJECT_INVALID;
	git_odb *odb = walk->work->odb;
	int rc = git_odb_read_header(&size, &type, odb, &at->tree);
	if (rc == 0 && type != GIT_OBJECT_TREE) {
		return work_fail(walk->work, GIT_MIRROR_CORRUPT,
				 "folder '%.300s': object %s is not a tree", at->path,
				 git_oid_tostr_s(&at->tree));
	}
	if (rc == 0 && size > TREE_BYTES_MAX) {
		return too_big(walk, at->path,
			       (struct excess){GIT_RULE_TOO_MANY_FILES,
					       "bytes of the folder's list of names:", size,
					       TREE_BYTES_MAX});
	}
	rc = rc != 0 ? rc : git_odb_read(ret_object, odb, &at->tree);
	return rc == 0 ? GIT_OK
		       : work_fail_git(walk->work, ERROR_MIRROR, rc, "read a folder's tree");
}

static enum git_failure walk_folder(struct walk *walk, const struct place *at)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	enum git_failure failure = open_tree(walk, at, &object);
	if (failure != GIT_OK) {
		return failure;
	}
	struct sl_bytes rest = SL_BYTES(git_odb_object_data(object), git_odb_object_size(object));
	failure = check_folder(walk, at, rest);
	struct tree_entry entry;
	while (failure == GIT_OK && tree_parse_next(&rest, &entry) == TREE_PARSE_ENTRY) {
		failure = add_entry(walk, at, &entry);
	}
	return failure;
}

static int compare_files(const void *a, const void *b)
{
	/* strcmp compares as unsigned bytes: the order that the digest is defined by. */
	return strcmp(((const struct bundle_file *)a)->path, ((const struct bundle_file *)b)->path);
}

enum git_failure bundle_read(struct work *work, const git_oid *tree, struct bundle *ret_bundle)
{
	*ret_bundle = (struct bundle){0};
	sl_arena_init(&ret_bundle->arena, 0);
	struct walk walk = {.work = work, .limits = &work->job->limits, .bundle = ret_bundle};
	struct place root = {.path = "", .tree = *tree};
	enum git_failure failure = walk_folder(&walk, &root);
	if (failure != GIT_OK) {
		return failure;
	}
	if (ret_bundle->count == 0) {
		return work_fail(work, GIT_BUNDLE_EMPTY, "folder '%s' has no files",
				 work->job->path);
	}
	qsort(ret_bundle->files, ret_bundle->count, sizeof(*ret_bundle->files), compare_files);
	return GIT_OK;
}

void bundle_fini(struct bundle *bundle)
{
	free(bundle->files);
	free(bundle->folders);
	sl_arena_fini(&bundle->arena);
	*bundle = (struct bundle){0};
}
