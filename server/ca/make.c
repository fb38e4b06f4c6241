#include "server/ca/make.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "server/ca/ca_internal.h"

#define MASTER_KEY "master.key"
#define CREDENTIAL "sluice-master-key"
enum { MASTER_KEY_BYTES = 32, HOSTS_MAX = 64, CA_NAME_SIZE = 32, CA_TAG_BYTES = 4 };

static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};

struct ca_draft {
	struct ca_make make;
	char *part, *kept; /* DIR/keys.part, DIR/keys */
	char *master_key;  /* where it lies outside; NULL: in the folder */
	int folder;        /* -1: there is none to remove */
};

/* --- the folder --------------------------------------------------------------------------- */

static sl_code failed(struct sl_err *err, const char *doing, const char *path)
{
	return sl_err_set(err, SL_FAILED_PRECONDITION, "%s '%s': %s", doing, path, strerror(errno));
}

/* What a run before left when it was cut off, and what is not kept. */
static void empty_folder(int folder)
{
	int fd = dup(folder);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		return;
	}
	rewinddir(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (entry->d_name[0] != '.') {
			(void)unlinkat(folder, entry->d_name, 0);
		}
	}
	(void)closedir(dir);
}

static sl_code make_folders(struct ca_draft *draft, struct sl_err *err)
{
	const char *data = draft->make.data;
	struct stat st;
	if (mkdir(data, 0700) != 0 && errno != EEXIST) {
		return failed(err, "make the folder", data);
	}
	if (lstat(draft->kept, &st) == 0) {
		return sl_err_set(err, SL_ALREADY_EXISTS,
				  "'%s' is there already: a folder's keys are made once",
				  draft->kept);
	}
	if (mkdir(draft->part, 0700) != 0 && errno != EEXIST) {
		return failed(err, "make the folder", draft->part);
	}
	draft->folder = open(draft->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (draft->folder < 0 || fchmod(draft->folder, 0700) != 0) {
		return failed(err, "open", draft->part);
	}
	empty_folder(draft->folder);
	return SL_OK;
}

/* --- files ----------------------------------------------------------------------------------- */

static sl_code write_text(struct ca_draft *draft, const char *name, const char *text,
			  struct sl_err *err)
{
	return ca_file_write(draft->folder, name, sl_bytes_text(text), err);
}

static sl_code write_key(struct ca_draft *draft, const char *name, const struct tls_key *key,
			 struct sl_err *err)
{
	SL_AUTO(sl_secret_text_auto) char *pem = NULL;
	sl_code code = tls_key_pem(key, &pem, err);
	return code != SL_OK ? code : write_text(draft, name, pem, err);
}

static sl_code write_token_key(struct ca_draft *draft, struct sl_err *err)
{
	struct sl_token_key key;
	sl_random(key.bytes, sizeof(key.bytes));
	sl_code code =
	    ca_file_write(draft->folder, CA_TOKEN_KEY, SL_BYTES(key.bytes, sizeof(key.bytes)), err);
	sl_wipe(&key, sizeof(key));
	return code;
}

static sl_code write_ca(struct ca_draft *draft, const struct tls_key *key, char **ret_pem,
			struct sl_err *err)
{
	uint8_t tag[CA_TAG_BYTES];
	char hex[2 * CA_TAG_BYTES + 1], name[CA_NAME_SIZE];
	uint64_t now_ms = draft->make.now_ms;
	sl_random(tag, sizeof(tag));
	(void)snprintf(name, sizeof(name), "Sluice CA %s", sl_hex(hex, tag, sizeof(tag)));
	sl_code code = tls_ca_new(key, name, now_ms - CA_SKEW_MS,
				  now_ms + (CA_LIFE_DAYS * CA_DAY_MS), ret_pem, err);
	code = code != SL_OK ? code : write_text(draft, ca_file_names[CA_PEM], *ret_pem, err);
	return code != SL_OK ? code : write_key(draft, ca_file_names[CA_KEY], key, err);
}

struct hosts {
	char machine[HOST_NAME_MAX + 1];
	const char *items[HOSTS_MAX];
	size_t count;
};

static void add_host(struct hosts *hosts, const char *host)
{
	for (size_t i = 0; i < hosts->count; i++) {
		if (strcmp(hosts->items[i], host) == 0) {
			return;
		}
	}
	hosts->items[hosts->count++] = host;
}

static sl_code find_hosts(const struct ca_make *make, struct hosts *hosts, struct sl_err *err)
{
	if (make->name_count > HOSTS_MAX - SL_COUNT(loopback) - 1) {
		return sl_err_set(err, SL_INVALID_ARGUMENT, "at most %zu names, are %zu",
				  HOSTS_MAX - SL_COUNT(loopback) - 1, make->name_count);
	}
	for (size_t i = 0; i < make->name_count; i++) {
		if (!tls_host_is_valid(make->names[i])) {
			return sl_err_set(err, SL_INVALID_ARGUMENT,
					  "a name must be a DNS name or an IP address, is '%s'",
					  make->names[i]);
		}
		add_host(hosts, make->names[i]);
	}
	if (make->name_count == 0 && gethostname(hosts->machine, sizeof(hosts->machine) - 1) == 0 &&
	    tls_host_is_valid(hosts->machine)) {
		add_host(hosts, hosts->machine);
	}
	for (size_t i = 0; i < SL_COUNT(loopback); i++) {
		add_host(hosts, loopback[i]);
	}
	return SL_OK;
}

static sl_code write_server(struct ca_draft *draft, const char *ca_pem,
			    const struct tls_key *ca_key, const struct hosts *hosts,
			    enum ca_file pem, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *key = NULL;
	SL_AUTO(sl_free_auto) char *text = NULL;
	const struct ca_hosts names = {hosts->items, hosts->count};
	sl_code code = tls_key_new(&key, err);
	code = code != SL_OK
		   ? code
		   : ca_make_server(ca_pem, ca_key, key, &names, draft->make.now_ms, &text, err);
	code = code != SL_OK ? code : write_text(draft, ca_file_names[pem], text, err);
	return code != SL_OK ? code : write_key(draft, ca_file_names[pem + 1], key, err);
}

static sl_code write_certificates(struct ca_draft *draft, struct sl_err *err)
{
	SL_AUTO(tls_key_free_auto) struct tls_key *ca_key = NULL;
	SL_AUTO(sl_free_auto) char *ca_pem = NULL;
	struct hosts hosts = {.count = 0};
	sl_code code = find_hosts(&draft->make, &hosts, err);
	code = code != SL_OK ? code : tls_key_new(&ca_key, err);
	code = code != SL_OK ? code : write_ca(draft, ca_key, &ca_pem, err);
	code = code != SL_OK ? code : write_server(draft, ca_pem, ca_key, &hosts, SERVER_PEM, err);
	return code != SL_OK ? code : write_server(draft, ca_pem, ca_key, &hosts, DOOR_PEM, err);
}

/* --- the master key --- */

char *ca_master_key_elsewhere(const char *file)
{
	if (file[0] != '\0') {
		return strdup(file);
	}
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	char *path = NULL;
	if (credentials == NULL || asprintf(&path, "%s/" CREDENTIAL, credentials) < 0) {
		return NULL;
	}
	if (access(path, F_OK) != 0) {
		free(path);
		return NULL;
	}
	return path;
}

sl_code ca_master_key_check(const char *path, struct sl_err *err)
{
	uint8_t key[MASTER_KEY_BYTES];
	SL_AUTO(sl_secret_text_auto) char *text = NULL;
	size_t size = 0;
	sl_code code = ca_file_read(AT_FDCWD, path, &text, &size, err);
	if (code == SL_OK && !sl_unbase64(key, sizeof(key), text)) {
		code = sl_err_set(err, SL_FAILED_PRECONDITION,
				  "'%s' must be the base64 of %zu bytes", path, sizeof(key));
	}
	sl_wipe(key, sizeof(key));
	return code != SL_OK ? sl_err_wrap(err, "master key") : SL_OK;
}

/* A line of base64. */
static sl_code make_master_key(struct ca_draft *draft, struct sl_err *err)
{
	uint8_t key[MASTER_KEY_BYTES];
	char text[SL_BASE64_SIZE(MASTER_KEY_BYTES) + 1] = "";
	sl_random(key, sizeof(key));
	(void)sl_base64(text, key, sizeof(key));
	text[strlen(text)] = '\n';
	sl_code code = write_text(draft, MASTER_KEY, text, err);
	sl_wipe(key, sizeof(key));
	sl_wipe(text, sizeof(text));
	return code;
}

static sl_code write_master_key(struct ca_draft *draft, struct sl_err *err)
{
	draft->master_key = ca_master_key_elsewhere(draft->make.master_key);
	return draft->master_key != NULL ? ca_master_key_check(draft->master_key, err)
					 : make_master_key(draft, err);
}

/* --- life --- */

sl_code ca_draft_new(const struct ca_make *make, struct ca_draft **ret_draft, struct sl_err *err)
{
	SL_AUTO(ca_draft_free_auto) struct ca_draft *draft = calloc(1, sizeof(*draft));
	if (draft == NULL) {
		return sl_err_no_memory(err);
	}
	draft->make = *make;
	draft->folder = -1;
	if (asprintf(&draft->kept, "%s/" CA_FOLDER, make->data) < 0 ||
	    asprintf(&draft->part, "%s.part", draft->kept) < 0) {
		return sl_err_no_memory(err);
	}
	sl_code code = make_folders(draft, err);
	code = code != SL_OK ? code : write_certificates(draft, err);
	code = code != SL_OK ? code : write_master_key(draft, err);
	code = code != SL_OK ? code : write_token_key(draft, err);
	if (code == SL_OK) {
		*ret_draft = SL_TAKE(draft);
	}
	return code;
}

int ca_draft_folder(const struct ca_draft *draft)
{
	return draft->folder;
}

const char *ca_draft_path(const struct ca_draft *draft)
{
	return draft->part;
}

const char *ca_draft_master_key(const struct ca_draft *draft)
{
	return draft->master_key;
}

static bool sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0) {
		(void)close(fd);
	}
	return synced;
}

sl_code ca_draft_keep(struct ca_draft *draft, struct sl_err *err)
{
	if (fsync(draft->folder) != 0 ||
	    renameat2(AT_FDCWD, draft->part, AT_FDCWD, draft->kept, RENAME_NOREPLACE) != 0) {
		return failed(err, "make the folder", draft->kept);
	}
	(void)close(draft->folder);
	draft->folder = -1; /* nothing to remove any more */
	return sync_folder(draft->make.data) ? SL_OK : failed(err, "sync", draft->make.data);
}

void ca_draft_free(struct ca_draft *draft)
{
	if (draft == NULL) {
		return;
	}
	if (draft->folder >= 0) {
		empty_folder(draft->folder);
		(void)close(draft->folder);
		(void)rmdir(draft->part);
	}
	free(draft->part);
	free(draft->kept);
	free(draft->master_key);
	free(draft);
}
