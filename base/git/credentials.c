#include "base/git/credentials_internal.h"

#include <string.h>
#include <strings.h>

#include "base/bytes/bytes.h"

int credentials_on_ask(git_credential **ret, const char *url, const char *user_in_url,
		       unsigned allowed, void *payload)
{
	struct remote *remote = payload;
	const struct git_job *job = remote->work->job;
	(void)url;
	const char *user = job->user != NULL     ? job->user
			   : user_in_url != NULL ? user_in_url
						 : "git";
	if (allowed == GIT_CREDENTIAL_USERNAME) { /* the question before the question, when the URL
						     has no user */
		return git_credential_username_new(ret, user);
	}
	if (remote->asked++ > 0) { /* libgit2 would ask for ever */
		return remote_refuse(remote, GIT_EAUTH, GIT_LOGIN_REFUSED,
				     "the host refuses these credentials");
	}
	if ((allowed & GIT_CREDENTIAL_SSH_MEMORY) != 0 && job->ssh_key != NULL) {
		const char *phrase = job->ssh_phrase == NULL ? "" : job->ssh_phrase;
		return git_credential_ssh_key_memory_new(ret, user, NULL, job->ssh_key, phrase);
	}
	if ((allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) != 0 && job->password != NULL) {
		return git_credential_userpass_plaintext_new(ret, user, job->password);
	}
	return remote_refuse(remote, GIT_EAUTH, GIT_LOGIN_REFUSED,
			     "the host asks for credentials, and none of its kind are set");
}

/* True if hex SHA-256 `hex` stands in the comma-separated list. */
static bool is_pinned(const char *list, const char *hex)
{
	size_t bytes = strlen(hex);
	while (list != NULL && *list != '\0') {
		size_t part = strcspn(list, ",");
		if (part == bytes && strncasecmp(list, hex, bytes) == 0) {
			return true;
		}
		list += part + (list[part] == ',');
	}
	return false;
}

int credentials_on_certificate(git_cert *cert, int valid, const char *host, void *payload)
{
	struct remote *remote = payload;
	if (cert->cert_type != GIT_CERT_HOSTKEY_LIBSSH2) {
		return valid ? 0
			     : remote_refuse(remote, GIT_ECERTIFICATE, GIT_REPOSITORY_UNREACHABLE,
					     "the certificate of '%s' is not trusted", host);
	}
	const git_cert_hostkey *key = (const git_cert_hostkey *)(const void *)cert;
	char hex[65] = "unknown";
	if ((key->type & GIT_CERT_SSH_SHA256) != 0) {
		(void)sl_hex(hex, key->hash_sha256, sizeof(key->hash_sha256));
		if (is_pinned(remote->work->job->host_keys, hex)) {
			return 0;
		}
	}
	return remote_refuse(remote, GIT_ECERTIFICATE, GIT_REPOSITORY_UNREACHABLE,
			     "the ssh host key of '%s' (SHA-256 %s) is none of the accepted ones",
			     host, hex);
}
