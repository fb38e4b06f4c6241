/* Which apps a commit has: those that Sluice's own files name, and ToolJet's; else its folders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/git/fetch_internal.h"
#include "base/git/job_internal.h"
#include "base/json/json.h"

enum { RECORD_MAX = 65536 };

SL_DEFINE_AUTO(struct sl_json *, sl_json_free);

struct finder {
	struct work *work;
	git_tree *root;
	struct git_app *apps; /* GIT_APPS_MAX */
	size_t count;
};

/* --- what is there --------------------------------------------------------------------- */

/* NULL in *ret_entry: nothing of this type is there. */
static enum git_failure find_entry(struct finder *f, const char *path, git_object_t type,
				   git_tree_entry **ret_entry)
{
	SL_AUTO(git_tree_entry_free_auto) git_tree_entry *entry = NULL;
	int rc = git_tree_entry_bypath(&entry, f->root, path);
	if (rc != 0 && rc != GIT_ENOTFOUND) {
		return work_fail_git(f->work, ERROR_MIRROR, rc, "read a folder");
	}
	*ret_entry = rc == 0 && git_tree_entry_type(entry) == type ? SL_TAKE(entry) : NULL;
	return GIT_OK;
}

/* NULL in *ret_tree: there is no such folder. */
static enum git_failure open_folder(struct finder *f, const char *path, git_tree **ret_tree)
{
	SL_AUTO(git_tree_entry_free_auto) git_tree_entry *entry = NULL;
	enum git_failure failure = find_entry(f, path, GIT_OBJECT_TREE, &entry);
	if (failure != GIT_OK || entry == NULL) {
		return failure;
	}
	int rc = git_tree_lookup(ret_tree, f->work->repo, git_tree_entry_id(entry));
	return rc == 0 ? GIT_OK : work_fail_git(f->work, ERROR_MIRROR, rc, "read a folder");
}

/* NULL in *ret_json: there is no such file, or it is not what a program would have written. */
static enum git_failure read_json(struct finder *f, const char *path, size_t max,
				  struct sl_json **ret_json)
{
	SL_AUTO(git_tree_entry_free_auto) git_tree_entry *entry = NULL;
	SL_AUTO(git_odb_object_free_auto) git_odb_object *object = NULL;
	size_t size = 0;
	git_object_t type = GIT_OBJECT_INVALID;
	enum git_failure failure = find_entry(f, path, GIT_OBJECT_BLOB, &entry);
	if (failure != GIT_OK || entry == NULL) {
		return failure;
	}
	const git_oid *id = git_tree_entry_id(entry);
	int rc = git_odb_read_header(&size, &type, f->work->odb, id);
	if (rc == 0 && size > max) {
		return GIT_OK;
	}
	rc = rc != 0 ? rc : git_odb_read(&object, f->work->odb, id);
	if (rc != 0) {
		return work_fail_git(f->work, ERROR_MIRROR, rc, "read a list of apps");
	}
	if (sl_json_parse(SL_BYTES(git_odb_object_data(object), size), ret_json, NULL) != SL_OK) {
		*ret_json = NULL;
	}
	return GIT_OK;
}

static bool is_known(const struct finder *f, const char *path)
{
	for (size_t i = 0; i < f->count; i++) {
		if (strcmp(f->apps[i].path, path) == 0) {
			return true;
		}
	}
	return false;
}

/* What is said of an app; NULL or "": nothing. */
struct said {
	const char *name, *path, *version;
};

/* One more app, if its folder is there and nobody named that before. */
static enum git_failure add(struct finder *f, const struct said *said)
{
	SL_AUTO(git_tree_entry_free_auto) git_tree_entry *entry = NULL;
	bool whole = said->name != NULL && said->name[0] != '\0' && said->path != NULL &&
		     said->path[0] != '\0' && job_path_is_fine(said->path);
	if (!whole || strlen(said->name) >= sizeof(f->apps->name) || is_known(f, said->path)) {
		return GIT_OK;
	}
	enum git_failure failure = find_entry(f, said->path, GIT_OBJECT_TREE, &entry);
	if (failure != GIT_OK || entry == NULL) {
		return failure;
	}
	if (f->count == GIT_APPS_MAX) {
		f->work->result->apps_cut = true;
		return GIT_OK;
	}
	struct git_app *app = &f->apps[f->count++];
	sl_text_copy(app->name, sizeof(app->name), said->name);
	sl_text_copy(app->path, sizeof(app->path), said->path);
	sl_text_copy(app->version, sizeof(app->version),
		     said->version == NULL ? "" : said->version);
	return GIT_OK;
}

/* --- who names them ---------------------------------------------------------------------- */

/* Texts that are of another type are not said. */
static const char *text_of(const struct sl_json *object, const char *key)
{
	const char *text = NULL;
	return sl_json_get_text(object, key, GIT_PATH_MAX, &text, NULL) == SL_OK ? text : NULL;
}

