#include "base/tls/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/crypto/secret.h"
#include "base/tls/tls.h"

enum { FILE_MAX = 4 * TLS_PEM_MAX };

static sl_code refuse(struct sl_err *err, const char *path, const char *rule)
{
	return sl_err_set(err, SL_INVALID_ARGUMENT, "'%s': %s", path, rule);
}

static sl_code read_open(int fd, const char *path, bool secret, char **ret_text, struct sl_err *err)
{
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0) {
		return refuse(err, path, strerror(errno));
	}
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > FILE_MAX) {
		return refuse(err, path, "must be a file of 1 to 65536 bytes");
	}
	if (secret && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		return refuse(err, path, "a key must be open to its owner only (0600)");
	}
	size_t size = (size_t)st.st_size;
	SL_AUTO(sl_secret_text_auto) char *text = sl_secret_new(size + 1);
	if (text == NULL) {
		return sl_err_no_memory(err);
	}
	if (read(fd, text, size) != (ssize_t)size) {
		return refuse(err, path, "it cannot be read whole");
	}
	*ret_text = SL_TAKE(text);
	return SL_OK;
}

static sl_code read_file(const char *path, bool secret, char **ret_text, struct sl_err *err)
{
	if (path == NULL || path[0] == '\0') {
		return SL_OK;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	sl_code code = read_open(fd, path, secret, ret_text, err);
	if (fd >= 0) {
		(void)close(fd);
	}
	return code;
}

sl_code tls_files_read(const char *ca_path, const char *cert_path, const char *key_path,
		       struct tls_files *ret_files, struct sl_err *err)
{
	SL_AUTO(tls_files_fini) struct tls_files files = {0};
	if (!sl_crypto_init()) { /* a short program comes here first */
		return sl_err_set(err, SL_INTERNAL, "the machine gives no random numbers");
	}
	sl_code code = read_file(ca_path, false, &files.ca, err);
	code = code != SL_OK ? code : read_file(cert_path, false, &files.cert, err);
	code = code != SL_OK ? code : read_file(key_path, true, &files.key, err);
	if (code == SL_OK) {
		*ret_files = files;
		files = (struct tls_files){0};
	}
	return code;
}

void tls_files_fini(struct tls_files *files)
{
	sl_secret_free(files->ca);
	sl_secret_free(files->cert);
	sl_secret_free(files->key);
	*files = (struct tls_files){0};
}
