#include "base/git/text_internal.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

/* Bytes of the character at `from` that may be shown as it is; 0: not valid. */
static size_t shown_width(const char *from, size_t size)
{
	ucs4_t point = 0;
	int width = u8_mbtoucr(&point, (const uint8_t *)from, size);
	bool control = point < ' ' || (point >= 0x7f && point <= 0x9f);
	return width <= 0 || control ? 0 : (size_t)width;
}

void text_clean(char *to, size_t room, const char *from, size_t size)
{
	size_t used = 0;
	for (size_t at = 0; at < size;) {
		size_t width = shown_width(from + at, size - at);
		size_t step = width == 0 ? 1 : width;
		if (used + step >= room) {
			break;
		}
		if (width == 0) {
			to[used] =
			    from[at] == '\n' || from[at] == '\r' || from[at] == '\t' ? ' ' : '?';
		}
		if (width > 0) {
			memmove(to + used, from + at, width);
		}
		used += step;
		at += step;
	}
	while (used > 0 && to[used - 1] == ' ') {
		used--;
	}
	to[used] = '\0';
}

void text_clean_self(char *text, size_t room)
{
	text_clean(text, room, text, strnlen(text, room));
}

void text_url(char *to, size_t room, const char *url)
{
	const char *rest = strstr(url, "://");
	rest = rest == NULL ? url : rest + 3;
	size_t host_end = strcspn(rest, "/?#");
	size_t user = host_end;
	while (user > 0 && rest[user - 1] != '@') {
		user--;
	}
	(void)snprintf(to, room, "%.*s%s", (int)(rest - url), url, rest + user);
	text_clean_self(to, room);
}
