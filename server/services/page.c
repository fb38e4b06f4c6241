/* Page tokens: base64url of (tag of the list, 16 bytes; key to start at). The
 * tag binds a token to its list: one of another list, or with other filters, is refused. */
#include <string.h>

#include "base/crypto/crypto.h"
#include "server/config/config.h"
#include "server/services/service.h"

enum { PAGE_DEFAULT = 100, TAG_BYTES = 16 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(struct sl_arena *arena, const uint8_t *data, size_t size)
{
	char *text = sl_arena_alloc(arena, (size + 2) / 3 * 4 + 1);
	size_t at = 0;
	for (size_t i = 0; text != NULL && i < size; i += 3) {
		uint32_t group = (uint32_t)data[i] << 16 |
				 (i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0) |
				 (i + 2 < size ? data[i + 2] : 0u);
		size_t digits = size - i >= 3 ? 4 : size - i + 1;
		for (size_t j = 0; j < digits; j++) {
			text[at++] = alphabet[(group >> (18 - 6 * j)) & 63];
		}
	}
	return text;
}

/* Returns the bytes decoded, 0 when the text is none of ours. */
static size_t decode(const char *text, uint8_t *out, size_t room)
{
	uint32_t group = 0;
	size_t bits = 0, size = 0;
	for (; *text != '\0'; text++) {
		const char *digit = strchr(alphabet, *text);
		if (digit == NULL || size == room) {
			return 0;
		}
		group = group << 6 | (uint32_t)(digit - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[size++] = (uint8_t)(group >> bits);
		}
	}
	return size;
}

static sl_code bad_token(struct sl_err *err)
{
	sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_PAGE_TOKEN_INVALID,
				      "page.page_token is not of this list: take next_page_token "
				      "of the page before, with the same filters");
	sl_err_field(err, "page.page_token", "next_page_token of the page before");
	return code;
}

sl_code service_page_begin(const struct service_read *read, const Sluice__V1__PageRequest *page,
			   const char *scope, struct service_page *ret_page, struct sl_err *err)
{
	uint8_t hash[SL_HASH_BYTES];
	uint64_t max = read->services->config->page_max;
	*ret_page = (struct service_page){.size = max < PAGE_DEFAULT ? (size_t)max : PAGE_DEFAULT};
	sl_hash(hash, scope, strlen(scope), read->workspace_name, strlen(read->workspace_name));
	memcpy(ret_page->scope, hash, TAG_BYTES);
	if (page == NULL) {
		return SL_OK;
	}
	if (page->page_size < 0) {
		sl_code code = sl_err_because(err, SL_INVALID_ARGUMENT, SL_REASON_MALFORMED,
					      "page.page_size is %d, must be 0 to %lu",
					      page->page_size, (unsigned long)max);
		sl_err_field(err, "page.page_size", "0 to the server's limit");
		return code;
	}
	if (page->page_size > 0) {
		ret_page->size =
		    (uint64_t)page->page_size > max ? (size_t)max : (size_t)page->page_size;
	}
	if (page->page_token[0] == '\0') {
		return SL_OK;
	}
	uint8_t *token = sl_arena_alloc(read->arena, TAG_BYTES + STORE_KEY_MAX);
	if (token == NULL) {
		return sl_err_no_memory(err);
	}
	size_t size = decode(page->page_token, token, TAG_BYTES + STORE_KEY_MAX);
	if (size <= TAG_BYTES || memcmp(token, ret_page->scope, TAG_BYTES) != 0) {
		return bad_token(err);
	}
	ret_page->from = SL_BYTES(token + TAG_BYTES, size - TAG_BYTES);
	return SL_OK;
}

Sluice__V1__PageInfo *service_page_end(const struct service_read *read,
				       const struct service_page *page, struct sl_bytes next_key)
{
	Sluice__V1__PageInfo *info = SL_ARENA_NEW(read->arena, Sluice__V1__PageInfo);
	if (info == NULL) {
		return NULL;
	}
	sluice__v1__page_info__init(info);
	info->revision = store_view_revision(read->view);
	if (next_key.size > 0) {
		uint8_t *token = sl_arena_alloc(read->arena, TAG_BYTES + next_key.size);
		if (token != NULL) {
			memcpy(token, page->scope, TAG_BYTES);
			memcpy(token + TAG_BYTES, next_key.data, next_key.size);
			info->next_page_token =
			    encode(read->arena, token, TAG_BYTES + next_key.size);
		}
		if (info->next_page_token == NULL) {
			return NULL;
		}
	}
	return info;
}