static enum git_failure add_record(struct finder *f, const char *file)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *json = NULL;
	char path[GIT_PATH_MAX];
	int bytes = snprintf(path, sizeof(path), ".sluice/apps/%s", file);
	if (bytes >= (int)sizeof(path)) {
		return GIT_OK;
	}
	enum git_failure failure = read_json(f, path, RECORD_MAX, &json);
	if (failure != GIT_OK || json == NULL) {
		return failure;
	}
	const struct said said = {.name = text_of(json, "name"),
				  .path = text_of(json, "path"),
				  .version = text_of(json, "version")};
	return add(f, &said);
}

/* .sluice/apps/<app id>.json, as GIT_COMMIT writes them. */
static enum git_failure find_records(struct finder *f)
{
	SL_AUTO(git_tree_free_auto) git_tree *folder = NULL;
	enum git_failure failure = open_folder(f, ".sluice/apps", &folder);
	for (size_t i = 0; failure == GIT_OK && folder != NULL && i < git_tree_entrycount(folder);
	     i++) {
		failure = add_record(f, git_tree_entry_name(git_tree_entry_byindex(folder, i)));
	}
	return failure;
}

/* ToolJet's .meta/meta.json: by the app's id there its name, which is that of its folder, and its
 * version's, which is that of a file in the folder. */
static enum git_failure find_tooljet(struct finder *f)
{
	SL_AUTO(sl_json_free_auto) struct sl_json *json = NULL;
	enum git_failure failure = read_json(f, ".meta/meta.json", SL_JSON_MAX_BYTES, &json);
	for (const char *key = json != NULL ? sl_json_next_key(json, NULL) : NULL;
	     failure == GIT_OK && key != NULL; key = sl_json_next_key(json, key)) {
		const struct sl_json *app = NULL;
		if (sl_json_get_object(json, key, &app, NULL) != SL_OK) {
			continue;
		}
		const char *name = text_of(app, "git_app_name");
		failure = add(f, &(struct said){name, name, text_of(app, "git_version_name")});
	}
	return failure;
}

/* The folders of a folder; "": of the root, where those that begin with a dot are not for apps. */
static enum git_failure find_folders(struct finder *f, const char *where)
{
	SL_AUTO(git_tree_free_auto) git_tree *folder = NULL;
	enum git_failure failure = where[0] == '\0' ? GIT_OK : open_folder(f, where, &folder);
	const git_tree *tree = where[0] == '\0' ? f->root : folder;
	for (size_t i = 0; failure == GIT_OK && tree != NULL && i < git_tree_entrycount(tree);
	     i++) {
		const char *name = git_tree_entry_name(git_tree_entry_byindex(tree, i));
		char path[GIT_PATH_MAX];
		int bytes = snprintf(path, sizeof(path), "%s%s%s", where,
				     where[0] == '\0' ? "" : "/", name);
		if (bytes < (int)sizeof(path) && (where[0] != '\0' || name[0] != '.')) {
			failure = add(f, &(struct said){name, path, ""});
		}
	}
	return failure;
}

static enum git_failure find(struct finder *f)
{
	enum git_failure failure = find_records(f);
	failure = failure != GIT_OK ? failure : find_tooljet(f);
	if (failure == GIT_OK && f->count == 0) {
		failure = find_folders(f, "apps");
	}
	if (failure == GIT_OK && f->count == 0) {
		failure = find_folders(f, "");
	}
	return failure;
}

/* --- the list ------------------------------------------------------------------------------ */

static int compare_apps(const void *a, const void *b)
{
	return strcmp(((const struct git_app *)a)->path, ((const struct git_app *)b)->path);
}

static enum git_failure send_all(struct work *work, const struct finder *f)
{
	for (size_t i = 0; i < f->count; i++) {
		protocol_put_app(&work->record, &f->apps[i]);
		if (!work_send(work)) {
			return work_fail(work, GIT_WORKER_FAILED, "the parent is gone");
		}
	}
	return GIT_OK;
}

static enum git_failure list(struct finder *f, const git_oid *id)
{
	SL_AUTO(git_commit_free_auto) git_commit *commit = NULL;
	SL_AUTO(git_tree_free_auto) git_tree *root = NULL;
	int rc = git_commit_lookup(&commit, f->work->repo, id);
	rc = rc != 0 ? rc : git_commit_tree(&root, commit);
	if (rc != 0) {
		return work_fail_git(f->work, ERROR_MIRROR, rc, "read the commit");
	}
	f->root = root;
	enum git_failure failure = find(f);
	qsort(f->apps, f->count, sizeof(*f->apps), compare_apps);
	failure = failure != GIT_OK ? failure : history_last(f->work, id, f->apps, f->count);
	return failure != GIT_OK ? failure : send_all(f->work, f);
}

enum git_failure do_apps(struct work *work)
{
	SL_AUTO(sl_free_auto) struct git_app *apps = calloc(GIT_APPS_MAX, sizeof(*apps));
	struct finder f = {.work = work, .apps = apps};
	git_oid commit;
	if (apps == NULL) {
		return work_fail(work, GIT_OUT_OF_MEMORY, "out of memory for a list of apps");
	}
	enum git_failure failure = resolve(work, &commit);
	failure = failure != GIT_OK ? failure : commit_describe(work, &commit);
	return failure != GIT_OK ? failure : list(&f, &commit);
}
