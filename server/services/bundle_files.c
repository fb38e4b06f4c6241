#include "server/services/bundle_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "base/file/file.h"
#include "base/git/bundle_file.h"
#include "base/log/log.h"
#include "base/mem/own.h"

enum { KEPT_MS = 60000, WHY_MAX = 400 };

enum file_state { MAKING, READY, FAILED };

struct bundle_file {
	SLIST_ENTRY(bundle_file) link;
	struct bundle_files *files;
	uint8_t key[SL_HASH_BYTES];
	char path[PATH_MAX];
	unsigned refs; /* who takes it, and who makes it */
	enum file_state state;
	uint64_t idle_mono_ms; /* since when refs is 0 */
	sl_code code;          /* FAILED: why */
	char why[WHY_MAX];
};

struct bundle_files {
	struct gitsync *gitsync; /* borrowed */
	uint64_t disk_reserve;
	char folder[PATH_MAX - 80];
	pthread_t keeper;
	bool keeper_runs;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	bool stopping;
	SLIST_HEAD(, bundle_file) all;
};

SL_DEFINE_AUTO(struct bundle_files *, bundle_files_free);

/* --- the folder ---------------------------------------------------------------------- */

static sl_code sweep(struct bundle_files *files, struct sl_err *err)
{
	if (mkdir(files->folder, 0700) != 0 && errno != EEXIST) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "make '%s': %s", files->folder,
				  strerror(errno));
	}
	SL_AUTO(sl_dir_auto) DIR *dir = opendir(files->folder);
	if (dir == NULL) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "open '%s': %s", files->folder,
				  strerror(errno));
	}
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		if (entry->d_name[0] != '.') {
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
		}
	}
	return SL_OK;
}

/* --- the keeper: what nobody takes goes ------------------------------------------------- */

/* One that is to go off the list; NULL: none, *ret_next_ms is when to look again. */
static struct bundle_file *find_idle(struct bundle_files *files, uint64_t *ret_next_ms)
{
	uint64_t now = sl_clock_mono_ms();
	struct bundle_file *file = NULL;
	*ret_next_ms = UINT64_MAX;
	SLIST_FOREACH(file, &files->all, link)
	{
		uint64_t until = file->state == READY ? file->idle_mono_ms + KEPT_MS : now;
		if (file->refs == 0 && (until <= now || files->stopping)) {
			return file;
		}
		if (file->refs == 0 && until < *ret_next_ms) {
			*ret_next_ms = until;
		}
	}
	return NULL;
}

static void rest_until(struct bundle_files *files, uint64_t mono_ms)
{
	const struct timespec until = {.tv_sec = (time_t)(mono_ms / 1000),
				       .tv_nsec = (long)(mono_ms % 1000) * 1000000};
	if (mono_ms == UINT64_MAX) {
		pthread_cond_wait(&files->wake, &files->lock);
	} else {
		(void)pthread_cond_timedwait(&files->wake, &files->lock, &until);
	}
}

/* Not under the lock but for the list: a large file takes its time. */
static void throw_away(struct bundle_files *files, struct bundle_file *file)
{
	SLIST_REMOVE(&files->all, file, bundle_file, link);
	pthread_mutex_unlock(&files->lock);
	(void)unlink(file->path);
	free(file);
	pthread_mutex_lock(&files->lock);
}

static void *keeper_main(void *arg)
{
	struct bundle_files *files = arg;
	pthread_mutex_lock(&files->lock);
	for (;;) {
		uint64_t next_ms = 0;
		struct bundle_file *file = find_idle(files, &next_ms);
		if (file != NULL) {
			throw_away(files, file);
			continue;
		}
		if (files->stopping) {
			break;
		}
		rest_until(files, next_ms);
	}
	pthread_mutex_unlock(&files->lock);
	return NULL;
}

/* --- life ---------------------------------------------------------------------------------- */

