#include "base/git/twins_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

#include "base/mem/own.h"

enum { ASCII_MAX = 0x7f, ROOM_FIRST = 64 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_ascii(const char *name, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if ((uint8_t)name[i] > ASCII_MAX) {
			return false;
		}
	}
	return true;
}

static char *make_key(const char *name, size_t bytes)
{
	SL_AUTO(sl_free_auto) uint8_t *folded = NULL;
	size_t size = bytes;
	bool ascii = is_ascii(name, bytes);
	if (!ascii) {
		folded = u8_casefold((const uint8_t *)name, bytes, NULL, UNINORM_NFD, NULL, &size);
		if (folded == NULL) {
			return NULL;
		}
	}
	char *key = malloc(size + 1);
	if (key == NULL) {
		return NULL;
	}
	const char *from = ascii ? name : (const char *)folded;
	for (size_t i = 0; i < size; i++) {
		key[i] = ascii ? lower(from[i]) : from[i];
	}
	key[size] = '\0';
	return key;
}

bool twins_add(struct twins *twins, const char *name, size_t bytes)
{
	if (twins->count == twins->room) {
		size_t room = twins->room == 0 ? ROOM_FIRST : twins->room * 2;
		char **keys = realloc(twins->keys, room * sizeof(*keys));
		if (keys == NULL) {
			return false;
		}
		twins->keys = keys;
		twins->room = room;
	}
	char *key = make_key(name, bytes);
	if (key == NULL) {
		return false;
	}
	twins->keys[twins->count++] = key;
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *twins_find(struct twins *twins)
{
	if (twins->count > 1) {
		qsort(twins->keys, twins->count, sizeof(*twins->keys), compare);
	}
	for (size_t i = 1; i < twins->count; i++) {
		if (strcmp(twins->keys[i - 1], twins->keys[i]) == 0) {
			return twins->keys[i];
		}
	}
	return NULL;
}

void twins_fini(struct twins *twins)
{
	for (size_t i = 0; i < twins->count; i++) {
		free(twins->keys[i]);
	}
	free(twins->keys);
}
