/* Targets: content_read, which puts an uploaded archive into a mirror.
 * Property: no crash; what is refused is named. What is taken becomes a tree of exactly the files
 * of the archive: as many, under their paths, with their bytes and whether they can be run; and no
 * file is made anywhere but among the mirror's objects. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/git/archive.h"
#include "base/git/work_internal.h"
#include "base/mem/own.h"
#include "tests/fuzz/mirror.h"

enum { PATH_ROOM = 8192 };

static const struct fuzz_mirror *mirror;

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static size_t names_in(const char *path)
{
	DIR *list = opendir(path);
	size_t count = 0;
	expect(list != NULL);
	while (readdir(list) != NULL) {
		count++;
	}
	(void)closedir(list);
	return count;
}

/* One file of the archive, cut off its front. */
static void expect_file(const git_tree *tree, struct sl_bytes *rest)
{
	char path[PATH_ROOM];
	git_tree_entry *entry = NULL;
	git_blob *blob = NULL;
	const uint8_t *at = rest->data;
	size_t path_size = sl_get_be32(at);
	expect(path_size < sizeof(path));
	memcpy(path, at + GIT_ARCHIVE_HEAD, path_size);
	path[path_size] = '\0';
	at += GIT_ARCHIVE_HEAD + path_size;
	size_t size = (size_t)sl_get_be64(at + 1);
	expect(git_tree_entry_bypath(&entry, tree, path) == 0);
	expect(git_tree_entry_filemode(entry) ==
	       (at[0] == 1 ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB));
	expect(git_blob_lookup(&blob, mirror->repo, git_tree_entry_id(entry)) == 0);
	at += GIT_ARCHIVE_MIDDLE;
	expect(git_blob_rawsize(blob) == (git_object_size_t)size &&
	       (size == 0 || memcmp(git_blob_rawcontent(blob), at, size) == 0));
	git_blob_free(blob);
	git_tree_entry_free(entry);
	at += size;
	*rest = SL_BYTES(at, rest->size - (size_t)(at - (const uint8_t *)rest->data));
}

static int count_file(const char *root, const git_tree_entry *entry, void *ctx)
{
	size_t *count = ctx;
	(void)root;
	*count += git_tree_entry_type(entry) == GIT_OBJECT_BLOB;
	return 0;
}

static void expect_tree(const git_oid *id, struct sl_bytes archive)
{
	git_tree *tree = NULL;
	size_t files = 0, counted = 0;
	expect(git_tree_lookup(&tree, mirror->repo, id) == 0);
	for (; archive.size > 0; files++) {
		expect_file(tree, &archive);
	}
	expect(git_tree_walk(tree, GIT_TREEWALK_PRE, count_file, &counted) == 0);
	expect(files == counted);
	git_tree_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mirror = fuzz_mirror_begin();
	FILE *out = fopen(mirror->file, "wbe");
	expect(out != NULL && fwrite(data, 1, size, out) == size && fclose(out) == 0);
	size_t names = names_in(mirror->home), in_mirror = names_in(mirror->folder);
	struct git_job job = {
	    .op = GIT_COMMIT, .archive = mirror->file, .limits = GIT_LIMITS_DEFAULT};
	struct git_result result = {.failure = GIT_OK};
	struct work work = {.job = &job,
			    .result = &result,
			    .repo = mirror->repo,
			    .odb = mirror->odb,
			    .staging = -1};
	git_oid tree;
	job.limits.files = 64;
	job.limits.bytes = 4096;
	job.limits.file_bytes = 2048;
	if (content_read(&work, &tree) == GIT_OK) {
		expect_tree(&tree, SL_BYTES(data, size));
	} else {
		expect(result.failure != GIT_OK && result.text[0] != '\0');
	}
	expect(names_in(mirror->home) == names && names_in(mirror->folder) == in_mirror);
	return 0;
}
