#include "agent/logins/logins.h"

#include <string.h>

#include "base/bytes/bytes.h"
#include "base/crypto/secret.h"
#include "base/mem/own.h"

enum { ID_SIZE = 32, BOX_MAX = 160 << 10 };

struct logins_item {
	struct logins_item *next;
	char repository_id[ID_SIZE];
	uint64_t revision;
	char *secret;           /* owned */
	struct git_login login; /* points into it */
};

/* The login's texts, and the repository's id behind them. */
static bool read_opened(struct logins_item *item, size_t size, const char *repository_id)
{
	size_t id = strlen(repository_id) + 1;
	return size > id && memcmp(item->secret + size - id, repository_id, id) == 0 &&
	       git_login_unpack(item->secret, size - id, &item->login);
}

static void item_free(struct logins_item *item)
{
	if (item != NULL) {
		sl_secret_free(item->secret);
		free(item);
	}
}

SL_DEFINE_AUTO(struct logins_item *, item_free);

static struct logins_item **find(struct logins *logins, const char *repository_id)
{
	struct logins_item **at = &logins->items;
	while (*at != NULL && strcmp((*at)->repository_id, repository_id) != 0) {
		at = &(*at)->next;
	}
	return at;
}

sl_code logins_take(struct logins *logins, const uint8_t box_secret[static SL_BOX_SECRET_BYTES],
		    const Sluice__V1__AgentLogin *message, struct sl_err *err)
{
	SL_AUTO(item_free_auto) struct logins_item *item = calloc(1, sizeof(*item));
	struct sl_bytes box = SL_BYTES(message->box.data, message->box.len);
	if (box.size <= SL_BOX_EXTRA_BYTES || box.size > BOX_MAX ||
	    strlen(message->repository_id) >= ID_SIZE) {
		return sl_err_set(err, SL_FAILED_PRECONDITION, "a login is malformed");
	}
	size_t size = box.size - SL_BOX_EXTRA_BYTES;
	if (item == NULL || (item->secret = sl_secret_new(size)) == NULL) {
		return sl_err_no_memory(err);
	}
	if (!sl_box_open(box_secret, box, (uint8_t *)item->secret) ||
	    !read_opened(item, size, message->repository_id)) {
		return sl_err_set(err, SL_FAILED_PRECONDITION,
				  "the login for repository %s is not sealed to this agent",
				  message->repository_id);
	}
	sl_text_copy(item->repository_id, sizeof(item->repository_id), message->repository_id);
	item->revision = message->revision;
	struct logins_item **at = find(logins, message->repository_id);
	struct logins_item *old = *at;
	item->next = old != NULL ? old->next : NULL;
	*at = SL_TAKE(item);
	item_free(old);
	return SL_OK;
}

sl_code logins_find(const struct logins *logins, const char *repository_id, uint64_t revision,
		    struct git_login *ret_login, struct sl_err *err)
{
	if (revision == 0) {
		*ret_login = (struct git_login){.user = NULL};
		return SL_OK;
	}
	const struct logins_item *item = logins->items;
	while (item != NULL && strcmp(item->repository_id, repository_id) != 0) {
		item = item->next;
	}
	if (item == NULL || item->revision < revision) {
		return sl_err_set(err, SL_UNAVAILABLE,
				  "the server has not told yet how to log in to repository %s",
				  repository_id);
	}
	*ret_login = item->login;
	return SL_OK;
}

void logins_fini(struct logins *logins)
{
	while (logins->items != NULL) {
		struct logins_item *item = logins->items;
		logins->items = item->next;
		item_free(item);
	}
}
