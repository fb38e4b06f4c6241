#include "agent/receive/receive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes/bytes.h"
#include "base/clock/clock.h"
#include "base/crypto/crypto.h"
#include "base/file/file.h"
#include "base/git/archive.h"
#include "base/git/bundle_file.h"
#include "base/mem/own.h"

enum {
	STALL_MS = 90000,     /* nothing came for so long; a server that makes the file is silent */
	MESSAGES_A_STEP = 64, /* what a stream keeps unread, at most */
	START_MIN = BUNDLE_FILE_MAGIC_BYTES + BUNDLE_FILE_SIZE_BYTES,
	FILE_EXTRA = GIT_ARCHIVE_HEAD + GIT_ARCHIVE_MIDDLE + 4096, /* with a path */
	EXTRA_BYTES = 64 << 20, /* head, commit and trees on the way */
	LEFT_OVER_S = 24 * 3600,
	STATUS_TEXT_MAX = 400,
};

struct receive {
	struct crpc_stream *stream;
	struct sl_buf request; /* until gRPC has taken it */
	bool sent, begun;
	char path[RECEIVE_PATH_SIZE];
	int fd;
	uint64_t at, size, size_max; /* bytes there, of the whole, at most */
	uint64_t heard_mono_ms;
};

SL_DEFINE_AUTO(struct receive *, receive_free);

static sl_code disk_error(struct sl_err *err, const char *doing, const char *path)
{
	bool full = errno == ENOSPC || errno == EDQUOT;
	return sl_err_set(err, full ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL, "%s '%s': %s", doing,
			  path, strerror(errno));
}

/* --- what is there already -------------------------------------------------------------- */

/* What nobody has gone on with for a day. */
static void sweep(const char *folder, const char *but)
{
	SL_AUTO(sl_dir_auto) DIR *dir = opendir(folder);
	for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
	     entry = readdir(dir)) {
		struct stat st;
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, but) != 0 &&
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    time(NULL) - st.st_mtime > LEFT_OVER_S) {
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
		}
	}
}

static sl_code open_file(struct receive *r, const char *dir, const Sluice__V1__Bundle *bundle,
			 struct sl_err *err)
{
	char folder[RECEIVE_PATH_SIZE], name[80], hex[2 * SL_HASH_BYTES + 1];
	struct stat st;
	(void)snprintf(name, sizeof(name), "%.32s-%.12s", bundle->version_id,
		       sl_hex(hex, bundle->digest.data, SL_HASH_BYTES));
	int size = snprintf(folder, sizeof(folder), "%s/incoming", dir);
	int whole = snprintf(r->path, sizeof(r->path), "%s/incoming/%s", dir, name);
	if (size < 0 || whole < 0 || (size_t)whole >= sizeof(r->path)) {
		return sl_err_set(err, SL_INTERNAL, "'%s': the path is too long", dir);
	}
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		return disk_error(err, "make", folder);
	}
	sweep(folder, name);
	r->fd = open(r->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (r->fd < 0 || fstat(r->fd, &st) != 0) {
		return disk_error(err, "open", r->path);
	}
	r->at = (uint64_t)st.st_size;
	return SL_OK;
}

/* Of the start of what is there; false: there is no whole start. */
static bool hash_start(const struct receive *r, uint8_t digest[static SL_HASH_BYTES])
{
	SL_AUTO(sl_free_auto) uint8_t *start = malloc(START_MIN + BUNDLE_FILE_HEAD_MAX);
	ssize_t got = start == NULL ? -1 : pread(r->fd, start, START_MIN + BUNDLE_FILE_HEAD_MAX, 0);
	size_t head = got < START_MIN ? SIZE_MAX : sl_get_be32(start + BUNDLE_FILE_MAGIC_BYTES);
	if (got < START_MIN || head > (size_t)got - START_MIN) {
		return false;
	}
	sl_hash(digest, start, START_MIN + head, NULL, 0);
	return true;
}

/* --- asking -------------------------------------------------------------------------------- */

static bool make_request(struct receive *r, const struct receive_wish *wish)
{
	uint8_t digest[SL_HASH_BYTES];
	Sluice__V1__FetchBundleRequest request = SLUICE__V1__FETCH_BUNDLE_REQUEST__INIT;
	request.workspace = (char *)(uintptr_t)wish->workspace;
	request.instance = (char *)(uintptr_t)wish->instance;
	request.app_id = (char *)(uintptr_t)wish->app_id;
	request.version_id = wish->bundle->version_id;
	request.digest = wish->bundle->digest;
	if (hash_start(r, digest)) {
		request.offset = r->at;
		request.start_digest = (ProtobufCBinaryData){.data = digest, .len = sizeof(digest)};
	}
	size_t size = sluice__v1__fetch_bundle_request__get_packed_size(&request);
	SL_AUTO(sl_free_auto) uint8_t *bytes = malloc(size + 1);
	if (bytes == NULL) {
		return false;
	}
	(void)sluice__v1__fetch_bundle_request__pack(&request, bytes);
	sl_buf_append(&r->request, bytes, size);
	return !r->request.failed;
}

