/* The content of a bundle's files, and the digest over them. */
#include "base/git/work_internal.h"

#include <stdio.h>
#include <string.h>

enum git_failure bundle_open(struct work *work, const struct bundle_file *file,
			     git_odb_object **ret_object)
{
	git_odb_object *object = NULL;
	int rc = git_odb_read(&object, work->odb, &file->id); /* checks the bytes against the id */
	if (rc != 0) {
		return work_fail_git(work, ERROR_MIRROR, rc, "read a file's content");
	}
	if (git_odb_object_size(object) != file->size) {
		git_odb_object_free(object);
		return work_fail(work, GIT_MIRROR_CORRUPT,
				 "'%.300s': its size is not the one that was announced",
				 file->path);
	}
	*ret_object = object;
	return GIT_OK;
}

void bundle_digest_init(struct bundle_digest *digest)
{
	sl_hasher_init(&digest->all);
}

void bundle_digest_add(struct bundle_digest *digest, const struct bundle_file *file,
		       const uint8_t hash[SL_HASH_BYTES])
{
	char head[64], hex[2 * SL_HASH_BYTES + 1];
	int bytes = snprintf(head, sizeof(head), "%s %llu ", file->runnable ? "100755" : "100644",
			     (unsigned long long)file->size);
	sl_hasher_add(&digest->all, head, (size_t)bytes);
	sl_hasher_add(&digest->all, sl_hex(hex, hash, SL_HASH_BYTES), 2 * SL_HASH_BYTES);
	sl_hasher_add(&digest->all, " ", 1);
	sl_hasher_add(&digest->all, file->path, strlen(file->path) + 1);
}

void bundle_digest_end(struct bundle_digest *digest, uint8_t ret_digest[SL_HASH_BYTES])
{
	sl_hasher_end(&digest->all, ret_digest);
}
