#include "base/git/work_internal.h"

#include <stdlib.h>
#include <string.h>

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, ((const struct bundle_file *)file)->path);
}

static const struct bundle_file *find_file(const struct bundle *bundle, const char *path)
{
	return bsearch(path, bundle->files, bundle->count, sizeof(*bundle->files), compare_path);
}

static enum git_failure check_rendered(struct work *work, const struct bundle *bundle,
				       const struct contract_names *render)
{
	for (size_t i = 0; i < render->count; i++) {
		if (find_file(bundle, render->items[i]) == NULL) {
			return work_break(
			    work, GIT_BUNDLE_REFUSED, GIT_RULE_CONTRACT + CONTRACT_NO_FILE,
			    CONTRACT_FILE ": render: '%.300s' must be a file of the bundle (%s)",
			    render->items[i], contract_rule_name(CONTRACT_NO_FILE));
		}
	}
	return GIT_OK;
}

static enum git_failure check_contract(struct work *work, const struct bundle *bundle,
				       struct sl_bytes text)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	SL_AUTO(sl_arena_fini) struct sl_arena arena;
	struct contract *contract = NULL;
	enum contract_rule rule = CONTRACT_NOT_JSON;
	sl_arena_init(&arena, 0);
	sl_code code = contract_parse(&arena, text, &contract, &rule, &err);
	if (code == SL_INVALID_ARGUMENT) {
		return work_break(work, GIT_BUNDLE_REFUSED, GIT_RULE_CONTRACT + rule, "%s (%s)",
				  err.msg, contract_rule_name(rule));
	}
	return code == SL_OK ? check_rendered(work, bundle, &contract->render)
			     : work_fail(work, GIT_OUT_OF_MEMORY, "%s", err.msg);
}

static enum git_failure send_contract(struct work *work, const struct bundle *bundle,
				      struct sl_bytes text)
{
	enum git_failure failure = check_contract(work, bundle, text);
	if (failure != GIT_OK) {
		return failure;
	}
	protocol_put_json(&work->record, text.data, text.size);
	return work_send(work) ? GIT_OK : work_fail(work, GIT_WORKER_FAILED, "the parent is gone");
}

enum git_failure inspect_contract(struct work *work, const git_oid *tree)
{
	SL_AUTO(bundle_fini) struct bundle bundle = {0};
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	enum git_failure failure = bundle_read(work, tree, &bundle);
	const struct bundle_file *file =
	    failure == GIT_OK ? find_file(&bundle, CONTRACT_FILE) : NULL;
	if (file == NULL) {
		return failure;
	}
	failure = bundle_open(work, file, &object);
	return failure != GIT_OK
		   ? failure
		   : check_contract(work, &bundle,
				    SL_BYTES(git_odb_object_data(object), file->size));
}

/* What Git LFS puts in the place of a file (its specification of pointers): at most 1 024 bytes,
 * the first line of which is the version. */
static bool is_lfs_pointer(const char *data, size_t size)
{
	static const char *const versions[] = {"version https://git-lfs.github.com/spec/",
					       "version https://hawser.github.com/spec/"};
	for (size_t i = 0; size <= 1024 && i < SL_COUNT(versions); i++) {
		size_t bytes = strlen(versions[i]);
		if (size > bytes && memcmp(data, versions[i], bytes) == 0) {
			return true;
		}
	}
	return false;
}

static enum git_failure hash_file(struct work *work, const struct bundle *bundle,
				  const struct bundle_file *file, struct bundle_digest *digest)
{
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	enum git_failure failure = bundle_open(work, file, &object);
	if (failure != GIT_OK) {
		return failure;
	}
	if (is_lfs_pointer(git_odb_object_data(object), file->size)) {
		return work_break(work, GIT_BUNDLE_REFUSED, GIT_RULE_LFS_POINTER,
				  "'%.300s': is a pointer of Git LFS, the file itself is not in "
				  "Git: commit the file (git lfs untrack) (LFS_POINTER)",
				  file->path);
	}
	uint8_t hash[SL_HASH_BYTES];
	sl_hash(hash, git_odb_object_data(object), file->size, NULL, 0);
	bundle_digest_add(digest, file, hash);
	return strcmp(file->path, CONTRACT_FILE) == 0
		   ? send_contract(work, bundle, SL_BYTES(git_odb_object_data(object), file->size))
		   : GIT_OK;
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
		failure = hash_file(work, &bundle, &bundle.files[i], &digest);
	}
	if (failure != GIT_OK) {
		return failure;
	}
	bundle_digest_end(&digest, work->result->digest);
	work->result->files = bundle.count;
	work->result->bytes = bundle.bytes;
	return GIT_OK;
}