sl_code receive_start(const char *dir, struct crpc_channel *channel,
		      const struct receive_wish *wish, struct receive **ret_receive,
		      struct sl_err *err)
{
	SL_AUTO(receive_free_auto) struct receive *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		return sl_err_no_memory(err);
	}
	r->fd = -1;
	r->size_max = wish->bundle->bytes + wish->bundle->files * FILE_EXTRA + EXTRA_BYTES;
	r->heard_mono_ms = sl_clock_mono_ms();
	sl_code code = open_file(r, dir, wish->bundle, err);
	if (code == SL_OK && !make_request(r, wish)) {
		code = sl_err_no_memory(err);
	}
	code = code != SL_OK ? code
			     : crpc_stream_open(channel, "/sluice.v1.AgentService/FetchBundle", 0,
						&r->stream, err);
	if (code == SL_OK) {
		*ret_receive = SL_TAKE(r);
	}
	return code;
}

int receive_fd(const struct receive *r)
{
	return crpc_stream_fd(r->stream);
}

uint64_t receive_deadline_mono_ms(const struct receive *r)
{
	return r->heard_mono_ms + STALL_MS;
}

uint32_t receive_percent(const struct receive *r)
{
	return r->size == 0 ? 0 : (uint32_t)(r->at * 100 / r->size);
}

const char *receive_path(const struct receive *r)
{
	return r->path;
}

/* --- taking ---------------------------------------------------------------------------------- */

static sl_code take_first(struct receive *r, const Sluice__V1__FetchBundleResponse *response,
			  struct sl_err *err)
{
	r->begun = true;
	r->size = response->size;
	if (r->size > r->size_max || response->offset > r->at || response->offset > r->size) {
		return sl_err_set(err, SL_UNAVAILABLE,
				  "the server offers %" PRIu64 " bytes from %" PRIu64
				  " on: at most %" PRIu64 " are taken, and %" PRIu64 " are there",
				  r->size, response->offset, r->size_max, r->at);
	}
	r->at = response->offset;
	return ftruncate(r->fd, (off_t)r->at) == 0 ? SL_OK : disk_error(err, "cut", r->path);
}

static sl_code take_data(struct receive *r, ProtobufCBinaryData data, struct sl_err *err)
{
	if (data.len > r->size - r->at) {
		return sl_err_set(err, SL_UNAVAILABLE, "the server sends more than it said");
	}
	for (size_t done = 0; done < data.len;) {
		ssize_t wrote = pwrite(r->fd, data.data + done, data.len - done, (off_t)r->at);
		if (wrote < 0 && errno != EINTR) {
			return disk_error(err, "write", r->path);
		}
		done += wrote > 0 ? (size_t)wrote : 0;
		r->at += wrote > 0 ? (uint64_t)wrote : 0;
	}
	return SL_OK;
}

static sl_code take(struct receive *r, struct sl_bytes message, struct sl_err *err)
{
	Sluice__V1__FetchBundleResponse *response =
	    sluice__v1__fetch_bundle_response__unpack(NULL, message.size, message.data);
	if (response == NULL) {
		return sl_err_set(err, SL_UNAVAILABLE, "the server sent a malformed piece");
	}
	sl_code code = r->begun ? SL_OK : take_first(r, response, err);
	code = code != SL_OK ? code : take_data(r, response->data, err);
	sluice__v1__fetch_bundle_response__free_unpacked(response, NULL);
	return code;
}

/* A failure is told by the stream's end. */
static void offer(struct receive *r)
{
	SL_AUTO(sl_err_clear) struct sl_err err = SL_ERR_INIT;
	bool taken = false;
	sl_code code = crpc_stream_offer(r->stream, sl_buf_bytes(&r->request), &taken, &err);
	if (code == SL_OK && taken) {
		r->sent = true;
		(void)!crpc_stream_close_send(r->stream, &err);
	}
}

/* Whatever the server's reason: it is asked again. */
static sl_code ended(const struct receive *r, sl_code code, struct sl_err *err)
{
	if (code != SL_OK) {
		char why[STATUS_TEXT_MAX];
		(void)snprintf(why, sizeof(why), "%s", err->msg);
		sl_err_clear(err);
		return sl_err_set(err, SL_UNAVAILABLE,
				  "bundle from the server, %" PRIu64 " bytes so far: %s", r->at,
				  why);
	}
	return r->begun && r->at == r->size
		   ? SL_OK
		   : sl_err_set(err, SL_UNAVAILABLE, "the server ended before the bundle did");
}

bool receive_step(struct receive *r, sl_code *ret_code, struct sl_err *err)
{
	if (!r->sent) {
		offer(r);
	}
	for (int i = 0; i < MESSAGES_A_STEP; i++) {
		SL_AUTO(sl_free_auto) uint8_t *bytes = NULL;
		size_t size = 0;
		bool over = false;
		sl_code code = crpc_stream_recv(r->stream, 0, &bytes, &size, &over, err);
		if (over) {
			*ret_code = ended(r, code, err);
			return true;
		}
		if (bytes == NULL) {
			break;
		}
		r->heard_mono_ms = sl_clock_mono_ms();
		*ret_code = take(r, SL_BYTES(bytes, size), err);
		if (*ret_code != SL_OK) {
			return true;
		}
	}
	if (sl_clock_mono_ms() < receive_deadline_mono_ms(r)) {
		return false;
	}
	*ret_code =
	    sl_err_set(err, SL_UNAVAILABLE, "nothing of the bundle came from the server for %d s",
		       STALL_MS / 1000);
	return true;
}

void receive_free(struct receive *r)
{
	if (r == NULL) {
		return;
	}
	crpc_stream_free(r->stream);
	sl_buf_fini(&r->request);
	if (r->fd >= 0) {
		(void)close(r->fd);
	}
	free(r);
}
