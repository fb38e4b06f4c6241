/* A login as bytes: to be sealed, and to be opened where it is used. */
#include <string.h>

#include "base/bytes/bytes.h"
#include "base/git/git.h"
#include "base/mem/own.h"

enum { TEXTS = 6 };

static void texts_of(const struct git_login *login, const char *texts[static TEXTS])
{
	const char *const all[TEXTS] = {login->user,       login->password,  login->ssh_key,
					login->ssh_phrase, login->host_keys, login->ca_pem};
	memcpy(texts, all, sizeof(all));
}

size_t git_login_size(const struct git_login *login)
{
	const char *texts[TEXTS];
	size_t size = 0;
	texts_of(login, texts);
	for (size_t i = 0; i < TEXTS; i++) {
		size += (texts[i] == NULL ? 0 : strlen(texts[i])) + 1;
	}
	return size;
}

void git_login_pack(const struct git_login *login, char *out)
{
	const char *texts[TEXTS];
	texts_of(login, texts);
	for (size_t i = 0; i < TEXTS; i++) {
		out = stpcpy(out, texts[i] == NULL ? "" : texts[i]) + 1;
	}
}

bool git_login_unpack(const char *data, size_t size, struct git_login *ret_login)
{
	const char *texts[TEXTS] = {NULL}, *end = size == 0 ? data : data + size;
	for (size_t i = 0; i < TEXTS; i++) {
		const char *nul = data < end ? memchr(data, 0, (size_t)(end - data)) : NULL;
		if (nul == NULL) {
			return false;
		}
		texts[i] = nul == data ? NULL : data;
		data = nul + 1;
	}
	*ret_login = (struct git_login){
	    .user = texts[0],
	    .password = texts[1],
	    .ssh_key = texts[2],
	    .ssh_phrase = texts[3],
	    .host_keys = texts[4],
	    .ca_pem = texts[5],
	};
	return data == end;
}
