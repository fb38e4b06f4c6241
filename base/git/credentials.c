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
	const char *user = job->login.user != NULL ? job->login.user
			   : user_in_url != NULL   ? user_in_url
						   : git_login_user(job->url);
	if (allowed == GIT_CREDENTIAL_USERNAME) { /* the question before the question, when the URL
						     has no user */
		return git_credential_username_new(ret, user);
	}
	if (remote->asked++ > 0) { /* libgit2 would ask for ever */
		return remote_refuse(remote, GIT_EAUTH, GIT_LOGIN_REFUSED,
				     "the host refuses these credentials");
	}
	if ((allowed & GIT_CREDENTIAL_SSH_MEMORY) != 0 && job->login.ssh_key != NULL) {
		const char *phrase = job->login.ssh_phrase == NULL ? "" : job->login.ssh_phrase;
		return git_credential_ssh_key_memory_new(ret, user, NULL, job->login.ssh_key,
							 phrase);
	}
	if ((allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT) != 0 && job->login.password != NULL) {
		return git_credential_userpass_plaintext_new(ret, user, job->login.password);
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

static int check_host_key(struct remote *remote, const git_cert_hostkey *key, const char *host)
{
	const char *pinned = remote->work->job->login.host_keys;
	char hex[65] = "unknown";
	if ((key->type & GIT_CERT_SSH_SHA256) != 0) {
		(void)sl_hex(hex, key->hash_sha256, sizeof(key->hash_sha256));
		if (is_pinned(pinned, hex)) {
			return 0;
		}
	}
	if (pinned == NULL || *pinned == '\0') {
		return remote_refuse(
		    remote, GIT_ECERTIFICATE, GIT_HOST_KEY_UNKNOWN,
		    "the ssh host key of '%s' (SHA-256 %s) is unknown: set those that "
		    "are accepted with --known-hosts",
		    host, hex);
	}
	return remote_refuse(
	    remote, GIT_ECERTIFICATE, GIT_HOST_KEY_CHANGED,
	    "the ssh host key of '%s' (SHA-256 %s) is none of the accepted ones: it "
	    "changed, or somebody stands in between",
	    host, hex);
}

int credentials_on_certificate(git_cert *cert, int valid, const char *host, void *payload)
{
	struct remote *remote = payload;
	if (cert->cert_type == GIT_CERT_HOSTKEY_LIBSSH2) {
		return check_host_key(remote, (const git_cert_hostkey *)(const void *)cert, host);
	}
	return valid ? 0
		     : remote_refuse(remote, GIT_ECERTIFICATE, GIT_CERTIFICATE_REFUSED,
				     "the certificate of '%s' is not trusted", host);
}
