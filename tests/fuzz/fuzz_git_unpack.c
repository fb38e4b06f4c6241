/* Targets: UNPACK, which reads a bundle file into a mirror. The input is a file without its digest,
 * which is put behind it here: else nothing would ever get further.
 * Property: no crash; what is refused is named, and kept by no ref. What is taken is the one commit
 * and the one tree that were asked for, whole. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/git/bundle_file.h"
#include "base/git/work_internal.h"
#include "base/mem/own.h"
#include "tests/fuzz/mirror.h"

/* What the corpus' good file is of. */
#define COMMIT "857834ba862cb9d24f788d569d8fc36e870b2d66"
#define TREE "3b9d10f3503018c35b256c6d11f4f78f4802256a"
static const struct fuzz_mirror *mirror;

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

static void write_file(const uint8_t *data, size_t size)
{
	uint8_t digest[SL_HASH_BYTES];
	sl_hash(digest, data, size, NULL, 0);
	FILE *out = fopen(mirror->file, "wbe");
	expect(out != NULL && fwrite(data, 1, size, out) == size &&
	       fwrite(digest, 1, sizeof(digest), out) == sizeof(digest) && fclose(out) == 0);
}

static bool is_kept(void)
{
	git_oid id;
	return git_reference_name_to_id(&id, mirror->repo, "refs/sluice/keep/" COMMIT) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool taken_before;
	mirror = fuzz_mirror_begin();
	taken_before = is_kept();
	write_file(data, size);
	struct git_job job = {.op = GIT_UNPACK,
			      .mirror = mirror->folder,
			      .archive = mirror->file,
			      .commit = COMMIT,
			      .path = "apps/shop",
			      .want_tree = "",
			      .limits = GIT_LIMITS_DEFAULT};
	struct git_result result = {.failure = GIT_OK};
	struct work work = {.job = &job,
			    .result = &result,
			    .repo = mirror->repo,
			    .odb = mirror->odb,
			    .staging = -1};
	job.limits.files = 64;
	job.limits.bytes = 4096;
	job.limits.file_bytes = 2048;
	git_oid commit;
	if (do_unpack(&work) == GIT_OK) {
		expect(git_oid_fromstr(&commit, COMMIT) == 0 && mirror_has_whole(&work, &commit));
		expect(strcmp(result.tree, TREE) == 0 && is_kept());
	} else {
		expect(result.failure != GIT_OK && result.text[0] != '\0');
		expect(is_kept() == taken_before);
	}
	return 0;
}