static void init_sync(struct bundle_files *files)
{
	pthread_condattr_t monotonic;
	pthread_mutex_init(&files->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&files->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

sl_code bundle_files_new(struct gitsync *gitsync, const char *data, uint64_t disk_reserve,
			 struct bundle_files **ret_files, struct sl_err *err)
{
	SL_AUTO(bundle_files_free_auto) struct bundle_files *files = calloc(1, sizeof(*files));
	SL_AUTO(sl_free_auto) char *whole = realpath(data, NULL); /* what workers are told */
	if (files == NULL) {
		return sl_err_no_memory(err);
	}
	init_sync(files);
	files->gitsync = gitsync;
	files->disk_reserve = disk_reserve;
	int size = whole == NULL
		       ? -1
		       : snprintf(files->folder, sizeof(files->folder), "%s/bundles", whole);
	if (size < 0 || (size_t)size >= sizeof(files->folder)) {
		return sl_err_set(err, SL_INVALID_ARGUMENT,
				  "the data folder is not there, or its path is too long");
	}
	sl_code code = sweep(files, err);
	if (code == SL_OK && pthread_create(&files->keeper, NULL, keeper_main, files) != 0) {
		code = sl_err_set(err, SL_RESOURCE_EXHAUSTED, "cannot start a thread");
	}
	if (code == SL_OK) {
		files->keeper_runs = true;
		*ret_files = SL_TAKE(files);
	}
	return code;
}

void bundle_files_free(struct bundle_files *files)
{
	if (files == NULL) {
		return;
	}
	pthread_mutex_lock(&files->lock);
	files->stopping = true;
	pthread_cond_broadcast(&files->wake);
	pthread_mutex_unlock(&files->lock);
	if (files->keeper_runs) {
		(void)pthread_join(files->keeper, NULL);
	}
	pthread_cond_destroy(&files->wake);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

void bundle_files_wake(struct bundle_files *files)
{
	pthread_mutex_lock(&files->lock);
	pthread_cond_broadcast(&files->wake);
	pthread_mutex_unlock(&files->lock);
}

/* --- making ----------------------------------------------------------------------------------- */

static void drop(struct bundle_file *file)
{
	if (--file->refs == 0) {
		file->idle_mono_ms = sl_clock_mono_ms();
		pthread_cond_broadcast(&file->files->wake);
	}
}

/* The job's word; it drops its reference. */
static void made(struct bundle_file *file, sl_code code, const char *why)
{
	struct bundle_files *files = file->files;
	pthread_mutex_lock(&files->lock);
	file->state = code == SL_OK ? READY : FAILED;
	file->code = code;
	(void)snprintf(file->why, sizeof(file->why), "%s", why);
	drop(file);
	pthread_cond_broadcast(&files->wake);
	pthread_mutex_unlock(&files->lock);
}

static void on_exported(void *ctx, const struct git_result *result)
{
	struct bundle_file *file = ctx;
	char why[WHY_MAX];
	bool again = git_failure_is_transient(result->failure) ||
		     result->failure == GIT_WORKER_FAILED || result->failure == GIT_DISK_FULL;
	sl_code code = result->failure == GIT_OK ? SL_OK
		       : again                   ? SL_UNAVAILABLE
						 : SL_FAILED_PRECONDITION;
	(void)snprintf(why, sizeof(why), "the bundle's file cannot be made: %s: %.300s",
		       git_failure_name(result->failure), result->text);
	if (code != SL_OK) {
		log_warn("bundle-not-exported", "why=%s", SL_QUOTE(why));
	}
	made(file, code, why);
}

static sl_code check_disk(const struct bundle_files *files, uint64_t bytes, struct sl_err *err)
{
	struct statvfs disk;
	if (statvfs(files->folder, &disk) != 0) {
		return sl_err_set(err, SL_INTERNAL, "'%s': %s", files->folder, strerror(errno));
	}
	if ((uint64_t)disk.f_bavail * disk.f_frsize >= files->disk_reserve + bytes) {
		return SL_OK;
	}
	return sl_err_because(err, SL_RESOURCE_EXHAUSTED, SL_REASON_DISK_LOW,
			      "a file of the bundle's %lu bytes does not fit above the disk's "
			      "reserve of %lu bytes",
			      (unsigned long)bytes, (unsigned long)files->disk_reserve);
}

/* Magic and head. */
static bool make_start(struct sl_buf *start, const Sluice__V1__BundleHead *head)
{
	uint8_t size[BUNDLE_FILE_SIZE_BYTES];
	size_t bytes = sluice__v1__bundle_head__get_packed_size(head);
	SL_AUTO(sl_free_auto) uint8_t *packed = malloc(bytes + 1);
	if (packed == NULL || bytes > BUNDLE_FILE_HEAD_MAX) {
		return false;
	}
	(void)sluice__v1__bundle_head__pack(head, packed);
	sl_put_be32(size, (uint32_t)bytes);
	sl_buf_append(start, BUNDLE_FILE_MAGIC, BUNDLE_FILE_MAGIC_BYTES);
	sl_buf_append(start, size, sizeof(size));
	sl_buf_append(start, packed, bytes);
	return !start->failed;
}

static sl_code begin(const struct bundle_file *file, struct sl_bytes start,
		     const Sluice__V1__Bundle *bundle, struct sl_err *err)
{
	sl_code code = check_disk(file->files, bundle->bytes, err);
	if (code != SL_OK) {
		return code;
	}
	SL_AUTO(sl_fd_auto)
	int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
	return fd >= 0 && sl_file_write(fd, start.data, start.size)
		   ? SL_OK
		   : sl_err_set(err, SL_INTERNAL, "write '%s': %s", file->path, strerror(errno));
}

static void export(struct bundle_file *file, struct sl_bytes start,
		   const Sluice__V1__Bundle *bundle)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	sl_code code = begin(file, start, bundle, &err);
	if (code != SL_OK) {
		made(file, code, err.msg);
		return;
	}
	const struct gitsync_question question = {
	    .kind = GITSYNC_EXPORT,
	    .repository_id = bundle->repository_id,
	    .to_commit = bundle->commit,
	    .to_path = bundle->path,
	    .to_ref = bundle->ref,
	    .file = file->path,
	    .done = on_exported,
	    .ctx = file,
	};
	gitsync_ask(file->files->gitsync, &question);
}

/* --- taking --- */

static struct bundle_file *find(const struct bundle_files *files, const uint8_t *key)
{
	struct bundle_file *file = NULL;
	SLIST_FOREACH(file, &files->all, link)
	{
		if (file->state != FAILED && memcmp(file->key, key, SL_HASH_BYTES) == 0) {
			return file;
		}
	}
	return NULL;
}

/* A new one, which the caller has to make; NULL: out of memory. */
static struct bundle_file *add(struct bundle_files *files, const uint8_t *key)
{
	static unsigned number; /* a file that failed may still lie there */
	char hex[2 * SL_HASH_BYTES + 1];
	struct bundle_file *file = calloc(1, sizeof(*file));
	if (file != NULL) {
		file->files = files;
		file->refs = 1;
		memcpy(file->key, key, SL_HASH_BYTES);
		(void)snprintf(file->path, sizeof(file->path), "%s/%.32s-%u", files->folder,
			       sl_hex(hex, key, SL_HASH_BYTES), number++);
		SLIST_INSERT_HEAD(&files->all, file, link);
	}
	return file;
}

static sl_code wait_for(struct bundle_files *files, struct bundle_file *file,
			const struct bundle_waiter *waiter, struct sl_err *err)
{
	while (file->state == MAKING && waiter->goes_on(waiter->ctx)) {
		pthread_cond_wait(&files->wake, &files->lock);
	}
	if (file->state == MAKING) {
		return sl_err_set(err, SL_CANCELLED, "nobody waits for the bundle any more");
	}
	return file->state == READY ? SL_OK : sl_err_set(err, file->code, "%s", file->why);
}

sl_code bundle_files_get(struct bundle_files *files, const Sluice__V1__BundleHead *head,
			 const Sluice__V1__Bundle *bundle, const struct bundle_waiter *waiter,
			 struct bundle_file **ret_file, struct sl_err *err)
{
	SL_AUTO(sl_buf_fini) struct sl_buf start = {0};
	struct sl_hasher hasher;
	uint8_t key[SL_HASH_BYTES];
	if (!make_start(&start, head)) {
		return sl_err_no_memory(err);
	}
	sl_hasher_init(&hasher);
	sl_hasher_add(&hasher, start.data, start.size);
	sl_hasher_add(&hasher, bundle->commit, strlen(bundle->commit) + 1);
	sl_hasher_add(&hasher, bundle->path, strlen(bundle->path) + 1);
	sl_hasher_end(&hasher, key);
	pthread_mutex_lock(&files->lock);
	struct bundle_file *file = find(files, key);
	bool make = file == NULL;
	file = make ? add(files, key) : file;
	sl_code code = file == NULL ? sl_err_no_memory(err) : SL_OK;
	if (code == SL_OK) {
		file->refs++;
		pthread_mutex_unlock(&files->lock);
		if (make) {
			export(file, sl_buf_bytes(&start), bundle);
		}
		pthread_mutex_lock(&files->lock);
		code = wait_for(files, file, waiter, err);
		if (code != SL_OK) {
			drop(file);
		}
	}
	pthread_mutex_unlock(&files->lock);
	*ret_file = code == SL_OK ? file : NULL;
	return code;
}

void bundle_files_give_back(struct bundle_files *files, struct bundle_file *file)
{
	pthread_mutex_lock(&files->lock);
	drop(file);
	pthread_mutex_unlock(&files->lock);
}

const char *bundle_file_path(const struct bundle_file *file)
{
	return file->path;
}
