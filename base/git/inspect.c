#include "base/git/work_internal.h"

#include <string.h>

static enum git_failure send_json(struct work *work, const char *data, size_t size)
{
	if (size > PROTOCOL_JSON_MAX) {
		return GIT_OK;
	}
	protocol_put_json(&work->record, data, size);
	return work_send(work) ? GIT_OK : work_fail(work, GIT_WORKER_FAILED, "the parent is gone");
}

static enum git_failure hash_file(struct work *work, const struct bundle_file *file,
				  struct bundle_digest *digest)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	enum git_failure failure = bundle_open(work, file, &object);
	if (failure != GIT_OK) {
		return failure;
	}
	uint8_t hash[SL_HASH_BYTES];
	sl_hash(hash, git_odb_object_data(object), file->size, NULL, 0);
	bundle_digest_add(digest, file, hash);
	if (strcmp(file->path, "sluice.json") == 0) {
		return send_json(work, git_odb_object_data(object), file->size);
	}
	return GIT_OK;
}

enum git_failure inspect(struct work *work, const char *commit, const char *path)
{
	git_oid tree, id;
	SL_AUTO(bundle_fini) struct bundle bundle = {0};
	enum git_failure failure = commit_folder(work, commit, path, &tree);
	if (failure == GIT_OK && git_oid_fromstr(&id, commit) == 0) {
		failure = commit_describe(work, &id);
	}
	if (failure != GIT_OK) {
		return failure;
	}
	(void)git_oid_tostr(work->result->tree, sizeof(work->result->tree), &tree);
	failure = bundle_read(work, &tree, &bundle);
	struct bundle_digest digest;
	bundle_digest_init(&digest);
	for (size_t i = 0; failure == GIT_OK && i < bundle.count; i++) {
		failure = hash_file(work, &bundle.files[i], &digest);
	}
	if (failure != GIT_OK) {
		return failure;
	}
	bundle_digest_end(&digest, work->result->digest);
	work->result->files = bundle.count;
	work->result->bytes = bundle.bytes;
	return GIT_OK;
}
