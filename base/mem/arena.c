#include "base/mem/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096 - 32 };

struct sl_arena_chunk {
	struct sl_arena_chunk *next;
	alignas(max_align_t) uint8_t data[];
};

static void *protobuf_alloc(void *arena, size_t bytes)
{
	return sl_arena_raw(arena, bytes); /* the library fills what it asks for */
}

static void protobuf_free(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

void sl_arena_init(struct sl_arena *arena, size_t max_bytes)
{
	*arena = (struct sl_arena){.max_bytes = max_bytes};
	arena->protobuf = (ProtobufCAllocator){.alloc = protobuf_alloc, .free = protobuf_free};
}

void sl_arena_fini(struct sl_arena *arena)
{
	while (arena->chunks != NULL) {
		struct sl_arena_chunk *chunk = arena->chunks;
		arena->chunks = chunk->next;
		free(chunk);
	}
	sl_arena_init(arena, arena->max_bytes);
}

bool sl_arena_failed(const struct sl_arena *arena)
{
	return arena->failed;
}

static bool grow(struct sl_arena *arena, size_t bytes)
{
	size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
	bool allowed = arena->max_bytes == 0 || arena->total_bytes + room <= arena->max_bytes;
	struct sl_arena_chunk *chunk = allowed ? malloc(sizeof(*chunk) + room) : NULL;
	if (chunk == NULL) {
		arena->failed = true;
		return false;
	}
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->total_bytes += room;
	arena->at = chunk->data;
	arena->end = chunk->data + room;
	return true;
}

static bool fits(const struct sl_arena *arena, size_t bytes)
{
	/* NULL means out of memory, also to those who ask for nothing. */
	return arena->at != NULL && (size_t)(arena->end - arena->at) >= bytes;
}

void *sl_arena_raw(struct sl_arena *arena, size_t bytes)
{
	if (arena->failed || bytes > SIZE_MAX / 2) {
		arena->failed = true;
		return NULL;
	}
	size_t rounded = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!fits(arena, rounded) && !grow(arena, rounded)) {
		return NULL;
	}
	void *got = arena->at;
	arena->at += rounded;
	return got;
}

void *sl_arena_alloc(struct sl_arena *arena, size_t bytes)
{
	void *got = sl_arena_raw(arena, bytes);
	return got == NULL ? NULL : memset(got, 0, bytes);
}

bool sl_arena_spare(struct sl_arena *arena, size_t min, uint8_t **ret_from, uint8_t **ret_to)
{
	if (arena->failed || min > SIZE_MAX / 2) {
		arena->failed = true;
		return false;
	}
	if (!fits(arena, min) && !grow(arena, min)) {
		return false;
	}
	*ret_from = arena->at;
	*ret_to = arena->end;
	return true;
}

void sl_arena_keep(struct sl_arena *arena, uint8_t *from)
{
	arena->end = from;
}

void *sl_arena_dup(struct sl_arena *arena, const void *data, size_t bytes)
{
	void *copy = sl_arena_raw(arena, bytes);
	if (copy != NULL && bytes > 0) {
		memcpy(copy, data, bytes);
	}
	return copy;
}

char *sl_arena_strdup(struct sl_arena *arena, const char *text)
{
	return text == NULL ? sl_arena_alloc(arena, 1)
			    : sl_arena_dup(arena, text, strlen(text) + 1);
}

char *sl_arena_printf(struct sl_arena *arena, const char *fmt, ...)
{
	va_list args, again;
	char *spare = (char *)arena->at;
	size_t room = spare == NULL || arena->failed ? 0 : (size_t)(arena->end - arena->at);
	va_start(args, fmt);
	va_copy(again, args);
	/* Most texts fit into what is free: then this was all. */
	int length = vsnprintf(spare, room, fmt, args);
	va_end(args);
	char *text = length < 0 ? NULL : sl_arena_raw(arena, (size_t)length + 1);
	if (text != NULL && (text != spare || (size_t)length >= room)) {
		(void)vsnprintf(text, (size_t)length + 1, fmt, again);
	}
	va_end(again);
	return text;
}

ProtobufCAllocator *sl_arena_protobuf(struct sl_arena *arena)
{
	arena->protobuf.allocator_data = arena;
	return &arena->protobuf;
}
